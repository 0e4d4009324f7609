"""Synthetic music: it is what it claims to be, its evidence is where it says, and nothing else tells the genre."""

import numpy as np
import pytest
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from audiointerp.datasets.synthetic.evidence import clean_boxes, evidence_mask
from audiointerp.datasets.synthetic.genres import SIGNATURES
from audiointerp.datasets.synthetic.harmony import (
    draw_harmony,
)
from audiointerp.datasets.synthetic.music import LABELS, SAMPLE_RATE, SNR_DB, compose
from audiointerp.errors import UnknownLabelError
from audiointerp.sound.frontend import MUSIC

SECONDS = 12.0


TRACKS = 10


def seed_of(label, number):
    return 7, LABELS.index(label), number


@pytest.fixture(scope="module")
def log_mels(pieces):
    return np.array([MUSIC.log_mel(piece.waveform) for label in LABELS for piece in pieces[label]])


def power(signal):
    """Power [frame, bin] between 40 and 10000 Hz, with its axes: frames of 1024 samples every 512."""
    frames = np.lib.stride_tricks.sliding_window_view(np.asarray(signal, dtype=float), 1024)[::512]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1024) / 1024)
    spectrum = np.abs(np.fft.rfft(frames * hann, axis=1)) ** 2
    frequency = np.fft.rfftfreq(1024, 1 / SAMPLE_RATE)
    heard = (frequency >= 40) & (frequency <= 10000)
    return spectrum[:, heard], (np.arange(len(frames)) * 512 + 512) / SAMPLE_RATE, frequency[heard]


def share_inside(signal, boxes):
    spectrum, time, frequency = power(signal)
    return spectrum[evidence_mask(boxes, time, frequency)].sum() / spectrum.sum()


def harmony_of(label, number):
    """The harmony of a piece of `pieces`, drawn again."""
    stream = np.random.SeedSequence(seed_of(label, number), spawn_key=(0,))
    return draw_harmony(np.random.default_rng(stream), SECONDS, SAMPLE_RATE)


# One piece


@pytest.mark.parametrize("label", LABELS)
def test_piece_is_the_sum_of_its_parts_at_a_sane_level(pieces, label):
    for piece in pieces[label]:
        assert piece.waveform.shape == (round(SECONDS * SAMPLE_RATE),) and piece.waveform.dtype == np.float32
        assert np.isfinite(piece.waveform).all()
        np.testing.assert_allclose(piece.waveform, piece.signature + piece.backing, atol=1e-6)
        assert 0.1 < np.abs(piece.waveform).max() < 0.95
        assert -27 < 20 * np.log10(np.sqrt(np.mean(piece.waveform**2))) < -15.9


@pytest.mark.parametrize("label", LABELS)
def test_snr_is_that_inside_the_evidence(pieces, label):
    for piece in pieces[label]:
        (signature, time, frequency), (rest, *_) = power(piece.signature), power(piece.backing)
        mask = evidence_mask(piece.evidence, time, frequency)
        expected = 10 * np.log10(signature[mask].sum() / rest[mask].sum())
        assert piece.snr == pytest.approx(expected, abs=0.1)
        assert SNR_DB[0] - 4 < piece.snr < SNR_DB[1] + 4


@pytest.mark.parametrize("label", LABELS)
def test_evidence_holds_the_energy_of_the_signature(pieces, label):
    shares = [share_inside(piece.signature, piece.evidence) for piece in pieces[label]]
    assert min(shares) > 0.85 and np.mean(shares) > 0.9


@pytest.mark.parametrize("label", LABELS)
def test_evidence_holds_each_instrument(label):
    """Not only the louder of the two: the hi-hat as well as the drum."""
    for number in range(3):
        events = SIGNATURES[label](np.random.default_rng(number), harmony_of(label, number))
        for event in events:
            assert share_inside(event.stem, clean_boxes(event.evidence, SECONDS)) > 0.8
            assert share_inside(event.stem, clean_boxes(event.evidence + event.faint, SECONDS)) > 0.98


@pytest.mark.parametrize("label", LABELS)
def test_evidence_is_not_everything(pieces, log_mels, label):
    time = (np.arange(log_mels.shape[1]) * MUSIC.hop + MUSIC.window / 2) / SAMPLE_RATE
    areas = [evidence_mask(piece.evidence, time, MUSIC.frequency).mean() for piece in pieces[label]]
    assert min(areas) > 0.03 and max(areas) < 0.48 and np.mean(areas) < 0.4


