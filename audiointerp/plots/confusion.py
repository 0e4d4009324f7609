"""The confusion chart, with its row and column summaries."""

import textwrap

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from scipy import stats

from ..errors import UnknownLabelError
from ..evaluation.metrics import sort_by_recall
from . import drawing

RIGHT = LinearSegmentedColormap.from_list("right", ["white", drawing.BLUE])
WRONG = LinearSegmentedColormap.from_list("wrong", ["white", drawing.VERMILION])
MANY = 20  # classes above which only the cells that matter hold numbers
FAINTEST = 0.12  # shade of a cell that is not empty


@drawing.literal
def confusion_chart(counts, *, title=None, unit="clips", sort=False, groups=None, number_from=0.1):
    """Draw counts of true against predicted classes, with a summary of each row and each column.

    Right predictions are blue, wrong ones orange, shaded by their share of the true class. The summary to the right
    says how much of each true class was right and wrong (recall); the one below, how much of what was predicted
    as a class was (precision).

    Parameters
    ----------
    counts : pandas.DataFrame [classes, classes]
        From `confusion`: rows are true, columns predicted.
    title : str, optional
        Stands above the accuracy and its Wilson 95% interval. Overlapping patches would make the interval too narrow,
        so it is given for clips only.
    unit : str
        What was counted: "clips" or "patches".
    sort : bool
        Put the classes that are recognised best first, with groups those within each group.
    groups : dict of str to str, optional
        The group of each class, as `ESC50_GROUPS`. Rows and columns are sorted so that the classes of a group stand
        together, groups in the order of the dict; lines part them and their names stand to the right.
    number_from : float
        With more than 20 classes, mistakes are written into their cells from this share of the true class on, right
        predictions always. With up to 20 classes every count is written.

    Returns
    -------
    numpy.ndarray [3] of matplotlib.axes.Axes
        Chart, row summary, column summary.

    Raises
    ------
    ValueError
        If rows and columns are not the same classes, counts are negative or not numbers, or `number_from` is not a
        share.
    UnknownLabelError
        If a class has no group.
    """
    _check(counts)
    if not 0 <= number_from <= 1:
        raise ValueError(f"number_from is {number_from}: expected a share of the true class from 0 to 1, as 0.1.")
    counts = sort_by_recall(counts) if sort else counts
    counts, runs = (counts, []) if groups is None else _by_group(counts, groups)
    n = len(counts)
    many = n > MANY
    width = 2.6 if many else 1.2  # of a summary column, in cells
    cell = np.clip(8.75 / n, 0.17, 0.36) if many else np.clip(7.2 / n, 0.145, 0.55)  # inches
    sides = [_fitting(name, last - first, cell) for name, first, last in runs]
    side = 0.35 + 0.075 * max(len(line) for text in sides for line in text.split("\n")) if sides else 0
    figure, axes = plt.subplots(
        2,
        2,
        figsize=(max(5.2, cell * (n + 2 * width) + 1.6) + side, cell * (n + 2 * width) + 1.9),
        width_ratios=[n, 2 * width],
        height_ratios=[n, 2 * width],
        layout="constrained",
    )
    figure.get_layout_engine().set(w_pad=0.04, h_pad=0.04, wspace=0.01, hspace=0.01)
    (chart, right), (below, corner) = axes
    corner.set_axis_off()
    size = np.clip(39 * cell, 6.5, 8) if many else 8 if n > 12 else drawing.NORMAL
    values = counts.to_numpy()
    diagonal = np.eye(n, dtype=bool)
    shares = _share(values, values.sum(axis=1, keepdims=True))
    written = (values > 0) & (diagonal | (shares >= number_from) | (not many))
    texts = np.where(written, values.astype(int).astype(str), "")
    digits = max(len(text) for text in texts.flat)
    _cells(chart, shares, diagonal, texts, np.clip(100 * cell / max(digits, 1), 5.5, size) if many else size)
    kind = np.array([[True, False]])
    rows = _right_and_wrong(values, 1)
    _cells(right, rows, np.repeat(kind, n, axis=0), _percent(rows), size)
    columns = _right_and_wrong(values, 0).T
    _cells(below, columns, np.repeat(kind, n, axis=0).T, _percent(columns.T).T, size, rotation=90 * many)
    names, places = counts.index.astype(str), np.arange(n)
    chart.set_yticks(places, names, size=size)
    chart.set_ylabel("True class", size=drawing.NORMAL + 1)
    slanted = {"rotation": 90} if many else {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    below.set_xticks(places, names, size=size, **slanted)
    below.set_xlabel("Predicted class", size=drawing.NORMAL + 1)
    right.xaxis.tick_top()
    right.set_xticks([0, 1], ["%\nright", "%\nwrong"], size=8)
    below.set_yticks([0, 1], ["% right", "% wrong"], size=8)
    if runs:
        _separate(chart, right, below, runs, sides)
    figure.suptitle((f"{title}\n" if title else "") + _accuracy(values, unit), size=drawing.NORMAL + 1)
    return np.array([chart, right, below])


def _check(counts):
    rows, columns = list(counts.index), list(counts.columns)
    if rows != columns or not rows:
        raise ValueError(
            f"counts of {len(rows)} true classes ({drawing.some(rows)}) against {len(columns)} predicted ones "
            f"({drawing.some(columns)}): expected the same classes in the same order, as from confusion()."
        )
    values = counts.to_numpy(dtype=float)
    if not (values >= 0).all() or (values != np.floor(values)).any():
        raise ValueError("counts hold negative values, fractions or NaN: expected whole numbers, as from confusion().")


def _by_group(counts, groups):
    """Counts with each group's classes together, and the (name, first, behind the last) of each group."""
    without = [label for label in counts.index if label not in groups]
    if without:
        raise UnknownLabelError(
            f"classes {drawing.some(without)} are in no group (groups know: {drawing.some(groups, 60)}). "
            "Pass the group of every class, as in ESC50_GROUPS."
        )
    rank = {group: number for number, group in enumerate(dict.fromkeys(groups.values()))}
    labels = sorted(counts.index, key=lambda label: rank[groups[label]])
    of_each = [groups[label] for label in labels]
    starts = [place for place in range(len(labels)) if place == 0 or of_each[place] != of_each[place - 1]]
    ends = [*starts[1:], len(labels)]
    runs = [(str(of_each[start]), start, end) for start, end in zip(starts, ends, strict=True)]
    return counts.loc[labels, labels], runs


def _fitting(name, classes, cell):
    """A group's name in lines as short as the height of so many cells allows."""
    lines = max(1, int(classes * cell / (1.25 * drawing.SMALL / 72)))
    for width in range(max([14, *map(len, name.split())]), len(name)):
        text = textwrap.fill(name, width)
        if text.count("\n") < lines:
            return text
    return name


def _separate(chart, right, below, runs, sides):
    """Part the groups by lines; name each to the right of the row summary, at a bracket."""
    line = {"color": "0.25", "linewidth": 1.2}
    for _, first, _ in runs[1:]:
        chart.axhline(first - 0.5, **line)
        right.axhline(first - 0.5, **line)
        chart.axvline(first - 0.5, **line)
        below.axvline(first - 0.5, **line)
    beside = {"xycoords": right.get_yaxis_transform(), "textcoords": "offset points", "annotation_clip": False}
    for (_, first, end), text in zip(runs, sides, strict=True):
        bracket = {"transform": beside["xycoords"], "color": "0.25", "linewidth": 1.2, "clip_on": False}
        right.plot([1.05, 1.1, 1.1, 1.05], [first - 0.3, first - 0.3, end - 0.7, end - 0.7], **bracket)
        right.annotate(text, (1.1, (first + end - 1) / 2), (6, 0), va="center", size=drawing.SMALL, **beside)


def _share(part, whole):
    """part / whole, NaN where there is nothing."""
    return np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=np.broadcast_to(whole, part.shape) > 0)


