"""Bars and curves: what they show is what the tables hold."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from audiointerp import plots
from audiointerp.errors import PatchShapeError
from audiointerp.plots.charts import MATHWORKS_ACCURACY


def test_label_counts_reads_from_the_top():
    ax = plots.label_counts(pd.Series([40, 38], ["dog", "rooster"], name="clips"))
    assert [bar.get_width() for bar in ax.patches] == [40, 38]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["dog", "rooster"]
    top, below = ax.transData.transform([(0, place) for place in ax.get_yticks()])[:, 1]
    assert top > below and ax.get_xlabel() == "Number of clips"


def test_label_counts_of_several_columns_has_a_legend():
    ax = plots.label_counts(pd.DataFrame({"clips": [40, 38], "sources": [12, 9]}, ["dog", "rooster"]))
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["clips", "sources"]
    bars = [bar for group in ax.containers for bar in group]
    edges = sorted((bar.get_y(), bar.get_y() + bar.get_height()) for bar in bars)
    assert len(edges) == 4 and all(a[1] <= b[0] for a, b in pairwise(edges))
    with pytest.raises(ValueError, match="no rows"):
        plots.label_counts(pd.Series([], dtype=int))


def test_confused_pairs_bars():
    pairs = pd.DataFrame(
        {"true": ["dog", "rain"], "predicted": ["rooster", "dog"], "count": [3, 1], "share": [0.375, 0.125]}
    )
    ax = plots.confused_pairs(pairs)
    assert [bar.get_width() for bar in ax.patches] == [3, 1]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["dog taken for rooster", "rain taken for dog"]
    assert [t.get_text() for t in ax.texts] == ["3 (38%)", "1 (12%)"]
    assert len(plots.confused_pairs(pairs, most=1).patches) == 1
    assert plots.confused_pairs(pairs.iloc[:0]).texts[0].get_text() == "nothing was confused"
    with pytest.raises(ValueError, match="no column share"):
        plots.confused_pairs(pairs.drop(columns="share"))


def test_accuracy_bars_intervals_and_reference():
    table = pd.DataFrame({"YAMNet": {"accuracy": 0.9, "low": 0.8, "high": 0.96, "right": 72, "n": 80}}).T
    ax = plots.accuracy_bars(table, reference=MATHWORKS_ACCURACY)
    assert ax.patches[0].get_width() == pytest.approx(90)
    whole = [segment for line in ax.collections for segment in line.get_segments()]
    assert whole[0][:, 0] == pytest.approx([80, 96])
    assert [line.get_xdata() for line in ax.lines if line.get_linestyle() == "--"] == [pytest.approx([92.5, 92.5])]
    assert [t.get_text() for t in ax.texts] == ["90.0%", "MathWorks' example: 92.5%"]
    assert ax.get_yticklabels()[0].get_text() == "YAMNet (n = 80)" and "%" in ax.get_xlabel()
    assert len(plots.accuracy_bars(table).texts) == 1
    with pytest.raises(ValueError, match="expected shares"):
        plots.accuracy_bars(table * 100)


def test_scores_stand_at_the_middle_of_their_patches(make_patches, make_predictions):
    table = make_predictions(make_patches(["crackling_fire"] * 3), ["dog", "dog", "chainsaw"], [0.9, 0.5, 0.6])
    above, below = plots.scores_over_time(table, log_mel=np.zeros((300, 64)), most=2)
    assert [line.get_label() for line in below.lines] == ["dog", "chainsaw", "crackling_fire (true)"]
    assert below.lines[0].get_xdata() == pytest.approx([0.48, 0.72, 0.96])
    assert below.lines[0].get_ydata() == pytest.approx([0.9, 0.5, 0.2])
    below.figure.canvas.draw()
    assert above.get_xlim() == below.get_xlim() == pytest.approx((0.0075, 3.0075))
    assert above.get_window_extent().x0 == pytest.approx(below.get_window_extent().x0)
    assert above.get_window_extent().x1 == pytest.approx(below.get_window_extent().x1)
    assert plots.scores_over_time(table)[0].get_xlim() == pytest.approx((0, 0.48 + 0.96))


def test_scores_of_several_clips_want_a_name(make_patches, make_predictions):
    table = make_predictions(make_patches(["dog"] * 3), "dog")
    table["clip"] = [1, 2, 2]
    with pytest.raises(ValueError, match=r"2 clips \(1, 2\): name one"):
        plots.scores_over_time(table)
    assert len(plots.scores_over_time(table, clip=2)[0].lines[0].get_xdata()) == 2
    with pytest.raises(ValueError, match="no rows"):
        plots.scores_over_time(table, clip=3)
    with pytest.raises(PatchShapeError, match="expected"):
        plots.scores_over_time(table, clip=2, log_mel=np.zeros(5))


def test_importing_plots_loads_no_network_library():
    code = "import sys, audiointerp.plots; print({'tensorflow', 'keras', 'seaborn'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


ROWS = [("plain CNN", 0.62), ("CAM CNN", 0.78), ("YAMNet, transfer", 0.85)]


@pytest.fixture
def table():
    rows = []
    for split, more in (("by track", 0), ("patches at random", 0.1)):
        for network, share in ROWS:
            value = share + more
            row = {"network": network, "split": split}
            for of in ("patches", "clips"):
                row |= {of: value, f"{of}_low": value - 0.08, f"{of}_high": min(1, value + 0.06)}
            rows.append(row)
    return pd.DataFrame(rows)


def test_every_row_stands_at_its_place(table):
    axes = plots.network_comparison(table, chance=0.1)
    assert [tick.get_text() for tick in axes[0].get_yticklabels()] == [name for name, _ in ROWS]
    for ax in axes:
        assert [text.get_text() for text in ax.texts[:6]] == ["62", "78", "85", "72", "88", "95"]
        first = ax.containers[0][0]
        assert first.get_xdata().tolist() == pytest.approx([62, 78, 85])
        assert [round(y) for y in first.get_ydata()] == [0, 1, 2]
        assert ax.get_ylim()[0] > ax.get_ylim()[1]


def test_names_of_the_splits_stand_in_a_legend(table):
    axes = plots.network_comparison(table)
    assert [text.get_text() for text in axes[0].figure.legends[0].get_texts()] == ["by track", "patches at random"]
    axes = plots.network_comparison(table[table["split"] == "by track"])
    assert not axes[0].figure.legends


def test_a_split_may_lack_a_network(table):
    axes = plots.network_comparison(table.drop(index=5))
    assert len(axes[1].containers[1][0].get_xdata()) == 2


def test_other_tables_are_refused(table):
    with pytest.raises(ValueError, match="compare_networks"):
        plots.network_comparison(table.drop(columns="clips_low"))


@pytest.mark.parametrize("columns", [7, 20])
def test_label_counts_of_many_columns(columns):
    """There are six colours: they go round."""
    values = np.arange(1, 2 * columns + 1).reshape(2, columns)
    ax = plots.label_counts(pd.DataFrame(values, ["dog", "rooster"], [f"fold {n}" for n in range(columns)]))
    assert len(ax.containers) == columns
    assert [[bar.get_width() for bar in bars] for bars in ax.containers] == values.T.tolist()
    assert len(ax.get_legend().get_texts()) == columns


@pytest.mark.parametrize("splits", [7, 20])
def test_many_ways_of_dividing_can_be_told_apart(table, splits):
    many = pd.concat([table[:3].assign(split=f"way {number}") for number in range(splits)], ignore_index=True)
    axes = plots.network_comparison(many)
    points = [container[0] for container in axes[0].containers]
    assert len({(each.get_color(), each.get_marker()) for each in points}) == splits
    assert len(axes[0].figure.legends[0].get_texts()) == splits
