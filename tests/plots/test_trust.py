"""Figures of maps' scores: what they show is what the tables hold."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from audiointerp import plots
from audiointerp.errors import UnknownLabelError

METHODS = ["gradcam", "lime", "occlusion (fill=silence)"]


@pytest.fixture
def summary():
    index = pd.MultiIndex.from_product(
        [[*METHODS, "oracle", "random"], ["all classes", "dog"], ["hit", "mass", "top"]],
        names=["method", "label", "measure"],
    )
    ratio = np.linspace(0.5, 8, len(index))
    return pd.DataFrame({"ratio": ratio, "low": ratio - 0.2, "high": ratio + 0.4}, index)


@pytest.fixture
def curves():
    rows = []
    for number, method in enumerate([*METHODS, "random"]):
        for curve, sign in (("deletion", -1), ("insertion", 1)):
            for patch in (3, 7):
                for share in (0, 0.25, 0.5, 1):
                    score = 0.5 + sign * share * 0.1 * (number + patch)
                    rows.append({"method": method, "curve": curve, "patch": patch, "share": share, "score": score})
    return pd.DataFrame(rows)


def texts(ax):
    return [text.get_text() for text in ax.texts if text.get_text()]


def test_bars_stand_where_the_summary_says(summary, check_inside):
    ax = plots.evidence_bars(summary, measures=["mass", "top"])
    names = ["Grad-CAM", "LIME", "Occlusion (fill=silence)", "random", "oracle"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == names
    order = [*METHODS, "random", "oracle"]
    for bars, measure in zip(ax.containers, ("mass", "top"), strict=True):
        expected = summary.xs(("all classes", measure), level=("label", "measure"))["ratio"].reindex(order)
        assert bars[0].get_xdata() == pytest.approx(expected.to_numpy())
        (segments,) = (part.get_segments() for part in bars[2])
        assert [s[:, 0].tolist() for s in segments] == [pytest.approx([x - 0.2, x + 0.4]) for x in expected]
    assert sorted(texts(ax)) == sorted(f"{x:.1f}" for bars in ax.containers for x in bars[0].get_xdata())
    assert [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == ":"] == [1]
    assert ax.get_xlim()[1] > summary["high"].max()
    check_inside(ax.figure)
    assert plots.evidence_bars(summary, label="dog").get_title().endswith("dog")


def test_bars_of_what_is_not_there(summary):
    with pytest.raises(UnknownLabelError, match="'cat' is not among those of the summary"):
        plots.evidence_bars(summary, label="cat")
    for measures in ([], ["mass", "loudness"]):
        with pytest.raises(ValueError, match="expected some of hit, mass, top"):
            plots.evidence_bars(summary, measures=measures)
    with pytest.raises(ValueError, match="has no column low, high"):
        plots.evidence_bars(summary[["ratio"]])


def test_curves_are_means_over_patches(curves, check_inside):
    axes = plots.deletion_insertion(curves, title="YAMNet")
    for ax, sign in zip(axes, (-1, 1), strict=True):
        assert len(ax.lines) == 4
        for number, line in enumerate(ax.lines):
            assert line.get_xdata() == pytest.approx([0, 25, 50, 100])
            expected = [0.5 + sign * share * 0.1 * (number + 5) for share in (0, 0.25, 0.5, 1)]
            assert line.get_ydata() == pytest.approx(expected)
    (legend,) = axes[0].figure.legends
    names = ["Grad-CAM", "LIME", "Occlusion (fill=silence)", "random order"]
    assert [text.get_text() for text in legend.get_texts()] == names
    check_inside(axes[0].figure)
    with pytest.raises(ValueError, match=r"faithfulness_curves\(\)"):
        plots.deletion_insertion(curves.drop(columns="share"))


def test_randomization_begins_at_one(check_inside):
    rows = [
        {"method": method, "layers": layers, "layer": layer, "rank_correlation": value}
        for method, drop in (("gradcam", 0.3), ("lime", 0.1))
        for layers, layer in ((1, "head"), (4, "conv2"), (7, "conv1"))
        for value in (1 - drop * layers / 2, 1 - drop * layers / 2 + 0.2)
    ]
    ax = plots.randomization_curves(pd.DataFrame(rows))
    first, second = ax.lines[:2]
    assert first.get_ydata() == pytest.approx([1, 0.95, 0.5, 0.05])
    assert second.get_ydata() == pytest.approx([1, 1.05, 0.9, 0.75])
    assert [tick.get_text().split("\n")[0] for tick in ax.get_xticklabels()] == ["as trained", "head", "conv2", "conv1"]
    check_inside(ax.figure)


def test_chart_has_a_panel_a_measure_and_marks_the_best(check_inside):
    values = {"evidence mass": [3, 1, 2], "randomization": [0.2, 0.1, np.nan], "insertion": [0.1, 0.2, 0.3],
              "agreement": [0.1, 0.2, 0.1], "stability": [0.9, 0.8, 0.7], "deletion": [0, 0.1, 0.05]}  # fmt: skip
    rows = [
        {"method": method, "measure": measure, "value": value, "low": value - 0.1, "high": value + 0.1,
         "better": "lower" if measure == "randomization" else "higher"}
        for measure, each in values.items() for method, value in zip(METHODS, each, strict=True)
    ]  # fmt: skip
    axes = plots.trust_chart(pd.DataFrame(rows).set_index(["method", "measure"]), title="YAMNet")
    assert [ax.get_title().split("\n")[0] for ax in axes] == list(values)
    best = []
    for ax, (measure, each) in zip(axes, values.items(), strict=True):
        assert [bars[0].get_xdata()[0] for bars in ax.containers] == pytest.approx(each, nan_ok=True)
        bold = [text.get_text() for text in ax.texts if text.get_weight() == "bold"]
        best.append(bold)
        dotted = [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == ":"]
        assert dotted == [1 if measure.startswith("evidence") else 0]
    assert best == [["3.00"], ["0.10"], ["0.30"], ["0.20"], ["0.90"], ["0.10"]]
    assert "not known" in texts(axes[1])
    check_inside(axes[0].figure)


def test_ratios_that_are_small_zero_or_not_known_stay_in_the_picture(summary):
    summary.loc[("gradcam", "all classes", "mass"), ["ratio", "low", "high"]] = [0.0, 0.0, 0.05]
    summary.loc[("lime", "all classes", "mass"), ["ratio", "low", "high"]] = [0.05, 0.02, 0.1]
    ax = plots.evidence_bars(summary, measures=["mass"])
    x = ax.containers[0][0].get_xdata()
    assert ax.get_xlim()[0] < x[0] < x[1] == 0.05 and texts(ax)[:2] == ["0.0", "0.1"]
    summary.loc[:, :] = np.nan
    ax = plots.evidence_bars(summary, measures=["mass"])
    ax.figure.canvas.draw()
    assert ax.get_xlim()[0] < 1 < ax.get_xlim()[1]


def test_curves_without_random_orders_and_low_correlations_are_drawn(curves):
    axes = plots.deletion_insertion(curves[curves["method"] == "lime"])
    assert [len(ax.lines) for ax in axes] == [1, 1]
    rows = {"method": "lime", "layers": [1, 2], "layer": ["head", "conv"], "rank_correlation": [-0.7, -0.9]}
    assert plots.randomization_curves(pd.DataFrame(rows)).get_ylim()[0] < -0.9


def test_all_that_are_equally_good_are_marked_and_nothing_in_common_is_best():
    index = pd.MultiIndex.from_product([METHODS, ["insertion", "randomization"]], names=["method", "measure"])
    table = pd.DataFrame({"value": [0.2, -0.4, 0.2, -0.03, 0.1, 0.3]}, index)
    table = table.assign(low=table["value"], high=table["value"], better=["higher", "lower"] * 3)
    first, second = plots.trust_chart(table)
    bold = [[text.get_text() for text in ax.texts if text.get_weight() == "bold"] for ax in (first, second)]
    assert bold == [["0.20", "0.20"], ["-0.03"]]


def test_titles_on_given_axes_are_plain_text(summary):
    figure, ax = plt.subplots()
    plots.evidence_bars(summary, title=r"$\frac{1$ a_b^c", ax=ax)
    figure.canvas.draw()
    assert not ax.title.get_parse_math()
