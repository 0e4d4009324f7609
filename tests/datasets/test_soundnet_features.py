"""SoundNet's published features: files of the published format made here, and which clip a row is."""

import hashlib
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from audiointerp import cli, datasets
from audiointerp.datasets import soundnet_features as module
from audiointerp.datasets.esc import ESC50_GROUPS, ESC50_LABELS
from audiointerp.datasets.feature_arrays import as_features
from audiointerp.datasets.soundnet_features import (
    LAYERS,
    TARGETS,
    download_soundnet_features,
    identify_clips,
    load_soundnet_features,
)
from audiointerp.errors import ChecksumError, MissingDataError
from audiointerp.layers.features import layer_features
from audiointerp.networks.soundnet import soundnet
from audiointerp.sound.frontend import SOUNDNET
from audiointerp.storage.remote import checksum

FILES = {
    "X_out_1.npy": (1_200, 16),
    "X_out_2.npy": (1_200, 32),
    "X_out_3.npy": (1_200, 64),
    "X_out_4.npy": (1_200, 128),
    "X.npy": (2_000, 256),
    "X_out_6.npy": (1_200, 512),
    "X_out_7.npy": (1_200, 1_024),
}
FILE_OF = dict(zip([f"conv{number}" for number in range(1, 8)], FILES, strict=True))


@pytest.fixture(scope="module")
def arrays():
    """What the files hold: labels of 2,000 clips, and numbers of each layer."""
    rng = np.random.default_rng(3)
    found = {"y.npy": np.concatenate([rng.permutation(np.repeat(np.arange(50), 8)) for _ in range(5)])}
    return found | {name: rng.normal(size=shape).astype(np.float32) for name, shape in FILES.items()}


@pytest.fixture
def folder(arrays, tmp_path):
    """A data folder with all files of the published layout."""
    (tmp_path / "soundnet").mkdir()
    for name, array in arrays.items():
        np.save(tmp_path / "soundnet" / name, array)
    return tmp_path


@pytest.fixture
def no_internet(monkeypatch):
    monkeypatch.setattr(module, "fetch", lambda *_, **__: pytest.fail("downloaded"))


def test_rows_columns_and_names(folder, arrays, no_internet):
    found = load_soundnet_features(folder)
    assert list(found) == list(FILE_OF) == list(LAYERS)
    labels = np.array(ESC50_LABELS)[arrays["y.npy"]]
    for name, layer in found.items():
        rows, neurons = FILES[FILE_OF[name]]
        assert layer.dims == ("clip", "neuron") and layer.shape == (rows, neurons) and layer.name == name
        assert layer.dtype == np.float32
        np.testing.assert_array_equal(layer, arrays[FILE_OF[name]])
        np.testing.assert_array_equal(layer["clip"], np.arange(rows))
        np.testing.assert_array_equal(layer["neuron"], np.arange(neurons))
        np.testing.assert_array_equal(layer["fold"], np.repeat([1, 2, 3, 4, 5], 400)[:rows])
        assert list(layer["label"].values) == list(labels[:rows])
        assert list(layer["group"].values) == [ESC50_GROUPS[label] for label in labels[:rows]]
        assert set(layer.coords) == {"clip", "neuron", "label", "fold", "group"}


def test_some_layers_need_their_files_only(folder, no_internet):
    for name in FILES:
        if name not in ("X.npy", "X_out_2.npy"):
            (folder / "soundnet" / name).unlink()
    assert list(load_soundnet_features(folder, layers=["conv2", "conv5"])) == ["conv2", "conv5"]


def test_data_folder_is_where_the_settings_say(folder, monkeypatch, no_internet):
    monkeypatch.setenv("AUDIOINTERP_DATA", str(folder))
    assert load_soundnet_features(layers=["conv1"])["conv1"].shape == (1_200, 16)


