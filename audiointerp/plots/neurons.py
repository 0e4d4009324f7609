"""Neurons of a layer: what they are on for, and how selective they are beside chance."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib import patheffects
from matplotlib.ticker import PercentFormatter

from ..layers.neurons import active, selective, selectivity
from . import drawing
from .drawing import number_text

FEW = 10  # clips: the share of a neuron that is on for fewer means little, and may lie outside of axes and colours
LAYERS = matplotlib.colormaps["viridis"]


@drawing.literal
def activation_curve(features, neuron, *, percentile=95, title=None, ax=None):
    """Draw one neuron's activation over the clips, the strongest first, and where the neuron is on.

    Parameters
    ----------
    features : xarray.DataArray [clip, neuron]
    neuron : int
    percentile : float [0 to 100]
        Of the neuron's activations; above it the neuron is on.
    title : str, optional
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If the neuron is not in the layer.
    """
    on = active(features, percentile=percentile)
    place = _place(neuron, on["neuron"].to_numpy())
    values = features.isel(neuron=place).to_numpy()
    limit, count = np.percentile(values, percentile), int(on[:, place].sum())
    values, rank = np.sort(values)[::-1], np.arange(1, len(values) + 1)
    ax = drawing.new_axes(ax, 7, 3.6)
    style = {"color": drawing.ORANGE, "alpha": 0.5, "step": "mid", "linewidth": 0}
    ax.fill_between(rank[:count], values[:count], limit, label=f"on: {count:,} of {len(values):,} clips", **style)
    ax.plot(rank, values, color=drawing.BLUE, drawstyle="steps-mid", label="activation")
    ax.axhline(limit, color=drawing.VERMILION, linestyle="--", label=f"percentile {percentile:g}: {limit:.3g}")
    title = f"{features.name or 'Layer'}, neuron {neuron}" if title is None else title
    ax.set(xlim=(0.5, len(values) + 0.5), xlabel="Clips, the strongest first", ylabel="Activation", title=title)
    ax.legend(frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


@drawing.literal
def neuron_classes(matrix, neuron, *, most=12, title=None, ax=None):
    """Draw the classes of the clips that one neuron is on for.

    Parameters
    ----------
    matrix : pandas.DataFrame [neurons, classes]
        From `neuron_class_matrix`.
    neuron : int
    most : int
        Classes to show.
    title : str, optional
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If the neuron is not in the layer.
    """
    counts = matrix.iloc[_place(neuron, matrix.index.to_numpy())]
    counts = counts[counts > 0].sort_values(ascending=False, kind="stable")
    shown, rest = counts[:most], counts[most:]
    ax = drawing.new_axes(ax, 6.5, 0.27 * max(len(shown), 3) + 1)
    text = f"Neuron {neuron}: on for {number_text(counts.sum(), 'clip')} of {number_text(len(counts), 'class')}"
    more = f"; not shown: {number_text(rest.sum(), 'clip')} of {number_text(len(rest), 'class')}" if len(rest) else ""
    ax.set(title=text if title is None else title, xlabel=f"Number of clips (share){more}")
    texts = [f"{n} ({n / counts.sum():.0%})" for n in shown]
    return drawing.draw_bars(ax, shown, texts, "this neuron is on for no clip")


@drawing.literal
def neuron_class_matrix(matrix, *, groups=None, title=None):
    """Draw how the clips that each neuron is on for spread over the classes.

    Neurons stand in the order of their most represented class, those with the largest share first; dead ones come last.

    Parameters
    ----------
    matrix : pandas.DataFrame [neurons, classes]
        From `neuron_class_matrix`.
    groups : dict of str to str, optional
        The group of each class, as `ESC50_GROUPS`: its classes stand together, groups in the order of the dict.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
        A row a neuron, a column a class.

    Raises
    ------
    UnknownLabelError
        If a class has no group.
    """
    for label in matrix if groups else ():
        drawing.check_label(label, groups, "the groups")
    rank = list(dict.fromkeys((groups or {}).values()))
    matrix = matrix[sorted(matrix, key=lambda label: rank.index(groups[label]))] if groups else matrix
    table = selectivity(matrix)
    live = table["active"] > 0
    order = np.lexsort([-table["share"].fillna(0), matrix.to_numpy().argmax(axis=1), ~live])
    shares = 100 * matrix.div(table["active"].where(live), axis=0).iloc[order]
    ax = drawing.share_matrix(shares, largest_share([table]), "Share of the clips the neuron is on for")
    ax.set_ylabel(number_text(len(matrix), "neuron") + ("" if live.all() else f" ({(~live).sum()} dead: grey)"))
    of_each, lines = [groups[label] for label in matrix] if groups else [], 0
    for group in dict.fromkeys(of_each):
        first, many = of_each.index(group), of_each.count(group)
        ax.axvline(first, color="0.4", linewidth=1 if first else 0)
        text = drawing.wrapped(str(group), many * (ax.figure.get_figwidth() - 2) / len(of_each))
        lines = max(lines, text.count("\n") + 1)
        across = {"xycoords": ax.get_xaxis_transform(), "textcoords": "offset points", "ha": "center"}
        ax.annotate(text, (first + many / 2, 1), (0, 4), size=drawing.SMALL, **across)
    ax.set_title(title or "", pad=8 + 12 * lines)
    return ax


@drawing.literal
def class_owners(owners, *, more_than=5, title=None, ax=None):
    """Draw the classes that are the most represented one of many neurons.

    Parameters
    ----------
    owners : pandas.Series [classes]
        Numbers of neurons, from `owners`.
    more_than : int
        What `owners` was given.
    title : str, optional
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = drawing.new_axes(ax, 6, 0.24 * max(len(owners), 3) + 1)
    limit = f"more than {number_text(more_than, 'neuron')}"
    text = f"{number_text(len(owners), 'class')} with {limit}"
    ax.set(title=text if title is None else title, xlabel="Number of neurons")
    return drawing.draw_bars(ax, owners, owners, f"no class is the first of {limit}")


