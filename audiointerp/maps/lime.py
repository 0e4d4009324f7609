"""LIME: a linear model of the score around one patch, over regions that are there or left out."""

import numpy as np

from ..networks.precision import chosen_precision
from ..networks.running import UNITS, check_score
from .arrays import request
from .perturbation import perturbed_scores
from .regions import grid_shape, regions_of

VERSION = 1


def lime(
    network,
    patches,
    *,
    labels=None,
    samples=2048,
    regions="grid",
    count=49,
    fill="mean",
    kernel_width=0.25,
    score="probability",
    upsample="linear",
    details=False,
    precision="auto",
    seed=0,
    batch_size=None,
    progress=True,
):
    """Coefficients of a local linear model, painted onto the regions they belong to.

    Each of `samples` versions of a patch keeps about half of its regions, the first one all of them. A ridge
    regression (α = 1, with intercept) from the regions kept to the score, versions weighted by
    √exp(−d²/kernel_width²) with d their cosine distance from the whole patch, gives each region's coefficient. That
    is ``lime.lime_base.LimeBase`` with all regions, solved for every class at once. The same random choices serve
    every patch, so that a patch's map does not depend on the others.

    Parameters
    ----------
    network : keras.Model [(n, frames, mels, 1) -> (n, classes)]
    patches : Patches [n]
    labels : sequence of str, optional
        Classes to explain; all by default.
    samples : int
        Versions of each patch.
    regions : {"grid", "superpixels"} or array_like [frames, mels], int
    count : int
        About how many regions, for a grid and for superpixels.
    fill : {"mean", "silence"} or float
        What cells left out become: the patch's mean, the log-mel value of silence, or a value.
    kernel_width : float
    score : {"probability", "logit"}
    upsample : {"linear", "nearest", None}
        None returns a grid's coefficients, one a cell; regions of other shapes have no such grid.
    details : bool
        Return a Dataset with `map`, `regions` (region number per cell), `coefficients` (per region), `r2` (how well
        the linear model fits, weighted), `intercept` and `score` (nothing left out).
    precision : {"auto", "float32", "bfloat16"}
    seed : int
    batch_size : int, optional
    progress : bool

    Returns
    -------
    xarray.DataArray [patch, label, time (s), frequency (Hz)] or xarray.Dataset
        Score that a region adds; positive where it supports the class.

    Raises
    ------
    ValueError
        If an option is unknown or out of range.
    PatchShapeError, UnknownLabelError, MissingDataError

    References
    ----------
    Ribeiro, Singh & Guestrin, "Why should I trust you?": Explaining the predictions of any classifier, KDD 2016.
    """
    asked = request(network, patches, labels, upsample, details)
    check_score(score)
    if samples < 2:
        raise ValueError(f"samples={samples}: expected at least 2; 2048 is usual.")
    if not kernel_width > 0:
        raise ValueError(f"kernel_width={kernel_width}: expected more than 0; 0.25 is usual.")
    is_grid = isinstance(regions, str) and regions == "grid"
    if upsample is None and not is_grid:
        raise ValueError("upsample=None: only regions='grid' has a grid to return. Ask for details=True instead.")
    region = regions_of(patches, regions, count)
    sizes = region.max(axis=(1, 2)) + 1
    kept = random_choices(samples, sizes.max(), seed)
    left_out = ~kept

    def hidden(patch, versions):
        return left_out[versions].take(region[patch], axis=1)

    run = {"score": score, "precision": precision, "batch_size": batch_size, "progress": progress, "title": "LIME"}
    scores = perturbed_scores(network, patches, hidden, samples, fill, **run)[..., asked.classes]
    coefficients = np.full((len(patches), scores.shape[2], sizes.max()), np.nan)
    intercept, r2 = np.empty((2, len(patches), scores.shape[2]))
    for row, size in enumerate(sizes):
        fitted = fit_ridge(kept[:, :size], scores[row], kernel_width)
        coefficients[row, :, :size], intercept[row], r2[row] = fitted

    settings = {"samples": int(samples), "regions": regions if isinstance(regions, str) else "given"}
    settings |= {"count": int(sizes.max()), "fill": fill, "kernel_width": kernel_width, "score": score, "seed": seed}
    about = {"method": "lime", "settings": settings, "units": UNITS[score]}
    about["precision"] = chosen_precision(precision)
    if upsample is None:
        rows, columns = grid_shape(region.shape[1:], count)
        grid = coefficients.reshape(len(patches), -1, rows, columns)
        maps = asked.array(grid, axes=asked.tiles(grid), **about)
        region = np.broadcast_to(np.arange(rows * columns).reshape(rows, columns), (len(patches), rows, columns))
    else:
        painted = np.take_along_axis(coefficients, region.reshape(len(patches), 1, -1), axis=2)
        maps = asked.array(painted.reshape(*painted.shape[:2], *region.shape[1:]), **about)
    if not details:
        return maps
    each = {"r2": asked.each(r2), "intercept": asked.each(intercept), "score": asked.each(scores[:, 0])}
    found = maps.to_dataset().assign(coefficients=asked.each(coefficients, "region"), **each)
    return found.assign(regions=(("patch", "time", "frequency"), region))


def random_choices(samples, regions, seed):
    """Regions kept by each version [samples, regions], bool, by the toss of a coin; the first version keeps all.

    A region's column depends on its number and the seed, not on how many regions there are.
    """
    kept = np.random.default_rng(seed).integers(0, 2, (regions, samples)).T.astype(bool)
    kept[0] = True
    return kept


def fit_ridge(kept, scores, kernel_width=0.25, alpha=1.0):
    """Weighted ridge regression from regions kept [samples, regions] to scores [samples, classes], all classes at once.

    In closed form: coefficients [classes, regions], intercept and weighted R² [classes], which is 1 where the score
    does not vary by more than the rounding of float32, as in scikit-learn.
    """
    kept, scores = kept.astype(np.float64), scores.astype(np.float64)
    distance = 1 - np.sqrt(kept.mean(axis=1))
    weight = np.sqrt(np.exp(-(distance**2) / kernel_width**2))[:, None]
    kept_mean, score_mean = ((weight * values).sum(axis=0) / weight.sum() for values in (kept, scores))
    x, y = kept - kept_mean, scores - score_mean
    gram = x.T @ (weight * x) + alpha * np.eye(x.shape[1])
    coefficients = np.linalg.solve(gram, x.T @ (weight * y))
    residual = (weight * (y - x @ coefficients) ** 2).sum(axis=0)
    total = (weight * y**2).sum(axis=0)
    varies = total > (4 * np.finfo(np.float32).eps) ** 2 * (weight * scores**2).sum(axis=0)
    r2 = np.where(varies, 1 - residual / np.where(varies, total, 1), 1.0)
    return coefficients.T, score_mean - kept_mean @ coefficients, r2
