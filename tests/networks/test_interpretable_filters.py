from math import exp, log

import keras
import numpy as np
import pytest
import tensorflow as tf

from audiointerp.networks.head import add_head
from audiointerp.networks.interpretable_filters import (
    InterpretableFilters,
    filter_concentration,
    filter_loss,
    filter_templates,
    peak_positions,
)
from audiointerp.networks.precision import as_precision
from audiointerp.networks.saving import load_network, save_network


def slow_templates(height, width, tau, beta):
    """Every template, entry by entry, and its probability."""
    n2 = height * width
    alpha = n2 / (1 + n2)
    templates = []
    for i in range(height):
        for j in range(width):
            grid = [
                [tau * max(1 - beta * (abs(r - i) / height + abs(c - j) / width), -1) for c in range(width)]
                for r in range(height)
            ]
            templates.append((alpha / n2, np.array(grid)))
    return [*templates, (1 - alpha, np.full((height, width), -tau))]


def slow_loss(maps, tau=None, beta=4.0):
    """The formula of the paper with loops over filters, templates and samples, in float64."""
    maps = maps.astype(np.float64)
    n, height, width, filters = maps.shape
    templates = slow_templates(height, width, 0.5 / (height * width) if tau is None else tau, beta)
    losses = []
    for f in range(filters):
        given = []  # p(x|T)
        for _, template in templates:
            fits = [(maps[k, :, :, f] * template).sum() for k in range(n)]
            total = sum(exp(fit - max(fits)) for fit in fits)
            given.append([exp(fit - max(fits)) / total for fit in fits])
        marginal = [sum(p * row[k] for (p, _), row in zip(templates, given, strict=True)) for k in range(n)]
        information = 0.0
        for (p, _), row in zip(templates, given, strict=True):
            information += p * sum(row[k] * log(row[k] / marginal[k]) for k in range(n) if row[k] > 0)
        losses.append(-information)
    return np.array(losses)


def relu_maps(rng, *shape, scale=1.0):
    return (np.maximum(rng.normal(size=shape), 0) * scale).astype(np.float32)


def gradient_of(maps, **options):
    maps = tf.constant(maps)
    with tf.GradientTape() as tape:
        tape.watch(maps)
        loss = tf.reduce_sum(filter_loss(maps, **options))
    return tape.gradient(loss, maps).numpy()


def with_layer(layer, shape=(8, 6, 1), filters=3):
    inputs = keras.Input(shape)
    x = keras.layers.Conv2D(filters, 3, padding="same", activation="relu", name="parts")(inputs)
    x = layer(x)
    return keras.Model(inputs, keras.layers.GlobalMaxPooling2D(name="embedding")(x), name="tiny")


@pytest.mark.parametrize(("height", "width"), [(5, 3), (3, 4), (4, 4), (1, 6)])
@pytest.mark.parametrize("beta", [4.0, 1.5])
def test_templates_are_those_of_the_formula(height, width, beta):
    expected = [template.ravel() for _, template in slow_templates(height, width, 0.5 / (height * width), beta)]
    np.testing.assert_allclose(filter_templates(height, width, beta=beta), expected, atol=1e-8)


def test_template_of_a_square_map_by_hand():
    # n = 4, β = 4, τ = 0.5/16: the neighbour of the centre has 1 − 4 · 1/4 = 0, the next one −1.
    row = filter_templates(4, 4)[5].reshape(4, 4) * 32
    np.testing.assert_allclose(row, [[-1, 0, -1, -1], [0, 1, 0, -1], [-1, 0, -1, -1], [-1, -1, -1, -1]])


# On small maps the fits differ little between clips, and float32 rounds them.
@pytest.mark.parametrize(("scale", "rtol"), [(0.1, 5e-4), (1, 5e-5), (30, 1e-5), (1000, 1e-5)])
@pytest.mark.parametrize("shape", [(6, 5, 3, 2), (4, 2, 7, 3), (2, 6, 4, 1)])
def test_loss_is_that_of_the_slow_formula(rng, shape, scale, rtol):
    maps = relu_maps(rng, *shape, scale=scale)
    np.testing.assert_allclose(filter_loss(maps), slow_loss(maps), rtol=rtol)


