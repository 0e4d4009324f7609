import math

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.metrics import confusion_matrix, recall_score

from audiointerp.errors import MissingDataError, UnknownLabelError
from audiointerp.evaluation.metrics import accuracy, clip_bootstrap, confused_pairs, confusion, recall, sort_by_recall
from audiointerp.layers.probes import probe

LABELS = ["dog", "rain", "sea"]


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
    result = accuracy(table, confidence=confidence)
    assert result["accuracy"] == right / n and result["right"] == right and result["n"] == n
    np.testing.assert_allclose([result["low"], result["high"]], wilson(right, n, z), atol=1e-9)


def test_confusion_counts(random_table, rng):
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


def test_confusion_keeps_classes_that_do_not_occur(scored):
    table = scored([(0, "dog", False, [0.9, 0.1, 0.0]), (1, "sea", False, [0.6, 0.1, 0.3])])
    assert confusion(table).to_numpy().tolist() == [[1, 0, 0], [0, 0, 0], [1, 0, 0]]


def test_confusion_with_a_class_that_is_not_known(random_table, rng):
    with pytest.raises(UnknownLabelError, match=r"\['sea'\].*knows dog, rain"):
        confusion(random_table(rng), ["dog", "rain"])


def test_confused_pairs_are_the_cells_off_the_diagonal(random_table, rng):
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


def test_confused_pairs_of_another_table():
    with pytest.raises(ValueError, match=r"different classes.*confusion\(\)"):
        confused_pairs(pd.DataFrame({"label": ["dog"], "predicted": ["rain"]}))


def test_recall_is_the_share_of_each_true_class(random_table, rng):
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
    assert (ordered.index.name, ordered.columns.name) == ("true", "predicted")
    assert ordered.loc["sea", "rain"] == 2 and ordered.to_numpy().sum() == 102


def test_predictions_of_a_probe_have_a_confusion(rng):
    """Its table has no scores: the classes are those it carries."""
    coords = {"label": ("clip", np.repeat(["a", "b", "c"], 10)), "fold": ("clip", np.arange(30) % 2 + 1)}
    features = xr.DataArray(rng.normal(size=(30, 4)), coords, ("clip", "neuron"), name="conv1")
    predictions = probe(features, cache=False)
    counts = confusion(predictions)
    assert list(counts.index) == ["a", "b", "c"] and counts.to_numpy().sum() == 30
    predictions.attrs = {}
    assert confusion(predictions).equals(counts)


def test_nothing_predicted_is_an_error():
    with pytest.raises(MissingDataError, match="no predictions"):
        accuracy(pd.DataFrame({"label": [], "predicted": []}))


def predictions(right, clip, label="a"):
    return pd.DataFrame({"clip": clip, "label": label, "predicted": np.where(right, label, "b"), "a": 0.6, "b": 0.4})


class TestClipBootstrap:
    def test_share_is_that_of_all_patches(self):
        table = predictions([1, 1, 0, 1, 0, 0], [0, 0, 0, 1, 1, 2])
        found = clip_bootstrap(table)
        assert (found["accuracy"], found["right"], found["n"]) == (0.5, 3, 6)

    def test_patches_of_a_clip_count_as_one_draw(self):
        """100 clips of 10 alike patches: the interval is that of 100, not of 1,000."""
        right = np.repeat(np.arange(100) < 70, 10)
        found = clip_bootstrap(predictions(right, np.repeat(np.arange(100), 10)))
        assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * np.sqrt(0.7 * 0.3 / 100), rel=0.08)
        alone = clip_bootstrap(predictions(right, np.arange(1000)))
        assert alone["high"] - alone["low"] == pytest.approx(2 * 1.96 * np.sqrt(0.7 * 0.3 / 1000), rel=0.08)

    def test_seed(self):
        table = predictions(np.arange(40) % 3 > 0, np.arange(40) // 4)
        assert clip_bootstrap(table, seed=1).equals(clip_bootstrap(table, seed=1))
