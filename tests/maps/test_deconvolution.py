import json

import keras
import numpy as np
import pandas as pd
import pytest
from scipy import signal

from audiointerp.errors import MissingDataError, PatchShapeError
from audiointerp.maps.deconvolution import deconvolve, strongest_examples
from audiointerp.networks.vggish import vggish
from audiointerp.networks.yamnet import yamnet
from audiointerp.sound.frontend import YAMNET, FrontEnd
from audiointerp.sound.patches import Patches

layers = keras.layers
SHAPE = (37, 23)


def stack(*body, shape=SHAPE, scale=0.3, positive=False, seed=0):
    """A network of these layers with random weights, batch norm with moved statistics."""
    rng = np.random.default_rng(seed)
    network = keras.Sequential([keras.Input((*shape, 1)), *body], name="stack")
    for weight in network.weights:
        values = rng.normal(0, scale, weight.shape)
        weight.assign(np.abs(values) + 0.1 if positive or "variance" in weight.path else values)
    return network


def made_of(data):
    data = np.asarray(data, np.float32)
    return Patches(data, pd.DataFrame({"clip": range(len(data))}), FrontEnd(frames=data.shape[1], mels=data.shape[2]))


def output_of(network, layer, patches):
    return keras.Model(network.inputs[0], network.get_layer(layer).output)(patches.data[..., None]).numpy()


def alone(values, kernel):
    """Transposed convolution of one map (time, frequency) with one kernel, stride 1, padding "same", by loops."""
    rows, columns = kernel.shape
    found = np.zeros((values.shape[0] + rows - 1, values.shape[1] + columns - 1))
    for i, j in np.ndindex(values.shape):
        found[i : i + rows, j : j + columns] += values[i, j] * kernel
    top, left = (rows - 1) // 2, (columns - 1) // 2
    return found[top : top + values.shape[0], left : left + values.shape[1]]


def by_hand(values, kernels):
    """Transposed convolution (time, frequency, out) -> (time, frequency, in) with kernels (rows, columns, in, out)."""
    return np.stack([sum(alone(values[..., o], k[..., o]) for o in range(k.shape[-1])) for k in kernels], axis=-1)


def test_first_layer(patches_of):
    """One filter's ReLU map, convolved with its own weights turned round: by loops and by SciPy."""
    network, patches = stack(layers.Conv2D(4, (5, 3), padding="same", activation="relu", name="first")), patches_of()
    found = deconvolve(network, patches, "first", 2)
    kernel = network.get_layer("first").kernel.numpy()[:, :, 0, 2]
    activation = output_of(network, "first", patches)[..., 2]
    for row in range(3):
        np.testing.assert_allclose(found[row], alone(activation[row], kernel), atol=1e-5)
        np.testing.assert_allclose(found[row], signal.convolve2d(activation[row], kernel, mode="same"), atol=1e-5)
    assert (found < 0).any() and found.max() > 1  # no ReLU at the input


@pytest.mark.parametrize(("top", "stride"), [(1, 1), (5, 1), (10_000, 1), (3, 2)])
def test_strongest_positions(top, stride, patches_of):
    network = stack(layers.Conv2D(2, 3, strides=stride, padding="valid", activation="relu", name="first"))
    patches = patches_of()
    found = deconvolve(network, patches, "first", 1, keep=top)
    kernel = network.get_layer("first").kernel.numpy()[:, :, 0, 1]
    for row, activation in enumerate(output_of(network, "first", patches)[..., 1]):
        expected = np.zeros(SHAPE)
        for cell in np.argsort(-activation.ravel())[:top]:
            i, j = stride * np.array(divmod(cell, activation.shape[1]))
            expected[i : i + 3, j : j + 3] += activation.ravel()[cell] * kernel
        np.testing.assert_allclose(found[row], expected, atol=1e-5)


