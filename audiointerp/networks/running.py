"""Running a network: every batched forward pass is here."""

import math
from weakref import WeakKeyDictionary

import keras
import numpy as np
from tqdm import tqdm

from ..errors import MissingDataError, PatchShapeError
from .custom_layers import ScaleWaveform
from .graph import logits_of
from .precision import as_precision, is_reduced, structure

UNITS = {"probability": "probability", "logit": "logit"}

ACTIVATION_BYTES = 128e6  # largest activation of a batch: beyond it, forward passes get slower on processors

LARGEST_BATCH = 1024

_compiled = WeakKeyDictionary()  # network: its compiled forward passes


def forward_pass(network, score="probability", precision="auto"):
    """Function from patches (n, frames, mels) to their scores (n, classes), float32, compiled once for any n.

    Parameters
    ----------
    network : keras.Model [(n, frames, mels, 1) -> (n, classes)]
    score : {"probability", "logit"}
    precision : {"auto", "float32", "bfloat16"}

    Returns
    -------
    callable
        Uses the weights that the network has when it is called, in bfloat16 those that it has now.
    """
    check_score(score)
    network = as_precision(network, precision)
    known = _compiled.setdefault(network, {})
    state = (
        structure(network),
        [weight.numpy().tobytes() for weight in network.layers[-1].weights],
    )  # which logits_of may copy
    if score not in known or known[score][0] != state:
        known[score] = state, _compile(network, score)
    return known[score][1]


def _compile(network, score):
    import tensorflow as tf

    output = network.outputs[0] if score == "probability" else logits_of(network)
    model = keras.Model(network.inputs[0], output)

    @tf.function(input_signature=[tf.TensorSpec([None, *model.input_shape[1:3]], tf.float32)])
    def scores(patches):
        return tf.cast(model(patches[..., None], training=False), tf.float32)

    return lambda patches: scores(patches).numpy()


def check_score(score):
    """Raise a ValueError unless `score` is known."""
    if score not in UNITS:
        raise ValueError(f"score={score!r}: expected 'probability' or 'logit'.")


def batch_size_for(network, given=None, precision="float32"):
    """Patches per forward pass: those given, or as many as keep the largest activation within `ACTIVATION_BYTES`."""
    if given is not None:
        if given < 1:
            raise ValueError(f"batch_size={given}: expected at least 1, or None to have it chosen.")
        return int(given)
    width = 2 if is_reduced(precision) else 4
    sizes = [_size(layer) for layer in network.layers if hasattr(layer, "output")]
    fitting = max(1, int(ACTIVATION_BYTES / (width * max(sizes))))
    return min(LARGEST_BATCH, 2 ** int(math.log2(fitting)))


def _size(layer):
    return max(math.prod(size or 1 for size in tensor.shape) for tensor in keras.tree.flatten(layer.output))


def outputs_of(network, data, *, batch_size=64, title="scores"):
    """What a network gives for many patches, computed in batches of one shape, so that it is traced once.

    Parameters
    ----------
    network : keras.Model
    data : array [n, ...]
        Whatever gives an array when it is sliced; a channel axis is added if it has none.
    batch_size : int
    title : str
        In front of the progress bar.

    Returns
    -------
    numpy.ndarray [n, ...]
    """
    size = min(batch_size, len(data))
    results = []
    for start in tqdm(range(0, len(data), size), title, unit="batch", leave=False, delay=2):
        part = np.asarray(data[start : start + size])
        part = part[..., None] if part.ndim < len(network.input_shape) else part
        full = np.concatenate([part, np.zeros((size - len(part), *part.shape[1:]), part.dtype)])
        results.append(network.predict_on_batch(full)[: len(part)])
    return np.concatenate(results)


BATCH_SAMPLES = 3_000_000  # of a batch of waveforms: SoundNet's first layer then takes about 100 MB

FLAT = 2**28  # numbers that a flattened layer may have for all waveforms: 1 GB


