"""Maps beside the patches that they explain."""

from itertools import groupby

import matplotlib.pyplot as plt
import numpy as np
from xarray import DataArray

from . import drawing
from .panels import RELATIVE, Look, draw_map, look_of, peak_of, title_of
from .spectrograms import draw_patch

DIMS = ("patch", "label", "time", "frequency")


def map_grid(patches, maps, *, label=None, predictions=None, overlay=False, relative_to="panel"):
    """Draw patches and their maps, a row a patch: its spectrogram, then the map of each method.

    Methods whose values have a sign are drawn red where a region supports the class, blue where it speaks against it,
    white at zero; the others from black (nothing) to yellow.

    Parameters
    ----------
    patches : Patches [n]
        At most 20.
    maps : xarray.DataArray [n, label, time, frequency], or dict of them by method
        From `explain`; their time and frequency may be coarser than the patches'. Picked by the patches' index, so they
        may be of more patches.
    label : str or sequence of str, optional
        The class whose maps to draw: "predicted", "true", a class name, or a name per patch. By default the predicted
        class if predictions are given, otherwise the maps' only class, otherwise the true class.
    predictions : pandas.DataFrame, optional
        From `predict`; rows are found by the patches' index, so the table may hold more.
    overlay : bool
        Draw maps over the spectrogram in grey, the more transparent the smaller the value.
    relative_to : {"panel", "method"}
        What gets the strongest colour: the largest value of each panel, or of all panels of a method, which then can
        be compared. Each panel says its own peak.

    Returns
    -------
    numpy.ndarray [n, 1 + methods] of matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If maps or predictions do not belong to the patches, or there are too many patches.
    UnknownLabelError
        If there is no map for a class.
    """
    drawing.check_count(patches, 20)
    if relative_to not in ("panel", "method"):
        raise ValueError(f"relative_to={relative_to!r}: expected 'panel' or 'method'.")
    maps = by_method(maps, patches)
    table = drawing.prediction_rows(predictions, patches)
    labels = _labels(label, patches, maps, table)
    looks = {method: look_of(method, array, overlay) for method, array in maps.items()}
    figure, axes = _grid(len(patches), 1 + len(maps))
    narrow = len(maps) > 3
    scale = {"vmin": np.nanmin(patches.data), "vmax": np.nanmax(patches.data)}
    for row in range(len(patches)):
        mesh = draw_patch(axes[row, 0], patches[row], prediction=table[row], narrow=narrow, **scale)
    for column, (method, array) in enumerate(maps.items(), start=1):
        panels = [array.isel(patch=row).sel(label=name) for row, name in enumerate(labels)]
        peaks = [peak_of(panel) for panel in panels]
        for row, (panel, name) in enumerate(zip(panels, labels, strict=True)):
            strongest = peaks[row] if relative_to == "panel" else max(peaks)
            title = f"{title_of(method)}\n{name}"
            draw_map(
                axes[row, column], panel, patches[row], looks[method], relative_to=strongest, title=title, narrow=narrow
            )
    drawing.label_outer(axes)
    _bars(figure, axes, mesh, patches, list(looks.values()), RELATIVE[relative_to])
    return axes


def compare_labels(patch, maps, labels=None, *, predictions=None, difference=True, overlay=False):
    """Draw one patch's maps for two classes side by side, a row a method.

    The maps of a row share one scale, so their strengths can be compared: red supports the class (in the difference,
    the first class rather than the second), blue speaks against it. Methods without a sign only use the red half.

    Parameters
    ----------
    patch : Patches [1]
    maps : xarray.DataArray [1, label, time, frequency], or dict of them by method
    labels : (str, str), optional
        By default the true and the predicted class.
    predictions : pandas.DataFrame, optional
        From `predict`.
    difference : bool
        Add a column with the second map subtracted from the first.
    overlay : bool
        As in `map_grid`.

    Returns
    -------
    numpy.ndarray [methods, 3 or 4] of matplotlib.axes.Axes
        Spectrogram, map of the first class, map of the second, difference.

    Raises
    ------
    ValueError
        If there is not one patch with its maps, or not two different classes.
    UnknownLabelError
        If there is no map for a class.
    """
    drawing.check_count(patch, 1)
    maps = by_method(maps, patch)
    table = drawing.prediction_rows(predictions, patch)
    if labels is None:
        labels = [_labels(which, patch, maps, table)[0] for which in ("true", "predicted")]
    labels = [str(name) for name in labels]
    if len(labels) != 2 or labels[0] == labels[1]:
        raise ValueError(f"labels {labels}: expected two different classes. Name them with labels=('dog', 'rooster').")
    for name in labels:
        check_known(name, maps)
    figure, axes = _grid(len(maps), 3 + difference)
    signed = difference or any(look_of(method, array, overlay).signed for method, array in maps.items())
    look = Look(signed, overlay)
    for row, (method, array) in enumerate(maps.items()):
        mesh = draw_patch(axes[row, 0], patch, prediction=table[0])
        first, second = (array.isel(patch=0).sel(label=name) for name in labels)
        columns = [(first, labels[0]), (second, labels[1])]
        if difference:
            columns.append((first - second, f"{labels[0]} − {labels[1]}"))
        strongest = max(peak_of(panel) for panel, _ in columns)
        for column, (panel, name) in enumerate(columns, start=1):
            title = f"{title_of(method)}\n{name}"
            draw_map(axes[row, column], panel, patch, look, relative_to=strongest, title=title)
    drawing.label_outer(axes)
    _bars(figure, axes, mesh, patch, [look] * (2 + difference), RELATIVE["row"])
    return axes


