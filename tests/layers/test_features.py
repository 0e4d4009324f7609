"""What layers give for each clip, against slow loops, and what they hear, against trying out which samples count."""

import warnings
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import soundfile

from audiointerp.errors import AudioRepairWarning, MissingDataError, PatchShapeError, UnreadableAudioError, WeightsError
from audiointerp.layers import features as module
from audiointerp.layers.features import layer_features, layer_table
from audiointerp.networks.custom_layers import ScaleWaveform
from audiointerp.networks.graph import layer_outputs
from audiointerp.networks.head import add_head, frontend_of, labels_of, with_frontend
from audiointerp.networks.saving import load_network, save_network
from audiointerp.networks.soundnet import CONVOLUTIONS, soundnet
from audiointerp.networks.vggish import vggish
from audiointerp.networks.yamnet import yamnet
from audiointerp.sound.frontend import SOUNDNET, VGGISH, WaveformFrontEnd
from audiointerp.sound.patches import Patches
from audiointerp.sound.reading import read_audio
from audiointerp.sound.waveforms import read_waveforms

LABELS = ["high", "low"]
SHORT = WaveformFrontEnd(shortest=1, sample_rate=8_000)


def with_heads(frontend=SOUNDNET, seed=2):
    """A narrow SoundNet of random weights that also has both heads."""
    narrow = stirred(soundnet(weights="random", width=1 / 16, frontend=frontend), seed)
    arrays = {}
    for layer in narrow.layers:
        parts = ("gamma", "beta", "mean", "var") if layer.name.endswith("_bn") else ("weights", "biases")
        for part, array in zip(parts, layer.get_weights(), strict=False):
            arrays[f"{layer.name.removesuffix('_bn')}/{part}"] = array
    rng = np.random.default_rng(seed)
    for name, classes in (("conv8", 5), ("conv8_2", 3)):
        arrays[f"{name}/weights"] = rng.normal(0, 0.1, (8, arrays["conv7/biases"].size, classes))
        arrays[f"{name}/biases"] = rng.normal(0, 0.1, classes)
    return soundnet(weights=arrays, frontend=frontend)


def stirred(network, seed=2):
    """The network with biases and batch norm that are not those of a new one."""
    rng = np.random.default_rng(seed)
    for layer in network.layers:
        weights = layer.get_weights()
        if weights and not isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([weights[0], *(rng.normal(0, 0.3, each.shape) for each in weights[1:])])
        elif weights:
            layer.set_weights([rng.uniform(0.5, 1.5, each.shape) for each in weights])
    return network


@pytest.fixture
def narrow():
    """A narrow SoundNet of random weights on short sounds."""
    return stirred(soundnet(weights="random", width=1 / 8, frontend=SHORT))


@pytest.fixture
def clips(tmp_path, rng):
    """Four clips of unequal length, two labels of ESC-50, with an index of their own."""
    paths = []
    for number, samples in enumerate([5_000, 9_001, 6_002, 5_000]):
        paths.append(str(tmp_path / f"{number}.wav"))
        soundfile.write(paths[-1], rng.normal(0, 0.1, samples), 8_000, subtype="FLOAT")
    columns = {"path": paths, "label": ["dog", "rain", "rain", "dog"], "fold": [1, 2, 1, 3], "source": list("abac")}
    return pd.DataFrame(columns, index=[7, 3, 9, 5])


@pytest.fixture
def no_computing(monkeypatch):
    """From here on nothing may be computed."""

    def start():
        for name in ("outputs_of", "try_waveforms", "run_waveforms"):
            monkeypatch.setattr(module, name, lambda *_, **__: pytest.fail("computed again"))

    return start


def features_of(network, data, **options):
    return layer_features(network, data, **{"progress": False, **options})


# Which tensors


def test_layers_of_soundnet_are_taken_behind_the_pool_where_there_is_one():
    network = with_heads()
    ends = {"conv1": "conv1_pool", "conv2": "conv2_pool", "conv3": "conv3_relu", "conv4": "conv4_relu"}
    ends |= {
        "conv5": "conv5_pool",
        "conv6": "conv6_relu",
        "conv7": "conv7_relu",
        "conv8": "conv8",
        "conv8_2": "conv8_2",
    }
    found = layer_outputs(network)
    assert list(found) == list(ends)
    for name, end in ends.items():
        assert found[name] is network.get_layer(end).output, name


