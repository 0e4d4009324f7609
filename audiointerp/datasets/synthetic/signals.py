"""Building blocks of the synthetic sounds: shaped noise, clicks, voices, slow curves.

Frequencies are in Hz, times in seconds, waveforms are float64 arrays [samples]. A *gain* is a function of frequency.
"""

from typing import NamedTuple

import numpy as np
import scipy.fft
from scipy.interpolate import PchipInterpolator


class Event(NamedTuple):
    """What a generator returns: its waveform, and what it knows about where that waveform's energy lies.

    Boxes are ``(start_s, stop_s, low_hz, high_hz)``.
    """

    stem: np.ndarray
    evidence: list
    faint: list
    parameters: dict


def band(low, high, order=4):
    """Gain of a Butterworth-shaped band-pass from `low` to `high` (-3 dB points)."""

    def gain(frequency):
        frequency = np.maximum(frequency, 1e-6)
        return 1 / np.sqrt((1 + (low / frequency) ** (2 * order)) * (1 + (frequency / high) ** (2 * order)))

    return gain


def resonances(centres, widths, heights, floor=0.0):
    """Gain with one peak for each centre, as formants have (widths are full widths at -6 dB)."""

    def gain(frequency):
        frequency = np.asarray(frequency, dtype=float)
        peaks = [h / (1 + ((frequency - c) / (w / 2)) ** 2) for c, w, h in zip(centres, widths, heights, strict=True)]
        return floor + np.sum(peaks, axis=0)

    return gain


def shape(signal, sample_rate, gain):
    """The signal with its spectrum multiplied by `gain` (zero phase, ends joined)."""
    frequency = scipy.fft.rfftfreq(len(signal), 1 / sample_rate)
    return scipy.fft.irfft(scipy.fft.rfft(signal) * gain(frequency), len(signal))


def noise(rng, count, sample_rate, gain):
    """Gaussian noise of spectrum `gain`, root mean square 1."""
    return normalised(shape(rng.standard_normal(count), sample_rate, gain))


def normalised(signal):
    """The signal scaled to root mean square 1; silence stays silence."""
    return signal / max(np.sqrt(np.mean(signal**2)), 1e-12)


def audible_rms(signal, sample_rate, low=125.0, high=7500.0):
    """Root mean square of what lies between `low` and `high` Hz, the band that the front end sees."""
    spectrum = np.abs(scipy.fft.rfft(signal)) ** 2
    frequency = scipy.fft.rfftfreq(len(signal), 1 / sample_rate)
    return np.sqrt(2 * spectrum[(frequency >= low) & (frequency <= high)].sum()) / len(signal)


def curve(points, count):
    """A smooth curve of `count` samples through values spread evenly over it, without overshoot."""
    return PchipInterpolator(np.linspace(0, 1, len(points)), points)(np.linspace(0, 1, count))


def drift(rng, count, sample_rate, per_second, low, high):
    """A random curve between `low` and `high` with `per_second` turning points a second."""
    knots = max(3, round(per_second * count / sample_rate) + 1)
    return curve(rng.uniform(low, high, knots), count)


def fades(count, sample_rate, attack, release):
    """Envelope [samples] that rises over `attack` seconds, stays at 1 and falls over `release` seconds."""
    time = np.arange(count) / sample_rate
    rise = np.clip(time / attack, 0, 1)
    fall = np.clip((count / sample_rate - time) / release, 0, 1)
    return np.sin(np.pi / 2 * rise) ** 2 * np.sin(np.pi / 2 * fall) ** 2


def click(rng, sample_rate, low, high, decay, tones=()):
    """A noise burst between `low` and `high` that rings on at the given tones and dies with `decay`; peak 1."""
    count = max(32, round(8 * decay * sample_rate))
    time = np.arange(count) / sample_rate
    burst = noise(rng, count, sample_rate, band(low, high)) * np.exp(-time / min(decay, 0.003))
    for tone in tones:
        burst += np.sin(2 * np.pi * tone * time) * np.exp(-time / decay)
    burst *= np.minimum(1, time / 0.0004)
    return burst / np.abs(burst).max()


def voice(pitch, sample_rate, gain, top=7000.0):
    """Harmonics of a pitch track [samples, Hz], each as strong as `gain` says at its frequency; root mean square 1."""
    phase = 2 * np.pi * np.cumsum(pitch) / sample_rate
    total = np.zeros(len(pitch))
    for order in range(1, int(top / pitch.min()) + 1):
        frequency = order * pitch
        total += np.where(frequency < top, gain(frequency), 0) * np.sin(order * phase + order**2)
    return normalised(total)


def pulses(rate, sample_rate, sharpness, phase=0.0):
    """A train of rounded pulses of height 1 at a changing `rate` [samples, Hz]; sharper means shorter."""
    return np.exp(sharpness * (np.cos(2 * np.pi * np.cumsum(rate) / sample_rate + phase) - 1))


def place(stem, sound, start, sample_rate):
    """Add a sound to a stem, in place, from `start` seconds on; what reaches past the end is lost."""
    first = max(0, round(start * sample_rate))
    room = stem[first : first + len(sound)]
    room += sound[: len(room)]
