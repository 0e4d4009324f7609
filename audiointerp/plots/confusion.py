"""The confusion chart."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from scipy import stats

from ..evaluation import sort_by_recall
from . import drawing

RIGHT = LinearSegmentedColormap.from_list("right", ["white", drawing.BLUE])
WRONG = LinearSegmentedColormap.from_list("wrong", ["white", drawing.VERMILION])
MANY = 20  # classes from which on cells hold no numbers
FAINTEST = 0.12  # shade of a cell that is not empty


def confusion_chart(counts, *, title=None, unit="clips", sort=False):
    """Draw counts of true against predicted classes, with a summary of each row and each column.

    Right predictions are blue, wrong ones orange, shaded by their share of the true class. The summary to the right
    says how much of each true class was right and wrong (recall); the one below, how much of what was predicted
    as a class was (precision).

    Parameters
    ----------
    counts : pandas.DataFrame [classes, classes]
        From `confusion`: rows are true, columns predicted. With more than 20 classes, cells hold no numbers.
    title : str, optional
        Stands above the accuracy and its Wilson 95% interval. Overlapping patches would make the interval too narrow,
        so it is given for clips only.
    unit : str
        What was counted: "clips" or "patches".
    sort : bool
        Put the classes that are recognised best first.

    Returns
    -------
    numpy.ndarray [3] of matplotlib.axes.Axes
        Chart, row summary, column summary.

    Raises
    ------
    ValueError
        If rows and columns are not the same classes, or counts are negative or not numbers.
    """
    _check(counts)
    counts = sort_by_recall(counts) if sort else counts
    n = len(counts)
    many = n > MANY
    width = 2.6 if many else 1.2  # of a summary column, in cells
    cell = np.clip(7.2 / n, 0.145, 0.55)  # inches
    figure, axes = plt.subplots(
        2,
        2,
        figsize=(max(5.2, cell * (n + 2 * width) + 1.6), cell * (n + 2 * width) + 1.9),
        width_ratios=[n, 2 * width],
        height_ratios=[n, 2 * width],
        layout="constrained",
    )
    figure.get_layout_engine().set(w_pad=0.04, h_pad=0.04, wspace=0.01, hspace=0.01)
    (chart, right), (below, corner) = axes
    corner.set_axis_off()
    size = 6.5 if many else 8 if n > 12 else drawing.NORMAL
    values = counts.to_numpy()
    diagonal = np.eye(n, dtype=bool)
    texts = np.where((values > 0) & (not many), values.astype(int).astype(str), "")
    _cells(chart, _share(values, values.sum(axis=1, keepdims=True)), diagonal, texts, size)
    kind = np.array([[True, False]])
    rows = _right_and_wrong(values, 1)
    _cells(right, rows, np.repeat(kind, n, axis=0), _percent(rows), size)
    columns = _right_and_wrong(values, 0).T
    _cells(below, columns, np.repeat(kind, n, axis=0).T, _percent(columns), size, rotation=90 * many)
    names, places = counts.index.astype(str), np.arange(n)
    chart.set_yticks(places, names, size=size)
    chart.set_ylabel("True class", size=drawing.NORMAL + 1)
    slanted = {"rotation": 90} if many else {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    below.set_xticks(places, names, size=size, **slanted)
    below.set_xlabel("Predicted class", size=drawing.NORMAL + 1)
    right.xaxis.tick_top()
    right.set_xticks([0, 1], ["%\nright", "%\nwrong"], size=8)
    below.set_yticks([0, 1], ["% right", "% wrong"], size=8)
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


def _share(part, whole):
    """part / whole, NaN where there is nothing."""
    return np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=np.broadcast_to(whole, part.shape) > 0)


def _right_and_wrong(values, axis):
    """Share of right and of wrong predictions per row (axis 1) or column (axis 0), shape (classes, 2)."""
    right = _share(np.diag(values), values.sum(axis=axis))
    return np.stack([right, 1 - right], axis=1)


def _percent(shares):
    return np.array([["" if np.isnan(s) else f"{100 * s:.0f}" for s in row] for row in shares])


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