def test_layers_of_vggish(small):
    network = vggish(LABELS, weights="random", width=0.05, frontend=small)
    ends = {"conv1": "pool1", "conv2": "pool2", "conv3_1": "conv3_1", "conv3_2": "pool3", "conv4_1": "conv4_1"}
    ends |= {"conv4_2": "pool4", "fc1_1": "fc1_1", "fc1_2": "fc1_2", "fc2": "EmbeddingBatch"}
    found = layer_outputs(network)
    assert list(found) == list(ends)
    for name, end in ends.items():
        assert found[name] is network.get_layer(end).output, name


def test_layers_of_yamnet_are_its_convolutions_but_the_depthwise_ones(small):
    network = yamnet(LABELS, weights="random", width=1 / 16, frontend=small)
    names = ["layer1_conv", *(f"layer{number}_pointwise_conv" for number in range(2, 15))]
    found = layer_outputs(network)
    assert list(found) == names
    for name in names:
        assert found[name] is network.get_layer(f"{name}_relu").output, name


@pytest.mark.parametrize("deeper", ["left", "right"])
def test_a_layer_ends_where_the_network_branches(deeper):
    """Whichever branch Keras lists first, the one that begins with a convolution or the one with a ReLU."""
    layers = keras.layers
    inputs = keras.Input((32, 16, 1))
    x = layers.Conv2D(3, 3, name="stem")(inputs)
    normed = layers.BatchNormalization(name="norm")(x)
    left = layers.ReLU(name="left_relu")(layers.Conv2D(2, 1, name="left")(normed))
    right = layers.ReLU(name="right_relu")(normed)
    for number in range(3 if deeper == "right" else 0):
        right = layers.Dropout(0.1, name=f"drop{number}")(right)
    joined = layers.Concatenate(name="both")([left, right])
    last = layers.MaxPooling2D(2, name="pool")(layers.Conv2D(4, 3, name="last")(joined))
    found = layer_outputs(keras.Model(inputs, last))
    assert list(found) == ["stem", "left", "last"]
    assert found["stem"] is normed and found["left"] is left and found["last"] is last


def test_head_is_left_out_and_the_rest_is_found_after_saving(tmp_path):
    network = soundnet(weights="random", width=1 / 16, labels=LABELS)
    assert list(layer_outputs(network)) == [f"conv{number}" for number in range(1, 8)]
    network.save(tmp_path / "network.keras")
    again = keras.saving.load_model(tmp_path / "network.keras")
    for one, two in zip(layer_outputs(network).values(), layer_outputs(again).values(), strict=True):
        assert one.shape == two.shape
        assert again.get_layer("conv1_pool").output is layer_outputs(again)["conv1"]


def test_networks_made_elsewhere():
    stack = [keras.layers.Conv2D(3, 3, name="a"), keras.layers.Activation("relu"), keras.layers.Flatten()]
    network = keras.Sequential([keras.Input((32, 16, 1)), *stack, keras.layers.Dense(2, name="b")])
    found = layer_outputs(network)
    assert list(found) == ["a", "b"]
    assert found["a"] is stack[1].output and found["b"] is network.layers[-1].output


# Networks on patches


@pytest.fixture
def on_patches(small):
    return stirred(vggish(LABELS, weights="random", width=0.05, frontend=small))


def partly_silent(patches, rows):
    silent = np.isin(np.arange(len(patches)), rows)
    return Patches(patches.data, patches.table.assign(silent=silent), patches.frontend)


def slow_features(network, patches, name):
    """One `predict` a patch, averages of averages, one clip after the other."""
    body = keras.Model(network.input, layer_outputs(network)[name])
    rows = {}
    for number, clip in enumerate(patches.clip):
        if not patches.silent[number]:
            value = body.predict_on_batch(patches.data[number][None, ..., None])[0].astype(np.float64)
            rows.setdefault(clip, []).append(value.reshape(-1, value.shape[-1]).mean(axis=0))
    return {clip: np.mean(values, axis=0) for clip, values in rows.items()}


