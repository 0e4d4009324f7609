import io
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from audiointerp.errors import UnreadableAudioError
from audiointerp.evaluation.predictions import predict, vote
from audiointerp.maps import explain, whole_clip_maps
from audiointerp.page.analysis import analyse_clip, silenced, wav_bytes
from audiointerp.sound.patches import make_patches


@pytest.fixture
def network(network_of):
    return network_of((32, 16))


def sound(seconds=1.5, rate=16_000, **options):
    t = np.arange(round(seconds * rate)) / rate
    file = io.BytesIO()
    soundfile.write(file, 0.3 * np.sin(2 * np.pi * 800 * t), rate, **({"format": "WAV"} | options))
    return file.getvalue()


def test_it_says_what_the_steps_one_by_one_say(network, tmp_path):
    path = tmp_path / "tone.wav"
    path.write_bytes(sound())
    found = analyse_clip(network, path)
    patches = make_patches(pd.DataFrame({"path": [str(path)], "label": "x"}), found.patches.frontend, overlap=0.5)
    np.testing.assert_array_equal(found.patches.data, patches.data)
    expected = predict(network, patches)
    np.testing.assert_allclose(found.predictions["class1"], expected["class1"], atol=1e-6)
    votes = vote(expected).iloc[0]
    assert found.answer["predicted"] == votes["predicted"] == found.ranking.index[0] or votes["patches"] > 1
    np.testing.assert_allclose(
        found.ranking.sort_index(), votes[["class0", "class1", "class2"]].astype(float), atol=1e-6
    )
    whole = whole_clip_maps(explain(network, patches, "occlusion"), patches)
    np.testing.assert_allclose(found.maps("occlusion"), whole, atol=1e-6)
    assert found.maps("occlusion") is found.maps("occlusion")
    assert found.clip.data.shape[1] == found.maps("occlusion").sizes["time"]
    assert found.name == "tone.wav" and not found.silent and not found.notes


@pytest.mark.parametrize("format", ["WAV", "FLAC", "OGG", "MP3"])
def test_formats_as_a_browser_sends_them(network, format):
    found = analyse_clip(network, sound(format=format), name="<b>")
    assert abs(len(found.waveform) / 16_000 - 1.5) < 0.1 and found.name == "<b>"


def test_nothing_is_kept(network, own_cache, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    analyse_clip(network, sound(), name="../../x.wav").maps("gradcam")
    with pytest.raises(UnreadableAudioError):
        analyse_clip(network, b"not a sound", name="../../x.wav")
    left = [path for folder in (tmp_path, own_cache) for path in folder.rglob("*") if path.is_file()]
    # What TensorFlow writes of its own code, and whether this processor gains from bfloat16.
    assert not [p for p in left if not p.name.startswith("__autograph_generated") and p.parent.name != "precision"]


def test_too_large_too_long_broken_and_empty_are_said(network, tmp_path):
    with pytest.raises(UnreadableAudioError, match=r"my\.wav: 0\.0 MB, at most 0\.0 MB are accepted"):
        analyse_clip(network, sound(), name="my.wav", max_bytes=1000)
    with pytest.raises(UnreadableAudioError, match=r"at most 0\.0 minutes"):
        analyse_clip(network, sound(), name="my.wav", max_seconds=1.0)
    for content in (b"", b"RIFF", sound()[:30], b"<html>" * 50):
        with pytest.raises(UnreadableAudioError) as caught:
            analyse_clip(network, content, name="my.wav")
        assert "my.wav" in str(caught.value) and tempfile.gettempdir() not in str(caught.value)
    with pytest.raises(UnreadableAudioError, match="nowhere"):
        analyse_clip(network, tmp_path / "nowhere.wav")


def test_silence_and_short_sounds_are_repaired_and_said(network):
    quiet = io.BytesIO()
    soundfile.write(quiet, np.zeros(24_000), 16_000, format="WAV")
    found = analyse_clip(network, quiet.getvalue())
    assert found.silent and any("silent" in note for note in found.notes)
    found = analyse_clip(network, sound(0.1, 8_000))
    assert len(found.patches) == 1 and any("shorter than one patch" in note for note in found.notes)
    assert any("8000 Hz" in note for note in found.notes) and Path(found.name).name == "sound"


def test_frames_are_silenced_where_they_lie(network):
    frontend = analyse_clip(network, sound()).patches.frontend
    found = silenced(np.ones(16_000), frontend.frame_times(98)[[10, 11, 50]], frontend)
    centres = np.round(frontend.frame_times(98) * frontend.sample_rate).astype(int)
    assert not found[centres[[10, 11, 50]]].any() and found[centres[[8, 13, 48, 52]]].all()
    assert np.count_nonzero(found == 0) == 3 * frontend.hop
    assert silenced(np.ones(100), [0.0], frontend)[-1] == 1


def test_bytes_of_a_waveform_are_the_waveform():
    waveform = np.sin(np.arange(800) / 5).astype(np.float32)
    for given, factor in ((waveform, 1), (4 * waveform, 1 / np.abs(waveform).max())):
        found, rate = soundfile.read(io.BytesIO(wav_bytes(given, 8_000)))
        np.testing.assert_allclose(found, factor * waveform, atol=2 / 32768)
        assert rate == 8_000
    assert soundfile.read(io.BytesIO(wav_bytes([], 8_000)))[0].size == 0
