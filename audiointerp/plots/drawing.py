"""What the figures share: colours, the mel axis, cells in seconds and Hz, checks of what they are given."""

import textwrap
from contextlib import contextmanager

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import seaborn
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, PercentFormatter

from ..errors import PatchShapeError, UnknownLabelError
from ..sound.frontend import hz_to_mel, mel_to_hz

# Okabe & Ito's palette, which colour-blind readers can tell apart.
BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9"
COLOURS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY)
LINES = ("-", "--", ":", "-.")
MARKERS, HATCHES = "osD^v", ("", "/", "..", "\\", "x")  # 5 each: with 6 colours, no two alike among the first 30
CELLS = matplotlib.colormaps["magma_r"]
SMALL, NORMAL = 8.5, 10  # points
ROUND_HZ = (125, 250, 500, 1_000, 2_000, 4_000, 8_000, 16_000)
TICKS_APART = 0.058  # of the axis, so that their numbers do not touch in a small panel


@contextmanager
def _plain_text():
    """Text is made as it is: no signs in it are read as mathematics.

    `plt.rc_context` would also take back what the first figure of a notebook sets: no figure would be shown.
    """
    before = matplotlib.rcParams["text.parse_math"]
    matplotlib.rcParams["text.parse_math"] = False
    try:
        yield
    finally:
        matplotlib.rcParams["text.parse_math"] = before


literal = _plain_text()  # decorates the function of a figure, so that names may hold $ signs


def in_legend(name):
    """A name as a label that a legend shows: matplotlib leaves out those that begin with an underscore."""
    return f"\u200b{name}" if str(name).startswith("_") else name


def new_axes(ax, width, height):
    """The axes given, whose title and labels are then plain text, or those of a new figure of this size (inches)."""
    if ax is None:
        return plt.subplots(figsize=(width, height), layout="constrained")[1]
    for text in (ax.title, ax.xaxis.label, ax.yaxis.label):
        text.set_parse_math(False)
    return ax


def colour(number):
    """Colour of the number-th thing; they go round."""
    return COLOURS[number % len(COLOURS)]


def marker(number):
    """Marker of the number-th thing; they go round."""
    return MARKERS[number % len(MARKERS)]


def bar_look(number):
    """Colour and hatching of the number-th bars."""
    return {"facecolor": colour(number), "hatch": HATCHES[number % len(HATCHES)], "edgecolor": "white"}