@pytest.mark.parametrize("label", LABELS)
def test_evidence_is_where_the_signature_is_denser(pieces, label):
    """Boxes put elsewhere would hold no more energy than their area; half a beat later they hold less."""
    for piece in pieces[label]:
        spectrum, time, frequency = power(piece.signature)
        mask = evidence_mask(piece.evidence, time, frequency)
        assert spectrum[mask].mean() > 5 * spectrum[~mask].mean()


@pytest.mark.parametrize("label", LABELS)
def test_boxes_are_sorted_inside_the_piece(pieces, label):
    for piece in pieces[label]:
        for boxes in (piece.evidence, piece.faint):
            assert boxes and boxes == sorted(boxes)
            for start, stop, low, high in boxes:
                assert 0 <= start < stop <= SECONDS and 0 < low < high <= SAMPLE_RATE / 2 + 50


@pytest.mark.parametrize("label", LABELS)
def test_faint_parts_are_faint(pieces, label):
    for piece in pieces[label]:
        spectrum, time, frequency = power(piece.signature)
        strong, faint = (evidence_mask(boxes, time, frequency) for boxes in (piece.evidence, piece.faint))
        assert spectrum[faint & ~strong].sum() < 0.15 * spectrum.sum()


def test_same_seed_same_piece():
    first, second = (compose("jazz", seed=(3, 1), seconds=6) for _ in range(2))
    np.testing.assert_array_equal(first.waveform, second.waveform)
    assert first.evidence == second.evidence and first.faint == second.faint
    assert not np.array_equal(first.waveform, compose("jazz", seed=(3, 2), seconds=6).waveform)


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("seconds", [6, 7.3])
def test_short_pieces_have_their_signature(label, seconds):
    for seed in range(8):
        piece = compose(label, seed=seed, seconds=seconds)
        assert len(piece.waveform) == round(seconds * SAMPLE_RATE)
        assert np.isfinite(piece.waveform).all() and np.isfinite(piece.snr)
        assert share_inside(piece.signature, piece.evidence) > 0.8


def test_unknown_label_names_the_known_ones():
    with pytest.raises(UnknownLabelError, match=r"'polka'.*chiptune.*waltz"):
        compose("polka", seed=0)


@pytest.mark.parametrize("seconds", [5.9, 61, "12", np.nan])
def test_bad_length_is_named(seconds):
    with pytest.raises(ValueError, match=r"seconds=.*expected a number from 6 to 60"):
        compose("dance", seed=0, seconds=seconds)


def test_key_tempo_level_and_backing_give_no_genre_away(pieces):
    """They explain no more of the genres than shuffled labels do."""
    names = np.repeat(LABELS, TRACKS)
    features = []
    for piece in (piece for label in LABELS for piece in pieces[label]):
        log_mel = MUSIC.log_mel(piece.backing)
        waveform = np.log(np.mean(piece.waveform**2))
        features.append([waveform, piece.parameters["tempo_bpm"], log_mel.mean(), (log_mel @ np.arange(64)).mean()])
    features = np.array(features)

    def explained(labels):
        between = sum(((features[labels == x].mean(0) - features.mean(0)) ** 2) * (labels == x).sum() for x in LABELS)
        return (between / ((features - features.mean(0)) ** 2).sum(0)).max()

    shuffled = [explained(np.random.default_rng(turn).permutation(names)) for turn in range(200)]
    assert explained(names) < np.quantile(shuffled, 0.99)


def _probe_accuracy(features):
    labels, folds = np.repeat(LABELS, TRACKS), np.tile(np.arange(TRACKS) % 5, len(LABELS))
    probe = make_pipeline(StandardScaler(), LinearSVC(max_iter=5000, random_state=0))
    return cross_val_score(probe, features, labels, groups=folds, cv=GroupKFold(5)).mean()


def test_genres_can_be_learned_but_are_not_trivial(log_mels):
    accuracy = _probe_accuracy(np.concatenate([log_mels.mean(1), log_mels.std(1)], axis=1))
    assert 0.5 < accuracy < 0.92


def test_backing_alone_cannot_be_learned(pieces):
    stems = [MUSIC.log_mel(piece.backing) for label in LABELS for piece in pieces[label]]
    assert _probe_accuracy([np.concatenate([stem.mean(0), stem.std(0)]) for stem in stems]) < 0.4
