"""Synthetic music: it is what it claims to be, its evidence is where it says, and nothing else tells the genre."""

import numpy as np
import pytest
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from audiointerp.datasets.synthetic.backing import HALVES, PERCUSSION, backing, pattern
from audiointerp.datasets.synthetic.evidence import clean_boxes, evidence_mask
from audiointerp.datasets.synthetic.genres import SIGNATURES, span
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
from audiointerp.datasets.synthetic.instruments import DRUMS, PITCHED, player, tone
from audiointerp.datasets.synthetic.music import LABELS, SAMPLE_RATE, SNR_DB, compose
from audiointerp.errors import UnknownLabelError
from audiointerp.sound.frontend import MUSIC

SECONDS = 12.0
TRACKS = 10


def seed_of(label, number):
    return 7, LABELS.index(label), number


@pytest.fixture(scope="module")
def pieces():
    return {
        label: [compose(label, seed=seed_of(label, number), seconds=SECONDS) for number in range(TRACKS)]
        for label in LABELS
    }


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


def test_span_holds_what_it_says():
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    sound = np.sin(2 * np.pi * 1000 * time) * (time < 0.5)
    start, stop, low, high = span(sound, SAMPLE_RATE, 0.9, 0.9)
    assert start == pytest.approx(-0.005) and stop == pytest.approx(0.455, abs=0.002)
    assert 960 < low < 1000 < high < 1040


def test_backing_has_one_level(rng):
    stem, players = backing(rng, draw_harmony(rng, 6.0, SAMPLE_RATE))
    assert np.sqrt(np.mean(stem**2)) == pytest.approx(1.0)
    assert set(players) == {"chords", "melody", "percussion"}
