"""What every method needs: classes asked for, grids brought to the patch's size, results with their coordinates."""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from ..errors import MissingDataError
from ..networks.head import asked_labels, check_kinds, check_patches, label_index
from ..networks.precision import float32_of
from .regions import containing_cell

UPSAMPLE = ("linear", "nearest", None)


@dataclass(frozen=True)
class Request:
    """What a method is asked for, checked, and what its values become.

    Parameters
    ----------
    network : keras.Model [(n, frames, mels, 1) -> (n, classes)]
        In float32.
    patches : Patches [n]
    labels : list of str
        The classes to explain.
    classes : list of int
        Their outputs.
    upsample : {"linear", "nearest", None}
    details : bool
    """

    network: object
    patches: object
    labels: list
    classes: list
    upsample: str | None
    details: bool

    def array(self, values, *, axes=None, method, settings, units, precision="float32"):
        """Values [n, classes, rows, columns] with their coordinates, as `explain` returns them.

        `axes` are time (s) and frequency (Hz) of rows and columns, the patch's by default. Each of the method's
        settings becomes an attribute, as all of them are written to netCDF and read again.
        """
        time, frequency = axes or (self.patches.time, self.patches.frequency)
        coords = {
            **label_coords(self.patches, self.labels),
            "time": ("time", np.asarray(time), {"units": "s"}),
            "frequency": ("frequency", np.asarray(frequency), {"units": "Hz"}),
        }
        attrs = {"method": method, "network": self.network.name, "units": units, "precision": precision}
        dims = ("patch", "label", "time", "frequency")
        return xr.DataArray(np.asarray(values, np.float32), coords, dims, name="map", attrs=attrs | plain(settings))

    def grid(self, values, axes):
        """Coarse grids beside a map [n, classes, grid_time, grid_frequency]."""
        coords = {
            **label_coords(self.patches, self.labels),
            "grid_time": ("grid_time", np.asarray(axes[0]), {"units": "s"}),
            "grid_frequency": ("grid_frequency", np.asarray(axes[1]), {"units": "Hz"}),
        }
        return xr.DataArray(np.asarray(values, np.float32), coords, ("patch", "label", "grid_time", "grid_frequency"))

    def each(self, values, *further):
        """Numbers of each patch and class [n, classes, ...], along further dimensions too."""
        coords = label_coords(self.patches, self.labels)
        return xr.DataArray(np.asarray(values, np.float32), coords, ("patch", "label", *further))

    def tiles(self, grid):
        """Time and frequency of the cells of a grid that tile the patch evenly."""
        return grid_axis(self.patches.time, grid.shape[-2]), grid_axis(self.patches.frequency, grid.shape[-1])

    def maps(self, grid, **about):
        """Map, or Dataset if details are asked for, from one coarse grid a patch and class, tiling the patch evenly."""
        axes = self.tiles(grid)
        if self.upsample is None:
            maps = self.array(grid, axes=axes, **about)
            return maps.to_dataset() if self.details else maps
        maps = self.array(upsampled(grid, self.patches.data.shape[1:], self.upsample), **about)
        return maps.to_dataset().assign(grid=self.grid(grid, axes)) if self.details else maps


def request(network, patches, labels, upsample, details):
    """What a method is asked for, checked as every method does it; all classes by default."""
    if upsample not in UPSAMPLE:
        raise ValueError(f"upsample={upsample!r}: expected 'linear', 'nearest' or None (the raw grid).")
    check_kinds(network, patches)
    if len(patches) == 0:
        raise MissingDataError("no patches to explain: the set is empty. Check the selection it came from.")
    check_patches(network, patches)
    labels = asked_labels(network, labels)
    if not labels:
        raise ValueError("labels is empty: name at least one class, or leave it out for all of them.")
    classes = [label_index(network, label) for label in labels]
    return Request(float32_of(network), patches, labels, classes, upsample, details)


def upsampled(grid, shape, how):
    """Bring coarse grids [..., grid_time, grid_frequency] to the size (frames, mels) of a patch.

    A grid of g cells along a side of s cells is taken to tile it evenly: grid cell i covers s/g cells, and its centre
    lies at (i + ½)·s/g − ½. "nearest" gives every cell the value of the grid cell it lies in; "linear" interpolates
    between the centres and holds the outermost values up to the borders
    (``scipy.ndimage.zoom(order=1, grid_mode=True, mode="nearest")``). Interpolation that puts the outermost centres
    onto the borders instead, as tf-keras-vis does, shifts what it shows by up to half a grid cell.
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
