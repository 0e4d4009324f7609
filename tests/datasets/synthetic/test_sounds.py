import numpy as np
import pytest

from audiointerp.datasets.synthetic import clips as synthetic
from audiointerp.datasets.synthetic.background import background
from audiointerp.datasets.synthetic.evidence import evidence_mask
from audiointerp.datasets.synthetic.signals import audible_rms
from audiointerp.datasets.synthetic.sounds import LABELS, SAMPLE_RATE, synthesize
from audiointerp.errors import UnknownLabelError

SEEDS = range(6)


# One sound


@pytest.mark.parametrize("label", LABELS)
def test_sound_is_the_sum_of_its_parts_at_a_sane_level(sounds, label):
    for sound in sounds[label]:
        assert sound.waveform.shape == (5 * SAMPLE_RATE,) and sound.waveform.dtype == np.float32
        assert np.isfinite(sound.waveform).all()
        np.testing.assert_allclose(sound.waveform, sound.event + sound.background, atol=1e-6)
        assert 10 ** (-45 / 20) < np.abs(sound.waveform).max() < 0.98
        assert audible_rms(sound.event, SAMPLE_RATE) > 1e-4
        assert -20 < sound.snr <= 25


def test_snr_is_that_of_the_stems():
    checked = 0
    for seed in range(40):
        level = background(*_background_generators(seed), 5.0, SAMPLE_RATE)[2]
        sound = synthesize("rain", seed=seed)  # its evidence lasts throughout
        assert sound.snr == pytest.approx(20 * np.log10(audible_rms(sound.event, SAMPLE_RATE) / level), abs=0.01)
        checked += sound.snr > 10
    assert checked > 5


def _background_generators(seed):
    return [np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key)) for key in [(0,), (1, 0)]]


@pytest.mark.parametrize("label", LABELS)
def test_evidence_holds_the_energy_of_the_event(share_inside, sounds, label):
    shares = [share_inside(sound, sound.evidence) for sound in sounds[label]]
    assert min(shares) > 0.8
    assert np.mean(shares) > 0.88


@pytest.mark.parametrize("label", LABELS)
def test_evidence_is_not_everything(power, sounds, label):
    limits = {"rain": 0.93, "chainsaw": 0.75, "sea_waves": 0.5, "crying_baby": 0.6}
    for sound in sounds[label]:
        _, time, frequency = power(sound.event)
        assert 0 < evidence_mask(sound.evidence, time, frequency).mean() < limits.get(label, 0.45)


@pytest.mark.parametrize("label", LABELS)
def test_evidence_is_where_the_event_is_denser(power, sounds, label):
    """Boxes put elsewhere would hold no more energy than their area."""
    for sound in sounds[label]:
        spectrum, time, frequency = power(sound.event)
        mask = evidence_mask(sound.evidence, time, frequency)
        assert spectrum[mask].mean() > 5 * spectrum[~mask].mean()


@pytest.mark.parametrize("label", LABELS)
def test_boxes_are_sorted_inside_the_clip(sounds, label):
    for sound in sounds[label]:
        for boxes in (sound.evidence, sound.faint):
            assert boxes == sorted(boxes)
            for start, stop, low, high in boxes:
                assert 0 <= start < stop <= 5.0 and 0 < low < high <= 7700


def test_same_seed_same_sound():
    first, second = (synthesize("dog", seed=(3, 1)) for _ in range(2))
    np.testing.assert_array_equal(first.waveform, second.waveform)
    assert first.evidence == second.evidence
    assert not np.array_equal(first.waveform, synthesize("dog", seed=(3, 2)).waveform)


@pytest.mark.parametrize("label", LABELS)
def test_takes_share_timbre_and_background_but_not_samples(label):
    first, second = (synthesize(label, seed=8, take=take) for take in (0, 1))
    counted = {"barks", "bursts"}
    assert {k: v for k, v in first.parameters.items() if k not in counted} == {
        k: v for k, v in second.parameters.items() if k not in counted
    }
    assert abs(np.corrcoef(first.background, second.background)[0, 1]) < 0.9
    assert not np.allclose(first.event, second.event)


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("seconds, sample_rate", [(1.0, 16000), (2.37, 22050), (8, 44100)])
def test_other_lengths_and_rates(share_inside, label, seconds, sample_rate):
    sound = synthesize(label, seed=2, seconds=seconds, sample_rate=sample_rate)
    assert len(sound.waveform) == round(seconds * sample_rate)
    assert np.isfinite(sound.waveform).all() and np.abs(sound.waveform).max() < 0.98
    assert sound.evidence and share_inside(sound, sound.evidence) > 0.7


def test_unknown_label_names_the_known_ones():
    with pytest.raises(UnknownLabelError, match=r"'cat'.*chainsaw.*sneezing"):
        synthesize("cat", seed=0)


@pytest.mark.parametrize(
    "name, value", [("seconds", 0.5), ("seconds", "5"), ("seconds", np.nan), ("sample_rate", 8000)]
)
def test_bad_settings_are_named(name, value):
    with pytest.raises(ValueError, match=f"{name}=.*expected a number from"):
        synthesize("dog", seed=0, **{name: value})
    with pytest.raises(ValueError, match=f"{name}=.*expected a number from"):
        synthetic.load(**{name: value})
