"""Five kinds of music made by code, each with the place in time and frequency where its genre can be heard.

A piece is a signature, which tells its genre, on a backing, which does not: key, tempo, chords, instruments and level
are drawn alike for all genres. So a relevance map over such a piece can be scored against the truth.
"""

from typing import NamedTuple

import numpy as np
from scipy.signal import spectrogram

from ...errors import UnknownLabelError
from .backing import backing
from .evidence import clean_boxes, evidence_mask
from .genres import SIGNATURES
from .harmony import draw_harmony
from .sets import check_range

#: The genres, in alphabetical order.
LABELS = tuple(SIGNATURES)

#: Sampling rate in Hz, that of the front end for music.
SAMPLE_RATE = 22050

#: Level of a signature over the backing, where its evidence lies, in dB; and what each of its instruments differs by.
SNR_DB = (4.0, 16.0)
SPREAD_DB = 2.0

#: Root mean square of a whole piece in dB (full scale 1), and the highest peak; whatever the genre.
LEVEL_DB = (-26.0, -16.0)
PEAK = 0.9
HEARD_HZ = (40.0, 10000.0)


class Piece(NamedTuple):
    """A synthetic piece of music, taken apart.

    The `waveform` [samples] in float32, between -1 and 1, is the `signature`, which tells the genre, and the `backing`.
    Boxes ``(start_s, stop_s, low_hz, high_hz)`` in `evidence` hold the notes of the signature, those in `faint` what
    the notes sound besides, overtones and dying tones: neither evidence nor backing. `snr` is the level of the
    signature over that of the backing, both inside the evidence, in dB (40 to 10000 Hz); `parameters` says what was
    drawn: tempo, mode, who plays, how the signature goes.
    """

    waveform: np.ndarray
    signature: np.ndarray
    backing: np.ndarray
    evidence: list
    faint: list
    sample_rate: int
    snr: float
    parameters: dict


def compose(label, *, seed, seconds=30.0):
    """Make one piece of a genre, and say where its evidence is.

    Parameters
    ----------
    label : str
        One of ``LABELS``.
    seed : int or sequence of int
        Not negative. The same seed gives the same piece; pieces of all genres with the same seed have the same
        backing, but for one factor.
    seconds : float
        Length of the piece, 6 to 60 s.

    Returns
    -------
    Piece
        Of 22,050 Hz.

    Raises
    ------
    UnknownLabelError
        If there is no such genre.
    ValueError
        If the length is out of range.

    Examples
    --------
    >>> piece = compose("waltz", seed=1, seconds=12.0)
    >>> piece.waveform.shape
    (264600,)
    """
    if label not in SIGNATURES:
        raise UnknownLabelError(f"No synthetic music is called {label!r}. The genres are: {', '.join(LABELS)}.")
    check_range("seconds", seconds, 6, 60)
    rngs = [np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(part,))) for part in range(4)]
    harmony = draw_harmony(rngs[0], seconds, SAMPLE_RATE)
    rest, players = backing(rngs[1], harmony)
    events = SIGNATURES[label](rngs[2], harmony)
    snr, level = rngs[3].uniform(*SNR_DB), rngs[3].uniform(*LEVEL_DB)
    signature, floor = np.zeros(len(rest)), _power(rest)
    for event in events:
        ratio = _ratio(_power(event.stem), floor, clean_boxes(event.evidence, seconds))
        signature += event.stem * np.sqrt(10 ** ((snr + rngs[3].uniform(-SPREAD_DB, SPREAD_DB)) / 10) / ratio)
    evidence = clean_boxes([box for event in events for box in event.evidence], seconds)
    faint = clean_boxes([box for event in events for box in event.faint], seconds)
    snr = 10 * np.log10(_ratio(_power(signature), floor, evidence))
    whole = signature + rest
    gain = min(10 ** (level / 20) / np.sqrt(np.mean(whole**2)), PEAK / np.abs(whole).max())
    signature, rest = (gain * signature).astype(np.float32), (gain * rest).astype(np.float32)
    parameters = {"tempo_bpm": 60 / harmony.beat, "mode": harmony.mode, **players}
    for event in events:
        parameters |= event.parameters
    return Piece(signature + rest, signature, rest, evidence, faint, SAMPLE_RATE, float(snr), parameters)


def _power(signal):
    """Power [time, frequency] with its two axes."""
    frequency, time, power = spectrogram(signal, SAMPLE_RATE, "hann", nperseg=1024, noverlap=512, detrend=False)
    heard = (frequency >= HEARD_HZ[0]) & (frequency <= HEARD_HZ[1])
    return power[heard].T, time, frequency[heard]


def _ratio(signature, rest, boxes):
    """Energy of one over that of the other inside boxes."""
    mask = evidence_mask(boxes, *signature[1:])
    return signature[0][mask].sum() / rest[0][mask].sum()
