"""Networks whose layers are randomised, and what becomes of their maps."""

import keras
import numpy as np
import pytest
from scipy import stats

from audiointerp.maps.methods import explain
from audiointerp.networks.head import add_head
from audiointerp.sound.frontend import FrontEnd
from audiointerp.trust.sanity import parameter_randomization, randomized

# Hidden cell by cell, put to 0: the map of a linear network is weight times value, exactly.
CELLS = ("occlusion", {"mask": (1, 1), "stride": (1, 1), "fill": 0.0, "score": "logit"})


def arrays(network, name):
    return network.get_layer(name).get_weights()


def test_layers_begin_anew_from_the_top(network_of):
    network = network_of()
    before = [np.array(weight) for weight in network.get_weights()]
    changed = randomized(network, 2)
    for name in ("first", "second", "norm"):
        assert all((one == two).all() for one, two in zip(arrays(network, name), arrays(changed, name), strict=True))
    top = [layer.name for layer in network.layers if layer.weights][-2:]
    for name in top:
        assert (arrays(changed, name)[0] != arrays(network, name)[0]).any() and not arrays(changed, name)[1].any()
    assert all((one == two).all() for one, two in zip(before, network.get_weights(), strict=True))


def test_a_layer_is_the_same_at_every_depth_and_another_with_another_seed(network_of):
    network = network_of()
    some, every, other = randomized(network, 2), randomized(network), randomized(network, seed=1)
    kernels = [arrays(each, "FCFinal")[0] for each in (some, every, other)]
    assert (kernels[0] == kernels[1]).all() and (kernels[1] != kernels[2]).any()
    assert (arrays(every, "first")[0] != arrays(network, "first")[0]).any()
    assert (randomized(network, 0)(np.ones((1, 37, 23, 1))) == network(np.ones((1, 37, 23, 1)))).numpy().all()
    with pytest.raises(ValueError, match=r"layers=6.*'small' has 5 layers with weights"):
        randomized(network, 6)


def test_networks_inside_networks_are_randomised(network_of):
    body = keras.Sequential([keras.Input((8, 6, 1)), keras.layers.Conv2D(3, 3), keras.layers.Flatten()])
    inputs = keras.Input((8, 6, 1))
    network = add_head(keras.Model(inputs, body(inputs)), ["a", "b"], FrontEnd(frames=8, mels=6))
    changed = randomized(network)
    one, two = (each.layers[1].layers[0].get_weights()[0] for each in (network, changed))
    assert (one != two).any()


def test_signals_pass_as_strong_as_they_were_and_batch_norm_does_nothing():
    """Kernels as wide as He et al. say, depthwise ones too; values by hand from the number of inputs."""
    layers = keras.layers
    inputs = keras.Input((40, 30, 1))
    x = layers.Conv2D(64, 3, name="conv")(layers.Normalization(mean=5.0, variance=4.0)(inputs))
    x = layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = layers.ReLU()(layers.BatchNormalization(name="norm")(x))
    x = layers.GlobalAveragePooling2D()(layers.SeparableConv2D(32, 3, name="separable")(x))
    network = add_head(keras.Model(inputs, x), ["a", "b"], FrontEnd(frames=40, mels=30))
    changed = randomized(network, seed=1)
    assert np.std(arrays(changed, "conv")[0]) == pytest.approx(np.sqrt(2 / 9), rel=0.1)
    assert np.std(arrays(changed, "depthwise")[0]) == pytest.approx(np.sqrt(2 / 9), rel=0.1)
    depthwise, pointwise, _ = arrays(changed, "separable")
    assert np.std(depthwise) == pytest.approx(np.sqrt(2 / 9), rel=0.1)
    assert np.std(pointwise) == pytest.approx(np.sqrt(2 / 64), rel=0.1)
    assert [set(values.tolist()) for values in arrays(changed, "norm")] == [{1.0}, {0.0}, {0.0}, {1.0}]
    given = np.random.default_rng(0).normal(5, 2, (3, 40, 30, 1)).astype(np.float32)
    normalised = changed.layers[1](given).numpy()
    np.testing.assert_allclose(normalised, (given - 5) / 2, rtol=1e-5)
    assert np.ptp(changed(given).numpy(), axis=0).max() > 0


def test_correlations_of_a_linear_network_by_hand(linear_of, patches_of, rng):
    network, patches = linear_of(rng.normal(size=(8, 6, 2)).astype(np.float32)), patches_of((8, 6), 3)
    table = parameter_randomization(network, patches, [CELLS], labels="class1", depths=1, seed=5, progress=False)
    one, two = (arrays(each, "FCFinal")[0][:, 1] for each in (network, randomized(network, seed=5)))
    cells = patches.data.reshape(3, -1)
    expected = [stats.spearmanr(cell * one, cell * two).statistic for cell in cells]
    np.testing.assert_allclose(table["rank_correlation"], expected, atol=1e-3)
    assert table["patch"].tolist() == [100, 110, 120] and set(table["layer"]) == {"FCFinal"}


def test_depths_go_from_the_top_to_all_layers(network_of, patches_of):
    network, patches = network_of(), patches_of()
    table = parameter_randomization(network, patches, ["gradcam", "occlusion"], depths=3, progress=False)
    assert table.groupby(["method", "layers"]).size().tolist() == [3] * 6
    assert table.groupby("layers", sort=False)["layer"].first().to_dict() == {1: "FCFinal", 3: "norm", 5: "first"}
    every = parameter_randomization(network, patches, ["gradcam"], depths=60, progress=False)
    assert every["layers"].unique().tolist() == [1, 2, 3, 4, 5]
    with pytest.raises(ValueError, match="depths=0"):
        parameter_randomization(network, patches, ["gradcam"], depths=0)


def test_maps_that_are_there_are_taken(linear_of, patches_of, rng):
    network, patches = linear_of(rng.normal(size=(8, 6, 2)).astype(np.float32)), patches_of((8, 6), 3)
    given = explain(network, patches, CELLS[0], **CELLS[1], progress=False)
    name = "occlusion (mask=(1, 1), stride=(1, 1), fill=0.0, score=logit)"
    asked = {"labels": "class1", "depths": 1, "progress": False}
    tables = [parameter_randomization(network, patches, [CELLS], maps=maps, **asked) for maps in
              (None, {name: given}, {name: -given})]  # fmt: skip
    correlations = [table["rank_correlation"] for table in tables]
    np.testing.assert_allclose(correlations[0], correlations[1], atol=1e-6)
    np.testing.assert_allclose(correlations[0], -correlations[2], atol=1e-6)
    with pytest.raises(ValueError, match=r"2 maps of occlusion.* are not those of these 3 patches"):
        parameter_randomization(network, patches, [CELLS], maps={name: given[:2, 0]}, labels="class1")


def test_maps_come_from_the_cache_and_are_the_same_without(network_of, patches_of, own_cache):
    network, patches = network_of(), patches_of()
    asked = {"depths": 2, "progress": False}
    first = parameter_randomization(network, patches, [CELLS], **asked)
    assert len(list((own_cache / "maps").iterdir())) == 3
    again = parameter_randomization(network, patches, [CELLS], cache=False, batch_size=7, **asked)
    np.testing.assert_allclose(first["rank_correlation"], again["rank_correlation"], atol=3e-3)
