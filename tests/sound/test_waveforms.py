import numpy as np
import pandas as pd
import pytest
import soundfile

from audiointerp.errors import AudioRepairWarning, MissingDataError, PatchShapeError, UnreadableAudioError
from audiointerp.sound import waveforms
from audiointerp.sound.frontend import FrontEnd, WaveformFrontEnd
from audiointerp.sound.patches import make_patches
from audiointerp.sound.waveforms import PatchWaveforms, read_waveforms

MONO = WaveformFrontEnd(sample_rate=16_000, shortest=0, channel=None)
SMALL = FrontEnd(frames=32, mels=16)


def test_cuts_are_the_samples_of_the_patches(tone_clips, tone_sets):
    for patches in tone_sets:
        cuts = PatchWaveforms(patches, MONO)
        assert cuts.shape == (len(patches), 31 * 160 + 400, 1) and len(cuts) == len(patches)
        cut = cuts[:]
        assert cut.shape == cuts.shape and cut.dtype == np.float32
        for row, clip, start, patch in zip(cut, patches.clip, patches.start, patches.data, strict=True):
            waveform, _ = soundfile.read(tone_clips["path"][clip], dtype="float32")
            first = round(start * 16_000)
            np.testing.assert_array_equal(row[:, 0], waveform[first : first + 5_360])
            np.testing.assert_allclose(SMALL.log_mel(row[:, 0]), patch, atol=1e-5)
    assert len(set(patches.start)) > 1


def test_cuts_of_official_patches_have_their_length(tmp_path, rng):
    soundfile.write(tmp_path / "long.wav", rng.normal(0, 0.1, 40_000), 16_000)
    patches = make_patches(pd.DataFrame([{"path": str(tmp_path / "long.wav"), "label": "dog"}]), overlap=0.5)
    cut = PatchWaveforms(patches, MONO)[:]
    assert cut.shape == (len(patches), 95 * 160 + 400, 1) and len(patches) == 4
    for row, patch in zip(cut, patches.data, strict=True):
        np.testing.assert_allclose(patches.frontend.log_mel(row[:, 0]), patch, atol=1e-5)


def test_behind_the_end_of_a_clip_is_silence(tmp_path, rng):
    sound = rng.normal(0, 0.1, 3_000).astype(np.float32)
    soundfile.write(tmp_path / "short.wav", sound, 16_000, subtype="FLOAT")
    with pytest.warns(UserWarning, match="too short"):
        patches = make_patches(pd.DataFrame([{"path": str(tmp_path / "short.wav"), "label": "dog"}]), SMALL)
    cut = PatchWaveforms(patches, MONO)[0]
    assert cut.shape == (1, 5_360, 1)
    np.testing.assert_array_equal(cut[0, :3_000, 0], sound)
    assert not cut[0, 3_000:].any()
    patches.table["start"] = 0.1
    np.testing.assert_array_equal(PatchWaveforms(patches, MONO)[0][0, :1_400, 0], sound[1_600:])
    patches.table["start"] = 1.0
    assert not PatchWaveforms(patches, MONO)[0].any()


def test_cuts_at_another_rate_and_of_other_files(tmp_path, rng):
    """44.1 kHz in two channels, heard at 8 kHz: the same stretch of time."""
    t = np.arange(44_100) / 44_100
    left, right = (np.sin(2 * np.pi * frequency * t) for frequency in (300, 500))
    soundfile.write(tmp_path / "two.wav", 0.4 * np.stack([left, right], axis=1), 44_100, subtype="FLOAT")
    patches = make_patches(pd.DataFrame([{"path": str(tmp_path / "two.wav"), "label": "dog"}]), SMALL)
    cuts = PatchWaveforms(patches, WaveformFrontEnd(sample_rate=8_000, shortest=0, channel=None))
    assert cuts.shape == (len(patches), 2_680, 1)
    for number in (1, 4):
        when = patches.start[number] + np.arange(2_680) / 8_000
        expected = 0.2 * (np.sin(2 * np.pi * 300 * when) + np.sin(2 * np.pi * 500 * when))
        np.testing.assert_allclose(cuts[number][0, :, 0], expected, atol=2e-3)


@pytest.mark.parametrize(
    "rows",
    [3, -1, [4, 1, 1], np.array([0, 2]), slice(2, 9, 3), slice(0, 0), slice(None, None, -1), np.arange(30) % 7 == 0],
    ids=repr,
)
def test_cuts_are_indexed_like_arrays(tone_sets, rows):
    cuts = PatchWaveforms(tone_sets[0][:30], MONO)
    np.testing.assert_array_equal(cuts[rows], np.atleast_3d(cuts[:][np.atleast_1d(np.arange(30)[rows])]))


def test_cuts_beyond_the_last(tone_sets):
    cuts = PatchWaveforms(tone_sets[0][:30], MONO)
    with pytest.raises(IndexError):
        cuts[30]
    assert sum(1 for _ in cuts) == 30


