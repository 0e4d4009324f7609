"""Deconvolution: what in a patch a neuron answered to, and the patches that it answered to most."""

from numbers import Integral

import numpy as np
import tensorflow as tf
import xarray as xr

from ..errors import MissingDataError
from ..networks.backend import in_float32, keras
from ..networks.copying import layer_like
from ..networks.graph import CONVOLUTIONS, calls, feature_map
from ..networks.head import check_patches
from ..networks.precision import float32_of
from ..networks.running import batch_size_for, in_batches
from ..sound.frontend import hz_to_mel, mel_to_hz
from .arrays import at, label_coords, plain

POOLS = (keras.layers.MaxPooling2D, keras.layers.AveragePooling2D)
MARGINS = (keras.layers.ZeroPadding2D, keras.layers.Cropping2D)

CELL_BY_CELL = (
    keras.layers.InputLayer,
    keras.layers.BatchNormalization,
    keras.layers.ReLU,
    keras.layers.Activation,
    keras.layers.Add,
    keras.layers.Dropout,
    keras.layers.SpatialDropout2D,
    keras.layers.Rescaling,
)


@in_float32()
def deconvolve(network, patches, layer, neuron, *, keep=None, batch_size=None, progress=True):
    """From one feature map back to the log-mel input: the part of the patch that the neuron answered to.

    The map's positive activations, all or the strongest few, are sent back through the layers below: through a
    convolution by its transposed weights, without the bias; through max-pooling to the place that held the maximum,
    zero elsewhere; through batch norm by its factor, without the shift. At each ReLU on the way the negative part of
    what comes back is cut off, whatever the ReLU did on the way up: this is what sets deconvolution apart from the
    gradient. Nothing is cut off at the input, so values may be negative: there the neuron wants less than there is
    around. Sent back from one position, values are zero outside its receptive field.

    Parameters
    ----------
    network : keras.Model [(n, frames, mels, 1) -> ...]
        It is copied, not changed.
    patches : Patches [n]
    layer : str
        Name of a convolution. Its feature map is taken after the batch norm and activation that directly follow it,
        before pooling.
    neuron : int
        Number of the feature map, from 0.
    keep : int, optional
        Positions to keep in each patch, those of the strongest activations; all by default.
    batch_size : int, optional
    progress : bool

    Returns
    -------
    xarray.DataArray [patch, time (s), frequency (Hz)], float32
        In units of the activation times the weights, as they are, not scaled. All zero for a patch that leaves the
        neuron off. Along `patch` stand `clip`, `start`, `true` (label), as far as they are known, and `activation`,
        the feature map's largest value.

    Raises
    ------
    ValueError
        If there is no such layer or neuron, `keep` is not a number of positions, or a layer on the way back is none
        of those above (such as another activation than ReLU).
    PatchShapeError
        If the network does not take these patches.
    MissingDataError
        If there are no patches.

    References
    ----------
    Zeiler & Fergus, Visualizing and understanding convolutional networks, ECCV 2014; Choi, Fazekas & Sandler,
    Explaining deep convolutional neural networks on music classification, 2016.
    """
    if keep is not None and not (_is_whole(keep) and keep >= 1):
        raise ValueError(f"keep={keep!r}: expected a number of positions, at least 1, or None for all.")
    model = _copy_up_to(network, patches, layer, neuron)

    def back(batch):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(batch)
            activation = model(batch, training=False)[..., neuron]
        kept = tf.nn.relu(activation) if keep is None else _strongest(tf.nn.relu(activation), keep)
        return tape.gradient(activation, batch, output_gradients=kept)[..., 0], tf.reduce_max(activation, axis=(1, 2))

    values, activation = _batches(back, network, patches, batch_size, progress, "deconvolution")
    coords = {name: coord for name, coord in label_coords(patches, []).items() if name != "label"}
    coords |= {
        "activation": ("patch", activation.astype(np.float32)),
        "time": ("time", patches.time, {"units": "s"}),
        "frequency": ("frequency", patches.frequency, {"units": "Hz"}),
    }
    settings = {"layer": layer, "neuron": int(neuron), "keep": None if keep is None else int(keep)}
    attrs = {"method": "deconvolution", "network": network.name, "units": "activation × weights"} | plain(settings)
    return xr.DataArray(values.astype(np.float32), coords, ("patch", "time", "frequency"), name="map", attrs=attrs)


