import numpy as np
import pytest

from audiointerp.datasets.synthetic.backing import HALVES, PERCUSSION, backing, pattern
from audiointerp.datasets.synthetic.harmony import (
    draw_harmony,
)
from audiointerp.datasets.synthetic.music import LABELS, SAMPLE_RATE, compose

SECONDS = 12.0


TRACKS = 10


def seed_of(label, number):
    return 7, LABELS.index(label), number


# What all genres share


def test_backing_does_not_know_the_genre():
    first, *others = [compose(label, seed=4, seconds=8) for label in LABELS]
    for other in others:
        factor = np.abs(other.backing).max() / np.abs(first.backing).max()
        np.testing.assert_allclose(other.backing, factor * first.backing, atol=1e-5)
        assert other.parameters["tempo_bpm"] == first.parameters["tempo_bpm"]


def test_patterns_of_the_backing_are_no_genres(rng):
    """Never every beat, never all off the beat; what plays in a signature plays here too."""
    drawn = [pattern(rng) for _ in range(300)]
    for halves in drawn:
        on = [half for half in halves if half % 2 == 0]
        assert halves == sorted(set(halves)) and set(halves) <= set(range(HALVES))
        assert 2 <= len(on) <= 3 and 1 <= len(halves) - len(on) <= 3
    assert set().union(*drawn) == set(range(HALVES))


def test_instruments_of_the_signatures_play_in_the_backings_of_all(pieces):
    assert {"bass drum", "open hi-hat", "ride"} < set(PERCUSSION)
    for label in LABELS:
        heard = [piece.parameters for piece in pieces[label]]
        assert any("bass drum" in players["percussion"] for players in heard)
        assert len({players["chords"] for players in heard}) > 2
    chords = {piece.parameters["chords"] for label in LABELS for piece in pieces[label]}
    assert {"guitar", "square", "accordion"} < chords


def test_backing_has_one_level(rng):
    stem, players = backing(rng, draw_harmony(rng, 6.0, SAMPLE_RATE))
    assert np.sqrt(np.mean(stem**2)) == pytest.approx(1.0)
    assert set(players) == {"chords", "melody", "percussion"}
