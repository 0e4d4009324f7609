"""How much the neurons of a layer belong to one class, and how much chance gives.

Figures of one panel take the axes to draw on (`ax`, optional) and return them. `title` is optional everywhere.
"""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib import patheffects
from matplotlib.ticker import PercentFormatter

from . import drawing
from .drawing import number_text

FEW = 10  # clips: the share of a neuron that is on for fewer means little, and may lie outside of axes and colours
LAYERS = matplotlib.colormaps["viridis"]


def selectivity_curve(selectivity, shuffled=None, *, title=None, ax=None):
    """Draw the share of each neuron's most represented class, the largest first, beside what chance gives.

    Parameters
    ----------
    selectivity : pandas.DataFrame [neurons]
        From `selectivity`; dead neurons are left out.
    shuffled : xarray.DataArray [shuffle, rank], optional
        From `shuffled_shares`, of the same layer.
    """
    ax = drawing.new_axes(ax, 6.5, 3.8)
    _curve(ax, selectivity, shuffled, {"color": drawing.BLUE, "label": "neurons of the layer"})
    _share_axis(ax, [selectivity], "Neurons, the largest share first")
    ax.set_title(title or "")
    ax.legend(frameon=False)
    return ax


def selectivity_by_layer(selectivities, shuffled=None, *, title=None):
    """Draw the sorted shares of all layers in one figure, then each layer beside what chance gives.

    Parameters
    ----------
    selectivities : dict of pandas.DataFrame [neurons]
        From `selectivity`, layers from the first to the last; otherwise as in `selectivity_curve`.
    shuffled : dict of xarray.DataArray [shuffle, rank], optional
        From `shuffled_shares`. Without it there is only the first panel.

    Returns
    -------
    numpy.ndarray [1 or 1 + layers] of matplotlib.axes.Axes
    """
    layers = len(selectivities)
    if not layers or (shuffled is not None and not set(selectivities) <= set(shuffled)):
        found = f"layers: {drawing.some(selectivities)}; shuffles: {drawing.some(shuffled or ())}"
        raise ValueError(f"{found}. Expected one layer at least, and shuffles of each or none at all.")
    columns = min(4, layers)
    rows = 0 if shuffled is None else -(-layers // columns)
    figure = plt.figure(figsize=(9.5, 4 + 2 * rows), layout="constrained")
    grid = figure.add_gridspec(1 + rows, columns, height_ratios=[2, *[1] * rows])
    first, *axes = [figure.add_subplot(grid[0, :])]
    name_style = {"ha": "center", "va": "center", "weight": "bold"}
    name_style["path_effects"] = [patheffects.withStroke(linewidth=3, foreground="white")]
    for number, (name, table) in enumerate(selectivities.items()):
        look = {"color": LAYERS(0.85 * number / max(1, layers - 1))}
        x, y = _curve(first, table, None, look, fraction=True)
        place = int((number + 0.5) / layers * len(x))
        first.text(*(x[place], y[place]) if len(x) else (0.5, 0), name, **look, **name_style)
        if rows:
            ax = figure.add_subplot(grid[1 + number // columns, number % columns], sharex=first, sharey=first)
            _curve(ax, table, shuffled[name], look, fraction=True)
            _share_axis(ax, selectivities.values(), ylabel="")
            ax.tick_params(labelleft=number % columns == 0, labelbottom=number + columns >= layers)
            ax.set_title(f"{name}: {number_text(len(x), 'neuron')}", size=drawing.NORMAL)
            axes.append(ax)
    _share_axis(first, selectivities.values(), "Rank, as a fraction of the layer's neurons")
    first.set(xlim=(0, 1.01), title=title or "")
    if rows:
        lines = axes[0].get_legend_handles_labels()
        figure.legend(*lines, loc="outside lower center", ncols=2, frameon=False, fontsize=drawing.SMALL)
    return np.array([first, *axes])


def layers_against_chance(table, *, title=None, ax=None):
    """Draw the mean share of the most represented class of each layer, as `compare_layers` gives it, beside chance."""
    drawing.check_columns(table, ["neurons", "share", "chance", "low", "high"], "compare_layers()")
    ax = drawing.new_axes(ax, max(5.6, 0.95 * len(table) + 1.5), 4)
    share, chance, low, high = (100 * table[name].to_numpy(dtype=float) for name in ("share", "chance", "low", "high"))
    ax.plot(share, "o-", color=drawing.BLUE, label="neurons of the layer")
    style = {"color": "0.35", "fmt": "s--", "capsize": 4, "label": "labels shuffled, with 95% of the shuffles"}
    ax.errorbar(np.arange(len(table)), chance, np.abs([chance - low, high - chance]), **style)
    above = {"textcoords": "offset points", "ha": "center", "size": drawing.SMALL}
    for x in np.flatnonzero(np.isfinite(share)):
        ax.annotate(f"{share[x]:.1f}%", (x, share[x]), (0, 7), **above)
    slanted = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if max(map(len, table.index)) > 8 else {}
    names = [f"{name}\n{number_text(n, 'neuron')}" for name, n in table["neurons"].items()]
    ax.set_xticks(np.arange(len(table)), names, size=drawing.SMALL, **slanted)
    highest = table.assign(active=FEW, share=table[["share", "high"]].max(axis=1))
    _share_axis(ax, [highest], ylabel="Mean share of the most\nrepresented class")
    ax.set_xlim(-0.5, len(table) - 0.5)
    ax.set_title(title or "", pad=24)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False, fontsize=drawing.SMALL)
    return ax


def _curve(ax, table, shuffled, look, *, fraction=False):
    """Draw shares, the largest first, and those of shuffled labels; give back where the line runs."""
    drawing.check_columns(table, ["share", "active"], "selectivity()")
    shares = 100 * table["share"].dropna().sort_values(ascending=False).to_numpy()
    rank = np.arange(1, len(shares) + 1) / (max(len(shares), 1) if fraction else 1)
    if shuffled is not None:
        if shuffled.dims != ("shuffle", "rank") or shuffled.sizes["rank"] != len(shares):
            found = f"shuffled shares {dict(shuffled.sizes)} for {len(shares)} neurons that are on for some clip"
            raise ValueError(f"{found}: expected a rank for each, as from shuffled_shares() of the same layer.")
        chance = 100 * shuffled.to_numpy().astype(float)
        low, high = np.percentile(chance, [2.5, 97.5], axis=0)
        ax.fill_between(rank, low, high, color="0.8", linewidth=0, label="labels shuffled: 95% of the shuffles")
        ax.plot(rank, chance.mean(axis=0), color="0.35", linestyle="--", label="labels shuffled: mean")
    ax.plot(rank, shares, linewidth=1.8, marker="o" if len(shares) <= 32 else None, markersize=3, **look)
    return rank, shares


def _share_axis(ax, tables, xlabel="", ylabel="Share of the most\nrepresented class"):
    """Make the vertical axis one of shares in percent; say how many lie above it."""
    top = 1.15 * largest_share(tables)
    off = (100 * pd.concat(list(tables))["share"] > top).sum()
    note = f" ({off} on for fewer than {FEW} clips: off the top)" if off and xlabel else ""
    ax.set(ylim=(0, top), xlabel=xlabel + note, ylabel=ylabel)
    ax.yaxis.set_major_formatter(PercentFormatter(decimals=0))
    ax.grid(axis="y", color="0.88", linewidth=0.6)
    ax.spines[["top", "right"]].set_visible(False)


def largest_share(tables):
    """The largest share in percent of neurons on for 10 clips or more, or of any if there are none."""
    tables = pd.concat(list(tables))
    some = tables["share"][tables["active"] >= FEW].dropna()
    return 100 * (some if len(some) else tables["share"].fillna(1)).max()
