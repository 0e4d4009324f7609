"""Predictions as tables, and votes per clip.

A table of predictions carries its classes: ``table.attrs["labels"]``.
"""

import numpy as np
import pandas as pd

from ..errors import MissingDataError, UnknownLabelError
from ..storage.cache import cached

ABOUT = ("clip", "start", "label", "fold", "source", "path", "silent", "predicted", "score", "patches")


def predict(network, patches, *, batch_size=None, precision="auto", cache=True, progress=True):
    """Scores of every patch.

    Parameters
    ----------
    network : keras.Model [(n, frames, mels, 1) -> (n, classes)]
    patches : Patches [n]
    batch_size : int, optional
        Patches a forward pass; chosen for the network by default.
    precision : {"auto", "float32", "bfloat16"}
        Arithmetic of the network; "auto" is bfloat16 where the hardware gains from it.
    cache : bool
        Keep the scores in the cache and serve them from there.
    progress : bool
        Show a bar when it takes longer than two seconds.

    Returns
    -------
    pandas.DataFrame [n]
        `clip`, `start`, `label` and `fold` as the patches have them, `predicted`, `score` (of the predicted class),
        then one column a class with its score. The index is the patches' own; ``attrs["labels"]`` names the classes.

    Raises
    ------
    PatchShapeError
        If the network does not take these patches.
    MissingDataError
        If there are none.
    UnknownLabelError
        If a class has the name of another column.

    Examples
    --------
    >>> accuracy(vote(predict(network, patches)))  # doctest: +SKIP
    """
    # Tables are voted on and drawn without a network library.
    from ..networks.fingerprints import digest
    from ..networks.head import check_patches, labels_of
    from ..networks.precision import is_reduced

    check_patches(network, patches)
    if len(patches) == 0:
        raise MissingDataError("no patches to predict: the set is empty. Check the selection it came from.")
    key = [digest(network), patches.digest, is_reduced(precision)]
    scores = _scores(key, network, patches, batch_size, precision, progress, cache=cache)
    return prediction_table(patches.table, scores.astype(np.float64), labels_of(network))


@cached("scores", version=2, ignore=("network", "patches", "batch_size", "precision", "progress"))
def _scores(key, network, patches, batch_size, precision, progress):
    from ..networks.running import scores_of

    return scores_of(network, patches.data, batch_size=batch_size, precision=precision, progress=progress)


def vote(predictions, *, silent=False):
    """One prediction a clip: the class that most of its patches are taken for.

    A tie goes to the class with the higher summed score.

    Parameters
    ----------
    predictions : pandas.DataFrame
        From `predict`.
    silent : bool
        Whether silent patches vote too. A clip of nothing but silent patches is decided by them in any case.

    Returns
    -------
    pandas.DataFrame [clips]
        `label`, `fold`, `predicted`, `score` (share of the votes), `patches` (how many voted), then the mean score of
        each class; indexed by `clip`.

    Raises
    ------
    UnknownLabelError
        As `score_columns`.
    ValueError
        If a score is missing.

    Examples
    --------
    >>> vote(predict(network, patches))[["label", "predicted"]]  # doctest: +SKIP
    """
    if not silent and "silent" in predictions:
        sounding = ~predictions["silent"]
        only_silent = ~sounding.groupby(predictions["clip"]).transform("any")
        predictions = predictions[sounding | only_silent]
    labels = score_columns(predictions)
    if (unknown := predictions[["predicted", *labels]].isna().any(axis=1)).any():
        raise ValueError(f"{unknown.sum()} of {len(unknown)} patches have no score of a class (NaN): they cannot vote.")
    by_clip = predictions.groupby("clip", sort=False)
    voters, means = by_clip.size(), by_clip[labels].mean()
    votes = pd.get_dummies(predictions["predicted"], dtype=int).groupby(predictions["clip"], sort=False).mean()
    votes = votes.reindex(columns=labels, fill_value=0)
    table = by_clip[[c for c in ("label", "fold", "source", "path") if c in predictions]].first()
    # Mean scores stay below 1 and vote shares differ by at least 1 / voters, so this decides between equal votes only.
    table["predicted"] = (votes + means.div(voters + 1, axis=0)).idxmax(axis=1)
    table["score"] = votes.max(axis=1)
    table["patches"] = voters
    table = table.join(means)
    table.attrs["labels"] = labels
    return table


