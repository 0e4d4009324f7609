"""The set of synthetic music: the same every time, balanced, whole."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiointerp.datasets.clips import from_folder
from audiointerp.datasets.synthetic import tracks as music
from audiointerp.datasets.synthetic.music import LABELS, compose
from audiointerp.errors import CacheError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("music")


@pytest.fixture(scope="module")
def table(folder):
    return music.load(tracks_per_label=5, seconds=6, folder=folder)


def test_plan_balances_folds_and_each_track_is_its_own_source():
    rows = music.plan(10)
    counts = {}
    for row in rows:
        counts[row["label"], row["fold"]] = counts.get((row["label"], row["fold"]), 0) + 1
    assert len(counts) == 25 and set(counts.values()) == {2}
    assert len({row["source"] for row in rows}) == len({row["file"] for row in rows}) == 50
    assert rows == sorted(rows, key=lambda row: row["file"])


def test_larger_set_contains_the_smaller():
    assert all(row in music.plan(15) for row in music.plan(5))


def test_table_and_files(table):
    assert list(table.columns) == music.COLUMNS and len(table) == 25
    assert sorted(set(table["label"])) == list(LABELS)
    assert table.groupby("label")["fold"].apply(sorted).tolist() == [[1, 2, 3, 4, 5]] * 5
    for row in table.itertuples():
        path = Path(row.path)
        assert path.is_absolute() and path.parent.name == row.label and path.stem == row.source
        assert 80 <= row.tempo <= 170 and -5 < row.snr < 21
        assert row.evidence and all(len(box) == 4 and isinstance(box, tuple) for box in row.evidence + row.faint)
    info = soundfile.info(table["path"].iloc[0])
    assert (info.samplerate, info.subtype, info.frames, info.channels) == (22050, "PCM_16", 6 * 22050, 1)


def test_files_hold_the_pieces_that_compose_makes(table):
    row = table.iloc[13]
    piece = compose(row["label"], seed=music.track_seed(0, row["source"]), seconds=6)
    written, _ = soundfile.read(row["path"])
    np.testing.assert_allclose(written, piece.waveform, atol=1 / 32768)
    assert row["evidence"] == piece.evidence and row["faint"] == piece.faint
    assert row["snr"] == pytest.approx(piece.snr, abs=0.006)
    assert row["tempo"] == pytest.approx(piece.parameters["tempo_bpm"], abs=0.06)


def test_same_seed_same_bytes(table, tmp_path):
    again = music.load(tracks_per_label=5, seconds=6, folder=tmp_path)
    first, second = ([Path(path).read_bytes() for path in one["path"]] for one in (table, again))
    assert first == second
    assert again.drop(columns="path").equals(table.drop(columns="path"))


def test_other_seed_other_music(table):
    piece = compose("jazz", seed=music.track_seed(1, "jazz.00000"), seconds=6)
    written, _ = soundfile.read(table.loc[table["source"] == "jazz.00000", "path"].item())
    assert abs(np.corrcoef(written, piece.waveform)[0, 1]) < 0.5


def test_whole_set_is_not_made_again_and_a_damaged_one_is(table, folder, monkeypatch):
    path = Path(table["path"].iloc[3])
    whole = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(music, "compose", lambda *_, **__: pytest.fail("made again"))
        assert music.load(tracks_per_label=5, seconds=6, folder=folder).equals(table)
    path.write_bytes(whole[:1000])
    assert music.load(tracks_per_label=5, seconds=6, folder=folder).equals(table)
    assert path.read_bytes() == whole


def test_set_lies_in_the_cache_by_default(own_cache, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(music, "compose", full)
    with pytest.raises(CacheError, match=r"synthetic_music.*No space left on device"):
        music.load(tracks_per_label=5, seconds=6)
    assert list((own_cache / "synthetic_music").iterdir()) == []


def test_plain_folder_reader_finds_the_tracks(table):
    found = from_folder(Path(table["path"].iloc[0]).parents[1])
    assert sorted(found["path"].astype(str)) == list(table["path"]) and list(found["label"]) == list(table["label"])


@pytest.mark.parametrize(
    "name, value",
    [("tracks_per_label", 7), ("tracks_per_label", 0), ("seed", -1), ("seed", 0.5), ("seconds", 5), ("seconds", 61)],
)
def test_bad_settings_are_named(name, value):
    with pytest.raises(ValueError, match=f"{name}={value}"):
        music.load(**{name: value})
