"""Beats and chords of a synthetic piece of music, drawn alike for every genre.

Pitches are MIDI numbers (69 is the A of 440 Hz) until an instrument plays them. Beats are grouped in sixes, two bars of
three or three of two, so that a waltz and a march fit the same chords.
"""

from typing import NamedTuple

import numpy as np

MEASURE = 6  # beats
BAR = 3
TEMPO_BPM = (80.0, 170.0)

#: Semitones above the keynote.
MODES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
}

#: Steps of the scale that chords are built on, 0 for the keynote; chosen to close upon themselves.
PROGRESSIONS = (
    (0, 3, 4, 0),
    (0, 5, 3, 4),
    (0, 4, 5, 3),
    (0, 3, 0, 4),
    (0, 6, 3, 4),
    (0, 2, 3, 4),
    (1, 4, 0, 5),
    (0, 6, 5, 4),
)


class Chord(NamedTuple):
    """A chord from `start` to `stop` (s): its root (0 for C to 11 for B) and all its tones, the root first."""

    start: float
    stop: float
    root: int
    tones: tuple


class Harmony(NamedTuple):
    """When the beats of a piece fall, and what is played on them.

    `beat` is the length of a beat, `times` when each falls, in seconds, the first less than a beat after the start;
    `places` the place of each in its measure, 0 to 5 (a piece may start anywhere in one). The `chords` follow one
    another from the start to the end of the piece; `scale` are the tones of the key, 0 to 11, the keynote first.
    """

    seconds: float
    sample_rate: int
    beat: float
    times: np.ndarray
    places: np.ndarray
    chords: list
    scale: tuple
    mode: str

    def chord_at(self, time):
        """The chord that sounds at a time in seconds."""
        return next((chord for chord in self.chords if time < chord.stop), self.chords[-1])


def draw_harmony(rng, seconds, sample_rate):
    """Key, mode, tempo and chords of a piece. Nothing here knows the genre."""
    beat = float(60 / np.exp(rng.uniform(*np.log(TEMPO_BPM))))
    times = np.arange(rng.uniform(0, beat), seconds, beat)
    places = (rng.integers(MEASURE) + np.arange(len(times))) % MEASURE
    mode, keynote = str(rng.choice(list(MODES))), int(rng.integers(12))
    scale = tuple((keynote + step) % 12 for step in MODES[mode])
    progression = PROGRESSIONS[rng.integers(len(PROGRESSIONS))]
    length, sevenths = int(rng.choice([BAR, MEASURE])), rng.random() < 0.4
    starts = [0.0, *times[1:][places[1:] % length == 0]]
    chords = []
    for number, (start, stop) in enumerate(zip(starts, [*starts[1:], seconds], strict=True)):
        step = progression[number % len(progression)]
        tones = tuple(scale[(step + above) % 7] for above in ((0, 2, 4, 6) if sevenths else (0, 2, 4)))
        chords.append(Chord(float(start), float(stop), tones[0], tones))
    return Harmony(float(seconds), sample_rate, beat, times, places, chords, scale, mode)


def near(tone, centre):
    """The pitch of a tone (0 to 11) that lies nearest to another pitch."""
    return int(tone + 12 * round((centre - tone) / 12))


def voicing(chord, centre):
    """Pitches of a chord's tones, each in the octave nearest to `centre`, from low to high."""
    return sorted(near(tone, centre) for tone in chord.tones)


def hertz(pitch):
    """Frequency of a pitch."""
    return 440.0 * 2 ** ((pitch - 69) / 12)


def dropped_bars(rng, harmony, share=0.12):
    """Which beats fall into a bar of rest, as bool [beats]; never two bars in a row, nor the one in the middle."""
    bars = np.cumsum(harmony.places % BAR == 0)
    rest = rng.random(bars[-1] + 1) < share
    rest[1:] &= ~rest[:-1]
    rest[bars[len(bars) // 2]] = False
    return rest[bars]
