"""UMAP pictures of a layer, and numbers that say how far to believe them."""

import numbers

import numpy as np
import pandas as pd

from ..errors import MissingDataError, UnknownLabelError
from ..storage.cache import cached

NEIGHBOURS = 15
FEWEST = 4  # clips that UMAP can place


def project(
    features,
    *,
    supervised=False,
    by="label",
    fit_on=None,
    neighbours=NEIGHBOURS,
    min_dist=0.1,
    seed=0,
    cache=True,
    progress=True,
):
    """Two coordinates for each clip, by UMAP with the cosine distance.

    Parameters
    ----------
    features : xarray.DataArray [clip, neuron]
    supervised : bool
        Show UMAP what each clip is, as the published notebook did: clips of one class are then drawn together whether
        the features say so or not.
    by : str
        What it is shown: "label" or "group".
    fit_on : sequence of int, optional
        Folds that the picture is made from; clips of the others are put into it afterwards, without their labels. All
        folds by default.
    neighbours : int
        Neighbours that UMAP tries to keep; 2 or more, and fewer than there are clips.
    min_dist : float
        How close points may lie in the picture.
    seed : int
    cache, progress : bool

    Returns
    -------
    pandas.DataFrame [clip]
        `x`, `y`, and what is known of the clips: `label`, `fold`, `group`, `source`, `path`. ``attrs`` say layer and
        settings.

    Raises
    ------
    MissingDataError
        If there are fewer than 4 clips or no more than neighbours, values that are not numbers, or no clips in a fold
        asked for.
    ValueError
        If `neighbours` is not a whole number from 2 on.
    UnknownLabelError
        If clips have no labels to be supervised with, or no folds to choose from.

    References
    ----------
    McInnes, Healy & Melville, "UMAP: uniform manifold approximation and projection", 2018.
    """
    fitted = _fitted(features, fit_on)
    if supervised and by not in features.coords:
        raise UnknownLabelError(
            f"features of layer {features.name} have no {by} along the clips to be supervised with."
        )
    if not isinstance(neighbours, numbers.Integral) or neighbours < 2:
        raise ValueError(f"neighbours={neighbours!r}: expected a whole number from 2 on.")
    if (count := fitted.sum()) < FEWEST:
        raise MissingDataError(f"{count} clips: a picture needs at least {FEWEST}. Take more clips or more folds.")
    if count <= neighbours:
        raise MissingDataError(f"{count} clips for {neighbours} neighbours: more clips or fewer neighbours.")
    settings = {"n_neighbors": neighbours, "min_dist": min_dist, "metric": "cosine", "random_state": seed, "n_jobs": 1}
    targets = np.unique(features[by].values, return_inverse=True)[1] if supervised else None

    picture = _picture(features.values, fitted, settings, targets, progress, cache=cache)
    known = {
        name: features[name].values for name in ("label", "fold", "group", "source", "path") if name in features.coords
    }
    table = pd.DataFrame(
        {"x": picture[:, 0], "y": picture[:, 1], **known}, pd.Index(features["clip"].values, name="clip")
    )
    table.attrs = {"layer": features.name, "supervised": supervised, "fit_on": None if fit_on is None else list(fit_on)}
    return table


@cached("projections", version=1, ignore=("progress",))
def _picture(values, fitted, settings, targets, progress):
    """Two coordinates for each clip [clips, 2]."""
    import umap

    bar = {"desc": "projection", "unit": "epoch", "bar_format": None, "leave": False, "delay": 2}
    reducer = umap.UMAP(**settings, tqdm_kwds={**bar, "disable": not progress})
    picture = np.empty((len(values), 2), np.float32)
    picture[fitted] = reducer.fit_transform(values[fitted], None if targets is None else targets[fitted])
    if not fitted.all():
        picture[~fitted] = reducer.transform(values[~fitted])
    return picture