def line_style(number):
    """Colour and dashes of the line with this number: no two alike among the first 24."""
    return {"color": colour(number), "linestyle": LINES[number // len(COLOURS) % len(LINES)]}


def hz_text(frequency, _=None):
    """A frequency as an axis says it: 250, 1k, 2.5k."""
    return f"{frequency / 1000:g}k" if frequency >= 1000 else f"{frequency:g}"


def mel_axis(ax, low, high, *, which="y"):
    """Make an axis in Hz mel-spaced, from `low` to `high`, with ticks at round frequencies."""
    axis = ax.yaxis if which == "y" else ax.xaxis
    (ax.set_yscale if which == "y" else ax.set_xscale)("function", functions=(hz_to_mel, mel_to_hz))
    (ax.set_ylim if which == "y" else ax.set_xlim)(low, high)
    ticks, closest = [], TICKS_APART * (hz_to_mel(high) - hz_to_mel(low))
    for hz in ROUND_HZ:
        if low <= hz <= high and (not ticks or hz_to_mel(hz) - hz_to_mel(ticks[-1]) >= closest):
            ticks.append(hz)
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_major_formatter(FuncFormatter(hz_text))
    axis.set_label_text("Frequency (Hz)")


def cell_edges(centres, low=None, high=None):
    """Edges of cells from their centres; outer edges less than a cell away from `low` and `high` move there."""
    centres = np.asarray(centres, dtype=float)
    if centres.size == 1:
        return np.array([centres[0] - 0.5 if low is None else low, centres[0] + 0.5 if high is None else high])
    middle = (centres[1:] + centres[:-1]) / 2
    edges = np.r_[2 * centres[0] - middle[0], middle, 2 * centres[-1] - middle[-1]]
    for place, limit, width in ((0, low, edges[1] - edges[0]), (-1, high, edges[-1] - edges[-2])):
        if limit is not None and abs(edges[place] - limit) < 0.9 * abs(width):
            edges[place] = limit
    return edges


def mel_edges(frequency, low=None, high=None):
    """Edges in Hz of bands whose centres are given in Hz: halfway on the mel scale."""
    limits = (None if hz is None else hz_to_mel(hz) for hz in (low, high))
    return mel_to_hz(cell_edges(hz_to_mel(frequency), *limits))


def draw_cells(ax, values, time, frequency, *, within=None, **style):
    """Draw values [time, frequency], time across and frequency up, every cell exactly where it belongs.

    `time` and `frequency` are the cells' centres (s, Hz). The axes get the extent of the cells, or of the time and
    frequency axes in `within`. Cells that are not finite are left grey; `style` is for `pcolormesh`.
    """
    whole_time, whole_frequency = within or (time, frequency)
    first, *_, last = cell_edges(whole_time)
    bottom, *_, top = mel_edges(whole_frequency)
    mesh = ax.pcolormesh(
        cell_edges(time, first, last),
        mel_edges(frequency, bottom, top),
        np.ma.masked_invalid(np.asarray(values, dtype=float)).T,
        shading="flat",
        **style,
    )
    ax.set_facecolor("0.7")
    mel_axis(ax, bottom, top)
    ax.set_xlim(first, last)
    ax.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 4, 5, 10]))
    ax.set_xlabel("Time (s)")
    return mesh


def draw_bars(ax, counts, texts, nothing, *, color=SKY):
    """Draw counts by name as bars from the top, each with its text; or a sentence where there are none."""
    ax.spines[["top", "right"]].set_visible(False)
    if len(counts) == 0:
        ax.text(0.5, 0.5, nothing, ha="center", va="center", transform=ax.transAxes)
        ax.set(xticks=[], yticks=[], xlabel="")
        return ax
    bars = ax.barh(np.arange(len(counts)), counts, 0.75, color=color)
    ax.bar_label(bars, texts, padding=3, size=SMALL)
    ax.set_yticks(np.arange(len(counts)), counts.index.astype(str), size=NORMAL if len(counts) <= 20 else 8)
    ax.set(ylim=(max(len(counts), 3) - 0.5, -0.5), xlim=(0, 1.25 * counts.max()))
    ax.xaxis.get_major_locator().set_params(integer=True)
    return ax


def share_matrix(shares, strongest, label):
    """Draw shares in percent [rows, classes] as a heat map in a figure of its own; rows without any are grey.

    Up to 64 rows are named. The share `strongest` and larger ones get the strongest colour; `label` is the bar's. The
    cell of row r and class c is centred at (c + 0.5, r + 0.5).
    """
    rows, classes = shares.shape
    few = rows <= 64
    width, size = (0.17 * classes, 7.5) if classes > 20 else (max(0.42 * classes, 3.5), NORMAL)
    _, ax = plt.subplots(figsize=(width + 2, np.clip(0.15 * rows, 2.8, 8) + 1.9), layout="constrained")
    bar = {"pad": 0.02, "label": label, "format": PercentFormatter(decimals=0)}
    bar["extend"] = "max" if (shares > strongest).any(axis=None) else "neither"
    names = {"xticklabels": shares.columns.astype(str), "yticklabels": shares.index.astype(str) if few else False}
    fine = {} if few else {"linecolor": "face", "linewidths": 0.3, "antialiased": True}  # so that no thin row is lost
    seaborn.heatmap(shares, vmin=0, vmax=strongest, cmap=CELLS, cbar_kws=bar, ax=ax, **names, **fine)
    ax.set(xlabel="", ylabel="", facecolor="0.7")
    ax.tick_params("x", rotation=90, labelsize=size)
    ax.tick_params("y", rotation=0, labelsize=7.5)
    ax.spines[:].set_visible(True)
    return ax


