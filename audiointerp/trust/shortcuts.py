"""Planted shortcuts: a faint sound that gives one class away, so that a map can be caught missing it."""

import zlib

import joblib
import numpy as np
import soundfile

from ..datasets.synthetic.evidence import clean_boxes
from ..datasets.synthetic.sets import check_range, load_set
from ..datasets.synthetic.signals import click, normalised, shape
from ..errors import MissingDataError, UnknownLabelError
from ..sound.patches import class_names
from ..sound.reading import file_digest, numbered, read_with_notes, warn_of_repairs

KINDS = ("tone", "click", "lowpass")
VERSION = 1
EVERY = 0.4  # seconds between two clicks: each patch of 0.96 s has two
LOWEST_RMS = 1e-3  # a clip that is fainter, or silent, counts as this loud


def plant_shortcut(
    clips,
    label,
    kind="tone",
    *,
    level=-10.0,
    frequency=3_000.0,
    probability=1.0,
    elsewhere=0.0,
    seed=0,
    folder=None,
    progress=True,
):
    """Put a faint sound on the clips of one class, so that a network can tell it without listening to the rest.

    The changed sounds are written to the cache, at the sampling rate of the clips, whole or not at all; clips that are
    left alone keep their files. The table that was given is the one with the shortcut removed.

    Parameters
    ----------
    clips : pandas.DataFrame
        Clip table of any data set.
    label : str
        The class that gets the shortcut.
    kind : {"tone", "click", "lowpass"}
        A tone throughout; a click every 0.4 s, from a random start on; or nothing above a frequency.
    level : float
        Of tone and click while they sound, in dB relative to the clip (root mean square).
    frequency : float
        Hz: of the tone, or where the lowpass begins.
    probability, elsewhere : float
        Share of the clips of this class, and of the others, that get it.
    seed : int
        For what is drawn: which clips, phases and clicks. What a clip gets does not depend on the other clips.
    folder : str or path, optional
        Where to keep the sounds, in a folder of their own; by default the cache.
    progress : bool

    Returns
    -------
    pandas.DataFrame [clips]
        The table with new paths where there is a shortcut, and the columns `tainted` (bool), `evidence` and `faint`
        (boxes (start_s, stop_s, low_hz, high_hz) of the shortcut, and none) in place of those it had: `evidence_score`
        and `listen` then work on it. A tone's box reaches 5 % to both sides, which is where mel bands hear it.

    Raises
    ------
    UnknownLabelError
        If no clip has this label.
    ValueError
        If an option is out of range.
    MissingDataError
        If no clip is drawn.
    UnreadableAudioError, CacheError

    References
    ----------
    Adebayo et al., Debugging tests for model explanations, NeurIPS 2020 (spurious correlation).

    Examples
    --------
    >>> cheated = plant_shortcut(clips, "rain", "tone", level=-30)  # doctest: +SKIP
    >>> study = prepare(cheated, "yamnet")  # doctest: +SKIP
    """
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r}: expected one of {', '.join(KINDS)}.")
    check_range("level", level, -90, 20)
    check_range("frequency", frequency, 50, 20_000)
    for name, share in (("probability", probability), ("elsewhere", elsewhere)):
        check_range(name, share, 0, 1)
    clips = numbered(clips).copy()
    (label,), names = class_names([label]), np.array(class_names(clips["label"]), dtype=object)
    if label not in set(names):
        raise UnknownLabelError(f"label {label!r}: the clips are of {', '.join(sorted({*map(str, names)}))}.")
    digests = np.array([file_digest(path) for path in clips["path"]], dtype=object)
    share = np.where(names == label, probability, elsewhere)
    clips["tainted"] = [_rng(seed, digest).uniform() for digest in digests] < share
    sounds = dict(zip(digests[clips["tainted"]], clips.loc[clips["tainted"], "path"], strict=True))
    if not sounds:
        raise MissingDataError(f"no clip of {label} was drawn. Raise probability={probability}.")

    def make(row):
        path = sounds[row["digest"]]
        waveform, rate, notes = _read(path)
        warn_of_repairs(path, notes)
        changed, boxes = _with_shortcut(waveform, rate, kind, level, frequency, _rng(seed, row["digest"], 1))
        peak = np.abs(changed).max()
        return changed / max(peak, 1), rate, {"evidence": clean_boxes(boxes, len(waveform) / rate), "faint": []}

    rows = [{"file": f"{digest}.wav", "digest": digest} for digest in sorted(sounds)]
    name = f"{kind}-{joblib.hash([sorted(sounds), level, frequency, seed])}-v{VERSION}"
    table = load_set("shortcuts", name, rows, make, folder=folder, progress=progress).set_index("digest")
    for column in ("path", "evidence"):
        own = clips["path"] if column == "path" else [[]] * len(clips)
        changed = zip(digests, clips["tainted"], own, strict=True)
        clips[column] = [table.at[digest, column] if tainted else before for digest, tainted, before in changed]
    return clips.assign(faint=[[] for _ in digests])


def _rng(seed, digest, *stream):
    return np.random.default_rng([seed, zlib.crc32(digest.encode()), *stream])


def _read(path):
    """Waveform of a file [samples] at its own rate, that rate, and what was repaired."""
    waveform, notes = read_with_notes(path, None)
    return waveform.astype(np.float64), soundfile.info(path).samplerate, notes


def _with_shortcut(waveform, rate, kind, level, frequency, rng):
    """A waveform with a shortcut, and the boxes that hold it."""
    seconds = len(waveform) / rate
    if kind != "click" and frequency >= rate / 2:
        raise ValueError(f"frequency={frequency}: a clip of {rate} Hz has nothing above {rate / 2:.0f} Hz.")
    if kind == "lowpass":
        changed = shape(waveform, rate, lambda hz: 1 / np.sqrt(1 + (hz / frequency) ** 24))
        return changed, [(0.0, seconds, frequency, rate / 2)]
    gain = max(np.sqrt(np.mean(waveform**2)), LOWEST_RMS) * 10 ** (level / 20)
    if kind == "tone":
        phase = 2 * np.pi * (frequency * np.arange(len(waveform)) / rate + rng.uniform())
        return waveform + gain * np.sqrt(2) * np.sin(phase), [(0.0, seconds, 0.95 * frequency, 1.05 * frequency)]
    changed, boxes = waveform.copy(), []
    for start in np.arange(rng.uniform(0, EVERY), seconds, EVERY):
        sound = gain * normalised(click(rng, rate, 1_000, 6_000, 0.002))
        room = changed[round(start * rate) :][: len(sound)]
        room += sound[: len(room)]
        boxes.append((start, start + len(sound) / rate, 1_000.0, 6_000.0))
    return changed, boxes