def test_clips_are_read_once_and_those_of_the_patches_only(tone_sets, monkeypatch):
    read, original = [], waveforms.read_waveforms
    monkeypatch.setattr(
        waveforms,
        "read_waveforms",
        lambda clips, *rest, **options: read.extend(clips["path"]) or original(clips, *rest, **options),
    )
    few = tone_sets[0][np.isin(tone_sets[0].clip, [0, 3])]
    cuts = PatchWaveforms(few, MONO)
    cuts[:], cuts[0]
    assert len(few) > 2 and read == list(dict.fromkeys(few.table["path"]))


@pytest.mark.parametrize("jobs", [1, 2])
def test_waveforms_of_clips_in_their_order(tone_clips, jobs):
    found = read_waveforms(tone_clips[:5], MONO, jobs=jobs, progress=False)
    for path, waveform in zip(tone_clips["path"][:5], found, strict=True):
        np.testing.assert_array_equal(waveform, soundfile.read(path, dtype="float32")[0])


def test_repairs_are_said_and_what_cannot_be_read_is_an_error(tmp_path):
    soundfile.write(tmp_path / "none.wav", np.zeros(8_000), 16_000)
    (tmp_path / "empty.wav").touch()
    table = pd.DataFrame({"path": [str(tmp_path / "none.wav"), str(tmp_path / "empty.wav")]})
    with pytest.warns(AudioRepairWarning, match=r"none\.wav: silent") as caught:
        assert not read_waveforms(table[:1], MONO)[0].any()
    assert len(caught) == 1
    with pytest.raises(UnreadableAudioError, match=r"empty\.wav"), pytest.warns(AudioRepairWarning):
        read_waveforms(table, MONO)


def test_patches_without_files_and_networks_without_a_rate(tone_sets):
    patches = tone_sets[0]
    with pytest.raises(MissingDataError, match="no patches"):
        PatchWaveforms(patches[:0], MONO)
    with pytest.raises(MissingDataError, match="make_patches"):
        PatchWaveforms(type(patches)(patches.data, patches.table.drop(columns="path"), SMALL), MONO)
    with pytest.raises(PatchShapeError, match="any sample rate"):
        PatchWaveforms(patches, WaveformFrontEnd(shortest=0))


def of_rates(folder, *rates):
    """Clips of one tone at several sample rates."""
    paths = [folder / f"{number}.wav" for number in range(len(rates))]
    for path, rate in zip(paths, rates, strict=True):
        soundfile.write(path, np.sin(2 * np.pi * 440 * np.arange(rate) / rate), rate, subtype="FLOAT")
    return pd.DataFrame({"path": list(map(str, paths))})


def test_several_rates_are_said_where_each_file_keeps_its_own(tmp_path):
    clips = of_rates(tmp_path, 44_100, 22_050, 44_100)
    with pytest.warns(AudioRepairWarning, match=r"2 of 44,100 Hz, 1 of 22,050 Hz.*with_frontend.*sample_rate=22_050"):
        waveforms = read_waveforms(clips, WaveformFrontEnd(shortest=0))
    assert [len(waveform) for waveform in waveforms] == [44_100, 22_050, 44_100]


@pytest.mark.parametrize("rate", [None, 22_050])
def test_one_rate_is_not_spoken_of(tmp_path, rate, recwarn):
    read_waveforms(of_rates(tmp_path, 44_100, 44_100), WaveformFrontEnd(shortest=0, sample_rate=rate))
    read_waveforms(of_rates(tmp_path, 44_100, 32_000), WaveformFrontEnd(shortest=0, sample_rate=22_050))
    assert not [warning for warning in recwarn if "rates" in str(warning.message)]


def test_what_cannot_be_read_is_left_out_if_one_says_so(tmp_path):
    clips = of_rates(tmp_path, 8_000, 8_000, 8_000)
    (tmp_path / "1.wav").write_bytes(b"no sound")
    with pytest.warns(AudioRepairWarning, match="1 of 3 clips cannot be read"):
        waveforms = read_waveforms(clips, WaveformFrontEnd(shortest=0), on_error="skip")
    assert waveforms[1] is None and len(waveforms[0]) == len(waveforms[2]) == 8_000
    with pytest.raises(UnreadableAudioError, match=r"1 of 3 clips cannot be read:\n.*1\.wav(?s:.)*on_error='skip'"):
        read_waveforms(clips, WaveformFrontEnd(shortest=0))
    with pytest.raises(UnreadableAudioError, match=r"3 of 3.*(?s:.)*at most 0\.0 minutes.*max_seconds"):
        read_waveforms(of_rates(tmp_path, 8_000, 8_000, 8_000), MONO, max_seconds=0.5)
    with pytest.raises(ValueError, match="on_error='ignore'"):
        read_waveforms(clips, MONO, on_error="ignore")
