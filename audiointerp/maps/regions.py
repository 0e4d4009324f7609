"""Regions of a patch that LIME leaves out as a whole."""

import math

import numpy as np


def regions_of(patches, regions="grid", count=49):
    """Region number of every cell [n, frames, mels], int, from 0 without gaps in every patch.

    About `count` of them: a "grid" of nearly square cells, or "superpixels" of each patch (SLIC); or region numbers of
    your own, whole numbers [frames, mels].
    """
    shape = patches.data.shape[1:]
    if isinstance(regions, str) and regions in ("grid", "superpixels"):
        if not 2 <= count <= math.prod(shape):
            raise ValueError(f"count={count}: expected from 2 regions to as many as cells, {math.prod(shape)}.")
        if regions == "superpixels":
            return np.stack([superpixels(patch, count) for patch in patches.data])
        return np.broadcast_to(grid_regions(shape, grid_shape(shape, count)), patches.data.shape)
    given = None if isinstance(regions, str) else np.asarray(regions)
    if given is None or given.shape != shape or not np.issubdtype(given.dtype, np.integer):
        found = repr(regions) if given is None else f"an array of {given.dtype}, shape {given.shape}"
        raise ValueError(f"regions is {found}: expected 'grid', 'superpixels' or whole numbers of shape {shape}.")
    numbers, given = np.unique(given, return_inverse=True)
    if len(numbers) < 2:
        raise ValueError("regions has a single region: give at least 2, or there is nothing to compare.")
    return np.broadcast_to(given.reshape(shape), patches.data.shape)


def grid_shape(shape, count=49):
    """Rows and columns of a grid of about `count` nearly square cells: (8, 6) for a patch of 96 × 64."""
    frames, mels = shape

    def misfit(rows_columns):
        rows, columns = rows_columns
        return abs(rows * columns - count) / count + abs(math.log(frames / rows * columns / mels))

    pairs = [(rows, min(mels, max(1, round(count / rows)))) for rows in range(1, min(frames, count) + 1)]
    return min(pairs, key=misfit)


def grid_regions(shape, grid):
    """Region numbers of a grid of rows × columns over a patch, row by row, shape (frames, mels)."""
    row, column = (containing_cell(side, cells) for side, cells in zip(shape, grid, strict=True))
    return row[:, None] * grid[1] + column


def containing_cell(side, cells):
    """Which of `cells` equal parts of a side holds each cell's centre, shape (side,)."""
    return (2 * np.arange(side) + 1) * cells // (2 * side)


def superpixels(patch, count=49):
    """Region numbers of a patch's superpixels (SLIC on its values scaled to 0 … 1), shape (frames, mels)."""
    from skimage.segmentation import slic

    scaled = (patch - patch.min()) / max(np.ptp(patch), 1e-6)
    found = slic(scaled, n_segments=count, compactness=0.3, channel_axis=None, start_label=0)
    return np.unique(found, return_inverse=True)[1].reshape(patch.shape)
