import keras
import numpy as np
import pytest
import tensorflow as tf

from audiointerp.maps import explain
from audiointerp.networks.graph import ACTIVATIONS, calls, feature_map, follow, grid_of, layer_outputs, logits_of

layers = keras.layers


def by_hand(tensor, inputs, data):
    return keras.Model(inputs, tensor)(data).numpy()


def softmax_by_hand(x):
    powers = keras.ops.exp(x - keras.ops.max(x, axis=-1, keepdims=True))
    return powers / keras.ops.sum(powers, axis=-1, keepdims=True)


def nested(x):
    given = keras.Input(x.shape[1:])
    return keras.Model(given, layers.Softmax()(given), name="ending")(x)


ENDINGS = {
    "nothing": lambda x: x,
    "Softmax": lambda x: layers.Softmax()(x),
    "Activation by name": lambda x: layers.Activation("softmax")(x),
    "Activation of TensorFlow's": lambda x: layers.Activation(tf.nn.softmax)(x),
    "an operation": keras.ops.softmax,
    "Lambda": lambda x: layers.Lambda(lambda y: tf.nn.softmax(y))(x),
    "Lambda by hand": lambda x: layers.Lambda(softmax_by_hand)(x),
    "a network": nested,
    "dropout behind it": lambda x: layers.Dropout(0.5)(layers.Softmax()(x)),
    "a cast behind it": lambda x: keras.ops.cast(layers.Softmax()(x), "float32"),
    "shapes around it": lambda x: layers.Reshape((3,))(layers.Softmax()(layers.Reshape((1, 3))(x))),
    "sigmoids": lambda x: layers.Activation("sigmoid")(x),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_logits_stand_before_the_softmax_however_it_is_written(ending, patches_of):
    inputs = keras.Input((37, 23, 1))
    dense = layers.Dense(3)
    network = keras.Model(inputs, ENDINGS[ending](dense(layers.Flatten()(inputs))))
    data = patches_of().data
    kernel, bias = dense.get_weights()
    found = by_hand(logits_of(network), inputs, data[..., None])
    np.testing.assert_allclose(found, data.reshape(3, -1) @ kernel + bias, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("activation", ["softmax", tf.nn.softmax, keras.ops.softmax, softmax_by_hand, "sigmoid", None])
def test_logits_stand_before_the_activation_of_the_last_layer(activation, patches_of):
    inputs = keras.Input((37, 23, 1))
    dense = layers.Dense(3, activation=activation)
    network = keras.Model(inputs, dense(layers.Flatten()(inputs)))
    data = patches_of().data
    kernel, bias = dense.get_weights()
    found = by_hand(logits_of(network), inputs, data[..., None])
    np.testing.assert_allclose(found, data.reshape(3, -1) @ kernel + bias, rtol=1e-3, atol=1e-4)


def test_maps_do_not_depend_on_how_the_softmax_is_written(patches_of):
    maps, patches = {}, patches_of((36, 24))
    for ending in ENDINGS:
        keras.utils.set_random_seed(3)
        inputs = keras.Input((36, 24, 1))
        x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu", name="conv")(inputs))
        network = keras.Model(inputs, ENDINGS[ending](layers.Dense(3)(x)))
        maps[ending] = [explain(network, patches, method, cache=False) for method in ("gradcam", "saliency")]
    for ending, found in maps.items():
        for one, expected in zip(found, maps["nothing"], strict=True):
            np.testing.assert_allclose(one, expected, rtol=1e-4, atol=1e-6, err_msg=ending)


def test_probabilities_without_logits_are_refused():
    inputs = keras.Input((8, 4, 1))
    shares = layers.Dense(3, activation="softplus")(layers.Flatten()(inputs))
    network = keras.Model(inputs, shares / keras.ops.sum(shares, axis=-1, keepdims=True), name="shares")
    with pytest.raises(ValueError, match=r"'shares' gives probabilities, and the logits.*activation='softmax'"):
        logits_of(network)


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
