import html
import io
import re

import numpy as np
import pytest
import soundfile

from audiointerp.page import explorer
from audiointerp.page.explorer import sound_explorer


@pytest.fixture
def network(network_of):
    return network_of((32, 16))


def tone(frequency=800, seconds=1.0):
    file = io.BytesIO()
    t = np.arange(round(seconds * 16_000)) / 16_000
    soundfile.write(file, 0.3 * np.sin(2 * np.pi * frequency * t), 16_000, format="WAV")
    return file.getvalue()


def parts(box):
    (upload, example), status, overview, (method, first, second), explained, heard = (
        getattr(child, "children", child) for child in box.children
    )
    return {"upload": upload, "example": example, "status": status, "overview": overview, "method": method,
            "first": first, "second": second, "explained": explained, "heard": heard}  # fmt: skip


def test_an_example_is_shown_explained_and_heard(network, tmp_path):
    (tmp_path / "tone.wav").write_bytes(tone())
    box = parts(sound_explorer(network, {"a tone": tmp_path / "tone.wav"}))
    assert "at most 60 seconds and 20 MB" in box["status"].value and not box["overview"].value
    box["example"].value = "a tone"
    assert box["overview"].value.count("<audio") == 1 and "data:image/png" in box["overview"].value
    assert box["heard"].value.count("<audio") == 3 and 'download="map.png"' in box["explained"].value
    assert re.search(r"<b>class[012]</b>, says \d+% of \d+ patches", box["status"].value)
    assert box["first"].value != box["second"].value and not box["method"].disabled
    before = box["explained"].value
    box["method"].value = "occlusion"
    assert "Occlusion for" in box["explained"].value and box["explained"].value != before


def test_two_classes_stay_two(network):
    box = sound_explorer(network)
    box.show(tone(), "tone.wav")
    controls = parts(box)
    pair = controls["first"].value, controls["second"].value
    controls["first"].value = pair[1]
    assert (controls["first"].value, controls["second"].value) == pair[::-1]
    controls["second"].value = pair[1]
    assert (controls["first"].value, controls["second"].value) == pair
    assert f"for {pair[0]} and {pair[1]}" in controls["explained"].value


@pytest.mark.parametrize(
    "content, text", [(b"", "my"), (b"no sound", "my"), (tone(seconds=2.0), "at most 0.0 minutes")]
)
def test_what_cannot_be_used_is_a_sentence_and_shows_nothing_of_before(network, content, text):
    box = sound_explorer(network, max_seconds=1.5)
    box.show(tone(), "good.wav")
    box.show(content, "<my>.wav")
    controls = parts(box)
    assert 'role="alert"' in controls["status"].value and text in controls["status"].value
    assert "<my>" not in controls["status"].value and "Traceback" not in controls["status"].value
    assert not any(controls[name].value for name in ("overview", "explained", "heard"))
    controls["method"].value = "occlusion"
    assert not controls["explained"].value  # the sound before is gone
    box.show(tone(), "good.wav")
    assert controls["explained"].value and not controls["upload"].disabled


def test_what_nobody_foresaw_is_a_sentence_too(network, monkeypatch):
    def fails(*_, **__):
        raise KeyError("<odd>")

    box = sound_explorer(network)
    monkeypatch.setattr(explorer, "listen", fails)
    box.show(tone(), "tone.wav")
    controls = parts(box)
    said = html.unescape(controls["status"].value)
    assert 'role="alert"' in said and "KeyError: '<odd>'" in said and "<odd>" not in controls["status"].value
    assert not controls["upload"].disabled


def test_uploads_of_both_generations_of_ipywidgets():
    assert explorer._upload(()) is None and explorer._upload({}) is None
    assert explorer._upload(({"name": "a.wav", "content": memoryview(b"x")},)) == ("a.wav", b"x")
    assert explorer._upload({"a.wav": {"metadata": {}, "content": b"x"}}) == ("a.wav", b"x")


def test_the_playhead_stands_where_the_spectrogram_begins_and_ends(network):
    box = sound_explorer(network)
    box.show(tone(seconds=2.0), "tone.wav")
    page = parts(box)["overview"].value
    left, width = (float(re.search(text, page)[1]) for text in (r"left = ([\d.]+) \+", r"\+ ([\d.]+) \* Math"))
    assert 0 < left < 20 and 60 < width < 100 - left
    low, seconds = re.search(r"currentTime - (-?[\d.]+)\) / ([\d.]+)", page).groups()
    assert abs(float(low)) < 0.05 and abs(float(seconds) - 2.0) < 0.2


def test_one_class_or_no_method_are_errors(network):
    with pytest.raises(ValueError, match="expected two classes and one method"):
        sound_explorer(network, methods=())