def test_loss_with_other_tau_and_beta_is_that_of_the_slow_formula(rng):
    maps = relu_maps(rng, 5, 4, 3, 2)
    np.testing.assert_allclose(filter_loss(maps, tau=0.7, beta=2.5), slow_loss(maps, 0.7, 2.5), rtol=1e-5)


@pytest.mark.parametrize("tau", [None, 0.5])
def test_gradient_is_that_of_finite_differences(rng, tau):
    maps = relu_maps(rng, 4, 3, 4, 2, scale=3)
    step = 1e-5
    expected = np.zeros(maps.shape)
    for index in np.ndindex(maps.shape):
        moved = maps.astype(np.float64)
        moved[index] += step
        up = slow_loss(moved, tau)[index[-1]]
        moved[index] -= 2 * step
        expected[index] = (up - slow_loss(moved, tau)[index[-1]]) / (2 * step)
    found = gradient_of(maps, tau=tau)
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_loss_knows_its_bounds():
    # One clear spot each, at its own position: every template fits one clip of nine, T⁻ all of them alike.
    maps = np.eye(9, dtype=np.float32).reshape(9, 3, 3, 1)
    found = filter_loss(maps, tau=100.0, beta=30.0).numpy()
    np.testing.assert_allclose(found, -log(9) * 9 / 10, rtol=1e-4)


@pytest.mark.parametrize("scale", [0, 1, 1e4])
def test_batch_of_one_has_no_loss_and_no_gradient(rng, scale):
    maps = relu_maps(rng, 1, 5, 4, 3, scale=scale)
    np.testing.assert_array_equal(filter_loss(maps), 0)
    np.testing.assert_array_equal(gradient_of(maps), 0)


def test_dead_filters_and_huge_maps_stay_finite(rng):
    maps = relu_maps(rng, 6, 5, 4, 3, scale=1e6)
    maps[..., 1] = 0
    loss = filter_loss(maps).numpy()
    assert loss[1] == 0
    assert (loss[[0, 2]] < 0).all() and (loss >= -log(6) * 1.0001).all()
    assert np.isfinite(gradient_of(maps)).all()
    assert np.isfinite(InterpretableFilters()(maps)).all()


def test_loss_and_gradient_of_each_filter_are_its_own(rng):
    maps = relu_maps(rng, 5, 4, 3, 3)
    one = maps[..., 1:2]
    # Differences of numbers near 1: what float32 rounds there, not a share of the small result.
    rounding = np.finfo(np.float32).eps
    np.testing.assert_allclose(filter_loss(maps)[1], filter_loss(one)[0], atol=rounding)
    np.testing.assert_allclose(gradient_of(maps)[..., 1:2], gradient_of(one), atol=rounding)
    assert abs(filter_loss(maps)[1] - filter_loss(maps)[0]) > 100 * rounding
    assert np.abs(gradient_of(maps)[..., 1] - gradient_of(maps)[..., 0]).max() > 100 * rounding


MASKS = [
    # Peak in a corner of 2 × 4, β = 1: a row away counts 1/2, a column 3/4, two 1/2, three 1/4.
    ([[8, 4, 4, 4], [4, 4, 4, 4]], 1, [[8, 3, 2, 1], [2, 1, 0, 0]]),
    ([[0, 0, 0, 4], [0, 4, 0, 8]], 1, [[0, 0, 0, 2], [0, 2, 0, 8]]),
    # β = 4: the neighbours' 1 − 4/4 is 0, and nothing negative comes back.
    ([[1, 2, 3, 2], [1, 1, 1, 1]], 4, [[0, 0, 3, 0], [0, 0, 0, 0]]),
    # Of equals the first row by row.
    ([[0, 6, 0, 0], [6, 0, 0, 6]], 4, [[0, 6, 0, 0], [0, 0, 0, 0]]),
    ([[0, 0, 0, 0], [0, 0, 0, 0]], 4, [[0, 0, 0, 0], [0, 0, 0, 0]]),
]


