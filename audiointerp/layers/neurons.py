"""Which clips a neuron is on for (those above its own 95th percentile), of which classes, and what chance gives."""

import warnings

import numpy as np
import pandas as pd
import xarray as xr
from tqdm import tqdm

from ..errors import MissingDataError, UnknownLabelError


def active(features, *, percentile=95):
    """Which neurons are on for which clips [clip, neuron], bool: strictly above a percentile of its own values.

    A neuron that is zero for nearly all clips is on for fewer than others; a dead one, with the same value for all, for
    none. A MissingDataError if there are no clips or neurons or a value is not finite, a ValueError if `features` is
    not one layer or the percentile lies outside 0 to 100.
    """
    if not 0 <= percentile <= 100:
        raise ValueError(f"percentile={percentile}: expected 0 to 100, as 95 for the highest twentieth of the clips.")
    features = _checked(features)
    return features > np.percentile(features.to_numpy(), percentile, axis=0)


def neuron_class_matrix(features, *, percentile=95, by="label"):
    """For how many clips of each class each neuron is on.

    Parameters
    ----------
    features : xarray.DataArray [clip, neuron]
        One layer.
    percentile : float [0 to 100]
    by : str
        Coordinate along clip that holds the classes.

    Returns
    -------
    pandas.DataFrame [neurons, classes], int
        Classes are sorted; labels whose groups are known stand together by group.

    Raises
    ------
    UnknownLabelError, MissingDataError, ValueError
        As `active`, and if the classes of the clips are not known, or there is only one.
    """
    on = active(features, percentile=percentile)
    names, codes = _classes(on, by)
    counts = _counter(on, len(names))(codes)
    return pd.DataFrame(counts, pd.Index(on["neuron"].to_numpy(), name="neuron"), pd.Index(names, name=by))


def selectivity(matrix):
    """Each neuron's most represented class.

    Parameters
    ----------
    matrix : pandas.DataFrame [neurons, classes], int
        From `neuron_class_matrix`.

    Returns
    -------
    pandas.DataFrame [neurons]
        `label` (the most represented class; the first of equals), `count` (its clips that the neuron is on for),
        `active` (all clips that it is on for) and `share` (count / active). A dead neuron, on for none, has no label
        and no share. A neuron that is on for a handful of clips has a high share by chance: look at `active` too.

    Raises
    ------
    ValueError
        If the table is empty, or holds other than whole numbers.
    """
    counts = matrix.to_numpy()
    if counts.size == 0 or counts.dtype.kind not in "iu" or counts.min() < 0:
        raise ValueError(
            f"table of {len(matrix)} neurons and {len(matrix.columns)} classes, type {counts.dtype}: expected counts, "
            "whole numbers from 0, as from neuron_class_matrix()."
        )
    first, total = counts.argmax(axis=1), counts.sum(axis=1)
    label = pd.Series(matrix.columns[first], matrix.index, dtype=object).where(total > 0)
    table = pd.DataFrame({"label": label, "count": counts.max(axis=1), "active": total})
    table["share"] = table["count"] / table["active"].where(total > 0)
    return table


def owners(selectivity, *, more_than=5):
    """The classes that are the most represented one of many neurons.

    Parameters
    ----------
    selectivity : pandas.DataFrame [neurons]
        From `selectivity`.
    more_than : int

    Returns
    -------
    pandas.Series [classes], int
        Number of neurons, the largest first; may be empty. Dead neurons belong to no class. In a layer with many more
        neurons than classes, most classes pass by chance.
    """
    counts = selectivity.groupby("label").size().rename("neurons")  # dead neurons have no label
    return counts[counts > more_than].sort_values(ascending=False, kind="stable")


def selective(selectivity, over=0.3, *, fewest=1):
    """The neurons whose most represented class has more than a share of the clips they are on for.

    Parameters
    ----------
    selectivity : pandas.DataFrame [neurons]
        From `selectivity`.
    over : float [0 to 1]
    fewest : int
        Clips a neuron must be on for. More than 1 leaves out neurons whose share means little.

    Returns
    -------
    pandas.DataFrame [neurons]
        Rows of `selectivity`, the largest share first; may be empty. Dead neurons are never among them.

    Raises
    ------
    ValueError
        If `over` is no share.
    """
    if not 0 <= over <= 1:
        raise ValueError(f"over={over}: expected a share from 0 to 1, such as 0.3 for 30%.")
    rows = selectivity[(selectivity["share"] > over) & (selectivity["active"] >= fewest)]
    return rows.sort_values("share", ascending=False, kind="stable")


