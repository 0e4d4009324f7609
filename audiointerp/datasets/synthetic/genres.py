"""What tells a genre of the synthetic music: its rhythm on its instruments, each with the boxes of its evidence.

Each genre takes a generator and the :class:`~audiointerp.datasets.harmony.Harmony` of the piece, and returns one
:class:`~audiointerp.datasets.signals.Event` for each instrument. The evidence of a note is the time and the band that
hold most of its energy; what is left around it counts as faint. In about one bar in ten the signature rests.
"""

import numpy as np
import scipy.fft

from .harmony import BAR, dropped_bars, near, voicing
from .instruments import DRUMS, player
from .signals import Event, place

STRONG = (0.94, 0.9)  # share of a note's energy in the time and in the band of its evidence
ALL = (0.999, 0.999)  # the same with what is faint
SMEAR_S, SMEAR_HZ = 0.005, 30.0  # added on each side, for a window of 46 ms
LOWEST_HZ = 20.0


def chiptune(rng, harmony):
    """Chords played one tone after another so fast that they ripple, 10 to 24 tones a second, on a square wave."""
    play, rest = player(rng, harmony.sample_rate, "square"), dropped_bars(rng, harmony)
    count = max(3, round(rng.uniform(10, 24) * harmony.beat))
    centre, order = rng.uniform(68, 82), rng.permutation(3)
    line, skip = _Line(harmony), False
    for number, time in enumerate(harmony.times):
        skip = not skip and rng.random() < 0.4
        if rest[number] or skip:
            continue
        tones = voicing(harmony.chord_at(time + 0.02), centre)[:3]
        tones = [tones[index] for index in order] if rng.random() < 0.7 else tones[::-1]
        length = harmony.beat / count
        run = np.zeros(round(harmony.beat * harmony.sample_rate) + 2)
        for step in range(count):
            place(run, play(tones[step % 3], 0.95 * length), step * length, harmony.sample_rate)
        line.add(run * rng.uniform(0.85, 1.0), time)
    return [line.event({"tones_per_second": count / harmony.beat})]


def dance(rng, harmony):
    """The bass drum on every beat, an open hi-hat between every two; other genres have both, but in no such order."""
    rest = dropped_bars(rng, harmony)
    drum, hat = DRUMS["bass drum"](rng, harmony.sample_rate), DRUMS["open hi-hat"](rng, harmony.sample_rate)
    low, high, half = _Line(harmony), _Line(harmony), rng.uniform(0.48, 0.52)
    for time, silent in zip(harmony.times, rest, strict=True):
        if not silent:
            low.add(drum * rng.uniform(0.9, 1.0), time)
            high.add(hat * rng.uniform(0.8, 1.0), time + half * harmony.beat)
    return [low.event({}), high.event({"hi_hat_after_beats": half})]


def jazz(rng, harmony):
    """A ride cymbal that swings - ding, ding-a, ding, ding-a - over a bass that walks, a note to a beat."""
    play, stroke = player(rng, harmony.sample_rate, "bass"), DRUMS["ride"](rng, harmony.sample_rate)
    swing, turn = rng.uniform(0.6, 0.72), rng.integers(2)
    walk, cymbal, rest = _Line(harmony), _Line(harmony), dropped_bars(rng, harmony)
    pitch, up = near(harmony.chords[0].root, rng.uniform(36, 43)), 1
    for number, (time, silent) in enumerate(zip(harmony.times, rest, strict=True)):
        chord = harmony.chord_at(time + 0.02)
        pitch, up = _step(pitch, up, chord, harmony.scale)
        if silent:
            continue
        walk.add(play(pitch, 0.95 * harmony.beat) * rng.uniform(0.85, 1.0), max(0.0, time + rng.normal(0, 0.005)))
        cymbal.add(stroke * rng.uniform(0.8, 1.0), time)
        if (number + turn) % 2 and rng.random() < 0.95:
            cymbal.add(stroke * rng.uniform(0.5, 0.8), time + swing * harmony.beat)
    return [walk.event({}), cymbal.event({"swing_beats": swing})]