@pytest.mark.parametrize(("given", "beta", "expected"), MASKS)
def test_mask_by_hand(given, beta, expected):
    maps = np.float32(given)[None, ..., None]
    unit = InterpretableFilters(beta=beta, peak=1.0)(maps).numpy()[0, ..., 0]
    np.testing.assert_allclose(unit, expected, atol=1e-6)
    as_printed = InterpretableFilters(beta=beta)(maps).numpy()[0, ..., 0]
    np.testing.assert_allclose(as_printed, np.array(expected) / 16, atol=1e-6)  # τ = 0.5 / 8
    tau = InterpretableFilters(beta=beta, tau=0.5)(maps).numpy()[0, ..., 0]
    np.testing.assert_allclose(tau, np.array(expected) / 2, atol=1e-6)


def test_each_map_has_its_own_mask_and_gradient(rng):
    maps = relu_maps(rng, 4, 3, 5, 6)
    templates = filter_templates(3, 5)[:-1].reshape(3, 5, 3, 5)
    masks = np.zeros_like(maps)
    for k, f in np.ndindex(4, 6):
        masks[k, :, :, f] = templates[np.unravel_index(maps[k, :, :, f].argmax(), (3, 5))]
    tensor = tf.constant(maps)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        passed = InterpretableFilters()(tensor, training=False)
    np.testing.assert_allclose(passed, np.maximum(maps * masks, 0), rtol=1e-6)
    np.testing.assert_allclose(tape.gradient(passed, tensor), np.where(maps * masks > 0, masks, 0), rtol=1e-6)


def test_loss_is_added_in_training_only(rng):
    layer = InterpretableFilters(0.25, tau=0.1, beta=3.0)
    maps = relu_maps(rng, 6, 5, 4, 3)
    trained = layer(maps, training=True).numpy()
    np.testing.assert_allclose(layer.losses[0], 0.25 * slow_loss(maps, 0.1, 3.0).sum(), rtol=1e-5)
    np.testing.assert_array_equal(layer(maps, training=False), trained)
    assert layer.losses == []
    silent = InterpretableFilters(0)
    silent(maps, training=True)
    assert silent.losses == []


def test_batches_of_mixed_sizes_train_and_clips_do_not_depend_on_their_batch(rng):
    network = with_layer(InterpretableFilters(1.0, tau=0.5, peak=1.0))
    network.compile(keras.optimizers.Adam(1e-2), "mse")
    x = rng.normal(size=(12, 8, 6, 1)).astype(np.float32)
    for n in (8, 3, 1, 12):
        before = network.predict_on_batch(x[:n])
        maps = keras.Model(network.input, network.get_layer("parts").output).predict_on_batch(x[:n])
        expected = (before**2).mean() + slow_loss(maps, 0.5).sum()
        found = network.train_on_batch(x[:n], np.zeros((n, 3)))
        network.reset_metrics()
        assert float(found) == pytest.approx(expected, rel=1e-4)
        assert not np.allclose(network.predict_on_batch(x[:n]), before)
    together = network.predict_on_batch(x)
    alone = np.concatenate([network.predict_on_batch(x[k : k + 1]) for k in range(12)])
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(network.predict_on_batch(x), together)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_computes_the_loss_in_float32(rng, policy):
    layer = InterpretableFilters(1.0, peak=1.0, dtype=policy)
    maps = relu_maps(rng, 6, 12, 8, 2, scale=10).astype(np.float16)
    passed = layer(maps, training=True)
    assert keras.backend.standardize_dtype(passed.dtype) == layer.compute_dtype == policy.removeprefix("mixed_")
    assert keras.backend.standardize_dtype(layer.losses[0].dtype) == "float32"
    seen = keras.ops.convert_to_numpy(keras.ops.cast(keras.ops.cast(maps, layer.compute_dtype), "float32"))
    np.testing.assert_allclose(layer.losses[0], slow_loss(seen).sum(), rtol=1e-5)
    network = with_layer(InterpretableFilters(1.0, dtype=policy))
    network.compile("adam", "mse")
    loss = network.train_on_batch(rng.normal(size=(4, 8, 6, 1)), np.zeros((4, 3)))
    assert np.isfinite(float(loss))


