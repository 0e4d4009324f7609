import hashlib
import warnings

import numpy as np
import pytest
import soundfile

from audiointerp.errors import AudioRepairWarning, UnreadableAudioError
from audiointerp.sound.reading import file_digest, read_audio, read_each, read_with_notes, report_unreadable, short


def sine(frequency, rate, seconds=1.0, level=0.5):
    return (level * np.sin(2 * np.pi * frequency * np.arange(int(rate * seconds)) / rate)).astype(np.float32)


def write(path, samples, rate=16_000, **options):
    soundfile.write(path, samples, rate, **options)
    return path


def read_without_warning(path, *arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_audio(path, *arguments, **options)


def test_samples_of_the_right_rate_come_back_as_they_are(tmp_path, rng):
    samples = rng.uniform(-0.9, 0.9, 5_001).astype(np.float32)
    waveform = read_without_warning(write(tmp_path / "a.wav", samples, subtype="FLOAT"))
    assert waveform.dtype == np.float32 and waveform.flags.c_contiguous
    np.testing.assert_array_equal(waveform, samples)


@pytest.mark.parametrize(("name", "subtype", "error"), [("a.wav", "PCM_16", 2**-15), ("a.flac", "PCM_24", 2**-23)])
def test_integer_formats_are_scaled_to_one(tmp_path, rng, name, subtype, error):
    samples = rng.uniform(-0.9, 0.9, 2_000)
    waveform = read_without_warning(write(tmp_path / name, samples, subtype=subtype))
    np.testing.assert_allclose(waveform, samples, atol=error)


@pytest.mark.parametrize("name", ["a.ogg", "a.mp3", "a.flac", "a.aiff"])
def test_formats_of_libsndfile_are_read(tmp_path, name):
    waveform = read_without_warning(write(tmp_path / name, sine(440, 16_000)))
    assert abs(len(waveform) - 16_000) < 2_500  # mp3 adds silence around the sound
    spectrum = np.abs(np.fft.rfft(waveform))
    assert abs(spectrum.argmax() * 16_000 / len(waveform) - 440) < 2


@pytest.mark.parametrize("channels", [2, 6])
def test_channels_are_averaged(tmp_path, rng, channels):
    samples = rng.uniform(-0.9, 0.9, (3_000, channels)).astype(np.float32)
    waveform = read_without_warning(write(tmp_path / "a.wav", samples, subtype="FLOAT"))
    np.testing.assert_allclose(waveform, samples.mean(axis=1), atol=1e-6)


@pytest.mark.parametrize("rate", [22_050, 44_100, 48_000, 96_000])
def test_a_higher_rate_is_converted_without_changing_level_pitch_or_length(tmp_path, rate):
    waveform = read_without_warning(write(tmp_path / "a.wav", sine(1_000, rate, 1.5), rate, subtype="FLOAT"))
    expected = sine(1_000, 16_000, 1.5)
    assert len(waveform) == len(expected)
    np.testing.assert_allclose(waveform[800:-800], expected[800:-800], atol=2e-3)


def test_what_lies_above_the_new_range_is_taken_out_not_folded_down(tmp_path):
    waveform = read_without_warning(write(tmp_path / "a.wav", sine(12_000, 44_100), 44_100, subtype="FLOAT"))
    assert np.abs(waveform[800:-800]).max() < 1e-3


def test_a_lower_rate_is_converted_and_said(tmp_path):
    path = write(tmp_path / "a.wav", sine(1_000, 8_000), 8_000, subtype="FLOAT")
    with pytest.warns(AudioRepairWarning, match="8000 Hz: nothing above 4000 Hz; converted to 16000 Hz"):
        waveform = read_audio(path)
    np.testing.assert_allclose(waveform[800:-800], sine(1_000, 16_000)[800:-800], atol=2e-3)


def test_another_wanted_rate(tmp_path):
    path = write(tmp_path / "a.wav", sine(1_000, 44_100), 44_100)
    assert len(read_without_warning(path, 22_050)) == 22_050
    assert len(read_without_warning(path, 44_100)) == 44_100


def test_the_warning_points_at_the_caller(tmp_path):
    path = write(tmp_path / "a.wav", np.zeros(1_000))
    with pytest.warns(AudioRepairWarning) as caught:
        read_audio(path)
    assert caught[0].filename == __file__


def test_notes_are_the_warnings_as_texts(tmp_path):
    path = write(tmp_path / "a.wav", np.zeros(1_000), 8_000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        waveform, notes = read_with_notes(path)
    assert len(waveform) == 2_000
    assert [note.split(":")[0] for note in notes] == ["silent", "sampled at 8000 Hz"]


def test_length_limit_can_be_moved(tmp_path):
    path = write(tmp_path / "a.wav", sine(440, 16_000, 3.0))
    with pytest.raises(UnreadableAudioError, match=r"at most 0\.0 minutes"):
        read_audio(path, max_seconds=2.5)
    assert len(read_without_warning(path, max_seconds=3.0)) == 48_000


def test_no_length_limit(tmp_path):
    path = write(tmp_path / "a.wav", sine(440, 16_000, 3.0))
    assert len(read_without_warning(path, max_seconds=np.inf)) == 48_000


@pytest.mark.parametrize("limit", [np.nan, 0, -1.0, -np.inf])
def test_length_limits_that_are_none(tmp_path, limit):
    with pytest.raises(ValueError, match="expected more than 0 seconds"):
        read_audio(write(tmp_path / "a.wav", sine(440, 16_000)), max_seconds=limit)


@pytest.mark.parametrize("jobs", [1, 2])
def test_many_files_in_their_order_errors_in_place(jobs, capsys):
    def read(path):
        if path == "bad":
            raise UnreadableAudioError("bad: no sound")
        return path.upper()

    one, two, three = read_each(read, ["a", "bad", "c"], title="letters", jobs=jobs, progress=False)
    assert (one, three) == ("A", "C") and isinstance(two, UnreadableAudioError)
    assert capsys.readouterr().err == ""


def test_other_errors_end_the_reading():
    with pytest.raises(ZeroDivisionError):
        list(read_each(lambda path: 1 / 0, ["a"], title="numbers"))


def test_what_cannot_be_read_is_listed_or_left_out():
    failures = [UnreadableAudioError(f"{number}.wav: broken") for number in range(12)]
    with pytest.raises(UnreadableAudioError, match=r"12 of 20 clips cannot be read:\n  0\.wav: broken") as caught:
        report_unreadable(failures, 20, "raise")
    assert "9.wav" in str(caught.value) and "10.wav" not in str(caught.value) and "and 2 more" in str(caught.value)
    with pytest.warns(AudioRepairWarning, match="12 of 20 clips cannot be read"):
        report_unreadable(failures, 20, "skip")
    with pytest.raises(UnreadableAudioError):
        report_unreadable(failures, 12, "skip")


def test_short_names_are_a_folder_and_a_file():
    assert short("/sounds/dog/a.wav") == "dog/a.wav"
    assert short("dog/a.wav") == "dog/a.wav"
    assert short("a.wav") == "a.wav"


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100])
def test_no_wanted_rate_keeps_the_file_s_own(tmp_path, rng, rate):
    samples = rng.uniform(-0.9, 0.9, 3_001).astype(np.float32)
    path = write(tmp_path / "a.wav", samples, rate, subtype="FLOAT")
    np.testing.assert_array_equal(read_without_warning(path, None), samples)
    waveform, notes = read_with_notes(path, None)
    np.testing.assert_array_equal(waveform, samples)
    assert notes == []


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_one_channel(tmp_path, rng, channel):
    samples = rng.uniform(-0.9, 0.9, (3_000, 3)).astype(np.float32)
    path = write(tmp_path / "a.wav", samples, subtype="FLOAT")
    waveform = read_without_warning(path, channel=channel)
    np.testing.assert_array_equal(waveform, samples[:, channel])
    assert waveform.flags.c_contiguous
    np.testing.assert_array_equal(read_with_notes(path, channel=channel)[0], waveform)


