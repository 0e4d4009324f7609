import numpy as np
import pandas as pd
import pytest

from audiointerp import plots


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