def test_saving_cloning_and_precision_keep_the_layer(rng, small, tmp_path):
    shape = (small.frames, small.mels, 1)
    layer = InterpretableFilters(0.3, tau=0.2, beta=3.0, peak=0.5, name="filters")
    network = add_head(with_layer(layer, shape), ["dog", "rain"], small)
    x = rng.normal(size=(3, *shape)).astype(np.float32)
    expected = network.predict(x, verbose=0)
    loaded = load_network(save_network(network, tmp_path / "network.keras"))
    cloned = keras.models.clone_model(network)
    cloned.set_weights(network.get_weights())
    for copy in (loaded, cloned):
        found = copy.get_layer("filters")
        assert (found.weight, found.tau, found.beta, found.peak) == (0.3, 0.2, 3.0, 0.5)
        np.testing.assert_array_equal(copy.predict(x, verbose=0), expected)
        copy(x, training=True)
        maps = keras.Model(copy.input, copy.get_layer("parts").output)(x).numpy()
        np.testing.assert_allclose(found.losses[0], 0.3 * slow_loss(maps, 0.2, 3.0).sum(), rtol=1e-4)
    reduced = as_precision(network, "bfloat16")
    np.testing.assert_allclose(reduced.predict(x, verbose=0), expected, atol=0.05)


def test_peak_positions_by_hand():
    maps = np.zeros((2, 3, 4, 2))
    maps[0, 2, 3, 0] = 1
    maps[1, 0, 2, 0] = maps[1, 1, 1, 0] = 5
    maps[1, 1, 0, 1] = 2
    found = peak_positions(maps)
    assert found.dims == ("clip", "filter", "axis")
    np.testing.assert_array_equal(found.sel(axis="row"), [[2, np.nan], [0, 1]])
    np.testing.assert_array_equal(found.sel(axis="column"), [[3, np.nan], [2, 0]])


def test_concentration_by_hand():
    maps = np.zeros((3, 4, 8, 3))
    maps[0, 0, 0, 0], maps[0, 0, 1, 0], maps[0, 1, 0, 0], maps[0, 3, 7, 0] = 4, 2, 1, 1  # 1/8 away is near, 1/4 is not
    maps[1, 1, 4, 0] = 3
    maps[..., 1] = 2
    found = filter_concentration(maps)
    assert found.index.name == "filter"
    np.testing.assert_allclose(found["share"], [(6 / 8 + 1) / 2, 2 / 32, np.nan])
    np.testing.assert_allclose(found["area"], [(2 / 32 + 3 / 32) / 2, 2 / 32, np.nan])
    assert list(found["clips"]) == [2, 3, 0]


def test_after_the_mask_all_activation_is_around_the_peak(rng):
    maps = relu_maps(rng, 5, 12, 8, 4)
    assert (filter_concentration(maps)["share"] < 0.5).all()
    passed = InterpretableFilters(peak=1.0)(maps).numpy()
    np.testing.assert_allclose(filter_concentration(passed)["share"], 1)
    np.testing.assert_array_equal(peak_positions(passed), peak_positions(maps))


CROSS, RING = np.zeros((5, 5)), np.ones((5, 5))
CROSS[2], CROSS[:, 2], RING[1:4, 1:4] = 1, 1, 0


def parts_at_random_places(n, rng, height=24, width=16):
    """Noise and three small blocks, with a cross (class 1) or a ring (class 0) somewhere, and its centre."""
    labels, centres = rng.integers(0, 2, n), np.zeros((n, 2))
    images = rng.uniform(0, 0.3, (n, height, width))
    for image, label, centre in zip(images, labels, centres, strict=True):
        for _ in range(3):
            r, c = rng.integers(0, height - 1), rng.integers(0, width - 1)
            image[r : r + 2, c : c + 2] += 0.6
        r, c = rng.integers(0, height - 4), rng.integers(0, width - 4)
        image[r : r + 5, c : c + 5] += CROSS if label else RING
        centre[:] = r + 2, c + 2
    return images[..., None].astype(np.float32), labels, centres


