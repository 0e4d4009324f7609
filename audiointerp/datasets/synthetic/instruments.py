"""The instruments of the synthetic music.

An instrument takes a generator, which draws its timbre, and the sampling rate. A pitched one returns a function
``play(pitch, seconds)`` that makes one note of a pitch in Hz; a drum returns one stroke. Sounds are arrays [samples]
with a peak of about 1.
"""

from functools import partial

import numpy as np
import scipy.fft

from .harmony import hertz
from .signals import band, curve, fades, noise, shape

TABLE = 8192  # samples of one period, read at the nearest one


def tone(pitch, count, sample_rate, amplitudes):
    """A periodic tone of `count` samples: `amplitudes` of its harmonics, of which those above the audible are cut."""
    amplitudes = np.asarray(amplitudes)[: max(1, int(0.45 * sample_rate / pitch))]
    spectrum = np.zeros(TABLE // 2 + 1, dtype=complex)
    orders = np.arange(1, len(amplitudes) + 1)
    spectrum[orders] = amplitudes * np.exp(1j * orders**2)
    period = scipy.fft.irfft(spectrum, TABLE)
    steps = (np.arange(count) * (pitch / sample_rate * TABLE)).astype(np.int64)
    return period[steps % TABLE] / np.abs(period).max()


def organ(rng, sample_rate):
    """Sine waves on the harmonics 1, 2, 3, 4, 6 and 8, held at full strength."""
    amplitudes = np.zeros(8)
    amplitudes[[0, 1, 2, 3, 5, 7]] = [1, *rng.uniform(0, 1, 5) * [0.9, 0.8, 0.6, 0.4, 0.3]]

    def play(pitch, seconds):
        count = round(seconds * sample_rate)
        return tone(pitch, count, sample_rate, amplitudes) * fades(count, sample_rate, 0.01, 0.04)

    return play


def strings(rng, sample_rate):
    """Two saw waves a little out of tune, dull, with a slow attack."""
    amplitudes = np.arange(1, 31) ** -rng.uniform(1.2, 2.0)
    detune, attack = rng.uniform(1.003, 1.008), rng.uniform(0.08, 0.25)

    def play(pitch, seconds):
        count = round(seconds * sample_rate)
        pair = tone(pitch, count, sample_rate, amplitudes) + tone(pitch * detune, count, sample_rate, amplitudes)
        return 0.5 * pair * fades(count, sample_rate, min(attack, seconds / 2), min(0.15, seconds / 2))

    return play


def pluck(rng, sample_rate):
    """A plucked string: bright at first, duller as it dies away."""
    bright, dull = np.arange(1, 25) ** -rng.uniform(0.6, 1.2), np.arange(1, 9) ** -rng.uniform(1.8, 2.6)
    decay = rng.uniform(0.25, 0.7)

    def play(pitch, seconds):
        count = round(seconds * sample_rate)
        time = np.arange(count) / sample_rate
        body = tone(pitch, count, sample_rate, dull) * np.exp(-time / decay)
        edge = tone(pitch, count, sample_rate, bright) * np.exp(-time / (0.15 * decay))
        return (0.6 * body + 0.4 * edge) * fades(count, sample_rate, 0.003, min(0.03, seconds / 2))

    return play


def bell(rng, sample_rate):
    """Partials out of tune with one another that ring for long."""
    ratios = np.array([1, 2.0, 2.76, 4.1, 5.4]) * rng.uniform(0.98, 1.02, 5)
    weights, decay = np.array([1, 0.4, 0.5, 0.25, 0.2]) * rng.uniform(0.5, 1, 5), rng.uniform(0.3, 0.9)

    def play(pitch, seconds):
        count = round(max(seconds, decay) * sample_rate)
        time = np.arange(count) / sample_rate
        partials = [
            weight * np.sin(2 * np.pi * ratio * pitch * time) * np.exp(-time * np.sqrt(ratio) / decay)
            for ratio, weight in zip(ratios, weights, strict=True)
            if ratio * pitch < 0.45 * sample_rate
        ]
        return np.sum(partials, axis=0) / weights.sum() * fades(count, sample_rate, 0.002, 0.05)

    return play


def accordion(rng, sample_rate):
    """Two reeds that beat against each other, rich in harmonics up to 4 kHz."""
    slope, detune = rng.uniform(0.5, 0.9), rng.uniform(1.005, 1.012)
    damping = band(50, rng.uniform(2500, 4500), 3)
    orders = np.arange(1, 41)

    def play(pitch, seconds):
        count = round(seconds * sample_rate)
        amplitudes = orders**-slope * damping(orders * pitch)
        reeds = [tone(ratio * pitch, count, sample_rate, amplitudes) for ratio in (1, detune)]
        return 0.5 * np.sum(reeds, axis=0) * fades(count, sample_rate, min(0.025, seconds / 3), min(0.04, seconds / 3))

    return play


def square(rng, sample_rate):
    """The square wave of a game console: on for a half or a quarter of its period."""
    duty = rng.choice([0.5, 0.25])
    orders = np.arange(1, 61)
    amplitudes = np.sin(np.pi * orders * duty) / orders

    def play(pitch, seconds):
        count = round(seconds * sample_rate)
        return tone(pitch, count, sample_rate, amplitudes) * fades(count, sample_rate, 0.002, min(0.006, seconds / 3))

    return play


def guitar(rng, sample_rate):
    """A distorted guitar on root, fifth and octave: held, or with the palm on the strings, short and dull."""
    drive, cabinet = rng.uniform(3, 9), band(70, rng.uniform(2200, 4000), 3)
    open_strings = np.arange(1, 25) ** -rng.uniform(0.8, 1.2)
    damped = np.arange(1, 13) ** -rng.uniform(1.2, 1.7)

    def play(pitch, seconds, *, muted=False):
        count = round(seconds * sample_rate)
        amplitudes = damped if muted else open_strings
        chord = sum(tone(ratio * pitch, count, sample_rate, amplitudes) for ratio in (1.0, 1.498, 2.0))
        ring = np.exp(-np.arange(count) / sample_rate / (0.07 if muted else 2.0))
        loud = shape(np.tanh(drive * chord * ring) * ring**0.5, sample_rate, cabinet)
        return loud / np.abs(loud).max() * fades(count, sample_rate, 0.003, min(0.02, seconds / 3))

    return play


def bass(rng, sample_rate):
    """A bass string: few harmonics, dying away slowly."""
    amplitudes, decay = np.arange(1, 7) ** -rng.uniform(1.0, 2.2), rng.uniform(0.3, 1.2)

    def play(pitch, seconds):
        count = round(seconds * sample_rate)
        ring = np.exp(-np.arange(count) / sample_rate / decay)
        return tone(pitch, count, sample_rate, amplitudes) * ring * fades(count, sample_rate, 0.008, seconds / 4)

    return play


def bass_drum(rng, sample_rate):
    """A sine that falls to 45 to 65 Hz within a few hundredths of a second, with a click of the beater."""
    low, decay = rng.uniform(45, 65), rng.uniform(0.09, 0.18)
    count = round(3 * decay * sample_rate)
    time = np.arange(count) / sample_rate
    pitch = low * (1 + rng.uniform(1.5, 3.5) * np.exp(-time / 0.02))
    boom = np.sin(2 * np.pi * np.cumsum(pitch) / sample_rate) * np.exp(-time / decay)
    beater = rng.uniform(0.02, 0.12) * noise(rng, count, sample_rate, band(1500, 5000)) * np.exp(-time / 0.004)
    return (boom + beater) * fades(count, sample_rate, 0.001, 0.03)


def hi_hat(rng, sample_rate, *, opened):
    """Hiss above 4 to 6 kHz: a tick when the two cymbals are closed, a fifth of a second when they are open."""
    decay = rng.uniform(0.08, 0.16) if opened else rng.uniform(0.012, 0.035)
    return _hiss(rng, sample_rate, rng.uniform(4000, 6000), 10500, decay)


def ride(rng, sample_rate):
    """A stick on a large cymbal: a ping of partials between 2.5 and 6 kHz, and a wash that rings on."""
    count = round(0.5 * sample_rate)
    time = np.arange(count) / sample_rate
    partials = [np.sin(2 * np.pi * pitch * time + pitch) for pitch in rng.uniform(2500, 6000, 9)]
    ping = np.sum(partials, axis=0) / 4 * np.exp(-time / rng.uniform(0.05, 0.12))
    wash = _hiss(rng, sample_rate, rng.uniform(3000, 4500), 9500, rng.uniform(0.15, 0.3))[:count]
    ping[: len(wash)] += rng.uniform(0.3, 0.8) * wash
    return ping / np.abs(ping).max() * fades(count, sample_rate, 0.001, 0.1)


def clap(rng, sample_rate):
    """Three bursts of noise around 1.5 kHz, a hundredth of a second apart."""
    count, centre = round(0.2 * sample_rate), rng.uniform(1000, 2200)
    time = np.arange(count) / sample_rate
    bursts = [np.where(time >= late, np.exp(-np.maximum(time - late, 0) / 0.006), 0) for late in (0, 0.011, 0.022)]
    envelope = np.sum(bursts, axis=0) + 0.4 * np.exp(-time / 0.05)
    sound = noise(rng, count, sample_rate, band(0.6 * centre, 1.7 * centre)) * envelope
    return sound / np.abs(sound).max()


def shaker(rng, sample_rate):
    """Grains in a box: hiss of 3 to 9 kHz that swells and stops within a tenth of a second."""
    count = round(rng.uniform(0.06, 0.12) * sample_rate)
    low = rng.uniform(2500, 5000)
    sound = noise(rng, count, sample_rate, band(low, 2 * low)) * curve([0, 1, 0.2, 0], count)
    return sound / np.abs(sound).max()


def _hiss(rng, sample_rate, low, high, decay):
    count = round(4 * decay * sample_rate)
    time = np.arange(count) / sample_rate
    sound = noise(rng, count, sample_rate, band(low, high, 6)) * np.exp(-time / decay)
    return sound / np.abs(sound).max() * fades(count, sample_rate, 0.001, decay)


PITCHED = {
    "accordion": accordion,
    "bass": bass,
    "bell": bell,
    "guitar": guitar,
    "organ": organ,
    "pluck": pluck,
    "square": square,
    "strings": strings,
}

DRUMS = {
    "bass drum": bass_drum,
    "clap": clap,
    "closed hi-hat": partial(hi_hat, opened=False),
    "open hi-hat": partial(hi_hat, opened=True),
    "ride": ride,
    "shaker": shaker,
}


def player(rng, sample_rate, name):
    """One of ``PITCHED`` that plays MIDI pitches and makes each note only once: a function of (pitch, seconds)."""
    play, made = PITCHED[name](rng, sample_rate), {}

    def note(pitch, seconds, **how):
        key = (pitch, round(seconds * sample_rate), *how.items())
        if key not in made:
            made[key] = play(hertz(pitch), seconds, **how)
        return made[key]

    return note
