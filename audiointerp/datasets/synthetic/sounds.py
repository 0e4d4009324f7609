"""Ten kinds of sound made by code, each with the place in time and frequency where its class can be heard.

The classes carry the names of ESC-10 and imitate its sounds. A sound is an event (what the class is about) on a
background with distractors (the same for all classes); the generator of the event knows where its energy lies, so a
relevance map over such a sound can be scored against the truth.
"""

from typing import NamedTuple

import numpy as np

from ...errors import UnknownLabelError
from . import noises, voices
from .background import background
from .evidence import clean_boxes, inside
from .sets import check_range
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


class Sound(NamedTuple):
    """A synthetic sound, taken apart.

    The `waveform` [samples] in float32, between -1 and 1, is the `event`, the class sound alone, and the `background`
    with its distractors. Boxes ``(start_s, stop_s, low_hz, high_hz)`` in `evidence` hold the event's strong parts,
    those in `faint` weak sounds that also come with it (blade slap, breaths, the roar of a fire): neither evidence nor
    background. `snr` is the level of the event where its evidence is over that of the background without distractors,
    in dB (125 to 7500 Hz); `parameters` says what was drawn: rates, pitches, kind of background.
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

    heard = inside(np.arange(len(stem)) / sample_rate, [box[:2] for box in evidence])
    natural = audible_rms(stem * heard, sample_rate) / np.sqrt(heard.mean())
    snr = np.clip(rngs[4].uniform(*SNR_DB) + rngs[5].uniform(-3, 3), *SNR_DB)
    gain = level * 10 ** (snr / 20) / natural
    gain = min(gain, (PEAK - np.abs(rest).max()) / np.abs(stem).max())
    snr = 20 * np.log10(gain * natural / level)
    event, rest = (gain * stem).astype(np.float32), rest.astype(np.float32)
    parameters = {**parameters, "background": kind}
    return Sound(event + rest, event, rest, evidence, faint, sample_rate, float(snr), parameters)