def test_first_channel_of_mono_is_the_mean(tmp_path, rng):
    path = write(tmp_path / "a.wav", rng.uniform(-0.9, 0.9, 2_000))
    np.testing.assert_array_equal(read_without_warning(path, channel=0), read_without_warning(path))


def test_one_channel_is_converted_as_it_is(tmp_path):
    both = np.stack([sine(1_000, 44_100), sine(3_000, 44_100)], axis=1)
    waveform = read_without_warning(write(tmp_path / "a.wav", both, 44_100, subtype="FLOAT"), channel=1)
    np.testing.assert_allclose(waveform[800:-800], sine(3_000, 16_000)[800:-800], atol=2e-3)


@pytest.mark.parametrize(("channel", "channels"), [(2, 2), (1, 1), (-1, 2)])
def test_a_channel_that_is_not_there(tmp_path, channel, channels):
    path = write(tmp_path / "a.wav", np.ones((1_000, channels)) / 2)
    with pytest.raises(UnreadableAudioError, match=rf"a\.wav: channel {channel} of {channels}; .*counted from 0"):
        read_audio(path, channel=channel)


def test_a_channel_is_silent_by_itself(tmp_path):
    path = write(tmp_path / "a.wav", np.stack([sine(440, 16_000), np.zeros(16_000)], axis=1))
    assert read_without_warning(path, channel=0).any()
    with pytest.warns(AudioRepairWarning, match="silent: every sample is 0"):
        assert not read_audio(path, channel=1).any()


