import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from audiointerp.maps import explain

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from tf_keras_vis.gradcam_plus_plus import GradcamPlusPlus
    from tf_keras_vis.scorecam import Scorecam
    from tf_keras_vis.utils.model_modifiers import ReplaceToLinear

SAME_LAYER = {"seek_penultimate_conv_layer": False, "expand_cam": False}


def test_gradcam_plus_plus_is_the_library_s(network_of, patches_of):
    """Leaving out the factor exp(logit) changes nothing once a map is scaled to 0 … 1."""
    network, patches = network_of(), patches_of()
    maps = explain(network, patches, "gradcam++", upsample=None).values
    explainer = GradcamPlusPlus(network, ReplaceToLinear())
    layer = explainer.model.get_layer("rectified")
    for c in range(3):
        theirs = explainer(lambda y, c=c: y[:, c], [patches.data[..., None]], penultimate_layer=layer, **SAME_LAYER)
        low, high = (f(maps[:, c], axis=(1, 2), keepdims=True) for f in (np.min, np.max))
        np.testing.assert_allclose((maps[:, c] - low) / np.maximum(high - low, 1e-12), theirs, atol=1e-3)


def test_gradcam_plus_plus_with_large_logits(network_of, patches_of):
    network = network_of(seed=1)
    kernel, bias = network.get_layer("FCFinal").get_weights()
    network.get_layer("FCFinal").set_weights([kernel, bias + 500])
    assert np.isfinite(explain(network, patches_of(), "gradcam++")).all()


def test_scorecam_against_slow_formula(network_of, patches_of):
    network, patches = network_of(), patches_of(n=1)
    model = keras.Model(network.inputs[0], network.get_layer("rectified").output)
    data = patches.data[0]
    activation = model(patches.data[..., None]).numpy()[0]
    weights = []
    for f in range(activation.shape[-1]):
        factors = np.array(data.shape) / activation.shape[:2]
        mask = ndimage.zoom(activation[..., f], factors, order=1, mode="nearest")
        mask = (mask - mask.min()) / (mask.max() - mask.min() + 1e-7)
        weights.append(network.predict((data * mask)[None], verbose=0)[0])
    expected = np.maximum(np.einsum("tmf,fc->ctm", activation, np.array(weights)), 0)
    grid = explain(network, patches, "scorecam", upsample=None, precision="float32")
    np.testing.assert_allclose(grid[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:The structure of `inputs`")
def test_scorecam_is_the_library_s(network_of, patches_of):
    network, patches = network_of(), patches_of(n=2)
    grid = explain(network, patches, "scorecam", upsample=None, filters=4, precision="float32")
    explainer = Scorecam(network, ReplaceToLinear())
    layer = explainer.model.get_layer("rectified")
    for p in range(2):
        theirs = explainer(
            lambda y: y[:, 2], [patches.data[[p], :, :, None]], penultimate_layer=layer, max_N=4, normalize_cam=False,
            **SAME_LAYER,
        )  # fmt: skip
        np.testing.assert_allclose(grid[p, 2], theirs[0], rtol=1e-4, atol=1e-5)


def test_saliency_against_slow_formula(network_of, patches_of):
    network, patches = network_of(), patches_of(n=2)
    model = keras.Model(network.inputs[0], network.get_layer("FCFinal").output)
    maps = explain(network, patches, "saliency")
    for c in range(3):
        data = tf.constant(patches.data[..., None])
        with tf.GradientTape() as tape:
            tape.watch(data)
            score = tf.reduce_sum(model(data)[:, c])
        np.testing.assert_allclose(maps[:, c], abs(tape.gradient(score, data))[..., 0], rtol=1e-4, atol=1e-7)


def test_nothing_is_printed(network_of, patches_of, capfd):
    for method in ("scorecam", "saliency", "gradcam++", "gradcam_keras_vis"):
        explain(network_of(), patches_of(n=1), method)
    assert capfd.readouterr().out == ""


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("method", ["scorecam", "saliency", "gradcam++", "gradcam_keras_vis"])
def test_no_warnings(method, network_of, patches_of):
    explain(network_of(), patches_of(n=1), method)
