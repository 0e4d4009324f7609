"""Names as people give them, with signs that matplotlib reads as mathematics or hides, are shown as they are."""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.text import Text

from audiointerp import plots
from audiointerp.evaluation.metrics import confused_pairs
from audiointerp.layers import neurons

ODD = ["$x^2$ and $y_1$", "_background_noise_", r"100 % {\frac} \alpha & #~"]
MANY = ODD * 4
NO_NAMES = {"activation_curve", "clickable", "distillation_curves", "filter_comparison", "outline", "probe_grid",
            "selectivity_curve", "training_curves", "waveform", "without_sound"}  # fmt: skip


@pytest.fixture
def patches(make_patches):
    return make_patches(MANY)


@pytest.fixture
def maps(patches, make_maps):
    return make_maps(patches, labels=ODD)


@pytest.fixture
def predictions(patches, rng):
    scores = rng.dirichlet(np.ones(3), len(patches))
    table = patches.table.assign(predicted=np.array(ODD, object)[scores.argmax(axis=1)], score=scores.max(axis=1))
    table[ODD] = scores
    table.attrs["labels"] = ODD
    return table


@pytest.fixture
def features(rng):
    coords = {"clip": np.arange(60), "label": ("clip", np.array(ODD, object)[np.arange(60) % 3])}
    return xr.DataArray(rng.normal(size=(60, 8)).astype(np.float32), coords, ("clip", "neuron"), "conv1")


@pytest.fixture
def points(rng):
    label = np.repeat(ODD, 8)
    columns = {"label": label, "group": label, "fold": 1, "x": rng.normal(size=24), "y": rng.normal(size=24)}
    return pd.DataFrame(columns)


@pytest.fixture
def filters(patches, rng):
    """Maps of two filters, and how active they are by label."""
    along = {"label": ("patch", patches.label.astype(str)), "clip": ("patch", np.arange(12))}
    cells = {"time": patches.time[4::8], "frequency": patches.frequency[4::8], "filter": [0, 1]}
    coords = {"patch": patches.table.index, **along, **cells}
    index = pd.MultiIndex.from_product([range(2), ODD], names=["filter", "label"])
    table = pd.DataFrame({"mean": rng.uniform(size=6), "std": 0.1, "active": 1.0, "patches": 30}, index)
    values = rng.uniform(size=(12, 12, 8, 2)).astype(np.float32)
    return xr.DataArray(values, coords, ("patch", "time", "frequency", "filter")), table


def accuracies():
    shares = {f"{of}{end}": [0.5, 0.6, 0.7] for of in ("patches", "clips") for end in ("", "_low", "_high")}
    table = pd.DataFrame({"network": ODD, "split": ODD} | shares)
    layers = pd.DataFrame({"layer": ODD, "accuracy": 0.5, "low": 0.4, "high": 0.6})
    return table, layers


