"""SoundNet against an independent forward pass in NumPy, and arrays that do not fit it."""

from pathlib import Path

import keras
import numpy as np
import pytest

from audiointerp.errors import MissingDataError, WeightsError
from audiointerp.networks.graph import layer_outputs
from audiointerp.networks.head import frontend_of, labels_of
from audiointerp.networks.soundnet import soundnet
from audiointerp.networks.soundnet_weights import find_weights, read_weights
from audiointerp.sound.frontend import SOUNDNET, WaveformFrontEnd

# As published: taps, zeros on both sides, pool.
LAYERS = {
    "conv1": (64, 32, 8),
    "conv2": (32, 16, 8),
    "conv3": (16, 8, 1),
    "conv4": (8, 4, 1),
    "conv5": (4, 2, 4),
    "conv6": (4, 2, 1),
    "conv7": (4, 2, 1),
}
FILTERS = (16, 32, 64, 128, 256, 512, 1024)
SMALL = (3, 5, 4, 6, 2, 5, 4)
CLASSES = {"conv8": 1000, "conv8_2": 401}
FEW = {"conv8": 7, "conv8_2": 3}
LONG_ENOUGH = 209_374  # samples, for one position of conv8


def official(filters=SMALL, classes=FEW, *, seed=5, four=True):
    """Arrays as ``sound8.npy`` nests them, of a scale that keeps every layer alive."""
    rng = np.random.default_rng(seed)
    nested, loudness = {}, 256 * 0.1
    for name, before, own in zip(LAYERS, (1, *filters), filters, strict=False):
        taps = LAYERS[name][0]
        nested[name] = {
            "weights": rng.normal(0, 1 / np.sqrt(taps * before), (taps, 1, before, own)),
            "biases": rng.normal(0, 0.2 * loudness, own),
            "gamma": rng.uniform(0.5, 1.5, own),
            "beta": rng.normal(0, 0.3, own),
            "mean": rng.normal(0, 0.2 * loudness, own),
            "var": rng.uniform(0.5, 1.5, own) * loudness**2,
        }
        loudness = 1.0
    for name, count in classes.items():
        weights = rng.normal(0, 1 / np.sqrt(8 * filters[-1]), (8, 1, filters[-1], count))
        nested[name] = {"weights": weights, "biases": rng.normal(0, 0.5, count)}
    for parts in nested.values():
        for part, array in parts.items():
            parts[part] = (array[:, 0] if part == "weights" and not four else array).astype(np.float32)
    return nested


def flat(nested):
    return {f"{name}/{part}": array for name, parts in nested.items() for part, array in parts.items()}


def slow_convolution(x, parts, zeros=0):
    """Every second window of (positions, channels) between zeros, times the weights."""
    weights = parts["weights"].astype(np.float64)
    weights = weights[:, 0] if weights.ndim == 4 else weights
    nothing = np.zeros((zeros, x.shape[1]))
    x = np.concatenate([nothing, x, nothing])
    windows = np.stack([x[tap : len(x) - len(weights) + 1 + tap : 2] for tap in range(len(weights))])
    return np.einsum("tpi,tio->po", windows, weights, optimize=True) + parts["biases"]


def slow_layers(nested, waveform):
    """Output of every layer in float64, after its pool, then the heads' logits and distributions."""
    x, outputs = 256.0 * waveform.astype(np.float64)[:, None], {}
    for name, (_, zeros, pool) in LAYERS.items():
        parts = nested[name]
        x = slow_convolution(x, parts, zeros)
        x = parts["gamma"] * (x - parts["mean"]) / np.sqrt(parts["var"].astype(np.float64) + 1e-5) + parts["beta"]
        x = np.maximum(x, 0)
        whole = len(x) // pool
        x = outputs[name] = x[: whole * pool].reshape(whole, pool, -1).max(axis=1)
    distributions = []
    for name in [name for name in nested if name not in LAYERS]:
        outputs[name] = slow_convolution(x, nested[name])
        raised = np.exp(outputs[name] - outputs[name].max(axis=1, keepdims=True))
        distributions.append(raised / raised.sum(axis=1, keepdims=True))
    return outputs, distributions