@pytest.mark.parametrize("kind", ["vggish", "yamnet"])
def test_patches_equal_a_slow_loop(kind, small, toy):
    frontend = replace(small, frames=64, mels=32)  # not square, and wide enough for yamnet
    make = vggish if kind == "vggish" else yamnet
    network = stirred(make(LABELS, weights="random", width=0.05, frontend=frontend))
    patches = partly_silent(toy(11, per_clip=3, frontend=frontend), [1, 9])
    found = features_of(network, patches, batch_size=4, cache=False)
    assert list(found) == list(layer_outputs(network))
    for name, layer in found.items():
        expected = slow_features(network, patches, name) if name in [*found][:2] + [*found][-2:] else None
        assert layer.name == name and layer.dims == ("clip", "neuron") and layer.dtype == np.float32
        assert layer.shape == (4, layer_outputs(network)[name].shape[-1])
        for clip in expected or ():
            np.testing.assert_allclose(layer.sel(clip=clip), expected[clip], atol=1e-5, rtol=1e-5, err_msg=name)
    first = next(iter(found.values()))
    assert np.ptp(first.values, axis=0).max() > 1e-3
    assert list(first["clip"].values) == [0, 1, 2, 3]


def test_batch_size_changes_nothing(on_patches, toy):
    patches = toy(10, per_clip=2)
    one, many = (features_of(on_patches, patches, batch_size=size, cache=False) for size in (1, 64))
    for name in one:
        np.testing.assert_allclose(one[name], many[name], atol=1e-5)


def test_clips_of_patches_stand_in_the_order_they_came_in(on_patches, toy):
    patches = toy(12, per_clip=2)
    mixed = patches[np.array([7, 0, 10, 1, 6, 11, 5])]
    found = features_of(on_patches, mixed, layers=["conv2"], cache=False)["conv2"]
    assert list(found["clip"].values) == [3, 0, 5, 2]
    expected = slow_features(on_patches, mixed, "conv2")
    for clip in (3, 0, 5, 2):
        np.testing.assert_allclose(found.sel(clip=clip), expected[clip], atol=1e-5)


def test_silent_clips_are_left_out_and_said(on_patches, toy):
    patches = partly_silent(toy(9, per_clip=3), [0, 3, 4, 5, 8])
    with pytest.warns(AudioRepairWarning, match=r"^1 clips are silent throughout and are left out") as caught:
        found = features_of(on_patches, patches, layers=["conv1"], cache=False)["conv1"]
    assert len(caught) == 1 and caught[0].filename == __file__
    assert list(found["clip"].values) == [0, 2]
    expected = slow_features(on_patches, patches, "conv1")
    for clip in (0, 2):
        np.testing.assert_allclose(found.sel(clip=clip), expected[clip], atol=1e-5)


def test_nothing_but_silence_is_an_error(on_patches, toy):
    with (
        warnings.catch_warnings(),
        pytest.raises(MissingDataError, match="no clips: all 2 are silent throughout"),
    ):
        warnings.simplefilter("ignore", AudioRepairWarning)
        features_of(on_patches, partly_silent(toy(6, per_clip=3), range(6)))


def test_clips_of_patches_keep_what_is_known_of_them(on_patches, toy):
    patches = toy(6, per_clip=2, labels=("dog", "rain", "siren"))
    found = features_of(on_patches, patches, layers=["conv1"])["conv1"]
    firsts = patches.table.groupby("clip").first()
    for column in ("label", "fold", "source", "path"):
        assert list(found[column].values) == list(firsts[column]), column
    assert list(found["group"].values) == ["animals", "natural soundscapes and water", "exterior and urban"]
    assert found["fold"].dtype.kind == "i"


def test_patches_are_computed_once(on_patches, toy, no_computing):
    patches = toy(6, per_clip=2)
    first = features_of(on_patches, patches)
    no_computing()
    again = features_of(on_patches, replace(patches, data=patches.data.copy()), batch_size=3)
    for name in first:
        assert first[name].identical(again[name])
    with pytest.raises(pytest.fail.Exception, match="computed again"):
        features_of(on_patches, patches, cache=False)


@pytest.mark.parametrize("change", ["data", "clip", "weights", "layers"])
def test_other_patches_weights_or_layers_are_computed_again(on_patches, toy, no_computing, change):
    patches = toy(6, per_clip=2)
    features_of(on_patches, patches, layers=["conv1"])
    no_computing()
    layers = ["conv1"]
    if change == "data":
        data = patches.data.copy()
        data[3, 4, 5] += 0.1
        patches = replace(patches, data=data)
    elif change == "clip":
        patches = replace(patches, table=patches.table.assign(clip=[0, 0, 0, 1, 2, 2]))
    elif change == "weights":
        kernel, bias = on_patches.get_layer("conv1").get_weights()
        on_patches.get_layer("conv1").set_weights([kernel, bias + 0.01])
    else:
        layers = ["conv2"]
    with pytest.raises(pytest.fail.Exception, match="computed again"):
        features_of(on_patches, patches, layers=layers)


