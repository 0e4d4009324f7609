"""The front end against a slow float64 formula written from its definition."""

import json
import math
import warnings
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiointerp.errors import UnreadableAudioError
from audiointerp.sound import frontend
from audiointerp.sound import reading as audio
from audiointerp.sound.frontend import MUSIC, SOUNDNET, VGGISH, YAMNET, FrontEnd, WaveformFrontEnd


def slow_mel(frequency):
    """HTK's scale; its other form, 2595 log10(1 + f / 700), is the same to five digits."""
    return 1127.0 * math.log(1.0 + frequency / 700.0)


def slow_mel_weights(rate=16_000, fft_length=512, mels=64, low=125.0, high=7_500.0):
    """Triangles on the mel scale, one weight at a time."""
    step = (slow_mel(high) - slow_mel(low)) / (mels + 1)
    weights = np.zeros((fft_length // 2 + 1, mels))
    for bin in range(1, fft_length // 2 + 1):
        mel = slow_mel(bin * rate / fft_length)
        for band in range(mels):
            centre = slow_mel(low) + (band + 1) * step
            weights[bin, band] = max(0.0, 1.0 - abs(mel - centre) / step)
    return weights


def slow_log_mel(waveform, offset=0.01):
    """A discrete Fourier transform by its definition, in float64."""
    n = np.arange(400)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * n / 400)
    fourier = np.exp(-2j * np.pi * np.outer(np.arange(257), n) / 512)
    weights = slow_mel_weights()
    rows = []
    for start in range(0, len(waveform) - 399, 160):
        magnitude = np.abs(fourier @ (hann * waveform[start : start + 400].astype(np.float64)))
        rows.append(np.log(magnitude @ weights + offset))
    return np.array(rows)


def slow_patches(log_mel, hop):
    return np.array([log_mel[start : start + 96] for start in range(0, len(log_mel) - 95, hop)])


@pytest.mark.parametrize(("settings", "offset"), [(VGGISH, 0.01), (YAMNET, 0.001)])
@pytest.mark.parametrize("level", [1.0, 0.01, 1e-4])
def test_log_mel_equals_the_definition(rng, settings, offset, level):
    waveform = (level * rng.uniform(-1, 1, 20_321)).astype(np.float32)
    log_mel = settings.log_mel(waveform)
    assert log_mel.dtype == np.float32 and log_mel.shape == (125, 64)
    np.testing.assert_allclose(log_mel, slow_log_mel(waveform, offset), atol=1e-4)


def test_faint_bands_beside_a_loud_low_sound_equal_the_definition(rng):
    hum = 0.9 * np.sin(2 * np.pi * 110 * np.arange(16_000) / 16_000)
    waveform = (hum + rng.normal(0, 1e-5, 16_000)).astype(np.float32)
    np.testing.assert_allclose(VGGISH.log_mel(waveform), slow_log_mel(waveform), atol=2e-5)


@pytest.mark.realdata
def test_patches_of_real_clips_equal_the_definition(real_data):
    paths = sorted(Path(real_data, "esc10").glob("*/*.ogg"))[::57]
    assert len({path.parent for path in paths}) > 5
    for path in paths:
        waveform = audio.read_audio(path)
        patches, start = VGGISH.cut(VGGISH.log_mel(waveform))
        expected = slow_patches(slow_log_mel(waveform), 24)
        assert patches.shape == expected.shape
        np.testing.assert_allclose(patches, expected, atol=1e-4, err_msg=str(path))
        np.testing.assert_allclose(start, 0.24 * np.arange(len(expected)), atol=1e-9)


def test_mel_weights_are_those_of_tensorflow():
    tf = pytest.importorskip("tensorflow")
    expected = tf.signal.linear_to_mel_weight_matrix(64, 257, 16_000, 125, 7_500).numpy()
    np.testing.assert_allclose(VGGISH.mel_weights, expected, atol=2e-5)
    np.testing.assert_allclose(VGGISH.mel_weights, slow_mel_weights(), atol=1e-6)
    assert not VGGISH.mel_weights[0].any()


@pytest.mark.parametrize(
    ("rate", "fft_length", "mels", "low", "high"), [(16_000, 512, 40, 60, 7_800), (8_000, 256, 20, 0, 4_000)]
)
def test_mel_weights_of_other_settings(rate, fft_length, mels, low, high):
    settings = FrontEnd(sample_rate=rate, fft_length=fft_length, window=200, hop=80, mels=mels, low=low, high=high)
    np.testing.assert_allclose(settings.mel_weights, slow_mel_weights(rate, fft_length, mels, low, high), atol=1e-6)


@pytest.mark.parametrize(("overlap", "hop", "n"), [(0.75, 24, 17), (0.5, 48, 9), (0.0, 96, 5), (0.9, 10, 41)])
def test_a_clip_of_five_seconds(rng, overlap, hop, n):
    log_mel = VGGISH.log_mel(rng.normal(0, 0.1, 80_000))
    assert log_mel.shape == (498, 64)
    patches, start = VGGISH.cut(log_mel, overlap)
    assert patches.shape == (n, 96, 64) and patches.dtype == np.float32
    np.testing.assert_array_equal(patches, slow_patches(log_mel, hop))
    np.testing.assert_allclose(start, np.arange(n) * hop * 0.01)


def test_overlap_rounds_to_whole_frames_and_moves_by_at_least_one():
    assert VGGISH.patch_hop(2 / 3) == 32
    assert VGGISH.patch_hop(0.999) == 1
    for overlap in (1, -0.1, 75, float("nan")):
        with pytest.raises(ValueError, match="fraction from 0 up to"):
            VGGISH.patch_hop(overlap)


@pytest.mark.parametrize(("samples", "frames"), [(1, 1), (399, 1), (400, 1), (559, 1), (560, 2), (15_599, 95)])
def test_clips_too_short_for_a_patch_are_padded_with_silence(rng, samples, frames):
    waveform = rng.normal(0, 0.1, samples).astype(np.float32)
    log_mel = VGGISH.log_mel(waveform)
    assert len(log_mel) == frames
    padded = np.concatenate([waveform, np.zeros(max(0, 400 - samples), np.float32)])
    np.testing.assert_allclose(log_mel, slow_log_mel(padded), atol=1e-4)
    patches, start = VGGISH.cut(log_mel)
    assert patches.shape == (1, 96, 64) and list(start) == [0]
    np.testing.assert_array_equal(patches[0, :frames], log_mel)
    np.testing.assert_allclose(patches[0, frames:], math.log(0.01), rtol=1e-6)


def test_exactly_one_patch_is_not_padded(rng):
    patches, _ = VGGISH.cut(VGGISH.log_mel(rng.normal(0, 0.1, 400 + 95 * 160)))
    assert patches.shape == (1, 96, 64)


def test_silence_is_the_offset_everywhere():
    np.testing.assert_allclose(YAMNET.log_mel(np.zeros(1_000)), math.log(0.001), rtol=1e-6)


@pytest.mark.parametrize("frequency", [200, 1_000, 3_210, 7_000])
def test_a_sine_peaks_in_the_band_whose_centre_is_nearest(frequency):
    t = np.arange(16_000) / 16_000
    log_mel = VGGISH.log_mel(np.sin(2 * np.pi * frequency * t))
    nearest = np.abs([slow_mel(f) - slow_mel(frequency) for f in VGGISH.frequency]).argmin()
    # Fourier bins lie 31 Hz apart; the lowest bands are narrower than that.
    tolerance = 1 if frequency < 500 else 0
    assert abs(np.bincount(log_mel.argmax(axis=1)).argmax() - nearest) <= tolerance


def test_a_click_peaks_in_the_frames_whose_centre_is_nearest():
    waveform = np.zeros(16_000)
    waveform[8_000] = 1
    patches, _ = VGGISH.cut(VGGISH.log_mel(waveform))
    loudest = patches[0].sum(axis=1).argmax()
    assert loudest == np.abs(VGGISH.time - 0.5).argmin()


def test_axes_have_a_value_a_row_and_a_column(small):
    for settings in (VGGISH, small):
        assert settings.time.shape == (settings.frames,)
        assert settings.frequency.shape == (settings.mels,)
    np.testing.assert_allclose(VGGISH.time[:2], [0.0125, 0.0225])
    assert VGGISH.patch_seconds == pytest.approx(0.96)
    centres = [slow_mel(f) for f in VGGISH.frequency]
    np.testing.assert_allclose(np.diff(centres), (slow_mel(7_500) - slow_mel(125)) / 65)


def test_frame_times_of_any_count_are_the_centres_of_the_windows():
    settings = FrontEnd(8_000, window=200, hop=50, fft_length=256, mels=20, high=4_000.0, frames=7)
    centres = [(start + 100) / 8_000 for start in range(0, 600, 50)]
    np.testing.assert_allclose(settings.frame_times(12), centres, rtol=1e-12)
    np.testing.assert_array_equal(settings.time, settings.frame_times(7))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"window": 1024}, "window=1024, fft_length=512: the end of every frame would be cut off"),
        ({"sample_rate": 0}, "sample_rate=0: expected at least 1"),
        ({"hop": 0}, "hop=0"),
        ({"frames": 0}, "frames=0"),
        ({"mels": -3}, "mels=-3"),
        ({"low": 7_500.0}, r"low=7500.0, high=7500.0: expected 0 ≤ low < high ≤ 8000.0 Hz"),
        ({"high": 8_001.0}, "high=8001.0"),
        ({"low": -1.0}, "low=-1.0"),
        ({"low": np.nan}, "low=nan"),
        ({"log_offset": 0.0}, "log_offset=0.0: expected more than 0"),
    ],
)
def test_settings_that_do_not_fit(settings, text):
    with pytest.raises(ValueError, match=text):
        FrontEnd(**settings)


