"""Methods to be judged, and their maps of one class a patch."""

import numpy as np
import xarray as xr
from scipy import stats

from ..errors import MissingDataError, UnknownLabelError
from ..maps.matching import matching
from ..maps.methods import explain
from ..networks.head import check_patches, label_index, labels_of
from ..networks.running import scores_of
from ..sound.patches import class_names

CHUNK = 256  # patches whose maps of all classes are in memory at a time


def named_methods(methods):
    """(method, options) by name; each is the name of a method, or a pair of it and its own options."""
    methods = [methods] if isinstance(methods, str) else methods
    pairs = [(each, {}) if isinstance(each, str) else (each[0], dict(each[1])) for each in methods]
    named = {}
    for method, options in pairs:
        own = ", ".join(f"{option}={value}" for option, value in options.items())
        named[f"{method} ({own})" if own else method] = method, options
    if not named:
        raise ValueError("methods is empty: name at least one, as in ['gradcam', ('occlusion', {'fill': 'silence'})].")
    return named


def own_labels(network, patches, labels=None, **options):
    """Class of each patch whose map is judged [n]: those given, or the predicted ones; options of `scores_of`."""
    if len(patches) == 0:
        raise MissingDataError("no patches: the set is empty. Check the selection it came from.")
    check_patches(network, patches)
    index = patches.table.index
    if not index.is_unique:
        raise ValueError(f"patch {index[index.duplicated()][0]} is there twice: expected each patch once.")
    if "clip" not in patches.table or patches.table["clip"].isna().any():
        raise MissingDataError("patches that do not know their clips. Make them with make_patches().")
    if labels is None:
        return answers_of(network, patches.data, **options)
    labels = np.asarray([labels] * len(patches) if isinstance(labels, str) else list(labels), dtype=object)
    if len(labels) != len(patches):
        raise ValueError(f"{len(labels)} labels for {len(patches)} patches: expected one a patch.")
    known = labels_of(network)
    return np.array([known[label_index(network, label)] for label in labels], dtype=object)


def answers_of(network, data, **options):
    """Predicted class of each patch [n]; options of `scores_of`."""
    return np.array(labels_of(network), dtype=object)[scores_of(network, data, **options).argmax(axis=1)]


def by_name(maps, taken=()):
    """Maps by method, as a dict; a name that stands for other maps of ours is refused."""
    if isinstance(maps, xr.DataArray):
        maps = {str(maps.attrs.get("method", "map")): maps}
    if not isinstance(maps, dict) or not maps:
        raise TypeError(f"maps: found {type(maps).__name__}, expected a dict by method, as {{'lime': explain(…)}}.")
    if name := next((name for name in maps if name in taken), None):
        raise ValueError(f"a method called {name!r}: that name is taken here. Give your maps another one.")
    return dict(maps)


def own_maps(maps, labels, name="the method"):
    """The map of each patch's own class [patch, time, frequency], from maps of several classes."""
    if "label" not in maps.dims:
        return maps.transpose("patch", "time", "frequency")
    labels = np.asarray(class_names(labels), dtype=str)
    if len(labels) != maps.sizes["patch"]:
        raise ValueError(f"{len(labels)} labels for {maps.sizes['patch']} patches: expected one a patch.")
    known = np.asarray(class_names(maps["label"].values), dtype=str)
    if unknown := sorted(set(labels) - set(known)):
        raise UnknownLabelError(f"label {str(unknown[0])!r}: the maps of {name} are of {', '.join(known)}.")
    maps = maps.transpose("patch", "label", "time", "frequency")
    own = np.empty((len(labels), *maps.shape[2:]), maps.dtype)
    for label in np.unique(labels):  # of maps in a file, no others are read
        rows = np.flatnonzero(labels == label)
        own[rows] = maps.isel(patch=rows, label=list(known).index(label)).values
    return maps.isel(label=0, drop=True).copy(data=own)


def explain_own(network, patches, method, options, labels, **common):
    """Maps of a method, upsampled, of each patch's own class [patch, time, frequency]; `common` are of `explain`."""
    parts = []
    for start in range(0, len(patches), CHUNK):
        part, own = patches[start : start + CHUNK], labels[start : start + CHUNK]
        asked = [label for label in labels_of(network) if label in set(own)]
        parts.append(own_maps(explain(network, part, method, labels=asked, **common, **options), own, method))
    return xr.concat(parts, "patch")


def explain_each(network, patches, methods, labels, maps=None, **common):
    """Values [n, time, frequency] of each method's maps of each patch's own class, by name; those given are taken."""
    maps, values = maps or {}, {}
    for name, method in methods.items():
        given = name in maps
        own = (
            own_maps(matching(maps[name], patches, name), labels, name)
            if given
            else explain_own(network, patches, *method, labels, **common)
        )
        values[name] = sized(own, patches, name)
    return values


def sized(maps, patches, name):
    """Values of maps [patch, time, frequency]; a ValueError unless they are of the size of the patches."""
    if maps.shape != patches.data.shape:
        raise ValueError(
            f"maps of {name} are {maps.shape}, the patches {patches.data.shape}: expected upsampled maps of the same "
            "patches, as explain() gives."
        )
    return maps.values


def rank_correlation(one, two):
    """Spearman's correlation of each row of two arrays [n, cells]; NaN where a row is constant or not a number."""
    ranks = [stats.rankdata(np.asarray(each, np.float64), axis=1, nan_policy="propagate") for each in (one, two)]
    one, two = (each - each.mean(axis=1, keepdims=True) for each in ranks)
    spread = np.sqrt((one**2).sum(axis=1) * (two**2).sum(axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(spread > 0, (one * two).sum(axis=1) / spread, np.nan)