def test_several_layers_by_hand(patches_of):
    """Convolution, batch norm, ReLU, depthwise, ReLU, pointwise: each undone in turn, negative parts cut at ReLUs."""
    network = stack(
        layers.Conv2D(3, 3, padding="same", use_bias=False, name="conv"),
        layers.BatchNormalization(name="norm"),
        layers.ReLU(name="relu"),
        layers.DepthwiseConv2D(3, padding="same", activation="relu", name="depthwise"),
        layers.Conv2D(4, 1, name="pointwise"),
        layers.Activation("relu", name="last"),
    )
    patches = patches_of()
    found = deconvolve(network, patches, "pointwise", 3)
    weights = {layer.name: layer.get_weights() for layer in network.layers}
    gamma, _, _, variance = weights["norm"]
    factor = gamma / np.sqrt(variance + network.get_layer("norm").epsilon)
    spread = weights["depthwise"][0][..., 0]
    cut = 0
    for row, activation in enumerate(output_of(network, "last", patches)[..., 3]):
        back = activation[..., None] * weights["pointwise"][0][0, 0, :, 3]
        cut += (back < 0).sum()
        back = np.maximum(back, 0)
        back = np.stack([alone(back[..., f], spread[..., f]) for f in range(3)], axis=-1)
        cut += (back < 0).sum()
        back = np.maximum(back, 0) * factor
        expected = by_hand(back, weights["conv"][0].transpose(2, 0, 1, 3))[..., 0]
        np.testing.assert_allclose(found[row], expected, atol=1e-5)
    assert cut > 100 and abs(found).max() > 0.01


def test_unpooling():
    """x and −x, ReLU, maxima of 2 × 2: values come back where they were, with the sign of their filter."""
    network = stack(
        layers.Conv2D(2, 1, activation="relu", name="first"),
        layers.MaxPooling2D(2),
        layers.Conv2D(1, 1, name="second"),
        shape=(4, 6),
    )
    network.set_weights([np.array([[[[1.0, -1.0]]]]), np.zeros(2), np.array([[[[2.0], [10.0]]]]), np.zeros(1)])
    patches = made_of([[[1, 2, 0, 0, 5, 6], [3, 0, 0, 4, 8, 7], [-1, 0, 0, 0, 0, 3], [0, -2, 0, 0, 9, 0]]])
    found = deconvolve(network, patches, "second", 0)
    # maxima of x: 3 4 8 / 0 0 9, of −x: 0 0 0 / 2 0 0; second layer: 6 8 16 / 20 0 18
    expected = np.zeros((4, 6))
    expected[1, 0], expected[1, 3], expected[1, 4], expected[3, 4] = 2 * 6, 2 * 8, 2 * 16, 2 * 18
    expected[3, 1] = -10 * 20
    # where a filter's window is flat, at zero, its value comes back to the first of the equal cells
    expected[0, 0] -= 10 * 6
    expected[0, 2] -= 10 * 8
    expected[0, 4] -= 10 * 16
    expected[2, 4] -= 10 * 18
    expected[2, 0] += 2 * 20
    np.testing.assert_allclose(found[0], expected, atol=1e-4)
    np.testing.assert_array_equal(np.nonzero(deconvolve(network, patches, "second", 0, keep=1)[0]), [[2, 3], [0, 1]])


def test_off_and_signs(patches_of):
    """Negative activations are never sent back, also of a layer without ReLU; a neuron that is off gives zeros."""
    network = stack(layers.Conv2D(2, 1, name="first"))
    network.set_weights([np.array([[[[1.0, 0.0]]]]), np.array([0.0, -1.0])])
    patches = patches_of()
    np.testing.assert_allclose(deconvolve(network, patches, "first", 0), np.maximum(patches.data, 0), atol=1e-6)
    assert not deconvolve(network, patches, "first", 1).any()
    assert strongest_examples(network, patches, "first", 1).empty


