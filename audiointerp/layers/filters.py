"""What the filters of a convolution do: where on a patch they are active, for which labels, and how steadily.

Feature maps are `xarray.DataArray` objects [patch, time, frequency, filter]. Statistics stand beside what an even map,
or chance, would give: shares of other networks, layers and data sets do not start equal.
"""

import numpy as np
import pandas as pd
import xarray as xr

from ..errors import MissingDataError, UnknownLabelError
from ..maps.arrays import at, grid_axis, label_coords
from ..networks.backend import keras
from ..networks.graph import CONVOLUTIONS, calls, feature_map, grid_of
from ..networks.head import check_patches
from ..networks.interpretable_filters import InterpretableFilters, filter_concentration, peak_positions
from ..networks.running import outputs_of
from .neurons import active, neuron_class_matrix, selectivity

DIMS = ("patch", "time", "frequency", "filter")
LARGEST = 2**28  # numbers that feature maps may have together: 1 GB
FINEST = 4096  # positions of a map whose concentration is measured: it takes a table of positions × positions
MEASURES = {"concentration": "area", "purity": "chance", "spread": "even"}  # and what each is compared with


def feature_maps(network, patches, layer, *, before_mask=True, batch_size=None, progress=True):
    """What each filter of a layer gives at each position of each patch.

    Parameters
    ----------
    network : keras.Model [(n, frames, mels, 1) -> ...]
    patches : Patches [n]
    layer : str
        A convolution, whose maps are taken after the batch norm and activation that directly follow it, before pooling
        and masks; or any other layer with a grid over time and frequency, whose output is taken.
    before_mask : bool
        If the layer is `InterpretableFilters`, take its input. Behind its mask all activation lies around the strongest
        position, whatever the filter has learned; False takes it all the same.
    batch_size : int, optional
    progress : bool

    Returns
    -------
    xarray.DataArray [patch, time (s), frequency (Hz), filter], float32
        Time (from the patch's start) and frequency are those of the positions' centres, the positions being taken to
        tile the patch evenly. Along `patch` stand `clip`, `start` and `label`, as far as the patches know them.

    Raises
    ------
    ValueError
        If there is no such layer, or there would be too many numbers.
    PatchShapeError
        If the network does not take these patches.
    MissingDataError
        If there are no patches.
    """
    if len(patches) == 0:
        raise MissingDataError("no patches: the set is empty. Check the selection it came from.")
    check_patches(network, patches)
    model = keras.Model(network.inputs[0], _maps_of(network, layer, before_mask))
    numbers = len(patches) * np.prod(model.output_shape[1:], dtype=int)
    if numbers > LARGEST:
        raise ValueError(
            f"layer={layer!r}: its maps of {len(patches):,} patches have {numbers:,} numbers, more than {LARGEST:,}. "
            "Take fewer patches, such as patches[::4], or a later layer."
        )
    values = outputs_of(model, patches.data, batch_size=batch_size, title="maps", progress=progress)
    known = label_coords(patches, [])
    coords = {name: known[name] for name in ("patch", "clip", "start") if name in known}
    coords |= {"label": known["true"]} if "true" in known else {}
    coords |= {
        "time": ("time", grid_axis(patches.time, values.shape[1]), {"units": "s"}),
        "frequency": ("frequency", grid_axis(patches.frequency, values.shape[2]), {"units": "Hz"}),
        "filter": np.arange(values.shape[3]),
    }
    attrs = {"layer": layer, "network": network.name, "units": "activation"}
    return xr.DataArray(values, coords, DIMS, name="feature maps", attrs=attrs)


