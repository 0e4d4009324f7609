"""Arrays that can be made again, kept in the cache; and files written whole or not at all."""

import os
import tempfile
from pathlib import Path

import joblib
import numpy as np

from .settings import cache_folder


def cached_array(room, key, compute):
    """An array from the cache, or computed and kept there.

    Parameters
    ----------
    room : str
        Folder inside the cache.
    key : object
        All that the array depends on.
    compute : callable [-> numpy.ndarray]

    Returns
    -------
    numpy.ndarray
    """
    path = cache_folder(room) / f"{joblib.hash(key)}.npy"
    if path.is_file():
        try:
            return np.load(path, allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            print(f"The {room} in the cache cannot be read ({error}); they are computed again.")
    array = compute()
    write_whole(path, lambda temporary: np.save(temporary, array))
    return array


def write_whole(path, write):
    """Write through a temporary file beside the target, and rename.

    Parameters
    ----------
    path : Path
    write : callable [Path -> None]
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as folder:
        temporary = Path(folder) / path.name
        write(temporary)
        os.replace(temporary, path)