def level_label(frontend):
    """What the colours of a log-mel spectrogram mean."""
    return f"Level: ln(mel magnitude + {frontend.log_offset:g})"


def label_outer(axes):
    """Leave axis labels and tick labels only where no drawn panel is to the left or below."""
    for row, column in np.ndindex(axes.shape):
        ax = axes[row, column]
        below = row + 1 < len(axes) and axes[row + 1, column].axison
        ax.tick_params(labelleft=column == 0, labelbottom=not below)
        if column:
            ax.set_ylabel("")
        if below:
            ax.set_xlabel("")


def number_text(n, name):
    """A number of things in words: 1 class, 2 patches, 3 epochs, 1,024 neurons."""
    return f"{n:,} {name}" + ("" if n == 1 else "es" if name.endswith(("s", "tch")) else "s")


def wrapped(text, width):
    """A small text broken into lines that fit into a width in inches."""
    return textwrap.fill(text, max(8, int(width / 0.068)))


def some(names, most=12):
    """Names in one line, not too many."""
    names = [str(name) for name in names]
    return ", ".join(names[:most]) + (f", … ({len(names)} in all)" if len(names) > most else "")


def check_count(patches, most):
    """Raise if there are no patches, or more than one figure can show."""
    if not 0 < len(patches) <= most:
        raise ValueError(f"{len(patches)} patches: a figure shows 1 to {most}. Choose some, as in patches[[0, 5, 9]].")


def check_columns(table, columns, maker, *, may_be_empty=False):
    """Raise if a table lacks columns or rows; `maker` says where such a table comes from."""
    absent = [column for column in columns if column not in table]
    if absent or (len(table) == 0 and not may_be_empty):
        found = f"the table has no column {some(absent)}" if absent else "the table has no rows"
        raise ValueError(f"{found} (it has: {some(table.columns)}). Expected a table as from {maker}.")


def check_label(label, known, whose):
    """Raise if a class name is not among those known."""
    if label not in known:
        raise UnknownLabelError(f"label {label!r} is not among those of {whose}. Known: {some(known, 60)}.")


def check_log_mel(log_mel, frontend):
    """A whole clip's log-mel spectrogram as an array, or an error that says what is wrong with it."""
    log_mel = np.asarray(log_mel, dtype=float)
    if log_mel.ndim != 2 or not len(log_mel) or log_mel.shape[1] != frontend.mels:
        raise PatchShapeError(
            f"spectrogram of shape {log_mel.shape}: expected (frames, {frontend.mels}), as from frontend.log_mel(). "
            "Pass the front end it was made with, or patches.data[0] for one patch."
        )
    return log_mel


def prediction_rows(predictions, patches):
    """The rows of a prediction table that belong to these patches, in their order; None for each without a table.

    A ValueError if patches have no row, or the row's true class is another one.
    """
    if predictions is None:
        return [None] * len(patches)
    check_columns(predictions, ["predicted"], "predict()")
    index = patches.table.index
    if not predictions.index.is_unique or not index.isin(predictions.index).all():
        raise ValueError(
            f"{len(predictions)} predictions do not cover these {len(patches)} patches: they are matched by the index "
            "of patches.table. Pass the table that predict() gave for them."
        )
    rows = predictions.loc[index]
    if "label" in rows and "label" in patches.table and (rows["label"].to_numpy() != patches.label).any():
        raise ValueError(
            "predictions and patches disagree about true classes: they come from different sets of patches. "
            "Pass the table that predict() gave for these patches."
        )
    return [row for _, row in rows.iterrows()]