def filter_statistics(maps, *, percentile=95, shuffles=200, seed=0):
    """What each filter does, in numbers.

    A filter is on for the patches whose strongest activation is above the filter's own 95th percentile, as a neuron is
    on for a clip: its strongest 5 %, fewer if it is rarely active at all. Purity and spread are those of these patches.

    Parameters
    ----------
    maps : xarray.DataArray [patch, time, frequency, filter]
        From `feature_maps`, after a ReLU, with `label` along patch; of more than one label.
    percentile : float [0 to 100]
    shuffles : int
        For `chance`.
    seed : int

    Returns
    -------
    pandas.DataFrame [filters]
        Over all patches: `mean` activation; `active`, the share of positions with any; `patches`, the share of patches
        with any; `concentration`, the share of a map's activation around its strongest position, and `area`, what an
        even map would have (see `filter_concentration`).

        Over the patches that the filter is on for: their number `on`, the number of `clips` they come from, the most
        represented `label` and `purity`, its share; `chance`, the mean purity when labels are shuffled over clips,
        which is high where the patches come from few clips. A label of fewer patches than `on` cannot reach 1.

        Over the same patches: `frequency`, the median of the strongest position's (Hz); `spread`, the standard
        deviation of its place on the mel axis, in axis lengths (0 is one place always), and `even`, what a position
        anywhere equally often would have (about 0.29); `time_spread` and `even_time` on the time axis. Where a patch
        is cut is arbitrary in time, so only `spread` says whether a filter listens to one part of a sound.

        A dead filter has no numbers but zeros; one that is on for a single patch has no spread.

    Raises
    ------
    ValueError
        If these are no feature maps, they hold negative numbers, have too many positions, or all have one label.
    UnknownLabelError
        If the maps do not know their labels.
    MissingDataError
        If they are empty.
    """
    maps = _checked(maps)
    if shuffles < 1:
        raise ValueError(f"shuffles={shuffles}: expected 1 at least; 200 give chance to about one percent.")
    rows, columns = maps.sizes["time"], maps.sizes["frequency"]
    if rows * columns > FINEST:
        raise ValueError(
            f"maps of {rows} x {columns} positions: expected at most {FINEST:,}. Take a layer behind a pool, or "
            "label_statistics(), which takes any."
        )
    labels, values = _labels(maps), maps.to_numpy()
    around = filter_concentration(values)
    strongest = maps.max(["time", "frequency"])
    strongest = xr.DataArray(strongest.to_numpy(), {"label": ("clip", labels)}, ("clip", "neuron"), name="feature maps")
    strongest = strongest.assign_coords(clip=np.arange(len(labels)), neuron=maps["filter"].to_numpy())
    on = active(strongest, percentile=percentile).to_numpy()
    purest = selectivity(neuron_class_matrix(strongest, percentile=percentile))
    clip = pd.factorize(maps["clip"].to_numpy())[0] if "clip" in maps.coords else np.arange(len(labels))
    by_clip = pd.DataFrame(on).groupby(clip, sort=False).sum().to_numpy()
    table = {
        "mean": values.mean(axis=(0, 1, 2), dtype=float),
        "active": (values > 0).mean(axis=(0, 1, 2)),
        "patches": around["clips"].to_numpy() / len(values),
        "concentration": around["share"].to_numpy(),
        "area": around["area"].to_numpy(),
        "on": on.sum(axis=0),
        "clips": (by_clip > 0).sum(axis=0),
        "label": purest["label"].to_numpy(),
        "purity": purest["share"].to_numpy(),
        "chance": _shuffled_purity(by_clip, labels[np.unique(clip, return_index=True)[1]], shuffles, seed),
    }
    peaks = peak_positions(values)
    steady = on.sum(axis=0) > 1
    for axis, size, spread, even in (("column", columns, "spread", "even"), ("row", rows, "time_spread", "even_time")):
        place = pd.DataFrame(peaks.sel(axis=axis).to_numpy()).where(on)
        if axis == "column":
            table["frequency"] = at(maps["frequency"].to_numpy(), place.median().to_numpy())
        table[spread] = (place.std(ddof=0) / size).where(steady).to_numpy()
        table[even] = np.where(steady, np.sqrt((size**2 - 1) / 12) / size, np.nan)
    return pd.DataFrame(table, pd.Index(maps["filter"].to_numpy(), name="filter"))


def label_statistics(maps):
    """Activation of each filter for each label.

    Parameters
    ----------
    maps : xarray.DataArray [patch, time, frequency, filter]
        From `feature_maps`, with `label` along patch.

    Returns
    -------
    pandas.DataFrame [(filter, label)]
        `mean` activation; `std`, the standard deviation between patches of their mean activation (none for a single
        patch); `active`, the share of patches with any activation above 0; `patches`, their number.
        ``table["mean"].unstack()`` is a table of filters × labels.

    Raises
    ------
    ValueError, UnknownLabelError, MissingDataError
        If these are no feature maps, they do not know their labels, or are empty.
    """
    maps = _checked(maps)
    names = pd.Index(_labels(maps), name="label")
    filters = pd.Index(maps["filter"].to_numpy(), name="filter")
    values = maps.to_numpy()
    means = pd.DataFrame(values.mean(axis=(1, 2), dtype=float), names, filters).groupby(level="label")
    some = pd.DataFrame(values.max(axis=(1, 2)) > 0, names, filters).groupby(level="label")
    columns = {"mean": means.mean(), "std": means.std(), "active": some.mean(), "patches": some.count()}
    return pd.DataFrame({name: table.T.stack() for name, table in columns.items()}).sort_index()


