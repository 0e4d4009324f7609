"""Waveforms of unequal length in one batch, against one `predict` a waveform."""

import gc
import weakref

import keras
import numpy as np
import pytest

from audiointerp.errors import MissingDataError, PatchShapeError, WeightsError
from audiointerp.evaluation.predictions import predict
from audiointerp.maps import explain
from audiointerp.networks import running as batching
from audiointerp.networks.graph import layer_outputs
from audiointerp.networks.running import batch_size_for, run_waveforms, scores_of
from audiointerp.networks.soundnet import soundnet
from audiointerp.networks.vggish import vggish
from audiointerp.training.fine_tuning import fine_tune

LAYERS = {  # taps, zeros on both sides, pool
    "conv1": (64, 32, 8),
    "conv2": (32, 16, 8),
    "conv3": (16, 8, 1),
    "conv4": (8, 4, 1),
    "conv5": (4, 2, 4),
    "conv6": (4, 2, 1),
    "conv7": (4, 2, 1),
    "conv8": (8, 0, 1),
}
# Fewest samples that give a layer one position.
SHORTEST = {
    "conv1": 14,
    "conv2": 222,
    "conv3": 222,
    "conv4": 222,
    "conv5": 4_574,
    "conv6": 4_574,
    "conv7": 4_574,
    "conv8": 209_374,
    "conv8_2": 209_374,
}


def arrays(seed=11):
    """Weights of a narrow SoundNet with both heads, whose biases and means make much of silence."""
    rng = np.random.default_rng(seed)
    found, loudness = {}, 25.6
    filters_of = dict(zip([*LAYERS, "conv8_2"], (3, 4, 2, 3, 4, 3, 5, 4, 2), strict=True))
    for (name, filters), before in zip(filters_of.items(), (1, 3, 4, 2, 3, 4, 3, 5, 5), strict=True):
        taps = LAYERS[name[:5]][0]
        found[f"{name}/weights"] = rng.normal(0, 1 / np.sqrt(taps * before), (taps, before, filters))
        found[f"{name}/biases"] = rng.normal(0, loudness, filters)
        found[f"{name}/gamma"], found[f"{name}/beta"] = rng.uniform(0.5, 1.5, filters), rng.normal(0.5, 0.5, filters)
        found[f"{name}/mean"] = rng.normal(0, 0.3 * loudness, filters)
        found[f"{name}/var"] = rng.uniform(0.5, 1.5, filters) * loudness**2
        loudness = 1.0
    return found


@pytest.fixture(scope="module")
def network():
    return soundnet(weights=arrays())


def noise(rng, *samples):
    return [rng.normal(0, 0.1, count).astype(np.float32) for count in samples]


def some(network, *names):
    known = layer_outputs(network)
    return {name: known[name] for name in names or known}


def alone(network, waveforms, outputs):
    """One `predict` a waveform of the averages over time."""
    pooled = [keras.layers.GlobalAveragePooling1D()(tensor) for tensor in outputs.values()]
    averaged = keras.Model(network.input, keras.layers.Concatenate()(pooled) if len(pooled) > 1 else pooled[0])
    return np.concatenate([averaged.predict(waveform[None, :, None], verbose=0) for waveform in waveforms])


def run(network, waveforms, outputs, **options):
    return run_waveforms(network, waveforms, outputs, progress=False, **options)


def slow_positions(samples, upto):
    """Positions of a layer, counted window by window."""
    for name, (taps, zeros, pool) in LAYERS.items():
        samples = sum(1 for _ in range(0, samples + 2 * zeros - taps + 1, 2)) // pool
        if name == upto[:5] or not samples:
            return samples