def test_empty_mel_bands_are_said_once():
    with pytest.warns(UserWarning, match="mel bands are empty") as caught:
        settings = FrontEnd(mels=128)
    empty = slow_mel_weights(mels=128).max(axis=0) < 1e-9
    assert empty.any() and len(caught) == 1 and caught[0].filename == __file__
    text = str(caught[0].message)
    assert text.startswith(f"{empty.sum()} of 128 mel bands are empty, the first near ")
    assert f"{settings.frequency[empty][0]:.0f} Hz" in text and "31.2 Hz apart" in text
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        settings.log_mel(np.zeros(400))
        FrontEnd(mels=128, fft_length=2048)
        for own in (VGGISH, YAMNET, MUSIC):
            replace(own)


def test_mel_scale_inverts():
    frequency = np.array([0, 125, 1_000, 7_500.0])
    np.testing.assert_allclose(frontend.mel_to_hz(frontend.hz_to_mel(frequency)), frequency, atol=1e-9)
    assert frontend.hz_to_mel(1_000) == pytest.approx(999.99, abs=0.01)


@pytest.mark.parametrize(
    "waveform", [[], np.zeros((100, 2)), 0.5, [0, np.nan, 0], [0, np.inf]], ids=["empty", "2-d", "0-d", "nan", "inf"]
)
def test_what_is_not_a_waveform_is_an_error(waveform):
    with pytest.raises(UnreadableAudioError, match="expected one channel of finite samples"):
        VGGISH.log_mel(waveform)