def test_other_number_types_are_converted(folder, arrays, no_internet):
    np.save(folder / "soundnet" / "y.npy", arrays["y.npy"].astype(np.float64))
    np.save(folder / "soundnet" / "X_out_1.npy", arrays["X_out_1.npy"].astype(np.float64))
    layer = load_soundnet_features(folder, layers=["conv1"])["conv1"]
    assert layer.dtype == np.float32
    np.testing.assert_array_equal(layer, arrays["X_out_1.npy"])
    assert layer["label"].values[0] == ESC50_LABELS[arrays["y.npy"][0]]


@pytest.mark.parametrize("name", ["y.npy", "X_out_1.npy", "X.npy"])
def test_missing_file_without_download(folder, no_internet, name):
    (folder / "soundnet" / name).unlink()
    with pytest.raises(MissingDataError) as caught:
        load_soundnet_features(folder, download=False)
    for part in (str(folder / "soundnet" / name), "audiointerp download soundnet-features", "FEATURES='student'"):
        assert part in str(caught.value)


def serve(server, monkeypatch, arrays, *, wrong=()):
    """Puts all files on the web, with their own checksums but for those that are `wrong`."""
    for remote in (TARGETS, *LAYERS.values()):
        name, file = remote.filename, io.BytesIO()
        np.save(file, arrays[name])
        server.pages[name] = content = file.getvalue()
        if name in wrong:
            content += b"!"
        sums = {"sha256": hashlib.sha256(content).hexdigest()}
        if remote.git_blob:
            sums = {"git_blob": hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()}
        own = replace(remote, urls=(server.url(name),), **sums)
        if remote is TARGETS:
            monkeypatch.setattr(module, "TARGETS", own)
        else:
            layer = next(layer for layer, file in FILE_OF.items() if file == name)
            monkeypatch.setitem(LAYERS, layer, own)


def test_missing_files_are_downloaded_once(server, monkeypatch, arrays, tmp_path):
    serve(server, monkeypatch, arrays)
    for _ in range(2):
        found = load_soundnet_features(tmp_path, layers=["conv2", "conv7"])
        np.testing.assert_array_equal(found["conv7"], arrays["X_out_7.npy"])
    assert dict(server.hits) == {"y.npy": 1, "X_out_2.npy": 1, "X_out_7.npy": 1}
    assert sorted(path.name for path in tmp_path.rglob("*.npy")) == ["X_out_2.npy", "X_out_7.npy", "y.npy"]


def test_files_that_are_there_are_used_as_they_are(server, monkeypatch, arrays, folder):
    serve(server, monkeypatch, arrays, wrong=list(arrays))
    assert len(load_soundnet_features(folder)) == 7
    assert not server.hits


@pytest.mark.parametrize("name", ["y.npy", "X_out_3.npy", "X_out_7.npy"])
def test_another_file_from_the_web_is_refused(server, monkeypatch, arrays, tmp_path, name):
    serve(server, monkeypatch, arrays, wrong=[name])
    with pytest.raises(ChecksumError, match=f"{name}: what arrived is not the published file and was removed"):
        load_soundnet_features(tmp_path)
    assert not (tmp_path / "soundnet" / name).exists()


def test_download_of_everything(server, monkeypatch, arrays, tmp_path, capsys):
    serve(server, monkeypatch, arrays)
    for _ in range(2):
        assert download_soundnet_features(tmp_path, progress=False) == tmp_path / "soundnet"
    assert {path.name for path in (tmp_path / "soundnet").iterdir()} == {"y.npy", *FILES}
    assert set(server.hits.values()) == {1}
    monkeypatch.setenv("AUDIOINTERP_DATA", str(tmp_path))
    assert cli.main(["download", "soundnet-features"]) == 0
    assert capsys.readouterr().out.strip().endswith(str(tmp_path / "soundnet"))


def test_unknown_layer(folder):
    with pytest.raises(ValueError, match=r"layers \['conv8'\]: published are conv1, .*conv7"):
        load_soundnet_features(folder, layers=["conv1", "conv8"])