def run_waveforms(network, waveforms, outputs, *, over_time="mean", progress=True):
    """Outputs of a network on waveforms, several of unequal length at a time.

    What lies behind the end of a shorter waveform is put to zero before every convolution, which is what the
    convolution's own zero padding would have put there.

    Parameters
    ----------
    network : keras.Model [(n, samples, 1) -> ...]
        Zero padding, convolutions and pools without padding of their own, batch norm and ReLU, as in `soundnet`.
    waveforms : sequence of numpy.ndarray [samples]
    outputs : dict of keras.KerasTensor [n, positions, filters]
        Those wanted, by name; see `layer_outputs`.
    over_time : {"mean", "flatten"}
        Average over the positions, or keep all: filter by filter at the first position, then at the next, 0 behind a
        waveform's end.
    progress : bool
        Show a bar when it takes longer than two seconds.

    Returns
    -------
    numpy.ndarray [waveforms, numbers of all outputs], float32

    Raises
    ------
    PatchShapeError
        If the network has other layers, or a waveform is too short.
    MissingDataError
        If flattened outputs would be too large.
    """
    path = _path_to(network, list(outputs.values()))
    samples = [len(waveform) for waveform in waveforms]
    shortest, longest = min(samples), max(samples)
    for name, tensor in outputs.items():
        if _positions(path, tensor, shortest) < 1:
            raise PatchShapeError(
                f"a waveform of {shortest} samples is too short for layer {name} of '{network.name}'. "
                "Ask for earlier layers with layers=, or use longer clips."
            )
    numbers = sum(_positions(path, tensor, longest) * tensor.shape[-1] for tensor in outputs.values())
    if over_time == "flatten" and numbers * len(waveforms) > FLAT:
        raise MissingDataError(
            f"{', '.join(outputs)} flattened: {numbers:,} numbers a clip are too many for {len(waveforms)} clips. "
            "Ask for a later layer, or average over time."
        )
    run = _compile_waveforms(path, list(outputs.values()), over_time)
    order = np.argsort([-count for count in samples], kind="stable")
    results = [None] * len(waveforms)
    bar = tqdm(total=len(waveforms), desc="layers", unit="clip", leave=False, delay=2, disable=not progress)
    while len(order):
        length = longest if over_time == "flatten" else samples[order[0]]
        batch, order = np.split(order, [max(1, BATCH_SAMPLES // length)])
        padded = np.zeros((len(batch), length, 1), np.float32)
        for row, number in enumerate(batch):
            padded[row, : samples[number], 0] = waveforms[number]
        rows = run(padded, np.array([samples[number] for number in batch], np.int32)).numpy()
        for row, number in zip(rows, batch, strict=True):
            results[number] = row
        bar.update(len(batch))
    bar.close()
    return np.stack(results)


def _compile_waveforms(path, tensors, over_time):
    """Function from waveforms (n, samples, 1) and their lengths to the numbers of all outputs, (n, numbers)."""
    import tensorflow as tf

    wanted = {id(tensor) for tensor in tensors}

    def cut(x, length):
        return x * tf.cast(tf.sequence_mask(length, tf.shape(x)[1]), x.dtype)[..., None]

    def run(x, length):
        values, found = {id(path[0].input): (x, length)}, {}
        for layer in path:
            x, length = values[id(layer.input)]
            x = cut(x, length) if isinstance(layer, keras.layers.ZeroPadding1D) else x
            x, length = layer(x, training=False), _length_after(layer, length)
            values[id(layer.output)] = x, length
            if id(layer.output) in wanted:
                kept = cut(x, length)
                mean = tf.reduce_sum(kept, axis=1) / tf.cast(length, x.dtype)[:, None]
                found[id(layer.output)] = mean if over_time == "mean" else tf.reshape(kept, [tf.shape(x)[0], -1])
        return tf.concat([found[id(tensor)] for tensor in tensors], axis=1)

    shapes = tf.TensorSpec([None, None, 1], tf.float32), tf.TensorSpec([None], tf.int32)
    return tf.function(run, input_signature=shapes)


def _length_after(layer, length):
    """Positions behind a layer from those before it; numbers or tensors."""
    if isinstance(layer, keras.layers.ZeroPadding1D):
        return length + sum(layer.padding)
    if isinstance(layer, (keras.layers.Conv1D, keras.layers.MaxPooling1D)):
        size = layer.kernel_size[0] if isinstance(layer, keras.layers.Conv1D) else layer.pool_size[0]
        return (length - size) // layer.strides[0] + 1
    return length


def _positions(path, tensor, samples):
    """Positions of an output for a waveform of so many samples; 0 if a layer before it has none to pad."""
    lengths = {id(path[0].input): samples}
    for layer in path:
        before = lengths[id(layer.input)]
        lengths[id(layer.output)] = _length_after(layer, before) if before > 0 else 0
    return lengths[id(tensor)]


def _path_to(network, tensors):
    """Layers of a network that are needed for some tensors, without the input."""
    layers = keras.layers
    known = (ScaleWaveform, layers.ZeroPadding1D, layers.Conv1D, layers.MaxPooling1D, layers.BatchNormalization)
    path = keras.Model(network.input, tensors).layers
    path = [layer for layer in path if not isinstance(layer, layers.InputLayer)]
    for layer in path:
        padded = isinstance(layer, (layers.Conv1D, layers.MaxPooling1D)) and layer.padding != "valid"
        dilated = isinstance(layer, layers.Conv1D) and layer.dilation_rate != (1,)
        if padded or dilated or not isinstance(layer, (*known, layers.ReLU, layers.Activation)):
            raise PatchShapeError(
                f"layer '{layer.name}' of '{network.name}' is not one of SoundNet's kinds (zero padding, convolutions "
                "and pools without padding or dilation, batch norm, ReLU): unequal waveforms cannot share a batch."
            )
    return path
