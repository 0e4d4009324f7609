import librosa
import numpy as np
import pytest

from audiointerp.datasets.synthetic import voices
from audiointerp.datasets.synthetic.signals import audible_rms

RATE = 16_000


def event(name, seed=0, seconds=5.0):
    source, take = np.random.default_rng(seed), np.random.default_rng(seed + 100)
    return getattr(voices, name)(source, take, seconds, RATE)


@pytest.mark.parametrize("name", ["dog", "crying_baby", "rooster", "sneezing"])
def test_a_voice_sounds_inside_its_boxes_and_hardly_elsewhere(name):
    made = event(name)
    time = np.arange(len(made.stem)) / RATE
    inside = np.zeros(len(time), bool)
    for start, stop, *_ in [*made.evidence, *made.faint]:
        inside |= (time >= start - 0.02) & (time <= stop + 0.02)
    energy = made.stem**2
    assert len(made.stem) == 5 * RATE and made.evidence
    assert energy[inside].sum() > 0.97 * energy.sum()


@pytest.mark.parametrize(("name", "tolerance"), [("crying_baby", 0.06), ("rooster", 0.25)])
def test_the_pitch_is_the_one_that_was_drawn(name, tolerance):
    for seed in range(5):
        made = event(name, seed)
        start, stop, *_ = max(made.evidence, key=lambda box: box[1] - box[0])
        sound = made.stem[round(start * RATE) : round(stop * RATE)]
        found = np.nanmedian(librosa.yin(sound, fmin=150, fmax=1200, sr=RATE, frame_length=1024))
        assert found == pytest.approx(made.parameters["pitch_hz"], rel=tolerance)


def test_barks_are_counted():
    made = event("dog", seed=5)
    assert made.parameters["barks"] == len(made.evidence) and 3 <= len(made.evidence) <= 6


@pytest.mark.parametrize("name", ["dog", "rooster"])
def test_one_seed_gives_one_voice(name):
    one, same, other = event(name, 1), event(name, 1), event(name, 2)
    np.testing.assert_array_equal(one.stem, same.stem)
    assert one.evidence == same.evidence
    assert audible_rms(one.stem[: len(other.stem)] - other.stem, RATE) > 0.01
