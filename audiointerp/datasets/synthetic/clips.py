"""A data set of synthetic sounds: the classes of ESC-10 made by code, each clip with the region of its evidence.

It needs no download, so the whole series runs on it, and a map over such a sound can be checked against the truth,
which no recording allows. Sounds are 16-bit WAV files of 16 kHz: ESC is published at 44.1 kHz, but the front end
resamples to 16 kHz and looks at nothing above 7.5 kHz, so a higher rate would only cost time and space.
"""

import zlib

from .sets import FOLDS, check_range, check_set, load_set
from .sounds import LABELS, SAMPLE_RATE, synthesize

COLUMNS = ["path", "label", "fold", "source", "take", "snr", "evidence", "faint"]

#: Goes up when the sounds change, so that no older ones are read from the cache.
VERSION = 1


def load(*, clips_per_label=20, seconds=5.0, sample_rate=SAMPLE_RATE, seed=0, folder=None, progress=True):
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
    progress : bool

    Returns
    -------
    pandas.DataFrame
        One row a clip, sorted by label and file name: ``path`` (str, absolute), ``label``, ``fold`` (1 to 5),
        ``source`` (str; clips that share it are takes of one recording, in one fold), ``take`` (``A`` or ``B``),
        ``snr`` (dB), ``evidence`` and ``faint`` (lists of boxes ``(start_s, stop_s, low_hz, high_hz)``, see
        :class:`audiointerp.datasets.synthetic.sounds.Sound`).

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
    check_set(seed, clips_per_label=clips_per_label)
    check_range("seconds", seconds, 1, 60)
    check_range("sample_rate", sample_rate, 16000, 48000)

    def make(row):
        name = zlib.crc32(row["label"].encode())
        sound = synthesize(
            row["label"],
            seed=(seed, name, int(row["source"]) % 100000),
            take=ord(row["take"]) - ord("A"),
            seconds=seconds,
            sample_rate=sample_rate,
        )
        columns = {"snr": round(sound.snr, 2), "evidence": sound.evidence, "faint": sound.faint}
        return sound.waveform, sample_rate, columns

    name = f"{clips_per_label}x{seconds:g}s-{sample_rate}hz-seed{seed}-v{VERSION}"
    return load_set("synthetic", name, plan(clips_per_label), make, folder=folder, progress=progress)[COLUMNS]


def plan(clips_per_label):
    """Which file, label, fold, source and take each clip is, by its place in the set; sorted by file.

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
