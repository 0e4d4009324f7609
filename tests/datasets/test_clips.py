import unicodedata

import numpy as np
import pandas as pd
import pytest
import soundfile

from audiointerp import datasets
from audiointerp.datasets import clips as clips_module
from audiointerp.datasets.clips import count_labels, from_folder, select_labels
from audiointerp.datasets.splits import shared_sources, split
from audiointerp.errors import MissingDataError, UnknownLabelError


def make_files(folder, **classes):
    for label, names in classes.items():
        (folder / label).mkdir(parents=True)
        for name in names:
            (folder / label / name).touch()
    return folder


def table(counts, sources=None, folds=None):
    """A clip table with ``counts`` clips per label."""
    labels = np.repeat(list(counts), list(counts.values()))
    return pd.DataFrame(
        {
            "path": [f"/sounds/{i}.wav" for i in range(len(labels))],
            "label": labels,
            "fold": folds if folds is not None else 0,
            "source": sources if sources is not None else [str(i) for i in range(len(labels))],
        }
    )


def test_from_folder_reads_label_fold_and_source(tmp_path):
    make_files(
        tmp_path, dog=["2-117271-B-0.wav", "1-100032-A.ogg", "bark one.flac"], rain=["1-17367-A-10.wav", "b.MP3"]
    )
    clips = from_folder(tmp_path)
    assert list(clips.columns) == ["path", "label", "fold", "source"]
    assert clips["label"].tolist() == ["dog", "dog", "dog", "rain", "rain"]
    assert clips["fold"].tolist() == [1, 2, 0, 1, 0]
    assert clips["source"].tolist() == ["100032", "117271", "dog/bark one", "17367", "rain/b"]
    assert clips["path"].iloc[2] == str(tmp_path.resolve() / "dog" / "bark one.flac")


def test_from_folder_order_does_not_depend_on_the_file_system(tmp_path, monkeypatch):
    make_files(tmp_path, b=["2.wav", "1.wav", "10.wav"], a=["x.wav"])
    expected = from_folder(tmp_path)
    visible = clips_module._visible
    monkeypatch.setattr(clips_module, "_visible", lambda folder: visible(folder)[::-1])
    pd.testing.assert_frame_equal(from_folder(tmp_path), expected)
    assert [path.rsplit("/", 1)[-1] for path in expected["path"]] == ["x.wav", "1.wav", "10.wav", "2.wav"]


@pytest.mark.parametrize("name", ["2024-01-A.wav", "1-100032-AB.wav", "1-dog-A.wav", "take 1-2-A.wav"])
def test_names_that_only_look_like_esc_have_no_fold(tmp_path, name):
    make_files(tmp_path, dog=[name], rain=["r.wav"])
    clips = from_folder(tmp_path)
    assert clips["fold"].tolist() == [0, 0]
    assert clips["source"].iloc[0] == f"dog/{name[:-4]}"


def test_every_format_that_can_be_written_is_found(tmp_path):
    extensions = {".wav", ".ogg", ".flac", ".mp3", ".aiff", ".aif", ".au", ".caf", ".w64", ".opus"}
    make_files(tmp_path, a=[f"sound{extension.upper()}" for extension in extensions], b=["x.wav"])
    assert len(from_folder(tmp_path)) == len(extensions) + 1
    assert {f".{name.lower()}" for name in soundfile.available_formats()} - {".raw", ".mat4", ".mat5"} <= (
        clips_module.sound_extensions()
    )


def test_hidden_files_are_ignored_and_others_are_named(tmp_path):
    make_files(tmp_path, dog=["a.wav", ".DS_Store", "._a.wav", "b.m4a"], rain=["r.wav"])
    make_files(tmp_path, **{".cache": ["c.wav"], "__MACOSX": ["d.wav"]})
    (tmp_path / "ATTRIBUTION.txt").touch()
    with pytest.warns(UserWarning, match=r"dog: left out b\.m4a: not sounds") as caught:
        clips = from_folder(tmp_path)
    assert len(caught) == 1
    assert clips["label"].tolist() == ["dog", "rain"]


def test_names_with_spaces_and_accents(tmp_path):
    decomposed = unicodedata.normalize("NFD", "forêt où il pleut")
    make_files(tmp_path, **{decomposed: ["été 1.wav"], "犬": ["わん.wav"]})
    clips = from_folder(tmp_path)
    assert clips["label"].tolist() == ["forêt où il pleut", "犬"]
    assert clips["source"].tolist() == ["forêt où il pleut/été 1", "犬/わん"]


def test_empty_class_folder_is_skipped_with_its_name(tmp_path):
    make_files(tmp_path, dog=["a.wav"], rain=["b.wav"], wind=[])
    with pytest.warns(UserWarning, match="wind: empty; the class is skipped"):
        clips = from_folder(tmp_path)
    assert clips["label"].tolist() == ["dog", "rain"]


