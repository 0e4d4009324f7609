"""A data set of synthetic music: five genres made by code, each track with the places of its evidence.

It needs no download, and it is made so that a network can learn the genres from nothing but their signatures: see
:mod:`~audiointerp.datasets.synthetic.music`. Tracks are 16-bit WAV files of 22,050 Hz.
"""

import zlib

from .music import LABELS, SAMPLE_RATE, compose
from .sets import FOLDS, check_range, check_set, load_set

COLUMNS = ["path", "label", "fold", "source", "snr", "tempo", "evidence", "faint"]

#: Goes up when the music changes, so that no older one is read from the cache.
VERSION = 1


def load(*, tracks_per_label=10, seconds=30.0, seed=0, folder=None, progress=True):
    """Table of the synthetic tracks; they are made first if the cache does not hold them complete and unharmed.

    Parameters
    ----------
    tracks_per_label : int
        A multiple of 5: every genre has the same number of tracks in each fold. A larger set contains the smaller one.
    seconds : float
        Length of each track, 6 to 60 s.
    seed : int
        Not negative. The same seed gives the same files, byte for byte.
    folder : str or pathlib.Path, optional
        Where to keep the set, in a folder of its own named after the settings; by default the cache.
    progress : bool

    Returns
    -------
    pandas.DataFrame
        One row a track, sorted by genre and number: ``path`` (str, absolute), ``label``, ``fold`` (1 to 5), ``source``
        (str; the track itself), ``snr`` (dB), ``tempo`` (beats per minute), ``evidence`` and ``faint`` (lists of boxes
        ``(start_s, stop_s, low_hz, high_hz)``, see :class:`audiointerp.datasets.synthetic.music.Piece`).

    Raises
    ------
    ValueError
        If a setting is out of range.
    CacheError
        If the folder cannot be written to.

    Notes
    -----
    Files are named as in GTZAN, ``<label>/<label>.<number>.wav``, so a plain folder reader finds them too.
    """
    check_set(seed, tracks_per_label=tracks_per_label)
    check_range("seconds", seconds, 6, 60)

    def make(row):
        piece = compose(row["label"], seed=track_seed(seed, row["source"]), seconds=seconds)
        columns = {"snr": round(piece.snr, 2), "tempo": round(piece.parameters["tempo_bpm"], 1)}
        return piece.waveform, SAMPLE_RATE, columns | {"evidence": piece.evidence, "faint": piece.faint}

    name = f"{tracks_per_label}x{seconds:g}s-seed{seed}-v{VERSION}"
    return load_set("synthetic_music", name, plan(tracks_per_label), make, folder=folder, progress=progress)[COLUMNS]


def plan(tracks_per_label):
    """Which file, label, fold and source each track is, by its place in the set; sorted by file."""
    rows = []
    for label in LABELS:
        for number in range(tracks_per_label):
            source = f"{label}.{number:05}"
            rows.append({"file": f"{label}/{source}.wav", "label": label, "fold": number % FOLDS + 1, "source": source})
    return rows


def track_seed(seed, source):
    """Seed for `compose` of a track of a set, which takes it apart again into signature and backing."""
    return (seed, zlib.crc32(source.encode()))
