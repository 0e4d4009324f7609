import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from audiointerp.datasets import clips as clips_module
from audiointerp.datasets import load
from audiointerp.datasets.clips import count_labels, from_folder, merge_labels, select_labels, some
from audiointerp.datasets.splits import split
from audiointerp.errors import MissingDataError, UnknownLabelError


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


def test_from_folder_reads_label_fold_and_source(make_files, tmp_path):
    make_files(
        tmp_path, dog=["2-117271-B-0.wav", "1-100032-A.ogg", "bark one.flac"], rain=["1-17367-A-10.wav", "b.MP3"]
    )
    clips = from_folder(tmp_path)
    assert list(clips.columns) == ["path", "label", "fold", "source"]
    assert clips["label"].tolist() == ["dog", "dog", "dog", "rain", "rain"]
    assert clips["fold"].tolist() == [1, 2, 0, 1, 0]
    assert clips["source"].tolist() == ["100032", "117271", "dog/bark one", "17367", "rain/b"]
    assert clips["path"].iloc[2] == str(tmp_path.resolve() / "dog" / "bark one.flac")


def test_from_folder_order_does_not_depend_on_the_file_system(make_files, tmp_path, monkeypatch):
    make_files(tmp_path, b=["2.wav", "1.wav", "10.wav"], a=["x.wav"])
    expected = from_folder(tmp_path)
    visible = clips_module._visible
    monkeypatch.setattr(clips_module, "_visible", lambda folder: visible(folder)[::-1])
    pd.testing.assert_frame_equal(from_folder(tmp_path), expected)
    assert [path.rsplit("/", 1)[-1] for path in expected["path"]] == ["x.wav", "1.wav", "10.wav", "2.wav"]


@pytest.mark.parametrize("name", ["2024-01-A.wav", "1-100032-AB.wav", "1-dog-A.wav", "take 1-2-A.wav"])
def test_names_that_only_look_like_esc_have_no_fold(make_files, tmp_path, name):
    make_files(tmp_path, dog=[name], rain=["r.wav"])
    clips = from_folder(tmp_path)
    assert clips["fold"].tolist() == [0, 0]
    assert clips["source"].iloc[0] == f"dog/{name[:-4]}"


def test_every_format_that_can_be_written_is_found(make_files, tmp_path):
    extensions = {".wav", ".ogg", ".flac", ".mp3", ".aiff", ".aif", ".au", ".caf", ".w64", ".opus"}
    make_files(tmp_path, a=[f"sound{extension.upper()}" for extension in extensions], b=["x.wav"])
    assert len(from_folder(tmp_path)) == len(extensions) + 1
    assert {f".{name.lower()}" for name in soundfile.available_formats()} - {".raw", ".mat4", ".mat5"} <= (
        clips_module.sound_extensions()
    )


def test_hidden_files_are_ignored_and_others_are_named(make_files, tmp_path):
    make_files(tmp_path, dog=["a.wav", ".DS_Store", "._a.wav", "b.m4a"], rain=["r.wav"])
    make_files(tmp_path, **{".cache": ["c.wav"], "__MACOSX": ["d.wav"]})
    (tmp_path / "ATTRIBUTION.txt").touch()
    with pytest.warns(UserWarning, match=r"dog: left out b\.m4a: not sounds") as caught:
        clips = from_folder(tmp_path)
    assert len(caught) == 1
    assert clips["label"].tolist() == ["dog", "rain"]


def test_names_with_spaces_and_accents(make_files, tmp_path):
    decomposed = unicodedata.normalize("NFD", "forêt où il pleut")
    make_files(tmp_path, **{decomposed: ["été 1.wav"], "犬": ["わん.wav"]})
    clips = from_folder(tmp_path)
    assert clips["label"].tolist() == ["forêt où il pleut", "犬"]
    assert clips["source"].tolist() == ["forêt où il pleut/été 1", "犬/わん"]


def test_empty_class_folder_is_skipped_with_its_name(make_files, tmp_path):
    make_files(tmp_path, dog=["a.wav"], rain=["b.wav"], wind=[])
    with pytest.warns(UserWarning, match="wind: empty; the class is skipped"):
        clips = from_folder(tmp_path)
    assert clips["label"].tolist() == ["dog", "rain"]


def test_sounds_outside_class_folders_are_named(make_files, tmp_path):
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


def test_one_class_is_too_few(make_files, tmp_path):
    make_files(tmp_path, dog=["a.wav"])
    with pytest.raises(MissingDataError, match=r"only the class 'dog'.*needs two classes"):
        from_folder(tmp_path)


