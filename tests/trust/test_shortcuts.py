"""Planted shortcuts: what is on the sound, where the boxes say it is, and what is left alone."""

from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import soundfile
import xarray as xr
from scipy import signal

from audiointerp.errors import MissingDataError, UnknownLabelError
from audiointerp.evaluation.predictions import predict
from audiointerp.maps.methods import explain
from audiointerp.networks.head import add_head
from audiointerp.sound.frontend import FrontEnd
from audiointerp.sound.patches import make_patches
from audiointerp.training.fine_tuning import fine_tune
from audiointerp.training.recipes import Recipe
from audiointerp.trust.evidence import evidence_score, evidence_summary, oracle_maps
from audiointerp.trust.shortcuts import plant_shortcut


@pytest.fixture
def clips(tmp_path, rng):
    """Noise of 2 s: three of a class, at two sampling rates."""
    rows = []
    for number in range(6):
        rate, path = (16_000, 22_050)[number % 2], tmp_path / f"{number}.wav"
        soundfile.write(path, rng.normal(0, 0.05, 2 * rate), rate)
        rows.append({"path": str(path), "label": "ab"[number // 3], "fold": number + 1, "source": str(number)})
    return pd.DataFrame(rows, index=[10, 20, 30, 40, 50, 60])


def added(clips, tainted, row):
    """What was put on a sound, its sampling rate, and the sound before."""
    (after, rate), (before, same) = (soundfile.read(table.at[row, "path"]) for table in (tainted, clips))
    assert rate == same and len(after) == len(before)
    return after - before, rate, before


def test_only_the_class_gets_a_tone_of_that_level(clips):
    tainted = plant_shortcut(clips, "a", "tone", level=-20, frequency=2_500, progress=False)
    assert tainted["tainted"].tolist() == [True] * 3 + [False] * 3
    assert tainted.index.tolist() == clips.index.tolist() and "tainted" not in clips
    assert (tainted["path"] == clips["path"]).tolist() == [False] * 3 + [True] * 3
    assert tainted.loc[40:, "evidence"].tolist() == [[]] * 3
    for row in (10, 20, 30):
        tone, rate, before = added(clips, tainted, row)
        assert 20 * np.log10(np.std(tone) / np.std(before)) == pytest.approx(-20, abs=0.1)
        power, frequency = np.abs(np.fft.rfft(tone)), np.fft.rfftfreq(len(tone), 1 / rate)
        assert frequency[power.argmax()] == pytest.approx(2_500, abs=1)
        assert tainted.at[row, "evidence"] == [(0.0, 2.0, 2375.0, 2625.0)]


def test_clicks_lie_in_their_boxes(clips):
    tainted = plant_shortcut(clips, "b", "click", level=0, progress=False)
    for row in (40, 50, 60):
        clicks, rate, _ = added(clips, tainted, row)
        boxes = tainted.at[row, "evidence"]
        assert len(boxes) in (4, 5) and all(stop - start < 0.04 for start, stop, *_ in boxes)
        time = np.arange(len(clicks)) / rate
        inside = np.any([(start <= time) & (time <= stop) for start, stop, *_ in boxes], axis=0)
        assert np.abs(clicks[~inside]).max() < 1e-3 < np.abs(clicks[inside]).max()
    starts = tainted.loc[40:, "evidence"].map(lambda boxes: boxes[0][0])
    assert starts.nunique() == 3


def test_lowpass_leaves_nothing_above(clips):
    tainted = plant_shortcut(clips, "a", "lowpass", frequency=4_000, progress=False)
    for row in (10, 20):
        waveform, rate = soundfile.read(tainted.at[row, "path"])
        frequency, power = signal.welch(waveform, rate, nperseg=1024)
        assert power[frequency > 6_000].max() < 1e-3 * power[frequency < 3_000].min()
        assert tainted.at[row, "evidence"] == [(0.0, 2.0, 4_000.0, rate / 2)]


def test_a_patch_shows_the_tone_where_the_evidence_is(clips):
    tainted = plant_shortcut(clips, "a", level=0, frequency=3_000, progress=False)
    frontend = FrontEnd(frames=40)
    with_tone, without = (make_patches(table[:3], frontend, progress=False) for table in (tainted, clips))
    coords = {"patch": range(len(with_tone)), "clip": ("patch", with_tone.clip), "start": ("patch", with_tone.start)}
    coords |= {"time": with_tone.time, "frequency": with_tone.frequency}
    maps = xr.DataArray(with_tone.data - without.data, coords, ("patch", "time", "frequency"))
    scores = evidence_score(maps, tainted)
    assert scores["hit"].mean() > 0.9 and scores["mass"].mean() > 5 * scores["area"].mean()
    assert (evidence_score(oracle_maps(maps, tainted), tainted)[["hit", "mass", "top"]] == 1).all(axis=None)


def test_the_same_seed_gives_the_same_files_whatever_other_clips_there_are(clips, tmp_path):
    one = plant_shortcut(clips, "a", "click", folder=tmp_path / "one", progress=False)
    two = plant_shortcut(clips[1:], "a", "click", folder=tmp_path / "two", progress=False)
    other = plant_shortcut(clips, "a", "click", seed=1, folder=tmp_path / "one", progress=False)
    for row in (20, 30):
        assert Path(one.at[row, "path"]).read_bytes() == Path(two.at[row, "path"]).read_bytes()
        assert Path(one.at[row, "path"]).read_bytes() != Path(other.at[row, "path"]).read_bytes()


def test_a_harmed_set_is_made_again(clips):
    tainted = plant_shortcut(clips, "a", progress=False)
    path = Path(tainted.at[10, "path"])
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    assert plant_shortcut(clips, "a", progress=False).at[10, "path"] == str(path)
    assert path.read_bytes() == whole


def test_shares_of_the_class_and_elsewhere(tmp_path, rng):
    paths = [tmp_path / f"{number}.wav" for number in range(200)]
    for path in paths:
        soundfile.write(path, rng.normal(0, 0.1, 800), 16_000)
    clips = pd.DataFrame({"path": paths, "label": ["cat", "dog"] * 100})
    half = plant_shortcut(clips, "cat", probability=0.5, elsewhere=0.2, progress=False)
    shares = half.groupby("label")["tainted"].mean()
    assert shares["cat"] == pytest.approx(0.5, abs=0.15) and shares["dog"] == pytest.approx(0.2, abs=0.12)
    assert (half["evidence"].map(len) == half["tainted"]).all()


def test_a_network_takes_the_shortcut_and_maps_give_it_away(tmp_path, rng, small):
    """Two classes of the same noise: only the tone tells them apart, and without it the class is lost."""
    rows = []
    for number in range(60):
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, rng.normal(0, 0.05, 8_000), 16_000)
        rows.append({"path": str(path), "label": "ab"[number % 2], "fold": number % 5 + 1, "source": str(number)})
    clips = pd.DataFrame(rows)
    tainted = plant_shortcut(clips, "a", level=-10, frequency=2_500, progress=False)
    patches, without = (make_patches(each, small, overlap=0, progress=False) for each in (tainted, clips))
    held_out = patches.table["fold"].to_numpy() == 5
    x = inputs = keras.Input((32, 16, 1))
    for filters in (8, 16):
        x = keras.layers.MaxPooling2D((4, 1))(keras.layers.Conv2D(filters, 3, padding="same", activation="relu")(x))
    network = add_head(keras.Model(inputs, keras.layers.Flatten()(x), name="small"), ["a", "b"], small)
    recipe = Recipe(epochs=30, batch_size=16, learning_rate=3e-3, drop_period=10)
    network, _ = fine_tune(network, patches[~held_out], patches[held_out], recipe, cache=False, progress=False)

    own = held_out & (patches.label == "a")
    found = {name: predict(network, each[own]) for name, each in (("with", patches), ("without", without))}
    right = {name: (table["predicted"] == "a").mean() for name, table in found.items()}
    assert right["with"] >= 0.9 and right["without"] <= right["with"] - 0.4
    maps = explain(network, patches[own], "occlusion", mask=(32, 2), stride=(32, 1), progress=False)
    summary = evidence_summary({"occlusion": maps}, tainted)
    assert summary.loc[("occlusion", "a", "hit"), "score"] >= 0.8
    assert summary.loc[("occlusion", "a", "mass"), "low"] > 3


def test_what_is_out_of_range_is_said(clips, tmp_path):
    with pytest.raises(UnknownLabelError, match="'c': the clips are of a, b"):
        plant_shortcut(clips, "c")
    for option in ({"level": 30}, {"frequency": 1}, {"probability": 2}, {"kind": "hum"}, {"frequency": 9_000}):
        with pytest.raises(ValueError, match=next(iter(option))):
            plant_shortcut(clips, "a", **option, progress=False)
    with pytest.raises(MissingDataError, match="no clip of a was drawn"):
        plant_shortcut(clips, "a", probability=0)


@pytest.mark.filterwarnings("ignore:.*silent")
def test_a_silent_clip_gets_a_faint_tone_and_a_loud_one_does_not_clip(clips, rng):
    soundfile.write(clips.at[10, "path"], np.zeros(16_000), 16_000)
    soundfile.write(clips.at[30, "path"], rng.uniform(-0.99, 0.99, 16_000), 16_000)
    tainted = plant_shortcut(clips, "a", level=0, progress=False)
    assert 0 < np.abs(soundfile.read(tainted.at[10, "path"])[0]).max() < 0.002
    loud = soundfile.read(tainted.at[30, "path"])[0]
    assert 0.99 < np.abs(loud).max() <= 1 and (np.abs(loud) > 0.999).mean() < 0.001