LENGTHS = {
    "all layers": (SHORTEST, (209_374, 231_007, 209_375, 220_500, 209_374)),
    "conv1 to conv7": (list(SHORTEST)[:7], (4_574, 30_001, 4_575, 6_000, 30_001, 9_999)),
    "conv1 to conv4": (list(SHORTEST)[:4], (222, 223, 224, 1_000, 301, 222, 4_096, 239)),
    "conv1": (["conv1"], (14, 15, 16, 29, 30, 1_000, 14)),
    "conv3 and conv6": (["conv3", "conv6"], (5_000, 4_574, 20_001)),
    "equal": (["conv1", "conv4"], (3_000, 3_000, 3_000)),
    "one": (["conv2"], (777,)),
}


@pytest.mark.parametrize("case", LENGTHS)
def test_unequal_waveforms_give_what_each_gives_alone(network, rng, case):
    names, samples = LENGTHS[case]
    outputs, waveforms = some(network, *names), noise(rng, *samples)
    found, expected = run(network, waveforms, outputs), alone(network, waveforms, outputs)
    assert found.shape == (len(samples), sum(tensor.shape[-1] for tensor in outputs.values()))
    assert found.dtype == np.float32
    assert np.ptp(expected, axis=0).max() > 1e-3 or len(samples) == 1
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_silence_behind_the_end_would_not_do(network, rng):
    """What zeros behind a waveform's end give when nothing is done about them."""
    outputs, [short, long] = some(network, "conv1", "conv2", "conv4"), noise(rng, 1_000, 3_000)
    padded = np.pad(short, (0, 2_000))
    found = run(network, [short, long], outputs)[0]
    assert np.abs(found - alone(network, [padded], outputs)[0]).max() > 0.01
    np.testing.assert_allclose(found, alone(network, [short], outputs)[0], atol=2e-5)


def test_small_batches_and_any_order_change_nothing(network, rng, monkeypatch):
    outputs = some(network, "conv1", "conv2", "conv3")
    waveforms = noise(rng, 500, 900, 222, 700, 2_000, 900, 333)
    whole = run(network, waveforms, outputs)
    turned = np.array([3, 0, 6, 5, 1, 2, 4])
    np.testing.assert_allclose(run(network, [waveforms[i] for i in turned], outputs), whole[turned], atol=1e-5)
    for samples in (1, 1_000, 2_100):
        monkeypatch.setattr(batching, "BATCH_SAMPLES", samples)
        np.testing.assert_allclose(run(network, waveforms, outputs), whole, atol=1e-5)
    assert np.ptp(whole, axis=0).max() > 1e-3


def test_outputs_stand_in_the_order_asked_for(network, rng):
    waveforms = noise(rng, 600, 800)
    one, two = (run(network, waveforms, some(network, *names)) for names in (["conv1", "conv2"], ["conv2", "conv1"]))
    np.testing.assert_allclose(np.concatenate([two[:, 4:], two[:, :4]], axis=1), one, atol=1e-6)


@pytest.mark.parametrize("name", SHORTEST)
def test_one_sample_too_short_names_the_layer(network, rng, name):
    shortest = SHORTEST[name]
    assert (slow_positions(shortest, name), slow_positions(shortest - 1, name)) == (1, 0)
    with pytest.raises(PatchShapeError, match=rf"{shortest - 1} samples is too short for layer {name} of 'soundnet'"):
        run(network, noise(rng, shortest + 501, shortest - 1), some(network, name))


@pytest.mark.parametrize("samples", [0, 1, 13])
def test_hardly_a_waveform_is_an_error(network, samples):
    with pytest.raises(PatchShapeError, match=rf"{samples} samples is too short for layer conv1"):
        run(network, [np.zeros(samples, np.float32)], some(network))


def test_first_layer_that_is_too_deep_is_named(network, rng):
    with pytest.raises(PatchShapeError, match=r"too short for layer conv5 .*earlier layers with layers="):
        run(network, noise(rng, 4_573, 250_000), some(network))


