"""Whole classes: their mean maps and profiles with spread, what sets two of them apart, where methods agree."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator

from ..maps.classes import class_difference, class_profile, method_consensus
from . import drawing
from .maps import Look, by_method, look_of, peak_of, title_of

BANDS = {"interval": ("low", "high"), "quartiles": ("q25", "q75")}
FEW = 3  # classes whose bands can be told apart


@drawing.literal
def label_average(maps, label, *, own=True, confidence=0.95, seed=0, title=None):
    """Draw the average map for one class, with its means over time and over frequency along the edges.

    Parameters
    ----------
    maps : xarray.DataArray [n, label, time, frequency]
    label : str
    own : bool
        Average only the patches that are of this class (maps from `explain` know which); otherwise all of them.
    confidence : float
        Of the bands around the means, for which clips are drawn with replacement.
    seed : int
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

    See Also
    --------
    audiointerp.maps.class_profile : The same in numbers.
    """
    by_method(maps)
    of = {"own": own, "confidence": confidence, "seed": seed}
    whole, *edges = (
        class_profile(maps, [label], along=along, **of).isel(label=0) for along in (None, "time", "frequency")
    )
    count = drawing.number_text(int(whole["patches"]), "patch")
    method = maps.attrs.get("method", "map")
    text = f"{title_of(method)} for {label}, mean of {count}" if title is None else title
    average = whole["mean"].transpose("time", "frequency")
    look = look_of(method, average.assign_attrs(maps.attrs))
    return _with_edges(average, edges, "mean", look, _relevance(maps), text)


@drawing.literal
def label_difference(maps, labels, *, own=True, confidence=0.95, seed=0, title=None):
    """Draw what sets two classes apart: the mean map of one minus that of the other, with profiles along the edges.

    Cells whose interval holds 0 are grey; red is what the first class rests on more, blue the second.

    Parameters
    ----------
    maps : xarray.DataArray [n, label, time, frequency]
    labels : (str, str)
    own : bool
        Compare the patches of the one class with those of the other; otherwise both maps of all patches.
    confidence : float
        Of the intervals, for which clips are drawn with replacement.
    seed : int
    title : str, optional

    Returns
    -------
    numpy.ndarray [3] of matplotlib.axes.Axes
        Difference, its mean over frequency (against time), over time (against frequency).

    Raises
    ------
    UnknownLabelError
        If there is no map for a class, or no patch of it.
    ValueError
        If there are not two different classes, or the maps are not as `explain` gives them.

    See Also
    --------
    audiointerp.maps.class_difference : The same in numbers.
    """
    by_method(maps)
    of = {"own": own, "confidence": confidence, "seed": seed}
    whole, *edges = (class_difference(maps, labels, along=along, **of) for along in (None, "time", "frequency"))
    sure = whole["difference"].where((whole["low"] > 0) | (whole["high"] < 0)).transpose("time", "frequency")
    text = f"{title_of(maps.attrs.get('method', 'map'))}: {labels[0]} − {labels[1]}"
    text += f" (grey: {confidence:.0%} interval holds 0)"
    return _with_edges(sure, edges, "difference", Look(True), _relevance(maps), text if title is None else title)


@drawing.literal
def frequency_profile(maps, labels=None, *, own=True, spread="auto", title=None, ax=None):
    """Draw which frequencies matter for classes: the mean of their maps over patches and time.

    Parameters
    ----------
    maps : xarray.DataArray [n, label, time, frequency]
    labels : sequence of str, optional
        All labels of the maps by default.
    own : bool
        Average for each class only the patches that are of it (maps from `explain` know which); otherwise all of them.
    spread : {"auto", "interval", "quartiles", None}
        The band around each line: where the mean would lie with other clips (95 %), or the middle half of the patches.
        "auto" is the interval for up to three classes; bands of more hide each other.
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
        If the maps are not as `explain` gives them, or the spread is unknown.

    See Also
    --------
    audiointerp.maps.class_profile : The same in numbers.
    """
    ax = _profile(maps, labels, "frequency", own, spread, title, ax)
    edges = drawing.mel_edges(maps["frequency"].to_numpy())
    drawing.mel_axis(ax, edges[0], edges[-1], which="x")
    return ax


@drawing.literal
def time_profile(maps, labels=None, *, own=True, spread="auto", title=None, ax=None):
    """Draw when in a patch it matters for classes: the mean of their maps over patches and frequency.

    Parameters, result and errors are those of `frequency_profile`.

    Parameters
    ----------
    maps : xarray.DataArray [n, label, time, frequency]
    labels : sequence of str, optional
    own : bool
    spread : {"auto", "interval", "quartiles", None}
    title : str, optional
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    UnknownLabelError, ValueError
    """
    ax = _profile(maps, labels, "time", own, spread, title, ax)
    first, *_, last = drawing.cell_edges(maps["time"].to_numpy())
    ax.set(xlabel="Time (s)", xlim=(first, last))
    return ax


@drawing.literal
def consensus(maps, label, *, own=True, title=None):
    """Draw where methods agree on a class: each by ranks, their mean, and how far they lie apart.

    Parameters
    ----------
    maps : dict of xarray.DataArray [n, label, time, frequency]
        By method, of the same patches and size.
    label : str
    own : bool
        Average only the patches of this class; otherwise all of them.
    title : str, optional

    Returns
    -------
    numpy.ndarray [methods + 2] of matplotlib.axes.Axes
        Mean rank of each method, their mean, their spread.

    Raises
    ------
    UnknownLabelError
        If a method has no map for the class.
    ValueError
        If there are fewer than two methods, or their maps are not of the same patches and axes.

    See Also
    --------
    audiointerp.maps.method_consensus : The same in numbers.
    """
    found = method_consensus(by_method(maps), label, own=own)
    panels = [(title_of(name), each) for name, each in zip(maps, found["rank"], strict=True)]
    panels += [("Mean of the methods", found["mean"]), ("Spread of the methods", found["spread"])]
    shape = {"figsize": (min(12, 2.6 * len(panels)), 3.4), "squeeze": False, "layout": "constrained"}
    figure, axes = plt.subplots(1, len(panels), sharex=True, sharey=True, **shape)
    looks = [{"cmap": "RdBu_r", "vmin": 0, "vmax": 1}] * (len(panels) - 1) + [
        {"cmap": drawing.CELLS, "vmin": 0, "vmax": 0.5}
    ]
    for ax, (name, each), look in zip(axes[0], panels, looks, strict=True):
        each = each.transpose("time", "frequency")
        mesh = drawing.draw_cells(ax, each, each["time"].to_numpy(), each["frequency"].to_numpy(), **look)
        ax.set_title(name, size=drawing.NORMAL)
        if ax in axes[0, -2:]:
            under, text = (
                (axes[0, :-1], "Rank in its map (1: the strongest cell)")
                if ax is axes[0, -2]
                else (ax, "Standard deviation")
            )
            bar = figure.colorbar(mesh, ax=under, location="bottom", aspect=14 * np.size(under), pad=0.02)
            bar.set_label(text, size=drawing.SMALL)
            bar.ax.tick_params(labelsize=drawing.SMALL)
    drawing.label_outer(axes)
    count = drawing.number_text(found.attrs["patches"], "patch")
    figure.suptitle(f"{label}, mean of {count}" if title is None else title, size=drawing.NORMAL + 1)
    return axes[0]


def _profile(maps, labels, along, own, spread, title, ax):
    """Lines of classes along one axis, with bands."""
    if spread not in ("auto", None, *BANDS):
        raise ValueError(f"spread={spread!r}: expected 'auto', 'interval', 'quartiles' or None.")
    by_method(maps)
    profile = class_profile(maps, labels, along=along, own=own)
    few = profile.sizes["label"] <= FEW
    spread = ("interval" if few else None) if spread == "auto" else spread
    ax = drawing.new_axes(ax, 8, 3.6)
    ax.axhline(0, color="0.5", linewidth=0.8)
    for number, label in enumerate(profile["label"].values):
        one, style = profile.isel(label=number), drawing.line_style(number)
        text = drawing.in_legend(f"{label} ({drawing.number_text(int(one['patches']), 'patch')})")
        ax.plot(one[along], one["mean"], label=text, linewidth=1.8, **style)
        if spread:
            low, high = BANDS[spread]
            ax.fill_between(one[along], one[low], one[high], color=style["color"], alpha=0.2, linewidth=0)
    other = "time" if along == "frequency" else "frequency"
    method = title_of(maps.attrs.get("method", "map"))
    bands = {"interval": ", with 95% interval", "quartiles": ", with quartiles", None: ""}[spread]
    ax.set(ylabel=_relevance(maps), title=f"{method}: mean over patches and {other}{bands}" if title is None else title)
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize=drawing.SMALL)
    ax.grid(color="0.9", linewidth=0.6)
    return ax


def _with_edges(values, edges, name, look, text, title):
    """A map [time, frequency] with its profiles along time, above, and along frequency, to the right."""
    shape = {"figsize": (7.5, 4.6), "width_ratios": [3, 1], "height_ratios": [1, 2.6], "layout": "constrained"}
    figure, axes = plt.subplots(2, 2, sharex="col", sharey="row", **shape)
    (above, corner), (centre, right) = axes
    corner.set_axis_off()
    peak = peak_of(values) or 1
    time, frequency = values["time"].to_numpy(), values["frequency"].to_numpy()
    scale = {"vmin": -peak if look.signed else 0, "vmax": peak}
    mesh = drawing.draw_cells(centre, values.to_numpy(), time, frequency, cmap=look.cmap, **scale)
    bar = figure.colorbar(mesh, ax=axes[:, 1], location="right", pad=0.05)
    bar.set_label(text, size=drawing.SMALL)
    along_time, along_frequency = edges
    above.plot(time, along_time[name], color=drawing.BLUE)
    right.plot(along_frequency[name], frequency, color=drawing.BLUE)
    style = {"color": drawing.BLUE, "alpha": 0.25, "linewidth": 0}
    above.fill_between(time, along_time["low"], along_time["high"], **style)
    right.fill_betweenx(frequency, along_frequency["low"], along_frequency["high"], **style)
    above.set_ylabel("Mean over\nfrequency", size=drawing.SMALL)
    right.set_xlabel("Mean over time", size=drawing.SMALL)
    right.xaxis.set_major_locator(MaxNLocator(2, steps=[1, 2, 5, 10]))
    right.tick_params(axis="x", labelsize=drawing.SMALL - 1)
    above.axhline(0, color="0.5", linewidth=0.8)
    right.axvline(0, color="0.5", linewidth=0.8)
    figure.suptitle(title, size=drawing.NORMAL + 1)
    return np.array([centre, above, right])


def _relevance(maps):
    units = maps.attrs.get("units")
    return f"Mean relevance ({units})" if units else "Mean relevance"
