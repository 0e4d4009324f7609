"""A data set of synthetic sounds: the classes of ESC-10 made by code, each clip with the region of its evidence.

It needs no download, so the whole series runs on it, and it is the only data on which a map can be checked against
the truth. Sounds are 16-bit WAV files of 16 kHz: ESC is published at 44.1 kHz, but the front end resamples to 16 kHz
and looks at nothing above 7.5 kHz, so a higher rate would only cost time and space.
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
from tqdm.auto import tqdm

from ..errors import CacheError
from ..settings import cache_folder
from .synthesis import LABELS, SAMPLE_RATE, check_range, synthesize

FOLDS = 5
TABLE = "clips.json"
COLUMNS = ["path", "label", "fold", "source", "take", "snr", "evidence", "faint"]

#: Goes up when the sounds change, so that no older ones are read from the cache.
VERSION = 1


def load(*, clips_per_label=20, seconds=5.0, sample_rate=SAMPLE_RATE, seed=0, folder=None):
    """Table of the synthetic clips; they are made first if the cache does not hold them complete and unharmed.

    Parameters
    ----------
    clips_per_label : int
        A multiple of 5: every label has the same number of clips in each fold. A larger set contains the smaller one.
    seconds : float
        Length of each clip, 1 to 60 s.
    sample_rate : int
        In Hz, 16000 to 48000.
    seed : int
        Not negative. The same seed gives the same files, byte for byte.
    folder : str or pathlib.Path, optional
        Where to keep the set, in a folder of its own named after the settings; by default the cache.

    Returns
    -------
    pandas.DataFrame
        One row a clip, sorted by label and file name: ``path`` (str, absolute), ``label``, ``fold`` (1 to 5),
        ``source`` (str; clips that share it are takes of one recording, in one fold), ``take`` (``A`` or ``B``),
        ``snr`` (dB), ``evidence`` and ``faint`` (lists of boxes ``(start_s, stop_s, low_hz, high_hz)``, see
        :class:`audiointerp.datasets.synthesis.Sound`).

    Raises
    ------
    ValueError
        If a setting is out of range.
    CacheError
        If the folder cannot be written to.

    Notes
    -----
    Files are named as in ESC, ``<label>/<fold>-<source>-<take>.wav``, so a plain folder reader finds them too. Four
    in ten clips come in pairs of takes: a split that ignores ``source`` puts one in training and one in validation.
    """
    if not isinstance(clips_per_label, Integral) or clips_per_label < FOLDS or clips_per_label % FOLDS:
        raise ValueError(f"clips_per_label={clips_per_label!r}: expected a multiple of 5, so that the folds are equal.")
    if not isinstance(seed, Integral) or seed < 0:
        raise ValueError(f"seed={seed!r}: expected a whole number, 0 or larger.")
    check_range("seconds", seconds, 1, 60)
    check_range("sample_rate", sample_rate, 16000, 48000)
    base = cache_folder("synthetic") if folder is None else Path(folder).expanduser().resolve()
    home = base / f"{clips_per_label}x{seconds:g}s-{sample_rate}hz-seed{seed}-v{VERSION}"
    rows = _read(home)
    if rows is None:
        rows = _make(home, clips_per_label, seconds, sample_rate, seed)
    table = pd.DataFrame(rows)
    table["path"] = [str(home / name) for name in table.pop("file")]
    for column in ("evidence", "faint"):
        table[column] = [[tuple(box) for box in boxes] for boxes in table[column]]
    return table[COLUMNS]


def plan(clips_per_label):
    """Which source, fold and take each clip is, by its place in the set.

    Parameters
    ----------
    clips_per_label : int

    Returns
    -------
    list of dict
        With ``file`` (below the folder of the set), ``label``, ``fold``, ``source`` (str) and ``take``; sorted by file.
        In each ten clips of a label, two folds hold two takes of one source, and three folds two sources.
    """
    rows = []
    for index, label in enumerate(LABELS):
        for number in range(clips_per_label):
            block, place = divmod(number, 2 * FOLDS)
            fold = place % FOLDS + 1
            second = place >= FOLDS and (fold + block + index) % FOLDS < 2
            source = str(100000 * (index + 1) + number - FOLDS * second)
            take = "B" if second else "A"
            file = f"{label}/{fold}-{source}-{take}.wav"
            rows.append({"file": file, "label": label, "fold": fold, "source": source, "take": take})
    return sorted(rows, key=lambda row: row["file"])


def _make(home, clips_per_label, seconds, sample_rate, seed):
    """Write all sounds and the table into a temporary folder, then give it its name."""
    rows = plan(clips_per_label)
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".making-", dir=home.parent) as made:
            made = Path(made) / home.name
            for label in LABELS:
                (made / label).mkdir(parents=True)
            jobs = (joblib.delayed(_write)(made, row, seconds, sample_rate, seed) for row in rows)
            results = joblib.Parallel(n_jobs=-1, prefer="threads", return_as="generator")(jobs)
            rows = list(tqdm(results, total=len(rows), desc="Making synthetic sounds", unit="clip", delay=2))
            (made / TABLE).write_text(json.dumps(rows), encoding="utf-8")
            _put(made, home)
    except OSError as error:
        raise CacheError(
            f"{home}: the synthetic sounds cannot be written ({error.strerror or error}). "
            "Set AUDIOINTERP_CACHE to a folder you can write to, or free some space."
        ) from error
    return rows


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


def _write(home, row, seconds, sample_rate, seed):
    """Make one clip, write it, and return its row of the table."""
    name = zlib.crc32(row["label"].encode())
    sound = synthesize(
        row["label"],
        seed=(seed, name, int(row["source"]) % 100000),
        take=ord(row["take"]) - ord("A"),
        seconds=seconds,
        sample_rate=sample_rate,
    )
    buffer = io.BytesIO()
    soundfile.write(buffer, sound.waveform, sample_rate, subtype="PCM_16", format="WAV")
    data = buffer.getvalue()
    (home / row["file"]).write_bytes(data)
    return {
        **row,
        "snr": round(sound.snr, 2),
        "evidence": sound.evidence,
        "faint": sound.faint,
        "crc32": zlib.crc32(data),
    }


def _read(home):
    """Rows of a finished set, or None if anything is missing or differs from what was written."""
    try:
        rows = json.loads((home / TABLE).read_text(encoding="utf-8"))
        whole = all(zlib.crc32((home / row["file"]).read_bytes()) == row["crc32"] for row in rows)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return rows if whole and rows else None
