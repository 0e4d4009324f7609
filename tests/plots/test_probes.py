"""Charts of probes: what they show is what the tables hold, and nothing overlaps."""

from itertools import combinations, pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from audiointerp.errors import UnknownLabelError
from audiointerp.plots import probes

GRID = pd.DataFrame(
    [[0.50, 0.60], [0.73, 0.70], [0.66, 0.68]], pd.Index([1e-3, 0.1, 10.0], name="C"), pd.Index([1, 2], name="fold")
)


def line(ax, label):
    """The one line with this label in the legend."""
    (found,) = [line for line in ax.lines if line.get_label() == label]
    return found


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def bars(ax):
    """Ends of the vertical error bars, rows (x, low, high), from left to right."""
    segments = [s for c in ax.collections for s in c.get_segments() if len(s) == 2 and s[0, 0] == s[1, 0]]
    return np.array(sorted([s[0, 0], *sorted(s[:, 1])] for s in segments))


def by_layer(*networks):
    """A table as `probe_by_layer` takes it, of networks given as (name, layers, accuracies, folds)."""
    rows = []
    for name, layers, accuracies, folds in networks:
        for layer, share in zip(layers, accuracies, strict=True):
            ends = {"low": max(0, share - 0.1), "high": min(1, share + 0.05)}
            spread = None if folds is None else [share - 0.02, share, share + 0.02]
            rows.append({"network": name, "layer": layer, "accuracy": share, **ends, "folds": spread})
    return pd.DataFrame(rows)


SOUNDNET = ("SoundNet", ["conv1", "conv2", "conv3"], [0.2, 0.7, 0.6], True)
FIVE = ["conv1", "fc1", "fc2", "embedding", "head"]
VGGISH = ("VGGish, fine-tuned (fold 5 alone)", FIVE, np.linspace(0.3, 0.8, 5), None)


def test_probe_grid_shows_folds_means_and_the_best():
    ax = probes.probe_grid(GRID.iloc[[2, 0, 1]], title="SoundNet")
    assert (ax.get_xscale(), ax.get_title()) == ("log", "SoundNet")
    assert list(line(ax, "mean").get_xdata()) == [1e-3, 0.1, 10]
    assert line(ax, "mean").get_ydata() == pytest.approx([55, 71.5, 67])
    dots = sorted(zip(line(ax, "one fold").get_xdata(), line(ax, "one fold").get_ydata(), strict=True))
    assert np.array(dots) == pytest.approx(np.array([(1e-3, 50), (1e-3, 60), (0.1, 70), (0.1, 73), (10, 66), (10, 68)]))
    best = line(ax, "best mean: C = 0.1")
    assert (*best.get_xdata(), *best.get_ydata()) == (0.1, 71.5)
    assert [(t.get_text(), t.get_weight()) for t in ax.texts] == [
        ("55.00", "normal"), ("71.50", "bold"), ("67.00", "normal"),
    ]  # fmt: skip
    assert [t.get_text() for t in ax.get_xticklabels()] == ["0.001", "0.1", "10"]
    assert legend(ax) == ["one fold", "mean", "best mean: C = 0.1"]


def test_probe_grid_beside_published_values():
    published = pd.Series([0.68, 0.56, np.nan], [10, 0.01, 0.1])
    ax = probes.probe_grid(GRID, published=published)
    squares = line(ax, "published")
    assert squares.get_markerfacecolor() == "none" and squares.get_marker() == "s"
    assert list(squares.get_xdata()) == [0.01, 10] and squares.get_ydata() == pytest.approx([56, 68])
    assert legend(ax)[-1] == "published"
    ax.figure.canvas.draw()
    value = next(t for t in ax.texts if t.get_text() == "67.00").get_window_extent()
    assert value.y0 > ax.transData.transform((10, 68))[1]  # above the square, too


