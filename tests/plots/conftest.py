"""Small patches, maps and predictions made of numbers, and figures closed after each test."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from audiointerp.sound.frontend import VGGISH
from audiointerp.sound.patches import Patches

CLASSES = ["chainsaw", "crackling_fire", "dog"]


@pytest.fixture(autouse=True)
def figures(monkeypatch):
    """Figures are neither shown nor left open, and settings stay as they were."""
    monkeypatch.setattr(plt, "show", lambda *_, **__: pytest.fail("a figure was shown"))
    before = dict(matplotlib.rcParams)
    yield
    plt.close("all")
    assert dict(matplotlib.rcParams) == before


@pytest.fixture
def make_patches(rng):
    """Patches of these labels, counted from `first` in the set they were taken from."""

    def make(labels, data=None, first=40):
        n = len(labels)
        data = rng.normal(size=(n, 96, 64)).astype(np.float32) if data is None else data
        table = pd.DataFrame({"clip": 7, "start": 0.24 * np.arange(n), "label": labels}, np.arange(first, first + n))
        return Patches(data, table)

    return make


@pytest.fixture
def make_maps(rng):
    """Maps of these patches, on any grid; `values` of shape (n, classes, time, frequency) or what fits into it."""

    def make(patches, values=None, *, method="occlusion", shape=(12, 8), labels=CLASSES):
        full = (len(patches), len(labels), *shape)
        values = rng.normal(size=full) if values is None else np.broadcast_to(values, full).astype(float)
        mel = np.linspace(0, 64, shape[1] + 1)
        coords = {
            "patch": patches.table.index.to_numpy(),
            "label": labels,
            "time": VGGISH.time.reshape(shape[0], -1).mean(axis=1),
            "frequency": np.interp((mel[1:] + mel[:-1]) / 2 - 0.5, np.arange(64), VGGISH.frequency),
            "true": ("patch", patches.label.astype(str)),
        }
        dims = ("patch", "label", "time", "frequency")
        return xr.DataArray(values, coords, dims, attrs={"method": method, "units": "probability"})

    return make


@pytest.fixture
def make_predictions():
    """A prediction table as `predict` gives it, with the same score for every class but the predicted one."""

    def make(patches, predicted, score=0.75):
        table = patches.table.assign(predicted=predicted, score=score)
        for name in CLASSES:
            table[name] = np.where(table["predicted"] == name, score, (1 - np.asarray(score)) / (len(CLASSES) - 1))
        table.attrs["labels"] = list(CLASSES)
        return table

    return make


@pytest.fixture
def pixel():
    """Colour of a figure at data coordinates of its axes, as it is really drawn, without the frame around them."""

    pictures = {}

    def colour(ax, time, frequency):
        if ax.figure not in pictures:
            for each in ax.figure.axes:
                each.spines[:].set_visible(False)
            ax.figure.canvas.draw()
            pictures[ax.figure] = np.asarray(ax.figure.canvas.buffer_rgba())[::-1, :, :3] / 255
        x, y = ax.transData.transform((time, frequency))
        return pictures[ax.figure][int(y), int(x)]

    return colour


@pytest.fixture(scope="session")
def check_inside():
    """Function that makes sure that nothing of a figure is cut off."""

    def check(figure):
        figure.canvas.draw()
        box = figure.get_tightbbox(figure.canvas.get_renderer())
        width, height = figure.get_size_inches()
        assert box.x0 > -0.02 and box.y0 > -0.02 and box.x1 < width + 0.02 and box.y1 < height + 0.02

    return check
