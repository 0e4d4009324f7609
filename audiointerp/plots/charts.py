"""Counts, accuracies and scores as bars and lines."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn

from ..evaluation.predictions import score_columns
from ..sound.frontend import VGGISH
from . import drawing
from .spectrograms import spectrogram

# Clips of ESC-10, in "Investigate audio classifications using deep learning interpretability".
MATHWORKS_ACCURACY = 0.925
COLUMNS = ["network", "split", *(f"{of}{end}" for of in ("patches", "clips") for end in ("", "_low", "_high"))]
PANELS = {"patches": "Patches right", "clips": "Clips right, by vote of their patches"}


@drawing.literal
def label_counts(counts, *, title=None, ax=None):
    """Draw how many there are of each label.

    Parameters
    ----------
    counts : pandas.Series or pandas.DataFrame [labels]
        As `count_labels` gives; a bar for each column.
    title : str, optional
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    counts = counts.to_frame(counts.name or "clips") if isinstance(counts, pd.Series) else counts
    drawing.check_columns(counts, [], "count_labels()")
    columns = len(counts.columns)
    row = 0.16 if len(counts) > 25 else max(0.26, 0.18 * columns)
    ax = drawing.new_axes(ax, 6.5, row * len(counts) + 0.9)
    size = 7 if len(counts) > 25 else drawing.NORMAL
    long = counts.rename_axis("label").reset_index().melt("label", var_name="what", value_name="number")
    long["label"] = long["label"].astype(str)
    colours = [drawing.colour(number) for number in range(columns)]
    seaborn.barplot(long, x="number", y="label", hue="what", palette=colours, saturation=1, legend=columns > 1, ax=ax)
    for bars in ax.containers:
        ax.bar_label(bars, fmt="%d", padding=2, size=min(size, drawing.SMALL))
    ax.tick_params("y", labelsize=size)
    ax.set_xlim(0, 1.08 * counts.to_numpy().max())
    ax.set(xlabel=f"Number of {counts.columns[0]}" if columns == 1 else "Number", ylabel="", title=title or "")
    if columns > 1:
        seaborn.move_legend(ax, "upper left", bbox_to_anchor=(1, 1), frameon=False, title=None)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


@drawing.literal
def confused_pairs(pairs, *, most=15, title=None, ax=None):
    """Draw the pairs of classes that were confused most often.

    Parameters
    ----------
    pairs : pandas.DataFrame
        `true`, `predicted`, `count`, `share` (of the true class), most frequent first, as `evaluation.confused_pairs`
        gives.
    most : int
        Pairs to show.
    title : str, optional
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    columns = ["true", "predicted", "count", "share"]
    drawing.check_columns(pairs, columns, "evaluation.confused_pairs()", may_be_empty=True)
    shown = pairs.head(most)
    ax = drawing.new_axes(ax, 7.5, 0.3 * max(len(shown), 2) + 0.9)
    ax.set(xlabel="Number of mistakes (share of the true class)", title=title or "")
    counts = shown.set_axis(shown["true"].astype(str) + " taken for " + shown["predicted"].astype(str))["count"]
    texts = [f"{c:.0f} ({s:.0%})" for c, s in zip(shown["count"], shown["share"], strict=True)]
    return drawing.draw_bars(ax, counts, texts, "nothing was confused", color=drawing.VERMILION)


@drawing.literal
def accuracy_bars(table, *, reference=None, reference_name="MathWorks' example", title=None, ax=None):
    """Draw accuracies of several networks with their intervals.

    Parameters
    ----------
    table : pandas.DataFrame [networks]
        Indexed by name: `accuracy`, `low` and `high` as shares, and if it has it `n`, as
        ``pd.DataFrame({"VGGish": accuracy(votes), ...}).T`` gives.
    reference : float, optional
        Accuracy to compare with, as a dashed line; `MATHWORKS_ACCURACY` for ESC-10.
    reference_name : str
    title : str, optional
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    drawing.check_columns(table, ["accuracy", "low", "high"], "accuracy()")
    share = table[["accuracy", "low", "high"]].astype(float)
    if not ((share >= 0) & (share <= 1)).all(axis=None):
        raise ValueError("accuracies outside 0 to 1: expected shares, as from accuracy(), not percent.")
    ax = drawing.new_axes(ax, 7.5, 0.45 * len(table) + 1.2)
    places = np.arange(len(table))
    percent = 100 * share
    spread = np.abs(percent[["low", "high"]].to_numpy().T - percent["accuracy"].to_numpy())
    ax.barh(places, percent["accuracy"], 0.65, color=drawing.SKY)
    ax.errorbar(percent["accuracy"], places, xerr=spread, fmt="none", ecolor="black", capsize=4, linewidth=1.3)
    for place, value in zip(places, share["accuracy"], strict=True):
        ax.text(1.5, place, f"{value:.1%}", va="center", size=drawing.NORMAL)
    names = table.index.astype(str)
    if "n" in table:
        names = [f"{name} (n = {n:.0f})" for name, n in zip(names, table["n"].astype(float), strict=True)]
    ax.set_yticks(places, names)
    ax.set_ylim(len(table) - 0.5, -0.5)
    ax.set(xlim=(0, 101), xlabel="Accuracy (%), with its 95% interval")
    if reference is not None:
        ax.axvline(100 * reference, color=drawing.VERMILION, linestyle="--", linewidth=1.5)
        side = {"ha": "right" if reference > 0.5 else "left", "va": "bottom", "transform": ax.get_xaxis_transform()}
        text = f"{reference_name}: {reference:.1%}"
        ax.text(100 * reference, 1.02, text, color=drawing.VERMILION, size=drawing.SMALL, **side)
    ax.set_title(title or "", pad=6 if reference is None else 20)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


