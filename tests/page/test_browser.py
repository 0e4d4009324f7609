"""The browser of maps: what is chosen is what is shown, without a browser."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import soundfile

from audiointerp.errors import MissingDataError
from audiointerp.maps import explain
from audiointerp.page import browser
from audiointerp.page.browser import map_browser
from audiointerp.sound.patches import make_patches


@pytest.fixture
def patches(small, tmp_path, rng):
    for number in range(4):
        soundfile.write(tmp_path / f"{number}.wav", 0.1 * rng.normal(size=16_000), 16_000)
    paths = [str(tmp_path / f"{number}.wav") for number in range(4)]
    clips = pd.DataFrame({"path": paths, "label": ["class0", "class1", "class0", "class1"]})
    return make_patches(clips, small, progress=False)


@pytest.fixture
def maps(network_of, patches):
    network = network_of((32, 16))
    options = {"progress": False, "cache": False}
    return {method: explain(network, patches, method, **options) for method in ("gradcam", "occlusion")}


@pytest.fixture
def shown(monkeypatch):
    """What was drawn and played, in turn."""
    seen = []
    for name in ("compare_labels", "frequency_profile", "listen"):
        real = getattr(browser, name)
        monkeypatch.setattr(browser, name, lambda *args, _real=real, _name=name, **options: (
            seen.append((_name, args, options)), _real(*args, **options))[1])  # fmt: skip
    monkeypatch.setattr("IPython.display.display", lambda *_, **__: None)
    return seen


def controls(box):
    return {control.description: control for control in box.children[0].children}


def test_what_is_chosen_is_shown(patches, maps, shown):
    box = controls(map_browser(patches, maps))
    names = [name for name, *_ in shown]
    assert names == ["compare_labels", "frequency_profile", "listen"]
    _, (one, own, pair), _ = shown[0]
    assert pair == ("class0", "class1") and list(own) == ["gradcam"] and list(one.label) == ["class0"]
    shown.clear()
    box["Method"].value = "occlusion"
    assert [list(args[1]) for name, args, _ in shown if name == "compare_labels"] == [["occlusion"]]
    (_, (path, map_), _) = shown[-1]
    assert path == patches.table["path"].iloc[0]
    np.testing.assert_array_equal(map_, maps["occlusion"][0].sel(label="class0"))
    shown.clear()
    box["Class"].value = "class1"
    assert [name for name, *_ in shown] == names  # each once
    assert box["beside"].value == "class0"
    choices = [row for _, row in box["Patch"].options]
    assert choices == list(np.flatnonzero(patches.label == "class1")) and box["Patch"].value == choices[0]
    _, (one, _, pair), _ = [call for call in shown if call[0] == "compare_labels"][-1]
    assert pair == ("class1", "class0") and list(one.label) == ["class1"]  # the class beside it is another one
    box["Patch"].value = choices[-1]
    _, (one, *_), _ = [call for call in shown if call[0] == "compare_labels"][-1]
    assert list(one.table.index) == [patches.table.index[choices[-1]]]
    assert not plt.get_fignums()
    box["beside"].value = "class2"  # of which there are no patches: all are averaged
    assert [options["own"] for name, _, options in shown if name == "frequency_profile"][-1] is False


def test_every_patch_is_offered_for_a_class_without_any(patches, maps, shown):
    box = controls(map_browser(patches, maps["gradcam"], sound=False))
    box["Class"].value = "class2"
    assert len(box["Patch"].options) == len(patches) and "listen" not in [name for name, *_ in shown]
    names = [name for name, _ in box["Patch"].options]
    assert len({*names}) == len(names) and names[0].startswith("class0, ") and names[0].endswith("0.wav, 0.00 s")


def test_what_cannot_be_chosen_from(patches, maps):
    with pytest.raises(ValueError, match="no patches"):
        map_browser(patches[:0], maps["gradcam"][:0])
    with pytest.raises(ValueError, match="a patch is there twice"):
        map_browser(patches[[0, 0]], maps["gradcam"][[0, 0]])
    with pytest.raises(ValueError, match="maps of class0: expected those of two classes"):
        map_browser(patches, maps["gradcam"].sel(label=["class0"]))
    nameless = replace(patches, table=patches.table.drop(columns="path"))
    with pytest.raises(MissingDataError, match=r"without the path .*sound=False"):
        map_browser(nameless, maps)


def test_classes_that_are_numbers_are_chosen_by_their_names(patches, maps, shown):
    maps = maps["gradcam"].assign_coords(label=[0, 1, 2])
    box = controls(map_browser(patches, {"gradcam": maps, "lime": maps.isel(label=[0, 2])}, sound=False))
    assert box["Class"].options == ("0", "2")  # of which both methods have maps
    assert [args[2] for name, args, _ in shown if name == "compare_labels"] == [("0", "2")]
