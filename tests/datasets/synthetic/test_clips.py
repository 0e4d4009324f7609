"""The synthetic data set: the same every time, balanced, whole, and honest about where its evidence is."""

import json
import os
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiointerp.datasets.synthetic import clips as synthetic
from audiointerp.datasets.synthetic import sets as synthetic_sets
from audiointerp.datasets.synthetic.background import background
from audiointerp.datasets.synthetic.evidence import clean_boxes, evidence_mask
from audiointerp.datasets.synthetic.signals import audible_rms
from audiointerp.datasets.synthetic.sounds import LABELS, SAMPLE_RATE, synthesize
from audiointerp.errors import CacheError, UnknownLabelError

SEEDS = range(6)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AUDIOINTERP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def sounds():
    return {label: [synthesize(label, seed=seed) for seed in SEEDS] for label in LABELS}


def power(signal, sample_rate=SAMPLE_RATE):
    """Power spectrogram [frame, bin] between 125 and 7500 Hz, with its axes: frames of 25 ms every 10 ms."""
    size, hop = round(0.025 * sample_rate), round(0.01 * sample_rate)
    frames = np.lib.stride_tricks.sliding_window_view(signal, size)[::hop]
    spectrum = np.abs(np.fft.rfft(frames * np.hanning(size), axis=1)) ** 2
    frequency = np.fft.rfftfreq(size, 1 / sample_rate)
    heard = (frequency >= 125) & (frequency <= 7500)
    time = (np.arange(len(frames)) * hop + size / 2) / sample_rate
    return spectrum[:, heard], time, frequency[heard]


def share_inside(sound, boxes):
    spectrum, time, frequency = power(sound.event, sound.sample_rate)
    return spectrum[evidence_mask(boxes, time, frequency)].sum() / spectrum.sum()


