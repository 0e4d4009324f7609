"""Maps against evidence that is known."""

import numpy as np
import pandas as pd
import xarray as xr
from tqdm import tqdm

from ..datasets.synthetic.evidence import evidence_mask
from ..errors import MissingDataError
from ..evaluation.metrics import ratio_interval
from ..layers.filters import feature_maps
from ..maps.deconvolution import deconvolve
from .methods import by_name, own_maps

SCORES = ("hit", "mass", "top")
CELLS = ("time", "frequency")


def evidence_score(maps, clips):
    """How far maps point at the evidence of synthetic sounds, patch by patch.

    Only positive values count. An even map has `mass` and `top` equal to `area`, and a peak placed at random hits as
    often as `area` says. Cells of `faint` sounds, which come with the evidence without being part of it, count neither
    way.

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
        the evidence: the pointing game), `mass` (share of the map's sum that lies there: relevance mass accuracy),
        `top` (share of the strongest cells, as many as the evidence has, that lie there: relevance rank accuracy) and
        `area` (share of the cells that do). Of cells that are equally strong, the share inside counts. The first three
        are NaN for maps without a positive value that counts, `top` also where the patch holds no evidence.

    Raises
    ------
    MissingDataError
        If the clips have no evidence, or the maps do not say which clip and when they are of.
    """
    inside, counted = _evidence_in(maps, clips)
    positive = maps.clip(min=0).where(counted).astype(np.float64)
    total, peak = positive.sum(CELLS), positive.max(CELLS)
    some = total > 0
    strongest = (positive == peak) & counted
    hit = (strongest & inside).sum(CELLS) / strongest.sum(CELLS)
    mass = positive.where(inside).sum(CELLS) / total.where(some)
    top = xr.apply_ufunc(
        _top_share, positive, inside, input_core_dims=[CELLS, CELLS], vectorize=True, output_dtypes=[float]
    )
    area = inside.sum(CELLS) / counted.sum(CELLS)
    table = {"hit": hit.where(some), "mass": mass, "top": top.where(some), "area": area.broadcast_like(hit)}
    index = [dim for dim in maps.dims if dim not in CELLS]
    columns = {name: values.transpose(*index).reset_coords(drop=True).to_series() for name, values in table.items()}
    return pd.DataFrame(columns)


def evidence_summary(maps, clips, *, confidence=0.95, seed=0):
    """How far each method points at the evidence of each class, beside chance and beside the best that can be.

    Each patch counts with the map of its true class, unless it holds no evidence or the map has no positive value.

    Parameters
    ----------
    maps : dict of xarray.DataArray [patch, label, time (s), frequency (Hz)]
        By method, as `explain` gives them, of all true classes. Two more are added: "random" (`random_maps`) and
        "oracle" (the evidence itself).
    clips : pandas.DataFrame
        Their clip table, with `evidence`.
    confidence : float
    seed : int
        For the random maps and the clips drawn.

    Returns
    -------
    pandas.DataFrame
        Indexed by `method`, `label` (each class, and "all classes") and `measure` ("hit", "mass", "top": see
        `evidence_score`): `score` and `area`, means over patches; `ratio`, the one over the other, 1 by chance; `low`
        and `high`, its interval, clips drawn with replacement; `clips` and `patches`, how many there were.

    Raises
    ------
    MissingDataError
        As `evidence_score`, and if the maps do not know the patches' true classes.
    UnknownLabelError
        If a method has no map of a true class.
    """
    maps, own = by_name(maps, ["random", "oracle"]), {}
    for method, one in maps.items():
        if "true" not in one.coords:
            raise MissingDataError(f"the maps of {method} do not know the true classes. Give them as explain does.")
        own[method] = own_maps(one, one["true"].values, method)
    first = next(iter(own.values()))
    own |= {"random": random_maps(first, seed=seed), "oracle": oracle_maps(first, clips)}
    rows = []
    for method, one in own.items():
        table = evidence_score(one, clips).assign(clip=one["clip"].values, label=one["true"].values)
        table = table[table["area"] > 0].dropna()
        for label, part in [*table.groupby("label"), ("all classes", table)]:
            for measure in SCORES:
                ratio, low, high = ratio_interval(
                    part[measure], part["area"], part["clip"], confidence=confidence, seed=seed
                )
                about = {"method": method, "label": label, "measure": measure, "score": part[measure].mean()}
                about |= {"area": part["area"].mean(), "ratio": ratio, "low": low, "high": high}
                rows.append(about | {"clips": part["clip"].nunique(), "patches": len(part)})
    return pd.DataFrame(rows).set_index(["method", "label", "measure"]).sort_index()