@pytest.mark.filterwarnings("ignore:.*left out")
def test_one_folder_too_high(make_files, tmp_path):
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


def test_merged_labels():
    clips = table({"jazz": 2, "metal": 2, "pop": 1, "rock": 2}).assign(evidence="tone")
    merged = merge_labels(clips, {"loud": ["rock", "metal"]})
    assert merged["label"].tolist() == ["jazz", "jazz", "loud", "loud", "pop", "loud", "loud"]
    pd.testing.assert_frame_equal(merged.drop(columns="label"), clips.drop(columns="label"))
    assert clips["label"].nunique() == 4


def test_several_groups_and_old_names():
    clips = table({"jazz": 1, "metal": 1, "pop": 1, "rock": 1})
    assert merge_labels(clips, {"rock": ["metal", "rock"], "calm": "jazz"})["label"].tolist() == [
        "calm",
        "rock",
        "pop",
        "rock",
    ]
    assert merge_labels(clips, {"rock": ["pop"], "pop": ["rock"]})["label"].tolist() == ["jazz", "metal", "rock", "pop"]
    pd.testing.assert_frame_equal(merge_labels(clips, {}), clips)


def test_groups_that_make_no_sense():
    clips = table({"jazz": 2, "metal": 2, "rock": 2})
    with pytest.raises(UnknownLabelError, match=r"'roc'.*jazz, metal, rock.*mean 'rock'"):
        merge_labels(clips, {"loud": ["metal", "roc"]})
    with pytest.raises(UnknownLabelError, match="No label asked for"):
        merge_labels(clips, {"loud": []})
    with pytest.raises(ValueError, match="'metal' stands in two groups, 'loud' and 'fast'"):
        merge_labels(clips, {"loud": ["metal", "rock"], "fast": ["metal"]})
    with pytest.raises(ValueError, match="'jazz' is the name of a group and of a label that is kept"):
        merge_labels(clips, {"jazz": ["metal", "rock"]})
    with pytest.raises(ValueError, match="Only the label 'music' would remain"):
        merge_labels(clips, {"music": ["jazz", "metal", "rock"]})
    with pytest.raises(MissingDataError, match="columns source are missing"):
        merge_labels(clips.drop(columns="source"), {"loud": ["metal", "rock"]})


def test_names_are_listed_as_far_as_they_fit():
    assert some(["b", "a"]) == "a, b"
    assert some(["d", "c", "b", "a"], most=2) == "a, b and 2 more"


@pytest.fixture
def urbansound(tmp_path):
    """UrbanSound8K's layout with three clips, two of them of one recording."""
    rows = [("7383-3-0-0.wav", 7383, 2, 3, "dog_bark"), ("7383-3-0-1.wav", 7383, 2, 3, "dog_bark")]
    rows += [("100-9-0-0.wav", 100, 10, 9, "street_music")]
    columns = ["slice_file_name", "fsID", "fold", "classID", "class"]
    (tmp_path / "metadata").mkdir()
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "metadata" / "UrbanSound8K.csv", index=False)
    for name, _, fold, *_ in rows:
        (tmp_path / "audio" / f"fold{fold}").mkdir(parents=True, exist_ok=True)
        (tmp_path / "audio" / f"fold{fold}" / name).touch()
    return tmp_path


def test_urbansound_is_read_by_its_table(urbansound):
    clips = load(urbansound)
    assert list(clips.columns) == ["path", "label", "fold", "source"]
    assert clips["label"].tolist() == ["dog_bark", "dog_bark", "street_music"]
    assert clips["fold"].tolist() == [2, 2, 10] and clips["source"].tolist() == ["7383", "7383", "100"]
    assert all(Path(path).is_file() for path in clips["path"])


def test_folds_are_not_taken_for_classes(urbansound):
    with pytest.raises(MissingDataError, match=r"audio: fold10, fold2 look like folds, not classes.*the one above"):
        load(urbansound / "audio")


def test_an_urbansound_that_is_not_whole(urbansound):
    (urbansound / "audio" / "fold2" / "7383-3-0-1.wav").unlink()
    with pytest.raises(MissingDataError, match=r"1 of 3 clips are not there: 7383-3-0-1\.wav"):
        load(urbansound)
    (urbansound / "metadata" / "UrbanSound8K.csv").write_text("a,b\n1,2\n")
    with pytest.raises(MissingDataError, match=r"not UrbanSound8K's table.*slice_file_name, fsID, fold, class"):
        load(urbansound)
