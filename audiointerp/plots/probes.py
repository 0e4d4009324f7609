"""Linear probes by C, layer and class."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from . import drawing

DEPTH = "Layer, from the input to the output"
BREAK = 0.2  # between two networks, as a share of one network's width
ABOVE = {"textcoords": "offset points", "ha": "center", "va": "bottom", "size": drawing.SMALL}
BESIDE = {"loc": "upper left", "bbox_to_anchor": (1, 1), "frameon": False}


@drawing.literal
def probe_grid(grid, *, published=None, title=None, ax=None):
    """Draw the accuracy of a probe for each C: every fold, and their mean.

    Parameters
    ----------
    grid : pandas.DataFrame [C, folds]
        Accuracies as shares from 0 to 1.
    published : pandas.Series [C], optional
        Accuracies to compare the mean with, drawn as hollow squares.
    title : str, optional
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If the grid is empty, a C is not above 0, or an accuracy is not a share.
    """
    _check_shares(grid, "the grid (a row a C, a column a fold)")
    published = pd.Series(dtype=float) if published is None else published.dropna()
    _check_shares(published, "published", may_be_empty=True)
    strengths = np.array([*grid.index, *published.index], dtype=float)
    if not (strengths > 0).all():
        raise ValueError(f"C of {drawing.some(strengths)}: expected numbers above 0, as 0.0001 to 10.")
    grid, published = 100 * grid.sort_index(), 100 * published.sort_index()
    mean, best = grid.mean(axis=1), grid.mean(axis=1).idxmax()
    ax = drawing.new_axes(ax, 7.5, 4.4)
    dots = np.repeat(grid.index, len(grid.columns)), grid.to_numpy().ravel()
    ax.plot(*dots, ".", color="0.55", markersize=6, label="one fold")
    ax.plot(mean.index, mean, "o-", color=drawing.BLUE, label="mean")
    ax.plot([best], [mean[best]], "*", color=drawing.VERMILION, markersize=15, label=f"best mean: C = {best:g}")
    if len(published):
        ax.plot(published.index, published, "s", color="black", ms=14, mfc="none", label="published")
    for c, value, top in zip(mean.index, mean, grid.max(axis=1), strict=True):
        weight = "bold" if c == best else "normal"
        ax.annotate(f"{value:.2f}", (c, max(top, published.get(c, 0))), (0, 9), weight=weight, **ABOVE)
    ax.set(xscale="log", xlim=(strengths.min() / 2.2, strengths.max() * 2.2))
    ax.set_xticks(mean.index, [f"{c:g}" for c in mean.index])
    ax.set_xticks([], minor=True)
    ax.margins(y=0.12)
    _finish(ax, "C (larger: less regularised)", title, from_zero=False, loc="lower center")
    return ax


@drawing.literal
def probe_by_layer(table, *, title=None, chance=None, ax=None):
    """Draw the accuracy of a probe on each layer, networks side by side.

    A network's first layer stands at the left of its part and its last at the right, however many there are between:
    what stands at the same place of two parts is equally deep.

    Parameters
    ----------
    table : pandas.DataFrame
        A row a layer, each network's from the first to the last: `network`, `layer`, `accuracy`, `low`, `high` (95%
        interval; NaN if not known) as columns or index levels, and if it has it `folds` (accuracies of the folds,
        or None), as `probe_layers` gives it for one network. Accuracies are shares from 0 to 1.
    title : str, optional
    chance : float, optional
        Accuracy of guessing, as a share.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If columns are missing, a layer is there twice, or an accuracy is not a share or outside its interval.
    """
    table = table.reset_index() if {"network", "layer"} & {*table.index.names} else table
    table = table if "network" in table else table.assign(network="")
    drawing.check_columns(table, ["network", "layer", "accuracy", "low", "high"], "probe_layers()")
    _check_shares(table["accuracy"], "the table", table["low"], table["high"])
    for network, layer in table.loc[table.duplicated(["network", "layer"]), ["network", "layer"]].to_numpy():
        raise ValueError(f"layer {layer} of {network} is there twice: expected a row a layer.")
    networks = list(table.groupby("network", sort=False))
    inches = max(2.6, 0.24 * max(len(rows) for _, rows in networks))
    ax = drawing.new_axes(ax, inches * len(networks) * (1 + BREAK) + 2, 4.6)
    ticks, across = [], ax.get_xaxis_transform()
    heads = [drawing.wrapped(str(name), inches) for name, _ in networks]
    for number, (_, rows) in enumerate(networks):
        left = number * (1 + BREAK)
        x = left + (np.linspace(0, 1, len(rows)) if len(rows) > 1 else np.array([0.5]))
        ticks.extend(zip(x, rows["layer"].astype(str), strict=True))
        _layers(ax, x, rows, number)
        ax.annotate(heads[number], (left + 0.5, 1), (0, 4), xycoords=across, **ABOVE | {"size": drawing.NORMAL})
        ax.axvline(left - BREAK / 2, color="0.75", linewidth=0.8)
    ax.set_xticks(*zip(*ticks, strict=True), rotation=90, size=drawing.SMALL)
    ax.set_xlim(-BREAK / 2, len(networks) * (1 + BREAK) - BREAK / 2)
    pad = 11 + 13 * max(head.count("\n") + 1 for head in heads)
    _finish(ax, DEPTH, title, pad=pad, chance=chance, **BESIDE)
    return ax


def _layers(ax, x, rows, number):
    """One network's accuracies, their intervals, their folds, and the highest one's value."""
    value, low, high = (100 * rows[name].to_numpy(dtype=float) for name in ("accuracy", "low", "high"))
    colour, names = drawing.colour(number), ("accuracy", "95% interval") if number == 0 else (None, None)
    ax.plot(x, value, "-", marker=drawing.marker(number), color=colour, label=drawing.in_legend(names[0]))
    ax.errorbar(x, value, np.abs([value - low, high - value]), fmt="none", ecolor=colour, capsize=3, label=names[1])
    folds = [() if f is None or np.ndim(f) == 0 else 100 * np.asarray(f) for f in rows.get("folds", [None] * len(x))]
    dots = np.repeat(x + 0.02, [len(shares) for shares in folds]), np.concatenate(folds)
    name = "one fold" if dots[0].size and "one fold" not in ax.get_legend_handles_labels()[1] else None
    ax.plot(*dots, ".", color="0.4", markersize=4, label=name)
    best = value.argmax()
    top = np.nanmax([value[best], high[best], *folds[best]])
    ax.annotate(f"{value[best]:.1f}", (x[best], top), (0, 4), weight="bold", **ABOVE)


@drawing.literal
def paired_layers(table, *, low=None, high=None, chance=None, title=None, ax=None):
    """Draw the accuracies of each layer under several conditions beside each other, as of a student and its twin.

    Parameters
    ----------
    table : pandas.DataFrame [layers, conditions]
        Accuracies as shares from 0 to 1.
    low, high : pandas.DataFrame [layers, conditions], optional
        The ends of the 95% intervals.
    chance : float, optional
        Accuracy of guessing, as a share.
    title : str, optional
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If the table is empty, or an accuracy is not a share or outside its interval.
    """
    low, high = (table if end is None else end.reindex_like(table) for end in (low, high))
    _check_shares(table, "the table (a row a layer, a column a condition)", low, high)
    n = len(table.columns)
    ax = drawing.new_axes(ax, max(5.0, (0.45 * n + 0.35) * len(table)) + 2, 4)
    for number, condition in enumerate(table):
        x = np.arange(len(table)) + (number - (n - 1) / 2) * 0.84 / n
        value, *ends = (100 * part[condition].to_numpy(dtype=float) for part in (table, low, high))
        ax.bar(x, value, 0.79 / n, label=drawing.in_legend(str(condition)), **drawing.bar_look(number))
        ax.errorbar(x, value, np.abs([value - ends[0], ends[1] - value]), fmt="none", ecolor="black", elinewidth=1)
        for place, share, top in zip(x, value, np.fmax(value, ends[1]), strict=True):
            ax.annotate(f"{share:.1f}", (place, top), (0, 2), **ABOVE)
    ax.set_xticks(np.arange(len(table)), table.index.astype(str))
    ax.set_xlim(-0.55, len(table) - 0.45)
    _finish(ax, DEPTH, title, chance=chance, **BESIDE)
    return ax


@drawing.literal
def recall_bars(recall, *, published_hard=(), published_easy=(), groups=None, title=None):
    """Draw how much of each class was recognised, the best first, beside what was published as hard and as easy.

    Parameters
    ----------
    recall : pandas.Series [classes]
        Shares from 0 to 1. More than 25 classes fill two columns, the left one first.
    published_hard, published_easy : sequence of str
        Classes to mark.
    groups : dict of str to str, optional
        The group of each class, told apart by colour and hatching.
    title : str, optional

    Returns
    -------
    numpy.ndarray [1 or 2] of matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there are no classes, or a recall is not a share.
    UnknownLabelError
        If a marked class is not among the recalls, or a class has no group.
    """
    _check_shares(recall, "recall")
    marks = dict.fromkeys(published_hard, "▼ hard") | dict.fromkeys(published_easy, "▲ easy")
    for label in marks:
        drawing.check_label(label, recall.index, "the recalls")
    for label in recall.index if groups else ():
        drawing.check_label(label, groups, "the groups")
    names = [g for g in dict.fromkeys((groups or {}).values()) if any(groups[label] == g for label in recall.index)]
    looks = {name: drawing.bar_look(number) for number, name in enumerate(names)}
    recall = 100 * recall.astype(float).sort_values(ascending=False, kind="stable")
    columns = 2 if len(recall) > 25 else 1
    rows = -(-len(recall) // columns)
    figure, axes = plt.subplots(1, columns, figsize=(5.6 * columns, 0.21 * rows + 1.4), layout="constrained")
    axes = np.atleast_1d(axes)
    for place, (label, value) in enumerate(recall.items()):
        ax, row = axes[place // rows], place % rows
        ax.barh(row, value, 0.82, **(looks[groups[label]] if groups else {"color": drawing.SKY}))
        ax.text(value + 1, row, f"{value:.0f}", va="center", size=drawing.SMALL)
        if label in marks:
            ax.text(value + 9, row, marks[label], va="center", size=drawing.SMALL)
    for number, ax in enumerate(axes):
        part = recall.index[number * rows : (number + 1) * rows].astype(str)
        ax.set_yticks(np.arange(len(part)), part, size=drawing.SMALL)
        ax.set(xlim=(0, 122), ylim=(rows - 0.4, -0.6), xticks=[0, 25, 50, 75, 100], xlabel="Recall (%)")
        ax.spines[["top", "right"]].set_visible(False)
    if names:
        shown = [plt.Rectangle((0, 0), 1, 1, **look) for look in looks.values()]
        figure.legend(
            shown,
            [drawing.in_legend(name) for name in names],
            loc="outside lower center",
            ncols=columns + 1,
            frameon=False,
            handleheight=1.4,
        )
    note = "\n▲ easy, ▼ hard: as published" if marks else ""
    figure.suptitle(((title or "") + note).strip(), size=drawing.NORMAL + 1)
    return axes


def _finish(ax, xlabel, title, *, pad=6, chance=None, from_zero=True, **legend):
    if chance is not None:
        ax.axhline(100 * chance, color="black", linestyle="--", linewidth=1, label=f"chance: {chance:.1%}")
    if from_zero:
        ax.set_ylim(0, 1.12 * max(ax.dataLim.y1, 1))
    ax.set(xlabel=xlabel, ylabel="Accuracy (%)")
    ax.set_title(title or "", pad=pad)
    ax.grid(axis="y", color="0.88", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(fontsize=drawing.SMALL, **legend)


def _check_shares(values, name, low=None, high=None, *, may_be_empty=False):
    """Raise if there are no values, one is not from 0 to 1, or one is outside its interval."""
    values = np.asarray(values, dtype=float)
    if values.size == 0 and not may_be_empty:
        raise ValueError(f"{name} holds no values: expected accuracies or recalls of at least one row.")
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"{name} holds values outside 0 to 1 or NaN: expected shares, not percent.")
    low, high = (values if end is None else np.asarray(end, dtype=float) for end in (low, high))
    if ((low - values > 1e-9) | (values - high > 1e-9)).any():
        raise ValueError(f"{name} holds accuracies outside their intervals: expected low <= accuracy <= high.")