@drawing.literal
def scores_over_time(predictions, *, clip=None, log_mel=None, frontend=VGGISH, most=4, title=None):
    """Draw the scores of a clip's patches over the clip's time, beneath its spectrogram.

    Parameters
    ----------
    predictions : pandas.DataFrame [patches]
        From `predict`: `start` (s), `predicted` and a column of scores per class.
    clip : optional
        Which clip of the table, if it holds several.
    log_mel : numpy.ndarray [frames, mels], optional
        The clip's spectrogram, from `FrontEnd.log_mel`.
    frontend : FrontEnd
    most : int
        Classes to show: those with the highest score anywhere in the clip, and the true one.
    title : str, optional

    Returns
    -------
    numpy.ndarray [1 or 2] of matplotlib.axes.Axes
        Spectrogram, if there is one, then scores.

    Raises
    ------
    ValueError
        If the table holds several clips and none is named, or has no scores.
    """
    drawing.check_columns(predictions, ["start", "predicted"], "predict()")
    if clip is not None:
        predictions = predictions[predictions["clip"] == clip]
        drawing.check_columns(predictions, ["start", "predicted"], "predict(), with that clip")
    elif "clip" in predictions and predictions["clip"].nunique() > 1:
        clips = drawing.some(predictions["clip"].unique(), 5)
        raise ValueError(f"predictions of {predictions['clip'].nunique()} clips ({clips}): name one with clip=.")
    log_mel = None if log_mel is None else drawing.check_log_mel(log_mel, frontend)
    true = predictions["label"].iloc[0] if "label" in predictions else None
    scores = predictions[score_columns(predictions)]
    drawing.check_columns(scores.T, [], "predict()")
    shown = list(scores.max().sort_values(ascending=False, kind="stable").index[:most])
    shown += [true] if true in scores and true not in shown else []
    drawn = 1 if log_mel is None else 2
    figure, axes = plt.subplots(drawn, 1, sharex=True, squeeze=False, figsize=(8, 2.6 * drawn), layout="constrained")
    axes = axes[:, 0]
    if log_mel is not None:
        spectrogram(log_mel, frontend=frontend, ax=axes[0]).set_xlabel("")
    centre = predictions["start"] + frontend.patch_seconds / 2
    for number, name in enumerate(shown):
        text = drawing.in_legend(f"{name} (true)" if name == true else name)
        axes[-1].plot(centre, scores[name], marker="o", markersize=4, label=text, **drawing.line_style(number))
    axes[-1].set(xlabel="Time (s), at the middle of each patch", ylabel="Score", ylim=(-0.03, 1.03))
    if log_mel is None:
        axes[-1].set_xlim(0, predictions["start"].max() + frontend.patch_seconds)
    lines = axes[-1].get_legend_handles_labels()
    style = {"ncols": min(4, len(shown)), "frameon": False, "fontsize": drawing.SMALL}
    figure.legend(*lines, loc="outside lower center", **style)
    axes[-1].grid(axis="y", color="0.88", linewidth=0.6)
    axes[0].set_title(title or "")
    return axes


@drawing.literal
def network_comparison(table, *, chance=None, title=None):
    """Draw accuracy by patch and by clip, a row a network, a colour and marker a way of dividing.

    Parameters
    ----------
    table : pandas.DataFrame
        From `compare_networks`.
    chance : float, optional
        Accuracy of guessing, as a share.
    title : str, optional

    Returns
    -------
    numpy.ndarray [2] of matplotlib.axes.Axes
        Patches and clips.

    Raises
    ------
    ValueError
        If the table is not as `compare_networks` gives it.
    """
    drawing.check_columns(table, COLUMNS, "compare_networks()")
    networks, splits = (list(dict.fromkeys(table[column])) for column in ("network", "split"))
    height = 0.32 * len(networks) * max(len(splits), 1) + 1.7
    figure, axes = plt.subplots(1, 2, figsize=(10, height), sharey=True, layout="constrained")
    step = 0.7 / max(len(splits), 1)
    for ax, (column, name) in zip(axes, PANELS.items(), strict=True):
        for number, split in enumerate(splits):
            rows = table[table["split"] == split]
            places = np.array([networks.index(network) for network in rows["network"]])
            places = places + (number - (len(splits) - 1) / 2) * step
            value, low, high = (100 * rows[f"{column}{end}"].to_numpy(float) for end in ("", "_low", "_high"))
            style = {
                "color": drawing.colour(number),
                "marker": drawing.marker(number),
                "label": drawing.in_legend(split),
            }
            ax.errorbar(value, places, xerr=[value - low, high - value], linestyle="none", capsize=3, **style)
            for x, y, right in zip(value, places, high, strict=True):
                ax.annotate(f"{x:.0f}", (right, y), (5, 0), textcoords="offset points", va="center", size=drawing.SMALL)
        if chance is not None:
            ax.axvline(100 * chance, color="0.5", linestyle=":")
            ax.annotate("chance", (100 * chance, 1), (3, -2), xycoords=("data", "axes fraction"), va="top",
                        textcoords="offset points", size=drawing.SMALL, color="0.4")  # fmt: skip
        ax.set(xlim=(0, 113), xlabel="Accuracy (%), with its 95% interval", title=name)
        ax.set_xticks(range(0, 101, 20))
        ax.spines[["top", "right"]].set_visible(False)
        for place in range(1, len(networks)):
            ax.axhline(place - 0.5, color="0.9", linewidth=0.8, zorder=0)
    axes[0].set_yticks(range(len(networks)), networks)
    axes[0].set_ylim(len(networks) - 0.5, -0.5)
    if len(splits) > 1:
        handles = axes[0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside lower center", ncols=len(splits), frameon=False)
    if title:
        figure.suptitle(title)
    return axes
