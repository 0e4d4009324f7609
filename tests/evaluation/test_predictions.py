import math
from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix, recall_score

from audiointerp.errors import PatchShapeError, UnknownLabelError
from audiointerp.evaluation import predictions as evaluation
from audiointerp.evaluation.metrics import accuracy, confused_pairs, confusion, recall, sort_by_recall
from audiointerp.evaluation.predictions import mistakes, predict, score_columns, vote
from audiointerp.networks.head import add_head

LABELS = ["dog", "rain", "sea"]


@pytest.fixture
def network(small):
    inputs = keras.Input((small.frames, small.mels, 1))
    x = keras.layers.Conv2D(4, 3, strides=4, name="conv")(inputs)
    return add_head(keras.Model(inputs, keras.layers.Flatten()(x), name="tiny"), LABELS, small, seed=3)


def scored(rows, labels=LABELS):
    """A prediction table from (clip, true label, silent, scores)."""
    table = pd.DataFrame([row[:3] for row in rows], columns=["clip", "label", "silent"])
    scores = np.array([row[3] for row in rows], dtype=float)
    table["predicted"] = [labels[i] for i in scores.argmax(axis=1)]
    table["score"] = scores.max(axis=1)
    table[labels] = scores
    return table


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


def test_vote_is_the_majority_even_against_a_higher_sum():
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
def test_a_tie_goes_to_the_higher_summed_score(swap):
    rows = [(0, "dog", False, [0.5, 0.1, 0.4]), (0, "dog", False, [0.1, 0.6, 0.3])]
    assert vote(scored(rows[::-1] if swap else rows)).loc[0, "predicted"] == "rain"
    # sea has the highest sum of all, but no vote
    rows = [(0, "dog", False, [0.50, 0.01, 0.49]), (0, "dog", False, [0.01, 0.51, 0.48])]
    assert vote(scored(rows[::-1] if swap else rows)).loc[0, "predicted"] == "rain"


def test_votes_equal_a_count_by_hand(rng):
    for voters in (1, 2, 3, 4, 6, 17):
        scores = rng.dirichlet([1, 1, 1], size=(40, voters))
        rows = [(clip, "dog", False, one) for clip in range(40) for one in scores[clip]]
        result = vote(scored(rows))
        for clip in range(40):
            counts = np.bincount(scores[clip].argmax(axis=1), minlength=3)
            sums = np.where(counts == counts.max(), scores[clip].sum(axis=0), -1)
            assert result.loc[clip, "predicted"] == LABELS[sums.argmax()]
            assert result.loc[clip, "score"] == pytest.approx(counts.max() / voters)


def test_silent_patches_do_not_vote_unless_asked_to():
    rows = [
        (0, "dog", False, [0.9, 0.1, 0.0]),
        (0, "dog", True, [0.0, 0.2, 0.8]),
        (0, "dog", True, [0.0, 0.2, 0.8]),
    ]
    clip = vote(scored(rows))
    assert (clip.loc[0, "predicted"], clip.loc[0, "patches"], clip.loc[0, "sea"]) == ("dog", 1, 0.0)
    clip = vote(scored(rows), silent=True)
    assert (clip.loc[0, "predicted"], clip.loc[0, "patches"]) == ("sea", 3)


def test_a_clip_of_silent_patches_only_is_decided_by_them():
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


def wilson(right, n, z):
    """Wilson 1927, as published."""
    p = right / n
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return max(0.0, centre - half), min(1.0, centre + half)


@pytest.mark.parametrize(("right", "n"), [(65, 80), (0, 10), (10, 10), (1, 1), (391, 400)])
@pytest.mark.parametrize(("confidence", "z"), [(0.95, 1.959963984540054), (0.99, 2.5758293035489004)])
def test_accuracy_and_its_wilson_interval(right, n, confidence, z):
    table = pd.DataFrame({"label": ["dog"] * n, "predicted": ["dog"] * right + ["sea"] * (n - right)})
    result = accuracy(table, confidence)
    assert result["accuracy"] == right / n and result["right"] == right and result["n"] == n
    np.testing.assert_allclose([result["low"], result["high"]], wilson(right, n, z), atol=1e-9)


def random_table(rng, n=300):
    table = pd.DataFrame({"label": rng.choice(LABELS, n), "predicted": rng.choice(LABELS, n, p=[0.5, 0.3, 0.2])})
    table[LABELS] = 0.0
    return table


def test_confusion_counts(rng):
    table = random_table(rng)
    counts = confusion(table)
    crosstab = pd.crosstab(table["label"], table["predicted"])
    np.testing.assert_array_equal(counts, crosstab.loc[LABELS, LABELS])
    order = ["sea", "dog", "rain"]
    np.testing.assert_array_equal(
        confusion(table, order), confusion_matrix(table["label"], table["predicted"], labels=order)
    )
    assert list(counts.index) == list(counts.columns) == LABELS
    assert (counts.index.name, counts.columns.name) == ("true", "predicted")


