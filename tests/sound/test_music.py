"""Track features against slow formulas, on sounds whose answer is known, and against the published table."""

import librosa
import numpy as np
import pandas as pd
import pytest
import soundfile
from scipy import ndimage

from audiointerp.errors import AudioRepairWarning, MissingDataError, UnreadableAudioError
from audiointerp.sound import music as module
from audiointerp.sound.music import FEATURES, describe, feature_agreement, track_features

RATE, FRAME, HOP = 22_050, 2_048, 512


def tone(frequency, seconds=2.0, rate=RATE):
    return 0.3 * np.sin(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate)


def clicks(beats_a_minute, seconds, rng):
    """A short burst of noise on every beat."""
    sound, burst = np.zeros(int(seconds * RATE)), rng.normal(0, 0.3, 400) * np.linspace(1, 0, 400)
    for start in np.arange(0, len(sound) - 400, 60 / beats_a_minute * RATE).astype(int):
        sound[start : start + 400] += burst
    return sound


@pytest.fixture
def sound(rng):
    """A little music: two tones, one of them rising and falling, beats, and hiss."""
    swell = np.sin(np.linspace(0, 9, int(2.3 * RATE))) ** 2
    mixed = tone(441, 2.3) + tone(3_000, 2.3) * swell + clicks(150, 2.3, rng) + rng.normal(0, 0.01, int(2.3 * RATE))
    return mixed.astype(np.float32)


def named(waveform):
    return dict(zip(FEATURES, describe(np.asarray(waveform, np.float32)), strict=True))


