"""Unpack downloaded archives with care."""

import errno
import lzma
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path, PureWindowsPath

from ..errors import AudioInterpError, ChecksumError, MissingDataError

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
_SMALLEST = 512  # bytes that a member counts for at least, so that their number is bounded too
_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, RuntimeError)


def unpack(archive, folder, *, top=None, max_bytes=8 * 2**30):
    """Unpack a zip or tar archive into a new folder, all or nothing.

    Parameters
    ----------
    archive : str or path
    folder : str or path
        What the archive becomes; not there yet, or empty.
    top : str, optional
        The folder in the archive that becomes ``folder``; the rest of the archive is dropped.
    max_bytes : int
        Most that the unpacked files may take.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ChecksumError
        If the archive is damaged, too large, or has a member that could reach outside ``folder``: an absolute path,
        ``..``, a link, a device.
    MissingDataError
        If the archive or ``top`` is not there, or the files could not be written.
    AudioInterpError
        If ``folder`` is there already and not empty.
    """
    archive, folder = Path(archive).expanduser(), Path(folder).expanduser()
    if not archive.is_file():
        raise MissingDataError(f"{archive}: no such archive. Download it first.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise AudioInterpError(f"{folder} is there already and not empty. Move it away to unpack {archive.name} there.")
    scratch = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        content = scratch / "content"
        content.mkdir()
        _extract(archive, content, max_bytes)
        wanted = content / top if top else content
        if not wanted.is_dir():
            found = ", ".join(sorted(entry.name for entry in content.iterdir())[:5]) or "nothing"
            raise MissingDataError(f"{archive}: expected the folder {top} in it, found {found}. Nothing was unpacked.")
        if folder.exists():
            folder.rmdir()
        os.replace(wanted, folder)
    except _DAMAGED as error:
        raise _unusable(archive, f"cannot be read: {error}") from error
    except OSError as error:
        if error.errno is None:
            raise _unusable(archive, f"cannot be read: {error}") from error
        raise not_written(error, folder) from error
    finally:
        if scratch:
            shutil.rmtree(scratch, ignore_errors=True)
    return folder


def not_written(error, path):
    """The error to raise when the operating system refused to write at ``path``."""
    if error.errno in _NO_SPACE:
        return MissingDataError(
            f"{path}: the disk is full. Nothing half-written was left. Free some space, or set AUDIOINTERP_DATA to a "
            "folder on another disk, and run it again."
        )
    return MissingDataError(
        f"{path}: cannot be written ({error.strerror or error}). Set AUDIOINTERP_DATA to a folder you can write to."
    )


def _extract(archive, content, max_bytes):
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            members = opened.infolist()
            _check_members(archive, ((m.filename, m.file_size, _plain_in_zip(m)) for m in members), max_bytes)
            opened.extractall(content, members)
    elif tarfile.is_tarfile(archive):
        # Python 3.10 and 3.11 had releases without the filter.
        options = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        with tarfile.open(archive) as opened:
            _check_members(archive, ((m.name, m.size, m.isreg() or m.isdir()) for m in opened), max_bytes)
            opened.extractall(content, **options)
    else:
        raise _unusable(archive, f"is neither a zip nor a tar archive ({archive.stat().st_size:,} bytes)")


def _check_members(archive, members, max_bytes):
    total = 0
    for name, size, plain in members:
        path = PureWindowsPath(name)
        if path.anchor or ".." in path.parts:
            raise _unusable(archive, f"holds the path {name!r}, which leads outside its folder")
        if not plain:
            raise _unusable(archive, f"holds {name!r}, which is a link or a device")
        total += max(size, _SMALLEST)
        if total > max_bytes:
            raise _unusable(archive, f"would unpack to more than {max_bytes:,} bytes")


def _plain_in_zip(member):
    return stat.S_IFMT(member.external_attr >> 16) in (0, stat.S_IFREG, stat.S_IFDIR)


def _unusable(archive, why):
    return ChecksumError(f"{archive} {why}. Nothing was unpacked. Remove it and download it again.")
