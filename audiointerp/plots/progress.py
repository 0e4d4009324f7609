"""How training went, iteration by iteration: accuracy and loss, and how a student came near its teacher."""

import matplotlib.pyplot as plt
import numpy as np

from . import drawing

COLUMNS = ("epoch", "iteration", "batch_accuracy", "validation_accuracy", "batch_loss", "validation_loss")


@drawing.literal
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
    _curve(below, history, "loss", drawing.VERMILION)
    above.set(ylabel="Accuracy (%)", ylim=(0, 102), title=_summary(history))
    highest = np.nanmax(history[["batch_loss", "validation_loss"]].to_numpy(dtype=float))
    below.set(ylabel="Loss (cross-entropy)", xlabel="Iteration", ylim=(0, 1.05 * highest if highest > 0 else 1))
    _epochs(above, below, history)
    below.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    for ax in (above, below):
        ax.grid(axis="y", color="0.85", linewidth=0.6)
        ax.set_axisbelow(True)
    return np.array([above, below])


@drawing.literal
def distillation_curves(history, *, title=None, ax=None):
    """Draw how far a student is from its teacher, over the iterations of its training.

    Parameters
    ----------
    history : pandas.DataFrame
        One row an iteration, 0 before the training: `epoch`, `iteration`, `batch_loss` and `validation_loss` (NaN
        where there was none), the KL divergence of the student's distributions from the teacher's, in nats.
    title : str, optional
        Stands above what became of the divergence.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If the table has no rows or lacks columns.
    """
    drawing.check_columns(history, ["epoch", "iteration", "batch_loss", "validation_loss"], "training a student")
    ax = drawing.new_axes(ax, 8, 4)
    _curve(ax, history, "loss", drawing.VERMILION)
    iteration, checked = history["iteration"], history.set_index("iteration")["validation_loss"].dropna()
    first, last = history[iteration > 0].groupby("epoch")["iteration"].min() - 0.5, iteration.max() + 0.5
    _shade_epochs([ax], [*first, last])
    summary = drawing.number_text(len(first), "epoch")
    if len(checked):
        start, end = checked.iloc[0], checked.iloc[-1]
        summary = f"Validation: {start:.2f} nats at the start, {end:.2f} ({end / start:.0%} of it) after {summary}"
        for level, name in (start, "start"), (start / 2, "half of it"):
            ax.axhline(level, color="0.3", linestyle=":", linewidth=1.2)
            ax.text(1.01, level, f"{name}:\n{level:.2f}", va="center", transform=ax.get_yaxis_transform())
    ax.set(xlim=(iteration.min() - 0.5, last), ylim=(0, 1.05 * ax.dataLim.y1), ylabel="KL(teacher ‖ student), nats")
    ax.set(xlabel="Iteration (every second epoch is shaded)", title=f"{title or ''}\n{summary}".strip())
    ax.grid(axis="y", color="0.88", linewidth=0.6)
    return ax


def _curve(ax, history, name, colour, factor=1):
    """Draw what was measured on the batches, smoothed too, and on the validation set."""
    iteration, batch = history["iteration"], history[f"batch_{name}"] * factor
    marker = "o" if len(batch) < 3 else None
    ax.plot(iteration, batch, color=colour, alpha=0.3, linewidth=1, marker=marker, label="batch")
    smooth = batch.rolling(max(3, len(batch) // 15), center=True, min_periods=1).mean()
    ax.plot(iteration, smooth, color=colour, linewidth=2, label="batch, smoothed")
    validation = history[["iteration", f"validation_{name}"]].dropna()
    style = {"color": "black", "markersize": 5, "linewidth": 1.2, "clip_on": False, "zorder": 3, "label": "validation"}
    ax.plot(validation["iteration"], validation[f"validation_{name}"] * factor, "o--", **style)
    ax.legend(loc="lower right" if name == "accuracy" else "best", fontsize=drawing.SMALL)


def _epochs(above, below, history):
    """Shade the epochs; between the two axes, name the epochs and their learning rates."""
    first = history.groupby("epoch")["iteration"].min()
    edges = np.r_[first, history["iteration"].max() + 1] - 0.5
    above.set_xlim(edges[0], edges[-1])
    if len(first) == len(history) > 1:  # a head: each iteration sees all patches
        return
    every = -(-len(first) // 10)
    rates = history.groupby("epoch")["learning_rate"].first() if "learning_rate" in history else None
    _shade_epochs([above, below], edges)
    for number, epoch in enumerate(first.index):
        if number % every == 0:
            rate = "" if rates is None or len(first) > 6 else f", rate {rates[epoch]:.3g}"
            word = "epoch " if number == 0 else ""
            style = {"size": drawing.SMALL, "color": "0.35", "transform": below.get_xaxis_transform()}
            below.text(edges[number], 1.02, f"{word}{epoch}{rate}", **style)


def _shade_epochs(axes, edges):
    """Shade every second epoch, from its edge to the next."""
    for ax in axes:
        for start, end in zip(edges[1:-1:2], edges[2::2], strict=True):
            ax.axvspan(start, end, color="0.94", linewidth=0, zorder=-1)


def _summary(history):
    epochs, iterations = history["epoch"].nunique(), int(history["iteration"].max())
    text = drawing.number_text(iterations, "iteration")
    if epochs < iterations or epochs == 1:  # otherwise each iteration sees all patches
        text = f"{drawing.number_text(epochs, 'epoch')}, {text}"
    if "elapsed" in history:
        text += f", {history['elapsed'].max():.0f} s"
    validated = history["validation_accuracy"].dropna()
    return f"Validation accuracy {validated.iloc[-1]:.1%} after {text}" if len(validated) else f"After {text}"