def frames(sound, mode="constant"):
    padded = np.pad(np.asarray(sound, float), FRAME // 2, mode=mode)
    return np.stack([padded[start : start + FRAME] for start in range(0, len(padded) - FRAME + 1, HOP)])


def spectra(sound):
    """Magnitudes (frames, bins), by the definition of the periodic Hann window and the discrete transform."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME)
    return np.abs(np.fft.rfft(frames(sound) * window, axis=1))


BINS = np.arange(FRAME // 2 + 1) * RATE / FRAME


def slaney_mel(hertz):
    """Straight up to 1 kHz, then logarithmic: 27 mels for each factor of 6.4."""
    return hertz * 3 / 200 if hertz < 1_000 else 15 + 27 * np.log(hertz / 1_000) / np.log(6.4)


def mel_bands(power, bands=128):
    """Power in triangles of equal area between 0 Hz and half the rate, one after the other."""
    grid = np.linspace(0, RATE / 2, 200_000)
    edges = np.interp(np.linspace(0, slaney_mel(RATE / 2), bands + 2), [slaney_mel(f) for f in grid], grid)
    found = []
    for low, centre, high in zip(edges, edges[1:], edges[2:], strict=False):
        triangle = np.minimum((BINS - low) / (centre - low), (high - BINS) / (high - centre)).clip(0)
        found.append(power @ (triangle * 2 / (high - low)))
    return np.stack(found)


def test_names_are_those_of_the_published_table():
    header = "chroma_stft rms spectral_centroid spectral_bandwidth rolloff zero_crossing_rate harmony perceptr"
    pairs = header.split() + [f"mfcc{number}" for number in range(1, 21)]
    expected = [f"{name}_{what}" for name in pairs for what in ("mean", "var")]
    assert [*expected[:16], "tempo", *expected[16:]] == FEATURES and len(set(FEATURES)) == 57


def test_loudness_and_zero_crossings(sound):
    found, cut = named(sound), frames(sound)
    loudness = np.sqrt((cut**2).mean(axis=1))
    assert found["rms_mean"] == pytest.approx(loudness.mean(), rel=1e-5)
    assert found["rms_var"] == pytest.approx(loudness.var(), rel=1e-4)
    negative = frames(sound, "edge") < 0
    crossings = np.array([np.count_nonzero(row[1:] != row[:-1]) for row in negative]) / FRAME
    assert found["zero_crossing_rate_mean"] == pytest.approx(crossings.mean(), rel=1e-5)
    assert found["zero_crossing_rate_var"] == pytest.approx(crossings.var(), rel=1e-4)


def test_centre_width_and_rolloff_of_the_spectrum(sound):
    found, rows = named(sound), []
    for spectrum in spectra(sound):
        share = spectrum / spectrum.sum()
        centre = (share * BINS).sum()
        width = np.sqrt((share * (BINS - centre) ** 2).sum())
        rows.append([centre, width, BINS[np.flatnonzero(np.cumsum(share) >= 0.85)[0]]])
    for name, values in zip(("spectral_centroid", "spectral_bandwidth", "rolloff"), np.transpose(rows), strict=True):
        assert found[f"{name}_mean"] == pytest.approx(values.mean(), rel=1e-4), name
        assert found[f"{name}_var"] == pytest.approx(values.var(), rel=1e-3), name


def test_mfccs_are_the_cosines_of_the_mel_bands_in_decibels(sound):
    level = 10 * np.log10(np.maximum(mel_bands(spectra(sound) ** 2), 1e-10))
    level = np.maximum(level, level.max() - 80)
    found = named(sound)
    for number in range(20):
        wave = np.cos(np.pi * number * (np.arange(128) + 0.5) / 128) * np.sqrt((1 if number == 0 else 2) / 128)
        expected = wave @ level
        assert found[f"mfcc{number + 1}_mean"] == pytest.approx(expected.mean(), abs=0.02), number
        assert found[f"mfcc{number + 1}_var"] == pytest.approx(expected.var(), rel=5e-3), number


def test_harmonies_and_percussion_are_parted_by_medians(sound):
    """The mask of Fitzgerald, from two-dimensional filters, and what librosa makes of the waveform."""
    found = named(sound)
    stft = librosa.stft(sound)
    size = np.abs(stft)
    along_time, along_frequency = ndimage.median_filter(size, (1, 31)), ndimage.median_filter(size, (31, 1))
    with np.errstate(invalid="ignore"):
        mask = np.nan_to_num(along_time**2 / (along_time**2 + along_frequency**2), nan=0.5)
    harmonic, percussive = (librosa.istft(stft * part, length=len(sound)) for part in (mask, 1 - mask))
    for name, part, published in zip(
        ("harmony", "perceptr"), (harmonic, percussive), librosa.effects.hpss(sound), strict=True
    ):
        for expected in (part, published):
            assert found[f"{name}_mean"] == pytest.approx(expected.mean(), abs=1e-7), name
            assert found[f"{name}_var"] == pytest.approx(expected.var(), rel=1e-4), name


def test_a_tone_is_harmony_and_clicks_are_percussion(rng):
    steady, beats = named(tone(441)), named(clicks(200, 2, rng))
    assert steady["harmony_var"] > 0.9 * 0.3**2 / 2 and steady["perceptr_var"] < 0.01 * steady["harmony_var"]
    assert beats["perceptr_var"] > 20 * beats["harmony_var"]


@pytest.mark.parametrize("cents", [0, 38, -25])
def test_chroma_is_that_of_the_waveform(sound, cents):
    """In the tuning of the recording."""
    sound = (0.01 * sound + tone(440 * 2 ** (cents / 1_200), 2.3)).astype(np.float32)
    expected = librosa.feature.chroma_stft(y=sound, sr=RATE)
    found = named(sound)
    assert found["chroma_stft_mean"] == pytest.approx(expected.mean(), rel=1e-5)
    assert found["chroma_stft_var"] == pytest.approx(expected.var(), rel=1e-4)


def test_chroma_of_one_note_lies_below_that_of_all_twelve(rng):
    """The strongest of twelve pitch classes is 1 in every frame; next to a pure note the others are almost 0."""
    note, hiss = named(tone(440)), named(rng.normal(0, 0.1, 2 * RATE))
    assert 1 / 12 < note["chroma_stft_mean"] < 0.25 < 0.4 < hiss["chroma_stft_mean"] < 1


@pytest.mark.parametrize("beats", [90, 120, 150])
def test_tempo_is_that_of_the_beats(beats, rng):
    assert named(clicks(beats, 12, rng))["tempo"] == pytest.approx(beats, rel=0.03)


@pytest.mark.parametrize("case", ["silence", "direct current", "noise", "one click", "full scale", "faint"])
def test_every_feature_is_finite_down_to_the_shortest_clip(case, rng, recwarn):
    sound = {
        "silence": np.zeros(RATE),
        "direct current": np.full(RATE, 0.5),
        "noise": rng.normal(0, 0.1, RATE),
        "one click": np.eye(1, RATE, 9_000)[0],
        "full scale": np.sign(tone(50, 1)),
        "faint": tone(440, 1) * 1e-30,
    }[case]
    values = describe(sound.astype(np.float32))
    assert np.isfinite(values).all() and values.dtype == float and values.shape == (57,)
    assert not recwarn.list
    if case == "silence":
        expected = {"mfcc1_mean": -100 * np.sqrt(128), "tempo": 0}  # the floor of the decibels, 1e-10, in 128 bands
        assert {name: value for name, value in named(sound).items() if abs(value) > 1e-4} == pytest.approx(
            {"mfcc1_mean": expected["mfcc1_mean"]}
        )
        assert named(sound)["tempo"] == 0


# Tables of clips


@pytest.fixture
def clips(tmp_path, sound):
    """Three clips, of 2.3 s, 4.1 s (44.1 kHz, two channels) and 2.3 s, with an index of their own."""
    soundfile.write(tmp_path / "a.wav", sound, RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "b.wav", np.stack([tone(300, 4.1, 44_100), tone(500, 4.1, 44_100)], axis=1), 44_100)
    soundfile.write(tmp_path / "c.wav", 0.5 * sound[::-1], RATE, subtype="FLOAT")
    columns = {"path": [str(tmp_path / f"{name}.wav") for name in "abc"], "label": ["jazz", "rock", "jazz"]}
    return pd.DataFrame({**columns, "fold": [1, 2, 1], "source": ["x", "y", "z"], "other": 0}, index=[7, 3, 5])


def test_one_row_a_clip(clips, sound):
    table = track_features(clips, jobs=1)
    assert list(table.columns) == ["label", "fold", "source", *FEATURES]
    assert table.index.name == "clip" and list(table.index) == [7, 3, 5]
    for column in ("label", "fold", "source"):
        assert list(table[column]) == list(clips[column])
    assert table["fold"].dtype.kind == "i" and set(table[FEATURES].dtypes) == {np.dtype("float64")}
    np.testing.assert_array_equal(table.loc[7, FEATURES].to_numpy(float), describe(sound))
    mixed = librosa.resample((tone(300, 4.1, 44_100) + tone(500, 4.1, 44_100)) / 2, orig_sr=44_100, target_sr=RATE)
    expected = describe(mixed.astype(np.float32))
    for feature in ("rms_mean", "spectral_centroid_mean", "mfcc1_mean", "harmony_var"):
        assert table.loc[3, feature] == pytest.approx(expected[FEATURES.index(feature)], rel=1e-2), feature


def test_number_of_jobs_changes_nothing(clips, monkeypatch, tmp_path):
    one = track_features(clips, jobs=1)
    monkeypatch.setenv("AUDIOINTERP_CACHE", str(tmp_path / "another"))
    pd.testing.assert_frame_equal(one, track_features(clips, jobs=2))


def test_one_row_a_part(clips, sound):
    table = track_features(clips, seconds=1.1, jobs=1)
    assert table.index.names == ["clip", "start"]
    assert [index[0] for index in table.index] == [7, 7, 3, 3, 3, 5, 5]  # 2.3, 4.1 and 2.3 s; the rest is not used
    np.testing.assert_allclose(table.index.get_level_values("start"), [0, 1.1, 0, 1.1, 2.2, 0, 1.1])
    length = round(1.1 * RATE)
    second = table.iloc[1]
    np.testing.assert_array_equal(second[FEATURES].to_numpy(float), describe(sound[length : 2 * length]))
    assert list(table["label"]) == ["jazz"] * 2 + ["rock"] * 3 + ["jazz"] * 2
    assert list(table["source"]) == list("xxyyyzz")


def test_a_clip_of_exactly_some_parts_gives_all_of_them(tmp_path, rng):
    soundfile.write(tmp_path / "a.wav", rng.normal(0, 0.1, 3 * RATE), RATE)
    table = track_features(pd.DataFrame({"path": [str(tmp_path / "a.wav")]}), seconds=1, jobs=1)
    assert list(table.index) == [(0, 0.0), (0, 1.0), (0, 2.0)] and table.index.levels[1].dtype == float


def test_a_table_of_paths_alone_is_enough(clips):
    assert list(track_features(clips[["path"]], jobs=1)) == FEATURES


def cannot(*_):
    raise AssertionError("computed although the cache knows it")


def test_features_come_from_the_cache_by_content_and_settings(clips, monkeypatch, tmp_path):
    expected = track_features(clips, jobs=1)
    monkeypatch.setattr(module, "describe", cannot)
    pd.testing.assert_frame_equal(track_features(clips, jobs=1), expected)
    moved = tmp_path / "moved.wav"
    (tmp_path / "a.wav").rename(moved)
    again = track_features(pd.DataFrame({"path": [str(moved)]}), jobs=1)
    np.testing.assert_array_equal(again[FEATURES], expected.loc[[7], FEATURES])
    with pytest.raises(AssertionError, match="the cache knows"):
        track_features(clips[1:], seconds=1, jobs=1)
    soundfile.write(tmp_path / "b.wav", np.ones(2 * RATE) / 2, RATE)
    with pytest.raises(AssertionError, match="the cache knows"):
        track_features(clips[1:2], jobs=1)


def test_silence_is_said_and_its_features_are_finite(tmp_path, rng):
    half = np.concatenate([rng.normal(0, 0.1, RATE), np.zeros(2 * RATE)])
    soundfile.write(tmp_path / "none.wav", np.zeros(2 * RATE), RATE)
    soundfile.write(tmp_path / "half.wav", half, RATE)
    clips = pd.DataFrame({"path": [str(tmp_path / "none.wav"), str(tmp_path / "half.wav")]})
    for _ in range(2):  # computed, and from the cache
        with pytest.warns(AudioRepairWarning) as caught:
            table = track_features(clips, seconds=1, jobs=1)
        texts = [str(each.message) for each in caught]
        assert len(texts) == 2 and all(each.filename == __file__ for each in caught)
        assert "none.wav: silent: every sample is 0" in texts[0]
        assert "half.wav: 2 of 3 parts are silent" in texts[1]
    assert np.isfinite(table).all(axis=None)
    assert list(table["rms_mean"] == 0) == [True, True, False, True, True]


def test_samples_that_are_no_numbers_are_repaired_and_said(tmp_path, sound):
    broken = sound.copy()
    broken[100:103] = np.nan
    soundfile.write(tmp_path / "nan.wav", broken, RATE, subtype="FLOAT")
    with pytest.warns(AudioRepairWarning, match=r"nan\.wav: 3 samples are NaN or infinite: set to 0"):
        table = track_features(pd.DataFrame({"path": [str(tmp_path / "nan.wav")]}), jobs=1)
    np.testing.assert_array_equal(table.loc[0, FEATURES].to_numpy(float), describe(np.nan_to_num(broken)))


@pytest.fixture
def partly_bad(clips, tmp_path):
    (tmp_path / "c.wav").write_bytes(b"")
    soundfile.write(tmp_path / "d.wav", tone(440, 0.9), RATE)
    clips.loc[9] = {"path": str(tmp_path / "d.wav"), "label": "rock", "fold": 2, "source": "d", "other": 0}
    clips.loc[1] = {"path": str(tmp_path / "gone.wav"), "label": "rock", "fold": 2, "source": "e", "other": 0}
    return clips


def test_all_bad_clips_are_named_at_once(partly_bad):
    with pytest.raises(UnreadableAudioError) as caught:
        track_features(partly_bad, jobs=1)
    text = str(caught.value)
    for part in ("3 of 5 clips cannot be read", "c.wav: no audio frames", "gone.wav: No such file", "on_error='skip'"):
        assert part in text
    assert "d.wav: 0.90 s long; the features need 1.0 s at least" in text


def test_a_clip_shorter_than_a_part_is_named(clips):
    with pytest.raises(UnreadableAudioError, match=r"a\.wav: 2\.30 s long; a part needs 3\.0 s"):
        track_features(clips, seconds=3, jobs=1)


def test_bad_clips_can_be_left_out(partly_bad):
    with pytest.warns(AudioRepairWarning, match="(?s)3 of 5 clips.*They are left out"):
        table = track_features(partly_bad, on_error="skip", jobs=1)
    assert list(table.index) == [7, 3] and list(table["label"]) == ["jazz", "rock"]
    with pytest.raises(UnreadableAudioError, match="3 of 3"):
        track_features(partly_bad.loc[[5, 9, 1]], on_error="skip", jobs=1)


def test_no_clips_and_wrong_options(clips):
    with pytest.raises(MissingDataError, match="no clips"):
        track_features(clips[:0])
    with pytest.raises(ValueError, match="on_error='ignore'"):
        track_features(clips, on_error="ignore")
    for seconds in (0, -3, 0.5, float("nan")):
        with pytest.raises(ValueError, match=r"seconds=.*expected at least 1\.0 s"):
            track_features(clips, seconds=seconds)


# Agreement with published features


@pytest.fixture
def two_tables(rng):
    """Features of six tracks, and of the last four of them and two others with known differences."""
    own = pd.DataFrame(rng.normal(10, 1, (6, 57)), columns=FEATURES).assign(source=list("abcdef"))
    published = own.set_index("source")[FEATURES].loc[list("fedc")]
    published = pd.concat([published, pd.DataFrame(5.0, index=["y", "z"], columns=FEATURES)])
    return own, published


def test_agreement_over_common_tracks(two_tables):
    own, published = two_tables
    values = {"tempo": [1.0, 2, 3, 100], "rms_mean": [4.0, 3, 2, 1], "mfcc3_var": [2.0, 4, 6, 8]}
    for name, column in values.items():
        own.loc[[2, 3, 4, 5], name] = column
        published.loc[list("cdef"), name] = [1.0, 2, 3, 4]
    found = feature_agreement(own, published)
    assert list(found.columns) == ["correlation", "spearman", "difference", "tracks"]
    assert set(found.index) == set(FEATURES) and found.index.name == "feature" and (found["tracks"] == 4).all()
    assert list(found.index[:2]) == ["rms_mean", "tempo"] and found["correlation"].is_monotonic_increasing
    expected = np.corrcoef([1, 2, 3, 100], [1, 2, 3, 4])[0, 1]
    np.testing.assert_allclose(found.loc["tempo", ["correlation", "spearman"]].astype(float), [expected, 1])
    np.testing.assert_allclose(found.loc["rms_mean", ["correlation", "spearman"]].astype(float), [-1, -1])
    np.testing.assert_allclose(found.loc["mfcc3_var"].astype(float), [1, 1, 1, 4])  # all twice as large
    assert found.loc["tempo", "difference"] == 0  # the median of 0, 0, 0 and 24
    assert found.loc["rms_mean", "difference"] == pytest.approx(np.median([3, 0.5, 1 / 3, 0.75]))
    np.testing.assert_allclose(found.drop(list(values))[["correlation", "difference"]], [[1, 0]] * 54, atol=1e-12)


def test_tables_that_cannot_be_compared(two_tables):
    own, published = two_tables
    with pytest.raises(MissingDataError, match="without the column source"):
        feature_agreement(own.drop(columns="source"), published)
    with pytest.raises(MissingDataError, match=r"published features lack 2 of 57 columns: \['tempo', 'mfcc1_mean'\]"):
        feature_agreement(own, published.drop(columns=["tempo", "mfcc1_mean"]))
    with pytest.raises(MissingDataError, match=r"own features have several rows of \['a'\]"):
        feature_agreement(pd.concat([own, own[:1]]), published)
    with pytest.raises(MissingDataError, match=r"2 tracks are in both tables .*'a', 'b'"):
        feature_agreement(own, published[2:])


@pytest.mark.realdata
def test_real_tracks_have_their_published_features(real_data):
    """Six tracks of different genres; the others are like them but for what Ogg coding does to quiet treble."""
    published = pd.read_csv(f"{real_data}/gtzan/features_30_sec.csv")
    assert [column for column in published if column not in ("filename", "length", "label")] == FEATURES
    published.index = published["filename"].str.removesuffix(".au").str.removesuffix(".wav")
    tracks = [f"{genre}.0000{number}" for number, genre in enumerate(("blues", "country", "disco", "hiphop", "metal"))]
    tracks.append("classical.00005")
    paths = [f"{real_data}/gtzan/genres/{track.split('.')[0]}/{track}.ogg" for track in tracks]
    found = feature_agreement(track_features(pd.DataFrame({"path": paths, "source": tracks}), jobs=1), published)
    assert (found["tracks"] == 6).all()
    assert found["correlation"].min() > 0.9, found.head()
    assert found["difference"].median() < 0.06
