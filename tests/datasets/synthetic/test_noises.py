import numpy as np
import pytest

from audiointerp.datasets.synthetic.sounds import SAMPLE_RATE, synthesize

SEEDS = range(6)


def repetition_rate(signal, low, high):
    """Rate in Hz of the strongest periodicity of a signal's short-time level, between `low` and `high` Hz."""
    step = SAMPLE_RATE // 1000
    level = np.sqrt(np.square(signal[: len(signal) // step * step]).reshape(-1, step).mean(1))
    level = level - level.mean()
    spectrum = np.abs(np.fft.rfft(level, 8 * len(level))) ** 2
    correlation = np.fft.irfft(spectrum)[: len(level)]
    lags = np.arange(round(1000 / high), round(1000 / low) + 1)
    return 1000 / lags[correlation[lags].argmax()]


@pytest.mark.parametrize("label, low, high", [("clock_tick", 1.0, 4.4), ("helicopter", 9, 33)])
def test_pulse_rate_is_the_one_drawn(sounds, label, low, high):
    rates = []
    for sound in sounds[label]:
        rate, drawn = repetition_rate(sound.event, low, high), sound.parameters["pulse_rate_hz"]
        ratio = drawn / rate  # a whole number if a multiple of the period, such as tick to tick, repeats best
        assert ratio == pytest.approx(round(ratio), rel=0.05) and round(ratio) in (1, 2, 3)
        rates.append(drawn)
    assert max(rates) > 1.3 * min(rates)


def test_tick_boxes_are_one_a_click():
    sound = synthesize("clock_tick", seed=4)
    gaps = np.diff([box[0] for box in sound.evidence])
    np.testing.assert_allclose(gaps, 1 / sound.parameters["pulse_rate_hz"], atol=0.006)


def test_slap_of_the_helicopter_is_faint_not_evidence(share_inside, sounds):
    for sound in sounds["helicopter"]:
        assert max(high for _, _, _, high in sound.evidence) < 700 < min(low for _, _, low, _ in sound.faint)
        assert 0.001 < share_inside(sound, sound.faint) < 0.2
