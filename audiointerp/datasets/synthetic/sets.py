"""Sets of sounds made by code: written once, kept whole in a folder, and read as a clip table.

A set is a list of rows, one for each sound, and a function that makes the sound of a row. Both depend on nothing but
the settings that the set's folder is named after, so a set that is there need not be made again.
"""

import io
import json
import shutil
import tempfile
import zlib
from numbers import Integral
from pathlib import Path

import joblib
import pandas as pd
import soundfile
from tqdm import tqdm

from ...errors import CacheError
from ...storage.folders import cache_folder

FOLDS = 5
TABLE = "clips.json"


def load_set(room, name, rows, make, *, folder=None, progress=True):
    """Table of a set; its sounds are made first if the folder does not hold them complete and unharmed.

    Each of the `rows` is a dict with ``file`` (its path below the folder of the set) and other columns of the table.
    `make`, called from several threads, takes a row and gives its waveform [samples], between -1 and 1, its sampling
    rate in Hz, and a dict of further columns with ``evidence`` and ``faint`` (lists of boxes). The set stands in the
    folder `name`, named after all its settings, of `folder` or of the cache's `room`. In the table ``path`` (absolute)
    takes the place of ``file``, and ``crc32`` is added.
    """
    base = cache_folder(room) if folder is None else Path(folder).expanduser().resolve()
    home = base / name
    finished = _read(home)
    if finished is None:
        finished = _make(home, rows, make, progress)
    table = pd.DataFrame(finished)
    table["path"] = [str(home / file) for file in table.pop("file")]
    for column in ("evidence", "faint"):
        table[column] = [[tuple(box) for box in boxes] for boxes in table[column]]
    return table


def check_set(seed, **number):
    """Raise a ValueError unless the seed is a whole number and the number of sounds of a label is a multiple of 5."""
    for name, value in number.items():
        if not isinstance(value, Integral) or value < FOLDS or value % FOLDS:
            raise ValueError(f"{name}={value!r}: expected a multiple of {FOLDS}, so that the folds are equal.")
    if not isinstance(seed, Integral) or seed < 0:
        raise ValueError(f"seed={seed!r}: expected a whole number, 0 or larger.")


def check_range(name, value, low, high):
    """Raise a ValueError unless `value` is a number from `low` to `high`."""
    try:
        fits = low <= value <= high
    except TypeError:
        fits = False
    if not fits:
        raise ValueError(f"{name}={value!r}: expected a number from {low} to {high}.")


def _read(home):
    """Rows of a finished set, or None if anything is missing or differs from what was written."""
    try:
        rows = json.loads((home / TABLE).read_text(encoding="utf-8"))
        whole = all(zlib.crc32((home / row["file"]).read_bytes()) == row["crc32"] for row in rows)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return rows if whole and rows else None


def _make(home, rows, make, progress):
    """Write all sounds and the table into a temporary folder, then give it its name."""
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".making-", dir=home.parent) as made:
            made = Path(made) / home.name
            for name in {Path(row["file"]).parent for row in rows}:
                (made / name).mkdir(parents=True, exist_ok=True)
            jobs = (joblib.delayed(_write)(made, row, make) for row in rows)
            results = joblib.Parallel(n_jobs=-1, prefer="threads", return_as="generator")(jobs)
            options = {"unit": "clip", "leave": False, "delay": 2, "disable": not progress}
            rows = list(tqdm(results, "Making synthetic sounds", len(rows), **options))
            (made / TABLE).write_text(json.dumps(rows), encoding="utf-8")
            _put(made, home)
    except OSError as error:
        raise CacheError(
            f"{home}: the synthetic sounds cannot be written ({error.strerror or error}). "
            "Set AUDIOINTERP_CACHE to a folder you can write to, or free some space."
        ) from error
    return rows


def _write(home, row, make):
    """Make one sound, write it, and return its row of the table."""
    waveform, sample_rate, columns = make(row)
    buffer = io.BytesIO()
    soundfile.write(buffer, waveform, sample_rate, subtype="PCM_16", format="WAV")
    data = buffer.getvalue()
    (home / row["file"]).write_bytes(data)
    return {**row, **columns, "crc32": zlib.crc32(data)}


def _put(made, home):
    """Put a finished set in its place, unless another process has finished the same one there meanwhile."""
    if _read(home) is not None:
        return
    shutil.rmtree(home, ignore_errors=True)
    try:
        made.rename(home)
    except OSError:
        if _read(home) is None:
            raise
