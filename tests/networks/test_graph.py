import gc
import weakref

import keras
import numpy as np
import pytest

from audiointerp.maps.perturbation import perturbed_scores
from audiointerp.networks.running import batch_size_for, forward_pass
from audiointerp.networks.vggish import vggish


def test_versions_are_made_across_patches():
    """Scores come back patch by patch, whatever the batch, and every version sees its own mask."""
    data = np.arange(3, dtype=np.float32)[:, None, None] * 100 + np.zeros((3, 2, 2), np.float32)
    hidden = np.arange(5)[:, None, None] > np.arange(4).reshape(2, 2)
    sizes = []

    def forward(batch):
        sizes.append(len(batch))
        return batch.sum(axis=(1, 2))[:, None]

    for batch in (1, 2, 4, 7, 100):
        sizes.clear()
        scores = perturbed_scores(
            forward,
            data,
            lambda patch, versions: hidden[versions],
            5,
            np.array([1, 2, 3], np.float32),
            batch_size=batch,
            progress=False,
            title="",
        )
        for p in range(3):
            for v in range(5):
                np.testing.assert_array_equal(scores[p, v], [(4 - v) * 100 * p + v * (p + 1)])
        assert sizes[:-1] == [batch] * (len(sizes) - 1)


@pytest.mark.parametrize("score", ["probability", "logit"])
def test_scores(score, network_of, patches_of):
    network, patches = network_of(), patches_of()
    found = forward_pass(network, score, "float32")(patches.data)
    expected = network.predict(patches.data, verbose=0)
    if score == "logit":
        found = np.exp(found) / np.exp(found).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


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
    found = forward_pass(keras.Model(inputs, x), "logit", "float32")(data)
    np.testing.assert_allclose(found, data.reshape(3, -1) @ kernel + bias, rtol=1e-3, atol=1e-4)


def test_batches_fit_the_network(network_of):
    assert batch_size_for(network_of(), 7) == 7
    small, large = batch_size_for(network_of()), batch_size_for(vggish(["a", "b"], weights="random", width=0.25))
    assert small > large
    assert large & (large - 1) == 0
    whole = vggish(["a", "b"], weights="random", width=0.5)
    assert batch_size_for(whole, precision="bfloat16") == 2 * batch_size_for(whole)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("score", ["probability", "logit"])
@pytest.mark.parametrize("separate", [True, False], ids=["softmax apart", "softmax in the dense layer"])
def test_forward_pass_follows_the_network(precision, score, separate, network_of, patches_of):
    """What was compiled is used again, and never for weights or activations that are no longer there."""
    network, data = network_of(), patches_of().data
    if not separate:
        dense = keras.layers.Dense(3, activation="softmax")
        network = keras.Model(network.inputs[0], dense(network.layers[-3].output))
        dense.kernel.assign(dense.kernel * 0.1)  # far from a saturated softmax, which no change would move

    def now():
        return forward_pass(network, score, precision)(data)

    first = now()
    assert forward_pass(network, score, precision) is forward_pass(network, score, precision)
    changed = network.get_layer("second").kernel if separate else network.layers[-1].kernel
    changed.assign(changed * 1.5)
    second = now()
    assert abs(first - second).max() > 1e-3
    expected = network(data, training=False).numpy()
    softmax = np.exp(second) / np.exp(second).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(second if score == "probability" else softmax, expected, atol=0.02)
    network.get_layer("first").activation = keras.activations.tanh
    assert abs(now() - second).max() > 1e-3


def test_nothing_outlives_the_network(network_of, patches_of):
    network = network_of()
    for precision in ("float32", "bfloat16"):
        forward_pass(network, "logit", precision)(patches_of().data)
    gone = weakref.ref(network)
    del network
    gc.collect()
    assert gone() is None
