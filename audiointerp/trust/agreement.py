"""How far the maps of several methods agree."""

from itertools import combinations

import numpy as np
import pandas as pd

from ..errors import UnknownLabelError

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
    if len(maps) < 2:
        raise ValueError(f"maps of {', '.join(maps) or 'no method'}: expected at least two methods.")
    maps = {method: one.transpose(*DIMS) for method, one in maps.items()}
    first, *others = maps.items()
    for method, one in others:
        _check_same(first, (method, one))
    patches = first[1]["patch"].values
    if len(labels) != len(patches):
        raise ValueError(f"{len(labels)} labels for {len(patches)} patches: expected one a patch.")
    rows = []
    for row, label in enumerate(labels):
        for method, one in maps.items():
            if label not in one["label"]:
                known = ", ".join(one["label"].values)
                raise UnknownLabelError(f"label {label!r}: the maps of {method} are of {known}.")
        cells = pd.DataFrame({method: one[row].sel(label=label).values.ravel() for method, one in maps.items()})
        strong = cells >= cells.quantile(1 - top)
        for one, two in combinations(maps, 2):
            both, smaller = (strong[one] & strong[two]).sum(), min(strong[one].sum(), strong[two].sum())
            about = {"patch": patches[row], "label": label, "methods": f"{one}, {two}"}
            correlation = cells[one].corr(cells[two], "spearman") if cells[[one, two]].nunique().min() > 1 else np.nan
            rows.append(about | {"rank_correlation": correlation, "overlap": both / smaller})
    return pd.DataFrame(rows).set_index(["patch", "label", "methods"])


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