def sound(rng, samples):
    """Noise around 0.1 with a tone that comes and goes."""
    time = np.arange(samples) / 22_050
    tone = 0.3 * np.sin(2 * np.pi * 440 * time) * (np.sin(2 * np.pi * 0.7 * time) > 0)
    return (rng.normal(0, 0.1, samples) + tone).astype(np.float32)


def equals_numpy(network, nested, waveform):
    layers = layer_outputs(network)
    outputs, distributions = slow_layers(nested, waveform)
    assert list(layers) == list(outputs)
    ends = network.outputs if distributions else []
    found = keras.Model(network.input, [*layers.values(), *ends])(waveform[None, :, None], training=False)
    names = [*layers, *(output.name for output in ends)]
    for name, own, expected in zip(names, found, [*outputs.values(), *distributions], strict=True):
        own = own.numpy()[0]
        assert own.shape == expected.shape, name
        assert np.abs(expected).max() > 1e-3 and np.ptp(expected) > 0, name
        np.testing.assert_allclose(own, expected, atol=1e-4, err_msg=name)


def test_network_of_the_published_widths_equals_an_independent_forward_pass(rng):
    nested = official(FILTERS, CLASSES)
    network = soundnet(weights=flat(nested))
    assert network.input_shape == (None, None, 1)
    assert [tuple(output.shape) for output in network.outputs] == [(None, None, 1000), (None, None, 401)]
    assert network.output_names == ["objects", "scenes"]
    assert network.count_params() == sum(array.size for array in flat(nested).values())
    equals_numpy(network, nested, sound(rng, LONG_ENOUGH + 1_111))


@pytest.mark.parametrize("four", [True, False], ids=["taps × 1 × in × out", "taps × in × out"])
@pytest.mark.parametrize("samples", [LONG_ENOUGH, 240_001])
def test_small_network_equals_the_forward_pass(rng, four, samples):
    nested = official(four=four)
    assert nested["conv2"]["weights"].ndim == (4 if four else 3)
    equals_numpy(soundnet(weights=flat(nested)), nested, sound(rng, samples))


def test_weights_of_three_and_four_axes_are_the_same_network(rng):
    waveform = sound(rng, LONG_ENOUGH)[None, :, None]
    networks = [soundnet(weights=flat(official(four=four))) for four in (True, False)]
    for one, two in zip(*(network.get_weights() for network in networks), strict=True):
        np.testing.assert_array_equal(one, two)
    for one, two in zip(*(network(waveform) for network in networks), strict=True):
        np.testing.assert_array_equal(one, two)


def test_filters_that_hardly_vary_show_the_epsilon(rng):
    nested = official()
    for name in LAYERS:
        nested[name]["var"][0] = 1e-6
        nested[name]["gamma"][0] = 1e-4
    equals_numpy(soundnet(weights=flat(nested)), nested, sound(rng, LONG_ENOUGH))


@pytest.mark.parametrize("heads", [{"conv8": 7}, {"conv8_2": 3}, {}], ids=["objects", "scenes", "none"])
def test_network_ends_in_the_heads_that_the_weights_have(rng, heads):
    nested = official(classes=heads)
    network = soundnet(weights=flat(nested))
    assert len(network.outputs) == 1
    expected = next(iter(heads.values()), SMALL[-1])
    assert network.outputs[0].shape == (None, None, expected)
    outputs, distributions = slow_layers(nested, waveform := sound(rng, LONG_ENOUGH))
    np.testing.assert_allclose(
        network(waveform[None, :, None])[0], distributions[0] if heads else outputs["conv7"], atol=1e-4
    )