@pytest.mark.parametrize("build", [vggish, yamnet])
def test_networks_of_the_package(build, patches_of):
    """Result's form, no change to the network, no dependence on batches, zero outside the box of one position."""
    network = build(["a", "b"], weights="random", width=0.05)
    plain = patches_of((96, 64), n=5)
    patches = Patches(plain.data, plain.table, YAMNET) if build is yamnet else plain
    layer = "conv3_2" if build is vggish else "layer6_pointwise_conv"

    def state():
        return network.to_json(), [len(each._inbound_nodes) for each in network.layers], network.trainable

    before, weights, scores = state(), network.get_weights(), network(patches.data[..., None]).numpy()
    activation = output_of(network, layer if build is vggish else f"{layer}_relu", patches)
    neuron = int(activation.max(axis=(1, 2)).min(axis=0).argmax())
    found = deconvolve(network, patches, layer, neuron, keep=1)
    table = strongest_examples(network, patches, layer, neuron)
    assert state() == before
    for now, then in zip(network.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(now, then)
    np.testing.assert_array_equal(network(patches.data[..., None]), scores)

    assert found.dims == ("patch", "time", "frequency") and found.shape == (5, 96, 64) and found.dtype == np.float32
    np.testing.assert_array_equal(found.patch, [100, 110, 120, 130, 140])
    np.testing.assert_allclose(found.time, patches.time)
    np.testing.assert_allclose(found.frequency, patches.frequency)
    np.testing.assert_array_equal(found["true"], patches.label)
    np.testing.assert_allclose(found["activation"], activation[..., neuron].max(axis=(1, 2)), rtol=1e-5)
    assert [found.attrs[name] for name in ("layer", "neuron", "keep")] == [layer, neuron, 1]
    assert (found.attrs["method"], found.attrs["network"]) == ("deconvolution", build.__name__)
    json.dumps(found.attrs)

    split = deconvolve(network, patches, layer, neuron, keep=1, batch_size=2)
    np.testing.assert_allclose(split, found, rtol=1e-4, atol=1e-6 * float(abs(found).max()))
    for patch, row in table.iterrows():
        one = found.sel(patch=patch)
        inside = one.sel(time=slice(row.start_s, row.stop_s), frequency=slice(row.low_hz, row.high_hz))
        assert abs(inside).max() > 0
        assert (inside != 0).sum() == (one != 0).sum()


def test_strongest_examples(patches_of):
    """Peaks put into silent patches, found in order, with the cells around them that the filter sees."""
    network = stack(layers.Conv2D(1, (5, 3), padding="same", activation="relu", name="first"))
    kernel = np.zeros((5, 3, 1, 1))
    kernel[2, 1] = 1
    network.set_weights([kernel, np.zeros(1)])
    plain = patches_of(n=4)
    data = np.full((4, *SHAPE), -1, np.float32)
    data[0, 10, 8], data[1, 0, 22], data[3, 20, 5], data[3, 30, 6] = 2, 5, 1, 3
    patches = Patches(data, plain.table, plain.frontend)
    table = strongest_examples(network, patches, "first", 0)
    assert table.index.name == "patch"
    assert list(table.index) == [110, 130, 100]  # 120 leaves the neuron off
    assert list(table.activation) == [5, 3, 2]
    assert list(table.label) == [patches.label[i] for i in (1, 3, 0)]
    assert list(table["clip"]) == [0, 1, 0]
    np.testing.assert_allclose(table.time, patches.time[[0, 30, 10]])
    np.testing.assert_allclose(table.frequency, patches.frequency[[22, 6, 8]])
    hop = 0.01
    np.testing.assert_allclose(table.start_s, patches.time[[0, 28, 8]] - hop / 2)
    np.testing.assert_allclose(table.stop_s, patches.time[[2, 32, 12]] + hop / 2)
    frequency = patches.frequency

    def between(low, high):
        """Halfway on the mel scale, which is linear in log(1 + f / 700)."""
        return 700 * (np.sqrt((1 + low / 700) * (1 + high / 700)) - 1)

    np.testing.assert_allclose(table.low_hz, between(frequency[[20, 4, 6]], frequency[[21, 5, 7]]))
    np.testing.assert_allclose(table.high_hz[1:], between(frequency[[7, 9]], frequency[[8, 10]]))
    assert table.high_hz.iloc[0] > frequency[22]
    assert list(strongest_examples(network, patches, "first", 0, most=2, batch_size=3).index) == [110, 130]


def test_equals_stand_in_order(patches_of, with_cells):
    network = stack(layers.Conv2D(1, 1, name="first"))
    network.set_weights([np.ones((1, 1, 1, 1)), np.zeros(1)])
    patches = with_cells(patches_of(n=4), np.s_[:, 4, 4], [50, 60, 60, 50])
    assert list(strongest_examples(network, patches, "first", 0, most=3).index) == [110, 120, 100]


def strided():
    return (
        layers.Conv2D(2, 3, strides=2, padding="same", activation="relu", name="a"),
        layers.DepthwiseConv2D(3, strides=2, padding="same", name="b"),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.Conv2D(2, 1, name="last"),
    )


def pooled():
    return (
        layers.ZeroPadding2D(((3, 0), (1, 2))),
        layers.Conv2D(2, (4, 3), activation="relu", name="a"),
        layers.MaxPooling2D(2),
        layers.Conv2D(2, 3, dilation_rate=2, padding="same", activation="relu", name="b"),
        layers.MaxPooling2D((3, 2), strides=(2, 1), padding="same"),
        layers.Cropping2D(1),
        layers.Conv2D(2, 3, padding="same", name="last"),
    )


@pytest.mark.parametrize("body", [strided, pooled])
@pytest.mark.parametrize("shape", [(40, 24), (37, 23)], ids=str)
def test_box_against_changing_each_cell(body, shape):
    """Weights above zero: a cell belongs to the field if a large value in it changes the strongest position."""
    network = stack(*body(), shape=shape, positive=True)
    rng = np.random.default_rng(1)
    data = rng.uniform(0.1, 1, (6, *shape))
    for row, place in enumerate([(0, 0), (shape[0] - 1, shape[1] - 1), (20, 0), (15, 12), (0, 11), (9, 22)]):
        data[row][max(0, place[0] - 2) : place[0] + 3, max(0, place[1] - 2) : place[1] + 3] += 20
    patches = made_of(data)
    table = strongest_examples(network, patches, "last", 1)
    assert len(table) == 6
    for patch, found in table.iterrows():
        before = output_of(network, "last", patches[[patch]])[0, ..., 1]
        cell = np.unravel_index(before.argmax(), before.shape)
        changed = np.repeat(patches.data[[patch]], shape[0] * shape[1], axis=0)
        changed.reshape(len(changed), -1)[np.diag_indices(len(changed))] += 1e4
        after = output_of(network, "last", made_of(changed))[:, cell[0], cell[1], 1]
        seen = (np.abs(after - before[cell]) > 0.1).reshape(shape)
        rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
        within = (patches.time > found.start_s) & (patches.time < found.stop_s)
        np.testing.assert_array_equal(np.flatnonzero(within), np.arange(rows[0], rows[-1] + 1))
        within = (patches.frequency > found.low_hz) & (patches.frequency < found.high_hz)
        np.testing.assert_array_equal(np.flatnonzero(within), np.arange(columns[0], columns[-1] + 1))


def test_two_ways(patches_of, with_cells):
    """A residual block: both ways come back and are added; the box holds the wider one."""
    inputs = keras.Input((*SHAPE, 1))
    wide = layers.Conv2D(1, 5, padding="same", use_bias=False, name="wide")(inputs)
    x = layers.Add()([inputs, wide])
    network = keras.Model(inputs, layers.Conv2D(1, 1, use_bias=False, name="last")(x))
    kernel = np.random.default_rng(0).normal(size=(5, 5))
    network.get_layer("wide").set_weights([kernel[..., None, None]])
    network.get_layer("last").set_weights([np.ones((1, 1, 1, 1))])
    patches = patches_of(n=1)
    activation = np.maximum(output_of(network, "last", patches)[0, ..., 0], 0)
    found = deconvolve(network, patches, "last", 0)
    np.testing.assert_allclose(found[0], activation + alone(activation, kernel), atol=1e-4)
    silent = with_cells(patches, np.s_[:], 0)
    patches = with_cells(silent, (0, 20, 10), 100 * np.sign(kernel[2, 2] + 1))
    row = strongest_examples(network, patches, "last", 0).iloc[0]
    assert round((row.stop_s - row.start_s) / 0.01) == 5


def test_relu_with_a_limit(patches_of):
    """Activations are cut at 1 on the way up; what comes back is only cut below 0."""
    body = layers.Conv2D(1, 1, name="first"), layers.ReLU(max_value=1), layers.Conv2D(1, 1, name="last")
    network = stack(*body)
    network.set_weights([np.full((1, 1, 1, 1), 2.0), np.zeros(1), np.full((1, 1, 1, 1), 3.0), np.zeros(1)])
    patches = patches_of()
    expected = 3 * np.clip(2 * patches.data, 0, 1) * 3 * 2
    assert expected.max() == 18
    np.testing.assert_allclose(deconvolve(network, patches, "last", 0), expected, atol=1e-5)


every_function = pytest.mark.parametrize("function", [deconvolve, strongest_examples])


@every_function
def test_bad_input(function, network_of, patches_of):
    network, patches = network_of(), patches_of()
    with pytest.raises(ValueError, match=r"layer='conv9'.*'small' has no such convolution; it has first, second\."):
        function(network, patches, "conv9", 0)
    with pytest.raises(ValueError, match=r"layer='pool'.*first, second"):
        function(network, patches, "pool", 0)
    for neuron in (6, -1, 1.5, True, None):
        with pytest.raises(ValueError, match=rf"neuron={neuron}: layer 'second' has 6, numbered 0 to 5"):
            function(network, patches, "second", neuron)
    with pytest.raises(PatchShapeError, match="37, 23"):
        function(network, patches_of((23, 37)), "second", 0)
    with pytest.raises(MissingDataError, match="no patches"):
        function(network, patches[[]], "second", 0)
    with pytest.raises(ValueError, match="batch_size=0"):
        function(network, patches, "second", 0, batch_size=0)


@pytest.mark.parametrize("top", [0, -1, 2.5, True, "all"])
def test_bad_numbers(top, network_of, patches_of):
    with pytest.raises(ValueError, match="keep="):
        deconvolve(network_of(), patches_of(), "second", 0, keep=top)
    with pytest.raises(ValueError, match="most="):
        strongest_examples(network_of(), patches_of(), "second", 0, most=top)


@every_function
@pytest.mark.parametrize(
    ("between", "match"),
    [
        (lambda: layers.Activation("tanh", name="bent"), r"'bent' \(tanh\)"),
        (lambda: layers.Conv2D(2, 3, activation="gelu", name="bent"), r"'bent' \(gelu\)"),
        (lambda: layers.LeakyReLU(name="leaky"), r"'leaky' \(LeakyReLU\)"),
        (lambda: layers.ReLU(negative_slope=0.1, name="leaky"), r"'leaky' \(ReLU with slope 0.1"),
        (lambda: layers.LayerNormalization(name="norm"), r"'norm' \(LayerNormalization\)"),
    ],
    ids=["tanh", "gelu", "leaky", "slope", "norm"],
)
def test_layers_without_a_way_back(function, between, match, patches_of):
    network = stack(layers.Conv2D(2, 3, name="first"), between(), layers.Conv2D(2, 3, name="second"))
    with pytest.raises(ValueError, match=f"{match}.*'saliency' or 'gradcam'"):
        function(network, patches_of(), "second", 0)
