"""Integrated gradients: exact where the network is linear, complete everywhere, equal to a slow loop."""

import keras
import numpy as np
import pytest

from audiointerp.maps import explain
from audiointerp.maps.integrated_gradients import integrated_gradients
from audiointerp.networks.graph import logits_of
from audiointerp.networks.head import add_head
from audiointerp.sound.frontend import FrontEnd


@pytest.mark.parametrize("fill", ["mean", "silence", 0.5])
def test_of_a_linear_network_each_cell_has_its_weight_times_its_change(fill, linear_of, patches_of, rng):
    weights = rng.normal(size=(37, 23, 3))
    network, patches = linear_of(weights), patches_of(n=2)
    found = integrated_gradients(network, patches, steps=3, fill=fill, progress=False)
    level = {"mean": patches.data.mean(axis=(1, 2)), "silence": np.log(patches.frontend.log_offset)}.get(fill, fill)
    change = patches.data - np.reshape(level, (-1, 1, 1))
    np.testing.assert_allclose(found, np.einsum("nfm,fmc->ncfm", change, weights), atol=1e-4)
    assert found.attrs["units"] == "logit" and found.attrs["fill"] == fill and found.attrs["steps"] == 3


def test_equals_a_loop_over_steps_and_classes(network_of, patches_of):
    network, patches = network_of(), patches_of(n=3)
    found = integrated_gradients(network, patches, labels=["class2", "class0"], steps=5, batch_size=2, progress=False)
    model = keras.Model(network.inputs[0], logits_of(network))
    tensorflow = pytest.importorskip("tensorflow")
    for row, data in enumerate(patches.data):
        for column, number in enumerate((2, 0)):
            even, total = data.mean(), 0
            for step in range(5):
                x = tensorflow.constant((even + (step + 0.5) / 5 * (data - even))[None, ..., None])
                with tensorflow.GradientTape() as tape:
                    tape.watch(x)
                    logit = model(x, training=False)[0, number]
                total = total + tape.gradient(logit, x).numpy()[0, ..., 0]
            np.testing.assert_allclose(found[row, column], total / 5 * (data - even), atol=1e-4)


def test_values_add_up_to_what_the_patch_adds(network_of, patches_of):
    network, patches = network_of(), patches_of(n=3)
    model = keras.Model(network.inputs[0], logits_of(network))
    even = np.broadcast_to(patches.data.mean(axis=(1, 2), keepdims=True), patches.data.shape)
    added = model.predict(patches.data, verbose=0) - model.predict(even, verbose=0)
    errors = []
    for steps in (4, 256):
        total = explain(network, patches, "integrated_gradients", steps=steps, cache=False).sum(["time", "frequency"])
        errors.append(float(np.abs(total - added).max()))
    assert errors[1] < 0.01 * np.abs(added).max() and errors[1] < errors[0]


def test_details_and_mistakes(network_of, patches_of):
    network, patches = network_of(), patches_of(n=1)
    details = integrated_gradients(network, patches, details=True, progress=False)
    assert list(details) == ["map"]
    for options, match in (({"steps": 0}, "steps=0: expected at least 1"), ({"fill": "zero"}, "fill='zero'")):
        with pytest.raises(ValueError, match=match):
            integrated_gradients(network, patches, **options)


def with_front(layer, shape=(37, 23)):
    """A network with this layer before its convolution."""
    inputs = keras.Input((*shape, 1))
    x = keras.layers.Conv2D(4, 3, activation="relu")(layer(inputs))
    x = keras.layers.GlobalAveragePooling2D()(x)
    return add_head(keras.Model(inputs, x), ["a", "b"], FrontEnd(frames=37, mels=23), seed=3)


@pytest.mark.parametrize("shape", [(None, None), (None, 23)])
def test_networks_of_any_size(shape, patches_of):
    same, patches = keras.layers.Activation("linear"), patches_of(n=2)
    free, fixed = with_front(same, shape), with_front(same)
    free.set_weights(fixed.get_weights())
    one, two = (integrated_gradients(network, patches, steps=4, progress=False) for network in (free, fixed))
    np.testing.assert_allclose(one, two, atol=1e-6)


def test_a_gradient_that_is_cut_off_is_an_error_and_no_map_of_zeros(patches_of):
    with pytest.raises(ValueError, match=r"lets no gradient through to its input.*Use 'lime'"):
        integrated_gradients(with_front(keras.layers.Lambda(keras.ops.round)), patches_of(n=1), progress=False)
