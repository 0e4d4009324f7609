import json
import os
from pathlib import Path

import pytest

from audiointerp.datasets.synthetic import clips as synthetic
from audiointerp.datasets.synthetic import sets as synthetic_sets
from audiointerp.errors import CacheError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AUDIOINTERP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_whole_set_is_not_made_again(monkeypatch):
    first = synthetic.load(clips_per_label=5, seconds=1)
    monkeypatch.setattr(synthetic_sets, "_make", lambda *_: pytest.fail("made again"))
    assert synthetic.load(clips_per_label=5, seconds=1).equals(first)


def _truncate(path):
    path.write_bytes(path.read_bytes()[:1000])


def _flip(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("harm", [_truncate, _flip, Path.unlink], ids=["truncated", "bit flipped", "gone"])
def test_damaged_sound_is_made_again(harm):
    path = Path(synthetic.load(clips_per_label=5, seconds=1)["path"].iloc[13])
    whole = path.read_bytes()
    harm(path)
    synthetic.load(clips_per_label=5, seconds=1)
    assert path.read_bytes() == whole


@pytest.mark.parametrize("text", ["", "{", "[]", "[1]", '[{"file": "x.wav"}]', "null"])
def test_damaged_table_is_made_again(text):
    table = synthetic.load(clips_per_label=5, seconds=1)
    record = Path(table["path"].iloc[0]).parents[1] / synthetic_sets.TABLE
    record.write_text(text)
    assert synthetic.load(clips_per_label=5, seconds=1).equals(table)
    assert len(json.loads(record.read_text())) == 50


def test_interrupted_making_leaves_nothing_behind(cache, monkeypatch):
    written = []

    def stop_at_third(*arguments):
        written.append(arguments)
        if len(written) >= 3:
            raise KeyboardInterrupt
        return {}

    monkeypatch.setattr(synthetic_sets, "_write", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        synthetic.load(clips_per_label=5, seconds=1)
    assert list((cache / "synthetic").iterdir()) == []


def test_full_disk_is_a_cache_error(monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(synthetic_sets, "_write", full)
    with pytest.raises(CacheError, match="No space left on device"):
        synthetic.load(clips_per_label=5, seconds=1)


def test_set_that_another_process_has_finished_is_left_alone(monkeypatch):
    table = synthetic.load(clips_per_label=5, seconds=1)
    home = Path(table["path"].iloc[0]).parents[1]
    before = home.stat().st_ino
    with monkeypatch.context() as patch:
        looked = []
        read = synthetic_sets._read
        patch.setattr(synthetic_sets, "_read", lambda home: read(home) if looked else looked.append(home))
        assert synthetic.load(clips_per_label=5, seconds=1).equals(table)
    assert home.stat().st_ino == before and len(list(home.parent.iterdir())) == 1


def test_foreign_files_beside_the_set_stay(tmp_path):
    (tmp_path / "mine.wav").write_bytes(b"mine")
    synthetic.load(clips_per_label=5, seconds=1, folder=tmp_path)
    assert (tmp_path / "mine.wav").read_bytes() == b"mine"
    assert len([name for name in os.listdir(tmp_path) if not name.startswith(".")]) == 2
