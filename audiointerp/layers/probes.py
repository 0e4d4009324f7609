"""Linear probes: what a straight cut through a layer's neurons can tell about the class."""

import warnings
from itertools import combinations

import joblib
import numpy as np
import pandas as pd
from tqdm import tqdm

from ..errors import MissingDataError, UnknownLabelError
from ..evaluation.metrics import accuracy
from ..storage.cache import cached

GRID = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
C = 0.1  # what the published grid chose
ITERATIONS = 3_000  # enough for C up to 0.1; for larger C liblinear does not converge in 10,000 either
QUICK = 1_000  # where it is stopped when C is chosen
DUAL_FROM = 1.0  # C from which the dual solver is used, as published: ten times as fast where neither converges


def probe(features, *, C=C, folds=None, max_iter=ITERATIONS, seed=0, cache=True, progress=True):
    """Predictions of a linear SVM on a layer, each clip's by a probe that was trained without its fold.

    Parameters
    ----------
    features : xarray.DataArray [clip, neuron]
        With `label` and `fold` along the clips.
    C : float or dict
        Strength of the data against the penalty; by fold, as `chosen_C` gives it, if it is a dictionary.
    folds : sequence of int, optional
        Folds to hold out in turn; all by default. The others always train.
    max_iter : int
        Where liblinear stops at the latest, converged or not: for C of 1 and more it usually does not.
    seed : int
    cache, progress : bool

    Returns
    -------
    pandas.DataFrame [clips of these folds]
        `label`, `fold`, `predicted`, for `accuracy` and `confusion`.

    Raises
    ------
    UnknownLabelError
        If the features have no labels.
    MissingDataError
        If there are fewer than two folds, a fold asked for has no clips, or a dictionary of C lacks it.

    References
    ----------
    ``StandardScaler`` and ``LinearSVC`` of scikit-learn, as in github.com/jplumail/SoundNet; Alain & Bengio,
    "Understanding intermediate layers using linear classifier probes", 2016.
    """
    folds = _check(features, folds)
    if isinstance(C, dict) and (absent := [fold for fold in folds if fold not in C]):
        raise MissingDataError(f"C is given for folds {list(C)}; {absent} are held out too. Name C for them, or folds.")
    strengths = {fold: C[fold] if isinstance(C, dict) else C for fold in folds}
    own = features["fold"].values

    tests = [(strengths[fold], own == fold) for fold in folds]
    predicted = np.concatenate(_predicted(_key(features), features, tests, max_iter, seed, progress, cache=cache))
    labels = np.unique(features["label"].values)
    table = features[np.concatenate([np.flatnonzero(own == fold) for fold in folds])]
    columns = {"label": table["label"].values, "fold": table["fold"].values, "predicted": labels[predicted]}
    predictions = pd.DataFrame(columns, pd.Index(table["clip"].values, name="clip")).sort_index()
    predictions.attrs["labels"] = labels.tolist()
    return predictions


def probe_grid(features, *, Cs=GRID, folds=None, max_iter=ITERATIONS, seed=0, cache=True, progress=True):
    """Accuracy of the probe for each C, fold by fold.

    Parameters
    ----------
    features : xarray.DataArray [clip, neuron]
    Cs : sequence of float
    folds, max_iter, seed, cache, progress
        As in `probe`.

    Returns
    -------
    pandas.DataFrame [C, fold]
    """
    folds = _check(features, folds)
    own = features["fold"].values
    tests = [(C, own == fold) for C in Cs for fold in folds]
    right = _right(features, tests, max_iter, seed, cache, progress)
    index, columns = pd.Index(Cs, name="C"), pd.Index(folds, name="fold")
    return pd.DataFrame(np.nanmean(right, axis=1).reshape(len(Cs), len(folds)), index, columns)


def chosen_C(features, *, Cs=GRID, folds=None, max_iter=QUICK, seed=0, cache=True, progress=True):
    """The best C for each fold held out, chosen without looking at that fold.

    For every fold held out, each of the others is predicted by a probe trained on the rest of them; the C with the
    highest mean accuracy is chosen, the smallest among equals.

    Parameters
    ----------
    As in `probe_grid`; liblinear is stopped earlier, since only the choice counts.

    Returns
    -------
    dict
        ``{fold: C}``, to be given to `probe`.
    """
    folds, Cs = _check(features, folds), sorted(set(Cs))
    own = features["fold"].values
    if len(np.unique(own)) < 3:
        raise MissingDataError("fewer than 3 folds: no fold is left to choose C on. Name C instead.")
    # A probe trained without two folds tells how good a C is on either of them when the other one is held out.
    pairs = [(C, pair) for C in Cs for pair in combinations([int(fold) for fold in np.unique(own)], 2)]
    pairs = [(C, pair) for C, pair in pairs if set(pair) & set(folds)]
    right = _right(features, [(C, np.isin(own, pair)) for C, pair in pairs], max_iter, seed, cache, progress)
    means = pd.DataFrame(0.0, index=folds, columns=Cs)
    for (C, (one, two)), row in zip(pairs, right, strict=True):
        for outer, inner in ((one, two), (two, one)):
            if outer in folds:
                means.loc[outer, C] += row[own == inner].mean()
    means = means.round(9)  # so that rounding does not decide between equals, of which the first is taken
    return {fold: float(means.loc[fold].idxmax()) for fold in folds}


