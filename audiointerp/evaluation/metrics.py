"""Accuracy with its interval, confusion counts, recall."""

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.metrics import confusion_matrix

from ..errors import MissingDataError, UnknownLabelError
from ..sound.patches import class_names


def accuracy(predictions, *, confidence=0.95):
    """Share of right predictions, with its Wilson interval.

    Parameters
    ----------
    predictions : pandas.DataFrame
        From `predict` or `vote`.
    confidence : float

    Returns
    -------
    pandas.Series
        `accuracy`, `low`, `high`, `right`, `n`. The interval takes rows to be independent, which clips nearly are and
        overlapping patches of one clip are not: quote it for clips.

    Raises
    ------
    MissingDataError
        If there are no predictions.

    References
    ----------
    Wilson, JASA 1927.

    Examples
    --------
    >>> accuracy(pd.DataFrame({"label": ["dog", "rain"], "predicted": ["dog", "dog"]}))["accuracy"]
    0.5
    """
    if len(predictions) == 0:
        raise MissingDataError("no predictions: the table is empty. Check the selection it came from.")
    true, predicted = (_names(predictions, column) for column in ("label", "predicted"))
    right, n = sum(one == other for one, other in zip(true, predicted, strict=True)), len(predictions)
    interval = stats.binomtest(right, n).proportion_ci(confidence, method="wilson")
    return pd.Series({"accuracy": right / n, "low": interval.low, "high": interval.high, "right": right, "n": n})


def confusion(predictions, labels=None):
    """Counts of true against predicted classes.

    Parameters
    ----------
    predictions : pandas.DataFrame
        From `predict`, `vote` or `probe`.
    labels : sequence of str, optional
        Order of rows and columns; by default that of the table's classes (``attrs["labels"]``), or alphabetical if it
        does not name them.

    Returns
    -------
    pandas.DataFrame [classes, classes]
        Rows are true, columns predicted.

    Raises
    ------
    UnknownLabelError
        If the table holds a class that is not among the labels.

    Examples
    --------
    >>> confusion(vote(predict(network, patches)))  # doctest: +SKIP
    """
    true, predicted = (_names(predictions, column) for column in ("label", "predicted"))
    labels = class_names(predictions.attrs.get("labels") or sorted({*true, *predicted}) if labels is None else labels)
    unknown = sorted({*true, *predicted} - set(labels))
    if unknown:
        raise UnknownLabelError(f"labels {unknown} are in the predictions; the network knows {', '.join(labels)}.")
    counts = confusion_matrix(true, predicted, labels=labels)
    return pd.DataFrame(counts, pd.Index(labels, name="true"), pd.Index(labels, name="predicted"))


def _names(predictions, column):
    """Class names of a column; a MissingDataError if some are missing."""
    names = class_names(predictions[column])
    if None in names:
        raise MissingDataError(
            f"{names.count(None)} of {len(names)} predictions have no {column}: they are neither right nor wrong. "
            f"Leave them out: predictions.dropna(subset='{column}')."
        )
    return names


def recall(counts):
    """Share of each true class that was recognised, from `confusion` counts; 0 for a class that has no clips."""
    return pd.Series(np.diag(counts) / counts.sum(axis=1).clip(lower=1), counts.index)


def sort_by_recall(counts):
    """Confusion counts with the classes recognised best first, rows and columns alike."""
    order = (
        recall(counts).sort_values(ascending=False, kind="stable").index.tolist()
    )  # a named index renames the columns in pandas 2
    return counts.loc[order, order]


def confused_pairs(counts):
    """Pairs of classes that were taken for each other, the most frequent first.

    Parameters
    ----------
    counts : pandas.DataFrame [classes, classes]
        From `confusion`.

    Returns
    -------
    pandas.DataFrame
        `true`, `predicted`, `count`, and `share` (of the true class); no rows if nothing was confused.

    Raises
    ------
    ValueError
        If its rows and columns are not the same classes.

    Examples
    --------
    >>> confused_pairs(confusion(vote(predict(network, patches)))).head(3)  # doctest: +SKIP
    """
    if list(counts.index) != list(counts.columns):
        raise ValueError("rows and columns are different classes: expected the counts that confusion() gives.")
    pairs = counts.rename_axis(index="true", columns="predicted").stack(future_stack=True).rename("count").reset_index()
    pairs["share"] = pairs["count"] / pairs["true"].map(counts.sum(axis=1))
    pairs = pairs[(pairs["true"] != pairs["predicted"]) & (pairs["count"] > 0)]
    return pairs.sort_values(["count", "share"], ascending=False, kind="stable", ignore_index=True)


RESAMPLES = 2_000


def clip_bootstrap(predictions, *, confidence=0.95, seed=0):
    """Share of patches that are right, with an interval that knows that patches of one clip are alike.

    Clips, not patches, are drawn with replacement.

    Parameters
    ----------
    predictions : pandas.DataFrame
        From `predict`, with `clip`.
    confidence : float
    seed : int

    Returns
    -------
    pandas.Series
        `accuracy`, `low`, `high`, `right`, `n`, as from `accuracy`.

    References
    ----------
    Efron & Tibshirani, An Introduction to the Bootstrap, 1993 (percentile interval).
    """
    right = predictions["predicted"] == predictions["label"]
    share, low, high = ratio_interval(right, 1, predictions["clip"], confidence=confidence, seed=seed)
    return pd.Series({"accuracy": share, "low": low, "high": high, "right": int(right.sum()), "n": len(right)})


def ratio_interval(above, below, clips, *, confidence=0.95, seed=0):
    """Sum of `above` over sum of `below` (numbers of patches [n], or one for all), and its percentile interval.

    With 1 below it is a mean. Clips, not patches, are drawn with replacement; all three are NaN where nothing is below.
    """
    rows = pd.DataFrame({"above": np.asarray(above, float), "below": below, "clip": np.asarray(clips)})
    sums = rows.groupby("clip").sum().to_numpy()
    if not sums[:, 1].sum():
        return np.nan, np.nan, np.nan
    draws = np.random.default_rng(seed).integers(0, len(sums), (RESAMPLES, len(sums)))
    drawn = sums[draws].sum(axis=1)
    drawn = drawn[drawn[:, 1] != 0]
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [(1 - confidence) / 2, (1 + confidence) / 2])
    return sums[:, 0].sum() / sums[:, 1].sum(), low, high
