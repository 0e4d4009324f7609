"""SoundNet: a network on the raw waveform, with the widths that its weights have."""

import numpy as np

from ..errors import WeightsError
from ..sound.frontend import SOUNDNET
from .backend import in_float32, keras
from .custom_layers import ScaleWaveform
from .head import add_head, scaled
from .soundnet_weights import hint, read_weights

# Taps, filters, zeros on both sides, and the pool behind it; every convolution moves by 2.
CONVOLUTIONS = {
    "conv1": (64, 16, 32, 8),
    "conv2": (32, 32, 16, 8),
    "conv3": (16, 64, 8, None),
    "conv4": (8, 128, 4, None),
    "conv5": (4, 256, 2, 4),
    "conv6": (4, 512, 2, None),
    "conv7": (4, 1024, 2, None),
}

HEADS = {"conv8": "objects", "conv8_2": "scenes"}  # 1,000 and 401 classes in the official file
HEAD_TAPS = 8
TRAINED_AT = 22_050  # Hz
PARTS = ("weights", "biases", "gamma", "beta", "mean", "var")


@in_float32()
def soundnet(labels=None, *, weights="official", width=1.0, seed=0, frontend=SOUNDNET):
    """SoundNet's seven convolutions on a waveform of any length, with what the weights have behind them.

    Parameters
    ----------
    labels : sequence of str, optional
        Ends the network in an average over time, a new dense layer `FCFinal` and softmax.
    weights : {"official", "pruned", "random"} or path or dict
        ``sound8.npy`` (found under ``AUDIOINTERP_DATA`` or downloaded), the network with filters pruned away (only
        found there), random numbers, an ``.npz`` of the same arrays, or such arrays. The number of filters in each
        layer is that of the weights.
    frontend : WaveformFrontEnd
    width : float
        Factor on the number of filters; below 1 only with random weights.
    seed : int
        For random weights.

    Returns
    -------
    keras.Model [(n, samples, 1) -> ...]
        Waveforms between -1 and 1. Gives (n, classes) with `labels`; otherwise the distributions over objects and
        scenes (n, positions, classes) where the weights have these heads, and conv7 (n, positions, filters) if not.

    Raises
    ------
    WeightsError
        If the weights lack an array or one has another shape.
    ChecksumError
        If ``sound8.npy`` is not the published file; it is not unpickled then.
    MissingDataError
        If the weights are neither there nor to be downloaded.

    References
    ----------
    Aytar, Vondrick & Torralba, NIPS 2016; layers as in github.com/pseeth/soundnet_keras; the pruned network by
    Singh, Rajan & Bhavsar, "Deep hidden analysis: a statistical framework to prune feature maps", ICASSP 2019.

    Examples
    --------
    >>> layers = layer_features(soundnet(), clips)  # doctest: +SKIP
    """
    if isinstance(weights, str) and weights == "random":
        arrays = {}
        filters = {name: scaled(count, width) for name, (_, count, *_) in CONVOLUTIONS.items()}
    else:
        where = "the arrays given" if isinstance(weights, dict) else weights
        if width != 1:
            raise WeightsError(f"width {width} with weights {where!r}: a factor is possible for random weights only.")
        arrays = _checked(weights if isinstance(weights, dict) else read_weights(weights), where)
        filters = {name: arrays[f"{name}/weights"].shape[2] for name in CONVOLUTIONS}
    network = _body(frontend, filters, seed)
    if labels is not None:
        pooled = keras.layers.GlobalAveragePooling1D(name="embedding")(network.output)
        network = add_head(
            keras.Model(network.input, pooled, name="soundnet"), labels, frontend, seed=seed + len(CONVOLUTIONS)
        )
    elif heads := [head for head in HEADS if f"{head}/weights" in arrays]:
        outputs = [_head(network.output, head, arrays[f"{head}/weights"].shape) for head in heads]
        network = keras.Model(network.input, outputs, name="soundnet")
    for layer in network.layers:
        name = layer.name.removesuffix("_bn")
        if f"{name}/weights" in arrays:
            parts = PARTS[2:] if layer.name.endswith("_bn") else PARTS[:2]
            layer.set_weights([arrays[f"{name}/{part}"] for part in parts])
    return network


def _checked(arrays, where):
    """The arrays with plain shapes, once all that are needed are there and fit each other."""
    layers = [*CONVOLUTIONS, *(head for head in HEADS if f"{head}/weights" in arrays)]
    checked, before = {}, {name: number for name, number in zip(layers[1:7], layers[:6], strict=True)}
    for name in layers:
        parts = PARTS if name in CONVOLUTIONS else PARTS[:2]
        taps = CONVOLUTIONS[name][0] if name in CONVOLUTIONS else HEAD_TAPS
        channels = 1 if name == "conv1" else checked[f"{before.get(name, 'conv7')}/weights"].shape[2]
        for part in parts:
            key = f"{name}/{part}"
            if key not in arrays:
                raise WeightsError(f"{where}: array '{key}' is missing. {hint()}")
            try:
                array = np.asarray(arrays[key], dtype=np.float32)
            except (ValueError, TypeError) as error:
                raise WeightsError(f"{where}: array '{key}' does not hold numbers ({error}). {hint()}") from error
            if part == "weights":
                array = array[:, 0] if array.ndim == 4 and array.shape[1] == 1 else array
                fits, expected = (
                    array.ndim == 3 and array.shape[:2] == (taps, channels),
                    f"({taps}, {channels}, filters)",
                )
            else:
                array, filters = array.reshape(-1), checked[f"{name}/weights"].shape[2]
                fits, expected = array.shape == (filters,), f"({filters},)"
            if not fits or not np.isfinite(array).all():
                found = f"has shape {np.shape(arrays[key])}" if not fits else "holds NaN or infinite values"
                raise WeightsError(f"{where}: array '{key}' {found}, expected {expected}. {hint()}")
            checked[key] = array
    return checked


def _body(frontend, filters, seed):
    layers = keras.layers
    inputs = keras.Input((None, 1), name="waveform")
    x = ScaleWaveform(frontend)(inputs)
    for number, (name, (taps, _, zeros, pool)) in enumerate(CONVOLUTIONS.items()):
        x = layers.ZeroPadding1D(zeros, name=f"{name}_pad")(x)
        initializer = keras.initializers.GlorotUniform(seed + number)
        x = layers.Conv1D(filters[name], taps, strides=2, kernel_initializer=initializer, name=name)(x)
        x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(x)
        x = layers.ReLU(name=f"{name}_relu")(x)
        if pool:
            x = layers.MaxPooling1D(pool, name=f"{name}_pool")(x)
    return keras.Model(inputs, x, name="soundnet")


def _head(x, name, shape):
    logits = keras.layers.Conv1D(shape[2], HEAD_TAPS, strides=2, name=name)(x)
    return keras.layers.Softmax(name=HEADS[name])(logits)