def test_labels_end_the_network_in_the_average_over_time_and_a_new_layer(rng):
    nested, waveform = official(), sound(rng, 60_000)
    network = soundnet(weights=flat(nested), labels=["dog", "rain"], seed=3)
    assert labels_of(network) == ["dog", "rain"] and network.output_shape == (None, 2)
    embedding = slow_layers({name: nested[name] for name in LAYERS}, waveform)[0]["conv7"].mean(axis=0)
    kernel, bias = network.get_layer("FCFinal").get_weights()
    raised = np.exp(embedding @ kernel + bias)
    np.testing.assert_allclose(network(waveform[None, :, None])[0], raised / raised.sum(), atol=1e-5)
    again, other = (soundnet(weights=flat(nested), labels=["dog", "rain"], seed=s) for s in (3, 4))
    np.testing.assert_array_equal(again.get_layer("FCFinal").get_weights()[0], kernel)
    assert not np.allclose(other.get_layer("FCFinal").get_weights()[0], kernel)


@pytest.mark.realdata
def test_real_official_file(real_data):
    """All widths, all layers, both heads; the waveform of one clip against the forward pass in NumPy."""
    network = soundnet()
    assert tuple(network.get_layer(name).filters for name in LAYERS) == FILTERS
    wide = zip((taps for taps, *_ in LAYERS.values()), (1, *FILTERS), FILTERS, strict=False)
    body = sum(taps * before * own + 5 * own for taps, before, own in wide)
    assert network.count_params() == body + (8 * 1024 + 1) * 1401
    with np.load(find_weights(), allow_pickle=False) as file:
        nested = {name: {part: file[f"{name}/{part}"] for part in parts(name)} for name in (*LAYERS, *CLASSES)}
    path = next(Path(real_data, "esc10", "rooster").glob("*.ogg"))
    waveform = SOUNDNET.read(path)[0][:250_000]
    layers = layer_outputs(network)
    found = keras.Model(network.input, list(layers.values()))(waveform[None, :, None], training=False)
    outputs, _ = slow_layers(nested, waveform)
    for name, own in zip(layers, found, strict=True):
        np.testing.assert_allclose(own[0], outputs[name], atol=1e-4 * np.abs(outputs[name]).max(), err_msg=name)


def parts(name):
    return ("weights", "biases", "gamma", "beta", "mean", "var")[: 2 if name in CLASSES else None]