def by_method(maps, patches=None):
    """Maps as a dict by method, checked: their dimensions, and that they are those of the patches.

    Parameters
    ----------
    maps : xarray.DataArray or dict
    patches : Patches, optional
        Their maps are picked by the patches' index.

    Returns
    -------
    dict of xarray.DataArray [patch, label, time, frequency]
    """
    if not isinstance(maps, dict):
        maps = {getattr(maps, "attrs", {}).get("method", "map"): maps}
    if not maps:
        raise ValueError("no maps: the dict is empty. Expected maps by method, as {'lime': explain(…)}.")
    for method, array in maps.items():
        if not isinstance(array, DataArray) or set(array.dims) != set(DIMS) or not set(DIMS[1:]) <= set(array.coords):
            found = f"{array.dims} (coordinates {list(array.coords)})" if isinstance(array, DataArray) else type(array)
            raise ValueError(
                f"maps of {method!r}: found {found}, expected an xarray.DataArray {DIMS} with coordinates, as from "
                "explain(). Select patches and labels with lists, as in isel(patch=[0]), which keeps the dimensions."
            )
    return maps if patches is None else {method: _own_maps(method, array, patches) for method, array in maps.items()}


def _own_maps(method, array, patches):
    """The maps that belong to the patches, by the index of both, in the patches' order."""
    if "patch" not in array.coords and array.sizes["patch"] == len(patches):
        return array
    index = array.indexes.get("patch")
    if index is not None and index.equals(patches.table.index):
        return array
    if index is None or not index.is_unique or not patches.table.index.isin(index).all():
        raise ValueError(
            f"{array.sizes['patch']} maps of {method!r} do not cover these {len(patches)} patches: they are matched by "
            "the coordinate 'patch' and the index of patches.table. Pass the maps that explain() gave for them."
        )
    return array.sel(patch=patches.table.index.to_numpy())


def _labels(label, patches, maps, table):
    """The class to draw for each patch, all of them known to all maps."""
    if label is None:
        only = next(iter(maps.values()))["label"].to_numpy()
        label = "predicted" if table[0] is not None else str(only[0]) if len(only) == 1 else "true"
    if label == "predicted":
        if table[0] is None:
            raise ValueError("label='predicted' without predictions: pass the table that predict() gave.")
        labels = [row["predicted"] for row in table]
    elif label == "true":
        if "label" not in patches.table:
            raise ValueError("these patches have no true class: name one with label=, or pass predictions=.")
        labels = list(patches.label)
    else:
        labels = [label] * len(patches) if isinstance(label, str) else list(label)
    if len(labels) != len(patches):
        raise ValueError(f"{len(labels)} labels for {len(patches)} patches: expected one name, or one a patch.")
    for name in labels:
        check_known(name, maps)
    return labels


def check_known(label, maps):
    """Raise if a method has no map for this class."""
    for method, array in maps.items():
        drawing.check_label(label, array["label"].to_numpy().tolist(), f"the maps of {title_of(method)}")


def _grid(rows, columns):
    size = (min(10, 2.7 * columns), 1.95 * rows + 0.9)
    shared = {"sharex": True, "sharey": True, "squeeze": False}
    return plt.subplots(rows, columns, figsize=size, layout="constrained", **shared)


def _bars(figure, axes, mesh, patches, looks, label):
    """Below the spectrograms their colour bar, below neighbouring columns of one look theirs."""
    width = figure.get_figwidth() / axes.shape[1]
    bar = figure.colorbar(mesh, ax=axes[:, :1], location="bottom", aspect=18, pad=0.02)
    bar.ax.tick_params(labelsize=drawing.SMALL)
    bar.set_label(drawing.wrapped(drawing.level_label(patches.frontend), width), size=drawing.SMALL)
    column = 1
    for look, run in groupby(looks):
        count = len(list(run))
        look.colorbar(figure, axes[:, column : column + count], drawing.wrapped(label, width * count))
        column += count
