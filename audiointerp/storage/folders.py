"""Where data and results live."""

import os
import tempfile
from pathlib import Path

from ..errors import CacheError, MissingDataError


def data_folder():
    """Folder that real data and weights are read from and downloaded to.

    ``AUDIOINTERP_DATA`` if it is set, otherwise ``data`` inside the cache folder.

    Returns
    -------
    pathlib.Path
        It is there if it is named by the variable.

    Raises
    ------
    MissingDataError
        If ``AUDIOINTERP_DATA`` names a folder that does not exist.
    """
    named = os.environ.get("AUDIOINTERP_DATA")
    if not named:
        return cache_folder("data")
    folder = Path(named).expanduser().resolve()
    if not folder.is_dir():
        raise MissingDataError(
            f"AUDIOINTERP_DATA={named}: no such folder (looked for {folder}). "
            "Set it to the folder that holds esc10/ and weights/, or unset it to download."
        )
    return folder


def cache_folder(room=None):
    """Folder for results that can be made again, created if needed.

    Parameters
    ----------
    room : str, optional
        Name of a folder inside the cache.

    Returns
    -------
    pathlib.Path
        ``AUDIOINTERP_CACHE`` (or ``~/.cache/audiointerp``), and the room in it.

    Raises
    ------
    CacheError
        If the folder cannot be made or written to.
    """
    base = Path(os.environ.get("AUDIOINTERP_CACHE") or Path.home() / ".cache" / "audiointerp").expanduser()
    folder = base / room if room else base
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise CacheError(
            f"{folder}: the cache folder cannot be written to ({error.strerror or error}). "
            "Set AUDIOINTERP_CACHE to a folder you can write to, or free some space."
        ) from error
    return folder.resolve()
