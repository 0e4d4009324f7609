"""Occlusion sensitivity: the score that is lost when a part of the patch is hidden."""

import math

import numpy as np

from ..networks.precision import chosen_precision
from ..networks.running import UNITS, check_score
from .arrays import at, request
from .perturbation import perturbed_scores

VERSION = 1


def occlusion(
    network,
    patches,
    *,
    labels=None,
    mask=None,
    stride=None,
    fill="mean",
    score="probability",
    upsample="linear",
    details=False,
    precision="auto",
    batch_size=None,
    progress=True,
):
    """Score lost when a region of the patch is hidden.

    A mask is moved over the patch in steps. It reaches over the borders: its centre goes from border to border, so
    that every cell is hidden by some position. A cell's value is the loss of score averaged over the positions that
    hide it.

    Parameters
    ----------
    network : keras.Model [(n, frames, mels, 1) -> (n, classes)]
    patches : Patches [n]
    labels : sequence of str, optional
        Classes to explain; all by default.
    mask, stride : (int, int) [frames, mels], optional
        Size of the mask and its step; 20 % and 10 % of each side by default: (19, 13) and (10, 6) of 96 × 64.
    fill : {"mean", "silence"} or float
        What hidden cells become: the patch's mean, the log-mel value of silence, or a value.
    score : {"probability", "logit"}
    upsample : {"linear", "nearest", None}
        None returns one value per position of the mask, at the centre of what it hides.
    details : bool
        Return a Dataset with `map`, `grid` (one value per position) and `score` (nothing hidden).
    precision : {"auto", "float32", "bfloat16"}
    batch_size : int, optional
    progress : bool

    Returns
    -------
    xarray.DataArray [patch, label, time (s), frequency (Hz)] or xarray.Dataset
        Unoccluded minus occluded score; positive where the region supports the class.

    Raises
    ------
    ValueError
        If mask or stride do not fit the patch, or an option is unknown.
    PatchShapeError, UnknownLabelError, MissingDataError

    References
    ----------
    Zeiler & Fergus, Visualizing and understanding convolutional networks, ECCV 2014.
    """
    asked = request(network, patches, labels, upsample, details)
    check_score(score)
    shape = patches.data.shape[1:]
    mask = _pair("mask", mask, [max(1, round(0.2 * side)) for side in shape], shape)
    stride = _pair("stride", stride, [max(1, round(0.1 * side)) for side in shape], mask)
    rows, columns = (covered(*sides) for sides in zip(shape, mask, stride, strict=True))
    hidden = rows[:, None, :, None] & columns[None, :, None, :]
    hidden = np.concatenate([np.zeros((1, *shape), bool), hidden.reshape(-1, *shape)])

    run = {"score": score, "precision": precision, "batch_size": batch_size, "progress": progress, "title": "occlusion"}
    scores = perturbed_scores(network, patches, lambda _, versions: hidden[versions], len(hidden), fill, **run)
    scores = scores[..., asked.classes]
    lost = scores[:, :1] - scores[:, 1:]
    grid = lost.transpose(0, 2, 1).reshape(len(patches), -1, len(rows), len(columns))

    axes = _centres(patches.time, rows), _centres(patches.frequency, columns)
    settings = {"mask": list(mask), "stride": list(stride), "fill": fill, "score": score}
    about = {"method": "occlusion", "settings": settings, "units": UNITS[score]}
    about["precision"] = chosen_precision(precision)
    if upsample is None:
        maps = asked.array(grid, axes=axes, **about)
    else:
        maps = asked.array(averaged(grid, rows, columns), **about)
    if not details:
        return maps
    beside = {} if upsample is None else {"grid": asked.grid(grid, axes)}
    return maps.to_dataset().assign(score=asked.each(scores[:, 0]), **beside)


def covered(side, mask, stride):
    """Cells of one side that each position of the mask covers [positions, side], bool.

    The mask's centre goes from the first to the last cell (or just past both, evenly, where the stride does not
    divide the side).
    """
    steps = math.ceil((side - 1) / stride)
    first = -((steps * stride - (side - 1)) // 2) - mask // 2
    start = first + stride * np.arange(steps + 1)[:, None]
    cell = np.arange(side)
    return (start <= cell) & (cell < start + mask)


def averaged(grid, rows, columns):
    """Value of each cell [..., frames, mels]: the mean over the mask positions that cover it, `rows` and `columns`."""
    total = rows.T.astype(np.float64) @ grid @ columns
    return total / np.outer(rows.sum(axis=0), columns.sum(axis=0))


def _centres(axis, cover):
    return at(axis, cover @ np.arange(len(axis)) / cover.sum(axis=1))


def _pair(name, given, default, largest):
    sizes = np.asarray(default if given is None else given)
    if sizes.shape != (2,) or sizes.dtype.kind not in "iu" or not ((sizes >= 1) & (sizes <= largest)).all():
        limit = "the patch" if name == "mask" else "the mask, or cells stay uncovered"
        raise ValueError(
            f"{name}={given}: expected (frames, mels), whole numbers from 1 to {tuple(largest)}: at most {limit}."
        )
    return tuple(int(size) for size in sizes)
