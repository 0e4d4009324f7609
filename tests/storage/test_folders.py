import os

import pytest

from audiointerp.errors import CacheError, MissingDataError
from audiointerp.storage.folders import cache_folder, data_folder


def test_data_folder_is_the_one_that_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("AUDIOINTERP_DATA", str(tmp_path))
    assert data_folder() == tmp_path.resolve()


def test_data_folder_lies_in_the_cache_unless_named(monkeypatch, own_cache):
    monkeypatch.delenv("AUDIOINTERP_DATA", raising=False)
    assert data_folder() == own_cache.resolve() / "data"
    monkeypatch.setenv("AUDIOINTERP_DATA", "")
    assert data_folder() == own_cache.resolve() / "data"


def test_data_folder_that_does_not_exist_is_an_error_and_is_not_made(monkeypatch, tmp_path):
    monkeypatch.setenv("AUDIOINTERP_DATA", str(tmp_path / "däta"))
    with pytest.raises(MissingDataError, match="däta: no such folder"):
        data_folder()
    assert not (tmp_path / "däta").exists()


def test_relative_and_home_folders_become_absolute(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "sounds").mkdir()
    monkeypatch.setenv("AUDIOINTERP_DATA", "~/sounds")
    assert data_folder() == (tmp_path / "sounds").resolve()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUDIOINTERP_DATA", "sounds")
    monkeypatch.setenv("AUDIOINTERP_CACHE", "kept")
    assert data_folder() == (tmp_path / "sounds").resolve()
    assert cache_folder() == (tmp_path / "kept").resolve()
    monkeypatch.delenv("AUDIOINTERP_CACHE")
    assert cache_folder() == (tmp_path / ".cache" / "audiointerp").resolve()


def test_cache_folder_makes_its_rooms_and_leaves_nothing_in_them(own_cache):
    room = cache_folder("networks/vggish")
    assert room == own_cache.resolve() / "networks" / "vggish"
    assert room.is_dir() and not list(room.iterdir())
    assert cache_folder("networks/vggish") == room


@pytest.mark.parametrize("room", [None, "log_mel"])
def test_a_file_in_the_place_of_the_cache_is_an_error(monkeypatch, tmp_path, room):
    (tmp_path / "cache").write_text("not a folder")
    monkeypatch.setenv("AUDIOINTERP_CACHE", str(tmp_path / "cache"))
    with pytest.raises(CacheError, match=r"cannot be written to.*AUDIOINTERP_CACHE"):
        cache_folder(room)
    assert (tmp_path / "cache").read_text() == "not a folder"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_cache_is_an_error(monkeypatch, tmp_path):
    tmp_path.chmod(0o500)
    monkeypatch.setenv("AUDIOINTERP_CACHE", str(tmp_path))
    try:
        with pytest.raises(CacheError, match="Permission denied"):
            cache_folder()
    finally:
        tmp_path.chmod(0o700)
