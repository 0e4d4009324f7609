"""Grad-CAM: every class from one forward pass."""

import keras
import numpy as np
from tqdm import tqdm

from ..precision import as_precision
from .arrays import check_request, from_grid
from .scores import batch_size_for, logits_of

CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D)
FOLLOWERS = (keras.layers.BatchNormalization, keras.layers.Activation, keras.layers.ReLU, keras.layers.LeakyReLU)


def gradcam(
    network,
    patches,
    *,
    labels=None,
    layer=None,
    upsample="linear",
    details=False,
    precision="auto",
    batch_size=None,
    progress=True,
):
    """Gradient-weighted class activation maps.

    For class c with logit y_c and the layer's activation A (filters f over a coarse grid of N cells): the weight of a
    filter is w_cf = 1/N Σ ∂y_c/∂A_f, the map is ReLU(Σ_f w_cf A_f). It is returned as it is, in units of the logit,
    not scaled to 0 … 1. The layers below A run once, and only those above it are differentiated, once per class.

    Parameters
    ----------
    network : keras.Model [(n, frames, mels, 1) -> (n, classes)]
    patches : Patches [n]
    labels : sequence of str, optional
        Classes to explain; all by default.
    layer : str, optional
        Name of the layer that gives A. By default the last convolution, after the batch norm and activation that
        directly follow it.
    upsample : {"linear", "nearest", None}
        How the grid is brought to the size of the patch; None returns the grid.
    details : bool
        Return a Dataset with `map` and `grid`.
    precision : {"auto", "float32", "bfloat16"}
        "auto" is float32 here.
    batch_size : int, optional
    progress : bool

    Returns
    -------
    xarray.DataArray [patch, label, time (s), frequency (Hz)] or xarray.Dataset
        At least 0; larger where the layer's features speak more for the class.

    Raises
    ------
    ValueError
        If the network has no such layer, or none with a time-frequency grid.
    PatchShapeError, UnknownLabelError, MissingDataError

    References
    ----------
    Selvaraju et al., Grad-CAM: Visual explanations from deep networks via gradient-based localization, ICCV 2017.
    """
    classes, names = check_request(network, patches, labels, upsample)
    batch = batch_size_for(network, batch_size)
    network = as_precision(network, "float32" if precision == "auto" else precision)
    target = grid_layer(network, layer)
    grids = _grids(network, target, classes)
    bar = tqdm(range(0, len(patches), batch), "Grad-CAM", unit="batch", delay=2, leave=False, disable=not progress)
    grid = np.concatenate([grids(patches.data[start : start + batch, ..., None]).numpy() for start in bar])
    return from_grid(
        grid,
        names,
        patches,
        network,
        upsample=upsample,
        details=details,
        method="gradcam",
        settings={"layer": target.name, "upsample": upsample},
        units="logit",
    )


def grid_layer(network, name=None):
    """Layer whose output is a grid over time and frequency: the one named, or the last convolution.

    Returns
    -------
    keras.Layer
        With an output of shape (n, time, frequency, filters). For the last convolution, the last of the batch norm
        and activation layers that directly follow it.

    Raises
    ------
    ValueError
        If there is no such layer.
    """
    grids = [
        layer for layer in network.layers if len(_shape(layer)) == 4 and not isinstance(layer, keras.layers.InputLayer)
    ]
    if name is not None:
        found = next((layer for layer in grids if layer.name == name), None)
        if found is None:
            listed = ", ".join(layer.name for layer in grids)
            raise ValueError(f"layer={name!r}: network '{network.name}' has no grid by this name; it has {listed}.")
        return found
    convolution = next((layer for layer in reversed(grids) if isinstance(layer, CONVOLUTIONS)), None)
    if convolution is None:
        raise ValueError(
            f"network '{network.name}' has no convolution over time and frequency among its own layers. "
            "Grad-CAM needs one; use 'lime' or 'occlusion', which take any network."
        )
    return _last_follower(network, convolution)


def _last_follower(network, layer):
    following = [other for other in network.layers if other is not layer and other.input is layer.output]
    if len(following) == 1 and isinstance(following[0], FOLLOWERS):
        return _last_follower(network, following[0])
    return layer


def _shape(layer):
    output = layer.output
    return output.shape if isinstance(output, keras.KerasTensor) else ()


def _grids(network, target, classes):
    """Compiled function from patches (n, frames, mels, 1) to grids (n, classes, time, frequency)."""
    import tensorflow as tf

    model = keras.Model(network.inputs[0], [target.output, logits_of(network)])

    @tf.function(input_signature=[tf.TensorSpec([None, *model.input_shape[1:]], tf.float32)])
    def grids(batch):
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(batch)
            activation, logits = model(batch, training=False)
            scores = tf.unstack(tf.gather(logits, classes, axis=1), axis=1)
        slopes = [tape.gradient(s, activation, unconnected_gradients=tf.UnconnectedGradients.ZERO) for s in scores]
        weights = tf.stack([tf.reduce_mean(tf.cast(slope, tf.float32), axis=(1, 2)) for slope in slopes])
        return tf.nn.relu(tf.einsum("ntmf,cnf->nctm", tf.cast(activation, tf.float32), weights))

    return grids
