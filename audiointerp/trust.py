"""Can a map be trusted? Agreement between methods, and maps against evidence that is known."""

from itertools import combinations

import numpy as np
import pandas as pd

from .datasets.synthesis import evidence_mask
from .errors import MissingDataError, UnknownLabelError


def agreement(maps, labels, *, top=0.1):
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


def evidence_score(maps, clips):
    """How far maps point at the evidence of synthetic sounds, patch by patch.

    Only positive values count. Cells are those of the maps; in each column of time and row of frequency they count
    alike, so an even map has `mass` equal to `area`, and a peak placed at random hits as often as `area` says.

    Parameters
    ----------
    maps : xarray.DataArray [patch, ..., time (s), frequency (Hz)]
        From `explain` or `deconvolve`, with the coordinates `clip` and `start` along `patch`.
    clips : pandas.DataFrame
        Their clip table, with `evidence`: boxes (start_s, stop_s, low_hz, high_hz) in each clip.

    Returns
    -------
    pandas.DataFrame
        Indexed by `patch` and the map's other dimensions, such as `label`: `hit` (whether the strongest cell lies in
        the evidence), `mass` (share of the map's sum that lies there) and `area` (share of the cells that do). `hit`
        and `mass` are NaN for maps without a positive value.

    Raises
    ------
    MissingDataError
        If the clips have no evidence, or the maps do not say which clip and when they are of.
    """
    if "evidence" not in clips:
        raise MissingDataError("the clip table has no column evidence: only synthetic sounds know where theirs lies.")
    absent = [name for name in ("clip", "start", "time", "frequency") if name not in maps.coords]
    if absent or not set(maps["clip"].values.tolist()) <= set(clips.index):
        found = f"lack {', '.join(absent)}" if absent else "are of clips that the table does not hold"
        raise MissingDataError(f"the maps {found}. Give maps as explain returns them, and the table of their clips.")
    time, frequency = maps["time"].values, maps["frequency"].values
    inside = [
        evidence_mask(clips.at[clip, "evidence"], start + time, frequency)
        for clip, start in zip(maps["clip"].values.tolist(), maps["start"].values, strict=True)
    ]
    inside = maps.isel({dim: 0 for dim in maps.dims if dim not in ("patch", "time", "frequency")}, drop=True).copy(
        data=np.reshape(inside, (len(inside), len(time), len(frequency)))
    )
    cells = ("time", "frequency")
    positive = maps.clip(min=0).astype(np.float64)
    total, peak = positive.sum(cells), positive.max(cells)
    some = total > 0
    # Of cells that are equally strong, the share inside counts.
    strongest = positive == peak
    hit = (strongest & inside).sum(cells) / strongest.sum(cells)
    mass = (positive * inside).sum(cells) / total.where(some)
    table = {"hit": hit.where(some), "mass": mass, "area": inside.mean(cells).broadcast_like(hit)}
    index = [dim for dim in maps.dims if dim not in cells]
    columns = {name: values.transpose(*index).reset_coords(drop=True).to_series() for name, values in table.items()}
    return pd.DataFrame(columns)