def mistakes(predictions, true="", predicted=""):
    """The sounding patches of one confusion.

    Parameters
    ----------
    predictions : pandas.DataFrame
        From `predict`.
    true, predicted : str
        The confusion; what is left empty is chosen so that most clips fall to it, and among equals most patches.

    Returns
    -------
    pandas.DataFrame
        The rows of `predictions` of this confusion, the surest of the wrong class first.

    Raises
    ------
    UnknownLabelError
        If no patch was mistaken in this way; the confusions that there are, are named.

    Examples
    --------
    >>> wrong = mistakes(predict(network, patches), "chainsaw", "helicopter")  # doctest: +SKIP
    """
    sounding = predictions[~predictions["silent"]] if "silent" in predictions else predictions
    wrong = sounding[sounding["label"] != sounding["predicted"]]
    patches = wrong.groupby(["label", "predicted"]).size()
    votes = vote(predictions)
    clips = votes[votes["label"] != votes["predicted"]].groupby(["label", "predicted"]).size()
    pairs = pd.DataFrame({"patches": patches, "clips": clips}).dropna(subset="patches").fillna(0)
    pairs = pairs.sort_values(["clips", "patches"], ascending=False, kind="stable")
    fitting = [pair for pair in pairs.index if true in ("", pair[0]) and predicted in ("", pair[1])]
    if not fitting:
        known = ", ".join(f"{a} for {b}" for a, b in pairs.index) or "none at all"
        asked = f"{true or 'any class'} for {predicted or 'any other'}"
        raise UnknownLabelError(f"no patch of a clip is mistaken as asked ({asked}). Mistakes there are: {known}.")
    true, predicted = fitting[0]
    chosen = wrong[(wrong["label"] == true) & (wrong["predicted"] == predicted)]
    return chosen.sort_values("score", ascending=False, kind="stable")


def doubtful_clips(votes):
    """Clips by how little speaks for their own class: the first may be mistakes of the network, or wrong labels.

    Parameters
    ----------
    votes : pandas.DataFrame [clips]
        From `vote`, best of clips that the network was not trained on.

    Returns
    -------
    pandas.DataFrame [clips]
        `label`, `own_score` (mean score of that class), `predicted`, `predicted_score` (mean score of the predicted
        one) and, if it is known, `path`; the least `own_score` first.

    Raises
    ------
    UnknownLabelError
        As `score_columns`, and if a clip has a label that is no class of the scores.

    Examples
    --------
    >>> doubtful_clips(vote(predict(network, patches))).head(10)  # doctest: +SKIP
    """
    scores = votes[score_columns(votes)]
    if unknown := sorted(set(votes["label"]) - set(scores)):
        raise UnknownLabelError(f"label {unknown[0]!r} has no column of scores; there are {', '.join(scores)}.")
    rows, values = np.arange(len(votes)), scores.to_numpy()
    table = votes[["label"]].copy()
    table["own_score"] = values[rows, scores.columns.get_indexer(votes["label"])]
    table["predicted"] = votes["predicted"]
    table["predicted_score"] = values[rows, scores.columns.get_indexer(votes["predicted"])]
    if "path" in votes:
        table["path"] = votes["path"]
    return table.sort_values("own_score", kind="stable")


def score_columns(predictions):
    """The columns of a prediction table that hold the scores of classes, which ``attrs["labels"]`` names.

    An UnknownLabelError if the table does not say which they are (one that was read from a file has lost them: put them
    there again), or some are missing.
    """
    labels = predictions.attrs.get("labels")
    absent = [label for label in labels or () if label not in predictions]
    if labels is None or absent:
        found = f"lacks the scores of {', '.join(absent)}" if absent else "does not say which columns are classes"
        raise UnknownLabelError(
            f"the table of predictions {found}; it has {', '.join(map(str, predictions))}. Name its classes: "
            'table.attrs["labels"] = labels_of(network).'
        )
    return list(labels)


def check_class_names(labels):
    """Raise an UnknownLabelError if a class has the name of a column of prediction tables."""
    if taken := sorted(set(labels) & set(ABOUT)):
        raise UnknownLabelError(f"class names {taken} are also columns of the table: rename these classes.")


def prediction_table(about, scores, labels):
    """Table of predictions, as `predict` returns it, from scores [n, classes] and what is known of each row.

    An UnknownLabelError if a class has the name of a column.
    """
    check_class_names(labels)
    table = about[[c for c in ABOUT if c in about]].copy()
    table["predicted"] = np.array(labels, dtype=object)[scores.argmax(axis=1)]
    table["score"] = scores.max(axis=1)
    table = pd.concat([table, pd.DataFrame(scores, table.index, labels)], axis=1)
    table.attrs["labels"] = list(labels)
    return table