@drawing.literal
def selective_neurons(matrix, *, over=0.3, most=12, fewest=1, title=None):
    """Draw the classes of each neuron whose most represented class has more than a share of its clips.

    Parameters
    ----------
    matrix : pandas.DataFrame [neurons, classes]
        From `neuron_class_matrix`.
    over, fewest
        See `selective`.
    most : int
        Neurons to show, those with the largest shares.
    title : str, optional

    Returns
    -------
    numpy.ndarray of matplotlib.axes.Axes
        One a neuron; a single one with a sentence if there is none.
    """
    found = selective(selectivity(matrix), over, fewest=fewest)
    shown, panels = found[:most], np.clip(len(found), 1, most)
    rows, columns = -(-panels // 3), min(3, panels)
    figure, axes = plt.subplots(rows, columns, squeeze=False, layout="constrained")
    figure.set_size_inches(max(3.3 * columns, 6), 1.75 * rows + 0.6)
    for ax, (neuron, row) in zip(axes.flat, shown.iterrows(), strict=False):
        text = f"neuron {neuron}: {row['share']:.0%} of {number_text(row['active'], 'clip')}"
        neuron_classes(matrix, neuron, most=6, title=text, ax=ax).set_xlabel("")
        ax.title.set_fontsize(drawing.NORMAL)
        ax.tick_params(labelsize=drawing.SMALL)
    if shown.empty:
        drawing.draw_bars(axes[0, 0], shown, [], f"no neuron is above {over:.0%}")
    for ax in axes.flat[panels:]:
        ax.set_axis_off()
    text = f"{len(found)} of {number_text(len(matrix), 'neuron')} with one class in more than {over:.0%} of their clips"
    text += f" (the first {most}; {len(found) - most} more)" if len(found) > most else ""
    figure.suptitle(f"{title}\n{text}" if title else text, size=drawing.NORMAL + 1)
    return axes.ravel()[:panels]


@drawing.literal
def selectivity_curve(selectivity, shuffled=None, *, title=None, ax=None):
    """Draw the share of each neuron's most represented class, the largest first, beside what chance gives.

    Parameters
    ----------
    selectivity : pandas.DataFrame [neurons]
        From `selectivity`; dead neurons are left out.
    shuffled : xarray.DataArray [shuffle, rank], optional
        From `shuffled_shares`, of the same layer.
    title : str, optional
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If the table is another one, or the shuffles are of another layer.
    """
    ax = drawing.new_axes(ax, 6.5, 3.8)
    _curve(ax, selectivity, shuffled, {"color": drawing.BLUE, "label": "neurons of the layer"})
    _share_axis(ax, [selectivity], "Neurons, the largest share first")
    ax.set_title(title or "")
    ax.legend(frameon=False)
    return ax


@drawing.literal
def selectivity_by_layer(selectivities, shuffled=None, *, title=None):
    """Draw the sorted shares of all layers in one figure, then each layer beside what chance gives.

    Parameters
    ----------
    selectivities : dict of pandas.DataFrame [neurons]
        From `selectivity`, layers from the first to the last; otherwise as in `selectivity_curve`.
    shuffled : dict of xarray.DataArray [shuffle, rank], optional
        From `shuffled_shares`. Without it there is only the first panel.
    title : str, optional

    Returns
    -------
    numpy.ndarray [1 or 1 + layers] of matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there is no layer, or some have shuffles and others none.
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


@drawing.literal
def layers_against_chance(table, *, title=None, ax=None):
    """Draw the mean share of the most represented class of each layer, beside what chance gives.

    Parameters
    ----------
    table : pandas.DataFrame [layers]
        From `compare_layers`.
    title : str, optional
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If the table is another one.
    """
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


def largest_share(tables):
    """The largest share in percent of neurons on for 10 clips or more, or of any if there are none."""
    tables = pd.concat(list(tables))
    some = tables["share"][tables["active"] >= FEW].dropna()
    return 100 * (some if len(some) else tables["share"].fillna(1)).max()


def _place(neuron, known):
    """Where a neuron stands in its layer."""
    places = np.flatnonzero(known == neuron)
    if len(places) == 0:
        raise ValueError(f"neuron {neuron} is not in the layer. It has {len(known)}: {drawing.some(known, 5)}.")
    return places[0]


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
