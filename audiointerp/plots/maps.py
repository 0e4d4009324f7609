"""Maps beside the patches that they explain."""

import re
from dataclasses import dataclass
from itertools import groupby

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from xarray import DataArray

from ..maps.matching import matching
from . import drawing
from .spectrograms import draw_patch

NAMES = {
    "gradcam": "Grad-CAM",
    "gradcam++": "Grad-CAM++",
    "gradcam_keras_vis": "Grad-CAM (tf-keras-vis)",
    "scorecam": "Score-CAM",
    "saliency": "Saliency",
    "integrated_gradients": "Integrated gradients",
    "rise": "RISE",
    "lime": "LIME",
    "occlusion": "Occlusion",
    "cam": "CAM",
    "crm": "CRM",
    "deconvolution": "Deconvolution",
}
# Drawn with a sign even where no value happens to be negative.
SIGNED = {"lime", "occlusion", "cam", "integrated_gradients", "rise"}
RELATIVE = {
    "panel": "Relative to panel's largest value",
    "row": "Relative to row's largest value",
    "method": "Relative to method's largest value",
}
DIMS = ("patch", "label", "time", "frequency")


@dataclass(frozen=True)
class Look:
    """How the maps of one method are drawn: signed on a scale centred at zero, or not; alone or over a spectrogram."""

    signed: bool
    overlay: bool = False

    @property
    def cmap(self):
        """Colour map; over a spectrogram, the smaller a value the more transparent it is."""
        if not self.overlay:
            return matplotlib.colormaps["RdBu_r" if self.signed else "magma"]
        shade = np.linspace(-1 if self.signed else 0, 1, 256)
        colours = matplotlib.colormaps["RdBu_r" if self.signed else "YlOrRd"](np.linspace(0, 1, 256))
        colours[:, 3] = np.abs(shade) ** 0.75
        return ListedColormap(colours)

    @property
    def norm(self):
        """From -1 to 1, or from 0 to 1."""
        return Normalize(-1 if self.signed else 0, 1)

    def colorbar(self, figure, axes, label):
        """The colour bar of this look, below the axes."""
        style = {"location": "bottom", "aspect": 18 * np.shape(axes)[-1], "pad": 0.02}
        bar = figure.colorbar(ScalarMappable(self.norm, self.cmap), ax=axes, **style)
        bar.set_label(label, size=drawing.SMALL)
        bar.ax.tick_params(labelsize=drawing.SMALL)
        bar.set_ticks([-1, 0, 1] if self.signed else [0, 0.5, 1])
        return bar


@drawing.literal
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
            style = {"relative_to": strongest, "title": f"{title_of(method)}\n{name}", "narrow": narrow}
            draw_map(axes[row, column], panel, patches[row], looks[method], **style)
    drawing.label_outer(axes)
    _bars(figure, axes, mesh, patches, list(looks.values()), RELATIVE[relative_to])
    return axes


@drawing.literal
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


def title_of(method):
    """A method's name as titles write it, with what follows it (`lime (samples=256)`); unknown ones as they are."""
    name = re.split("[ ,]", str(method), maxsplit=1)[0]
    return NAMES.get(name, name) + str(method)[len(name) :]


def look_of(method, maps, overlay=False):
    """How to draw these maps: with a sign if their method has one, or if a value is negative."""
    return Look(maps.attrs.get("method", method) in SIGNED or bool((maps < 0).any()), overlay)


def peak_of(values):
    """Largest distance from zero; 0 if no value is finite."""
    finite = np.abs(np.asarray(values, dtype=float))
    return float(finite[np.isfinite(finite)].max(initial=0))


def draw_map(ax, panel, patch, look, *, relative_to, title, narrow=False):
    """Draw one map [time, frequency] over the extent of its patch; the title gets the panel's own largest value.

    The value `relative_to` gets the strongest colour; a panel may be too `narrow` for long lines.
    """
    values = panel.transpose("time", "frequency").to_numpy().astype(float)
    within = (patch.time, patch.frequency)
    if look.overlay:
        pale = ListedColormap(matplotlib.colormaps["gray_r"](np.linspace(0, 0.55, 256)))
        drawing.draw_cells(ax, patch.data[0], *within, cmap=pale)
    time, frequency = panel["time"].to_numpy(), panel["frequency"].to_numpy()
    style = {"within": within, "cmap": look.cmap, "norm": look.norm}
    mesh = drawing.draw_cells(ax, values / (relative_to or 1), time, frequency, **style)
    strongest = values.ravel()[np.nanargmax(np.abs(values))] if np.isfinite(values).any() else np.nan
    text = "no values" if np.isnan(strongest) else f"peak {strongest:.2g}".replace("-", "−")
    gap = "\n" if narrow or len(title.splitlines()[-1]) > 20 else ", "
    ax.set_title(f"{title}{gap}{text}", size=drawing.SMALL - 1 if narrow else drawing.NORMAL - 1)
    return mesh


def by_method(maps, patches=None):
    """Maps as a dict by method, checked: their dimensions, and that they are those of the patches (by their index)."""
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
    return (
        maps if patches is None else {method: matching(array, patches, repr(method)) for method, array in maps.items()}
    )


def check_known(label, maps):
    """Raise if a method has no map for this class."""
    for method, array in maps.items():
        drawing.check_label(label, array["label"].to_numpy().tolist(), f"the maps of {title_of(method)}")


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
