"""Ten kinds of sound made by code, each with the place in time and frequency where its class can be heard.

The classes carry the names of ESC-10 and imitate its sounds. A sound is an event (what the class is about) on a
background with distractors (the same for all classes); the generator of the event knows where its energy lies, so a
relevance map over such a sound can be scored against the truth.
"""

from typing import NamedTuple

import numpy as np

from ..errors import UnknownLabelError
from . import noises, voices
from .background import background
from .signals import audible_rms

GENERATORS = {
    "chainsaw": noises.chainsaw,
    "clock_tick": noises.clock_tick,
    "crackling_fire": noises.crackling_fire,
    "crying_baby": voices.crying_baby,
    "dog": voices.dog,
    "helicopter": noises.helicopter,
    "rain": noises.rain,
    "rooster": voices.rooster,
    "sea_waves": noises.sea_waves,
    "sneezing": voices.sneezing,
}

#: The ten class names, in alphabetical order.
LABELS = tuple(GENERATORS)

#: Sampling rate in Hz: the network front end resamples to 16 kHz and uses nothing above 7.5 kHz.
SAMPLE_RATE = 16000

SNR_DB = (3.0, 25.0)
PEAK = 0.97
MARGIN_S = 0.01


class Sound(NamedTuple):
    """A synthetic sound, taken apart.

    Attributes
    ----------
    waveform : numpy.ndarray [samples]
        ``event + background``, float32, between -1 and 1.
    event, background : numpy.ndarray [samples]
        The class sound alone; the rest alone, distractors included.
    evidence : list of (float, float, float, float)
        Boxes ``(start_s, stop_s, low_hz, high_hz)`` that hold the event's strong parts.
    faint : list of (float, float, float, float)
        Boxes of weak sounds that also come with the event (blade slap, breaths, the roar of a fire): neither
        evidence nor background.
    sample_rate : int
    snr : float
        Level of the event where its evidence is, over the level of the background without distractors, in dB
        (125 to 7500 Hz).
    parameters : dict
        What the generator drew: rates, pitches, kind of background.
    """

    waveform: np.ndarray
    event: np.ndarray
    background: np.ndarray
    evidence: list
    faint: list
    sample_rate: int
    snr: float
    parameters: dict


def synthesize(label, *, seed, take=0, seconds=5.0, sample_rate=SAMPLE_RATE):
    """Make one sound of a class, and say where its evidence is.

    Parameters
    ----------
    label : str
        One of ``LABELS``.
    seed : int or sequence of int
        Not negative. The same seed gives the same sound; sounds of all classes with the same seed have the same
        background.
    take : int
        Another part of the same recording: same timbre and kind of background, other timing, level and noise.
    seconds : float
        Length of the sound, 1 to 60 s.
    sample_rate : int
        In Hz, 16000 to 48000.

    Returns
    -------
    Sound

    Raises
    ------
    UnknownLabelError
        If there is no such class.
    ValueError
        If the length or the sampling rate is out of range.

    Examples
    --------
    >>> sound = synthesize("helicopter", seed=1)
    >>> sound.waveform.shape
    (80000,)
    """
    if label not in GENERATORS:
        raise UnknownLabelError(f"No synthetic sound is called {label!r}. The classes are: {', '.join(LABELS)}.")
    check_range("seconds", seconds, 1, 60)
    check_range("sample_rate", sample_rate, 16000, 48000)
    streams = [
        np.random.SeedSequence(seed, spawn_key=key) for key in [(0,), (1, take), (2,), (3, take), (4,), (5, take)]
    ]
    rngs = [np.random.default_rng(stream) for stream in streams]
    rest, kind, level = background(rngs[0], rngs[1], seconds, sample_rate)
    stem, evidence, faint, parameters = GENERATORS[label](rngs[2], rngs[3], seconds, sample_rate)
    evidence, faint = clean_boxes(evidence, seconds), clean_boxes(faint, seconds)

    heard = _inside(np.arange(len(stem)) / sample_rate, [box[:2] for box in evidence])
    natural = audible_rms(stem * heard, sample_rate) / np.sqrt(heard.mean())
    snr = np.clip(rngs[4].uniform(*SNR_DB) + rngs[5].uniform(-3, 3), *SNR_DB)
    gain = level * 10 ** (snr / 20) / natural
    gain = min(gain, (PEAK - np.abs(rest).max()) / np.abs(stem).max())
    snr = 20 * np.log10(gain * natural / level)
    event, rest = (gain * stem).astype(np.float32), rest.astype(np.float32)
    parameters = {**parameters, "background": kind}
    return Sound(event + rest, event, rest, evidence, faint, sample_rate, float(snr), parameters)


def evidence_mask(evidence, time_s, frequency_hz):
    """Where boxes lie on the axes of a spectrogram or a map.

    Parameters
    ----------
    evidence : iterable of (float, float, float, float)
        Boxes ``(start_s, stop_s, low_hz, high_hz)``.
    time_s : array_like [time]
        Centres of the frames in seconds, on the clock of the boxes, ascending.
    frequency_hz : array_like [frequency]
        Centres of the bands in Hz, ascending.

    Returns
    -------
    numpy.ndarray of bool [time, frequency]
        True where the centre of a cell lies in a box. A box that falls between two centres takes the nearer one, so
        that a click does not vanish from a coarse map; boxes beyond the axes leave no trace.
    """
    time_s, frequency_hz = np.asarray(time_s, dtype=float), np.asarray(frequency_hz, dtype=float)
    mask = np.zeros((len(time_s), len(frequency_hz)), dtype=bool)
    for start, stop, low, high in evidence:
        mask |= np.outer(_cells(time_s, start, stop), _cells(frequency_hz, low, high))
    return mask


def clean_boxes(boxes, seconds):
    """Boxes widened, cut to the clip, merged and sorted.

    Each box grows by 10 ms at both ends, which is how far a 25 ms Hann window smears a sound; boxes of the same band
    that overlap become one; boxes inside another one are dropped.
    """
    cut = []
    for start, stop, low, high in boxes:
        start, stop = max(0.0, start - MARGIN_S), min(float(seconds), stop + MARGIN_S)
        if stop > start and high > low:
            cut.append((round(float(low), 1), round(float(high), 1), round(start, 4), round(stop, 4)))
    merged = []
    for low, high, start, stop in sorted(cut):
        if merged and merged[-1][:2] == [low, high] and start <= merged[-1][3]:
            merged[-1][3] = max(stop, merged[-1][3])
        else:
            merged.append([low, high, start, stop])
    boxes = sorted((start, stop, low, high) for low, high, start, stop in merged)
    return [box for box in boxes if not any(_within(box, other) for other in boxes if other is not box)]


def check_range(name, value, low, high):
    """Raise a ValueError unless `value` is a number from `low` to `high`."""
    try:
        fits = low <= value <= high
    except TypeError:
        fits = False
    if not fits:
        raise ValueError(f"{name}={value!r}: expected a number from {low} to {high}.")


def _within(box, other):
    return other[0] <= box[0] and box[1] <= other[1] and other[2] <= box[2] and box[3] <= other[3]


def _inside(axis, spans):
    inside = np.zeros(len(axis), dtype=bool)
    for low, high in spans:
        inside |= (axis >= low) & (axis <= high)
    return inside


def _cells(axis, low, high):
    inside = (axis >= low) & (axis <= high)
    if not inside.any() and len(axis) and axis[0] <= high and low <= axis[-1]:
        inside[np.abs(axis - (low + high) / 2).argmin()] = True
    return inside