def test_probe_grid_refuses_other_tables():
    for bad in (GRID * 100, -GRID, GRID.where(GRID > 0.6)):
        with pytest.raises(ValueError, match="expected shares, not percent"):
            probes.probe_grid(bad)
    with pytest.raises(ValueError, match="expected shares, not percent"):
        probes.probe_grid(GRID, published=pd.Series([71.95], [0.1]))
    with pytest.raises(ValueError, match="holds no values"):
        probes.probe_grid(GRID.iloc[:0])
    with pytest.raises(ValueError, match="expected numbers above 0"):
        probes.probe_grid(GRID.set_axis([0, 0.1, 1]))


def test_probe_by_layer_stands_at_the_relative_depth():
    ax = probes.probe_by_layer(by_layer(SOUNDNET, VGGISH), chance=0.1, title="Probes")
    first, second = (drawn for drawn in ax.lines if drawn.get_linestyle() == "-" and drawn.get_marker() in "os")
    assert first.get_xdata() == pytest.approx([0, 0.5, 1]) and first.get_ydata() == pytest.approx([20, 70, 60])
    start = second.get_xdata()[0]
    assert start > 1 and second.get_xdata() - start == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    assert second.get_ydata() == pytest.approx([30, 42.5, 55, 67.5, 80])
    assert first.get_color() != second.get_color()
    assert ax.get_xticks() == pytest.approx([*first.get_xdata(), *second.get_xdata()])
    assert [t.get_text() for t in ax.get_xticklabels()] == [*SOUNDNET[1], *VGGISH[1]]
    points = [*zip(*first.get_data(), strict=True), *zip(*second.get_data(), strict=True)]
    expected = [(x, y - 10, min(100, y + 5)) for x, y in points]
    assert bars(ax) == pytest.approx(np.array(expected))
    chance = line(ax, "chance: 10.0%")
    assert chance.get_linestyle() == "--" and list(chance.get_ydata()) == pytest.approx([10, 10])
    assert {"SoundNet", VGGISH[0], "70.0", "80.0"} == {t.get_text().replace("\n", " ") for t in ax.texts}


def test_probe_by_layer_shows_folds_where_there_are_any():
    for order in ((SOUNDNET, VGGISH), (VGGISH, SOUNDNET)):
        ax = probes.probe_by_layer(by_layer(*order))
        dots = line(ax, "one fold")
        assert sorted(dots.get_ydata()) == pytest.approx([18, 20, 22, 58, 60, 62, 68, 70, 72])
        assert legend(ax).count("one fold") == 1
    assert "one fold" not in legend(probes.probe_by_layer(by_layer(VGGISH)))
    assert "one fold" not in legend(probes.probe_by_layer(by_layer(SOUNDNET).drop(columns="folds")))


def test_probe_by_layer_keeps_texts_apart():
    deep = ("YAMNet", [f"layer{n}/pointwise" for n in range(15)], np.linspace(0.1, 0.99, 15), True)
    ax = probes.probe_by_layer(by_layer(SOUNDNET, VGGISH, deep), title="Linear probes", chance=0.02)
    ax.figure.canvas.draw()
    boxes = [t.get_window_extent() for t in (*ax.texts, ax.title, *ax.get_xticklabels(), *ax.get_legend().get_texts())]
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
    assert all(ax.figure.bbox.x0 <= b.x0 and b.x1 <= ax.figure.bbox.x1 for b in boxes)
    assert all(b.y1 <= ax.figure.bbox.y1 + 1 for b in boxes)


def test_probe_by_layer_of_an_indexed_table_and_of_unknown_intervals():
    table = by_layer(SOUNDNET, ("one layer", ["conv1"], [0.0], None))
    table.loc[0, ["low", "high"]] = np.nan
    assert "" in [t.get_text() for t in probes.probe_by_layer(table[:3].drop(columns="network")).texts]
    ax = probes.probe_by_layer(table.set_index(["network", "layer"]))
    assert bars(ax)[:, 0] == pytest.approx([0.5, 1, ax.get_xticks()[-1]])
    assert ax.get_xticks()[-1] - ax.get_xticks()[0] == pytest.approx(1 + probes.BREAK + 0.5)


