"""Grad-CAM++, Score-CAM and saliency as tf-keras-vis computes them, and its Grad-CAM to compare with ours."""

import sys
import warnings
from contextlib import contextmanager
from functools import partial
from importlib import import_module

import numpy as np
import scipy.ndimage
from tqdm import tqdm

from ..networks.backend import keras
from ..networks.graph import grid_of, logits_of
from ..networks.precision import as_precision, chosen_precision
from ..networks.running import batch_size_for, in_batches, outputs_of
from .arrays import request

VERSION = 1
GRID = {"seek_penultimate_conv_layer": False, "expand_cam": False, "normalize_cam": False}  # the grid as it is


def gradcam_plus_plus(
    network, patches, *, labels=None, layer=None, upsample="linear", details=False, batch_size=None, progress=True
):
    """Grad-CAM++ by tf-keras-vis: gradients weighted position by position, for evidence in several places.

    The factor exp(logit) that a whole map has there is left out: it has no bearing on where the evidence is, and
    overflows. Parameters and result as for `audiointerp.maps.gradcam.gradcam`.

    References
    ----------
    Chattopadhay et al., Grad-CAM++: Improved visual explanations for deep convolutional networks, WACV 2018.
    """
    import tensorflow as tf

    def score(logits, label):
        return logits[:, label] - tf.stop_gradient(logits[:, label])

    asked = request(network, patches, labels, upsample, details)
    method = _from_library("gradcam_plus_plus", "GradcamPlusPlus")
    return _by_gradient(asked, "gradcam++", method, score, layer, batch_size, progress)


def gradcam_keras_vis(
    network, patches, *, labels=None, layer=None, upsample="linear", details=False, batch_size=None, progress=True
):
    """Grad-CAM by tf-keras-vis, to compare `audiointerp.maps.gradcam.gradcam` with; the same parameters and result."""

    def score(logits, label):
        return logits[:, label]

    asked = request(network, patches, labels, upsample, details)
    method = _from_library("gradcam", "Gradcam")
    return _by_gradient(asked, "gradcam_keras_vis", method, score, layer, batch_size, progress)


def scorecam(
    network,
    patches,
    *,
    labels=None,
    layer=None,
    filters=None,
    upsample="linear",
    details=False,
    precision="auto",
    batch_size=None,
    progress=True,
):
    """Score-CAM by tf-keras-vis: each filter weighted by the class's probability when only its area is seen.

    Each filter's activation, scaled to 0 … 1, multiplies the log-mel values; the network predicts once per filter and
    patch, for all classes. What is hidden becomes 0, which in log-mel is not silence but rather loud.

    Parameters
    ----------
    filters : int, optional
        Use only those that vary most (Faster Score-CAM); all by default.

    The other parameters and the result as for `audiointerp.maps.gradcam.gradcam`, in units of the activation.

    References
    ----------
    Wang et al., Score-CAM: Score-weighted visual explanations for convolutional neural networks, CVPRW 2020.
    """
    asked = request(network, patches, labels, upsample, details)
    network, batch = asked.network, batch_size_for(network, batch_size, precision)
    target = grid_of(network, layer)
    if filters is not None and not 1 <= filters <= target.tensor.shape[-1]:
        raise ValueError(f"filters={filters}: layer '{target.name}' has {target.tensor.shape[-1]}.")
    model = _Remembering(network.inputs, logits_of(network))
    logits = as_precision(keras.Model(network.inputs[0], model.outputs[0]), precision)
    model.ask = partial(outputs_of, logits, batch_size=batch, progress=False)
    explainer = _from_library("scorecam", "Scorecam")(model)
    grid = []
    plainly = {"max_N": filters, "penultimate_layer": _Stand(target.tensor), **GRID}
    for patch in tqdm(patches.data[:, None, ..., None], "Score-CAM", delay=2, leave=False, disable=not progress):
        model.answer = None
        cams = [explainer(lambda scores, c=c: scores[:, c], patch, **plainly) for c in asked.classes]
        grid.append(np.concatenate(cams))
    settings = {"layer": target.name, "filters": filters, "upsample": upsample}
    about = {"units": "activation", "precision": chosen_precision(precision)}
    return asked.maps(np.stack(grid), method="scorecam", settings=settings, **about)