def repetition_rate(signal, low, high):
    """Rate in Hz of the strongest periodicity of a signal's short-time level, between `low` and `high` Hz."""
    step = SAMPLE_RATE // 1000
    level = np.sqrt(np.square(signal[: len(signal) // step * step]).reshape(-1, step).mean(1))
    level = level - level.mean()
    spectrum = np.abs(np.fft.rfft(level, 8 * len(level))) ** 2
    correlation = np.fft.irfft(spectrum)[: len(level)]
    lags = np.arange(round(1000 / high), round(1000 / low) + 1)
    return 1000 / lags[correlation[lags].argmax()]


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
def test_evidence_holds_the_energy_of_the_event(sounds, label):
    shares = [share_inside(sound, sound.evidence) for sound in sounds[label]]
    assert min(shares) > 0.8
    assert np.mean(shares) > 0.88


@pytest.mark.parametrize("label", LABELS)
def test_evidence_is_not_everything(sounds, label):
    limits = {"rain": 0.93, "chainsaw": 0.75, "sea_waves": 0.5, "crying_baby": 0.6}
    for sound in sounds[label]:
        _, time, frequency = power(sound.event)
        assert 0 < evidence_mask(sound.evidence, time, frequency).mean() < limits.get(label, 0.45)


@pytest.mark.parametrize("label", LABELS)
def test_evidence_is_where_the_event_is_denser(sounds, label):
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


def test_background_does_not_know_the_class():
    for seed in range(3):
        first, *others = [synthesize(label, seed=seed) for label in LABELS]
        assert all(np.array_equal(first.background, other.background) for other in others)


def test_background_level_of_the_set_gives_no_class_away():
    """Level and brightness of the backgrounds explain no more of the classes than shuffled labels do."""
    rows = synthetic.plan(10)
    names = np.array([row["label"] for row in rows])
    seeds = [(0, zlib.crc32(row["label"].encode()), int(row["source"]) % 100000) for row in rows]
    stems = [background(*_background_generators(seed), 5.0, SAMPLE_RATE)[0] for seed in seeds]
    spectra = np.array([np.log(power(stem)[0].mean(0) + 1e-9) for stem in stems])
    features = np.column_stack([spectra.mean(1), spectra @ np.linspace(-1, 1, spectra.shape[1])])

    def explained(labels):
        between = sum(((features[labels == x].mean(0) - features.mean(0)) ** 2) * (labels == x).sum() for x in LABELS)
        return (between / ((features - features.mean(0)) ** 2).sum(0)).max()

    rng = np.random.default_rng(0)
    shuffled = [explained(rng.permutation(names)) for _ in range(200)]
    assert explained(names) < np.quantile(shuffled, 0.99)


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


def test_slap_of_the_helicopter_is_faint_not_evidence(sounds):
    for sound in sounds["helicopter"]:
        assert max(high for _, _, _, high in sound.evidence) < 700 < min(low for _, _, low, _ in sound.faint)
        assert 0.001 < share_inside(sound, sound.faint) < 0.2


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("seconds, sample_rate", [(1.0, 16000), (2.37, 22050), (8, 44100)])
def test_other_lengths_and_rates(label, seconds, sample_rate):
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


# Boxes


def test_mask_marks_the_cells_of_a_box():
    mask = evidence_mask([(0.2, 0.4, 100, 300)], [0.1, 0.2, 0.3, 0.5], [50, 200, 300, 400, 800])
    expected = np.zeros((4, 5), dtype=bool)
    expected[1:3, 1:3] = True
    np.testing.assert_array_equal(mask, expected)


def test_mask_keeps_a_click_between_two_frames_and_drops_what_lies_beyond():
    axes = [0.1, 0.2, 0.3], [100.0, 1000.0]
    np.testing.assert_array_equal(evidence_mask([(0.17, 0.18, 50, 2000)], *axes), [[0, 0], [1, 1], [0, 0]])
    assert not evidence_mask([(0.5, 0.6, 50, 2000), (0.1, 0.3, 2000, 3000)], *axes).any()
    assert evidence_mask([], *axes).shape == (3, 2)


def test_boxes_of_one_band_merge_and_inner_ones_go():
    boxes = [(1.0, 1.5, 100, 200), (1.4, 2.0, 100, 200), (1.1, 1.2, 120, 180), (4.9, 6.0, 300, 400), (7, 8, 1, 2)]
    assert clean_boxes(boxes, 5.0) == [(0.99, 2.01, 100.0, 200.0), (4.89, 5.0, 300.0, 400.0)]


# The set


def test_plan_balances_folds_and_keeps_sources_together():
    rows = synthetic.plan(20)
    folds, takes = {}, {}
    for row in rows:
        folds[row["label"], row["fold"]] = folds.get((row["label"], row["fold"]), 0) + 1
        takes.setdefault(row["source"], []).append(row)
    assert len(folds) == 50 and set(folds.values()) == {4}
    assert all(len({(row["label"], row["fold"]) for row in group}) == 1 for group in takes.values())
    pairs = [group for group in takes.values() if len(group) > 1]
    assert len(pairs) == 40 and all([row["take"] for row in group] == ["A", "B"] for group in pairs)
    assert len({row["file"] for row in rows}) == len(rows) == 200


def test_larger_set_contains_the_smaller():
    small, large = ([row["file"] for row in synthetic.plan(number)] for number in (10, 25))
    assert set(small) < set(large)


def test_table_and_files():
    table = synthetic.load(clips_per_label=5, seconds=1)
    assert list(table.columns) == synthetic.COLUMNS and len(table) == 50
    assert sorted(set(table["label"])) == list(LABELS)
    assert list(table["path"]) == sorted(table["path"])
    for row in table.itertuples():
        path = Path(row.path)
        assert path.is_absolute() and path.parent.name == row.label
        assert path.name == f"{row.fold}-{row.source}-{row.take}.wav"
        assert all(len(box) == 4 and isinstance(box, tuple) for box in row.evidence) and row.evidence
    info = soundfile.info(table["path"].iloc[0])
    assert (info.samplerate, info.subtype, info.frames, info.channels) == (16000, "PCM_16", 16000, 1)


def test_files_hold_the_sounds_that_synthesize_makes():
    row = synthetic.load(clips_per_label=5, seconds=1, seed=2).iloc[7]
    seed = (2, zlib.crc32(row["label"].encode()), int(row["source"]) % 100000)
    sound = synthesize(row["label"], seed=seed, seconds=1)
    written, _ = soundfile.read(row["path"])
    np.testing.assert_allclose(written, sound.waveform, atol=1 / 32768)
    assert row["evidence"] == sound.evidence


def test_same_seed_same_bytes(tmp_path):
    tables = [synthetic.load(clips_per_label=5, seconds=1, folder=tmp_path / name) for name in "ab"]
    first, second = ([Path(path).read_bytes() for path in table["path"]] for table in tables)
    assert first == second
    assert tables[0].drop(columns="path").equals(tables[1].drop(columns="path"))
    other = synthetic.load(clips_per_label=5, seconds=1, seed=1, folder=tmp_path / "a")
    assert all(a != Path(b).read_bytes() for a, b in zip(first, other["path"], strict=True))


def test_whole_set_is_not_made_again(monkeypatch):
    first = synthetic.load(clips_per_label=5, seconds=1)
    monkeypatch.setattr(synthetic_sets, "_make", lambda *_: pytest.fail("made again"))
    assert synthetic.load(clips_per_label=5, seconds=1).equals(first)


def _truncate(path):
    path.write_bytes(path.read_bytes()[:1000])


def _flip(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("harm", [_truncate, _flip, Path.unlink], ids=["truncated", "bit flipped", "gone"])
def test_damaged_sound_is_made_again(harm):
    path = Path(synthetic.load(clips_per_label=5, seconds=1)["path"].iloc[13])
    whole = path.read_bytes()
    harm(path)
    synthetic.load(clips_per_label=5, seconds=1)
    assert path.read_bytes() == whole


@pytest.mark.parametrize("text", ["", "{", "[]", "[1]", '[{"file": "x.wav"}]', "null"])
def test_damaged_table_is_made_again(text):
    table = synthetic.load(clips_per_label=5, seconds=1)
    record = Path(table["path"].iloc[0]).parents[1] / synthetic_sets.TABLE
    record.write_text(text)
    assert synthetic.load(clips_per_label=5, seconds=1).equals(table)
    assert len(json.loads(record.read_text())) == 50


def test_interrupted_making_leaves_nothing_behind(cache, monkeypatch):
    written = []

    def stop_at_third(*arguments):
        written.append(arguments)
        if len(written) >= 3:
            raise KeyboardInterrupt
        return {}

    monkeypatch.setattr(synthetic_sets, "_write", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        synthetic.load(clips_per_label=5, seconds=1)
    assert list((cache / "synthetic").iterdir()) == []


def test_full_disk_is_a_cache_error(monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(synthetic_sets, "_write", full)
    with pytest.raises(CacheError, match="No space left on device"):
        synthetic.load(clips_per_label=5, seconds=1)


def test_set_that_another_process_has_finished_is_left_alone(monkeypatch):
    table = synthetic.load(clips_per_label=5, seconds=1)
    home = Path(table["path"].iloc[0]).parents[1]
    before = home.stat().st_ino
    with monkeypatch.context() as patch:
        looked = []
        read = synthetic_sets._read
        patch.setattr(synthetic_sets, "_read", lambda home: read(home) if looked else looked.append(home))
        assert synthetic.load(clips_per_label=5, seconds=1).equals(table)
    assert home.stat().st_ino == before and len(list(home.parent.iterdir())) == 1


def test_foreign_files_beside_the_set_stay(tmp_path):
    (tmp_path / "mine.wav").write_bytes(b"mine")
    synthetic.load(clips_per_label=5, seconds=1, folder=tmp_path)
    assert (tmp_path / "mine.wav").read_bytes() == b"mine"
    assert len([name for name in os.listdir(tmp_path) if not name.startswith(".")]) == 2


@pytest.mark.parametrize("name, value", [("clips_per_label", 7), ("clips_per_label", 0), ("seed", -1), ("seed", 0.5)])
def test_bad_set_settings_are_named(name, value):
    with pytest.raises(ValueError, match=f"{name}={value}"):
        synthetic.load(**{name: value})