def probe_layers(features, *, C=C, folds=None, max_iter=ITERATIONS, seed=0, cache=True, progress=True):
    """Accuracy of a probe on each layer, with its interval and its spread over the folds.

    Parameters
    ----------
    features : dict of xarray.DataArray [clip, neuron]
    C, folds, max_iter, seed, cache, progress
        As in `probe`.

    Returns
    -------
    pandas.DataFrame [layer]
        `accuracy`, `low`, `high` (Wilson, 95 %), `spread` (standard deviation over folds), `folds` (accuracy of each,
        a list), `n` (clips), `neurons`.
    """
    rows = {}
    for name, layer in tqdm(features.items(), "probes", unit="layer", leave=False, delay=2, disable=not progress):
        predictions = probe(layer, C=C, folds=folds, max_iter=max_iter, seed=seed, cache=cache, progress=False)
        by_fold = (predictions["predicted"] == predictions["label"]).groupby(predictions["fold"]).mean()
        found = accuracy(predictions)
        spread = by_fold.std(ddof=0) if len(by_fold) > 1 else np.nan
        rows[name] = {**found[["accuracy", "low", "high"]], "spread": spread, "folds": by_fold.tolist()}
        rows[name] |= {"n": int(found["n"]), "neurons": layer.sizes["neuron"]}
    return pd.DataFrame(rows).T.rename_axis("layer").infer_objects()


def _right(features, tests, max_iter, seed, cache, progress):
    """Whether each clip is right, for each (C, clips that are tested, the others train): [tests, clips], else NaN."""
    predicted = _predicted(_key(features), features, tests, max_iter, seed, progress, cache=cache)
    targets = np.unique(features["label"].values, return_inverse=True)[1]
    right = np.full((len(tests), len(targets)), np.nan)
    for row, found, (_, test) in zip(right, predicted, tests, strict=True):
        row[test] = found == targets[test]
    return right


@cached("probes", version=1, ignore=("features", "progress"))
def _predicted(key, features, tests, max_iter, seed, progress):
    """Predicted classes, as numbers, of the clips of each test."""
    tasks = (joblib.delayed(_fit)(features, ~test, test, C, max_iter, seed) for C, test in tests)
    results = joblib.Parallel(-1, return_as="generator")(tasks)
    return list(tqdm(results, "probes", len(tests), unit="fit", leave=False, delay=2, disable=not progress))


def _fit(features, train, test, C, max_iter, seed):
    """Predicted classes, as numbers in alphabetical order, of the clips `test`."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    targets = np.unique(features["label"].values, return_inverse=True)[1]
    dual = C >= DUAL_FROM or features.sizes["neuron"] > train.sum()
    svm = make_pipeline(StandardScaler(), LinearSVC(C=C, dual=dual, max_iter=max_iter, random_state=seed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # expected for large C; the docstrings say so
        svm.fit(features.values[train], targets[train])
    return svm.predict(features.values[test])


def _check(features, folds):
    """Folds to hold out, once the features have what a probe needs."""
    for needed in ("label", "fold"):
        if needed not in features.coords:
            raise UnknownLabelError(f"features of layer {features.name} have no {needed} along the clips.")
    known = [int(fold) for fold in np.unique(features["fold"].values)]
    if len(known) < 2:
        raise MissingDataError(f"clips of fold {known} only: a probe is tested on a fold it was not trained on.")
    if not np.isfinite(features.values).all():
        raise MissingDataError(f"features of layer {features.name} hold NaN or infinite values.")
    if absent := [fold for fold in folds or () if fold not in known]:
        raise MissingDataError(f"folds {absent} have no clips; there are {known}.")
    return known if folds is None else list(dict.fromkeys(int(fold) for fold in folds))


def _key(features):
    return [features.values, list(features["label"].values), features["fold"].values]
