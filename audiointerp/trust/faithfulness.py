"""Faithfulness: does the score fall as fast as the map says when its strongest regions are hidden?"""

from numbers import Integral

import numpy as np
import pandas as pd

from ..maps.matching import matching
from ..maps.perturbation import perturbed_scores
from ..maps.regions import regions_of
from ..networks.fingerprints import digest
from ..networks.head import label_index
from ..networks.precision import is_reduced
from ..networks.running import check_score
from ..storage.cache import cached
from .methods import CHUNK, by_name, own_labels, own_maps, sized

CURVES = ("deletion", "insertion")


def faithfulness_curves(
    network,
    patches,
    maps,
    *,
    labels=None,
    regions="grid",
    count=49,
    steps=13,
    orders=5,
    fill="mean",
    score="probability",
    precision="auto",
    seed=0,
    batch_size=None,
    cache=True,
    progress=True,
):
    """Deletion and insertion curves: the score as regions are hidden, or put back, the most important first.

    A region is as important as the mean of its cells; among equals chance decides. Beside the methods stands "random":
    the mean over several random orders of the same regions. A faithful map falls faster than they do in deletion, and
    rises faster in insertion. Scattered holes hurt many networks more than compact ones of the same size, so random
    orders are hard to beat in deletion and easy to beat in insertion for maps that are smooth: read both areas, and
    give `moved_maps` as one more method where the difference matters.

    Parameters
    ----------
    network : keras.Model [(n, frames, mels, 1) -> (n, classes)]
    patches : Patches [n]
    maps : dict of xarray.DataArray [n, label, time, frequency]
        By method, upsampled, as `explain` gives them.
    labels : sequence of str [n] or str, optional
        The class of each patch; the predicted one by default.
    regions : {"grid", "superpixels"} or array_like [frames, mels], int
    count : int
        About how many regions.
    steps : int
        Points of a curve, its two ends included.
    orders : int
        Random ones.
    fill : {"mean", "silence"} or float
        What hidden cells become: the patch's mean, the log-mel value of silence, or a value.
    score : {"probability", "logit"}
    precision : {"auto", "float32", "bfloat16"}
    seed : int
        For the random orders.
    batch_size : int, optional
    cache, progress : bool

    Returns
    -------
    pandas.DataFrame [(methods + 1) * 2 * n * steps]
        `method`, `curve` ("deletion" or "insertion"), `patch`, `clip`, `label`, `share` of the regions that are hidden
        or back, and `score` of the class.

    Raises
    ------
    ValueError
        If an option is out of range, or the maps are not of the patches' size.
    PatchShapeError, UnknownLabelError, MissingDataError

    References
    ----------
    Samek et al., Evaluating the visualization of what a deep neural network has learned, 2017; Petsiuk, Das & Saenko,
    RISE: Randomized input sampling for explanation of black-box models, BMVC 2018.
    """
    check_score(score)
    for name, value, least in (("steps", steps, 3), ("orders", orders, 1)):
        if not isinstance(value, Integral) or value < least:
            raise ValueError(f"{name}={value!r}: expected a whole number from {least} on.")
    run = {"precision": precision, "batch_size": batch_size, "progress": progress}
    labels = own_labels(network, patches, labels, **run)
    region = regions_of(patches, regions, count)
    maps = {method: matching(one, patches, method) for method, one in by_name(maps, ["random"]).items()}
    values = {method: sized(own_maps(one, labels, method), patches, method) for method, one in maps.items()}
    sizes = region.max(axis=(1, 2)) + 1
    ranks = _ranks(list(values.values()), region, sizes, orders, seed)
    levels = np.round(np.linspace(0, 1, steps) * sizes[:, None]).astype(int)
    key = [digest(network), is_reduced(precision), count, regions if isinstance(regions, str) else np.asarray(regions)]
    run |= {"score": score}
    scores = []
    for start in range(0, len(patches), CHUNK):
        part = slice(start, start + CHUNK)
        asked = patches[part], list(labels[part]), ranks[part], levels[part], fill, score
        scores.append(_scores([*key, asked[0].digest], *asked, region[part], network, run, cache=cache))
    scores = np.concatenate(scores)
    return _tidy(scores, [*values, "random"], orders, levels / sizes[:, None], patches, labels)