SHAPES = {"one axis": (1_200,), "not whole folds": (1_199, 16), "more than clips": (2_400, 16), "no rows": (0, 16)}
SHAPES |= {"over time": (1_200, 4, 16), "a number": ()}


@pytest.mark.parametrize("case", SHAPES)
def test_layers_of_another_shape(folder, case):
    np.save(folder / "soundnet" / "X_out_1.npy", np.zeros(SHAPES[case], np.float32))
    with pytest.raises(MissingDataError) as caught:
        load_soundnet_features(folder, layers=["conv1"])
    for part in ("X_out_1.npy", f"shape {SHAPES[case]}", "2000 clips", "audiointerp download soundnet-features"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "targets",
    [np.zeros((2_000, 50)), np.zeros(1_999), np.full(2_000, 50), np.full(2_000, -1), np.full(2_000, 0.5), np.zeros(())],
    ids=["one-hot", "one short", "too large", "negative", "fractions", "a number"],
)
def test_targets_that_are_none(folder, targets):
    np.save(folder / "soundnet" / "y.npy", targets)
    with pytest.raises(MissingDataError, match=r"y\.npy: shape .*expected numbers from 0 to 49.*Remove it"):
        load_soundnet_features(folder, layers=["conv1"])


class Payload:
    """Whoever unpickles it makes a file."""

    def __init__(self, flag):
        self.flag = flag

    def __reduce__(self):
        return Path.touch, (self.flag,)