def test_yamnet_differs_from_vggish_in_its_offset_only():
    assert replace(YAMNET, log_offset=0.01) == VGGISH
    assert YAMNET.log_offset == 0.001


# Waveforms as networks on waveforms take them


def slow_fit(waveform, shortest=441_000, longest=None):
    """As the published code has it: cut, then put behind itself as often as ``int(shortest / samples + 1)``."""
    cut = list(waveform if longest is None else waveform[:longest])
    times = 1 if len(cut) >= shortest else int(shortest / len(cut) + 1)
    return np.array(cut * times)


def test_soundnet_takes_the_first_channel_as_it_is_at_full_scale():
    assert WaveformFrontEnd(sample_rate=None, scale=256.0, shortest=20 * 22_050, longest=None, channel=0) == SOUNDNET


@pytest.mark.parametrize(
    ("samples", "length"),
    [(1, 441_001), (1_000, 442_000), (147_000, 588_000), (220_500, 661_500), (440_999, 881_998), (441_000, 441_000)],
)
def test_short_waveforms_are_repeated_as_the_published_code_does(rng, samples, length):
    waveform = rng.normal(size=samples).astype(np.float32)
    fitted = SOUNDNET.fit_length(waveform)
    assert fitted.dtype == np.float32 and len(fitted) == length
    np.testing.assert_array_equal(fitted, slow_fit(waveform))