def shuffled_shares(features, *, percentile=95, shuffles=1000, seed=0, by="label", progress=True):
    """Shares of the most represented class when labels are shuffled over the clips: what chance gives.

    Neurons stay on for the same clips and classes keep their sizes. One shuffle is the same for all neurons.

    Parameters
    ----------
    features : xarray.DataArray [clip, neuron]
        One layer.
    percentile, by
        See `neuron_class_matrix`.
    shuffles, seed : int
    progress : bool

    Returns
    -------
    xarray.DataArray [shuffle, rank], float32
        Shares of each shuffle, the largest first (rank 1), without dead neurons.

    Raises
    ------
    UnknownLabelError, MissingDataError, ValueError
        As `neuron_class_matrix`, and if there is not one shuffle at least.
    """
    if shuffles < 1:
        raise ValueError(f"shuffles={shuffles}: expected 1 at least; 1,000 give steady intervals.")
    on = active(features, percentile=percentile)
    names, codes = _classes(on, by)
    on = on.isel(neuron=on.any("clip").to_numpy())
    count, total = _counter(on, len(names)), on.sum("clip").to_numpy()
    shares = np.empty((shuffles, len(total)), dtype=np.float32)
    rng = np.random.default_rng(seed)
    for row in tqdm(shares, "shuffles", unit="shuffle", delay=2, leave=False, disable=not progress):
        row[:] = np.sort(count(rng.permutation(codes)).max(axis=1) / total)[::-1]
    return xr.DataArray(shares, {"rank": np.arange(1, len(total) + 1)}, ("shuffle", "rank"), features.name)


def compare_layers(features, *, percentile=95, shuffles=1000, seed=0, by="label", more_than=5, progress=True):
    """How much the neurons of each layer belong to one class, beside what chance gives.

    Parameters
    ----------
    features : dict of xarray.DataArray [clip, neuron]
        Layers from the first to the last. A warning says if they cover different clips: what chance gives depends on
        how many there are, see `common_clips`.
    percentile, shuffles, seed, by, more_than, progress
        See `shuffled_shares` and `owners`.

    Returns
    -------
    pandas.DataFrame [layers]
        `neurons`, `clips` and `dead` (neurons on for no clip, not in what follows); `share` (mean share of the most
        represented class), `chance` (its mean over the shuffles), `low` and `high` (2.5 and 97.5 % of the shuffles),
        `above` (share - chance); `largest` (share of a neuron) and `chance_largest` (its mean over the shuffles);
        `selective` (share of the neurons that pass the 95th percentile of all shuffled shares: at most 5 % by chance,
        fewer as shares are steps); `owners` (number of classes that own more than `more_than` neurons).

    Raises
    ------
    UnknownLabelError, MissingDataError, ValueError
        As `shuffled_shares`, and if this is no dict of layers.
    """
    features = _layers(features)
    if len({frozenset(layer["clip"].to_numpy().tolist()) for layer in features.values()}) > 1:
        sizes = ", ".join(f"{name}: {layer.sizes['clip']}" for name, layer in features.items())
        found = f"layers cover different clips ({sizes}), and what chance gives depends on their number."
        warnings.warn(f"{found} Keep those that all have: common_clips(features), or the same folds.", stacklevel=2)
    rows = {}
    for name, layer in features.items():
        table = selectivity(neuron_class_matrix(layer, percentile=percentile, by=by))
        live = table["share"].dropna()
        options = {"percentile": percentile, "shuffles": shuffles, "seed": seed, "by": by, "progress": progress}
        chance = shuffled_shares(layer, **options).to_numpy()
        row = {"neurons": len(table), "clips": layer.sizes["clip"], "dead": len(table) - len(live)}
        if len(live):
            share, means = live.mean(), chance.mean(axis=1, dtype=float)
            low, high = np.percentile(means, [2.5, 97.5])
            row |= {"share": share, "chance": means.mean(), "low": low, "high": high, "above": share - means.mean()}
            row |= {"largest": live.max(), "chance_largest": chance[:, 0].mean(dtype=float)}
            # Both in float32: equal shares must not differ by their rounding.
            row["selective"] = (live.to_numpy(np.float32) > np.percentile(chance, 95)).mean()
        rows[name] = row | {"owners": len(owners(table, more_than=more_than))}
    columns = ["neurons", "clips", "dead", "share", "chance", "low", "high", "above", "largest", "chance_largest"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=[*columns, "selective", "owners"]).rename_axis("layer")