# Networks on waveforms


def slow_waveforms(network, waveforms, name):
    output = layer_outputs(network)[name]
    averaged = keras.Model(network.input, keras.layers.GlobalAveragePooling1D()(output))
    return np.concatenate([averaged.predict(waveform[None, :, None], verbose=0) for waveform in waveforms])


def test_clips_equal_one_predict_a_clip(narrow, clips):
    found = features_of(narrow, clips)
    waveforms = [soundfile.read(path, dtype="float32")[0] for path in clips["path"]]
    assert list(found) == [f"conv{number}" for number in range(1, 8)]
    for name in ("conv1", "conv3", "conv7"):
        layer = found[name]
        assert layer.dims == ("clip", "neuron") and layer.dtype == np.float32 and layer.name == name
        np.testing.assert_allclose(layer, slow_waveforms(narrow, waveforms, name), rtol=1e-5, atol=1e-4)
        assert np.ptp(layer.values, axis=0).max() > 1e-3


def test_clips_keep_what_is_known_of_them(narrow, clips):
    found = features_of(narrow, clips, layers=["conv1", "conv2"])
    for name, width in (("conv1", 2), ("conv2", 4)):
        layer = found[name]
        assert list(layer["clip"].values) == [7, 3, 9, 5]
        assert list(layer["neuron"].values) == list(range(width))
        for column in ("label", "fold", "source", "path"):
            assert list(layer[column].values) == list(clips[column]), column
        animals, water = "animals", "natural soundscapes and water"
        assert list(layer["group"].values) == [animals, water, water, animals]
        assert layer["fold"].dtype.kind == "i" and layer["label"].dtype == object


def test_heads_of_soundnet_are_layers(tmp_path, rng):
    network = with_heads(replace(SHORT, sample_rate=None))
    soundfile.write(tmp_path / "a.wav", rng.normal(0, 0.1, 210_001), 22_050, subtype="FLOAT")
    clips = pd.DataFrame({"path": [str(tmp_path / "a.wav")], "label": ["doorbell"], "fold": [1]})
    found = features_of(network, clips, layers=["conv8", "conv8_2"])
    assert {name: layer.shape for name, layer in found.items()} == {"conv8": (1, 5), "conv8_2": (1, 3)}
    waveform = soundfile.read(tmp_path / "a.wav", dtype="float32")[0]
    for name, layer in found.items():
        np.testing.assert_allclose(layer, slow_waveforms(network, [waveform], name), rtol=1e-5, atol=1e-4)
        assert list(layer["group"].values) == ["doorbell"] and "source" not in layer.coords


def test_layers_come_from_the_first_to_the_last_and_each_once(narrow, clips):
    found = features_of(narrow, clips, layers=["conv4", "conv1", "conv4"], cache=False)
    assert list(found) == ["conv1", "conv4"]
    for name, layer in features_of(narrow, clips, cache=False).items():
        if name in found:
            np.testing.assert_allclose(found[name], layer, atol=1e-5)


def test_front_end_decides_what_the_network_hears(clips):
    """Rate, channel, shortest and longest come from the network's own front end."""
    frontend = WaveformFrontEnd(sample_rate=4_000, shortest=6_000, longest=4_000, channel=None)
    network = stirred(soundnet(weights="random", width=1 / 16, frontend=frontend))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = features_of(network, clips, layers=["conv2"])["conv2"]
    waveforms = []
    for path in clips["path"]:
        own = read_audio(path, 4_000)[:4_000]
        waveforms.append(np.tile(own, int(6_000 / len(own) + 1)))
    assert [len(waveform) for waveform in waveforms] == [7_500, 8_000, 6_002, 7_500]
    np.testing.assert_allclose(found, slow_waveforms(network, waveforms, "conv2"), rtol=1e-5, atol=1e-4)