def test_file_digest_is_that_of_the_bytes(tmp_path, rng):
    content = rng.bytes(3_000_000)
    (tmp_path / "a.wav").write_bytes(content)
    assert file_digest(tmp_path / "a.wav") == file_digest(str(tmp_path / "a.wav")) == hashlib.sha1(content).hexdigest()
    (tmp_path / "b.ogg").write_bytes(content)
    assert file_digest(tmp_path / "b.ogg") == file_digest(tmp_path / "a.wav")
    (tmp_path / "a.wav").write_bytes(content[:-1] + b"x")
    assert file_digest(tmp_path / "a.wav") == hashlib.sha1(content[:-1] + b"x").hexdigest()


def test_file_digest_of_what_cannot_be_opened(tmp_path):
    with pytest.raises(UnreadableAudioError, match=r"gone\.wav: No such file or directory\. Check the table's paths"):
        file_digest(tmp_path / "gone.wav")
    with pytest.raises(UnreadableAudioError, match="Check the table's paths"):
        file_digest(tmp_path)


@pytest.mark.parametrize(("second", "said"), [(-1.0, "leave nothing"), (-0.98, "lose 40 dB"), (-0.6, "lose 12 dB")])
def test_channels_that_cancel_are_said(tmp_path, second, said):
    """Of a and −q·a the mean has (1 − q)²/4 of a's power, both have (1 + q²)/2."""
    one = 0.5 * sine(440, 16_000)
    path = write(tmp_path / "a.wav", np.stack([one, second * one], axis=1), subtype="FLOAT")
    waveform, notes = read_with_notes(path)
    assert any(f"averaged they {said}" in note and "channel=0" in note for note in notes)
    np.testing.assert_allclose(waveform, (1 + second) / 2 * one, atol=1e-6)
    np.testing.assert_allclose(read_without_warning(path, channel=0), one, atol=1e-6)


@pytest.mark.parametrize("second", ["the same", "another", "quieter", "silent"])
def test_channels_that_do_not_cancel_are_not_spoken_of(tmp_path, rng, second):
    one, other = rng.normal(0, 0.1, (2, 16_000))
    both = np.stack(
        [one, {"the same": one, "another": other, "quieter": 0.01 * one, "silent": 0 * one}[second]], axis=1
    )
    assert read_with_notes(write(tmp_path / "a.wav", both, subtype="FLOAT"))[1] == []