def projection_quality(
    features, *, supervised=False, by="label", held_out=None, neighbours=NEIGHBOURS, seed=0, cache=True, progress=True
):
    """How far a picture can be believed.

    Parameters
    ----------
    features : xarray.DataArray [clip, neuron]
    supervised, by, neighbours, seed, cache, progress
        As in `project`.
    held_out : int, optional
        Fold that the second picture is made without; the last one by default.

    Returns
    -------
    pandas.Series
        `trustworthiness`: 1 if no clips are neighbours in the picture that are not in the layer, 0.5 if the picture is
        random. The others are shares of clips whose nearest neighbour has the same label: `seen` in the picture made
        from all clips; `agreement` for clips of the fold held out, put into a picture made without them, against the
        clips it was made from; `original` for the same clips in the layer itself; `chance`.

    Raises
    ------
    MissingDataError
        If there are too few clips, values that are not numbers, or no other fold than the one held out.
    UnknownLabelError
        If clips have no labels or no folds.

    References
    ----------
    Venna & Kaski, "Neighborhood preservation in nonlinear projection methods", ICANN 2001.
    """
    from sklearn.manifold import trustworthiness

    if "label" not in features.coords or "fold" not in features.coords:
        raise UnknownLabelError(f"features of layer {features.name} need label and fold along the clips.")
    folds = [int(fold) for fold in np.unique(features["fold"].values)]
    held_out = folds[-1] if held_out is None else held_out
    if held_out not in folds or len(folds) < 2:
        raise MissingDataError(f"fold {held_out} cannot be held out: there are clips of folds {folds}.")
    if features.sizes["clip"] <= 2 * neighbours:
        raise MissingDataError(
            f"{features.sizes['clip']} clips: more than twice {neighbours} neighbours are needed to judge a picture."
        )
    settings = {"supervised": supervised, "by": by, "neighbours": neighbours, "seed": seed}
    settings |= {"cache": cache, "progress": progress}
    whole = project(features, **settings)[["x", "y"]].to_numpy()
    parted = project(features, fit_on=[fold for fold in folds if fold != held_out], **settings)[["x", "y"]].to_numpy()
    labels, test = features["label"].values, features["fold"].values == held_out

    values = features.values
    shares = pd.Series(labels[~test]).value_counts(normalize=True)
    return pd.Series(
        {
            "trustworthiness": trustworthiness(values, whole, n_neighbors=neighbours, metric="cosine"),
            "seen": float(_same(whole, labels).mean()),
            "agreement": float(_same(parted[~test], labels[~test], parted[test], labels[test]).mean()),
            "original": float(_same(values[~test], labels[~test], values[test], labels[test], metric="cosine").mean()),
            "chance": float((pd.Series(labels[test]).map(shares).fillna(0)).mean()),
        },
        name=features.name,
    )


def neighbour_agreement(table):
    """Share of each class's clips whose nearest neighbour in a picture is of the same class.

    Parameters
    ----------
    table : pandas.DataFrame [clip]
        From `project`.

    Returns
    -------
    pandas.Series [label], the highest first

    Raises
    ------
    UnknownLabelError
        If the clips have no labels.
    """
    if "label" not in table:
        raise UnknownLabelError("a picture of clips without labels: there is nothing that neighbours could agree in.")
    same = _same(table[["x", "y"]].to_numpy(), table["label"].to_numpy())
    return pd.Series(same, table["label"], dtype=float).groupby(level=0).mean().sort_values(ascending=False)


def _same(values, labels, asked=None, asked_labels=None, metric="euclidean"):
    """Whether the nearest neighbour of each clip asked for (each of `values`, without itself, by default) is alike."""
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=1, metric=metric).fit(values)
    found = search.kneighbors(asked, return_distance=False)[:, 0]
    return labels[found] == (labels if asked is None else asked_labels)


def _fitted(features, fit_on):
    """Which clips a picture is made from."""
    if not np.isfinite(features.values).all():
        raise MissingDataError(f"features of layer {features.name} hold NaN or infinite values.")
    if fit_on is None:
        return np.ones(features.sizes["clip"], bool)
    if "fold" not in features.coords:
        raise UnknownLabelError(f"features of layer {features.name} have no fold along the clips to choose from.")
    known = [int(fold) for fold in np.unique(features["fold"].values)]
    absent = [fold for fold in fit_on if fold not in known]
    if absent or not len(fit_on):
        raise MissingDataError(f"folds {absent} have no clips; there are {known}. Name one or more of these.")
    return np.isin(features["fold"].values, list(fit_on))