def evidence_area(patches, clips):
    """Share of each patch that is evidence: where it is small, a map has much to gain over chance.

    Parameters
    ----------
    patches : Patches [n]
    clips : pandas.DataFrame
        Their clip table, with `evidence` and, if it has it, `faint`.

    Returns
    -------
    numpy.ndarray [n]
        As `area` of `evidence_score`.

    Raises
    ------
    MissingDataError
        As `evidence_score`.
    """
    coords = {"patch": patches.table.index.to_numpy(), "time": patches.time, "frequency": patches.frequency}
    known = [name for name in ("clip", "start") if name in patches.table]
    about = {name: ("patch", patches.table[name].to_numpy()) for name in known}
    maps = xr.DataArray(np.zeros(patches.data.shape, np.float32), coords | about, ("patch", *CELLS))
    return evidence_score(maps, clips)["area"].to_numpy()


def random_maps(maps, *, seed=0):
    """Maps that know nothing, of the same patches, classes and cells: each cell a number from 0 to 1, drawn evenly."""
    return maps.copy(data=np.random.default_rng(seed).uniform(size=maps.shape).astype(np.float32))


def moved_maps(maps, *, seed=0):
    """The same maps, each moved by random numbers of cells, what leaves at one side coming in at the other.

    They are as smooth and as peaked as the maps are, and know as little as chance: a closer comparison than
    `random_maps` wherever compact regions count otherwise than scattered ones.
    """
    rng, (frames, mels) = np.random.default_rng(seed), (maps.sizes[dim] for dim in CELLS)
    moves = rng.integers(0, [frames, mels], (maps.sizes["patch"], 2))
    one_by_one = [maps.isel(patch=row).roll(dict(zip(CELLS, move, strict=True))) for row, move in enumerate(moves)]
    return maps.copy(data=np.stack([one.values for one in one_by_one], axis=maps.dims.index("patch")))


def oracle_maps(maps, clips):
    """Maps that know all, of the same patches, classes and cells: 1 in the evidence of a clip table, 0 elsewhere."""
    inside = _evidence_in(maps, clips)[0].broadcast_like(maps).transpose(*maps.dims)
    return maps.copy(data=inside.values.astype(np.float32))


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
        `hit`, `mass`, `top` and `area`, means over the filter's patches (see `evidence_score`), and `patches`, their
        number. A filter that answers to none has no scores.

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
        scores = pd.DataFrame(columns=[*SCORES, "area"], dtype=float)
        if len(own):
            back = deconvolve(network, patches[own.index.to_numpy()], layer, number, keep=1, progress=False)
            scores = evidence_score(back, clips)
        rows[number] = {**scores.mean(), "patches": len(own)}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("filter")


def _evidence_in(maps, clips):
    """Which cells lie in the evidence, and which count [patch, time, frequency]; an error if it cannot be told."""
    if "evidence" not in clips:
        raise MissingDataError("the clip table has no column evidence: only synthetic sounds know where theirs lies.")
    if not clips.index.is_unique:
        raise MissingDataError(
            "the index of the clip table names clips more than once, as after pd.concat(): expected each clip once. "
            "Pass the table that the patches were made from."
        )
    absent = [name for name in ("clip", "start", *CELLS) if name not in maps.coords]
    if absent or not set(maps["clip"].values.tolist()) <= set(clips.index):
        found = f"lack {', '.join(absent)}" if absent else "are of clips that the table does not hold"
        raise MissingDataError(f"the maps {found}. Give maps as explain returns them, and the table of their clips.")
    inside = _cells_in(clips["evidence"], maps)
    return inside, inside | ~_cells_in(clips["faint"], maps) if "faint" in clips else xr.ones_like(inside)


def _top_share(values, inside):
    """Of the strongest values, as many as there are cells inside, the share inside; NaN values do not count."""
    count = inside.sum()
    if not count:
        return np.nan
    least = np.partition(np.where(np.isnan(values), -1, values), -count, axis=None).reshape(-1)[-count]
    above, equal = values > least, values == least
    return ((above & inside).sum() + (count - above.sum()) * (equal & inside).sum() / equal.sum()) / count


def _cells_in(boxes, maps):
    """Which cells of each patch lie in the boxes of its clip [patch, time, frequency]."""
    time, frequency = maps["time"].values, maps["frequency"].values
    starts = zip(maps["clip"].values.tolist(), maps["start"].values, strict=True)
    inside = [evidence_mask(boxes[clip], start + time, frequency) for clip, start in starts]
    shape = (len(inside), len(time), len(frequency))
    coords = {dim: maps[dim].values for dim in ("patch", "time", "frequency")}
    return xr.DataArray(np.reshape(np.array(inside, bool), shape), coords, ("patch", "time", "frequency"))