def test_sounds_outside_class_folders_are_named(tmp_path):
    make_files(tmp_path, dog=["a.wav"], rain=["b.wav"])
    (tmp_path / "loose.wav").touch()
    with pytest.warns(UserWarning, match=r"loose\.wav"):
        assert len(from_folder(tmp_path)) == 2


def test_missing_folder(tmp_path):
    with pytest.raises(MissingDataError, match=r"nowhere.*one folder of sounds per class"):
        from_folder(tmp_path / "nowhere")


def test_file_instead_of_folder(tmp_path):
    (tmp_path / "sound.wav").touch()
    with pytest.raises(MissingDataError, match=r"sound\.wav"):
        from_folder(tmp_path / "sound.wav")


def test_folder_without_class_folders(tmp_path):
    (tmp_path / "a.wav").touch()
    with pytest.raises(MissingDataError, match=r"no class folder with sounds, and a\.wav outside"):
        from_folder(tmp_path)


def test_one_class_is_too_few(tmp_path):
    make_files(tmp_path, dog=["a.wav"])
    with pytest.raises(MissingDataError, match=r"only the class 'dog'.*needs two classes"):
        from_folder(tmp_path)


@pytest.mark.filterwarnings("ignore:.*left out")
def test_one_folder_too_high(tmp_path):
    make_files(tmp_path / "ESC-10", dog=["a.wav"], rain=["b.wav"])
    with pytest.raises(MissingDataError, match=r"Did you mean .*ESC-10"):
        from_folder(tmp_path)


def test_count_labels():
    counts = count_labels(table({"dog": 3, "rain": 2}, sources=["1", "1", "2", "3", "4"]))
    assert counts.loc["dog"].to_dict() == {"clips": 3, "sources": 2}
    assert counts.loc["rain"].to_dict() == {"clips": 2, "sources": 2}


def test_select_labels_keeps_rows_and_index():
    clips = table({"dog": 2, "rain": 2, "wind": 1})
    assert select_labels(clips, ["wind", "dog"]).index.tolist() == [0, 1, 4]
    assert select_labels(clips, "rain").index.tolist() == [2, 3]


def test_unknown_label_names_the_nearest():
    with pytest.raises(UnknownLabelError, match=r"'helicoptr'.*dog, helicopter.*mean 'helicopter'"):
        select_labels(table({"dog": 1, "helicopter": 1}), ["dog", "helicoptr"])
    with pytest.raises(UnknownLabelError, match="No label asked for"):
        select_labels(table({"dog": 1}), [])


@pytest.mark.parametrize("function", [count_labels, split, lambda clips: select_labels(clips, "dog")])
def test_not_a_clip_table(function):
    with pytest.raises(MissingDataError, match="columns fold, source are missing"):
        function(pd.DataFrame({"path": ["a"], "label": ["dog"]}))
    with pytest.raises(MissingDataError, match="empty"):
        function(table({"dog": 1}).iloc[:0])


# 15 clips at 70 % give MATLAB's splitEachLabel 11, 38 at 80 % give it 30.
@pytest.mark.parametrize(("count", "fraction", "trained"), [(40, 0.8, 32), (38, 0.8, 30), (15, 0.7, 11), (3, 0.5, 2)])
def test_split_by_order_takes_the_first_of_each_label(count, fraction, trained):
    clips = table({"dog": count, "rain": 40}).sample(frac=1, random_state=1)
    train, validation = split(clips, "order", fraction=fraction)
    dogs = clips.index[clips["label"] == "dog"].tolist()
    assert train.index[train["label"] == "dog"].tolist() == dogs[:trained]
    assert validation.index[validation["label"] == "dog"].tolist() == dogs[trained:]


@pytest.mark.parametrize("by", ["order", "random", "source", "fold"])
def test_split_parts_clips_without_loss(by):
    clips = table({"dog": 10, "rain": 15}, folds=np.arange(25) % 5 + 1).assign(evidence="tone")
    train, validation = split(clips, by)
    pd.testing.assert_frame_equal(pd.concat([train, validation]).sort_index(), clips)
    assert train.index.is_monotonic_increasing
    assert validation.index.is_monotonic_increasing
    assert validation["label"].value_counts().to_dict() == {"dog": 2, "rain": 3}


