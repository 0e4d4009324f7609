from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest

from audiointerp.errors import PatchShapeError, UnknownLabelError
from audiointerp.evaluation.metrics import confused_pairs, confusion, sort_by_recall
from audiointerp.evaluation.predictions import mistakes, predict, score_columns, vote
from audiointerp.networks.head import add_head

LABELS = ["dog", "rain", "sea"]


@pytest.fixture
def network(small):
    inputs = keras.Input((small.frames, small.mels, 1))
    x = keras.layers.Conv2D(4, 3, strides=4, name="conv")(inputs)
    return add_head(keras.Model(inputs, keras.layers.Flatten()(x), name="tiny"), LABELS, small, seed=3)


def test_predict_gives_the_scores_of_the_network(network, toy):
    patches = toy(10, LABELS, per_clip=3)
    table = predict(network, patches, batch_size=4)
    expected = network.predict(patches.data[..., None], verbose=0)
    np.testing.assert_allclose(table[LABELS], expected, atol=1e-6)
    assert score_columns(table) == LABELS
    assert list(table["predicted"]) == [LABELS[i] for i in expected.argmax(axis=1)]
    np.testing.assert_allclose(table["score"], expected.max(axis=1), atol=1e-6)
    for column in ("clip", "start", "label", "fold", "source", "path", "silent"):
        assert list(table[column]) == list(patches.table[column])
    np.testing.assert_allclose(table[LABELS].sum(axis=1), 1, atol=1e-6)


def test_predictions_keep_the_index_of_the_patches_even_one_taken_twice(network, toy):
    patches = toy(6, LABELS)[[4, 1, 1]]
    table = predict(network, patches)
    assert list(table.index) == [4, 1, 1]
    np.testing.assert_allclose(table[LABELS], network.predict(patches.data[..., None], verbose=0), atol=1e-6)


def test_predict_refuses_patches_that_do_not_fit(network, toy, small):
    for other in (replace(small, mels=12), replace(small, log_offset=0.5)):
        with pytest.raises(PatchShapeError):
            predict(network, toy(3, LABELS, frontend=other))


@pytest.mark.parametrize("name", ["score", "clip", "predicted", "label", "silent", "patches"])
def test_a_class_named_like_a_column_is_an_error(small, toy, name):
    inputs = keras.Input((small.frames, small.mels, 1))
    network = add_head(keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs)), ["dog", name], small)
    with pytest.raises(UnknownLabelError, match=f"'{name}'.*rename these classes"):
        predict(network, toy(2, ["dog", name]))


def test_vote_is_the_majority_even_against_a_higher_sum(scored):
    clip = vote(
        scored(
            [
                (4, "dog", False, [0.40, 0.35, 0.25]),
                (4, "dog", False, [0.40, 0.35, 0.25]),
                (4, "dog", False, [0.00, 1.00, 0.00]),
            ]
        )
    )
    assert list(clip.index) == [4] and clip.index.name == "clip"
    assert clip.loc[4, "predicted"] == "dog" and clip.loc[4, "label"] == "dog"
    assert clip.loc[4, "score"] == pytest.approx(2 / 3) and clip.loc[4, "patches"] == 3
    np.testing.assert_allclose(clip.loc[4, LABELS].astype(float), [0.8 / 3, 1.7 / 3, 0.5 / 3])


@pytest.mark.parametrize("swap", [False, True])
def test_a_tie_goes_to_the_higher_summed_score(scored, swap):
    rows = [(0, "dog", False, [0.5, 0.1, 0.4]), (0, "dog", False, [0.1, 0.6, 0.3])]
    assert vote(scored(rows[::-1] if swap else rows)).loc[0, "predicted"] == "rain"
    # sea has the highest sum of all, but no vote
    rows = [(0, "dog", False, [0.50, 0.01, 0.49]), (0, "dog", False, [0.01, 0.51, 0.48])]
    assert vote(scored(rows[::-1] if swap else rows)).loc[0, "predicted"] == "rain"


def test_votes_equal_a_count_by_hand(scored, rng):
    for voters in (1, 2, 3, 4, 6, 17):
        scores = rng.dirichlet([1, 1, 1], size=(40, voters))
        rows = [(clip, "dog", False, one) for clip in range(40) for one in scores[clip]]
        result = vote(scored(rows))
        for clip in range(40):
            counts = np.bincount(scores[clip].argmax(axis=1), minlength=3)
            sums = np.where(counts == counts.max(), scores[clip].sum(axis=0), -1)
            assert result.loc[clip, "predicted"] == LABELS[sums.argmax()]
            assert result.loc[clip, "score"] == pytest.approx(counts.max() / voters)


def test_silent_patches_do_not_vote_unless_asked_to(scored):
    rows = [
        (0, "dog", False, [0.9, 0.1, 0.0]),
        (0, "dog", True, [0.0, 0.2, 0.8]),
        (0, "dog", True, [0.0, 0.2, 0.8]),
    ]
    clip = vote(scored(rows))
    assert (clip.loc[0, "predicted"], clip.loc[0, "patches"], clip.loc[0, "sea"]) == ("dog", 1, 0.0)
    clip = vote(scored(rows), silent=True)
    assert (clip.loc[0, "predicted"], clip.loc[0, "patches"]) == ("sea", 3)


