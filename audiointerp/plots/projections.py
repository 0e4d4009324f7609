"""Clips as points of a plane: projections of a layer, coloured by what is known of the clips.

Every plot takes projection tables: DataFrames with a row per clip and the columns `x`, `y`, `label`, `fold`, `group`.
The axes of a projection have no meaning of their own, only who lies beside whom: they have no ticks, and one scale.
"""

from collections.abc import Mapping

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.markers import MarkerStyle

from . import drawing

COLOURS = (*drawing.COLOURS, "#000000")
MARKERS = ("o", "^", "s", "v", "D", "P", "<", "X", "p", "*")  # with 7 colours: no two alike among the first 70
POINTED, ROUND = ("^", "v", "*", "<", "X", ">", "P", "d"), ("o", "s", "D", "p", "8", "h", "H", "$0$")
WEIGHT = {"*": 1.5, "P": 1.2, "X": 1.2, "D": 0.85, "s": 0.9}  # so that all look equally large
MOST = 60  # names in one legend
MAKER = "a projection of a layer (columns x, y, label, fold, group)"


@drawing.literal
def projection(table, *, by="group", title=None, ax=None):
    """Draw one projection, its points coloured and shaped by a column.

    Parameters
    ----------
    table : pandas.DataFrame [clips]
    by : str
        Column of at most 60 different values.
    title : str, optional
        The layer by default, where ``table.attrs`` knows it; so in all plots of one table.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If the table has no rows, lacks columns or values, or has too many different values to tell apart.
    """
    names = categories([table], by)
    columns = -(-len(names) // 25)
    ax = drawing.new_axes(ax, 5.6 + columns * (0.5 + 0.07 * max(map(len, names))), 5.2)
    draw_points(ax, table, by, looks(names))
    ax.set_title(_title_of(table) if title is None else title)
    style = {"title": by, "ncols": columns, "fontsize": drawing.SMALL if columns == 1 else 8, "frameon": False}
    ax.legend(handles=_handles(looks(names)), loc="center left", bbox_to_anchor=(1, 0.5), **style)
    return ax


@drawing.literal
def projection_grid(tables, *, by="group", quality=None, columns=3, title=None, panel=3.2):
    """Draw several projections, as of the layers of a network, with one legend.

    Parameters
    ----------
    tables : dict of {str: pandas.DataFrame [clips]}
        The names are the titles of the panels.
    by : str
        Column of at most 60 different values.
    quality : dict of {str: pandas.Series or dict} or pandas.DataFrame [names], optional
        `trustworthiness`, `agreement` and `chance` by the same names, shares of 1. Those at hand are written.
    columns : int
    title : str, optional
    panel : float
        Width of a panel in inches.

    Returns
    -------
    numpy.ndarray [n] of matplotlib.axes.Axes
        A panel a table, in their order.

    Raises
    ------
    ValueError
        If there are no tables, one is not a projection, or `quality` has none of their names.
    """
    if not isinstance(tables, Mapping) or not len(tables):
        raise ValueError(f"{type(tables).__name__} of {len(tables)} tables: expected a dict like {{'conv5': table}}.")
    quality = {} if quality is None else _quality_by_name(quality, tables)
    look = looks(categories(tables.values(), by))
    columns = min(columns, len(tables))
    width = max(panel * columns, 4.6)
    legend = _legend_below(look, width)
    figure, axes = _panels(len(tables), columns, width / columns, width / columns + 0.15, below=legend.pop("height"))
    for ax, (name, table) in zip(axes, tables.items(), strict=True):
        draw_points(ax, table, by, look)
        ax.set_title(name, size=drawing.NORMAL + 1, pad=18 if quality else 6)
        text = _quality_text(quality.get(name, {}))
        ax.text(0.5, 1.02, text, size=8, color="0.3", ha="center", va="bottom", transform=ax.transAxes)
    if title is None and all(table.attrs.get("supervised") for table in tables.values()):
        title = "Projections fitted with the labels"
    figure.suptitle(title or "", size=drawing.NORMAL + 2)
    figure.legend(loc="outside lower center", **legend)
    return axes


@drawing.literal
def side_by_side(left, right, *, by, titles, quality=None):
    """Draw two projections beside each other, as without and with labels, with one legend.

    Parameters
    ----------
    left, right : pandas.DataFrame [clips]
    by : str
    titles : (str, str)
    quality : sequence [2] or dict, optional
        Numbers of each as in `projection_grid`, left and right, or by title.

    Returns
    -------
    numpy.ndarray [2] of matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there are not two different titles, or a table is not a projection.
    """
    if len(titles) != 2 or titles[0] == titles[1]:
        raise ValueError(f"titles {titles}: expected two different ones, as ('without labels', 'with labels').")
    if quality is not None and not isinstance(quality, Mapping | pd.DataFrame):
        quality = dict(zip(titles, quality, strict=True))
    tables = dict(zip(titles, (left, right), strict=True))
    return projection_grid(tables, by=by, quality=quality, title="", panel=4.6)


@drawing.literal
def projections_by_group(table, *, title=None):
    """Draw each group of classes in a panel of its own, coloured by class.

    Parameters
    ----------
    table : pandas.DataFrame [clips]
        With at most 6 groups. Where each is a single class, all are drawn in one panel.
    title : str, optional

    Returns
    -------
    numpy.ndarray [groups] of matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If the table is not a projection, or has more groups.
    """
    groups, labels = categories([table], "group", most=np.inf), categories([table], "label", most=np.inf)
    group = table["group"].astype(str)
    if len(groups) == len(labels) == len(pd.unique(group + "\0" + table["label"].astype(str))) > 1:
        groups, group = ["all classes"], pd.Series("all classes", table.index)
    if len(groups) > 6:
        text = f"{len(groups)} groups ({drawing.some(groups, 6)}): a figure shows 1 to 6"
        raise ValueError(f"{text}. Choose some of them, or draw projection(table, by='group').")
    columns = {1: 1, 2: 2, 4: 2}.get(len(groups), 3)
    width = 3.6 if columns > 1 else 5.0
    look = [looks(categories([table[group == name]], "label")) for name in groups]
    legends = [_legend_below(own, width) for own in look]
    below = max(legend.pop("height") for legend in legends)
    figure, axes = _panels(len(groups), columns, width, 0.85 * width + below)
    for ax, name, own, legend in zip(axes, groups, look, legends, strict=True):
        draw_points(ax, table[group == name], "label", own)
        ax.set_title(name, size=drawing.NORMAL + 1)
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, 0), **legend)
    figure.suptitle(_title_of(table) if title is None else title, size=drawing.NORMAL + 2)
    return axes


