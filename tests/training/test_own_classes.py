from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiointerp.datasets import load
from audiointerp.errors import MissingDataError, UnknownLabelError, UnreadableAudioError
from audiointerp.evaluation.metrics import accuracy
from audiointerp.evaluation.predictions import predict, vote
from audiointerp.networks.head import frontend_of, labels_of
from audiointerp.sound.patches import make_patches
from audiointerp.training.own_classes import train_own_classes
from audiointerp.training.recipes import Recipe

SMALL = {"weights": "random", "width": 0.05, "progress": False}
TONES = {"drum": (180, 260), "flute": (900, 1_100), "whistle": (3_000, 3_600)}


@pytest.fixture
def folder_of(tmp_path, rng):
    """Function that writes so many tones a class: `names` gives the file's name from its number."""

    def write(counts, names="{}.wav"):
        t = np.arange(24_000) / 16_000
        for label, count in counts.items():
            (tmp_path / "sounds" / label).mkdir(parents=True)
            for number in range(count):
                tone = 0.5 * np.sin(2 * np.pi * rng.uniform(*TONES[label]) * t) + rng.normal(0, 0.01, len(t))
                soundfile.write(tmp_path / "sounds" / label / names.format(number), tone, 16_000)
        return tmp_path / "sounds"

    return write


@pytest.mark.parametrize("backbone", ["yamnet", "vggish"])
def test_three_clips_a_class_are_enough(folder_of, backbone):
    own = train_own_classes(folder_of(dict.fromkeys(TONES, 3)), backbone, **SMALL)
    assert len(own.votes) == 9 and own.clips["fold"].nunique() == 3 and own.left_out.empty
    assert labels_of(own.network) == own.votes.attrs["labels"] == sorted(TONES)
    if backbone == "vggish":  # random filters of YAMNet tell less of a tone
        assert accuracy(own.votes)["accuracy"] > 0.8


def test_the_network_has_learned_from_all_clips_and_the_votes_have_not(folder_of):
    folder = folder_of({"drum": 5, "flute": 5})
    (folder / "drum" / "0.wav").write_bytes((folder / "flute" / "0.wav").read_bytes())  # a wrong label
    with pytest.warns(UserWarning, match="the same recording more than once"):
        own = train_own_classes(folder, "vggish", **SMALL)
    wrong = own.votes["label"] != own.votes["predicted"]
    assert "0.wav" in {path.name for path in map(Path, own.votes.loc[wrong, "path"])}
    again = predict(own.network, make_patches(own.clips, frontend_of(own.network), progress=False), progress=False)
    for label in ("drum", "flute"):  # the whole network has heard each clip, so that it is surer of them
        held_out, heard = (table[table["label"] == label][label].mean() for table in (own.votes, vote(again)))
        assert heard > held_out


def test_folds_of_the_clips_are_kept_and_others_divide_no_source(folder_of):
    with pytest.warns(UserWarning, match="own folds are not used: a class stands in one of them alone"):
        own = train_own_classes(folder_of({"drum": 6, "flute": 6}, "1-{}-A.wav"), **SMALL)
    assert own.clips["fold"].nunique() == 5 and (own.clips.groupby("source")["fold"].nunique() == 1).all()
    assert own.votes["fold"].equals(own.clips["fold"].loc[own.votes.index])
    given = own.clips.assign(fold=[1, 1, 1, 2, 2, 2] * 2)
    again = train_own_classes(given, **SMALL)
    assert again.clips["fold"].equals(given["fold"]) and again.votes["fold"].value_counts().tolist() == [6, 6]


def test_broken_files_are_left_out_and_named(folder_of):
    folder = folder_of(dict.fromkeys(TONES, 4))
    (folder / "drum" / "0.wav").write_bytes(b"")
    (folder / "flute" / "notes.wav").write_text("not a sound")
    with pytest.warns(UserWarning, match="2 of 13"):
        own = train_own_classes(folder, **SMALL)
    assert len(own.votes) == len(own.clips) == 11
    assert sorted(Path(path).name for path in own.left_out["path"]) == ["0.wav", "notes.wav"]
    assert set(own.left_out["why"]) == {"cannot be read"}


def test_one_class_and_none_that_can_be_read_are_errors(folder_of):
    folder = folder_of({"drum": 4})
    with pytest.raises(MissingDataError, match="drum"):
        train_own_classes(folder, **SMALL)
    (folder / "flute").mkdir()
    for number in range(4):
        (folder / "drum" / f"{number}.wav").write_bytes(b"")
        (folder / "flute" / f"{number}.wav").write_bytes(b"RIFF")
    with pytest.raises(UnreadableAudioError):
        train_own_classes(folder, **SMALL)


