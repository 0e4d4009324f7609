"""What every method needs: classes asked for, grids brought to the patch's size, results with their coordinates."""

import numpy as np
import xarray as xr

from ..errors import MissingDataError
from ..networks.head import check_patches, label_index, labels_of
from .regions import containing_cell

UPSAMPLE = ("linear", "nearest", None)


def check_request(network, patches, labels, upsample):
    """Check what every method is given.

    Returns
    -------
    classes : list of int
        Outputs to explain.
    names : list of str
        Their labels.

    Raises
    ------
    MissingDataError, PatchShapeError, UnknownLabelError, ValueError
    """
    if upsample not in UPSAMPLE:
        raise ValueError(f"upsample={upsample!r}: expected 'linear', 'nearest' or None (the raw grid).")
    if len(patches) == 0:
        raise MissingDataError("no patches to explain: the set is empty. Check the selection it came from.")
    check_patches(network, patches)
    names = labels_of(network) if labels is None else [labels] if isinstance(labels, str) else list(labels)
    names = list(dict.fromkeys(names))
    if not names:
        raise ValueError("labels is empty: name at least one class, or leave it out for all of them.")
    return [label_index(network, name) for name in names], names


def upsampled(grid, shape, how):
    """Bring coarse grids to the size of a patch.

    A grid of g cells along a side of s cells is taken to tile it evenly: grid cell i covers s/g cells, and its centre
    lies at (i + ½)·s/g − ½. "nearest" gives every cell the value of the grid cell it lies in; "linear" interpolates
    between the centres and holds the outermost values up to the borders
    (``scipy.ndimage.zoom(order=1, grid_mode=True, mode="nearest")``). Interpolation that puts the outermost centres
    onto the borders instead, as tf-keras-vis does, shifts what it shows by up to half a grid cell.

    Parameters
    ----------
    grid : numpy.ndarray [..., grid_time, grid_frequency]
    shape : (int, int) [frames, mels]
    how : {"linear", "nearest"}

    Returns
    -------
    numpy.ndarray [..., frames, mels], float32
    """
    time, frequency = (_resampling(coarse, fine, how) for coarse, fine in zip(grid.shape[-2:], shape, strict=True))
    return (time @ grid.astype(np.float32) @ frequency.T).astype(np.float32)


def _resampling(coarse, fine, how):
    """Weights from grid cells to cells, shape (fine, coarse)."""
    cells = np.eye(coarse, dtype=np.float32)
    if how == "nearest":
        return cells[containing_cell(fine, coarse)]
    position = (np.arange(fine) + 0.5) * coarse / fine - 0.5
    return np.stack([np.interp(position, np.arange(coarse), cell) for cell in cells], axis=1).astype(np.float32)


def grid_axis(axis, cells):
    """Centres of `cells` grid cells that tile an axis evenly, in the axis' own unit, shape (cells,)."""
    return at(axis, (np.arange(cells) + 0.5) * len(axis) / cells - 0.5)


def at(axis, position):
    """Values of an axis at positions counted in cells, which may lie between two."""
    return np.interp(position, np.arange(len(axis)), axis)


def map_array(patches, names, values, *, axes=None, method, settings, network, units, precision="float32"):
    """Values with their coordinates.

    Parameters
    ----------
    patches : Patches [n]
    names : list of str [classes]
    values : numpy.ndarray [n, classes, rows, columns]
    axes : (numpy.ndarray, numpy.ndarray), optional
        Time (s) and frequency (Hz) of rows and columns; the patch's by default.
    method, units : str
    settings : dict
        Of the method; each becomes an attribute, as all of them are written to netCDF and read again.
    network : keras.Model
    precision : {"float32", "bfloat16"}
        That was used.

    Returns
    -------
    xarray.DataArray [patch, label, time, frequency], float32
    """
    time, frequency = axes or (patches.time, patches.frequency)
    coords = {
        **label_coords(patches, names),
        "time": ("time", np.asarray(time), {"units": "s"}),
        "frequency": ("frequency", np.asarray(frequency), {"units": "Hz"}),
    }
    attrs = {"method": method, "network": network.name, "units": units, "precision": precision} | plain(settings)
    dims = ("patch", "label", "time", "frequency")
    return xr.DataArray(np.asarray(values, np.float32), coords, dims, name="map", attrs=attrs)


def plain(settings):
    """Settings as attributes that any file format takes: text, numbers and lists of them."""
    settings = {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}
    return {name: value if isinstance(value, (int, float, list)) else str(value) for name, value in settings.items()}


def label_coords(patches, names):
    """Coordinates along `patch` and `label`."""
    coords = {"patch": patches.table.index.to_numpy(), "label": np.asarray(names, dtype=str)}
    for name, column in (("clip", "clip"), ("start", "start"), ("true", "label")):
        if column in patches.table:
            values = patches.table[column].to_numpy()
            coords[name] = ("patch", values.astype(str) if column == "label" else values)
    return coords


def grid_array(patches, names, values, axes):
    """Coarse grids beside a map, shape (n, classes, grid_time, grid_frequency)."""
    coords = {
        **label_coords(patches, names),
        "grid_time": ("grid_time", np.asarray(axes[0]), {"units": "s"}),
        "grid_frequency": ("grid_frequency", np.asarray(axes[1]), {"units": "Hz"}),
    }
    return xr.DataArray(np.asarray(values, np.float32), coords, ("patch", "label", "grid_time", "grid_frequency"))


def class_array(patches, names, values):
    """One number per patch and class, shape (n, classes)."""
    return xr.DataArray(np.asarray(values, np.float32), label_coords(patches, names), ("patch", "label"))


def from_grid(grid, names, patches, network, *, upsample, details, axes=None, **about):
    """Map (or Dataset) from one coarse grid a patch and class, whose cells tile the patch evenly unless `axes` say."""
    axes = axes or (grid_axis(patches.time, grid.shape[-2]), grid_axis(patches.frequency, grid.shape[-1]))
    if upsample is None:
        maps = map_array(patches, names, grid, axes=axes, network=network, **about)
        return maps.to_dataset() if details else maps
    values = upsampled(grid, patches.data.shape[1:], upsample)
    maps = map_array(patches, names, values, network=network, **about)
    return maps.to_dataset().assign(grid=grid_array(patches, names, grid, axes)) if details else maps
