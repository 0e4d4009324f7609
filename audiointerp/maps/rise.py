"""RISE: how much higher the score is where a cell is kept, over many smooth random masks."""

from numbers import Integral

import numpy as np

from ..networks.precision import chosen_precision
from ..networks.running import UNITS, check_score
from .arrays import request, upsampled
from .perturbation import perturbed_scores

VERSION = 1


def rise(
    network,
    patches,
    *,
    labels=None,
    samples=512,
    grid=None,
    share=0.5,
    fill="mean",
    score="probability",
    upsample="linear",
    details=False,
    precision="auto",
    seed=0,
    batch_size=None,
    progress=True,
):
    """Score with a cell kept, less the score with it hidden, averaged over smooth random masks.

    Masks are coarse grids of cells that are kept or not, drawn larger than the patch with linear interpolation and
    moved at random, as published; the same masks serve all patches. Where the published map is the mean score of the
    masks that keep a cell, from here the mean of those that hide it is subtracted, so that a cell without influence is
    near 0 and not near the mean score.

    Parameters
    ----------
    samples : int
        Masks.
    grid : (int, int) [time, frequency]
        Coarse cells over the patch; (8, 6) by default, fewer where the patch is smaller.
    share : float
        Of the coarse cells that are kept.

    The other parameters as for `audiointerp.maps.occlusion.occlusion`, and `seed` for the masks; every cell has a value
    of its own, so `upsample` makes no difference.

    Returns
    -------
    xarray.DataArray [patch, label, time (s), frequency (Hz)] or xarray.Dataset
        Score; positive where a cell supports the class.

    References
    ----------
    Petsiuk, Das & Saenko, RISE: Randomized input sampling for explanation of black-box models, BMVC 2018.
    """
    asked = request(network, patches, labels, upsample, details)
    check_score(score)
    grid = tuple(np.minimum((8, 6), patches.data.shape[1:]).tolist()) if grid is None else grid
    if not isinstance(samples, Integral) or samples < 2:
        raise ValueError(f"samples={samples}: expected at least 2; 512 is usual.")
    if not 0 < share < 1:
        raise ValueError(f"share={share}: expected more than 0 and less than 1; 0.5 is usual.")
    masks = smooth_masks(samples, patches.data.shape[1:], grid, share, seed)
    hidden = np.concatenate([np.zeros_like(masks[:1]), 1 - masks])
    run = {"score": score, "precision": precision, "batch_size": batch_size, "progress": progress, "title": "RISE"}
    scores = perturbed_scores(network, patches, lambda _, versions: hidden[versions], len(hidden), fill, **run)
    scores = scores[..., asked.classes]
    masked = scores[:, 1:].transpose(0, 2, 1).astype(np.float64)
    cells = masks.reshape(samples, -1).astype(np.float64)
    if (never := int(np.sum(np.minimum(cells.sum(axis=0), (1 - cells).sum(axis=0)) < 1e-6))) > 0:
        raise ValueError(
            f"{never} cells are kept by all of {samples} masks, or hidden by all: nothing can be said of them. Raise "
            "samples, or take a share nearer to 0.5."
        )
    kept, away = (masked @ each / each.sum(axis=0) for each in (cells, 1 - cells))
    maps = (kept - away).reshape(*kept.shape[:2], *masks.shape[1:])

    settings = {"samples": int(samples), "grid": list(grid), "share": share, "fill": fill, "score": score, "seed": seed}
    about = {"method": "rise", "settings": settings, "units": UNITS[score], "precision": chosen_precision(precision)}
    found = asked.array(maps, **about)
    return found.to_dataset().assign(score=asked.each(scores[:, 0])) if details else found


def smooth_masks(samples, shape, grid, share, seed):
    """Masks [samples, frames, mels] from 0 (hidden) to 1 (kept): random coarse grids, smooth and moved at random."""
    sizes = np.asarray(grid)
    if sizes.shape != (2,) or sizes.dtype.kind not in "iu" or not ((sizes >= 1) & (sizes <= shape)).all():
        raise ValueError(f"grid={grid}: expected (time, frequency), whole numbers from 1 to {tuple(shape)}.")
    rng, cell = np.random.default_rng(seed), -(-np.asarray(shape) // sizes)
    masks = np.empty((samples, *shape), np.float32)
    for number in range(samples):
        coarse = (rng.random(sizes + 1) < share).astype(np.float32)
        whole = upsampled(coarse[None], tuple((sizes + 1) * cell), "linear")[0]
        first, second = rng.integers(cell)
        masks[number] = whole[first : first + shape[0], second : second + shape[1]]
    return masks