def test_probe_by_layer_refuses_other_tables():
    table = by_layer(SOUNDNET)
    with pytest.raises(ValueError, match="no column high"):
        probes.probe_by_layer(table.drop(columns="high"))
    with pytest.raises(ValueError, match="no rows"):
        probes.probe_by_layer(table.iloc[:0])
    with pytest.raises(ValueError, match="layer conv2 of SoundNet is there twice"):
        probes.probe_by_layer(table.iloc[[0, 1, 1, 2]])
    with pytest.raises(ValueError, match="expected shares"):
        probes.probe_by_layer(table.assign(accuracy=[20, 70, 60]))
    with pytest.raises(ValueError, match="outside their intervals"):
        probes.probe_by_layer(table.assign(low=table["high"]))


PAIRED = pd.DataFrame({"student": [0.2, 0.6], "untrained twin": [0.19, 0.3]}, ["conv1", "conv2"])


def test_paired_layers_stand_beside_each_other():
    ax = probes.paired_layers(PAIRED, low=PAIRED - 0.05, high=PAIRED + 0.1, chance=0.1)
    assert [bar.get_height() for bar in ax.patches] == pytest.approx([20, 60, 19, 30])
    edges = sorted((bar.get_x(), bar.get_x() + bar.get_width()) for bar in ax.patches)
    assert all(a[1] < b[0] for a, b in pairwise(edges))
    assert [round((a[0] + b[1]) / 2, 6) for a, b in (edges[:2], edges[2:])] == [0, 1] == list(ax.get_xticks())
    assert bars(ax)[:, 1:] == pytest.approx(np.array([[15, 30], [14, 29], [55, 70], [25, 40]]))
    assert [t.get_text() for t in ax.texts] == ["20.0", "60.0", "19.0", "30.0"]
    assert {"student", "untrained twin", "chance: 10.0%"} == set(legend(ax))
    looks = {(to_hex(bar.get_facecolor()), bar.get_hatch()) for bar in ax.patches}
    assert len(looks) == 2 and len({hatch for _, hatch in looks}) == 2


def test_paired_layers_without_intervals_and_of_bad_tables():
    ax = probes.paired_layers(PAIRED)
    assert all(low == high for _, low, high in bars(ax)) and ax.get_ylim()[0] == 0
    assert probes.paired_layers(PAIRED * 0, chance=0.1).get_ylim()[1] > 10
    with pytest.raises(ValueError, match="expected shares"):
        probes.paired_layers(PAIRED * 100)
    with pytest.raises(ValueError, match="outside their intervals"):
        probes.paired_layers(PAIRED, low=PAIRED, high=PAIRED - 0.01)


def classes(n):
    return [f"class_{number:02d}" for number in range(n)]


def drawn(axes):
    """Name and recall of each bar, as they are read: down the first column, then the next."""
    found = []
    for ax in axes:
        names = [t.get_text() for t in ax.get_yticklabels()]
        heights = {round(bar.get_y() + bar.get_height() / 2): bar.get_width() for bar in ax.patches}
        assert len(names) == len(heights) and ax.yaxis_inverted()
        found += [(name, heights[place]) for place, name in enumerate(names)]
    return found


@pytest.mark.parametrize(("n", "columns"), [(1, 1), (25, 1), (26, 2), (49, 2), (50, 2)])
def test_recall_bars_are_sorted(rng, n, columns):
    recall = pd.Series(rng.random(n), classes(n))
    axes = probes.recall_bars(recall)
    assert len(axes) == columns
    expected = sorted(recall.items(), key=lambda pair: -pair[1])
    assert [name for name, _ in drawn(axes)] == [name for name, _ in expected]
    assert [share for _, share in drawn(axes)] == pytest.approx([100 * share for _, share in expected])
    assert [t.get_text() for ax in axes for t in ax.texts] == [f"{100 * share:.0f}" for _, share in expected]


