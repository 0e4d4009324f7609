"""What every synthetic piece of music has besides the signature of its genre, drawn alike for all genres.

Chords, a bass, perhaps a melody and percussion. All instruments that make up the signatures occur here too, in rhythms
that belong to no genre, so that hearing an instrument is not enough.
"""

import numpy as np

from .harmony import MEASURE, near, voicing
from .instruments import DRUMS, player
from .signals import noise, normalised, place

#: What holds chords or plays a melody.
CHORDS = ("organ", "strings", "pluck", "accordion", "square", "guitar")
MELODIES = ("bell", "organ", "pluck", "accordion", "square", "strings")

#: Chance that a kind of percussion plays.
PERCUSSION = {"bass drum": 0.5, "closed hi-hat": 0.4, "open hi-hat": 0.4, "ride": 0.4, "clap": 0.4, "shaker": 0.4}
HISS_DB = (-45.0, -32.0)  # against chords of 0 dB
HALVES = 2 * MEASURE  # half beats in a measure


def backing(rng, harmony):
    """The backing of a piece, which does not know the genre: a stem [samples] of root mean square 1, and who plays."""
    total = np.zeros(round(harmony.seconds * harmony.sample_rate))
    chords, melody = str(rng.choice(CHORDS)), str(rng.choice(MELODIES)) if rng.random() < 0.6 else None
    _mix(total, _chords(rng, harmony, chords), rng.uniform(-6, 0))
    _mix(total, _bass(rng, harmony), rng.uniform(-8, 0))
    if melody:
        _mix(total, _melody(rng, harmony, melody), rng.uniform(-12, -3))
    present = [name for name, chance in PERCUSSION.items() if rng.random() < chance]
    for name in present:
        total += _percussion(rng, harmony, name)
    hiss = noise(rng, len(total), harmony.sample_rate, lambda f: np.maximum(f, 50) ** -0.25)
    total += 10 ** (rng.uniform(*HISS_DB) / 20) * hiss
    return normalised(total), {"chords": chords, "melody": melody, "percussion": present}


def pattern(rng):
    """Half beats of a measure, 0 to 11, sorted, in a rhythm of no genre: some on the beat, some off, never all."""
    on = rng.choice(np.arange(0, HALVES, 2), rng.integers(2, 4), replace=False)
    off = rng.choice(np.arange(1, HALVES, 2), rng.integers(1, 4), replace=False)
    return sorted(int(half) for half in [*on, *off])


def _mix(total, stem, level):
    total += normalised(stem) * 10 ** (level / 20)


def _strokes(rng, harmony, halves, loose=0.004):
    """Strokes of a pattern: when, in seconds, a little early or late, and how many half beats before the next."""
    strokes = []
    following = {half: (halves[(n + 1) % len(halves)] - half - 1) % HALVES + 1 for n, half in enumerate(halves)}
    for time, beat in zip(harmony.times, harmony.places, strict=True):
        for half in (2 * beat, 2 * beat + 1):
            if half in following:
                time_of = time + (half - 2 * beat) * harmony.beat / 2 + rng.normal(0, loose)
                strokes.append((max(0.0, time_of), following[half]))
    return strokes


def _chords(rng, harmony, name):
    """Chords, held throughout, broken into single tones, or struck in a pattern; a guitar plays its roots."""
    play = player(rng, harmony.sample_rate, name)
    style, centre, turn = rng.choice(["held", "broken", "struck"]), rng.uniform(55, 67), rng.integers(1, 4)
    if style == "held":
        notes = [(chord, chord.start, chord.stop - chord.start) for chord in harmony.chords]
    else:
        strokes = _strokes(rng, harmony, list(range(HALVES)) if style == "broken" else pattern(rng))
        notes = [(harmony.chord_at(time + 0.02), time, 0.9 * gap * harmony.beat / 2) for time, gap in strokes]
    stem = np.zeros(round(harmony.seconds * harmony.sample_rate))
    for number, (chord, time, seconds) in enumerate(notes):
        tones = [near(chord.root, centre - 12)] if name == "guitar" else voicing(chord, centre)
        for pitch in [tones[number * turn % len(tones)]] if style == "broken" else tones:
            place(stem, play(pitch, seconds), time, harmony.sample_rate)
    return stem


def _bass(rng, harmony):
    """Roots and now and then a fifth, one to a chord or in a pattern."""
    play = player(rng, harmony.sample_rate, "bass")
    centre, stem = rng.uniform(35, 45), np.zeros(round(harmony.seconds * harmony.sample_rate))
    if rng.random() < 0.5:
        for chord in harmony.chords:
            place(stem, play(near(chord.root, centre), chord.stop - chord.start), chord.start, harmony.sample_rate)
        return stem
    for time, gap in _strokes(rng, harmony, pattern(rng)):
        chord = harmony.chord_at(time + 0.02)
        tone = chord.tones[2] if rng.random() < 0.25 else chord.root
        place(stem, play(near(tone, centre), 0.9 * gap * harmony.beat / 2), time, harmony.sample_rate)
    return stem


def _melody(rng, harmony, name):
    """A walk along the scale, in a pattern."""
    play, centre = player(rng, harmony.sample_rate, name), rng.uniform(70, 82)
    stem, step = np.zeros(round(harmony.seconds * harmony.sample_rate)), 0
    for time, gap in _strokes(rng, harmony, pattern(rng)):
        step = int(np.clip(step + rng.integers(-2, 3), -5, 5))
        octave, degree = divmod(step, 7)
        pitch = near(harmony.scale[0], centre) + 12 * octave + (harmony.scale[degree] - harmony.scale[0]) % 12
        place(stem, play(pitch, 0.9 * gap * harmony.beat / 2), time, harmony.sample_rate)
    return stem


def _percussion(rng, harmony, name):
    """One drum in a pattern, its strokes more or less strong."""
    stroke = DRUMS[name](rng, harmony.sample_rate)
    stem = np.zeros(round(harmony.seconds * harmony.sample_rate))
    strength = 10 ** (rng.uniform(-2, 8) / 20) * (1.5 if name == "bass drum" else 0.5)
    for time, _ in _strokes(rng, harmony, pattern(rng)):
        place(stem, strength * rng.uniform(0.7, 1.0) * stroke, time, harmony.sample_rate)
    return stem
