"""What whole classes rest on: profiles with their spread, differences between classes, where methods agree."""

import numpy as np
import xarray as xr
from scipy import stats

from ..errors import UnknownLabelError
from ..evaluation.metrics import RESAMPLES
from ..sound.patches import class_names

AXES = ("time", "frequency")


def class_profile(maps, labels=None, *, along="frequency", own=True, confidence=0.95, seed=0):
    """Mean map of each class along one axis, or as a whole, with its interval and its spread over patches.

    Of maps in a file, those of one class at a time are read.

    Parameters
    ----------
    maps : xarray.DataArray [n, label, time, frequency]
        From `explain` or `explain_to_file`.
    labels : sequence of str, optional
        All labels of the maps by default.
    along : {"frequency", "time"} or None
        The axis that is kept, the other is averaged; None keeps both.
    own : bool
        Average for each class only the patches that are of it (maps from `explain` know which); otherwise all of them.
    confidence : float
        Of the intervals, for which clips are drawn with replacement.
    seed : int

    Returns
    -------
    xarray.Dataset [label, time and/or frequency]
        `mean`, its interval `low` to `high`, the quartiles over patches `q25`, `q50` and `q75`, and of how many
        `patches` and `clips` (label). Values in the units of the maps.

    Raises
    ------
    UnknownLabelError
        If there is no map for a class, or no patch of it.
    ValueError
        If the maps do not know the true classes, or an option is unknown.
    """
    labels = maps["label"].values.tolist() if labels is None else [labels] if isinstance(labels, str) else list(labels)
    parts = []
    for label in labels:
        each = _of_class(maps, label, along, own)
        draws = _drawn_means(each, seed)
        found = {"mean": each.mean("patch")} | _interval(each, draws, confidence)
        quartiles = each.quantile([0.25, 0.5, 0.75], "patch")
        found |= {f"q{100 * share:.0f}": quartiles.sel(quantile=share, drop=True) for share in (0.25, 0.5, 0.75)}
        found |= {"patches": each.sizes["patch"], "clips": len(np.unique(_clips(each)))}
        parts.append(xr.Dataset(found))
    whole = xr.concat(parts, xr.DataArray(labels, dims="label", name="label"))
    return whole.assign_attrs(maps.attrs | {"confidence": confidence})


def class_difference(maps, labels, *, along="frequency", own=True, confidence=0.95, seed=0):
    """Mean map of one class minus that of another, with its interval.

    Parameters
    ----------
    maps : xarray.DataArray [n, label, time, frequency]
    labels : (str, str)
    along : {"frequency", "time"} or None
        The axis that is kept, the other is averaged; None keeps both.
    own : bool
        Compare the patches of the one class with those of the other, each by its own map, clips drawn within each;
        otherwise the two maps of the same patches, all of them, clips drawn once for both.
    confidence : float
    seed : int

    Returns
    -------
    xarray.Dataset [time and/or frequency]
        `difference`, and its interval `low` to `high`.

    Raises
    ------
    UnknownLabelError, ValueError
        As `class_profile`; ValueError also unless there are two different classes.
    """
    labels = [labels] if isinstance(labels, str) else [str(label) for label in labels]
    if len(labels) != 2 or labels[0] == labels[1]:
        raise ValueError(f"labels {labels}: expected two different classes. Name them with labels=('dog', 'rooster').")
    one, two = (_of_class(maps, label, along, own) for label in labels)
    if own:
        difference = one.mean("patch") - two.mean("patch")
        draws = _drawn_means(one, seed) - _drawn_means(two, seed + 1)
    else:
        one = one - two
        difference, draws = one.mean("patch"), _drawn_means(one, seed)
    found = xr.Dataset({"difference": difference} | _interval(one, draws, confidence))
    return found.assign_attrs(maps.attrs | {"confidence": confidence, "labels": labels})


