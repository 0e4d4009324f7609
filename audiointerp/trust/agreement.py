"""How far the maps of several methods agree."""

from itertools import combinations

import numpy as np
import pandas as pd

from .methods import by_name, own_maps, rank_correlation

DIMS = ("patch", "label", "time", "frequency")


def map_agreement(maps, labels, *, top=0.1):
    """How far the maps of several methods agree, patch by patch.

    Parameters
    ----------
    maps : dict of xarray.DataArray [n, label, time, frequency]
        By method, as `explain` gives them, of the same patches and size.
    labels : sequence of str [n]
        The class whose map is compared, for each patch.
    top : float
        Share of the cells that count as the strongest.

    Returns
    -------
    pandas.DataFrame [n * pairs of methods]
        Indexed by `patch`, `label` and `methods`: `rank_correlation` (Spearman's, over all cells) and `overlap`, the
        share of the strongest cells that two maps have in common; `top` by chance. Where values are equal, more cells
        than `top` may be among the strongest; the smaller set then counts as the whole.

    Raises
    ------
    ValueError
        If there are fewer than two methods, or their maps are not of the same patches and axes.
    UnknownLabelError
        If a map lacks a class.
    """
    maps = by_name(maps)
    if not 0 < top < 1:
        raise ValueError(f"top={top}: expected a share of the cells between 0 and 1, such as 0.1.")
    if len(maps) < 2:
        raise ValueError(f"maps of {', '.join(maps) or 'no method'}: expected at least two methods.")
    maps = {method: one.transpose(*DIMS) for method, one in maps.items()}
    first, *others = maps.items()
    for method, one in others:
        _check_same(first, (method, one))
    patches = first[1]["patch"].values
    if len(labels) != len(patches):
        raise ValueError(f"{len(labels)} labels for {len(patches)} patches: expected one a patch.")
    cells = {method: own_maps(one, labels, method).values.reshape(len(patches), -1) for method, one in maps.items()}
    strong = {method: own >= np.quantile(own, 1 - top, axis=1, keepdims=True) for method, own in cells.items()}
    tables = []
    for one, two in combinations(maps, 2):
        smaller = np.minimum(strong[one].sum(axis=1), strong[two].sum(axis=1))
        measures = {"rank_correlation": rank_correlation(cells[one], cells[two])}
        measures["overlap"] = (strong[one] & strong[two]).sum(axis=1) / smaller
        about = {"patch": patches, "label": labels, "methods": f"{one}, {two}"}
        tables.append(pd.DataFrame(about | measures))
    return pd.concat(tables).sort_index(kind="stable").set_index(["patch", "label", "methods"])


def _check_same(first, other):
    """Raise a ValueError unless the maps of two methods are of the same patches, on the same axes."""
    (name, one), (another, two) = first, other
    for coordinate in ("patch", "clip", "start", "time", "frequency"):
        if coordinate not in one.coords or coordinate not in two.coords:
            continue
        here, there = one[coordinate].values, two[coordinate].values
        close = here.shape == there.shape and (
            np.allclose(here, there) if here.dtype.kind == there.dtype.kind == "f" else (here == there).all()
        )
        if not close:
            raise ValueError(
                f"maps of {name} and {another} differ in {coordinate} ({len(np.atleast_1d(here))} and "
                f"{len(np.atleast_1d(there))} values): expected upsampled maps of the same patches, as explain() gives."
            )
    if one.sizes["patch"] != two.sizes["patch"] or one.shape[2:] != two.shape[2:]:
        raise ValueError(
            f"maps of {name} and {another} have the shapes {one.shape} and {two.shape}: expected the same."
        )