def faithfulness_areas(curves):
    """Areas under deletion and insertion curves, and what they are worth beside random orders.

    Parameters
    ----------
    curves : pandas.DataFrame
        From `faithfulness_curves`.

    Returns
    -------
    pandas.DataFrame [methods * n]
        Indexed by `method` and `patch`: `clip`, `label`, the areas `deletion` (the smaller the better) and `insertion`
        (the larger the better), those of the random orders, `random_deletion` and `random_insertion`, and how much
        better the method is, `deletion_gain` and `insertion_gain`: above 0 where the map tells more than chance.
    """
    about = ["patch", "clip", "label"]
    each = curves.groupby(["method", *about, "curve"], sort=False)
    strips = each["share"].diff() * (curves["score"] + each["score"].shift()) / 2  # the trapezoidal rule
    areas = curves.assign(area=strips).groupby(["method", *about, "curve"])["area"].sum().unstack("curve")
    random = areas.xs("random", level="method").add_prefix("random_")
    table = areas.drop(index="random", level="method").join(random, on=about)
    table["deletion_gain"] = table["random_deletion"] - table["deletion"]
    table["insertion_gain"] = table["insertion"] - table["random_insertion"]
    return table.rename_axis(columns=None).reset_index(["clip", "label"])


def _ranks(maps, region, sizes, orders, seed):
    """Rank of each region [n, methods + orders, regions], 0 first: by each method's maps, then at random."""
    rng = np.random.default_rng(seed)
    ranks = np.zeros((len(region), len(maps) + orders, sizes.max()), np.int32)
    for row, size in enumerate(sizes):
        cells = region[row].ravel()
        random = np.stack([rng.permutation(size) for _ in range(orders)])
        for number, one in enumerate(maps):
            # In float32, so that equal cells give equal means whatever the region's size.
            sums = np.bincount(cells, one[row].ravel().astype(np.float64), size)
            mean = (sums / np.bincount(cells, minlength=size)).astype(np.float32)
            ranks[row, number, np.lexsort((random[0], -mean))] = np.arange(size)
        ranks[row, len(maps) :, :size] = random
    return ranks


@cached("faithfulness", version=1, ignore=("patches", "region", "network", "run"))
def _scores(key, patches, labels, ranks, levels, fill, score, region, network, run):
    """Scores of each patch's class [n, versions]: nothing hidden, all hidden, then order by order, both curves."""
    shape = ranks.shape[1], len(CURVES), levels.shape[1] - 2
    count = 2 + int(np.prod(shape))

    def hidden(patch, versions):
        number = np.arange(count)[versions]
        order, curve, level = np.unravel_index(np.maximum(number - 2, 0), shape)
        first = ranks[patch][order] < levels[patch][level + 1][:, None]
        gone = np.where(curve[:, None] == 0, first, ~first)
        gone[number == 0], gone[number == 1] = False, True
        return gone.take(region[patch], axis=1)

    scores = perturbed_scores(network, patches, hidden, count, fill, title="faithfulness", **run)
    own = [label_index(network, label) for label in labels]
    return scores[np.arange(len(patches)), :, own]


def _tidy(scores, methods, orders, shares, patches, labels):
    """Curves as a table from scores [n, versions]; the random orders become one."""
    n, steps = shares.shape
    inner = scores[:, 2:].reshape(n, -1, len(CURVES), steps - 2).astype(np.float64)
    whole, empty = (scores[:, end].repeat(len(CURVES)).reshape(n, 1, len(CURVES), 1) for end in (0, 1))
    ends = np.array([0, 1]).reshape(1, 1, -1, 1)  # deletion begins with the whole patch, insertion ends with it
    first, last = np.where(ends == 0, whole, empty), np.where(ends == 0, empty, whole)
    every = (*inner.shape[:3], 1)
    full = np.concatenate([np.broadcast_to(first, every), inner, np.broadcast_to(last, every)], axis=3)
    full = np.concatenate([full[:, :-orders], full[:, -orders:].mean(axis=1, keepdims=True)], axis=1)
    index = pd.MultiIndex.from_product([range(n), methods, CURVES, range(steps)])
    row = index.get_level_values(0)
    table = {"method": index.get_level_values(1), "curve": index.get_level_values(2)}
    table |= {"patch": patches.table.index[row], "clip": patches.clip[row], "label": labels[row]}
    return pd.DataFrame(table | {"share": shares[row, index.get_level_values(3)], "score": full.ravel()})
