"""Grad-CAM: every class from one forward pass."""

from ..networks.backend import keras
from ..networks.fingerprints import kept_with
from ..networks.graph import grid_of, logits_of
from ..networks.precision import as_precision
from ..networks.running import batch_size_for, in_batches
from .arrays import request

VERSION = 1


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
    asked = request(network, patches, labels, upsample, details)
    batch = batch_size_for(network, batch_size)
    precision = "float32" if precision == "auto" else precision
    network = as_precision(network, precision)
    target = grid_of(network, layer)
    name = "gradcam", target.name, target.tensor.name, tuple(asked.classes)
    grids = kept_with(network, name, lambda: _grids(network, target.tensor, asked.classes))
    grid = in_batches(grids, patches.data, batch_size=batch, title="Grad-CAM", progress=progress)
    settings = {"layer": target.name, "upsample": upsample}
    return asked.maps(grid, method="gradcam", settings=settings, units="logit", precision=precision)


def _grids(network, target, classes):
    """Compiled function from patches (n, frames, mels) to grids (n, classes, time, frequency)."""
    import tensorflow as tf

    model = keras.Model(network.inputs[0], [target, logits_of(network)])

    @tf.function(input_signature=[tf.TensorSpec([None, *model.input_shape[1:3]], tf.float32)])
    def grids(batch):
        batch = batch[..., None]
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(batch)
            activation, logits = model(batch, training=False)
            scores = tf.unstack(tf.gather(logits, classes, axis=1), axis=1)
        slopes = [tape.gradient(s, activation, unconnected_gradients=tf.UnconnectedGradients.ZERO) for s in scores]
        weights = tf.stack([tf.reduce_mean(tf.cast(slope, tf.float32), axis=(1, 2)) for slope in slopes])
        return tf.nn.relu(tf.einsum("ntmf,cnf->nctm", tf.cast(activation, tf.float32), weights))

    return grids
