"""One table a network: methods by measures."""

import warnings

import numpy as np
import pandas as pd

from ..errors import MissingDataError
from ..evaluation.metrics import ratio_interval
from .evidence import SCORES, evidence_score, moved_maps
from .faithfulness import faithfulness_areas, faithfulness_curves
from .methods import explain_own, named_methods, own_labels, rank_correlation
from .sanity import parameter_randomization
from .stability import map_stability


def trust_table(
    network,
    patches,
    methods=("gradcam", "lime", "occlusion"),
    *,
    clips=None,
    labels=None,
    most=24,
    fill="mean",
    confidence=0.95,
    precision="auto",
    seed=0,
    batch_size=None,
    cache=True,
    progress=True,
):
    """What each method's maps are worth for one network, measure by measure.

    Parameters
    ----------
    network : keras.Model [(n, frames, mels, 1) -> (n, classes)]
    patches : Patches [n]
        Best those that it was not trained on.
    methods : sequence of str or (str, dict)
        Names of methods, or pairs of a name and its options, as ``("occlusion", {"fill": "silence"})``.
    clips : pandas.DataFrame, optional
        Clip table with `evidence`, where it is known. Patches count whose judged class is their true one.
    labels : sequence of str [n] or str, optional
        The class of each patch; by default the one that the network predicts.
    most : int
        Patches for randomization and stability, which need maps anew several times; spread evenly over the set.
    fill : {"mean", "silence"} or float
        What cells become that deletion hides. A method that hides with the same has a small advantage.
    confidence : float
        Of the intervals, for which clips are drawn with replacement.
    precision : {"auto", "float32", "bfloat16"}
    seed : int
    batch_size : int, optional
    cache : bool
        Keep maps and curves, and serve them from the cache: what was stopped goes on from there.
    progress : bool

    Returns
    -------
    pandas.DataFrame
        Indexed by `method` and `measure`: `value`, `low`, `high`, `better` ("higher" or "lower"), `clips`, `patches`.
        Measures are "evidence hit", "evidence mass" and "evidence top" (times what the area would give, see
        `evidence_summary`; 1 by chance), "deletion" and "insertion" (area by which the curve is better than those of
        random orders; 0 by chance), "deletion, moved" and "insertion, moved" (than those of the method's own maps,
        moved at random: what their place is worth, their smoothness left out), "randomization" (rank correlation with
        the map of the network with all layers randomised), "stability" (rank correlation with maps of shifted and noisy
        patches) and "agreement" (rank correlation with the other methods, if there are any).

    Raises
    ------
    ValueError
        If there are no methods or `most` is below 1.
    PatchShapeError, UnknownLabelError, MissingDataError

    Examples
    --------
    >>> methods = ["gradcam", ("lime", {"samples": 512}), "occlusion"]  # LIME takes most of the time: fewer samples
    >>> trust_table(network, patches[::7], methods)["value"].unstack("measure").round(2)  # doctest: +SKIP
    """
    methods = named_methods(methods)
    if most < 1:
        raise ValueError(f"most={most!r}: expected at least 1 patch.")
    run = {"precision": precision, "batch_size": batch_size, "progress": progress}
    labels = own_labels(network, patches, labels, **run)
    run |= {"seed": seed, "cache": cache}
    if clips is not None and ("evidence" not in clips or "label" not in patches.table):
        raise MissingDataError("clips without the column evidence, or patches without labels: leave clips= out.")
    maps = {name: explain_own(network, patches, *method, labels, **run) for name, method in methods.items()}
    cells = {name: own.values.reshape(len(patches), -1) for name, own in maps.items()}
    few = np.unique(np.linspace(0, len(patches) - 1, min(most, len(patches))).round().astype(int))
    again = network, patches[few], list(methods.values())
    known = {"labels": labels[few], "maps": {name: own[few] for name, own in maps.items()}}
    every = maps | {f"{name}, moved": moved_maps(own, seed=seed) for name, own in maps.items()}
    areas = faithfulness_areas(faithfulness_curves(network, patches, every, labels=labels, fill=fill, **run))
    random = parameter_randomization(*again, depths=1, **known, **run).set_index("method")
    stable = map_stability(*again, **known, **run).set_index("method")

    rows = []
    for name, own in maps.items():
        found = {}
        if clips is not None:
            right = labels == patches.label
            inside = evidence_score(own[right], clips).assign(clip=patches.clip[right])
            inside = inside[inside["area"] > 0].dropna()
            about = inside["area"], inside["clip"], len(inside)
            found |= {f"evidence {each}": (inside[each], *about) for each in SCORES}
        own_areas, moved = areas.loc[name], areas.loc[f"{name}, moved"]
        for curve, sign in (("deletion", -1), ("insertion", 1)):
            about = 1, own_areas["clip"], len(patches)
            found[curve] = own_areas[f"{curve}_gain"], *about
            found[f"{curve}, moved"] = sign * (own_areas[curve] - moved[curve]), *about
        for measure, table in (("randomization", random), ("stability", stable)):
            part = table.loc[[name]].dropna()
            found[measure] = part["rank_correlation"], 1, part["clip"], part["patch"].nunique()
        if len(maps) > 1:
            others = [rank_correlation(cells[name], cells[other]) for other in maps if other != name]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # of patches where no other method has a map
                mean = np.nanmean(others, axis=0)
            defined = ~np.isnan(mean)
            found["agreement"] = mean[defined], 1, patches.clip[defined], defined.sum()
        for measure, (above, below, clip, count) in found.items():
            value, low, high = ratio_interval(above, below, clip, confidence=confidence, seed=seed)
            better = "lower" if measure == "randomization" else "higher"
            about = {"method": name, "measure": measure, "value": value, "low": low, "high": high, "better": better}
            rows.append(about | {"clips": len(set(clip)), "patches": int(count)})
    return pd.DataFrame(rows).set_index(["method", "measure"])