def trained_on_parts(images, labels, layer):
    layers = keras.layers
    keras.utils.set_random_seed(1)
    inputs = keras.Input(images.shape[1:])
    x = layers.MaxPooling2D(2)(layers.Conv2D(8, 3, padding="same", activation="relu")(inputs))
    x = layers.Conv2D(8, 3, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization(scale=False, momentum=0.9)(x)
    x = layers.ReLU(name="parts")(x)
    x = layers.GlobalMaxPooling2D()(layer(x))
    network = keras.Model(inputs, layers.Dense(2, activation="softmax")(x))
    network.compile(keras.optimizers.Adam(5e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return network, network.fit(images, labels, batch_size=64, epochs=10, verbose=0).history


def test_a_trained_filter_follows_its_part_and_is_more_concentrated_than_without_the_loss(rng):
    images, labels, _ = parts_at_random_places(1024, rng)
    new, new_labels, centres = parts_at_random_places(384, rng)
    tables, losses = {}, {}
    for weight in (0, 0.1):
        layer = InterpretableFilters(weight, tau=1.0, peak=1.0)
        network, history = trained_on_parts(images, labels, layer)
        assert network.evaluate(new, new_labels, verbose=0)[1] > 0.95
        maps = keras.Model(network.input, network.get_layer("parts").output).predict(new, verbose=0)
        tables[weight] = filter_concentration(maps)
        losses[weight] = filter_loss(maps[:64], tau=1.0).numpy().sum()
    assert losses[0.1] < losses[0] - 1
    assert history["loss"][-1] < history["loss"][0] - 0.1
    assert tables[0.1]["share"].mean() > tables[0]["share"].mean() + 0.15

    peaks = 2 * peak_positions(maps).values + 0.5  # in cells of the image, which was pooled by 2
    apart = np.abs(peaks - centres[:, None])
    follows = []
    for f in range(peaks.shape[1]):
        along = [np.corrcoef(peaks[:, f, axis], centres[:, axis])[0, 1] for axis in (0, 1)]
        follows.append(min(along) > 0.9 and np.nanmean(apart[:, f]) < 2)
    assert any(follows)


@pytest.mark.parametrize("shape", [(5,), (4, 3), (4, 3, 2, 1)])
def test_maps_of_another_rank_are_refused(rng, shape):
    with pytest.raises(ValueError, match="height, width, filters"):
        InterpretableFilters()(keras.Input(shape))
    maps = rng.uniform(size=(2, *shape))
    for function in (filter_loss, peak_positions, filter_concentration):
        with pytest.raises(ValueError, match="height, width, filters"):
            function(maps)


def test_one_position_and_open_sides_are_refused(rng):
    with pytest.raises(ValueError, match="1 x 1: expected at least two positions"):
        InterpretableFilters()(keras.Input((1, 1, 8)))
    with pytest.raises(ValueError, match="1 x 1: expected at least two positions"):
        filter_loss(rng.uniform(size=(4, 1, 1, 8)))
    with pytest.raises(ValueError, match="fixed sides"):
        InterpretableFilters()(keras.Input((None, 8, 8)))
    layer = InterpretableFilters()
    layer(rng.uniform(size=(2, 4, 3, 2)))
    with pytest.raises(ValueError, match="axis"):
        layer(rng.uniform(size=(2, 3, 4, 2)))


@pytest.mark.parametrize(
    "options",
    [{"weight": -1}, {"weight": np.nan}, {"tau": 0}, {"tau": -0.1}, {"beta": 0}, {"beta": np.inf}, {"peak": 0}],
)
def test_numbers_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        InterpretableFilters(**options)


@pytest.mark.parametrize("value", [-0.1, np.nan, np.inf])
def test_statistics_refuse_maps_that_no_relu_made(rng, value):
    maps = rng.uniform(size=(2, 4, 3, 2))
    maps[1, 2, 1, 0] = value
    for function in (peak_positions, filter_concentration):
        with pytest.raises(ValueError, match="ReLU"):
            function(maps)
    with pytest.raises(ValueError, match="none of them 0"):
        peak_positions(maps[:0])
