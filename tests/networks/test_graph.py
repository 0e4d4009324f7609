import keras
import numpy as np
import pytest

from audiointerp.networks.graph import ACTIVATIONS, calls, feature_map, follow, grid_of, layer_outputs, logits_of

layers = keras.layers


def by_hand(tensor, inputs, data):
    return keras.Model(inputs, tensor)(data).numpy()


@pytest.mark.parametrize("ending", ["dense", "softmax", "activation", "none"])
def test_logits_of_networks_made_elsewhere(ending, patches_of):
    inputs = keras.Input((37, 23, 1))
    dense = keras.layers.Dense(3, activation="softmax" if ending == "dense" else None)
    x = dense(keras.layers.Flatten()(inputs))
    if ending == "softmax":
        x = keras.layers.Softmax()(x)
    if ending == "activation":
        x = keras.layers.Activation("softmax")(x)
    data = patches_of().data
    kernel, bias = dense.get_weights()
    found = by_hand(logits_of(keras.Model(inputs, x)), inputs, data[..., None])
    np.testing.assert_allclose(found, data.reshape(3, -1) @ kernel + bias, rtol=1e-3, atol=1e-4)


def residual():
    """Two convolutions with a way around the second one, then a pool."""
    inputs = keras.Input((12, 10, 1))
    first = layers.Conv2D(4, 3, padding="same", name="first")(inputs)
    x = start = layers.ReLU(name="start")(first)
    x = layers.Conv2D(4, 3, padding="same", name="second")(x)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.Add(name="sum")([x, start])
    x = layers.MaxPooling2D(2, name="pool")(layers.ReLU(name="end")(x))
    return keras.Model(inputs, layers.Dense(2, name="FCFinal")(layers.GlobalAveragePooling2D()(x)), name="residual")


def test_calls_stand_behind_what_they_need():
    found = calls(residual())
    made = set()
    for call in found:
        assert {id(tensor) for tensor in call.inputs} <= made
        made |= {id(tensor) for tensor in call.outputs}
    names = [call.layer.name for call in found]
    assert names[1:3] == ["first", "start"] and names[-1] == "FCFinal" and len(set(names)) == len(names)


def test_what_follows_ends_where_a_residual_block_goes_two_ways():
    network = residual()
    assert feature_map(network, "first") is network.get_layer("start").output
    assert feature_map(network, "second") is network.get_layer("norm").output
    start = network.get_layer("start").output
    assert follow(network, start, (layers.Conv2D,)) is start
    outputs = layer_outputs(network)
    assert list(outputs) == ["first", "second"]
    assert outputs["first"] is network.get_layer("start").output
    assert outputs["second"] is network.get_layer("norm").output


def test_every_walk_agrees_on_the_layers_behind_a_convolution():
    """Grad-CAM, deconvolution, feature maps and layer features take the same tensor, but for the pool."""
    network = residual()
    grid = grid_of(network)
    assert grid.name == "norm" and grid.tensor is feature_map(network, "second")
    assert grid_of(network, "end").tensor is network.get_layer("end").output


def test_a_layer_that_is_called_twice_is_told_by_its_calls(rng):
    inputs = keras.Input((12, 10, 1))
    relu = layers.ReLU(name="shared")
    x = relu(layers.Conv2D(3, 3, padding="same", name="first")(inputs))
    x = relu(layers.Conv2D(5, 3, padding="same", name="second")(x))
    network = keras.Model(inputs, layers.GlobalAveragePooling2D()(x))
    assert [call.layer.name for call in calls(network)].count("shared") == 2
    assert feature_map(network, "first").shape == (None, 12, 10, 3)
    assert feature_map(network, "second").shape == (None, 12, 10, 5)
    assert grid_of(network).tensor is x
    data = rng.normal(size=(2, 12, 10, 1)).astype(np.float32)
    for name in ("first", "second"):
        assert by_hand(feature_map(network, name), inputs, data).min() >= 0


def test_a_convolution_without_followers_is_taken_as_it_is():
    inputs = keras.Input((12, 10, 1))
    convolution = layers.Conv2D(3, 3, name="only")(inputs)
    network = keras.Model(inputs, layers.Flatten()(convolution))
    assert follow(network, convolution, ACTIVATIONS) is convolution
    assert grid_of(network).name == "only"


def test_layers_that_are_not_there():
    network = residual()
    with pytest.raises(ValueError, match="no grid by this name; it has first, start"):
        grid_of(network, "third")
    with pytest.raises(ValueError, match="no such convolution; it has first, second"):
        feature_map(network, "pool")
    flat = keras.Sequential([keras.Input((4, 3, 1)), layers.Flatten(), layers.Dense(2)])
    with pytest.raises(ValueError, match="no convolution over time and frequency"):
        grid_of(flat)
    with pytest.raises(ValueError, match="it has none among its own layers"):
        feature_map(flat, "dense")