def test_pruned_network_has_the_widths_of_its_file(monkeypatch, tmp_path, rng):
    widths = (16, 32, 41, 56, 88, 235, 59)
    nested = official(widths, {}, four=False)
    monkeypatch.setenv("AUDIOINTERP_DATA", str(tmp_path))
    with pytest.raises(MissingDataError, match=r"soundnet_pruned\.npz: .*not there.*weights='official'"):
        soundnet(weights="pruned")
    (tmp_path / "weights").mkdir()
    np.savez(tmp_path / "weights" / "soundnet_pruned.npz", **flat(nested))
    network = soundnet(weights="pruned")
    assert tuple(network.get_layer(name).filters for name in LAYERS) == widths
    equals_numpy(network, nested, sound(rng, 30_000))
    for one, two in zip(network.get_weights(), soundnet(weights=read_weights("pruned")).get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("key", ["conv1/weights", "conv4/biases", "conv7/var", "conv5/gamma", "conv8/biases"])
def test_missing_array(tmp_path, key):
    arrays = flat(official())
    del arrays[key]
    with pytest.raises(WeightsError, match=rf"the arrays given: array '{key}' is missing\. .*download soundnet"):
        soundnet(weights=arrays)
    np.savez(tmp_path / "w.npz", **arrays)
    with pytest.raises(WeightsError, match=rf"w\.npz: array '{key}' is missing"):
        soundnet(weights=tmp_path / "w.npz")


WRONG = {
    "conv1/weights": ((32, 1, 1, 3), r"expected \(64, 1, filters\)"),
    "conv2/weights": ((32, 1, 4, 5), r"expected \(32, 3, filters\)"),
    "conv3/weights": ((16, 5), r"expected \(16, 5, filters\)"),
    "conv4/weights": ((8, 2, 4, 6), r"expected \(8, 4, filters\)"),
    "conv5/biases": ((3,), r"expected \(2,\)"),
    "conv6/var": ((5, 2), r"expected \(5,\)"),
    "conv8/weights": ((4, 1, 4, 7), r"expected \(8, 4, filters\)"),
    "conv8_2/weights": ((8, 1, 7, 3), r"expected \(8, 4, filters\)"),
    "conv8_2/biases": ((4,), r"expected \(3,\)"),
}


@pytest.mark.parametrize("key", WRONG)
def test_arrays_of_another_shape(key):
    shape, expected = WRONG[key]
    with pytest.raises(WeightsError) as caught:
        soundnet(weights=flat(official()) | {key: np.ones(shape, np.float32)})
    assert f"array '{key}' has shape {shape}" in str(caught.value)
    with pytest.raises(WeightsError, match=expected):
        raise caught.value


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("key", ["conv1/weights", "conv7/mean", "conv8_2/biases"])
def test_arrays_that_are_not_finite(key, value):
    arrays = flat(official())
    arrays[key].flat[1] = value
    with pytest.raises(WeightsError, match=f"array '{key}' holds NaN or infinite values"):
        soundnet(weights=arrays)


@pytest.mark.parametrize("value", ["text", [[1], [2, 3]], {"a": 1}], ids=["text", "ragged", "dictionary"])
def test_arrays_that_hold_no_numbers(value):
    with pytest.raises(WeightsError, match="array 'conv3/biases' does not hold numbers"):
        soundnet(weights=flat(official()) | {"conv3/biases": value})


def test_arrays_given_are_left_as_they_were_and_may_be_of_other_precision():
    arrays = {key: array.astype(np.float64) for key, array in flat(official()).items()}
    before = {key: array.copy() for key, array in arrays.items()}
    weights = soundnet(weights=arrays).get_weights()
    for key, array in arrays.items():
        assert array.dtype == np.float64
        np.testing.assert_array_equal(array, before[key])
    for one, two in zip(weights, soundnet(weights=flat(official())).get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_random_network_has_the_published_widths_and_follows_its_seed():
    network = soundnet(weights="random")
    assert tuple(network.get_layer(name).filters for name in LAYERS) == FILTERS
    assert network.output_shape == (None, None, 1024)
    assert {layer.strides for layer in network.layers if isinstance(layer, keras.layers.Conv1D)} == {(2,)}
    networks = [soundnet(weights="random", width=0.125, seed=seed) for seed in (1, 1, 2)]
    assert networks[0].get_layer("conv4").filters == 16
    one, same, other = (network.get_weights() for network in networks)
    for a, b, c in zip(one, same, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert np.ptp(a) == 0 or not np.allclose(a, c)
    kernels = [weights for weights in one if weights.ndim == 3]
    assert len({kernel.ravel()[:3].tobytes() for kernel in kernels}) == len(LAYERS)


def test_width_is_for_random_weights_only():
    for weights, shown in [("official", "'official'"), (Path("a.npz"), "a.npz"), (flat(official()), "'the arrays")]:
        with pytest.raises(WeightsError, match=f"width 0.5 with weights .*{shown}.*random weights only") as caught:
            soundnet(weights=weights, width=0.5)
        assert len(str(caught.value)) < 150
    with pytest.raises(ValueError, match="factor above 0"):
        soundnet(weights="random", width=0)


def test_front_end_is_the_first_layer_and_its_scale_counts(rng):
    arrays, waveform = flat(official()), sound(rng, 3_000)[None, :, None]
    assert frontend_of(soundnet(weights=arrays)) == SOUNDNET and SOUNDNET.scale == 256
    half = WaveformFrontEnd(sample_rate=22_050, scale=128.0)
    network = soundnet(weights=arrays, frontend=half)
    assert frontend_of(network) == half
    full = soundnet(weights=arrays)
    one = keras.Model(full.input, layer_outputs(full)["conv3"])(waveform)
    two = keras.Model(network.input, layer_outputs(network)["conv3"])(2 * waveform)
    np.testing.assert_allclose(one, two, atol=1e-5)
    assert np.ptp(one) > 0