@in_float32()
def strongest_examples(network, patches, layer, neuron, *, most=9, batch_size=None, progress=True):
    """The patches that a neuron answers to most, and where in them.

    Parameters
    ----------
    network, patches, layer, neuron
        As for `deconvolve`.
    most : int
        How many patches to return at most. Patches that leave the neuron off (no activation above 0) are left out.
    batch_size : int, optional
    progress : bool

    Returns
    -------
    pandas.DataFrame [at most `most`]
        Indexed by `patch` as the set counts them, from the strongest on; of equals the earlier patch stands first.
        `clip`, `start` (s, of the patch in its clip) and `label`, as far as the patches know them; `activation`, the
        feature map's largest value; `time` (s, from the patch's start) and `frequency` (Hz), the centre of what that
        position sees, at most at the patch's border; and the box of all cells that it sees, cut off at the patch's
        borders: `start_s`, `stop_s` (s, from the patch's start), `low_hz`, `high_hz`. A frame reaches half a hop to
        either side of its centre, a mel band half a band on the mel scale.

    Raises
    ------
    ValueError
        If there is no such layer or neuron, `most` is below 1, or a layer's receptive field is not known.
    PatchShapeError, MissingDataError
    """
    if not (_is_whole(most) and most >= 1):
        raise ValueError(f"most={most!r}: expected a number of patches, at least 1.")
    model = _copy_up_to(network, patches, layer, neuron)

    def strongest(batch):
        activation = model(batch, training=False)[..., neuron]
        flat = tf.reshape(activation, [tf.shape(activation)[0], -1])
        return tf.reduce_max(flat, axis=1), tf.argmax(flat, axis=1)

    activation, cell = _batches(strongest, network, patches, batch_size, progress, "strongest examples")
    order = np.argsort(-activation, kind="stable")[:most]
    order = order[activation[order] > 0]
    places = [_place(model, patches, *divmod(int(cell[row]), model.output_shape[2])) for row in order]
    columns = ["time", "frequency", "start_s", "stop_s", "low_hz", "high_hz"]
    found = patches.table.iloc[order]
    found = found[[name for name in ("clip", "start", "label") if name in found]].assign(activation=activation[order])
    return found.assign(**dict(zip(columns, np.reshape(places, (-1, 6)).T, strict=True))).rename_axis("patch")


def _is_whole(number):
    return isinstance(number, Integral) and not isinstance(number, bool)


def _copy_up_to(network, patches, layer, neuron):
    """A copy of a network up to a convolution, its ReLUs sending only positive values back.

    Raises
    ------
    MissingDataError, PatchShapeError, ValueError
    """
    if len(patches) == 0:
        raise MissingDataError("no patches: the set is empty. Check the selection it came from.")
    check_patches(network, patches)
    network = float32_of(network)
    tensor = feature_map(network, layer)
    if not _is_whole(neuron) or not 0 <= neuron < tensor.shape[-1]:
        count = tensor.shape[-1]
        raise ValueError(f"neuron={neuron!r}: layer '{layer}' has {count}, numbered 0 to {count - 1}.")
    model = keras.Model(network.inputs[0], tensor)
    for each in model.layers:
        _check_way(each, network)
    inputs = keras.Input((*patches.data.shape[1:], 1))
    copy = keras.models.clone_model(model, input_tensors=inputs, clone_function=_rectified_back)
    copy.set_weights(model.get_weights())
    return copy


def _check_way(layer, network):
    """Raise a ValueError unless the way back through a layer is known."""
    kind = "" if isinstance(layer, (*CONVOLUTIONS, *POOLS, *MARGINS, *CELL_BY_CELL)) else type(layer).__name__
    activation = getattr(layer, "activation", keras.activations.linear)
    if activation not in (keras.activations.linear, keras.activations.relu, None):
        kind = getattr(activation, "__name__", "own activation")
    if isinstance(layer, keras.layers.ReLU) and layer.negative_slope:
        kind = f"ReLU with slope {layer.negative_slope} below 0"
    if kind:
        raise ValueError(
            f"network '{network.name}' has layer '{layer.name}' ({kind}) on the way to the input. Deconvolution goes "
            "back through convolutions, pools, batch norm and ReLU only; use 'saliency' or 'gradcam' instead."
        )