CASES = {
    "accuracy_bars": lambda g: plots.accuracy_bars(
        pd.DataFrame({"accuracy": [0.5] * 3, "low": 0.4, "high": 0.6, "right": 5, "n": 10}, ODD)
    ),
    "chosen_labels": lambda g: plots.chosen_labels(g("points"), ODD[:1], ODD[1:], names=ODD[:2]),
    "class_owners": lambda g: plots.class_owners(pd.Series([9, 8, 7], pd.Index(ODD, name="label"), name="neurons")),
    "compare_labels": lambda g: plots.compare_labels(g("patches")[:1], g("maps"), ODD[:2]),
    "confused_pairs": lambda g: plots.confused_pairs(confused_pairs(counts())),
    "confusion_chart": lambda g: plots.confusion_chart(counts(), groups=dict(zip(ODD, ODD, strict=True))),
    "consensus": lambda g: plots.consensus({"gradcam": g("maps"), "lime": g("maps")}, ODD[0]),
    "deletion_insertion": lambda g: plots.deletion_insertion(curves()),
    "evidence_bars": lambda g: plots.evidence_bars(
        scores(["all classes"], ["mass"]).rename(columns={"value": "ratio"}), measures=["mass"]
    ),
    "filter_grid": lambda g: plots.filter_grid(g("patches"), g("filters")[0], [0, 1]),
    "filter_label_matrix": lambda g: plots.filter_label_matrix(g("filters")[1]),
    "frequency_profile": lambda g: plots.frequency_profile(g("maps")),
    "label_average": lambda g: plots.label_average(g("maps"), ODD[0]),
    "label_counts": lambda g: plots.label_counts(pd.Series([3, 2, 1], ODD, name="clips")),
    "label_difference": lambda g: plots.label_difference(g("maps"), ODD[:2]),
    "layers_against_chance": lambda g: plots.layers_against_chance(
        pd.DataFrame({"neurons": 8, "share": 0.5, "chance": 0.3, "low": 0.2, "high": 0.4}, ODD)
    ),
    "map_grid": lambda g: plots.map_grid(g("patches")[:3], g("maps"), predictions=g("predictions")),
    "network_comparison": lambda g: plots.network_comparison(accuracies()[0]),
    "neuron_class_matrix": lambda g: plots.neuron_class_matrix(
        neurons.neuron_class_matrix(g("features")), groups=dict(zip(ODD, ODD, strict=True))
    ),
    "neuron_classes": lambda g: plots.neuron_classes(neurons.neuron_class_matrix(g("features"), percentile=50), 0),
    "paired_layers": lambda g: plots.paired_layers(pd.DataFrame([[0.2, 0.3]] * 3, ODD, ODD[1:])),
    "patch_grid": lambda g: plots.patch_grid(g("patches")[:3], predictions=g("predictions")),
    "probe_by_layer": lambda g: plots.probe_by_layer(accuracies()[1].assign(network=ODD)),
    "projection": lambda g: plots.projection(g("points"), by="label"),
    "projection_grid": lambda g: plots.projection_grid(dict.fromkeys(ODD, g("points")), by="label"),
    "projections_by_group": lambda g: plots.projections_by_group(g("points")),
    "randomization_curves": lambda g: plots.randomization_curves(
        pd.DataFrame({"method": ODD, "layers": 1, "layer": "head", "rank_correlation": 0.5})
    ),
    "recall_bars": lambda g: plots.recall_bars(pd.Series(0.5, ODD), groups=dict(zip(ODD, ODD, strict=True))),
    "scores_over_time": lambda g: plots.scores_over_time(g("predictions")),
    "selective_neurons": lambda g: plots.selective_neurons(neurons.neuron_class_matrix(g("features")), over=0.01),
    "selectivity_by_layer": lambda g: plots.selectivity_by_layer(
        dict.fromkeys(ODD, neurons.selectivity(neurons.neuron_class_matrix(g("features"))))
    ),
    "side_by_side": lambda g: plots.side_by_side(g("points"), g("points"), by="label", titles=ODD[:2]),
    "spectrogram": lambda g: plots.spectrogram(g("patches").data[0], title=ODD[0]),
    "time_profile": lambda g: plots.time_profile(g("maps")),
    "trust_chart": lambda g: plots.trust_chart(scores(["stability", "deletion"])),
}


def curves():
    rows = [
        (name, curve, 0, share, 0.5)
        for name in (*ODD, "random")
        for curve in ("deletion", "insertion")
        for share in (0, 1)
    ]
    return pd.DataFrame(rows, columns=["method", "curve", "patch", "share", "score"])


def scores(*levels):
    names = ["method", *(["label"] if len(levels) > 1 else []), "measure"]
    index = pd.MultiIndex.from_product([ODD, *levels], names=names)
    return pd.DataFrame({"value": 0.5, "low": 0.4, "high": 0.6, "better": "higher"}, index)


def counts():
    return pd.DataFrame([[6, 2, 0], [0, 4, 0], [1, 0, 7]], ODD, ODD)


def plain(text):
    return "".join(text.replace("\u200b", "").split())


@pytest.mark.parametrize("name", CASES)
def test_odd_names_are_shown_as_they_are(name, request):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", DeprecationWarning)  # of matplotlib's own, by its version
        CASES[name](request.getfixturevalue)
        figure = plt.gcf()
        figure.canvas.draw()
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text()]
    shown = {plain(text.get_text()) for text in texts}
    for odd in ODD if name not in ("consensus", "label_average", "spectrogram") else ODD[:1]:
        if name in ("compare_labels", "label_difference") and odd == ODD[2]:
            continue
        assert any(plain(odd) in text for text in shown), (odd, shown)
    assert not [text.get_text() for text in texts if text._preprocess_math(text.get_text())[1]]  # read as mathematics


def test_every_figure_that_shows_names_is_tried():
    assert {*CASES} | NO_NAMES == {name for name in plots.__all__ if callable(getattr(plots, name))}
