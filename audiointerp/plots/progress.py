"""How training went: accuracy and loss, iteration by iteration."""

import matplotlib.pyplot as plt
import numpy as np

from . import drawing

COLUMNS = ("epoch", "iteration", "batch_accuracy", "validation_accuracy", "batch_loss", "validation_loss")


def training_curves(history):
    """Draw accuracy and loss over the iterations of a training run.

    Parameters
    ----------
    history : pandas.DataFrame
        One row an iteration: `epoch`, `iteration`, `batch_accuracy`, `batch_loss`, `validation_accuracy` and
        `validation_loss` (NaN where there was no validation), and if it has them `elapsed` (s) and `learning_rate`.
        Accuracies are shares from 0 to 1.

    Returns
    -------
    numpy.ndarray [2] of matplotlib.axes.Axes
        Accuracy above, loss below.

    Raises
    ------
    ValueError
        If the table has no rows or lacks columns.
    """
    drawing.check_columns(history, COLUMNS, "the training functions")
    _, (above, below) = plt.subplots(2, 1, sharex=True, figsize=(8, 5.5), layout="constrained")
    _curve(above, history, "accuracy", drawing.BLUE, 100)
    _curve(below, history, "loss", drawing.VERMILION, 1)
    above.set(ylabel="Accuracy (%)", ylim=(0, 102), title=_summary(history))
    highest = np.nanmax(history[["batch_loss", "validation_loss"]].to_numpy(dtype=float))
    below.set(ylabel="Loss (cross-entropy)", xlabel="Iteration", ylim=(0, 1.05 * highest if highest > 0 else 1))
    _epochs(above, below, history)
    below.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    for ax in (above, below):
        ax.grid(axis="y", color="0.85", linewidth=0.6)
        ax.set_axisbelow(True)
    return np.array([above, below])


def _curve(ax, history, name, colour, factor):
    iteration, batch = history["iteration"], history[f"batch_{name}"] * factor
    marker = "o" if len(batch) < 3 else None
    ax.plot(iteration, batch, color=colour, alpha=0.3, linewidth=1, marker=marker, label="batch")
    smooth = batch.rolling(max(3, len(batch) // 15), center=True, min_periods=1).mean()
    ax.plot(iteration, smooth, color=colour, linewidth=2, label="batch, smoothed")
    validation = history[["iteration", f"validation_{name}"]].dropna()
    style = {"color": "black", "markersize": 5, "linewidth": 1.2, "clip_on": False, "zorder": 3, "label": "validation"}
    ax.plot(validation["iteration"], validation[f"validation_{name}"] * factor, "o--", **style)
    ax.legend(loc="lower right" if name == "accuracy" else "upper right", fontsize=drawing.SMALL)


def _epochs(above, below, history):
    """Shade every second epoch; between the two axes, name the epochs and their learning rates."""
    first = history.groupby("epoch")["iteration"].min()
    starts = first.to_numpy() - 0.5
    edges = np.r_[starts, history["iteration"].max() + 0.5]
    above.set_xlim(edges[0], edges[-1])
    every = -(-len(first) // 10)
    rates = history.groupby("epoch")["learning_rate"].first() if "learning_rate" in history else None
    for number, epoch in enumerate(first.index):
        if number % 2:
            for ax in (above, below):
                ax.axvspan(edges[number], edges[number + 1], color="0.94", linewidth=0, zorder=-1)
        if number % every == 0:
            rate = "" if rates is None or len(first) > 6 else f", rate {rates[epoch]:.3g}"
            word = "epoch " if number == 0 else ""
            style = {"size": drawing.SMALL, "color": "0.35", "transform": below.get_xaxis_transform()}
            below.text(edges[number], 1.02, f"{word}{epoch}{rate}", **style)


def _summary(history):
    epochs, iterations = history["epoch"].nunique(), int(history["iteration"].max())
    text = f"{epochs} epoch{'s' if epochs > 1 else ''}, {iterations} iteration{'s' if iterations > 1 else ''}"
    if "elapsed" in history:
        text += f", {history['elapsed'].max():.0f} s"
    validated = history["validation_accuracy"].dropna()
    return f"Validation accuracy {validated.iloc[-1]:.1%} after {text}" if len(validated) else f"After {text}"
