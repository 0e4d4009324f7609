import numpy as np
import pytest

from audiointerp.datasets.synthetic.harmony import (
    BAR,
    MEASURE,
    TEMPO_BPM,
    draw_harmony,
    dropped_bars,
    hertz,
    near,
    voicing,
)
from audiointerp.datasets.synthetic.music import SAMPLE_RATE

# Harmony and instruments


def test_harmony_is_a_grid_of_beats_with_chords_of_its_key(rng):
    tempos = []
    for _ in range(50):
        harmony = draw_harmony(rng, 20.0, SAMPLE_RATE)
        np.testing.assert_allclose(np.diff(harmony.times), harmony.beat)
        assert 0 <= harmony.times[0] < harmony.beat and harmony.times[-1] < 20
        assert (np.diff(harmony.places) % MEASURE == 1).all()
        assert harmony.chords[0].start == 0 and harmony.chords[-1].stop == 20
        for chord, following in zip(harmony.chords, harmony.chords[1:], strict=False):
            assert chord.stop == following.start
            assert harmony.places[np.abs(harmony.times - chord.stop).argmin()] % BAR == 0
        assert all(set(chord.tones) <= set(harmony.scale) and chord.root == chord.tones[0] for chord in harmony.chords)
        assert harmony.chord_at(harmony.chords[1].start + 1e-6) is harmony.chords[1]
        tempos.append(60 / harmony.beat)
    assert TEMPO_BPM[0] <= min(tempos) < 100 and 140 < max(tempos) <= TEMPO_BPM[1]


def test_pitches():
    assert hertz(69) == 440 and hertz(57) == pytest.approx(220)
    assert (near(0, 60), near(11, 60), near(7, 40)) == (60, 59, 43)
    harmony = draw_harmony(np.random.default_rng(0), 10.0, SAMPLE_RATE)
    pitches = voicing(harmony.chords[0], 60)
    assert pitches == sorted(pitches) and {pitch % 12 for pitch in pitches} == set(harmony.chords[0].tones)
    assert all(54 <= pitch <= 66 for pitch in pitches)


def test_rests_are_whole_bars_and_never_the_middle(rng):
    shares = []
    for _ in range(100):
        harmony = draw_harmony(rng, 12.0, SAMPLE_RATE)
        rest = dropped_bars(rng, harmony)
        changes = np.flatnonzero(np.diff(rest.astype(int))) + 1
        assert (harmony.places[changes] % BAR == 0).all() and not rest[len(rest) // 2]
        shares.append(rest.mean())
    assert 0.04 < np.mean(shares) < 0.16
