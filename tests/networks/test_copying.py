import keras
import numpy as np
import pytest

from audiointerp.errors import WeightsError
from audiointerp.networks.copying import copy_of
from audiointerp.networks.head import add_head, with_frontend
from audiointerp.networks.precision import as_precision
from audiointerp.sound.frontend import SOUNDNET
from audiointerp.training.fine_tuning import fine_tune
from audiointerp.training.recipes import Recipe

LABELS = ["dog", "crying baby", "Türklingel"]


@pytest.fixture
def network(body, small):
    return add_head(body(), LABELS, small, seed=1)


def test_a_copy_has_weights_of_its_own(network):
    copy = copy_of(network)
    assert copy is not network and [layer.name for layer in copy.layers[1:]] == [
        layer.name for layer in network.layers[1:]
    ]
    for one, two in zip(copy.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    copy.get_layer("FCFinal").kernel.assign(copy.get_layer("FCFinal").kernel + 1)
    assert np.abs(copy.get_layer("FCFinal").kernel - network.get_layer("FCFinal").kernel).min() > 0.9
    again = copy_of(network, weights_of=copy)
    np.testing.assert_array_equal(again.get_layer("FCFinal").kernel, copy.get_layer("FCFinal").kernel)


def adapted(rng, nested=False):
    """A network that begins with a Normalization that was adapted, as in TensorFlow's tutorial on audio."""
    normalisation = keras.layers.Normalization(axis=None)
    normalisation.adapt(rng.normal(-4, 3, (50, 32, 16, 1)).astype(np.float32))
    inputs = keras.Input((32, 16, 1))
    x = keras.Sequential([keras.Input((32, 16, 1)), normalisation])(inputs) if nested else normalisation(inputs)
    x = keras.layers.Conv2D(3, 3, activation="relu")(x)
    return keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(keras.layers.GlobalAveragePooling2D()(x)))


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("way", ["copy", "bfloat16", "front end", "trained"])
def test_a_copy_gives_what_the_network_gives(rng, toy, nested, way):
    network, patches = adapted(rng, nested), toy(8, ("0", "1"))
    expected = network.predict(patches.data[..., None], verbose=0)
    assert np.ptp(expected[:, 0]) > 1e-3
    if way == "trained":
        recipe = Recipe(epochs=1, batch_size=8, learning_rate=1e-12)
        copy, _ = fine_tune(network, patches, patches, recipe, progress=False)
        again, _ = fine_tune(network, patches, patches, recipe, progress=False)
        np.testing.assert_allclose(again.predict(patches.data[..., None], verbose=0), expected, atol=1e-5)
    else:
        ways = {"copy": (copy_of,), "bfloat16": (as_precision, "bfloat16"), "front end": (with_frontend, SOUNDNET)}
        copy = ways[way][0](network, *ways[way][1:])
    assert copy is not network
    found = copy.predict(patches.data[..., None], verbose=0)
    np.testing.assert_allclose(found, expected, atol=0.02 if way == "bfloat16" else 1e-5)


def test_a_network_whose_copy_is_another_is_refused(remembering):
    network, layer = remembering
    assert copy_of(network) is not network
    layer.factor = 3.0
    with pytest.raises(WeightsError, match="'remembering' cannot be copied: its copy gives other values"):
        copy_of(network)
