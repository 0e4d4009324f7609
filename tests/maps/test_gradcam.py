import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from scipy import ndimage

from audiointerp.maps import explain
from audiointerp.maps.gradcam import gradcam
from audiointerp.networks.graph import grid_of
from audiointerp.networks.head import add_head
from audiointerp.sound.frontend import FrontEnd
from audiointerp.sound.patches import Patches


def slow_gradcam(network, data, layer, label):
    """Grad-CAM of one patch and class, filter by filter."""
    model = keras.Model(network.inputs[0], [network.get_layer(layer).output, network.get_layer("FCFinal").output])
    with tf.GradientTape() as tape:
        activation, logits = model(data[None, ..., None])
        score = logits[0, label]
    slope = tape.gradient(score, activation).numpy()[0]
    activation = activation.numpy()[0]
    total = np.zeros(activation.shape[:2])
    for f in range(activation.shape[-1]):
        total += slope[..., f].mean() * activation[..., f]
    return np.maximum(total, 0)


def test_by_hand():
    """Filters x and −x, logits 3·Σx − Σ(−x) … : weights are the means of the dense layer's, per filter."""
    inputs = keras.Input((2, 2, 1))
    x = keras.layers.Conv2D(2, 1, use_bias=False, name="filters")(inputs)
    frontend = FrontEnd(frames=2, mels=2)
    network = add_head(keras.Model(inputs, keras.layers.Flatten()(x)), ["up", "down"], frontend)
    network.get_layer("filters").set_weights([np.array([[[[1.0, -1.0]]]])])
    # rows: (time, frequency, filter); filter x has mean weight (1+2+3+6)/4 = 3 for "up", −x has −1; "down": 0 and 2.
    dense = np.array([[1, 0], [-1, 2], [2, 0], [-1, 2], [3, 0], [-1, 2], [6, 0], [-1, 2]], float)
    network.get_layer("FCFinal").set_weights([dense, np.zeros(2)])
    patches = Patches(np.array([[[1, -2], [3, 4]]], np.float32), pd.DataFrame({"clip": [0]}), frontend)
    maps = explain(network, patches, "gradcam")
    np.testing.assert_allclose(maps.sel(patch=0, label="up"), [[4, 0], [12, 16]])
    np.testing.assert_allclose(maps.sel(patch=0, label="down"), [[0, 4], [0, 0]])


@pytest.mark.parametrize("shape", [(96, 64), (37, 23)])
@pytest.mark.parametrize("layer", ["rectified", "first"])
def test_against_slow_formula(shape, layer, network_of, patches_of):
    network, patches = network_of(shape), patches_of(shape)
    grid = gradcam(network, patches, layer=layer, upsample=None)
    for i, data in enumerate(patches.data):
        for c in range(3):
            slow = slow_gradcam(network, data, layer, c)
            np.testing.assert_allclose(grid[i, c], slow, rtol=1e-5, atol=1e-5 * slow.max())


@pytest.mark.parametrize("shape", [(96, 64), (37, 23)])
def test_agrees_with_keras_vis(shape, network_of, patches_of, correlation):
    network, patches = network_of(shape), patches_of(shape)
    for how in (None, "linear"):
        ours = explain(network, patches, "gradcam", upsample=how)
        theirs = explain(network, patches, "gradcam_keras_vis", upsample=how)
        assert correlation(ours, theirs) > 0.9999
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_upsampling_of_keras_vis_differs(network_of, patches_of, correlation):
    """Its `zoom` puts the outermost cell centres onto the borders; ours leaves them where the cells are."""
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.utils.model_modifiers import ReplaceToLinear

    network, patches = network_of((96, 64)), patches_of((96, 64), n=1)
    explainer = Gradcam(network, ReplaceToLinear())
    layer = explainer.model.get_layer("rectified")
    theirs = explainer(
        lambda logits: logits[:, 1],
        [patches.data[..., None]],
        penultimate_layer=layer,
        seek_penultimate_conv_layer=False,
        normalize_cam=False,
    )[0]
    details = gradcam(network, patches, labels=["class1"], details=True)
    grid = details["grid"].values[0]
    zoomed = ndimage.zoom(grid, (1, 4, 4), order=1)
    np.testing.assert_allclose(theirs, zoomed, rtol=1e-4, atol=1e-6)
    assert 0.9 < correlation(details["map"], theirs) < 0.9999


def test_default_layer(network_of):
    assert grid_of(network_of()).name == "rectified"
    assert grid_of(network_of(), "second").name == "second"


def test_whole_network_around_the_layer(patches_of):
    """The last convolution inside a residual block: the logits depend on what is beside it, too."""
    inputs = keras.Input((37, 23, 1))
    x = keras.layers.Conv2D(3, 3, padding="same", activation="relu")(inputs)
    y = keras.layers.Conv2D(3, 3, padding="same", name="branch")(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Add()([x, y]))
    network = add_head(keras.Model(inputs, x), ["a", "b"], FrontEnd(frames=37, mels=23))
    patches = patches_of(n=2)
    grid = gradcam(network, patches, upsample=None)
    slow = slow_gradcam(network, patches.data[1], "branch", 0)
    np.testing.assert_allclose(grid[1, 0], slow, rtol=1e-4, atol=1e-6)


def test_networks_made_elsewhere(patches_of):
    """Softmax inside the last dense layer: the score is its logit all the same, the labels are numbers."""
    network = keras.Sequential(
        [
            keras.Input((37, 23, 1)),
            keras.layers.Conv2D(3, 5, activation="relu", name="only"),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(4, activation="softmax"),
        ]
    )
    patches = patches_of(n=1)
    grid = gradcam(network, patches, upsample=None)
    assert list(grid.label.values) == ["0", "1", "2", "3"]
    model = keras.Model(network.inputs[0], network.get_layer("only").output)
    activation = model(patches.data[..., None]).numpy()[0]
    # d logit_c / d max = kernel, spread over a grid of 33 × 19 cells
    kernel = network.layers[-1].get_weights()[0]
    expected = np.maximum(activation @ kernel / (33 * 19), 0)
    np.testing.assert_allclose(grid[0].transpose("time", "frequency", "label"), expected, rtol=1e-4, atol=1e-7)
