import numpy as np
import pytest
import scipy.fft

from audiointerp.datasets.synthetic.signals import (
    audible_rms,
    band,
    click,
    curve,
    drift,
    fades,
    noise,
    normalised,
    place,
    pulses,
    resonances,
    shape,
    voice,
)

RATE = 16_000


def sine(frequency, seconds=1.0):
    return np.sin(2 * np.pi * frequency * np.arange(round(seconds * RATE)) / RATE)


def test_a_band_lets_through_what_lies_in_it():
    gain = band(500, 2000)
    np.testing.assert_allclose(gain(np.array([500.0, 2000.0])), np.sqrt(0.5), rtol=1e-3)
    assert gain(1000.0) > 0.99 and gain(50.0) < 1e-3 and gain(20_000.0) < 1e-3 and gain(0.0) < 1e-3


def test_resonances_have_their_heights_and_widths():
    gain = resonances([500, 3000], [100, 200], [1.0, 0.5], 0.0)
    np.testing.assert_allclose(gain([500, 3000]), [1.0, 0.5], atol=0.01)
    np.testing.assert_allclose(gain([550]), 0.5, atol=0.01)  # half a width away: -6 dB


def test_shaping_scales_each_frequency():
    both = sine(440) + sine(3000)
    kept = shape(both, RATE, band(300, 800, order=8))
    np.testing.assert_allclose(kept[1000:-1000], sine(440)[1000:-1000], atol=0.01)


def test_levels(rng):
    assert np.sqrt(np.mean(noise(rng, RATE, RATE, band(100, 4000)) ** 2)) == pytest.approx(1)
    np.testing.assert_array_equal(normalised(np.zeros(5)), 0)
    assert audible_rms(sine(440), RATE) == pytest.approx(np.sqrt(0.5), rel=1e-6)
    assert audible_rms(sine(60), RATE) == pytest.approx(0, abs=1e-6)


def test_curves_pass_their_points_and_stay_between_them(rng):
    points = [0.0, 1.0, 0.25]
    found = curve(points, 101)
    np.testing.assert_allclose(found[[0, 50, 100]], points, atol=1e-12)
    assert found.min() >= 0 and found.max() <= 1
    drifting = drift(rng, RATE, RATE, 4, 2.0, 3.0)
    assert len(drifting) == RATE and drifting.min() >= 2 and drifting.max() <= 3


def test_fades_rise_stay_and_fall():
    envelope = fades(RATE, RATE, 0.1, 0.2)
    assert envelope[0] == 0 and envelope[800] == pytest.approx(0.5, abs=0.01)  # half of the attack
    np.testing.assert_allclose(envelope[1600:12_800], 1)
    assert envelope[-1] < 1e-4


def test_a_click_peaks_at_one_and_dies(rng):
    sound = click(rng, RATE, 1000, 4000, 0.01, tones=(2000,))
    assert np.abs(sound).max() == pytest.approx(1)
    assert np.abs(sound[: len(sound) // 4]).max() > 10 * np.abs(sound[-len(sound) // 4 :]).max()


def test_a_voice_has_the_harmonics_of_its_pitch():
    spectrum = np.abs(scipy.fft.rfft(voice(np.full(RATE, 200.0), RATE, lambda f: 1.0, top=1000)))
    assert sorted(np.argsort(spectrum)[-4:]) == [200, 400, 600, 800]


def test_pulses_come_at_their_rate():
    train = pulses(np.full(RATE, 20.0), RATE, 30)
    peaks = np.flatnonzero((train[1:-1] > train[:-2]) & (train[1:-1] >= train[2:]))
    assert len(peaks) in (19, 20) and train.max() == pytest.approx(1, abs=1e-3)
    np.testing.assert_allclose(np.diff(peaks), RATE / 20, atol=1)


def test_placing_adds_and_cuts_off_at_the_end():
    stem = np.ones(10)
    place(stem, np.full(4, 2.0), 0.8, 10)
    np.testing.assert_array_equal(stem, [1] * 8 + [3, 3])