def test_recall_bars_mark_what_was_published():
    recall = pd.Series({"wind": 0.4, "sea_waves": 1.0, "dog": 0.8})
    (ax,) = probes.recall_bars(recall, published_hard=["wind"], published_easy=("sea_waves",), title="SoundNet")
    places = {t.get_text(): t.get_position()[1] for t in ax.texts}
    assert places == {"100": 0, "80": 1, "40": 2, "▲ easy": 0, "▼ hard": 2}
    assert ax.figure.get_suptitle() == "SoundNet\n▲ easy, ▼ hard: as published"
    ax.figure.canvas.draw()
    boxes = [t.get_window_extent() for t in ax.texts]
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2)) and max(b.x1 for b in boxes) < ax.bbox.x1
    assert probes.recall_bars(recall, title="SoundNet")[0].figure.get_suptitle() == "SoundNet"


def test_recall_bars_tell_groups_apart():
    groups = {"rain": "water", "wind": "water", "dog": "animals", "saw": "tools", "key": "unused"}
    axes = probes.recall_bars(pd.Series({"wind": 0.4, "dog": 0.8, "rain": 0.6, "saw": 0.1}), groups=groups)
    looks = [(to_hex(bar.get_facecolor()), bar.get_hatch()) for bar in axes[0].patches]
    look = dict(zip(["dog", "rain", "wind", "saw"], looks, strict=True))
    assert look["rain"] == look["wind"] and len(set(look.values())) == 3 == len({hatch for _, hatch in look.values()})
    (shown,) = axes[0].figure.legends
    assert [t.get_text() for t in shown.get_texts()] == ["water", "animals", "tools"]
    keys = [(to_hex(patch.get_facecolor()), patch.get_hatch()) for patch in shown.get_patches()]
    assert keys == [look["rain"], look["dog"], look["saw"]]


@pytest.mark.parametrize("n", [7, 20])
def test_colours_markers_and_hatches_go_round(n):
    names = classes(n)
    (ax,) = probes.recall_bars(pd.Series(0.5, names), groups=dict(zip(names, names, strict=True)))
    assert len({(to_hex(bar.get_facecolor()), bar.get_hatch()) for bar in ax.patches}) == n
    ax = probes.paired_layers(pd.DataFrame([[0.5] * n], ["conv1"], names))
    assert len({(to_hex(bar.get_facecolor()), bar.get_hatch()) for bar in ax.patches}) == n
    ax = probes.probe_by_layer(by_layer(*((name, ["conv1", "conv2"], [0.2, 0.7], None) for name in names)))
    shown = [drawn for drawn in ax.lines if drawn.get_linestyle() == "-" and drawn.get_marker() in "osD^v"]
    assert len({(drawn.get_color(), drawn.get_marker()) for drawn in shown}) == n


def test_recall_bars_refuse_what_they_cannot_show():
    recall = pd.Series(0.5, classes(8))
    with pytest.raises(UnknownLabelError, match="'wind' is not among those of the recalls"):
        probes.recall_bars(recall, published_easy=["wind"])
    with pytest.raises(UnknownLabelError, match="'class_01' is not among those of the groups"):
        probes.recall_bars(recall, groups={"class_00": "a"})
    with pytest.raises(ValueError, match="expected shares"):
        probes.recall_bars(recall * 100)
    with pytest.raises(ValueError, match="holds no values"):
        probes.recall_bars(recall.iloc[:0])


def test_probe_plots_draw_into_given_axes():
    tables = {probes.probe_grid: GRID, probes.probe_by_layer: by_layer(SOUNDNET), probes.paired_layers: PAIRED}
    for draw, table in tables.items():
        _, ax = plt.subplots()
        assert draw(table, ax=ax) is ax and len(plt.get_fignums()) == 1
        plt.close("all")
