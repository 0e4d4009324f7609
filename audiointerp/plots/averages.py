"""Maps averaged over the patches of a class, and their profiles."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator

from . import drawing
from .maps import by_method, check_known
from .panels import look_of, peak_of, title_of


def label_average(maps, label, *, own=True, title=None):
    """Draw the average map for one class, with its means over time and over frequency along the edges.

    Parameters
    ----------
    maps : xarray.DataArray [n, label, time, frequency]
    label : str
    own : bool
        Average only the patches that are of this class (maps from `explain` know which); otherwise all of them.
    title : str, optional

    Returns
    -------
    numpy.ndarray [3] of matplotlib.axes.Axes
        Average map, mean over frequency (against time), mean over time (against frequency).

    Raises
    ------
    UnknownLabelError
        If there is no map for the class, or no patch of it.
    ValueError
        If the maps are not as `explain` gives them.
    """
    average, count = _average(maps, label, own)
    method = maps.attrs.get("method", "map")
    look = look_of(method, average.assign_attrs(maps.attrs))
    figure, axes = plt.subplots(
        2,
        2,
        figsize=(7.5, 4.6),
        sharex="col",
        sharey="row",
        width_ratios=[3, 1],
        height_ratios=[1, 2.6],
        layout="constrained",
    )
    (above, corner), (centre, right) = axes
    corner.set_axis_off()
    peak = peak_of(average) or 1
    time, frequency = average["time"].to_numpy(), average["frequency"].to_numpy()
    scale = {"vmin": -peak if look.signed else 0, "vmax": peak}
    mesh = drawing.draw_cells(centre, average.to_numpy(), time, frequency, cmap=look.cmap, **scale)
    bar = figure.colorbar(mesh, ax=axes[:, 1], location="right", pad=0.05)
    bar.set_label(_relevance(maps), size=drawing.SMALL)
    above.plot(time, average.mean("frequency"), color=drawing.BLUE)
    right.plot(average.mean("time"), frequency, color=drawing.BLUE)
    above.set_ylabel("Mean over\nfrequency", size=drawing.SMALL)
    right.set_xlabel("Mean over time", size=drawing.SMALL)
    right.xaxis.set_major_locator(MaxNLocator(2, steps=[1, 2, 5, 10]))
    right.tick_params(axis="x", labelsize=drawing.SMALL - 1)
    above.axhline(0, color="0.5", linewidth=0.8)
    right.axvline(0, color="0.5", linewidth=0.8)
    text = f"{title_of(method)} for {label}, mean of {count} patch{'es' if count > 1 else ''}"
    figure.suptitle(text if title is None else title, size=drawing.NORMAL + 1)
    return np.array([centre, above, right])


def frequency_profile(maps, labels=None, *, own=True, title=None, ax=None):
    """Draw which frequencies matter for classes: the mean of their maps over patches and time.

    Parameters
    ----------
    maps : xarray.DataArray [n, label, time, frequency]
    labels : sequence of str, optional
        All labels of the maps by default.
    own : bool
        Average for each class only the patches that are of it (maps from `explain` know which); otherwise all of them.
    title : str, optional
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    UnknownLabelError
        If there is no map for a class, or no patch of it.
    ValueError
        If the maps are not as `explain` gives them.
    """
    by_method(maps)
    labels = maps["label"].to_numpy().tolist() if labels is None else [labels] if isinstance(labels, str) else labels
    averages = {label: _average(maps, label, own) for label in labels}
    ax = drawing.new_axes(ax, 8, 3.6)
    ax.axhline(0, color="0.5", linewidth=0.8)
    edges = drawing.mel_edges(maps["frequency"].to_numpy())
    for number, (label, (average, count)) in enumerate(averages.items()):
        text = f"{label} ({count} patch{'es' if count > 1 else ''})"
        ax.plot(maps["frequency"], average.mean("time"), label=text, linewidth=1.8, **drawing.line_style(number))
    drawing.mel_axis(ax, edges[0], edges[-1], which="x")
    method = title_of(maps.attrs.get("method", "map"))
    ax.set(ylabel=_relevance(maps), title=f"{method}: mean over patches and time" if title is None else title)
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize=drawing.SMALL)
    ax.grid(color="0.9", linewidth=0.6)
    return ax


def _relevance(maps):
    units = maps.attrs.get("units")
    return f"Mean relevance ({units})" if units else "Mean relevance"


def _average(maps, label, own):
    """Mean map [time, frequency] for a class, and of how many patches."""
    check_known(label, by_method(maps))
    array = maps.sel(label=label)
    if own:
        if "true" not in maps.coords:
            raise ValueError(
                "these maps do not know the true classes of their patches (no coordinate 'true'). Average all of them "
                "with own=False, or explain patches that have labels."
            )
        drawing.check_label(label, np.unique(maps["true"]).tolist(), "the patches (average all of them with own=False)")
        array = array.isel(patch=np.flatnonzero(maps["true"] == label))
    return array.mean("patch").transpose("time", "frequency"), array.sizes["patch"]
