import errno
import io
import stat
import tarfile
import zipfile

import pytest

from audiointerp.errors import AudioInterpError, ChecksumError, MissingDataError
from audiointerp.storage.archives import unpack

FILES = {
    "master/audio/a.wav": b"sound " * 500,
    "master/meta/esc50.csv": b"filename,fold\n",
    "other/readme.txt": b"hello",
}


def make_zip(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name) if "\\" in name else name, content)
    return path


def make_tar(path, files, **fields):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            for field, value in fields.items():
                setattr(member, field, value)
            archive.addfile(member, io.BytesIO(content))
    return path


MAKERS = {"a.zip": make_zip, "a.tar.gz": make_tar}


@pytest.fixture(params=MAKERS)
def make(request, tmp_path):
    return lambda files: MAKERS[request.param](tmp_path / request.param, files)


def assert_nothing_unpacked(archive):
    folder = archive.parent
    assert list(folder.iterdir()) == [archive]
    assert not (folder.parent / "evil").exists()


def files_in(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_unpack_all(make, tmp_path):
    folder = tmp_path / "data" / "esc"
    assert unpack(make(FILES), folder) == folder
    assert files_in(folder) == FILES
    assert [path.name for path in folder.parent.iterdir()] == ["esc"]


def test_unpack_one_folder_of_it(make, tmp_path):
    (tmp_path / "esc").mkdir()
    assert files_in(unpack(make(FILES), tmp_path / "esc", top="master")) == {
        "audio/a.wav": FILES["master/audio/a.wav"],
        "meta/esc50.csv": FILES["master/meta/esc50.csv"],
    }


def test_folder_that_is_not_in_the_archive(make, tmp_path):
    archive = make(FILES)
    with pytest.raises(MissingDataError, match="expected the folder genres in it, found master, other"):
        unpack(archive, tmp_path / "genres", top="genres")
    assert_nothing_unpacked(archive)


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "C:/evil", "C:\\evil", "..\\evil", "\\evil"])
def test_paths_that_lead_outside(make, tmp_path, name):
    archive = make({"good.wav": b"x", name: b"x"})
    with pytest.raises(ChecksumError, match=r"leads outside.*Nothing was unpacked"):
        unpack(archive, tmp_path / "out")
    assert_nothing_unpacked(archive)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_tar(tmp_path, kind):
    archive = make_tar(tmp_path / "a.tar.gz", {"audio": b""}, type=kind, linkname="../evil")
    with pytest.raises(ChecksumError, match="'audio', which is a link or a device"):
        unpack(archive, tmp_path / "out")
    assert_nothing_unpacked(archive)


def test_link_in_zip(tmp_path):
    link = zipfile.ZipInfo("audio")
    link.create_system = 3
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "../evil")
    with pytest.raises(ChecksumError, match="link"):
        unpack(tmp_path / "a.zip", tmp_path / "out")
    assert_nothing_unpacked(tmp_path / "a.zip")


@pytest.mark.parametrize("files", [{"zeros": bytes(3_000_000)}, {f"{i}": b"" for i in range(2_000)}])
def test_bombs(make, tmp_path, files):
    archive = make(files)
    with pytest.raises(ChecksumError, match="more than 1,000,000 bytes"):
        unpack(archive, tmp_path / "out", max_bytes=1_000_000)
    assert_nothing_unpacked(archive)


@pytest.mark.parametrize("share", [0.3, 0.95])
def test_truncated(make, tmp_path, share):
    archive = make({"noise": bytes(range(256)) * 400, "more": b"abc" * 999})
    content = archive.read_bytes()
    archive.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ChecksumError, match="download it again"):
        unpack(archive, tmp_path / "out")
    assert_nothing_unpacked(archive)


def test_damaged_inside(tmp_path):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as opened:
        opened.writestr("a.wav", b"sound" * 100)
    archive.write_bytes(archive.read_bytes().replace(b"sound", b"SOUND", 1))
    with pytest.raises(ChecksumError, match="CRC"):
        unpack(archive, tmp_path / "out")
    assert_nothing_unpacked(archive)


def test_not_an_archive(tmp_path):
    (tmp_path / "a.zip").write_text("<html>log in</html>")
    with pytest.raises(ChecksumError, match="neither a zip nor a tar"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_no_archive(tmp_path):
    with pytest.raises(MissingDataError, match=r"a\.zip: no such archive"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_what_is_there_is_not_overwritten(make, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.wav").write_bytes(b"mine")
    with pytest.raises(AudioInterpError, match="there already"):
        unpack(make(FILES), tmp_path / "out")
    assert files_in(tmp_path / "out") == {"mine.wav": b"mine"}


def test_full_disk(tmp_path, monkeypatch):
    def half(self, folder, members):
        (folder / "half.wav").write_bytes(b"x")
        raise OSError(errno.ENOSPC, "No space left on device")

    archive = make_zip(tmp_path / "a.zip", FILES)
    monkeypatch.setattr(zipfile.ZipFile, "extractall", half)
    with pytest.raises(MissingDataError, match=r"disk is full.*Free some space"):
        unpack(archive, tmp_path / "out")
    assert_nothing_unpacked(archive)