@drawing.literal
def chosen_labels(table, first, second, *, names=("hard", "easy"), title=None):
    """Draw two sets of classes over all other clips: one in warm colours and pointed shapes, one in cool and round.

    Parameters
    ----------
    table : pandas.DataFrame [clips]
    first, second : sequence of str
        Classes of each set, at most 8.
    names : (str, str)
        What the sets are called.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
        In a figure of its own, the legend beside it.

    Raises
    ------
    UnknownLabelError
        If a class is not in the table.
    ValueError
        If a set is empty or too large, or a class is in both.
    """
    known = categories([table], "label", most=np.inf)
    first, second = ([chosen] if isinstance(chosen, str) else list(chosen) for chosen in (first, second))
    for label in (*first, *second):
        drawing.check_label(label, known, "this table")
    if set(first) & set(second) or not 0 < len(first) <= 8 or not 0 < len(second) <= 8:
        found = f"{names[0]}: {drawing.some(first)}; {names[1]}: {drawing.some(second)}"
        raise ValueError(f"{found}. Expected 1 to 8 classes each, and none in both.")
    label, look = table["label"].astype(str), []
    for chosen, cmap, markers in ((first, "YlOrRd", POINTED), (second, "PuBu", ROUND)):
        shades = matplotlib.colormaps[cmap](np.linspace(0.5, 0.95, len(chosen)))
        look.append({n: (tuple(c), m) for n, c, m in zip(chosen, shades, markers, strict=False)})
    chosen = label.isin([*first, *second])
    ax = drawing.new_axes(None, 7.6, 5.2)
    ax.scatter("x", "y", data=table[~chosen], s=10, c="0.75", linewidths=0, alpha=0.7)
    draw_points(ax, table[chosen], "label", look[0] | look[1])
    heads = [Line2D([], [], linestyle="none", label=drawing.in_legend(name)) for name in names]
    others = {} if chosen.all() else {f"{len(known) - len(look[0] | look[1])} other classes": ("0.75", "o")}
    handles = [heads[0], *_handles(look[0]), heads[1], *_handles(look[1]), *_handles(others)]
    place = {"loc": "center left", "bbox_to_anchor": (1, 0.5), "frameon": False, "fontsize": drawing.SMALL}
    texts = ax.legend(handles=handles, **place).get_texts()
    plt.setp([texts[0], texts[1 + len(look[0])]], fontweight="bold")
    ax.set_title(_title_of(table) if title is None else title)
    return ax


