"""Maps against evidence that is known."""

import numpy as np
import pandas as pd
import xarray as xr
from tqdm import tqdm

from ..datasets.synthetic.evidence import evidence_mask
from ..errors import MissingDataError
from ..layers.filters import feature_maps
from ..maps.deconvolution import deconvolve


def evidence_score(maps, clips):
    """How far maps point at the evidence of synthetic sounds, patch by patch.

    Only positive values count. An even map has `mass` equal to `area`, and a peak placed at random hits as often as
    `area` says. Cells of `faint` sounds, which come with the evidence without being part of it, count neither way.

    Parameters
    ----------
    maps : xarray.DataArray [patch, ..., time (s), frequency (Hz)]
        From `explain` or `deconvolve`, with the coordinates `clip` and `start` along `patch`.
    clips : pandas.DataFrame
        Their clip table, with `evidence` and, if it has it, `faint`: boxes (start_s, stop_s, low_hz, high_hz) in each
        clip.

    Returns
    -------
    pandas.DataFrame
        Indexed by `patch` and the map's other dimensions, such as `label`: `hit` (whether the strongest cell lies in
        the evidence), `mass` (share of the map's sum that lies there) and `area` (share of the cells that do). `hit`
        and `mass` are NaN for maps without a positive value that counts.

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
    inside = _cells_in(clips["evidence"], maps)
    cells = ("time", "frequency")
    counted = inside | ~_cells_in(clips["faint"], maps) if "faint" in clips else xr.ones_like(inside)
    positive = maps.clip(min=0).where(counted).astype(np.float64)
    total, peak = positive.sum(cells), positive.max(cells)
    some = total > 0
    strongest = (positive == peak) & counted
    hit = (strongest & inside).sum(cells) / strongest.sum(cells)  # of cells that are equally strong, the share inside
    mass = positive.where(inside).sum(cells) / total.where(some)
    area = inside.sum(cells) / counted.sum(cells)
    table = {"hit": hit.where(some), "mass": mass, "area": area.broadcast_like(hit)}
    index = [dim for dim in maps.dims if dim not in cells]
    columns = {name: values.transpose(*index).reset_coords(drop=True).to_series() for name, values in table.items()}
    return pd.DataFrame(columns)


def filter_evidence(network, patches, clips, layer, *, filters=None, most=10, progress=True):
    """How often the strongest region of each filter lies in the evidence of synthetic sounds.

    Of the patches that a filter answers to most, one a clip, the strongest position is sent back to the input
    (`deconvolve`); that region is scored by `evidence_score`.

    Parameters
    ----------
    network : keras.Model [(n, frames, mels, 1) -> ...]
    patches : Patches [n]
        Best those that the network was not trained on.
    clips : pandas.DataFrame
        With `evidence`.
    layer : str
        A convolution.
    filters : sequence of int, optional
        All of the layer by default.
    most : int
        Patches a filter.
    progress : bool

    Returns
    -------
    pandas.DataFrame [filters]
        `hit`, `mass` and `area`, means over the filter's patches (see `evidence_score`), and `patches`, their number.
        A filter that answers to none has no scores.

    Raises
    ------
    ValueError, PatchShapeError, MissingDataError
        As `deconvolve`, `feature_maps` and `evidence_score`.
    """
    strongest = feature_maps(network, patches, layer, progress=progress).max(["time", "frequency"])
    chosen = range(strongest.sizes["filter"]) if filters is None else filters
    rows = {}
    for number in tqdm(chosen, f"filters of {layer}", unit="filter", leave=False, delay=2, disable=not progress):
        own = strongest.sel(filter=number).to_series()
        own = pd.DataFrame({"value": own.to_numpy(), "clip": patches.clip}).query("value > 0")
        own = own.sort_values("value", ascending=False, kind="stable").drop_duplicates("clip").head(most)
        scores = pd.DataFrame(columns=["hit", "mass", "area"], dtype=float)
        if len(own):
            back = deconvolve(network, patches[own.index.to_numpy()], layer, number, keep=1, progress=False)
            scores = evidence_score(back, clips)
        rows[number] = {**scores.mean(), "patches": len(own)}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("filter")


def _cells_in(boxes, maps):
    """Which cells of each patch lie in the boxes of its clip [patch, time, frequency]."""
    time, frequency = maps["time"].values, maps["frequency"].values
    starts = zip(maps["clip"].values.tolist(), maps["start"].values, strict=True)
    inside = [evidence_mask(boxes[clip], start + time, frequency) for clip, start in starts]
    shape = (len(inside), len(time), len(frequency))
    coords = {dim: maps[dim].values for dim in ("patch", "time", "frequency")}
    return xr.DataArray(np.reshape(inside, shape), coords, ("patch", "time", "frequency"))
