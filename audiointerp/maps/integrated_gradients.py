"""Integrated gradients: what each cell adds on the way from a patch without content to the patch."""

from numbers import Integral

from ..networks.backend import keras
from ..networks.fingerprints import kept_with
from ..networks.graph import logits_of
from ..networks.running import batch_size_for, in_batches
from .arrays import request
from .perturbation import fill_values

VERSION = 1


def integrated_gradients(
    network,
    patches,
    *,
    labels=None,
    steps=32,
    fill="mean",
    upsample="linear",
    details=False,
    batch_size=None,
    progress=True,
):
    """Gradients of the logit along the straight way from an even patch to the patch, times what each cell changed.

    The values of a map add up to the logit of the patch less that of the even patch, as closely as the steps allow.

    Parameters
    ----------
    steps : int
        Points of the way, at the middles of equal parts.
    fill : {"mean", "silence"} or float
        The even patch: the patch's mean, the log-mel value of silence, or a value.

    The other parameters as for `audiointerp.maps.gradcam.gradcam`; there is no coarse grid, so `upsample` makes no
    difference.

    Returns
    -------
    xarray.DataArray [patch, label, time (s), frequency (Hz)] or xarray.Dataset
        Logits; positive where a cell supports the class.

    References
    ----------
    Sundararajan, Taly & Yan, Axiomatic attribution for deep networks, ICML 2017.
    """
    asked = request(network, patches, labels, upsample, details)
    if not isinstance(steps, Integral) or steps < 1:
        raise ValueError(f"steps={steps}: expected at least 1; 32 is usual.")
    level = None if fill == "mean" else float(fill_values(patches[:1], fill)[0])
    name = "integrated gradients", tuple(asked.classes), int(steps), level
    compute = kept_with(asked.network, name, lambda: _compiled(asked.network, *name[1:]))
    batch = batch_size_for(asked.network, batch_size)
    maps = in_batches(compute, patches.data, batch_size=batch, title="integrated gradients", progress=progress)
    settings = {"steps": int(steps), "fill": fill}
    found = asked.array(maps, method="integrated_gradients", settings=settings, units="logit")
    return found.to_dataset() if details else found


def _compiled(network, classes, steps, level):
    """Function from patches (n, frames, mels) to maps (n, classes, frames, mels); a `level` of None is the mean."""
    import tensorflow as tf

    model = keras.Model(network.inputs[0], logits_of(network))

    def slopes(batch):
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(batch)
            scores = tf.unstack(tf.gather(model(batch[..., None], training=False), classes, axis=1), axis=1)
        found = [tape.gradient(score, batch) for score in scores]
        if any(each is None for each in found):
            raise ValueError(
                f"network '{network.name}' lets no gradient through to its input, as behind a rounding: there is "
                "nothing to integrate. Use 'lime', 'occlusion' or 'rise', which only look at scores."
            )
        return tf.stack(found, axis=1)

    @tf.function(input_signature=[tf.TensorSpec([None, *model.input_shape[1:3]], tf.float32)])
    def maps(batch):
        even = tf.reduce_mean(batch, axis=(1, 2), keepdims=True) if level is None else level
        way = batch - even
        total = tf.zeros_like(tf.repeat(batch[:, None], len(classes), axis=1))
        for step in tf.range(steps):
            total += slopes(even + (tf.cast(step, tf.float32) + 0.5) / steps * way)
        return total / steps * way[:, None]

    return maps
