"""Scores of maps: evidence, faithfulness, randomised layers, and one chart of all."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import FuncFormatter, NullLocator

from . import drawing
from .maps import title_of

MEASURES = {"hit": "peak in the evidence", "mass": "relevance in the evidence", "top": "top cells in the evidence"}
CURVES = {"deletion": "Deletion: the best regions are hidden first", "insertion": "Insertion: they come back first"}
FAINTEST = 1 / 64  # of the ratios: what is smaller, 0 too, stands there
BETTER = {"higher": "more is better", "lower": "less is better"}


@drawing.literal
def evidence_bars(summary, *, label="all classes", measures=("hit", "mass", "top"), title=None, ax=None):
    """Draw how much more often than chance each method points at the evidence, with intervals.

    Parameters
    ----------
    summary : pandas.DataFrame [(method, label, measure)]
        From `evidence_summary`.
    label : str
        A class, or "all classes".
    measures : sequence of str
        Some of "hit", "mass", "top".
    title : str, optional
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If the table is another one, or lacks a measure.
    UnknownLabelError
        If it lacks the class.
    """
    drawing.check_columns(summary, ["ratio", "low", "high"], "evidence_summary()")
    drawing.check_label(label, list(summary.index.unique("label")), "the summary")
    if not len(measures) or set(measures) - set(summary.index.unique("measure")):
        raise ValueError(f"measures={list(measures)}: expected some of {', '.join(MEASURES)}.")
    part = summary.xs(label, level="label")
    methods = [name for name in summary.index.unique("method") if name not in ("random", "oracle")]
    methods += [name for name in ("random", "oracle") if name in summary.index.unique("method")]
    height = 0.8 / len(measures)
    ax = drawing.new_axes(ax, 8, 0.34 * len(methods) * max(2, len(measures)) + 1.5)
    for number, measure in enumerate(measures):
        rows = part.xs(measure, level="measure").reindex(methods)
        place = np.arange(len(methods)) + (number - (len(measures) - 1) / 2) * height
        value, low, high = (rows[name].to_numpy(float) for name in ("ratio", "low", "high"))
        style = {"color": drawing.colour(number), "marker": drawing.marker(number), "linestyle": "none", "capsize": 3}
        error = np.nan_to_num(np.abs([value - low, high - value]))
        ax.errorbar(np.maximum(value, FAINTEST), place, xerr=error, label=MEASURES[measure], **style)
        for x, y, ratio in zip(np.fmax(high, value), place, value, strict=True):
            if np.isfinite(ratio):
                style = {"textcoords": "offset points", "va": "center", "size": drawing.SMALL}
                ax.annotate(f"{ratio:.1f}", (x, y), (5, 0), **style)
    ax.axvline(1, color="0.3", linestyle=":")
    ends = part[["ratio", "low", "high"]].to_numpy(float)
    ends = ends[np.isfinite(ends) & (ends > 0)]
    lowest, largest = min([0.5, *ends]), max([2, *ends])
    lowest = max(lowest, FAINTEST)
    ax.set(xscale="log", xlim=(lowest / 1.6, 1.8 * largest), ylim=(len(methods) - 0.45, -0.55))
    ax.set_xticks([tick for tick in 2.0 ** np.arange(-6, 11) if lowest / 1.6 < tick < 1.8 * largest])
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_yticks(range(len(methods)), [title_of(name) for name in methods])
    ax.set_xlabel("Times what the area of the evidence would give (1: chance), with its interval")
    ax.set_title(f"Maps against known evidence: {label}" if title is None else title)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize=drawing.SMALL)
    return ax


@drawing.literal
def deletion_insertion(curves, *, title=None):
    """Draw the mean score while regions are hidden, and while they come back, by method and for random orders.

    Parameters
    ----------
    curves : pandas.DataFrame
        From `faithfulness_curves`.
    title : str, optional
        Above both.

    Returns
    -------
    numpy.ndarray [2] of matplotlib.axes.Axes
        Deletion and insertion.
    """
    drawing.check_columns(curves, ["method", "curve", "patch", "share", "score"], "faithfulness_curves()")
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), sharey=True, layout="constrained")
    methods = [name for name in dict.fromkeys(curves["method"]) if name != "random"]
    for ax, (curve, text) in zip(axes, CURVES.items(), strict=True):
        part = curves[curves["curve"] == curve]
        step = part.groupby(["method", "patch"], sort=False).cumcount()
        mean = part.assign(step=step).groupby(["method", "step"], sort=False)[["share", "score"]].mean()
        for number, method in enumerate([*methods, *(["random"] if "random" in mean.index else [])]):
            line = mean.loc[method]
            known = method != "random"
            style = drawing.line_style(number) if known else {"color": "0.4", "linestyle": ":", "linewidth": 2.5}
            name = title_of(method) if known else "random order"
            ax.plot(100 * line["share"], line["score"], label=drawing.in_legend(name), **style)
        ax.set(title=text, xlim=(0, 100), xlabel="Regions hidden (%)" if curve == "deletion" else "Regions back (%)")
        ax.grid(color="0.92", linewidth=0.6)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("Mean score of the class")
    lines = axes[0].get_legend_handles_labels()
    figure.legend(*lines, loc="outside lower center", ncols=min(5, len(methods) + 1), frameon=False)
    if title:
        figure.suptitle(title)
    return axes


@drawing.literal
def randomization_curves(table, *, title=None, ax=None):
    """Draw how like themselves the maps stay as a network's layers are randomised, from the output down.

    Parameters
    ----------
    table : pandas.DataFrame
        From `parameter_randomization`.
    title : str, optional
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
        Means over patches, and their middle halves.
    """
    drawing.check_columns(table, ["method", "layers", "layer", "rank_correlation"], "parameter_randomization()")
    ax = drawing.new_axes(ax, 8, 3.8)
    depths = table.groupby("layers")["layer"].first()
    for number, (method, rows) in enumerate(table.groupby("method", sort=False)):
        each = rows.groupby("layers")["rank_correlation"]
        x, style = np.r_[0, np.arange(len(depths)) + 1], drawing.line_style(number)
        mean = each.mean().reindex(depths.index)
        low, high = (each.quantile(share).reindex(depths.index) for share in (0.25, 0.75))
        ax.plot(x, [1, *mean], marker=drawing.marker(number), label=drawing.in_legend(title_of(method)), **style)
        ax.fill_between(x, [1, *low], [1, *high], color=style["color"], alpha=0.15, linewidth=0)
    ax.axhline(0, color="0.3", linewidth=0.8)
    ax.axhline(0.3, color="0.3", linestyle=":")
    names = ["as trained", *(f"{layer}\n({count} of {depths.index.max()})" for count, layer in depths.items())]
    ax.set_xticks(range(len(names)), names, size=drawing.SMALL)
    ax.set(
        ylim=(min(-0.55, 1.05 * ax.dataLim.y0), 1.05),
        xlabel="Randomised from the output down to",
        ylabel="Rank correlation with the map",
    )
    ax.set_title(title or "")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize=drawing.SMALL)
    return ax


@drawing.literal
def trust_chart(table, *, title=None):
    """Draw what each method's maps are worth, measure by measure: a panel a measure, its chance level dotted.

    Parameters
    ----------
    table : pandas.DataFrame [(method, measure)]
        From `trust_table`.
    title : str, optional
        Above all panels.

    Returns
    -------
    numpy.ndarray [measures] of matplotlib.axes.Axes
    """
    drawing.check_columns(table, ["value", "low", "high", "better"], "trust_table()")
    methods, measures = (list(table.index.unique(level)) for level in ("method", "measure"))
    rows, columns = -(-len(measures) // 5), min(5, len(measures))
    height = 0.32 * len(methods) + 1.1
    shape = {"figsize": (2.5 * columns + 1, height * rows + 0.4), "squeeze": False, "layout": "constrained"}
    figure, axes = plt.subplots(rows, columns, sharey=True, **shape)
    for ax, measure in zip(axes.flat, measures, strict=False):
        part = table.xs(measure, level="measure").reindex(methods)
        value, low, high = (part[name].to_numpy(float) for name in ("value", "low", "high"))
        more = part["better"].dropna().iloc[0] == "higher"
        best = np.nanmax(value) if more else np.nanmin(np.abs(value))
        for place in range(len(methods)):
            is_best = value[place] == best if more else abs(value[place]) == best
            color = drawing.VERMILION if is_best else drawing.BLUE
            error = [[value[place] - low[place]], [high[place] - value[place]]]
            ax.errorbar(value[[place]], [place], xerr=np.nan_to_num(np.abs(error)), fmt="o", color=color, capsize=3)
            weight = "bold" if is_best else "normal"
            text = f"{value[place]:.2f}" if np.isfinite(value[place]) else "not known"
            ax.annotate(text, (0.98, place), (0, 7), xycoords=("axes fraction", "data"), textcoords="offset points",
                        ha="right", va="center", size=drawing.SMALL, weight=weight)  # fmt: skip
        ax.axvline(1 if measure.startswith("evidence") else 0, color="0.3", linestyle=":")
        ax.set_title(f"{measure}\n({BETTER[part['better'].dropna().iloc[0]]})", size=drawing.SMALL + 0.5)
        ax.margins(x=0.25)
        ax.tick_params(labelsize=drawing.SMALL)
        ax.spines[["top", "right"]].set_visible(False)
    for ax in axes.flat[len(measures) :]:
        ax.set_axis_off()
    axes[0, 0].set_yticks(range(len(methods)), [title_of(name) for name in methods])
    axes[0, 0].set_ylim(len(methods) - 0.5, -0.6)
    if title:
        figure.suptitle(title)
    return axes.ravel()[: len(measures)]
