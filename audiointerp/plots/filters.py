"""Filters of a convolution: the sounds they answer to, their labels, and what another network's filters do."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn
from matplotlib import patheffects
from matplotlib.ticker import PercentFormatter
from scipy import ndimage

from . import drawing
from .drawing import number_text
from .maps import draw_map, look_of, peak_of
from .neurons import FEW
from .spectrograms import draw_patch

PANELS = {
    "concentration": ("area", "Activation around\nthe strongest position", "an even map"),
    "purity": ("chance", "Purity of the\nstrongest patches", "labels shuffled"),
    "spread": ("even", "Spread of the strongest position\nin frequency (axis lengths)", "anywhere equally often"),
}
QUARTILES = {"fill": False, "width": 0.6, "color": "black", "linewidth": 1.4, "whiskerprops": {"linewidth": 0}}
QUARTILES |= {"native_scale": True, "showfliers": False, "showcaps": False, "medianprops": {"linewidth": 2.4}}


@drawing.literal
def filter_grid(patches, maps, filters, *, examples=4, level=0.5, deconvolved=None):
    """Draw the patches that filters answer to most, what is active outlined, a row a filter.

    Of each clip only the strongest patch is shown. A position's outline lies where the position does; what the filter
    sees from there is larger.

    Parameters
    ----------
    patches : Patches [n]
    maps : xarray.DataArray [patch, time, frequency, filter]
        From `feature_maps` of these patches, or of some of them: they are matched by the patches' index.
    filters : sequence of int
        At most 12.
    examples : int [1 to 6]
    level : float [0 to 1]
        Outlined is what is above this share of the panel's largest activation.
    deconvolved : dict of xarray.DataArray [patch, time, frequency], optional
        By filter, from `deconvolve` of the patches shown or of more: a second row for each of these filters.

    Returns
    -------
    numpy.ndarray [rows, examples] of matplotlib.axes.Axes
        Panels without a patch, because the filter is active in fewer clips, are blank.

    Raises
    ------
    ValueError
        If maps and patches do not belong together, a filter is not in the maps, or an option is out of range.
    """
    maps = _maps_of(patches, maps)
    filters, deconvolved = list(filters), deconvolved or {}
    absent = [each for each in filters if each not in maps["filter"].to_numpy()]
    if absent or not 0 < len(filters) <= 12:
        known = drawing.some(maps["filter"].to_numpy(), 5)
        raise ValueError(f"filters {drawing.some(absent or filters)}: expected 1 to 12 of those of the maps, {known}.")
    if not 1 <= examples <= 6 or not 0 < level < 1:
        raise ValueError(f"examples={examples}, level={level}: expected 1 to 6, and a share between 0 and 1.")
    chosen = {each: _strongest(maps.sel(filter=each), examples) for each in filters}
    lines = []
    for each in filters:
        lines += [(each, None)] + ([(each, deconvolved[each])] if each in deconvolved else [])
    figure, axes = plt.subplots(len(lines), examples, sharex=True, sharey=True, squeeze=False, layout="constrained")
    figure.set_size_inches(min(11, 2.45 * examples + 1.3), 2 * len(lines) + 0.7)
    shown = patches.data[_rows(patches, sorted({each for row in chosen.values() for each in row}))]
    scale = {"vmin": shown.min(), "vmax": shown.max()} if len(shown) else {}
    mesh = None
    for row, (each, below) in zip(axes, lines, strict=True):
        for ax in row[len(chosen[each]) :]:
            ax.set_axis_off()
        for ax, patch in zip(row, chosen[each], strict=False):
            own = patches[_rows(patches, [patch])]
            if below is None:
                mesh = draw_patch(ax, own, narrow=examples > 3, **scale)
                _outline_active(ax, own, maps.sel(filter=each, patch=patch), level)
            else:
                _draw_deconvolved(ax, own, below, patch, narrow=examples > 3)
        if not chosen[each]:
            row[0].set_axis_on()
            row[0].text(0.5, 0.5, "active nowhere", ha="center", va="center", transform=row[0].transAxes)
    drawing.label_outer(axes)
    for ax, (each, below) in zip(axes[:, 0], lines, strict=True):
        ax.set_ylabel(f"filter {each}\n{'Frequency' if below is None else 'deconvolved'} (Hz)", size=drawing.SMALL)
    for ax in axes.flat:
        ax.tick_params(labelsize=drawing.SMALL - 1)
    if mesh is not None:
        bar = figure.colorbar(mesh, ax=axes, pad=0.02, aspect=30)
        bar.set_label(drawing.level_label(patches.frontend), size=drawing.SMALL)
    return axes


@drawing.literal
def filter_label_matrix(table, *, title=None):
    """Draw how the activation of each filter spreads over the labels.

    A label's share is its mean activation, divided by the sum over labels; labels of many patches do not count more.
    Filters stand in the order of their most active label, those with the largest share first; dead ones come last.
    Those active in fewer than 10 patches may lie outside of the colours.

    Parameters
    ----------
    table : pandas.DataFrame [(filter, label)]
        From `label_statistics`.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
        A row a filter, a column a label.

    Raises
    ------
    ValueError
        If the table is another one.
    """
    drawing.check_columns(table, ["mean", "active", "patches"], "label_statistics()")
    if list(table.index.names) != ["filter", "label"]:
        raise ValueError(f"the table's rows are {list(table.index.names)}: expected (filter, label), as from "
                         "label_statistics().")  # fmt: skip
    means = table["mean"].unstack("label")
    live = means.sum(axis=1) > 0
    shares = 100 * means.div(means.sum(axis=1).where(live), axis=0)
    largest = shares.max(axis=1).fillna(0)
    order = np.lexsort([-largest, means.to_numpy().argmax(axis=1), ~live])
    often = (table["active"] * table["patches"]).groupby(level="filter").sum().to_numpy() >= FEW
    strongest = (largest[often] if often.any() else largest).max() or 1
    label = f"Share of the filter's activation (even: {1 / len(means.columns):.0%})"
    ax = drawing.share_matrix(shares.iloc[order], strongest, label)
    dead = "" if live.all() else f" ({(~live).sum()} dead: grey)"
    ax.set(ylabel=number_text(len(means), "filter") + dead, title=title or "")
    return ax


@drawing.literal
def filter_comparison(statistics, *, seed=0, title=None):
    """Draw what the filters of several networks do, side by side: a point a filter, quartiles, and the reference.

    Parameters
    ----------
    statistics : dict of pandas.DataFrame [filters]
        From `filter_statistics`, by network; at most 4.
    seed : int
        Of the points' sideways places, which mean nothing.
    title : str, optional

    Returns
    -------
    numpy.ndarray [3] of matplotlib.axes.Axes
        Concentration, purity and spread.

    Raises
    ------
    ValueError
        If there are no tables, more than 4, or one is not from `filter_statistics`.
    """
    if not isinstance(statistics, dict) or not 1 <= len(statistics) <= 4:
        found = f"{len(statistics)} networks" if isinstance(statistics, dict) else f"a {type(statistics).__name__}"
        raise ValueError(f"statistics are {found}: expected 1 to 4 tables, {{'plain': filter_statistics(maps), …}}.")
    for table in statistics.values():
        drawing.check_columns(table, [*PANELS, *(panel[0] for panel in PANELS.values())], "filter_statistics()")
    figure, axes = plt.subplots(1, 3, figsize=(10.5, 3.9), layout="constrained")
    rng = np.random.default_rng(seed)
    for ax, (measure, (reference, text, meaning)) in zip(axes, PANELS.items(), strict=True):
        for place, table in enumerate(statistics.values()):
            known = table[[measure, reference]].dropna().to_numpy(dtype=float)
            if len(known):
                sideways = place + rng.uniform(-0.22, 0.22, len(known))
                style = {"color": drawing.colour(place), "s": 14, "alpha": 0.6, "linewidths": 0, "clip_on": False}
                ax.scatter(sideways, known[:, 0], **style)
                seaborn.boxplot(x=place, y=known[:, 0], ax=ax, **QUARTILES)
                expected = np.median(known[:, 1])
                ax.plot(place + np.array([-0.4, 0.4]), [expected] * 2, "--", color="0.35", label=meaning)
        names = [f"{name}\n{number_text(int(t[measure].notna().sum()), 'filter')}" for name, t in statistics.items()]
        ax.set_xticks(np.arange(len(names)), names, size=drawing.SMALL)
        ax.set(xlim=(-0.6, len(names) - 0.4), ylim=(0, None), title=text)
        ax.title.set_fontsize(drawing.NORMAL)
        if measure != "spread":
            ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        ax.grid(axis="y", color="0.88", linewidth=0.6)
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)
        handles, texts = ax.get_legend_handles_labels()
        ax.legend(handles[:1], texts[:1], loc="upper center", bbox_to_anchor=(0.5, -0.17), frameon=False, fontsize=8.5)
    figure.suptitle(title or "")
    return axes


def _maps_of(patches, maps):
    """Feature maps, checked: their dimensions, and that their patches are among these."""
    dims = {"patch", "time", "frequency", "filter"}
    if set(getattr(maps, "dims", ())) != dims or not dims <= set(maps.coords):
        found = tuple(getattr(maps, "dims", [type(maps).__name__]))
        raise ValueError(f"maps are {found}: expected those of feature_maps(), with all their coordinates.")
    index = patches.table.index
    if not index.is_unique or not np.isin(maps["patch"].to_numpy(), index).all():
        raise ValueError(
            f"maps of {maps.sizes['patch']} patches are not of these {len(patches)}: they are matched by the maps' "
            "coordinate 'patch' and the index of patches.table. Pass the patches that feature_maps() was given."
        )
    return maps.transpose("patch", "time", "frequency", "filter")


def _rows(patches, index):
    return patches.table.index.get_indexer(index)


def _strongest(maps, most):
    """Index of the patches with the largest activation, one of each clip, the strongest first."""
    peak = pd.Series(maps.max(["time", "frequency"]).to_numpy(), maps["patch"].to_numpy())
    clip = maps["clip"].to_numpy() if "clip" in maps.coords else np.arange(len(peak))
    order = np.argsort(-peak.to_numpy(), kind="stable")
    order = order[(peak.to_numpy()[order] > 0) & ~pd.Series(clip[order]).duplicated().to_numpy()]
    return peak.index[order[:most]].tolist()


def _outline_active(ax, patch, values, level):
    """Outline what is above a share of the largest activation, and say that."""
    largest = float(values.max())
    coarse = values.to_numpy()
    factors = np.divide(patch.data.shape[1:], coarse.shape)
    fine = ndimage.zoom(coarse, factors, order=1, mode="nearest", grid_mode=True)  # positions tile the patch
    style = {"levels": [level * fine.max()], "colors": "white", "linewidths": 1.6}
    lines = ax.contour(patch.time, patch.frequency, fine.T, **style)
    lines.set_path_effects([patheffects.withStroke(linewidth=3.2, foreground="black", alpha=0.7)])
    name = f"{ax.get_title()}, " if ax.get_title() else ""
    ax.set_title(f"{name}peak {largest:.2g}", size=ax.title.get_fontsize())


def _draw_deconvolved(ax, patch, maps, index, *, narrow):
    if "patch" not in maps.coords or index not in maps["patch"].to_numpy():
        raise ValueError(f"deconvolved maps lack patch {index}: deconvolve the patches that are shown, or all of them.")
    panel = maps.sel(patch=index)
    style = {"relative_to": peak_of(panel), "title": "deconvolved", "narrow": narrow}
    draw_map(ax, panel, patch, look_of("deconvolution", maps), **style)
