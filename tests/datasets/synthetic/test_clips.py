"""The synthetic data set: the same every time, balanced, whole, and honest about where its evidence is."""

import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiointerp.datasets.synthetic import clips as synthetic
from audiointerp.datasets.synthetic.sounds import LABELS, synthesize


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AUDIOINTERP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


# The set


def test_plan_balances_folds_and_keeps_sources_together():
    rows = synthetic.plan(20)
    folds, takes = {}, {}
    for row in rows:
        folds[row["label"], row["fold"]] = folds.get((row["label"], row["fold"]), 0) + 1
        takes.setdefault(row["source"], []).append(row)
    assert len(folds) == 50 and set(folds.values()) == {4}
    assert all(len({(row["label"], row["fold"]) for row in group}) == 1 for group in takes.values())
    pairs = [group for group in takes.values() if len(group) > 1]
    assert len(pairs) == 40 and all([row["take"] for row in group] == ["A", "B"] for group in pairs)
    assert len({row["file"] for row in rows}) == len(rows) == 200


def test_larger_set_contains_the_smaller():
    small, large = ([row["file"] for row in synthetic.plan(number)] for number in (10, 25))
    assert set(small) < set(large)


def test_table_and_files():
    table = synthetic.load(clips_per_label=5, seconds=1)
    assert list(table.columns) == synthetic.COLUMNS and len(table) == 50
    assert sorted(set(table["label"])) == list(LABELS)
    assert list(table["path"]) == sorted(table["path"])
    for row in table.itertuples():
        path = Path(row.path)
        assert path.is_absolute() and path.parent.name == row.label
        assert path.name == f"{row.fold}-{row.source}-{row.take}.wav"
        assert all(len(box) == 4 and isinstance(box, tuple) for box in row.evidence) and row.evidence
    info = soundfile.info(table["path"].iloc[0])
    assert (info.samplerate, info.subtype, info.frames, info.channels) == (16000, "PCM_16", 16000, 1)


def test_files_hold_the_sounds_that_synthesize_makes():
    row = synthetic.load(clips_per_label=5, seconds=1, seed=2).iloc[7]
    seed = (2, zlib.crc32(row["label"].encode()), int(row["source"]) % 100000)
    sound = synthesize(row["label"], seed=seed, seconds=1)
    written, _ = soundfile.read(row["path"])
    np.testing.assert_allclose(written, sound.waveform, atol=1 / 32768)
    assert row["evidence"] == sound.evidence


def test_same_seed_same_bytes(tmp_path):
    tables = [synthetic.load(clips_per_label=5, seconds=1, folder=tmp_path / name) for name in "ab"]
    first, second = ([Path(path).read_bytes() for path in table["path"]] for table in tables)
    assert first == second
    assert tables[0].drop(columns="path").equals(tables[1].drop(columns="path"))
    other = synthetic.load(clips_per_label=5, seconds=1, seed=1, folder=tmp_path / "a")
    assert all(a != Path(b).read_bytes() for a, b in zip(first, other["path"], strict=True))


@pytest.mark.parametrize("name, value", [("clips_per_label", 7), ("clips_per_label", 0), ("seed", -1), ("seed", 0.5)])
def test_bad_set_settings_are_named(name, value):
    with pytest.raises(ValueError, match=f"{name}={value}"):
        synthetic.load(**{name: value})