@pytest.mark.parametrize("name", ["y.npy", "X_out_1.npy"])
@pytest.mark.parametrize("kind", ["empty", "text", "half", "pickle", "npz", "half an npz", "words", "folder"])
def test_files_that_are_no_arrays(folder, tmp_path, kind, name):
    path, flag = folder / "soundnet" / name, tmp_path / "was here"
    whole = path.read_bytes()
    path.unlink()
    zipped = io.BytesIO()
    np.savez(zipped, a=np.zeros(2_000))
    if kind == "folder":
        path.mkdir()
    elif kind == "pickle":
        np.save(path, np.array(Payload(flag), dtype=object), allow_pickle=True)
    elif kind == "words":
        np.save(path, np.array(["dog"] * 2_000))
    else:
        contents = {"empty": b"", "text": b"<html>", "half": whole[: len(whole) // 2], "npz": zipped.getvalue()}
        path.write_bytes(contents.get(kind, zipped.getvalue()[:200]))
    with pytest.raises(MissingDataError, match=rf"{name}: not (an array of numbers .*Remove it|there)"):
        load_soundnet_features(folder, layers=["conv1"], download=False)
    assert not flag.exists()


# Which clip a row is


def table(count, labels=ESC50_LABELS):
    names = [labels[number % len(labels)] for number in range(count)]
    return pd.DataFrame({"label": names, "fold": 1, "path": [f"{number}.ogg" for number in range(count)]})


def layers_of(values, clips):
    """Layer features from {layer: numbers}."""
    return {name: as_features(np.asarray(rows, np.float32), clips, name) for name, rows in values.items()}


@pytest.fixture
def rows(rng):
    """Published rows of 60 clips in two layers, of the scale of the real ones."""
    values = {"conv1": rng.gamma(2, 2, (60, 16)), "conv2": rng.gamma(2, 1, (60, 32))}
    return layers_of(values, table(60)[["label", "fold"]])


def own(rows, order, rng=None, noise=0.0):
    """Clips whose features are those of the rows in `order`, but for noise of at most `noise`; their index is odd."""
    clips = table(len(order)).assign(label=[rows["conv1"]["label"].values[row] for row in order])
    clips.index = 1_000 - 3 * np.arange(len(order))
    change = (lambda shape: rng.uniform(-noise, noise, shape)) if noise else np.zeros
    values = {name: layer.values[order] + change((len(order), layer.shape[1])) for name, layer in rows.items()}
    return layers_of(values, clips), clips


@pytest.mark.parametrize("noise", [0.0, 0.04])
def test_permuted_rows_are_found(rows, rng, noise):
    order = rng.permutation(60)[:25]
    features, clips = own(rows, order, rng, noise)
    found = identify_clips(rows, features, clips)
    assert found.index.name == "row" and list(found.columns) == ["clip", "label", "path", "difference"]
    assert list(found.index) == sorted(order)
    for position, row in enumerate(order):
        expected = max(np.abs(features[name].values[position] - rows[name].values[row]).max() for name in rows)
        assert found.loc[row, "clip"] == clips.index[position]
        assert found.loc[row, "path"] == f"{position}.ogg"
        assert found.loc[row, "label"] == clips["label"].iloc[position] == rows["conv1"]["label"].values[row]
        assert found.loc[row, "difference"] == pytest.approx(expected)
    assert (found["difference"] <= noise + 1e-6).all() and (found["difference"] > 0).any() == (noise > 0)


def test_tolerance_is_the_largest_difference_of_any_neuron(rows):
    features, clips = own(rows, [5, 6, 7])
    features["conv2"].values[1, 30] += 0.06
    assert list(identify_clips(rows, features, clips).index) == [5, 7]
    assert list(identify_clips(rows, features, clips, tolerance=0.07).index) == [5, 6, 7]
    assert list(identify_clips(rows, features, clips, layers=["conv1"]).index) == [5, 6, 7]


def test_clips_that_are_not_among_the_rows_are_left_out(rows, rng):
    features, clips = own(rows, [3, 40, 11])
    for name in features:
        features[name].values[1] = rng.gamma(2, 2, features[name].shape[1])
    found = identify_clips(rows, features, clips)
    assert list(found.index) == [3, 11] and list(found["clip"]) == [1_000, 994]


def test_layers_must_agree_on_the_row(rows):
    features, clips = own(rows, [3, 4])
    features["conv2"].values[0] = rows["conv2"].values[9]
    assert list(identify_clips(rows, features, clips).index) == [4]


def test_a_row_belongs_to_the_nearest_clip(rows, rng):
    features, clips = own(rows, [8, 8, 20, 8])
    for position, noise in ((0, 0.03), (1, 0.001), (3, 0.02)):
        features["conv1"].values[position, 2] += noise
    found = identify_clips(rows, features, clips)
    assert list(found.index) == [8, 20] and found.index.is_unique
    assert list(found["path"]) == ["1.ogg", "2.ogg"]
    assert found.loc[8, "difference"] == pytest.approx(0.001, abs=1e-5)


def test_rows_are_named_as_the_published_ones_are(rows):
    features, clips = own(rows, [12, 2])
    named = {name: layer.assign_coords(clip=layer["clip"].values + 500) for name, layer in rows.items()}
    assert list(identify_clips(named, features, clips).index) == [502, 512]


def test_nothing_found_is_an_error(rows, rng):
    features, clips = own(rows, [1, 2, 3])
    far = {name: layer + 1 for name, layer in features.items()}
    with pytest.raises(MissingDataError, match=r"none of 3 clips is among the published rows \(within 0\.05\)"):
        identify_clips(rows, far, clips)


def test_layers_of_another_network_are_an_error(rows):
    features, clips = own(rows, [1, 2])
    features["conv2"] = features["conv2"][:, :30]
    with pytest.raises(MissingDataError, match="layer conv2: 30 neurons, 32 in the published rows"):
        identify_clips(rows, features, clips)


# The real ones


@pytest.mark.realdata
def test_real_files_are_the_published_ones(real_data):
    """Those that are there have the checksums that a download must have."""
    there = [remote for remote in (TARGETS, *LAYERS.values()) if Path(real_data, "soundnet", remote.filename).is_file()]
    assert len(there) >= 7
    for remote in there:
        for kind, expected in remote.checksums().items():
            assert checksum(Path(real_data, "soundnet", remote.filename), kind) == expected, remote.filename
    found = load_soundnet_features(layers=[name for name, remote in LAYERS.items() if remote in there], download=False)
    for name, layer in found.items():
        assert layer.shape == FILES[FILE_OF[name]]
        assert (pd.Series(layer["label"].values).groupby(layer["fold"].values).value_counts() == 8).all()


@pytest.mark.realdata
def test_first_layers_of_real_clips_are_the_published_rows(real_data):
    """Every clip of ESC-10's folds 1 to 3 is a row of its own, with its own label, to rounding."""
    network = soundnet(weights="pruned", frontend=replace(SOUNDNET, longest=220_500))
    clips = datasets.load("esc10")
    clips = clips[clips["fold"] <= 3]
    assert len(clips) == 240
    features = layer_features(network, clips, layers=["conv1", "conv2"], cache=False, progress=False)
    published = load_soundnet_features(layers=["conv1", "conv2"], download=False)
    found = identify_clips(published, features, clips, tolerance=np.inf)
    assert len(found) == 240 and found.index.is_unique
    assert set(found["clip"]) == set(clips.index)
    own_labels = clips["label"].loc[found["clip"]]
    row_labels = published["conv1"]["label"].sel(clip=found.index).values
    assert list(own_labels) == list(found["label"]) == list(row_labels)
    assert list(clips["fold"].loc[found["clip"]]) == list(published["conv1"]["fold"].sel(clip=found.index).values)
    for name in ("conv1", "conv2"):
        gaps = np.abs(
            features[name].sel(clip=found["clip"].values).values - published[name].sel(clip=found.index).values
        )
        assert np.median(gaps.max(axis=1)) < 1e-5, name
    assert found["difference"].median() < 1e-5


# Median over the 240 clips of the largest difference of any neuron, relative to the row's largest number.
TYPICAL = {"conv1": 5e-6, "conv2": 2e-6, "conv3": 1e-5, "conv4": 2e-5, "conv5": 4e-5, "conv6": 3e-5}


def as_in_esc50(clips, folder):
    """Copies of the clips as ESC-50 has them: 220,500 samples, the rest zeros, between -1 and 1."""
    paths = []
    for clip, path in clips["path"].items():
        waveform, rate = soundfile.read(path, dtype="float32", frames=220_500, fill_value=0)
        paths.append(str(folder / f"{clip}.wav"))
        soundfile.write(paths[-1], waveform.clip(-1, 1), rate, subtype="FLOAT")
    return clips.assign(path=paths)


@pytest.mark.realdata
def test_layers_of_the_official_network_are_the_published_rows(real_data, tmp_path):
    """Layers 1 to 6 of all 240 clips that are in both sets; only when clips are repeated to 20 s of SoundNet's rate."""
    clips = datasets.load("esc10")
    clips = as_in_esc50(clips[clips["fold"] <= 3], tmp_path)
    features = layer_features(soundnet(), clips, layers=list(TYPICAL), cache=False, progress=False)
    published = load_soundnet_features(layers=list(TYPICAL), download=False)
    found = identify_clips(published, features, clips, layers=list(TYPICAL), tolerance=np.inf)
    assert len(found) == 240 and set(found["clip"]) == set(clips.index)
    assert list(published["conv1"]["label"].sel(clip=found.index).values) == list(found["label"])

    def difference(layer, name, found):
        rows = published[name].sel(clip=found.index).values
        return np.abs(layer.sel(clip=found["clip"].values).values - rows).max(axis=1) / rows.max(axis=1)

    for name, typical in TYPICAL.items():
        gaps = difference(features[name], name, found)
        assert np.median(gaps) < 2 * typical, name
        assert np.sort(gaps)[-2] < 1e-3 and gaps.max() < 3e-3, name
    few = found.iloc[::10]
    untiled = soundnet(frontend=replace(SOUNDNET, shortest=1))
    shorter = layer_features(untiled, clips.loc[few["clip"]], layers=["conv6"], cache=False, progress=False)
    assert np.median(difference(shorter["conv6"], "conv6", few)) > 0.05