@pytest.mark.parametrize("by", ["random", "source"])
def test_seed_decides_the_split(by):
    clips = table({"dog": 30, "rain": 30})
    first, again, other = (split(clips, by, seed=seed)[1].index.tolist() for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_split_by_fold():
    clips = table({"dog": 4, "rain": 4}, folds=[1, 2, 3, 1, 1, 2, 3, 3])
    train, validation = split(clips, "fold", fold=3)
    assert validation.index.tolist() == [2, 6, 7]
    assert set(train["fold"]) == {1, 2}


def test_split_by_source_keeps_sources_whole():
    rng = np.random.default_rng(5)
    sources = [f"d{i}" for i in rng.integers(0, 15, 40)] + [f"r{i}" for i in rng.integers(0, 4, 40)]
    clips = table({"dog": 40, "rain": 40}, sources=sources)
    for seed in range(20):
        train, validation = split(clips, "source", seed=seed)
        assert not set(train["source"]) & set(validation["source"])
        largest = clips["source"].value_counts().groupby(lambda source: source[0]).max()
        for label in ("dog", "rain"):
            assert abs((train["label"] == label).sum() - 32) <= largest[label[0]] / 2


def test_split_by_source_when_one_source_dwarfs_the_others():
    clips = table({"dog": 40, "rain": 10}, sources=["big"] * 35 + ["small"] * 5 + [f"r{i}" for i in range(10)])
    train, _ = split(clips, "source")
    assert (train["label"] == "dog").sum() == 35


def test_split_by_source_leaves_no_side_empty():
    clips = table({"dog": 40, "rain": 40}, sources=["d1", "d2"] * 20 + ["r1"] * 38 + ["r2"] * 2)
    for fraction in (0.01, 0.8, 0.99):
        train, validation = split(clips, "source", fraction=fraction)
        assert (train["label"] == "dog").sum() == (validation["label"] == "dog").sum() == 20
        assert (train["label"] == "rain").sum() == (38 if fraction > 0.5 else 2)


def test_split_by_source_with_a_source_of_two_labels():
    sources = ["both", "d1", "d2", "d3", "d4", "both", "r1", "r2", "r3", "r4"]
    for seed in range(20):
        train, validation = split(table({"dog": 5, "rain": 5}, sources=sources), "source", seed=seed)
        assert shared_sources(train, validation).empty
        assert train["label"].value_counts().to_dict() == {"dog": 4, "rain": 4}


def test_random_split_leaks_sources_and_says_which():
    clips = table({"dog": 20, "rain": 20}, sources=[str(i // 4) for i in range(40)])
    train, validation = split(clips, "random")
    shared = shared_sources(train, validation)
    assert set(shared.index) == set(train["source"]) & set(validation["source"])
    assert (shared.sum(axis=1) == 4).all()
    assert shared["train"].tolist() == [(train["source"] == source).sum() for source in shared.index]


def test_nothing_shared_is_an_empty_table():
    shared = shared_sources(*split(table({"dog": 5, "rain": 5})))
    assert shared.empty
    assert list(shared.columns) == ["train", "validation"]


@pytest.mark.parametrize("fraction", [0, 1, -0.2, 80, float("nan")])
def test_fraction_out_of_range(fraction):
    with pytest.raises(ValueError, match="between 0 and 1"):
        split(table({"dog": 5, "rain": 5}), fraction=fraction)


def test_unknown_way_to_split():
    with pytest.raises(ValueError, match="'order', 'fold', 'source' or 'random'"):
        split(table({"dog": 5, "rain": 5}), "speaker")


def test_fold_that_does_not_exist():
    clips = table({"dog": 2, "rain": 2}, folds=[1, 2, 1, 2])
    with pytest.raises(MissingDataError, match=r"fold 5; the folds are \[1, 2\]"):
        split(clips, "fold")
    with pytest.raises(MissingDataError, match="unknown"):
        split(table({"dog": 2, "rain": 2}), "fold")


@pytest.mark.parametrize(
    ("clips", "by", "side"),
    [
        (table({"dog": 1, "rain": 9}), "order", "validation"),
        (table({"dog": 1, "rain": 9}), "random", "validation"),
        (table({"dog": 5, "rain": 5}, sources=["1"] * 5 + list("23456")), "source", "(validation|training)"),
        (table({"dog": 2, "rain": 2}, folds=[1, 1, 1, 5]), "fold", "validation"),
        (table({"dog": 2, "rain": 2}, folds=[5, 5, 1, 5]), "fold", "training"),
    ],
)
def test_label_missing_on_one_side(clips, by, side):
    with pytest.raises(MissingDataError, match=f"no {side} clip of dog"):
        split(clips, by)


def test_load_takes_a_folder(tmp_path):
    make_files(tmp_path, dog=["a.wav"], rain=["b.wav"])
    pd.testing.assert_frame_equal(datasets.load(tmp_path), from_folder(tmp_path))
    pd.testing.assert_frame_equal(datasets.load(str(tmp_path)), from_folder(tmp_path))


def test_load_unknown_name():
    with pytest.raises(MissingDataError, match=r"Known names: esc10, .*Did you mean 'esc10'"):
        datasets.load("ESC_10")


def test_download_unknown_name():
    with pytest.raises(MissingDataError, match=r"Known names: .*esc10"):
        datasets.download("esc11")


def test_load_passes_options_on(monkeypatch):
    monkeypatch.setattr("audiointerp.datasets.synthetic.clips.load", lambda **options: options)
    assert datasets.load("synthetic", seed=3) == {"seed": 3}