def _right_and_wrong(values, axis):
    """Share of right and of wrong predictions per row (axis 1) or column (axis 0), shape (classes, 2)."""
    right = _share(np.diag(values), values.sum(axis=axis))
    return np.stack([right, 1 - right], axis=1)


def _percent(shares):
    """Shares (right, wrong) as whole percents that add up to 100, shape (classes, 2)."""
    return np.array([["", ""] if np.isnan(s) else [f"{100 * s:.0f}", f"{100 - round(100 * s)}"] for s, _ in shares])


def _cells(ax, shares, right, texts, size, *, rotation=0):
    """Draw shares (0 to 1), blue where `right`, orange elsewhere, with their texts."""
    shares = np.nan_to_num(shares)
    shade = np.where(shares > 0, FAINTEST + (1 - FAINTEST) * shares, 0)
    colours = np.where(right[..., None], RIGHT(shade), WRONG(shade))
    dark = colours[..., :3] @ [0.299, 0.587, 0.114] < 0.5
    ax.imshow(colours, aspect="auto")
    for (row, column), text in np.ndenumerate(texts):
        if text:
            colour = "white" if dark[row, column] else "black"
            ax.text(column, row, text, ha="center", va="center", color=colour, size=size, rotation=rotation)
    ax.set_xticks(np.arange(shares.shape[1] + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(shares.shape[0] + 1) - 0.5, minor=True)
    ax.grid(which="minor", color="0.8", linewidth=0.6)
    ax.tick_params(which="both", length=0)
    ax.set_xticks([])
    ax.set_yticks([])


def _accuracy(values, unit):
    right, n = int(np.trace(values)), int(values.sum())
    if n == 0:
        return f"no {unit}"
    text = f"{right / n:.1%} of {n} {unit} right"
    if unit != "clips":
        return text
    interval = stats.binomtest(right, n).proportion_ci(method="wilson")
    return f"{text} (95% interval: {interval.low:.1%} to {interval.high:.1%})"
