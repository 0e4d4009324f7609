"""Step and field of SoundNet's layers against trying out which samples are heard; networks behind other front ends."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from audiointerp.errors import PatchShapeError, WeightsError
from audiointerp.layers.features import layer_table
from audiointerp.networks.custom_layers import ScaleWaveform
from audiointerp.networks.graph import layer_outputs
from audiointerp.networks.head import add_head, frontend_of, labels_of, with_frontend
from audiointerp.networks.saving import load_network, save_network
from audiointerp.networks.soundnet import CONVOLUTIONS, soundnet
from audiointerp.sound.frontend import SOUNDNET, VGGISH

CONVS = list(CONVOLUTIONS)
HEADS = ["conv8", "conv8_2"]
FILTERS = dict(zip([*CONVS, *HEADS], (2, 3, 2, 4, 2, 3, 4, 5, 3), strict=True))
LABELS = ["dog", "rain", "sea"]
# conv1: 64 taps, pool 8 at step 2; conv2: 31 more taps at step 16, pool at 32; conv3 at 256; conv4 at 512; …
STEP = dict(zip(FILTERS, (16, 256, 512, 1_024, 8_192, 16_384, 32_768, 65_536, 65_536), strict=True))
FIELD = dict(zip(FILTERS, (78, 798, 4_638, 8_222, 17_438, 42_014, 91_166, 320_542, 320_542), strict=True))


def pruned(rng, *, heads=(), positive=False):
    """Weights of a SoundNet with few filters; if they are positive, every sample that is heard adds something."""
    arrays, before = {}, 1
    for name in [*CONVS, *heads]:
        taps, filters = (CONVOLUTIONS[name][0] if name in CONVS else 8), FILTERS[name]
        arrays[f"{name}/weights"] = rng.uniform(0.5 if positive else -1, 1, (taps, before, filters))
        arrays[f"{name}/biases"] = np.zeros(filters) if positive else rng.normal(size=filters)
        if name in CONVS:
            before = filters
            for part, value in {"gamma": 1, "beta": 0, "mean": 0, "var": 1}.items():
                arrays[f"{name}/{part}"] = np.full(filters, value, float)
    return arrays


def tiny(frontend=SOUNDNET, labels=None, **options):
    return soundnet(weights="random", width=0.05, frontend=frontend, labels=labels, **options)


def test_table_of_known_numbers(rng):
    table = layer_table(soundnet(weights=pruned(rng, heads=HEADS)))
    assert list(table.index) == list(FILTERS) and table.index.name == "layer"
    assert list(table.columns) == ["filters", "taps", "step", "field", "step (ms)", "field (ms)"]
    assert table["filters"].to_dict() == FILTERS
    assert list(table["taps"]) == [64, 32, 16, 8, 4, 4, 4, 8, 8]
    assert table["step"].to_dict() == STEP and table["field"].to_dict() == FIELD
    np.testing.assert_allclose(table["step (ms)"], table["step"] / 22.05)
    np.testing.assert_allclose(table["field (ms)"], table["field"] / 22.05)


@pytest.mark.parametrize("head", HEADS)
def test_one_head_alone(rng, head):
    table = layer_table(soundnet(weights=pruned(rng, heads=[head])))
    assert list(table.index) == [*CONVS, head]
    assert (table.loc[head, "step"], table.loc[head, "field"]) == (65_536, 320_542)


@pytest.mark.parametrize("name", FILTERS)
def test_a_position_hears_as_many_samples_as_the_table_says(rng, name):
    """One click at a time, through weights that cannot cancel: which positions change?"""
    network = soundnet(weights=pruned(rng, heads=HEADS, positive=True))
    layer = keras.Model(network.input, layer_outputs(network)[name])
    row = layer_table(network).loc[name]
    step, field, samples = int(row["step"]), int(row["field"]), int(2 * row["field"] + 4 * row["step"] + 4_000)

    def heard(click):
        waveform = np.zeros((1, samples, 1), np.float32)
        waveform[0, click] = 1
        return layer.predict_on_batch(waveform)[0].max(axis=1) > 0

    middle = samples // 2
    position = np.flatnonzero(heard(middle))[-1]
    outside, first = max(0, middle - field), middle  # the first sample that this position hears is between the two
    assert not heard(outside)[position]
    while first - outside > 1:
        between = (first + outside) // 2
        first, outside = (between, outside) if heard(between)[position] else (first, between)
    assert heard(first + field - 1)[position] and not heard(first + field)[position]
    for away in (1, -1):
        assert heard(first + away * step)[position + away]
        assert not heard(first + away * step - 1)[position + away]


@pytest.mark.parametrize("name", CONVS[:5])
def test_sound_that_comes_a_step_later_is_heard_a_position_later(rng, name):
    network = soundnet(weights="random", width=0.25)
    layer = keras.Model(network.input, layer_outputs(network)[name])
    row = layer_table(network).loc[name]
    step, field = int(row["step"]), int(row["field"])
    edge = -(-field // step)  # positions that hear the zeros before and behind the waveform
    waveform = rng.normal(0, 0.1, (1, (4 * edge + 6) * step, 1)).astype(np.float32)
    here = layer.predict_on_batch(waveform)[0]
    later = layer.predict_on_batch(waveform[:, step:])[0]
    np.testing.assert_allclose(later[edge:-edge], here[edge + 1 :][: len(later) - 2 * edge], rtol=1e-3, atol=1e-3)
    assert len(later) - 2 * edge > 2
    half = layer.predict_on_batch(waveform[:, step // 2 :])[0]
    assert not np.allclose(half[edge:-edge], here[edge + 1 :][: len(half) - 2 * edge], rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("name", CONVS[:4])
def test_a_changed_sample_changes_no_more_positions_than_hear_it(rng, name):
    network = soundnet(weights="random", width=0.25)
    layer = keras.Model(network.input, layer_outputs(network)[name])
    row = layer_table(network).loc[name]
    waveform = rng.normal(0, 0.1, (1, int(4 * row["field"]), 1)).astype(np.float32)
    before = layer.predict_on_batch(waveform)[0]
    most = 0
    for sample in rng.integers(row["field"], 3 * row["field"], 20):
        changed = waveform.copy()
        changed[0, sample] += 3
        positions = np.flatnonzero(np.abs(layer.predict_on_batch(changed)[0] - before).max(axis=1) > 1e-3)
        most = max(most, np.ptp(positions) + 1)
    hear = -(-row["field"] // row["step"])
    assert 0.5 * hear <= most <= hear


def test_a_network_with_labels_has_the_same_layers(rng):
    plain = layer_table(soundnet(weights=pruned(rng)))
    assert layer_table(soundnet(weights=pruned(rng), labels=LABELS)).equals(plain)
    assert list(plain.index) == CONVS


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_milliseconds_are_those_of_the_sample_rate(rng, rate):
    table = layer_table(tiny(replace(SOUNDNET, sample_rate=rate)))
    assert table["step"].to_dict() == {name: STEP[name] for name in CONVS}
    np.testing.assert_allclose(table["step (ms)"], table["step"] / rate * 1_000)
    np.testing.assert_allclose(table["field (ms)"], table["field"] / rate * 1_000)


def test_a_network_that_does_not_take_waveforms():
    inputs = keras.Input((96, 64, 1))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(2, 3)(inputs))
    network = add_head(keras.Model(inputs, pooled, name="tiny"), LABELS, VGGISH)
    with pytest.raises(PatchShapeError, match=r"'tiny' takes inputs of shape \(None, 96, 64, 1\), not waveforms"):
        layer_table(network)


def test_a_network_without_a_front_end():
    network = keras.Sequential([keras.Input((None, 1)), keras.layers.Conv1D(2, 3)], name="bare")
    with pytest.raises(WeightsError, match="'bare' does not say which front end"):
        layer_table(network)


FASTER = replace(SOUNDNET, sample_rate=44_100, shortest=0, channel=None)


@pytest.mark.parametrize("labels", [None, LABELS])
def test_the_same_weights_behind_another_front_end(rng, labels):
    network = tiny(labels=labels)
    weights = [weight.copy() for weight in network.get_weights()]
    network.set_weights([weight + rng.normal(0, 0.01, weight.shape) ** 2 for weight in weights])
    copy = with_frontend(network, FASTER)
    assert frontend_of(copy) == FASTER and frontend_of(network) == SOUNDNET
    assert all(
        layer.frontend == FASTER for layer in copy.layers if isinstance(layer, ScaleWaveform) or layer.name == "scores"
    )
    assert copy.name == network.name and [layer.name for layer in copy.layers] == [
        layer.name for layer in network.layers
    ]
    if labels:
        assert labels_of(copy) == LABELS
    for one, two in zip(network.get_weights(), copy.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    waveform = rng.normal(0, 0.1, (2, 30_000, 1)).astype(np.float32)
    np.testing.assert_allclose(copy.predict(waveform, verbose=0), network.predict(waveform, verbose=0), rtol=1e-5)
    copy.set_weights([0 * weight for weight in copy.get_weights()])  # a copy: the first one keeps its own
    assert any(weight.any() for weight in network.get_weights())


def test_table_behind_another_front_end():
    table, other = layer_table(tiny()), layer_table(with_frontend(tiny(), FASTER))
    assert list(other["field"]) == list(table["field"])
    np.testing.assert_allclose(other["field (ms)"], table["field (ms)"] / 2)


def test_the_factor_of_the_new_front_end_counts(rng):
    network = tiny()
    louder = with_frontend(network, replace(SOUNDNET, scale=512.0))
    waveform = rng.normal(0, 0.1, (1, 30_000, 1)).astype(np.float32)
    found = louder.predict(waveform, verbose=0)
    np.testing.assert_allclose(found, network.predict(2 * waveform, verbose=0), rtol=1e-4)
    assert not np.allclose(found, network.predict(waveform, verbose=0), rtol=1e-2)


def test_the_front_end_is_saved_with_the_network(tmp_path):
    saved = save_network(with_frontend(tiny(labels=LABELS), FASTER), tmp_path / "network.keras")
    loaded = load_network(saved)
    assert frontend_of(loaded) == FASTER and labels_of(loaded) == LABELS


def test_two_heads_keep_theirs(rng):
    network = soundnet(weights=pruned(rng, heads=HEADS))
    copy = with_frontend(network, FASTER)
    waveform = rng.normal(0, 0.1, (1, 330_000, 1)).astype(np.float32)
    for one, two in zip(network.predict(waveform, verbose=0), copy.predict(waveform, verbose=0), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)