def common_clips(features):
    """Layers brought to the clips that all of them have.

    Parameters
    ----------
    features : dict of xarray.DataArray [clip, neuron]

    Returns
    -------
    dict of xarray.DataArray [clip, neuron]
        The same layers, each with these clips in the order of the first layer.

    Raises
    ------
    MissingDataError, ValueError
        If there are no layers, or no clip that all have, or a layer does not name each of its clips.
    """
    features = _layers(features)
    for name, layer in features.items():
        if "clip" not in layer.indexes or not layer.indexes["clip"].is_unique:
            raise ValueError(f"layer {name} does not name its clips: expected a coordinate 'clip' without repetitions.")
    first, *others = (layer.indexes["clip"] for layer in features.values())
    shared = [clip for clip in first if all(clip in other for other in others)]
    if not shared:
        raise MissingDataError(f"no clip is in all of {', '.join(features)}. Extract these layers from the same clips.")
    return {name: layer.sel(clip=shared) for name, layer in features.items()}


def _counter(on, classes):
    """A function that counts for how many clips of each class each neuron is on, given the classes' numbers."""
    neuron, clip = np.nonzero(on.to_numpy().T)
    shape, cell = (on.sizes["neuron"], classes), neuron * classes
    return lambda codes: np.bincount(cell + codes[clip], minlength=shape[0] * classes).reshape(shape)


def _classes(on, by):
    """The classes in their order, and the number of each clip's class."""
    if by not in on.coords or on[by].dims != ("clip",):
        known = ", ".join(str(name) for name in on.coords if on[name].dims == ("clip",)) or "none"
        raise UnknownLabelError(f"clips have no coordinate {by!r} (they have: {known}). Add it with assign_coords().")
    own = on[by].to_numpy()
    if (absent := pd.isna(own).sum()) > 0:
        raise UnknownLabelError(f"{absent} of {len(own)} clips have no {by}. Leave these clips out.")
    groups = on["group"].to_numpy().astype(str) if by == "label" and "group" in on.coords else np.zeros(len(own))
    names = list(dict.fromkeys(name for _, name in sorted(set(zip(groups.tolist(), own.tolist(), strict=True)))))
    if len(names) < 2:
        raise ValueError(f"all {len(own)} clips are of {by} {names[0]!r}: expected two classes at least.")
    return names, pd.Index(names).get_indexer(own)


def _layers(features):
    if not isinstance(features, dict) or not features:
        found = f"a {type(features).__name__}" if not isinstance(features, dict) else "an empty dict"
        raise ValueError(f"layers are {found}: expected a dict of one layer at least, {{name: features}}.")
    return {name: _checked(layer) for name, layer in features.items()}


def _checked(features):
    """One layer with clips first, or an error that says what is wrong with it."""
    if not isinstance(features, xr.DataArray) or set(features.dims) != {"clip", "neuron"}:
        found = tuple(features.dims) if isinstance(features, xr.DataArray) else f"a {type(features).__name__}"
        raise ValueError(f"features are {found}: expected one layer, an xarray.DataArray [clip, neuron].")
    if 0 in features.shape:
        raise MissingDataError(f"layer {features.name} has {dict(features.sizes)}. Check the selection it came from.")
    features = features.transpose("clip", "neuron")
    finite = np.isfinite(features.to_numpy()).all(axis=1)
    if not finite.all():
        clips = ", ".join(map(str, features["clip"].to_numpy()[~finite][:5]))
        found = f"NaN or infinite values in {(~finite).sum()} clips ({clips})"
        raise MissingDataError(f"layer {features.name} has {found}. Leave them out, or extract the layer again.")
    return features
