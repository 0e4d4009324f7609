"""Curves of training and of a student's: what they show is what was measured."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from audiointerp import plots


def line(ax, label):
    """The one line with this label in the legend."""
    (found,) = [line for line in ax.lines if line.get_label() == label]
    return found


@pytest.fixture
def history():
    iteration = np.arange(1, 13)
    return pd.DataFrame(
        {
            "epoch": (iteration - 1) // 4 + 1, "iteration": iteration, "elapsed": 2.0 * iteration,
            "batch_accuracy": iteration / 20, "batch_loss": 2 / iteration, "learning_rate": 0.001,
            "validation_accuracy": np.where(iteration % 6 == 0, iteration / 24, np.nan),
            "validation_loss": np.where(iteration % 6 == 0, 3 / iteration, np.nan),
        }
    )  # fmt: skip


def test_training_curves_show_what_was_measured(history):
    above, below = plots.training_curves(history)
    batch, _, validation = above.lines
    assert batch.get_ydata() == pytest.approx(100 * history["batch_accuracy"])
    assert list(validation.get_xdata()) == [6, 12] and list(validation.get_ydata()) == [25, 50]
    assert (validation.get_linestyle(), validation.get_marker()) == ("--", "o")
    assert list(below.lines[2].get_ydata()) == [0.5, 0.25]
    assert above.get_title() == "Validation accuracy 50.0% after 3 epochs, 12 iterations, 24 s"
    assert (above.get_ylabel(), below.get_ylabel(), below.get_xlabel()) == (
        "Accuracy (%)", "Loss (cross-entropy)", "Iteration",
    )  # fmt: skip


def test_training_curves_separate_epochs(history):
    above, below = plots.training_curves(history)
    (shade,) = above.patches
    assert shade.get_window_extent().x0 == pytest.approx(above.transData.transform((4.5, 0))[0])
    assert shade.get_window_extent().x1 == pytest.approx(above.transData.transform((8.5, 0))[0])
    names = {t.get_text(): t.get_position()[0] for t in below.texts}
    assert names == {"epoch 1, rate 0.001": 0.5, "2, rate 0.001": 4.5, "3, rate 0.001": 8.5}


def test_training_curves_without_validation_or_with_one_row(history):
    history[["validation_accuracy", "validation_loss"]] = np.nan
    assert plots.training_curves(history)[0].get_title() == "After 3 epochs, 12 iterations, 24 s"
    one = plots.training_curves(history.iloc[:1].drop(columns=["elapsed", "learning_rate"]))
    assert one[0].get_title() == "After 1 epoch, 1 iteration" and one[0].lines[0].get_marker() == "o"
    with pytest.raises(ValueError, match="no column batch_loss"):
        plots.training_curves(history.drop(columns="batch_loss"))
    with pytest.raises(ValueError, match="no rows"):
        plots.training_curves(history.iloc[:0])


@pytest.fixture
def distilled():
    """A validation before the first batch and after each of three epochs of ten."""
    iteration = np.arange(31)
    return pd.DataFrame(
        {
            "epoch": -(-iteration // 10),  # 0 before the training
            "iteration": iteration,
            "batch_loss": 2 / (1 + iteration / 10),
            "validation_loss": np.where(iteration % 10 == 0, 2.4 / (1 + iteration / 10), np.nan),
        }
    )


def test_distillation_curves_show_what_was_measured(distilled):
    ax = plots.distillation_curves(distilled, title="A student")
    assert line(ax, "batch").get_ydata() == pytest.approx(distilled["batch_loss"])
    assert list(line(ax, "validation").get_xdata()) == [0, 10, 20, 30]
    assert line(ax, "validation").get_ydata() == pytest.approx([2.4, 1.2, 0.8, 0.6])
    smooth = line(ax, "batch, smoothed").get_ydata()
    loss = distilled["batch_loss"]
    assert smooth[15] == pytest.approx((loss[14] + loss[15] + loss[16]) / 3)
    assert smooth[30] == pytest.approx((loss[29] + loss[30]) / 2)
    levels = [level.get_ydata()[0] for level in ax.lines if level.get_linestyle() == ":"]
    assert levels == pytest.approx([2.4, 1.2])
    assert [t.get_text() for t in ax.texts] == ["start:\n2.40", "half of it:\n1.20"]
    assert ax.get_title() == "A student\nValidation: 2.40 nats at the start, 0.60 (25% of it) after 3 epochs"
    assert ax.get_xlim() == (-0.5, 30.5) and ax.get_ylim()[0] == 0 and "nats" in ax.get_ylabel()
    (shade,) = ax.patches
    across = shade.get_path().transformed(shade.get_patch_transform()).vertices[:, 0]
    assert (across.min(), across.max()) == (10.5, 20.5)


def test_distillation_curves_write_beside_the_axes(distilled):
    ax = plots.distillation_curves(distilled)
    ax.figure.canvas.draw()
    boxes = [t.get_window_extent() for t in ax.texts]
    assert all(ax.bbox.x1 < box.x0 and box.x1 <= ax.figure.bbox.x1 for box in boxes)


def test_distillation_curves_without_validation_and_of_bad_tables(distilled):
    ax = plots.distillation_curves(distilled.iloc[1:2].assign(validation_loss=np.nan))
    assert ax.get_title() == "1 epoch" and not ax.texts and line(ax, "batch").get_marker() == "o"
    with pytest.raises(ValueError, match="no column validation_loss"):
        plots.distillation_curves(distilled.drop(columns="validation_loss"))
    with pytest.raises(ValueError, match="no rows"):
        plots.distillation_curves(distilled.iloc[:0])


def test_distillation_curves_draw_into_given_axes(distilled):
    _, ax = plt.subplots()
    assert plots.distillation_curves(distilled, ax=ax) is ax and len(plt.get_fignums()) == 1