def test_confusion_keeps_classes_that_do_not_occur():
    table = scored([(0, "dog", False, [0.9, 0.1, 0.0]), (1, "sea", False, [0.6, 0.1, 0.3])])
    assert confusion(table).to_numpy().tolist() == [[1, 0, 0], [0, 0, 0], [1, 0, 0]]


def test_confusion_with_a_class_that_is_not_known(rng):
    with pytest.raises(UnknownLabelError, match=r"\['sea'\].*knows dog, rain"):
        confusion(random_table(rng), ["dog", "rain"])


def test_confused_pairs_are_the_cells_off_the_diagonal(rng):
    counts = confusion(random_table(rng))
    pairs = confused_pairs(counts)
    assert list(pairs.columns) == ["true", "predicted", "count", "share"]
    assert len(pairs) == (counts.to_numpy()[~np.eye(3, dtype=bool)] > 0).sum() == 6
    for row in pairs.itertuples():
        assert row.count == counts.loc[row.true, row.predicted] and row.true != row.predicted
        assert row.share == pytest.approx(row.count / counts.loc[row.true].sum())
    assert pairs["count"].is_monotonic_decreasing


def test_confused_pairs_of_equal_counts_are_ordered_by_share_and_none_gives_no_rows():
    names = pd.Index(LABELS, name="true"), pd.Index(LABELS, name="predicted")
    counts = pd.DataFrame([[90, 2, 0], [2, 8, 0], [0, 0, 5]], *names)
    pairs = confused_pairs(counts)
    assert pairs[["true", "predicted", "count"]].to_numpy().tolist() == [["rain", "dog", 2], ["dog", "rain", 2]]
    nothing = confused_pairs(pd.DataFrame(np.diag([3, 0, 2]), *names))
    assert len(nothing) == 0 and list(nothing.columns) == ["true", "predicted", "count", "share"]


@pytest.mark.filterwarnings("error::FutureWarning", "error::DeprecationWarning")
def test_tables_are_made_without_deprecated_calls(rng):
    table = random_table(rng).assign(clip=np.arange(300) // 3, silent=False)
    confused_pairs(sort_by_recall(confusion(vote(table))))


def test_recall_is_the_share_of_each_true_class(rng):
    table = random_table(rng)
    for labels in (LABELS, ["sea", "dog", "rain"]):
        shares = recall(confusion(table, labels))
        assert list(shares.index) == labels and shares.index.name == "true"
        for label in labels:
            own = table[table["label"] == label]
            assert shares[label] == pytest.approx((own["predicted"] == label).mean())
        np.testing.assert_allclose(
            shares, recall_score(table["label"], table["predicted"], labels=labels, average=None)
        )
    assert recall(confusion(table)).nunique() == 3


def test_recall_of_a_class_without_clips_is_zero():
    names = pd.Index(LABELS, name="true"), pd.Index(LABELS, name="predicted")
    counts = pd.DataFrame([[3, 1, 0], [0, 0, 0], [1, 0, 0]], *names)  # columns do not count: sea was never right
    assert recall(counts).to_dict() == {"dog": 0.75, "rain": 0, "sea": 0}
    assert counts.to_numpy().tolist() == [[3, 1, 0], [0, 0, 0], [1, 0, 0]]


def test_sort_by_recall():
    names = pd.Index(LABELS, name="true"), pd.Index(LABELS, name="predicted")
    counts = pd.DataFrame([[1, 1, 0], [0, 0, 0], [1, 2, 97]], *names)
    ordered = sort_by_recall(counts)
    assert list(ordered.index) == list(ordered.columns) == ["sea", "dog", "rain"]
    assert ordered.loc["sea", "rain"] == 2 and ordered.to_numpy().sum() == 102


def test_scores_of_networks_made_elsewhere_are_numbered(toy):
    network = keras.Sequential([keras.Input((32, 16, 1)), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")])
    table = predict(network, toy(3))
    assert evaluation.score_columns(table) == ["0", "1"] and set(table["predicted"]) <= {"0", "1"}


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


def test_mistakes_are_the_patches_of_the_confusion_of_most_clips_surest_first():
    assert list(mistakes(scored(MISTAKEN)).index) == [1, 0]
    assert list(mistakes(scored(MISTAKEN), "sea", "dog").index) == [3, 4, 2]


def test_mistakes_leave_silent_patches_out_and_name_those_there_are():
    with pytest.raises(UnknownLabelError, match=r"\(rain for sea\).*dog for rain, sea for dog"):
        mistakes(scored(MISTAKEN), "rain", "sea")


def test_mistakes_of_a_network_that_makes_none():
    with pytest.raises(UnknownLabelError, match="Mistakes there are: none"):
        mistakes(scored(MISTAKEN[5:]))