def compare_filters(statistics, *, resamples=1000, seed=0):
    """The filters of several networks side by side: what a loss, or another layer, has changed.

    Parameters
    ----------
    statistics : dict of pandas.DataFrame [filters]
        From `filter_statistics`, by network.
    resamples : int
        Times the filters are drawn again, with replacement, for the interval.
    seed : int

    Returns
    -------
    pandas.DataFrame [(measure, network)]
        For `concentration`, `purity` and `spread`: `median` over the filters, its 95 % interval from `low` to `high`,
        `reference` (the median of `area`, `chance` or `even`) and the number of `filters` that have a value. The
        interval is of the filters of this one network: training it again may change more.

    Raises
    ------
    ValueError
        If there are no tables, or one is not from `filter_statistics`.
    """
    _check_statistics(statistics)
    if resamples < 1:
        raise ValueError(f"resamples={resamples}: expected 1 at least; 1,000 give steady intervals.")
    rows = {}
    for measure, reference in MEASURES.items():
        for name, table in statistics.items():
            known = table[[measure, reference]].dropna().to_numpy(dtype=float)
            row = dict.fromkeys(["median", "low", "high", "reference"], np.nan)
            if len(known):
                drawn = np.random.default_rng(seed).integers(len(known), size=(resamples, len(known)))
                low, high = np.percentile(np.median(known[drawn, 0], axis=1), [2.5, 97.5])
                row = {"median": np.median(known[:, 0]), "low": low, "high": high, "reference": np.median(known[:, 1])}
            rows[measure, name] = row | {"filters": len(known)}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["measure", "network"])


def _maps_of(network, name, before_mask):
    grid = grid_of(network, name)
    if isinstance(grid.layer, InterpretableFilters) and before_mask:
        return next(call.inputs[0] for call in calls(network) if call.layer is grid.layer)
    return feature_map(network, name) if isinstance(grid.layer, CONVOLUTIONS) else grid.tensor


def _shuffled_purity(by_clip, labels, shuffles, seed):
    """Mean share of the most represented label when labels are shuffled over clips, for each filter.

    `by_clip` [clips, filters] counts the patches that each filter is on for.
    """
    own = pd.get_dummies(labels).to_numpy(dtype=float)
    rng = np.random.default_rng(seed)
    most = np.mean([(rng.permutation(own).T @ by_clip).max(axis=0) for _ in range(shuffles)], axis=0)
    total = by_clip.sum(axis=0)
    return np.where(total > 0, most / np.maximum(total, 1), np.nan)


def _labels(maps):
    if "label" not in maps.coords or maps["label"].dims != ("patch",):
        raise UnknownLabelError(
            "maps have no coordinate 'label' along patch. Add it: assign_coords(label=('patch', …))."
        )
    return maps["label"].to_numpy()


def _checked(maps):
    """Feature maps with their dimensions in order, or an error that says what is wrong with them."""
    if not isinstance(maps, xr.DataArray) or set(maps.dims) != set(DIMS):
        found = tuple(maps.dims) if isinstance(maps, xr.DataArray) else f"a {type(maps).__name__}"
        raise ValueError(f"maps are {found}: expected an xarray.DataArray {DIMS}, as from feature_maps().")
    if 0 in maps.shape:
        raise MissingDataError(f"maps have {dict(maps.sizes)}. Check the selection they came from.")
    return maps.transpose(*DIMS)


def _check_statistics(statistics):
    """Raise a ValueError unless this is a dict of tables from `filter_statistics`."""
    if not isinstance(statistics, dict) or not statistics:
        found = f"a {type(statistics).__name__}" if not isinstance(statistics, dict) else "an empty dict"
        raise ValueError(f"statistics are {found}: expected {{'plain': filter_statistics(maps), …}}.")
    for name, table in statistics.items():
        absent = [column for pair in MEASURES.items() for column in pair if column not in table]
        if absent:
            raise ValueError(f"table of {name!r} has no column {absent[0]!r}: expected one from filter_statistics().")
