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


def tone(rng, frequency, seconds=0.5, rate=16_000):
    t = np.arange(int(seconds * rate)) / rate
    return 0.4 * np.sin(2 * np.pi * frequency * t + rng.uniform(0, 6)) + rng.normal(0, 0.01, len(t))


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Thirty tones, low or high, in five folds; their labels are nonsense."""
    rng, rows, folder = np.random.default_rng(20240229), [], tmp_path_factory.mktemp("tones")
    for number in range(30):
        frequency = rng.uniform(200, 500) if number % 2 else rng.uniform(1_500, 3_000)
        path = folder / f"{number}.wav"
        soundfile.write(path, tone(rng, frequency), 16_000)
        rows.append({"path": str(path), "label": rng.choice(["cat", "dog"]), "fold": number // 2 % 5 + 1})
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def module_cache(tmp_path_factory):
    """A cache for what the tests share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUDIOINTERP_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def sets(clips, module_cache):
    """Patches of folds 1 to 4, and of fold 5."""
    patches = make_patches(clips, SMALL)
    inside = patches.table["fold"].to_numpy() == 5
    return patches[~inside], patches[inside]


def test_cuts_are_the_samples_of_the_patches(clips, sets):
    for patches in sets:
        cuts = PatchWaveforms(patches, MONO)
        assert cuts.shape == (len(patches), 31 * 160 + 400, 1) and len(cuts) == len(patches)
        cut = cuts[:]
        assert cut.shape == cuts.shape and cut.dtype == np.float32
        for row, clip, start, patch in zip(cut, patches.clip, patches.start, patches.data, strict=True):
            waveform, _ = soundfile.read(clips["path"][clip], dtype="float32")
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
def test_cuts_are_indexed_like_arrays(sets, rows):
    cuts = PatchWaveforms(sets[0][:30], MONO)
    np.testing.assert_array_equal(cuts[rows], np.atleast_3d(cuts[:][np.atleast_1d(np.arange(30)[rows])]))


def test_cuts_beyond_the_last(sets):
    cuts = PatchWaveforms(sets[0][:30], MONO)
    with pytest.raises(IndexError):
        cuts[30]
    assert sum(1 for _ in cuts) == 30


def test_clips_are_read_once_and_those_of_the_patches_only(sets, monkeypatch):
    read, original = [], waveforms.read_waveforms
    monkeypatch.setattr(
        waveforms, "read_waveforms", lambda clips, *rest: read.extend(clips["path"]) or original(clips, *rest)
    )
    few = sets[0][np.isin(sets[0].clip, [0, 3])]
    cuts = PatchWaveforms(few, MONO)
    cuts[:], cuts[0]
    assert len(few) > 2 and read == list(dict.fromkeys(few.table["path"]))


@pytest.mark.parametrize("jobs", [1, 2])
def test_waveforms_of_clips_in_their_order(clips, jobs):
    found = read_waveforms(clips[:5], MONO, jobs=jobs, progress=False)
    for path, waveform in zip(clips["path"][:5], found, strict=True):
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


def test_patches_without_files_and_networks_without_a_rate(sets):
    patches = sets[0]
    with pytest.raises(MissingDataError, match="no patches"):
        PatchWaveforms(patches[:0], MONO)
    with pytest.raises(MissingDataError, match="make_patches"):
        PatchWaveforms(type(patches)(patches.data, patches.table.drop(columns="path"), SMALL), MONO)
    with pytest.raises(PatchShapeError, match="any sample rate"):
        PatchWaveforms(patches, WaveformFrontEnd(shortest=0))
