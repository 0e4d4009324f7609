import keras
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from audiointerp.errors import UnknownLabelError
from audiointerp.maps import explain
from audiointerp.maps.cam import cam, crm
from audiointerp.networks.graph import pooled_head
from audiointerp.networks.head import add_head
from audiointerp.networks.yamnet import yamnet
from audiointerp.sound.frontend import YAMNET, FrontEnd
from audiointerp.sound.patches import Patches

SHAPES = [(96, 64), (37, 23)]
layers = keras.layers


@pytest.fixture
def pooled_of():
    """A network that averages its last feature maps, all weights and biases random, some features negative."""

    def build(shape=(37, 23), classes=3, *, stride=(9, 7)):
        rng = np.random.default_rng(0)
        inputs = keras.Input((*shape, 1))
        x = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
        x = layers.Conv2D(6, 3, strides=stride, padding="same", name="last")(x)
        x = layers.GlobalAveragePooling2D(name="average")(x)
        frontend = FrontEnd(frames=shape[0], mels=shape[1])
        network = add_head(keras.Model(inputs, x, name="pooled"), [f"class{i}" for i in range(classes)], frontend)
        for weight in network.weights:
            weight.assign(rng.normal(0, 0.5 if "FCFinal" in weight.path else 0.3, weight.shape))
        return network

    return build


def parts_of(network, patches, layer="last"):
    """Feature maps, and a function from feature maps to logits that runs the network's own last layers."""
    grid = keras.Model(network.inputs[0], network.get_layer(layer).output)(patches.data[..., None]).numpy()
    average = next(layer for layer in network.layers if isinstance(layer, layers.GlobalAveragePooling2D))
    dense = network.get_layer("FCFinal")
    return grid, lambda features: dense(average(features)).numpy()


def slow_changes(features, logits):
    """S_c − S_c without position (i, j), by setting its features to zero, shape (n, classes, time, frequency)."""
    whole = logits(features)
    changes = np.empty((*whole.shape, *features.shape[1:3]))
    for i, j in np.ndindex(features.shape[1:3]):
        without = features.copy()
        without[:, i, j] = 0
        changes[:, :, i, j] = whole - logits(without)
    return changes


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_against_removing_each_position(shape, pooled_of, patches_of):
    network, patches = pooled_of(shape), patches_of(shape)
    features, logits = parts_of(network, patches)
    changes = slow_changes(features, logits)
    count = features.shape[1] * features.shape[2]
    assert features.shape[1] != features.shape[2]

    np.testing.assert_allclose(cam(network, patches, upsample=None) / count, changes, atol=1e-5)
    maps = crm(network, patches, upsample=None, details=True)
    np.testing.assert_allclose(maps["lost"], changes, atol=1e-5)
    np.testing.assert_allclose(maps["map"], changes**2, atol=1e-5)
    every = crm(network, patches, labels="all classes", upsample=None)
    np.testing.assert_allclose(every.sel(label="all classes"), (changes**2).sum(axis=1), atol=1e-5)
    assert (changes**2).max() > 0.01


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_mean_and_bias_are_the_logit(shape, pooled_of, patches_of):
    network, patches = pooled_of(shape), patches_of(shape)
    features, logits = parts_of(network, patches)
    found = cam(network, patches, upsample=None, details=True)
    np.testing.assert_allclose(found["map"].mean(["time", "frequency"]) + found["bias"], logits(features), atol=1e-5)
    np.testing.assert_allclose(found["share"].sum("filter") + found["bias"], logits(features), atol=1e-5)
    np.testing.assert_allclose(found["logit"], logits(features), atol=1e-5)
    np.testing.assert_array_equal(found["bias"], network.get_layer("FCFinal").bias)
    assert found["share"].dims == ("patch", "label", "filter")


def test_upsampling_keeps_the_mean_where_the_grid_divides_the_patch(pooled_of, patches_of):
    network, patches = pooled_of((96, 64), stride=(8, 4)), patches_of((96, 64))
    grid = cam(network, patches, upsample=None).mean(["time", "frequency"])
    for how in ("linear", "nearest"):
        found = cam(network, patches, upsample=how).mean(["time", "frequency"])
        np.testing.assert_allclose(found, grid, atol=1e-5)