def test_a_clip_of_silent_patches_only_is_decided_by_them(scored):
    rows = [
        (0, "dog", True, [0.1, 0.8, 0.1]),
        (0, "dog", True, [0.1, 0.8, 0.1]),
        (1, "sea", False, [0.1, 0.1, 0.8]),
        (1, "sea", True, [0.1, 0.8, 0.1]),
    ]
    clips = vote(scored(rows))
    assert clips["predicted"].to_dict() == {0: "rain", 1: "sea"}
    assert clips["patches"].to_dict() == {0: 2, 1: 1}


def test_vote_keeps_the_order_of_clips_and_what_is_known_of_them(network, toy):
    patches = toy(12, LABELS, per_clip=4)[[8, 9, 10, 11, 0, 1, 2, 3]]
    clips = vote(predict(network, patches))
    assert list(clips.index) == [2, 0]
    assert (
        list(clips["label"]) == ["sea", "dog"] and list(clips["fold"]) == [3, 1] and list(clips["source"]) == ["2", "0"]
    )
    assert score_columns(clips) == LABELS


@pytest.mark.filterwarnings("error::FutureWarning", "error::DeprecationWarning")
def test_tables_are_made_without_deprecated_calls(random_table, rng):
    table = random_table(rng).assign(clip=np.arange(300) // 3, silent=False)
    confused_pairs(sort_by_recall(confusion(vote(table))))


def test_scores_of_networks_made_elsewhere_are_numbered(toy):
    network = keras.Sequential([keras.Input((32, 16, 1)), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")])
    table = predict(network, toy(3))
    assert score_columns(table) == ["0", "1"] and set(table["predicted"]) <= {"0", "1"}


MISTAKEN = [
    # two clips of dog for rain, one patch each; one clip of sea for dog, three patches
    (0, "dog", False, [0.2, 0.7, 0.1]),
    (1, "dog", False, [0.1, 0.8, 0.1]),
    (2, "sea", False, [0.6, 0.1, 0.3]),
    (2, "sea", False, [0.9, 0.1, 0.0]),
    (2, "sea", False, [0.7, 0.1, 0.2]),
    (3, "rain", False, [0.1, 0.9, 0.0]),
    (3, "rain", True, [0.0, 0.0, 1.0]),
]


def test_mistakes_leave_silent_patches_out_and_name_those_there_are(scored):
    with pytest.raises(UnknownLabelError, match=r"\(rain for sea\).*dog for rain, sea for dog"):
        mistakes(scored(MISTAKEN), "rain", "sea")


def test_mistakes_of_a_network_that_makes_none(scored):
    with pytest.raises(UnknownLabelError, match="Mistakes there are: none"):
        mistakes(scored(MISTAKEN[5:]))


def test_further_columns_are_no_classes(network, toy):
    table = predict(network, toy(6))
    assert vote(table.assign(duration=5.0))["predicted"].isin(LABELS).all()
    assert score_columns(table.query("start >= 0").assign(duration=5.0)) == LABELS
    assert score_columns(pd.concat([table[:3], table[3:]])) == LABELS
    assert score_columns(vote(table)) == LABELS


def test_a_table_that_does_not_name_its_classes_is_not_guessed_at(network, toy, tmp_path):
    table = predict(network, toy(6, LABELS))
    table.to_csv(tmp_path / "table.csv", index=False)
    read = pd.read_csv(tmp_path / "table.csv")
    with pytest.raises(UnknownLabelError, match=r'does not say which columns are classes.*attrs\["labels"\]'):
        vote(read)
    read.attrs["labels"] = LABELS
    pd.testing.assert_frame_equal(
        vote(read)[["label", "predicted", *LABELS]], vote(table)[["label", "predicted", *LABELS]]
    )
    nameless = table.copy()
    nameless.attrs = {}
    with pytest.raises(UnknownLabelError, match="does not say which columns"):
        vote(pd.concat([table, nameless]))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_precision_is_part_of_what_is_cached(network, toy, precision, own_cache):
    patches = toy(4)
    one, two = (predict(network, patches, precision=each)[LABELS] for each in (precision, "float32"))
    np.testing.assert_allclose(one, two, atol=0.05)
    assert len(list((own_cache / "scores").iterdir())) == (1 if precision == "float32" else 2)


def test_mistakes_are_the_patches_of_the_confusion_of_most_clips_surest_first(scored):
    assert list(mistakes(scored(MISTAKEN)).index) == [1, 0]
    assert list(mistakes(scored(MISTAKEN), "sea", "dog").index) == [3, 4, 2]


@pytest.mark.parametrize("column", ["predicted", "rain"])
def test_a_score_that_is_missing_cannot_vote(scored, column):
    table = scored([("a", "dog", False, [0.5, 0.3, 0.2]), ("a", "dog", False, [0.1, 0.8, 0.1])])
    table.loc[1, column] = None
    with pytest.raises(ValueError, match="1 of 2 patches have no score"):
        vote(table)
