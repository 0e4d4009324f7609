"""How far the maps of several methods agree."""

from itertools import combinations

import numpy as np
import pandas as pd

from ..errors import UnknownLabelError


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
        If there are fewer than two methods, or their maps differ in patches or size.
    UnknownLabelError
        If a map lacks a class.
    """
    first = next(iter(maps.values()), None)
    if len(maps) < 2 or any(one.sizes != first.sizes for one in maps.values()):
        sizes = {method: tuple(one.sizes.values()) for method, one in maps.items()}
        raise ValueError(
            f"maps of {sizes}: expected at least two methods, upsampled, for the same patches and classes."
        )
    if len(labels) != first.sizes["patch"]:
        raise ValueError(f"{len(labels)} labels for {first.sizes['patch']} patches: expected one a patch.")
    rows = []
    for row, label in enumerate(labels):
        if label not in first["label"]:
            known = ", ".join(first["label"].values)
            raise UnknownLabelError(f"label {label!r}: the maps are of {known}.")
        cells = pd.DataFrame(
            {method: one.isel(patch=row).sel(label=label).values.ravel() for method, one in maps.items()}
        )
        strong = cells >= cells.quantile(1 - top)
        for one, two in combinations(maps, 2):
            both, smaller = (strong[one] & strong[two]).sum(), min(strong[one].sum(), strong[two].sum())
            about = {"patch": first["patch"].values[row], "label": label, "methods": f"{one}, {two}"}
            correlation = cells[one].corr(cells[two], "spearman") if cells[[one, two]].nunique().min() > 1 else np.nan
            rows.append(about | {"rank_correlation": correlation, "overlap": both / smaller})
    return pd.DataFrame(rows).set_index(["patch", "label", "methods"])