@pytest.mark.parametrize("left", [0, 1])
def test_a_class_of_one_source_is_an_error_or_left_out(folder_of, left):
    folder = folder_of({"drum": 4, "flute": 4, "whistle": 2})
    for number in range(2 - left):
        (folder / "whistle" / f"{number}.wav").write_bytes(b"")
    with (
        pytest.warns(UserWarning, match="cannot be read"),
        pytest.raises(MissingDataError, match=r"whistle.*on_missing"),
    ):
        train_own_classes(folder, **SMALL)
    with pytest.warns(UserWarning, match="whistle.*left out"):
        own = train_own_classes(folder, on_missing="skip", **SMALL)
    assert labels_of(own.network) == ["drum", "flute"] and len(own.votes) == 8
    assert list(own.left_out["why"]).count("all of its class from one source") == left
    assert len(own.left_out) == 2


def test_two_classes_must_be_left(folder_of):
    folder = folder_of({"drum": 4, "flute": 1})
    with pytest.raises(MissingDataError, match=r"flute.*two classes are needed"):
        train_own_classes(folder, on_missing="skip", **SMALL)


def test_a_table_of_clips_and_another_recipe(folder_of):
    clips = load(folder_of({"drum": 4, "flute": 4}))
    recipe = Recipe(epochs=2, batch_size=8, learning_rate=3e-3)
    first = [
        train_own_classes(clips, "vggish", recipe=each, **SMALL).network.get_layer("conv1").get_weights()[0]
        for each in (None, recipe)
    ]
    assert not np.array_equal(*first)  # the head alone is trained unless another recipe is given


def test_bad_options(folder_of):
    with pytest.raises(ValueError, match="on_missing='drop': expected 'raise' or 'skip'"):
        train_own_classes(folder_of({"drum": 2, "flute": 2}), on_missing="drop", **SMALL)


def test_silent_clips_are_left_out_and_count_for_no_class(folder_of):
    folder = folder_of({"drum": 3, "flute": 3, "whistle": 3})
    for number in (0, 1):
        soundfile.write(folder / "whistle" / f"{number}.wav", np.zeros(16_000), 16_000)
    with pytest.warns(UserWarning), pytest.raises(MissingDataError, match=r"whistle.*on-missing skip"):
        train_own_classes(folder, **SMALL)
    with pytest.warns(UserWarning, match="whistle.*left out"):
        own = train_own_classes(folder, on_missing="skip", **SMALL)
    assert labels_of(own.network) == ["drum", "flute"] and len(own.votes) == 6
    assert own.left_out["why"].value_counts().to_dict() == {
        "silent to the network": 2,
        "all of its class from one source": 1,
    }


def test_the_same_recording_stands_on_one_side(folder_of):
    folder = folder_of({"drum": 5, "flute": 5})
    for number in (0, 3):
        (folder / "drum" / f"copy {number}.wav").write_bytes((folder / "drum" / f"{number}.wav").read_bytes())
    with pytest.warns(UserWarning, match=r"drum/0\.wav.* the same recording more than once"):
        own = train_own_classes(folder, **SMALL)
    fold = own.clips.set_index(own.clips["path"].map(lambda path: Path(path).name))[["label", "fold"]]
    fold = fold[fold["label"] == "drum"]["fold"]
    assert fold["0.wav"] == fold["copy 0.wav"] and fold["3.wav"] == fold["copy 3.wav"]


def test_tables_are_checked_before_anything_is_read(folder_of, monkeypatch):
    clips = load(folder_of({"drum": 3, "flute": 3}))
    bare = train_own_classes(clips[["path", "label"]], **SMALL)
    assert bare.clips["fold"].nunique() == 3
    monkeypatch.setattr("audiointerp.training.own_classes.make_patches", lambda *_, **__: pytest.fail("read"))
    bad = [
        (clips.drop(columns="path"), MissingDataError, "columns path are missing"),
        (clips.assign(label=[None, *["a"] * 3, *["b"] * 2]), MissingDataError, "have no label"),
        (clips.head(0), MissingDataError, "the clip table is empty"),
        (clips.replace({"label": {"drum": "score"}}), UnknownLabelError, "rename these classes"),
    ]
    for table, error, text in bad:
        with pytest.raises(error, match=text):
            train_own_classes(table, **SMALL)
    with pytest.raises(ValueError, match="folds=1"):
        train_own_classes(clips, folds=1, **SMALL)