def test_share_of_each_filter(pooled_of, patches_of):
    """The logit that goes when a filter's whole map is set to zero."""
    network, patches = pooled_of(), patches_of()
    features, logits = parts_of(network, patches)
    share = cam(network, patches, labels=["class2", "class0"], details=True)["share"]
    for f in range(6):
        without = features.copy()
        without[..., f] = 0
        np.testing.assert_allclose(share.sel(filter=f), (logits(features) - logits(without))[:, [2, 0]], atol=1e-5)


def test_by_hand():
    """Features x and −x of a 2 × 2 patch, weights (1, 0) and (2, 3)."""
    inputs = keras.Input((2, 2, 1))
    x = layers.Conv2D(2, 1, use_bias=False, name="filters")(inputs)
    frontend = FrontEnd(frames=2, mels=2)
    body = keras.Model(inputs, layers.GlobalAveragePooling2D()(x))
    network = add_head(body, ["up", "both"], frontend)
    network.get_layer("filters").set_weights([np.array([[[[1.0, -1.0]]]])])
    network.get_layer("FCFinal").set_weights([np.array([[1.0, 2.0], [0.0, 3.0]]), np.array([5.0, 7.0])])
    patches = Patches(np.array([[[1, -2], [3, 4]]], np.float32), pd.DataFrame({"clip": [0]}), frontend)
    maps = explain(network, patches, "cam")
    np.testing.assert_allclose(maps.sel(patch=0, label="up"), [[1, -2], [3, 4]])
    np.testing.assert_allclose(maps.sel(patch=0, label="both"), [[-1, 2], [-3, -4]])
    maps = explain(network, patches, "crm", labels=["up", "all classes"])
    np.testing.assert_allclose(maps.sel(patch=0, label="up"), np.array([[1, 4], [9, 16]]) / 16)
    np.testing.assert_allclose(maps.sel(patch=0, label="all classes"), 2 * np.array([[1, 4], [9, 16]]) / 16)


def test_all_classes(pooled_of, patches_of):
    network, patches = pooled_of(), patches_of()
    each = explain(network, patches, "crm")
    assert list(each.label.values) == ["class0", "class1", "class2"]
    some = explain(network, patches, "crm", labels=["all classes", "class1"])
    assert list(some.label.values) == ["all classes", "class1"]
    np.testing.assert_allclose(some.sel(label="all classes"), each.sum("label"), rtol=1e-5)
    np.testing.assert_array_equal(some.sel(label="class1"), each.sel(label="class1"))
    details = crm(network, patches, labels="all classes", details=True)
    assert details["lost"].dims == ("patch", "class", "grid_time", "grid_frequency")
    np.testing.assert_allclose((details["lost"] ** 2).sum("class"), details["grid"][:, 0], rtol=1e-5)
    assert list(details["class"].values) == ["class0", "class1", "class2"]
    with pytest.raises(UnknownLabelError, match="all classes"):
        explain(network, patches, "cam", labels="all classes")
    with pytest.raises(UnknownLabelError, match="dog"):
        explain(network, patches, "crm", labels=["all classes", "dog"])


def test_gradcam_is_the_positive_part(pooled_of, patches_of):
    network, patches = pooled_of(), patches_of()
    ours = cam(network, patches, upsample=None)
    theirs = explain(network, patches, "gradcam", upsample=None)
    np.testing.assert_allclose(ours.clip(0) / ours[0, 0].size, theirs, atol=1e-5)


def test_units_and_settings(pooled_of, patches_of):
    for method, units in (("cam", "logit"), ("crm", "logit²")):
        maps = explain(pooled_of(), patches_of(), method)
        assert (maps.attrs["method"], maps.attrs["units"]) == (method, units)
        assert (maps.attrs["pool"], maps.attrs["upsample"]) == ("average", "linear")


def test_yamnet(patches_of):
    """The package's network, narrow: its average is called `embedding`, its last convolution layer14."""
    network = yamnet(["a", "b", "c"], weights="random", width=0.05)
    network.get_layer("FCFinal").bias.assign([0.5, -1, 2])
    plain = patches_of((96, 64))
    patches = Patches(plain.data, plain.table, YAMNET)
    features, logits = parts_of(network, patches, "layer14_pointwise_conv_relu")
    assert features.shape[1:3] == (3, 2)
    changes = slow_changes(features, logits)
    found = cam(network, patches, upsample=None)
    assert pooled_head(network).pool == "embedding"
    np.testing.assert_allclose(found / 6, changes, atol=1e-5)
    bias = np.array([0.5, -1, 2])
    np.testing.assert_allclose(found.mean(["time", "frequency"]) + bias, logits(features), atol=1e-5)
    np.testing.assert_allclose(crm(network, patches, upsample=None), changes**2, atol=1e-5)


