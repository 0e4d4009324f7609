import numpy as np
import pytest

from audiointerp.datasets.synthetic.harmony import (
    hertz,
)
from audiointerp.datasets.synthetic.instruments import DRUMS, PITCHED, player, tone
from audiointerp.datasets.synthetic.music import SAMPLE_RATE


@pytest.mark.parametrize("name", PITCHED)
@pytest.mark.parametrize("pitch", [40, 57, 81])
def test_instrument_plays_the_pitch(name, pitch):
    for seed in range(3):
        sound = player(np.random.default_rng(seed), SAMPLE_RATE, name)(pitch, 0.5)
        assert np.isfinite(sound).all() and 0.1 < np.abs(sound).max() < 1.7
        spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 2**17))
        frequency = np.fft.rfftfreq(2**17, 1 / SAMPLE_RATE)
        strongest = frequency[spectrum.argmax()]
        ratio = strongest / hertz(pitch)
        assert ratio == pytest.approx(round(2 * ratio) / 2, rel=0.05) or name == "bell"


@pytest.mark.parametrize(
    "name, low, high", [("bass drum", 30, 320), ("open hi-hat", 4000, 11000), ("ride", 2000, 11000)]
)
def test_drum_is_in_its_register(name, low, high):
    for seed in range(5):
        sound = DRUMS[name](np.random.default_rng(seed), SAMPLE_RATE)
        spectrum = np.abs(np.fft.rfft(sound)) ** 2
        frequency = np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE)
        assert spectrum[(frequency > low) & (frequency < high)].sum() > 0.9 * spectrum.sum()
        assert 0.5 < np.abs(sound).max() < 1.3


def test_tone_is_a_sum_of_sines():
    amplitudes = np.array([1, 0, 0.5, 0.25])
    time = np.arange(2000) / SAMPLE_RATE
    expected = sum(a * np.cos(2 * np.pi * k * 310.0 * time + k**2) for k, a in enumerate(amplitudes, 1))
    made = tone(310.0, 2000, SAMPLE_RATE, amplitudes)
    np.testing.assert_allclose(made / np.abs(made).max(), expected / np.abs(expected).max(), atol=0.01)
    spectrum = np.abs(np.fft.rfft(tone(4000.0, 22050, SAMPLE_RATE, np.ones(9))))
    assert set(np.flatnonzero(spectrum > 0.05 * spectrum.max())) == {4000, 8000}  # nothing folded back