def saliency(
    network,
    patches,
    *,
    labels=None,
    smooth_samples=0,
    smooth_noise=0.2,
    upsample="linear",
    details=False,
    seed=0,
    batch_size=None,
    progress=True,
):
    """Saliency by tf-keras-vis: the absolute gradient of the logit at every cell of the patch.

    Parameters
    ----------
    smooth_samples : int
        Average over so many noisy copies (SmoothGrad); 0 for none.
    smooth_noise : float
        Standard deviation of their noise, as a fraction of the patch's range.

    The other parameters as for `audiointerp.maps.gradcam.gradcam`; there is no coarse grid, so `upsample` makes no
    difference.

    Returns
    -------
    xarray.DataArray [patch, label, time (s), frequency (Hz)] or xarray.Dataset
        Logit per log-mel unit, at least 0.

    References
    ----------
    Simonyan, Vedaldi & Zisserman, Deep inside convolutional networks, ICLR workshop 2014.
    """
    asked = request(network, patches, labels, upsample, details)
    network, batch = asked.network, batch_size_for(network, batch_size)
    explainer = _from_library("saliency", "Saliency")(keras.Model(network.inputs, logits_of(network)))
    noise = {"smooth_samples": smooth_samples, "smooth_noise": smooth_noise}

    def explained(data, label):
        return explainer(lambda logits: logits[:, label], data, normalize_map=False, **noise)

    with _numpy_seed(seed):
        maps = _batches(asked, batch, "saliency", progress, explained)
    found = asked.array(maps, method="saliency", settings=noise | {"seed": seed}, units="logit per log-mel unit")
    return found.to_dataset() if details else found


def _from_library(module, name):
    """A class of tf-keras-vis, which imports `zoom` from a namespace that SciPy deprecated and 2.0 removes."""
    missing = "scipy.ndimage.interpolation"
    there = missing in sys.modules
    sys.modules.setdefault(missing, scipy.ndimage)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return getattr(import_module(f"tf_keras_vis.{module}"), name)
    finally:
        if not there:
            del sys.modules[missing]


class _Remembering(keras.Model):
    """A network that gives its last answer again: Score-CAM asks for the same masked patches once per class."""

    ask = answer = None

    def predict(self, masked, batch_size=None):
        if self.answer is None:
            self.answer = self.ask(np.asarray(masked[0], np.float32))
        return self.answer


class _Stand(keras.layers.Layer):
    """Stands for one call of a layer: what a layer that is called twice calls its output is that of the first call."""

    def __init__(self, tensor):
        super().__init__()
        self.tensor = tensor

    @property
    def output(self):
        return self.tensor


def _by_gradient(asked, name, method, score, layer, batch_size, progress):
    batch = batch_size_for(asked.network, batch_size)
    target = grid_of(asked.network, layer)
    explainer = method(keras.Model(asked.network.inputs, logits_of(asked.network)))

    def explained(data, label):
        return explainer(lambda logits: score(logits, label), data, penultimate_layer=_Stand(target.tensor), **GRID)

    grid = _batches(asked, batch, name, progress, explained)
    return asked.maps(grid, method=name, settings={"layer": target.name, "upsample": asked.upsample}, units="logit")


def _batches(asked, batch, title, progress, explain):
    """Values (n, classes, rows, columns) of a method that takes a batch and one class at a time."""

    def run(part):
        return np.stack([np.asarray(explain(part[..., None], label)) for label in asked.classes], axis=1)

    return in_batches(run, asked.patches.data, batch_size=batch, title=title, progress=progress)


@contextmanager
def _numpy_seed(seed):
    """Seed NumPy's global generator, which tf-keras-vis draws from, and put it back afterwards."""
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
