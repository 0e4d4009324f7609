import numpy as np
import pytest

from audiointerp.datasets.synthetic.genres import SIGNATURES, span
from audiointerp.datasets.synthetic.harmony import (
    BAR,
    draw_harmony,
)
from audiointerp.datasets.synthetic.music import LABELS, SAMPLE_RATE

SECONDS = 12.0


TRACKS = 10


def seed_of(label, number):
    return 7, LABELS.index(label), number


def harmony_of(label, number):
    """The harmony of a piece of `pieces`, drawn again."""
    stream = np.random.SeedSequence(seed_of(label, number), spawn_key=(0,))
    return draw_harmony(np.random.default_rng(stream), SECONDS, SAMPLE_RATE)


def level(signal, low, high, start, seconds):
    """Energy between two frequencies from `start` on; 0 before the piece."""
    first = round(start * SAMPLE_RATE)
    part = np.asarray(signal, dtype=float)[max(first, 0) : max(first + round(seconds * SAMPLE_RATE), 0)]
    if len(part) < 16:
        return 0.0
    spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)))) ** 2
    frequency = np.fft.rfftfreq(len(part), 1 / SAMPLE_RATE)
    return spectrum[(frequency >= low) & (frequency <= high)].sum() / len(part)


def onsets(piece, low, high):
    """When boxes of the evidence begin whose middle lies between two frequencies."""
    return np.array([start for start, _, bottom, top in piece.evidence if low <= np.sqrt(bottom * top) <= high])


# What each signature claims


def test_dance_has_the_drum_on_every_beat_and_the_hat_between(pieces):
    for number, piece in enumerate(pieces["dance"]):
        harmony = harmony_of("dance", number)
        beats = harmony.times[:-1]
        drum = np.array([level(piece.signature, 40, 150, time, 0.08) for time in beats])
        before = np.array([level(piece.signature, 40, 150, time - 0.06, 0.05) for time in beats])
        played = drum > 0.2 * drum.max()
        assert played.mean() >= 0.5 and (drum[played] > 3 * before[played]).all()
        half = piece.parameters["hi_hat_after_beats"] * harmony.beat
        hat = np.array([level(piece.signature, 6000, 10000, time + half, 0.05) for time in beats])
        early = np.array([level(piece.signature, 6000, 10000, time + half - 0.06, 0.05) for time in beats])
        assert (hat[played] > 3 * early[played]).all() and (hat[~played] < 0.1 * hat.max()).all()


def test_jazz_swings_and_walks(pieces):
    swings = []
    for number, piece in enumerate(pieces["jazz"]):
        harmony, swing = harmony_of("jazz", number), piece.parameters["swing_beats"]
        inside = np.concatenate([harmony.times, harmony.times + swing * harmony.beat])
        strokes = onsets(piece, 2500, 10000)
        assert max(np.abs(inside - time).min() for time in strokes if time > 0.03) < 0.03
        later = [((time - harmony.times[0]) / harmony.beat) % 1 for time in strokes + 0.015]
        assert any(abs(place - swing) < 0.06 for place in later) and not any(0.1 < place < 0.5 for place in later)
        walk = sorted((start, low, high) for start, _, low, high in piece.evidence if low < 200)
        assert len({round(low + high) for _, low, high in walk}) >= 4  # the bass moves
        swings.append(swing)
    assert max(swings) - min(swings) > 0.05


def test_walking_bass_moves_by_small_steps():
    for number in range(5):
        harmony = harmony_of("jazz", number)
        walk = SIGNATURES["jazz"](np.random.default_rng(number), harmony)[0]
        pitches = []
        for start, stop, *_ in sorted(walk.evidence):
            part = walk.stem[round((start + 0.03) * SAMPLE_RATE) : round(stop * SAMPLE_RATE)]
            spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)), 65536))
            frequency = np.fft.rfftfreq(65536, 1 / SAMPLE_RATE)
            octave = sum(spectrum[np.searchsorted(frequency, k * frequency[60:700])] for k in (1, 2, 3))
            pitches.append(69 + 12 * np.log2(frequency[60:700][octave.argmax()] / 440))
        steps = np.abs(np.diff(pitches[:-1]))
        assert np.median(steps) < 4.5 and (steps > 0.5).mean() > 0.8


def test_metal_gallops(pieces):
    for number, piece in enumerate(pieces["metal"]):
        harmony = harmony_of("metal", number)
        places = {"long-short-short": (0, 0.5, 0.75), "short-short-long": (0, 0.25, 0.5)}[piece.parameters["gallop"]]
        starts = onsets(piece, 40, 3000) + 0.015
        quarters = 4 * ((starts - harmony.times[0]) / harmony.beat)
        assert np.abs(quarters - np.round(quarters)).max() < 0.2
        counts = np.bincount(np.round(quarters).astype(int) % 4, minlength=4)
        on, off = [round(4 * place) for place in places], ({1, 3} - {round(4 * place) for place in places}).pop()
        assert counts[on].min() > counts[off]


def test_waltz_goes_oom_pah_pah():
    for number in range(TRACKS):
        harmony = harmony_of("waltz", number)
        events = SIGNATURES["waltz"](np.random.default_rng(number), harmony)
        for event, expected in zip(events, [{0}, {1, 2}], strict=True):
            struck = np.array([level(event.stem, 40, 5000, time, 0.1) for time in harmony.times[:-1]])
            before = np.array([level(event.stem, 40, 5000, time - 0.12, 0.05) for time in harmony.times[:-1]])
            found = struck > np.maximum(2 * before, 0.1 * struck.max())
            assert set(harmony.places[:-1][found] % BAR) == expected
            assert found.mean() > 0.4 * len(expected) / BAR


def test_chiptune_ripples_at_the_rate_it_says(pieces):
    """Three tones in turn: after three of them the spectrum is the same, after one it is another."""
    for piece in pieces["chiptune"]:
        rate = piece.parameters["tones_per_second"]
        assert 9 < rate < 26
        start, stop, *_ = max(piece.evidence, key=lambda box: box[1] - box[0])
        part = piece.signature[round((start + 0.02) * SAMPLE_RATE) : round((stop - 0.02) * SAMPLE_RATE)]
        size, hop = 512, 32
        frames = np.lib.stride_tricks.sliding_window_view(part, size)[::hop] * np.hanning(size)
        spectra = np.log(np.abs(np.fft.rfft(frames, 2048, axis=1)) + 1e-3 * np.abs(part).max())
        lag = SAMPLE_RATE / rate / hop

        def change(tones, spectra=spectra, lag=lag):
            return np.abs(spectra[round(tones * lag) :] - spectra[: -round(tones * lag)]).mean()

        assert change(3) < 0.75 * min(change(1), change(2))


def test_span_holds_what_it_says():
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    sound = np.sin(2 * np.pi * 1000 * time) * (time < 0.5)
    start, stop, low, high = span(sound, SAMPLE_RATE, 0.9, 0.9)
    assert start == pytest.approx(-0.005) and stop == pytest.approx(0.455, abs=0.002)
    assert 960 < low < 1000 < high < 1040