def method_consensus(maps, label, *, own=True):
    """Where methods agree on a class: their maps by rank, cell by cell.

    Within each patch's map the cells are ranked and the ranks scaled to 0 … 1, so that methods in different units can
    be compared; a map that tells nothing is 0.5 everywhere.

    Parameters
    ----------
    maps : dict of xarray.DataArray [n, label, time, frequency]
        By method, of the same patches and on the same axes.
    label : str
    own : bool
        Average only the patches of this class; otherwise all of them.

    Returns
    -------
    xarray.Dataset [methods, time, frequency]
        `rank` (mean over patches, a method), and over the methods its `mean` and `spread` (standard deviation; 0 where
        they agree, 0.5 where half of them rank a cell first and half last). ``attrs["patches"]`` says of how many.

    Raises
    ------
    ValueError
        If there are fewer than two methods, or their maps are not of the same patches and axes.
    UnknownLabelError
        If a method has no map for the class.
    """
    if len(maps) < 2:
        raise ValueError(f"maps of {', '.join(maps) or 'no method'}: expected at least two methods.")
    ranks = {}
    for method, each in maps.items():
        cells = _of_class(each, label, None, own)
        values = cells.values.reshape(len(cells), -1)
        scaled = (stats.rankdata(values, axis=1) - 1) / max(values.shape[1] - 1, 1)
        ranks[method] = cells.copy(data=scaled.reshape(cells.shape))
    try:
        xr.align(*ranks.values(), join="exact")
    except ValueError as error:
        shapes = ", ".join(f"{method} {each.shape}" for method, each in ranks.items())
        raise ValueError(
            f"maps of {shapes} are not of the same patches and axes: expected upsampled maps, as explain() gives."
        ) from error
    count = len(next(iter(ranks.values())))
    names = xr.DataArray(list(maps), dims="methods", name="methods")
    rank = xr.concat([each.mean("patch") for each in ranks.values()], names, coords="minimal", compat="override")
    found = {"rank": rank, "mean": rank.mean("methods"), "spread": rank.std("methods")}
    return xr.Dataset(found, attrs={"label": label, "patches": count})


def _of_class(maps, label, along, own):
    """Maps of a class [patch, ...] of its own patches or all, averaged over the axis that is not kept."""
    if along not in (*AXES, None):
        raise ValueError(f"along={along!r}: expected 'frequency', 'time' or None (both).")
    known, (label,) = class_names(maps["label"].values), class_names([label])
    if label not in known:
        raise UnknownLabelError(f"label {label!r} is not among those of the maps. Known: {', '.join(known)}.")
    if own:
        if "true" not in maps.coords:
            raise ValueError(
                "these maps do not know the true classes of their patches (no coordinate 'true'). Average all of them "
                "with own=False, or explain patches that have labels."
            )
        rows = np.flatnonzero(np.asarray(class_names(maps["true"].values)) == label)
        if not len(rows):
            there = ", ".join(sorted({*map(str, maps["true"].values)}))
            raise UnknownLabelError(
                f"label {label!r} is not among those of the patches (average all of them with own=False). "
                f"Known: {there}."
            )
        maps = maps.isel(patch=rows)
    maps = maps.isel(label=known.index(label), drop=True).load()
    return (maps.mean([axis for axis in AXES if axis != along]) if along else maps).transpose("patch", ...)


def _clips(maps):
    return maps["clip" if "clip" in maps.coords else "patch"].values


def _drawn_means(maps, seed):
    """Means over patches [draws, ...] with clips drawn with replacement."""
    _, clip = np.unique(_clips(maps), return_inverse=True)
    flat = maps.values.reshape(len(maps), -1).astype(np.float64)
    sums = np.zeros((clip.max() + 1, flat.shape[1]))
    np.add.at(sums, clip, flat)
    count = len(sums)
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), RESAMPLES)
    return (draws @ sums / (draws @ np.bincount(clip))[:, None]).reshape(-1, *maps.shape[1:])


def _interval(maps, draws, confidence):
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence}: expected a share between 0 and 1, such as 0.95.")
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    frame = maps.isel(patch=0, drop=True)
    return {"low": frame.copy(data=low), "high": frame.copy(data=high)}