def metal(rng, harmony):
    """Power chords of a distorted guitar in gallops, the palm on the strings, now and then one left to ring."""
    play, rest = player(rng, harmony.sample_rate, "guitar"), dropped_bars(rng, harmony)
    gallop = (0, 0.5, 0.75) if rng.random() < 0.6 else (0, 0.25, 0.5)
    centre, line = rng.uniform(36, 44), _Line(harmony)
    for number, time in enumerate(harmony.times):
        if rest[number]:
            continue
        root = near(harmony.chord_at(time + 0.02).root, centre)
        if harmony.places[number] % BAR == BAR - 1 and rng.random() < 0.25:
            line.add(play(root, 0.95 * harmony.beat), time)
            continue
        starts = gallop if rng.random() < 0.85 else (0, 0.25, 0.5, 0.75)
        for start, stop in zip(starts, [*starts[1:], 1], strict=True):
            length = min(0.22, 0.92 * (stop - start) * harmony.beat)
            line.add(play(root, length, muted=True) * rng.uniform(0.8, 1.0), time + start * harmony.beat)
    return [line.event({"gallop": "long-short-short" if gallop[1] == 0.5 else "short-short-long"})]


def waltz(rng, harmony):
    """Oom-pah-pah: a bass note on the first beat of a bar, a short chord of the accordion on the second and third."""
    low, high = player(rng, harmony.sample_rate, "bass"), player(rng, harmony.sample_rate, "accordion")
    rest, length = dropped_bars(rng, harmony), rng.uniform(0.25, 0.5) * harmony.beat
    oom, pah = _Line(harmony), _Line(harmony)
    centres, early = (rng.uniform(36, 43), rng.uniform(58, 68)), rng.uniform(0, 0.06)
    for time, beat, silent in zip(harmony.times, harmony.places, rest, strict=True):
        if silent:
            continue
        chord = harmony.chord_at(time + 0.02)
        if beat % BAR == 0:
            tone = chord.tones[2] if beat and rng.random() < 0.6 else chord.root
            oom.add(low(near(tone, centres[0]), 0.8 * harmony.beat), time)
        else:
            struck = sum(high(pitch, length) for pitch in voicing(chord, centres[1]))
            pah.add(struck * rng.uniform(0.8, 1.0), time - early * harmony.beat * (beat % BAR == 1))
    return [oom.event({}), pah.event({"pah_s": length})]


#: The genres by name; each takes (generator, Harmony).
SIGNATURES = {"chiptune": chiptune, "dance": dance, "jazz": jazz, "metal": metal, "waltz": waltz}


class _Line:
    """What one instrument plays of a signature, and the boxes of its notes."""

    def __init__(self, harmony):
        self.rate, self.evidence, self.faint = harmony.sample_rate, [], []
        self.stem = np.zeros(round(harmony.seconds * harmony.sample_rate))

    def add(self, sound, time):
        """Play a sound, unless it begins outside the piece."""
        if time < 0 or round(time * self.rate) >= len(self.stem):
            return
        place(self.stem, sound, time, self.rate)
        start, stop, low, high = span(sound, self.rate, *STRONG)
        _, end, bottom, top = span(sound, self.rate, *ALL)
        start, stop, end = time + start, time + stop, time + end
        self.evidence.append((start, stop, low, high))
        self.faint += [(start, stop, bottom, low), (start, stop, high, top), (stop, end, bottom, top)]

    def event(self, parameters):
        return Event(self.stem, self.evidence, self.faint, parameters)


def span(sound, sample_rate, in_time, in_band):
    """Box ``(start_s, stop_s, low_hz, high_hz)`` of the given shares of a sound's energy, wider by what 46 ms smear.

    What is left out of the time comes after it; of what is left out of the band one half lies below and one above.
    """
    energy = np.cumsum(sound**2)
    stop = np.searchsorted(energy, in_time * energy[-1]) / sample_rate
    spectrum = np.cumsum(np.abs(scipy.fft.rfft(sound)) ** 2)
    frequency = scipy.fft.rfftfreq(len(sound), 1 / sample_rate)
    edges = np.array([(1 - in_band) / 2, (1 + in_band) / 2]) * spectrum[-1]
    low, high = frequency[np.searchsorted(spectrum, edges)] + [-SMEAR_HZ, SMEAR_HZ]
    return -SMEAR_S, float(stop + SMEAR_S), float(max(LOWEST_HZ, low)), float(high)


def _step(pitch, up, chord, scale):
    """The next note of a walking bass and its direction: a step along the scale, or to a tone of the chord."""
    allowed = sorted(p for p in range(33, 53) if p % 12 in (chord.tones if (pitch % 12) not in chord.tones else scale))
    if pitch >= 50:
        up = -1
    elif pitch <= 34:
        up = 1
    ahead = [p for p in allowed if (p - pitch) * up > 0]
    return (ahead[0] if up > 0 else ahead[-1]) if ahead else pitch, up