@pytest.mark.parametrize("method", [cam, crm])
def test_bfloat16(method, pooled_of, patches_of, correlation):
    """Coarser features, the same map; average and weights stay float32, so the parts add up."""
    network, patches = pooled_of(), patches_of()
    reduced = method(network, patches, upsample=None, precision="bfloat16", details=True)
    assert correlation(reduced["map"], method(network, patches, upsample=None)) > 0.999
    if method is cam:
        total = reduced["map"].mean(["time", "frequency"]) + reduced["bias"]
        np.testing.assert_allclose(total, reduced["logit"], atol=1e-5)


@pytest.mark.parametrize("method", ["cam", "crm"])
def test_cache(method, pooled_of, patches_of):
    network, patches = pooled_of(), patches_of(n=1)
    stored, again = (explain(network, patches, method) for _ in range(2))
    xr.testing.assert_identical(stored, again)
    network.get_layer("FCFinal").kernel.assign(network.get_layer("FCFinal").kernel * 1.5)
    assert not np.allclose(explain(network, patches, method), stored)


def ending(*end):
    """A network made elsewhere, with these last layers."""
    return keras.Sequential([keras.Input((37, 23, 1)), layers.Conv2D(3, 5, activation="relu", name="conv"), *end])


@pytest.mark.parametrize(
    "end",
    [
        [layers.GlobalAveragePooling2D(), layers.Dense(4, activation="softmax")],
        [layers.GlobalAveragePooling2D(), layers.Dropout(0.9), layers.Dense(4), layers.Softmax()],
        [layers.GlobalAveragePooling2D(), layers.Dense(4, use_bias=False), layers.Activation("softmax")],
        [layers.GlobalAveragePooling2D(), layers.Dense(4)],
        [layers.GlobalAveragePooling2D(), layers.Dense(4, activation="sigmoid")],
        [layers.GlobalAveragePooling2D(), layers.Identity(), layers.Dense(4), layers.Softmax(), layers.Identity()],
    ],
    ids=["softmax inside", "dropout", "no bias", "logits", "sigmoids", "identity"],
)
def test_networks_made_elsewhere(end, patches_of):
    network, patches = ending(*end), patches_of(n=2)
    found = cam(network, patches, upsample=None, details=True)
    assert list(found["label"].values) == ["0", "1", "2", "3"]
    logits = found["map"].mean(["time", "frequency"]) + found["bias"]
    last = next(each for each in reversed(network.layers) if not isinstance(each, layers.Identity))
    expected = network.predict(patches.data[..., None], verbose=0)
    activation = last.activation if isinstance(last, layers.Dense) else None
    as_given = {keras.activations.linear: keras.activations.linear, keras.activations.sigmoid: keras.ops.sigmoid}
    found = as_given.get(activation, keras.ops.softmax)(keras.ops.convert_to_tensor(logits.values))
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("method", ["cam", "crm"])
@pytest.mark.parametrize(
    ("end", "match"),
    [
        ([layers.Flatten(name="flat"), layers.Dense(4, name="out")], r"Flatten 'flat', Dense 'out' \(linear\)"),
        ([layers.GlobalMaxPooling2D(name="max"), layers.Dense(4)], r"GlobalMaxPooling2D 'max'"),
        (
            [layers.GlobalAveragePooling2D(), layers.Dense(5, activation="relu", name="hidden"), layers.Dense(4)],
            r"Dense 'hidden' \(relu\)",
        ),
        ([layers.GlobalAveragePooling2D(), layers.Dense(4, activation="tanh", name="out")], r"'out' \(tanh\)"),
        ([layers.GlobalAveragePooling2D(name="mean")], r"GlobalAveragePooling2D 'mean'\."),
        (
            [layers.GlobalAveragePooling2D(), layers.ReLU(name="cut"), layers.Dense(4), layers.Softmax()],
            "ReLU 'cut'",
        ),
    ],
    ids=["flatten", "maximum", "two dense", "tanh", "no dense", "not linear"],
)
def test_networks_that_end_otherwise(method, end, match, patches_of):
    with pytest.raises(ValueError, match=f"{match}.*'gradcam'.*'occlusion'"):
        explain(ending(*end), patches_of(), method)