def _rectified_back(layer):
    """A copy of a layer, without its weights; a ReLU's gradient is the positive part of what comes back."""
    zeros = {key: "zeros" for key in layer.get_config() if key.endswith("_initializer")}
    limits = {}
    if isinstance(layer, keras.layers.ReLU):
        limits = {"max_value": layer.max_value, "threshold": layer.threshold}
    elif getattr(layer, "activation", None) is not keras.activations.relu:
        return layer_like(layer, **zeros)

    @tf.custom_gradient
    def rectified(values):
        return keras.activations.relu(values, **limits), tf.nn.relu

    if isinstance(layer, (keras.layers.ReLU, keras.layers.Activation)):
        return keras.layers.Activation(rectified, name=layer.name, dtype=layer.dtype_policy)
    copy = layer_like(layer, **zeros, activation="linear")
    copy.activation = rectified
    return copy


def _strongest(activation, count):
    """Activations (n, time, frequency) with all but the `count` largest of each patch set to zero."""
    shape = tf.shape(activation)
    flat = tf.reshape(activation, [shape[0], -1])
    values, cells = tf.math.top_k(flat, tf.minimum(int(count), tf.shape(flat)[1]))
    rows = tf.broadcast_to(tf.range(shape[0])[:, None], tf.shape(cells))
    return tf.reshape(tf.scatter_nd(tf.stack([rows, cells], axis=-1), values, tf.shape(flat)), shape)


def _batches(function, network, patches, batch_size, progress, title):
    """Both results of a function of patches (n, frames, mels, 1), for all patches."""
    batch = batch_size_for(network, batch_size)
    if len(patches) > batch:  # for a single batch, tracing takes longer than what it saves
        signature = [tf.TensorSpec([None, *patches.data.shape[1:], 1], tf.float32)]
        function = tf.function(function, input_signature=signature)

    def run(part):
        return function(tf.convert_to_tensor(part[..., None]))

    return in_batches(run, patches.data, batch_size=batch, title=title, progress=progress)


def _place(model, patches, row, column):
    """Centre and box of what a position sees: time, frequency, start_s, stop_s, low_hz, high_hz."""
    centre = [sum(span) / 2 for span in _receptive_field(model, (row, column), within=False)]
    frames, bands = _receptive_field(model, (row, column), within=True)
    half = patches.frontend.hop / patches.frontend.sample_rate / 2
    mel = hz_to_mel(patches.frequency)
    edge = np.ptp(mel) / max(1, len(mel) - 1) / 2
    return (
        at(patches.time, centre[0]),
        at(patches.frequency, centre[1]),
        patches.time[frames[0]] - half,
        patches.time[frames[1]] + half,
        mel_to_hz(mel[bands[0]] - edge),
        mel_to_hz(mel[bands[1]] + edge),
    )


def _receptive_field(model, position, *, within):
    """First and last cell of the input that a position of the output depends on, along time and along frequency.

    Parameters
    ----------
    within : bool
        Leave out what lies in a layer's padding; otherwise the field as it is far from any border.
    """
    spans = {id(model.outputs[0]): [(place, place) for place in position]}
    for layer, inputs, outputs in reversed(calls(model)):
        above = spans[id(outputs[0])]
        for tensor in inputs:
            found = []
            for axis, old in enumerate(spans.get(id(tensor), [None, None])):
                size = tensor.shape[1 + axis]
                first, last = _below(layer, axis, *above[axis], size)
                if within:
                    first, last = max(first, 0), min(last, size - 1)
                found.append((first, last) if old is None else (min(first, old[0]), max(last, old[1])))
            spans[id(tensor)] = found
    return spans[id(model.inputs[0])]


def _below(layer, axis, first, last, size):
    """First and last cell of a layer's input, of `size` cells along an axis, behind cells of its output."""
    if isinstance(layer, keras.layers.ZeroPadding2D):
        return first - layer.padding[axis][0], last - layer.padding[axis][0]
    if isinstance(layer, keras.layers.Cropping2D):
        return first + layer.cropping[axis][0], last + layer.cropping[axis][0]
    if not isinstance(layer, (*CONVOLUTIONS, *POOLS)):
        return first, last
    kernel = (layer.pool_size if isinstance(layer, POOLS) else layer.kernel_size)[axis]
    reach = (kernel - 1) * getattr(layer, "dilation_rate", (1, 1))[axis]
    stride = layer.strides[axis]
    padding = max(((size - 1) // stride) * stride + reach + 1 - size, 0) // 2 if layer.padding == "same" else 0
    return first * stride - padding, last * stride - padding + reach