def test_long_waveforms_stay_whole_unless_a_longest_is_set(rng):
    waveform = rng.normal(size=500_000).astype(np.float32)
    np.testing.assert_array_equal(SOUNDNET.fit_length(waveform), waveform)
    np.testing.assert_array_equal(replace(SOUNDNET, longest=450_000).fit_length(waveform), waveform[:450_000])


@pytest.mark.parametrize("samples", [99, 100, 101, 250, 400])
@pytest.mark.parametrize(("shortest", "longest"), [(250, 100), (100, 250), (1, 100), (100, 100), (300, None)])
def test_waveforms_are_cut_before_they_are_repeated(rng, samples, shortest, longest):
    waveform = rng.normal(size=samples)
    fitted = WaveformFrontEnd(shortest=shortest, longest=longest).fit_length(waveform)
    np.testing.assert_array_equal(fitted, slow_fit(waveform, shortest, longest))


def test_a_file_is_read_with_its_channel_rate_and_length(tmp_path, rng):
    samples = rng.uniform(-0.9, 0.9, (3_000, 2)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, 8_000, subtype="FLOAT")
    first, notes = WaveformFrontEnd(shortest=5_000).read(tmp_path / "a.wav")
    np.testing.assert_array_equal(first, np.tile(samples[:, 0], 2))
    assert first.dtype == np.float32 and notes == []
    second, _ = WaveformFrontEnd(shortest=1, longest=2_000, channel=1).read(tmp_path / "a.wav")
    np.testing.assert_array_equal(second, samples[:2_000, 1])
    mean, _ = WaveformFrontEnd(shortest=1, channel=None).read(tmp_path / "a.wav")
    np.testing.assert_allclose(mean, samples.mean(axis=1), atol=1e-6)
    faster, notes = WaveformFrontEnd(sample_rate=16_000, shortest=1).read(tmp_path / "a.wav")
    np.testing.assert_array_equal(faster, audio.read_with_notes(tmp_path / "a.wav", 16_000, channel=0)[0])
    assert len(faster) == 6_000 and notes == ["sampled at 8000 Hz: nothing above 4000 Hz; converted to 16000 Hz"]


def test_silent_files_are_kept_and_said(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(1_000), 8_000)
    waveform, notes = SOUNDNET.read(tmp_path / "a.wav")
    assert len(waveform) == 442_000 and not waveform.any()
    assert notes == ["silent: every sample is 0; kept as it is"]
    with pytest.raises(UnreadableAudioError, match=r"gone\.wav: no such file"):
        SOUNDNET.read(tmp_path / "gone.wav")


@pytest.mark.parametrize("settings", [VGGISH, YAMNET, SOUNDNET, WaveformFrontEnd(16_000, 1.0, 5, 9, None)])
def test_front_ends_come_back_from_their_settings(settings):
    config = json.loads(json.dumps(asdict(settings)))
    again = frontend.frontend_from(config)
    assert again == settings and type(again) is type(settings)
