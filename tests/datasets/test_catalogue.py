import inspect
import pkgutil

import numpy as np
import pandas as pd
import pytest
import soundfile

from audiointerp import datasets
from audiointerp.datasets.catalogue import DATASETS, known_names
from audiointerp.datasets.clips import from_folder
from audiointerp.errors import MissingDataError


def test_load_takes_a_folder(make_files, tmp_path):
    make_files(tmp_path, dog=["a.wav"], rain=["b.wav"])
    pd.testing.assert_frame_equal(datasets.load(tmp_path), from_folder(tmp_path))
    pd.testing.assert_frame_equal(datasets.load(str(tmp_path)), from_folder(tmp_path))


def test_load_unknown_name():
    with pytest.raises(MissingDataError, match=r"Known names: esc10, .*Did you mean 'esc10'"):
        datasets.load("ESC_10")


def test_load_passes_options_on(monkeypatch):
    monkeypatch.setattr("audiointerp.datasets.synthetic.clips.load", lambda *, seed=0, seconds=5.0: (seed, seconds))
    assert datasets.load("synthetic", seed=3) == (3, 5.0)
    assert datasets.load("synthetic", seconds=2.0, download=False, progress=False) == (0, 2.0)
    with pytest.raises(TypeError, match="synthetic: no option fold to load it with; its own are: seed, seconds"):
        datasets.load("synthetic", fold=5)


def test_a_folder_of_ones_own_has_nothing_to_download(tmp_path):
    for label in ("dog", "rain"):
        (tmp_path / label).mkdir()
        soundfile.write(tmp_path / label / "a.wav", np.zeros(800), 8000)
    for download in (False, True):
        assert len(datasets.load(tmp_path, download=download, progress=False)) == 2
    with pytest.raises(TypeError, match="no option seed to load it with; its own are: none"):
        datasets.load(tmp_path, seed=1)


@pytest.mark.parametrize("name", DATASETS)
def test_every_data_set_can_be_told_to_show_no_bar(name):
    option = inspect.signature(pkgutil.resolve_name(DATASETS[name])).parameters["progress"]
    assert option.default is True and option.kind is option.KEYWORD_ONLY


def test_a_name_that_is_near_none():
    assert known_names("zzz", ["esc10", "gtzan"]) == "Known names: esc10, gtzan."
    assert known_names("GTZAN1", ["esc10", "gtzan"]) == "Known names: esc10, gtzan. Did you mean 'gtzan'?"