def test_flattened_layers_keep_every_position(narrow, clips):
    found = features_of(narrow, clips, layers=["conv2", "conv1"], over_time="flatten")
    assert list(found) == ["conv1", "conv2"]
    for name, layer in found.items():
        body = keras.Model(narrow.input, layer_outputs(narrow)[name])
        for (_, clip), row in zip(clips.iterrows(), layer.values, strict=True):
            waveform = soundfile.read(clip["path"], dtype="float32")[0]
            expected = body(waveform[None, :, None], training=False).numpy().ravel()
            np.testing.assert_allclose(row[: len(expected)], expected, rtol=1e-5, atol=1e-4)
            assert not row[len(expected) :].any()
        assert list(layer["label"].values) == list(clips["label"])
    assert found["conv1"].shape == (4, 562 * 2)  # of 9,001 samples, two filters


def test_flattening_and_averaging_do_not_share_the_cache(narrow, clips):
    mean = features_of(narrow, clips, layers=["conv2"])["conv2"]
    flat = features_of(narrow, clips, layers=["conv2"], over_time="flatten")["conv2"]
    again = features_of(narrow, clips, layers=["conv2"])["conv2"]
    assert flat.shape[1] > mean.shape[1] and mean.identical(again)


def test_clips_are_computed_once(narrow, clips, no_computing, tmp_path):
    first = features_of(narrow, clips)
    no_computing()
    same = soundnet(weights="random", width=1 / 8, frontend=SHORT)
    same.set_weights(narrow.get_weights())
    for network in (narrow, same):
        again = features_of(network, clips)
        for name in first:
            assert first[name].identical(again[name])
    # The same sounds elsewhere, under other labels: what was computed is used, what is known of them is new.
    (tmp_path / "moved").mkdir()
    moved = clips.assign(
        label="siren", path=[path.replace(str(tmp_path), str(tmp_path / "moved")) for path in clips.path]
    )
    for old, new in zip(clips["path"], moved["path"], strict=True):
        with open(old, "rb") as source, open(new, "wb") as target:
            target.write(source.read())
    found = features_of(narrow, moved)["conv3"]
    np.testing.assert_array_equal(found, first["conv3"])
    assert list(found["path"].values) == list(moved["path"]) and set(found["label"].values) == {"siren"}


@pytest.mark.parametrize("change", ["content", "weights", "front end", "order", "cache off", "over time"])
def test_other_sounds_or_weights_are_computed_again(narrow, clips, no_computing, change):
    options = {"layers": ["conv1"]}
    features_of(narrow, clips, **options)
    no_computing()
    if change == "content":
        samples, rate = soundfile.read(clips["path"].iloc[1], dtype="float32")
        samples[17] += 0.01
        soundfile.write(clips["path"].iloc[1], samples, rate, subtype="FLOAT")
    elif change == "weights":
        kernel, bias = narrow.get_layer("conv1").get_weights()
        narrow.get_layer("conv1").set_weights([kernel, bias + 0.01])
    elif change == "front end":
        other = soundnet(weights="random", width=1 / 8, frontend=replace(SHORT, longest=5_500))
        other.set_weights(narrow.get_weights())
        narrow = other
    elif change == "order":
        clips = clips.iloc[::-1]
    elif change == "cache off":
        options["cache"] = False
    else:
        options["over_time"] = "flatten"
    with pytest.raises(pytest.fail.Exception, match="computed again"):
        features_of(narrow, clips, **options)


def test_repairs_are_said_with_the_clip_they_belong_to(clips):
    soundfile.write(clips["path"].iloc[2], np.zeros(5_000), 8_000)
    with pytest.warns(AudioRepairWarning, match=r"/2\.wav: silent: every sample is 0") as caught:
        waveforms = read_waveforms(clips, SHORT, progress=False)
    assert len(caught) == 1
    assert [len(waveform) for waveform in waveforms] == [5_000, 9_001, 5_000, 5_000]
    for path, waveform in zip(clips["path"], waveforms, strict=True):
        np.testing.assert_array_equal(waveform, soundfile.read(path, dtype="float32")[0])


# What is an error


def test_unknown_layers_and_ways(narrow, clips):
    with pytest.raises(ValueError, match=r"layers \['conv9'\]: the network 'soundnet' has conv1, conv2, .*conv7"):
        features_of(narrow, clips, layers=["conv1", "conv9"])
    with pytest.raises(ValueError, match=r"layers \[\]: the network 'soundnet' has conv1"):
        features_of(narrow, clips, layers=[])
    with pytest.raises(ValueError, match="'median': expected 'mean' or 'flatten'"):
        features_of(narrow, clips, over_time="median")