@pytest.mark.parametrize(
    ("names", "samples"),
    [
        (["conv1"], (14, 100, 31, 100)),
        (["conv3"], (222, 2_000, 1_023)),
        (["conv5"], (4_574, 30_000, 12_345)),
        (["conv1", "conv4"], (1_000, 222, 1_500)),
        (["conv8", "conv8_2"], (209_374, 280_000)),
    ],
)
def test_flattened_layers_keep_every_position_and_zeros_behind_the_end(network, rng, names, samples):
    outputs, waveforms = some(network, *names), noise(rng, *samples)
    found = run(network, waveforms, outputs, over_time="flatten")
    single = keras.Model(network.input, [*outputs.values(), network.get_layer("scale").output])
    rows = []
    for waveform in waveforms:
        row = []
        for name, output in zip(names, single(waveform[None, :, None], training=False)[:-1], strict=True):
            positions = slow_positions(max(samples), name)
            assert output.shape[1] == slow_positions(len(waveform), name)
            row.append(np.pad(output.numpy()[0], ((0, positions - output.shape[1]), (0, 0))).ravel())
        rows.append(np.concatenate(row))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.stack(rows), atol=2e-5)
    assert (found[np.argmin(samples)] == 0).sum() > (found[np.argmax(samples)] == 0).sum()


def test_flattened_batches_are_as_wide_as_the_longest_of_all(network, rng, monkeypatch):
    outputs, waveforms = some(network, "conv2"), noise(rng, 400, 3_000, 222, 1_000)
    whole = run(network, waveforms, outputs, over_time="flatten")
    assert whole.shape == (4, slow_positions(3_000, "conv2") * 4)
    monkeypatch.setattr(batching, "BATCH_SAMPLES", 1)
    np.testing.assert_allclose(run(network, waveforms, outputs, over_time="flatten"), whole, atol=1e-5)


def test_flattened_layers_have_a_limit(network, rng, monkeypatch):
    assert batching.FLAT * 4 == 2**30  # bytes of float32
    outputs, waveforms = some(network, "conv1", "conv2"), noise(rng, 300, 1_000)
    numbers = 3 * slow_positions(1_000, "conv1") + 4 * slow_positions(1_000, "conv2")
    monkeypatch.setattr(batching, "FLAT", 2 * numbers)
    assert run(network, waveforms, outputs, over_time="flatten").shape == (2, numbers)
    monkeypatch.setattr(batching, "FLAT", 2 * numbers - 1)
    with pytest.raises(MissingDataError, match=rf"conv1, conv2 flattened: {numbers:,} .*too many for 2 clips.*later"):
        run(network, waveforms, outputs, over_time="flatten")
    assert run(network, waveforms, outputs).shape == (2, 7)


def test_other_networks_of_the_same_kinds(rng):
    """Unequal zeros, strides and pools, activations inside and behind a layer, and two branches."""
    layers = keras.layers
    inputs = keras.Input((None, 1))
    x = layers.ZeroPadding1D((3, 1))(inputs)
    x = layers.Conv1D(4, 5, strides=3, activation="relu", bias_initializer="random_normal", name="first")(x)
    x = layers.Activation("tanh")(x)
    x = layers.MaxPooling1D(3, strides=2, name="pool")(x)
    left = layers.Conv1D(2, 2, bias_initializer="random_normal", name="left")(layers.ZeroPadding1D(2)(x))
    right = layers.Conv1D(3, 4, bias_initializer="random_normal", name="right")(x)
    network = keras.Model(inputs, [left, right])
    outputs, waveforms = {"left": left, "pool": x, "right": right}, noise(rng, 40, 41, 97, 42, 200, 43)
    np.testing.assert_allclose(run(network, waveforms, outputs), alone(network, waveforms, outputs), atol=1e-5)