def categories(tables, by, *, most=MOST):
    """The different values of a column of projection tables, sorted, as texts; ValueError if there are too many."""
    values = []
    for table in tables:
        drawing.check_columns(table, ["x", "y", by], MAKER)
        absent = table[by].isna() | ~np.isfinite(table[["x", "y"]].astype(float)).all(axis=1)
        if absent.any():
            first = f"{absent.sum()} of {len(table)} clips, the first {absent.idxmax()}"
            raise ValueError(f"no x, y or {by}: {first}. Leave them out, as in table.dropna().")
        values.append(table[by])
    found = pd.unique(pd.concat(values, ignore_index=True))
    if len(found) > most:
        text = f"{len(found)} different values of {by!r}: at most {most} can be told apart"
        raise ValueError(f"{text}. Choose another column, as by='group', or fewer clips.")
    return [str(value) for value in sorted(found, key=lambda value: (isinstance(value, str), value))]


def looks(names):
    """Colour and marker of each name, as {name: (str, str)}: no two alike, and neighbours differ in both."""
    return {name: (COLOURS[n % len(COLOURS)], MARKERS[n % len(MARKERS)]) for n, name in enumerate(names)}


def draw_points(ax, table, by, look):
    """Draw the clips of a table in a mixed order, so that no name covers the others; give back their collection."""
    mixed = table.iloc[np.random.default_rng(0).permutation(len(table))]
    names = mixed[by].astype(str)
    area = np.prod(72 * ax.get_window_extent().size / ax.figure.dpi)  # points²
    style = {"c": [look[name][0] for name in names], "s": np.clip(0.18 * area / len(table), 9, 32)}
    points = ax.scatter(mixed["x"], mixed["y"], alpha=0.75, linewidths=0, **style)
    shapes = {marker: MarkerStyle(marker).scaled(WEIGHT.get(marker, 1)) for _, marker in look.values()}
    paths = {marker: shape.get_path().transformed(shape.get_transform()) for marker, shape in shapes.items()}
    points.set_paths([paths[look[name][1]] for name in names])
    ax.set(xticks=[], yticks=[])
    ax.margins(0.03)
    ax.set_aspect("equal", adjustable="datalim")
    return points


def _panels(count, columns, width, height, below=0.0):
    """A figure of so many panels, each of this size in inches, with some room below; its axes."""
    rows = -(-count // columns)
    style = {"figsize": (width * columns, height * rows + below), "squeeze": False, "layout": "constrained"}
    figure, axes = plt.subplots(rows, columns, **style)
    for ax in axes.flat[count:]:
        ax.set_axis_off()
    return figure, axes.ravel()[:count]


def _handles(look):
    style = {"linestyle": "none", "markeredgewidth": 0}
    return [
        Line2D(
            [],
            [],
            color=colour,
            marker=marker,
            markersize=6 * WEIGHT.get(marker, 1),
            label=drawing.in_legend(name),
            **style,
        )
        for name, (colour, marker) in look.items()
    ]


def _legend_below(look, width):
    """How a legend fits into a width in inches; with its height."""
    across = min(len(look), max(1, int(width / (0.42 + 0.068 * max(map(len, look))))))
    style = {"frameon": False, "fontsize": 8, "columnspacing": 1.2, "handletextpad": 0.2}
    return {"handles": _handles(look), "ncols": across, "height": 0.18 * -(-len(look) // across) + 0.3, **style}


def _title_of(table):
    """The layer, and whether its projection was fitted with the labels, as far as the table knows."""
    return str(table.attrs.get("layer", "")) + (", fitted with the labels" if table.attrs.get("supervised") else "")


def _quality_by_name(quality, tables):
    """Numbers of each table that has some, as dicts."""
    quality = quality.T if isinstance(quality, pd.DataFrame) else quality
    found = {name: dict(quality[name]) for name in tables if name in quality}
    if not found:
        raise ValueError(f"quality of {drawing.some(quality)}, tables {drawing.some(tables)}: no name in common.")
    return found


def _quality_text(numbers):
    """The numbers that are there, in one line."""
    text = {name: f"{value:.0%}" for name, value in numbers.items() if np.isfinite(value)}
    chance = f" (chance {text['chance']})" if "chance" in text else ""
    parts = [f"trustworthiness {numbers['trustworthiness']:.2f}"] if "trustworthiness" in text else []
    return " · ".join([*parts, f"neighbours {text['agreement']}{chance}"] if "agreement" in text else parts)