def test_no_clips(narrow, on_patches, clips, toy):
    for network, data in ((narrow, clips[:0]), (on_patches, toy(2)[:0])):
        with pytest.raises(MissingDataError, match="no clips: the table is empty"):
            features_of(network, data)


def test_network_and_data_of_different_kinds(narrow, on_patches, clips, toy, small):
    with pytest.raises(PatchShapeError, match=r"not waveforms.*make_patches\(clips, frontend_of\(network\)\)"):
        features_of(on_patches, clips)
    with pytest.raises(PatchShapeError, match="network 'soundnet' takes inputs of shape"):
        features_of(narrow, toy(4))
    with pytest.raises(ValueError, match="only for networks on waveforms; patches are averaged"):
        features_of(on_patches, toy(4), over_time="flatten")
    inputs = keras.Input((small.frames, small.mels))
    flat = keras.layers.Flatten()(keras.layers.Conv1D(2, 3)(inputs))
    with pytest.raises(PatchShapeError, match="not waveforms"):
        features_of(add_head(keras.Model(inputs, flat), LABELS, small), clips)


def test_network_without_a_front_end(clips):
    inputs = keras.Input((None, 1))
    network = keras.Model(inputs, keras.layers.Conv1D(2, 3)(inputs))
    with pytest.raises(WeightsError, match="does not say which front end"):
        features_of(network, clips)


def test_clips_too_short_for_a_layer(narrow, clips, rng):
    soundfile.write(clips["path"].iloc[0], rng.normal(0, 0.1, 4_000), 8_000)
    with pytest.raises(PatchShapeError, match="4000 samples is too short for layer conv5"):
        features_of(narrow, clips)
    assert features_of(narrow, clips, layers=["conv4"])["conv4"].shape == (4, 16)


def test_clips_that_cannot_be_read(narrow, clips, tmp_path, own_cache):
    (tmp_path / "1.wav").write_text("not a sound")
    with pytest.raises(UnreadableAudioError, match=r"1\.wav: not readable as audio"):
        features_of(narrow, clips)
    (tmp_path / "1.wav").unlink()
    with pytest.raises(UnreadableAudioError, match=r"1\.wav: no such file"):
        features_of(narrow, clips)
    assert not list(own_cache.rglob("*.joblib"))


def test_layers_of_networks_that_cannot_share_a_batch(clips):
    inputs = keras.Input((None, 1))
    x = keras.layers.Conv1D(2, 3, padding="same", name="odd")(ScaleWaveform(SHORT)(inputs))
    with pytest.raises(PatchShapeError, match=r"layer 'odd' .*unequal waveforms cannot share a batch"):
        features_of(keras.Model(inputs, x), clips)


# Step and field of SoundNet's layers

CONVS = list(CONVOLUTIONS)
HEADS = ["conv8", "conv8_2"]
FILTERS = dict(zip([*CONVS, *HEADS], (2, 3, 2, 4, 2, 3, 4, 5, 3), strict=True))
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


# The same network behind another front end

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


# Clips that cannot be read


@pytest.mark.parametrize("over_time", ["mean", "flatten"])
def test_clips_that_cannot_be_read_are_left_out_if_one_says_so(clips, narrow, over_time):
    whole = features_of(narrow, clips.loc[[7, 9, 5]], layers=["conv2"], over_time=over_time)["conv2"]
    Path(clips["path"][3]).write_bytes(b"no sound")
    for _ in range(2):  # and from the cache
        with pytest.warns(AudioRepairWarning, match=r"1 of 4 clips cannot be read(?s:.)*They are left out") as caught:
            found = features_of(narrow, clips, layers=["conv2"], over_time=over_time, on_error="skip")["conv2"]
        np.testing.assert_allclose(found, whole, rtol=1e-6)
        assert found["clip"].values.tolist() == [7, 9, 5] and found["label"].values.tolist() == ["dog", "rain", "dog"]
        caught.clear()
    with pytest.raises(UnreadableAudioError, match=r"1 of 4 clips cannot be read:\n.*1\.wav"):
        features_of(narrow, clips)


def test_the_longest_clip_that_is_accepted(clips, narrow):
    with pytest.raises(UnreadableAudioError, match=r"1 of 4(?s:.)*1\.wav: 0\.0 minutes long.*max_seconds"):
        features_of(narrow, clips, max_seconds=1.0)
    assert len(features_of(narrow, clips, max_seconds=1.2)["conv1"]) == 4