LAYER = keras.layers
REFUSED = {
    "same padding": LAYER.Conv1D(2, 3, padding="same", name="odd"),
    "causal padding": LAYER.Conv1D(2, 3, padding="causal", name="odd"),
    "dilation": LAYER.Conv1D(2, 3, dilation_rate=2, name="odd"),
    "pool with padding": LAYER.MaxPooling1D(2, padding="same", name="odd"),
    "dense": LAYER.Dense(3, name="odd"),
    "average pool": LAYER.AveragePooling1D(2, name="odd"),
    "over all time": LAYER.GlobalAveragePooling1D(keepdims=True, name="odd"),
    "recurrent": LAYER.GRU(2, return_sequences=True, name="odd"),
    "layer norm": LAYER.LayerNormalization(name="odd"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_layers_of_other_kinds_are_refused(rng, case):
    inputs = keras.Input((None, 1))
    first = keras.layers.Conv1D(2, 3, name="first")(inputs)
    last = keras.layers.Conv1D(2, 1, name="last")(REFUSED[case](first))
    network = keras.Model(inputs, last, name="own")
    with pytest.raises(PatchShapeError, match=r"layer 'odd' of 'own' is not one of SoundNet's kinds .*zero padding"):
        run(network, noise(rng, 500, 500), {"last": network.output})
    # What is not needed for the layers asked for may be of any kind.
    found = run(network, waveforms := noise(rng, 500, 500), {"first": first})
    np.testing.assert_allclose(found, alone(network, waveforms, {"first": first}), atol=1e-5)


def test_progress_can_be_turned_off(network, rng, capsys):
    run(network, noise(rng, 300), some(network, "conv1"))
    shown = capsys.readouterr()
    assert shown.out == shown.err == ""


# Scores of patches


@pytest.mark.parametrize("score", ["probability", "logit"])
def test_scores(score, network_of, patches_of):
    network, patches = network_of(), patches_of()
    found = scores_of(network, patches.data, score=score)
    expected = network.predict(patches.data, verbose=0)
    if score == "logit":
        found = np.exp(found) / np.exp(found).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


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
def test_scores_follow_the_network(precision, score, separate, network_of, patches_of):
    """Never are scores those of weights or activations that are no longer there."""
    network, data = network_of(), patches_of().data
    if not separate:
        dense = keras.layers.Dense(3, activation="softmax")
        network = keras.Model(network.inputs[0], dense(network.layers[-3].output))
        dense.kernel.assign(dense.kernel * 0.1)  # far from a saturated softmax, which no change would move

    def now():
        return scores_of(network, data, score=score, precision=precision)

    first = now()
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
        scores_of(network, patches_of().data, score="logit", precision=precision)
    gone = weakref.ref(network)
    del network
    gc.collect()
    assert gone() is None


def every_way(network, patches):
    yield lambda: predict(network, patches, batch_size=2, cache=False)
    yield lambda: fine_tune(network, patches, patches, cache=False, progress=False)
    for method, options in {
        "gradcam": {},
        "lime": {"samples": 20},
        "occlusion": {},
        "scorecam": {},
        "saliency": {},
    }.items():
        yield lambda method=method, options=options: explain(
            network, patches, method, batch_size=2, cache=False, **options
        )


@pytest.mark.parametrize("layer", ["first", "second", "FCFinal"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_an_error(network_of, patches_of, layer, value):
    """Behind a ReLU and a pool nothing of it need be seen: scores are then finite and wrong."""
    network = network_of()
    bias = network.get_layer(layer).bias
    bias.assign(np.where(np.arange(bias.shape[0]) == 1, value, np.asarray(bias)))
    for give in every_way(network, patches_of(n=3)):
        with pytest.raises(WeightsError, match=rf"its weight .*{layer}/bias is NaN or infinite"):
            give()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_patches_that_are_no_numbers_are_an_error(network_of, patches_of, with_cells, value):
    patches = with_cells(patches_of(n=5), (3, 2, 1), value)
    ways = list(every_way(network_of(), patches))
    for give in [ways[0], *ways[2:]]:
        with pytest.raises(WeightsError, match="NaN or infinite for"):
            give()
    with pytest.raises(WeightsError, match="patches are NaN or infinite for 1 of 2 patches from patch 2 on"):
        predict(network_of(), patches, batch_size=2, cache=False)


def test_a_network_that_divides_by_nothing_is_an_error(patches_of):
    inputs = keras.Input((37, 23, 1))
    x = keras.layers.Flatten()(inputs)
    network = keras.Model(inputs, keras.layers.Dense(2)(x / keras.ops.sum(0 * x, axis=1, keepdims=True)))
    with pytest.raises(WeightsError, match="the network gives NaN or infinite for 3 of 3"):
        predict(network, patches_of(n=3), cache=False)


def own(ending, units=1):
    """A network of one convolution that ends in some units with an activation."""
    keras.utils.set_random_seed(5)
    inputs = keras.Input((36, 24, 1))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, activation="relu", name="conv")(inputs))
    return keras.Model(inputs, keras.layers.Dense(units, activation=ending, name="last")(x))


@pytest.mark.parametrize("ending", ["sigmoid", None])
def test_one_unit_tells_two_classes(patches_of, ending):
    network, patches = own(ending), patches_of((36, 24), n=4)
    given = network.predict(patches.data[..., None], verbose=0)[:, 0].astype(float)
    one = given if ending else 1 / (1 + np.exp(-given))
    table = predict(network, patches, cache=False)
    np.testing.assert_allclose(table[["0", "1"]], np.stack([1 - one, one], axis=1), atol=1e-6)
    assert list(table["predicted"]) == ["1" if share > 0.5 else "0" for share in one]
    odds = np.log(one / (1 - one))
    found = scores_of(network, patches.data, score="logit")
    np.testing.assert_allclose(found, np.stack([-odds, odds], axis=1), atol=1e-5)
    occluded = explain(network, patches, "occlusion", cache=False)
    np.testing.assert_allclose(occluded.sel(label="0"), -occluded.sel(label="1"), atol=1e-6)
    cams = explain(network, patches, "cam", details=True, cache=False)
    np.testing.assert_allclose(cams["logit"], np.stack([-odds, odds], axis=1), atol=1e-5)
    assert explain(network, patches, "gradcam", cache=False).sizes["label"] == 2


def test_networks_that_give_logits_have_probabilities_too(patches_of):
    network, patches = own(None, 3), patches_of((36, 24), n=4)
    logits = network.predict(patches.data[..., None], verbose=0).astype(float)
    powers = np.exp(logits)
    expected = powers / powers.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(predict(network, patches, cache=False)[["0", "1", "2"]], expected, atol=1e-6)
    for score, value in (("probability", expected), ("logit", logits)):
        np.testing.assert_allclose(scores_of(network, patches.data, score=score), value, atol=1e-5)
        for method, options in (("occlusion", {}), ("lime", {"samples": 20})):
            found = explain(network, patches, method, score=score, details=True, cache=False, **options)
            np.testing.assert_allclose(found["score"], value, atol=1e-5)
            assert found["map"].attrs["units"] == score


def test_sigmoids_of_several_classes_are_left_as_they_are(patches_of):
    network, patches = own("sigmoid", 3), patches_of((36, 24), n=4)
    scores = network.predict(patches.data[..., None], verbose=0).astype(float)
    np.testing.assert_allclose(predict(network, patches, cache=False)[["0", "1", "2"]], scores, atol=1e-6)
    np.testing.assert_allclose(
        scores_of(network, patches.data, score="logit"), np.log(scores / (1 - scores)), atol=1e-4
    )


@pytest.mark.parametrize(("ending", "units", "gives"), [("sigmoid", 1, "one score"), (None, 3, "logits")])
def test_networks_that_give_no_probability_a_class_are_not_trained(patches_of, ending, units, gives):
    patches = patches_of((36, 24), n=4)
    with pytest.raises(ValueError, match=rf"gives {gives}.*add_head"):
        fine_tune(own(ending, units), patches, patches, cache=False, progress=False)
