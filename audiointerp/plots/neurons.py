"""Neurons of a layer: what they are on for.

Figures of one panel take the axes to draw on (`ax`, optional) and return them. `title` is optional everywhere.
"""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import PercentFormatter

from ..neurons import active, selective, selectivity
from . import drawing
from .drawing import number_text
from .selectivity import largest_share

CELLS = matplotlib.colormaps["magma_r"]


def activation_curve(features, neuron, *, percentile=95, title=None, ax=None):
    """Draw one neuron's activation over the clips, the strongest first, and where the neuron is on.

    Parameters
    ----------
    features : xarray.DataArray [clip, neuron]
    neuron : int
    percentile : float [0 to 100]
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


def neuron_classes(matrix, neuron, *, most=12, title=None, ax=None):
    """Draw the classes of the clips that one neuron is on for.

    Parameters
    ----------
    matrix : pandas.DataFrame [neurons, classes]
        From `neuron_class_matrix`.
    neuron : int
    most : int
        Classes to show.
    """
    counts = matrix.iloc[_place(neuron, matrix.index.to_numpy())]
    counts = counts[counts > 0].sort_values(ascending=False, kind="stable")
    shown, rest = counts[:most], counts[most:]
    ax = drawing.new_axes(ax, 6.5, 0.27 * max(len(shown), 3) + 1)
    text = f"Neuron {neuron}: on for {number_text(counts.sum(), 'clip')} of {number_text(len(counts), 'class')}"
    more = f"; not shown: {number_text(rest.sum(), 'clip')} of {number_text(len(rest), 'class')}" if len(rest) else ""
    ax.set(title=text if title is None else title, xlabel=f"Number of clips (share){more}")
    return _bars(ax, shown, [f"{n} ({n / counts.sum():.0%})" for n in shown], "this neuron is on for no clip")


def neuron_class_matrix(matrix, *, groups=None, title=None):
    """Draw how the clips that each neuron is on for spread over the classes.

    Neurons stand in the order of their most represented class, those with the largest share first; dead ones come last.

    Parameters
    ----------
    matrix : pandas.DataFrame [neurons, classes]
        From `neuron_class_matrix`.
    groups : dict of str to str, optional
        The group of each class, as `ESC50_GROUPS`: its classes stand together, groups in the order of the dict.
    """
    for label in matrix if groups else ():
        drawing.check_label(label, groups, "the groups")
    rank = list(dict.fromkeys((groups or {}).values()))
    matrix = matrix[sorted(matrix, key=lambda label: rank.index(groups[label]))] if groups else matrix
    table = selectivity(matrix)
    live = table["active"] > 0
    order = np.lexsort([-table["share"].fillna(0), matrix.to_numpy().argmax(axis=1), ~live])
    shares = 100 * (matrix.to_numpy() / table["active"].where(live).to_numpy()[:, None])[order]
    neurons, classes = shares.shape
    width, size = (0.17 * classes, 7.5) if classes > 20 else (max(0.42 * classes, 3.5), drawing.NORMAL)
    _, ax = plt.subplots(figsize=(width + 2, np.clip(0.15 * neurons, 2.8, 8) + 1.9), layout="constrained")
    finer = 1 + 1000 // neurons, 1 + min(1000 // classes, 10**5 // neurons)  # than the screen, so that no cell is lost
    cells = np.ma.masked_invalid(shares.repeat(finer[0], axis=0).repeat(finer[1], axis=1))
    place = {"extent": (-0.5, classes - 0.5, neurons - 0.5, -0.5), "aspect": "auto", "interpolation_stage": "data"}
    top = largest_share([table])
    image = ax.imshow(cells, cmap=CELLS, vmin=0, vmax=top, **place)
    ax.set_facecolor("0.7")
    end = {"extend": "max" if (shares > top).any() else "neither", "format": PercentFormatter(decimals=0)}
    ax.figure.colorbar(image, pad=0.02, label="Share of the clips the neuron is on for", **end)
    ax.set_xticks(np.arange(classes), matrix.columns.astype(str), rotation=90, size=size)
    named = order if neurons <= 64 else []
    ax.set_yticks(np.arange(len(named)), matrix.index[named].astype(str), size=7.5)
    ax.set_ylabel(f"{neurons:,} neurons" + ("" if live.all() else f" ({(~live).sum()} dead: grey)"))
    of_each, lines = [groups[label] for label in matrix] if groups else [], 0
    for group in dict.fromkeys(of_each):
        first, many = of_each.index(group), of_each.count(group)
        ax.axvline(first - 0.5, color="0.4", linewidth=1 if first else 0)
        text = drawing.wrapped(str(group), many * width / classes)
        lines = max(lines, text.count("\n") + 1)
        across = {"xycoords": ax.get_xaxis_transform(), "textcoords": "offset points", "ha": "center"}
        ax.annotate(text, (first + (many - 1) / 2, 1), (0, 4), size=drawing.SMALL, **across)
    ax.set_title(title or "", pad=8 + 12 * lines)
    return ax


def class_owners(owners, *, more_than=5, title=None, ax=None):
    """Draw the classes that are the most represented one of more than `more_than` neurons, as `owners` gives them."""
    ax = drawing.new_axes(ax, 6, 0.24 * max(len(owners), 3) + 1)
    text = f"{number_text(len(owners), 'class')} with more than {number_text(more_than, 'neuron')}"
    ax.set(title=text if title is None else title, xlabel="Number of neurons")
    return _bars(ax, owners, owners, f"no class is the first of more than {number_text(more_than, 'neuron')}")


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
        _bars(axes[0, 0], shown, [], f"no neuron is above {over:.0%}")
    for ax in axes.flat[panels:]:
        ax.set_axis_off()
    text = f"{len(found)} of {number_text(len(matrix), 'neuron')} with one class in more than {over:.0%} of their clips"
    text += f" (the first {most}; {len(found) - most} more)" if len(found) > most else ""
    figure.suptitle(f"{title}\n{text}" if title else text, size=drawing.NORMAL + 1)
    return axes.ravel()[:panels]


def _place(neuron, known):
    """Where a neuron stands in its layer."""
    places = np.flatnonzero(known == neuron)
    if len(places) == 0:
        raise ValueError(f"neuron {neuron} is not in the layer. It has {len(known)}: {drawing.some(known, 5)}.")
    return places[0]


def _bars(ax, counts, texts, nothing):
    """Counts as bars from the top with their texts, or a sentence if there are none."""
    ax.spines[["top", "right"]].set_visible(False)
    if len(counts) == 0:
        ax.text(0.5, 0.5, nothing, ha="center", va="center", transform=ax.transAxes)
        ax.set(xticks=[], yticks=[], xlabel="")
        return ax
    bars = ax.barh(np.arange(len(counts)), counts, 0.75, color=drawing.SKY)
    ax.bar_label(bars, texts, padding=3, size=drawing.SMALL)
    ax.set_yticks(np.arange(len(counts)), counts.index.astype(str), size=drawing.NORMAL if len(counts) <= 20 else 8)
    ax.set(ylim=(max(len(counts), 3) - 0.5, -0.5), xlim=(0, 1.25 * counts.max()))
    ax.xaxis.get_major_locator().set_params(integer=True)
    return ax
