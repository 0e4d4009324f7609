"""Figures of neurons: what they show is what the tables hold, from none to many."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from audiointerp import plots
from audiointerp.datasets.esc import ESC50_GROUPS, ESC50_LABELS
from audiointerp.errors import UnknownLabelError
from audiointerp.layers import neurons
from audiointerp.plots.drawing import CELLS

ANIMALS = ESC50_LABELS[:10]


def layer(values, label, name="conv1"):
    label = np.asarray(label, dtype=object)
    coords = {"clip": np.arange(len(label)), "label": ("clip", label)}
    return xr.DataArray(np.asarray(values, dtype=np.float32), coords, ("clip", "neuron"), name)


@pytest.fixture
def make(rng):
    """Features of so many clips, classes and neurons; neuron 3 is dead, neuron 1 belongs to one class."""

    def make(clips=400, classes=10, count=16, name="conv1"):
        label = np.array(ESC50_LABELS, dtype=object)[np.arange(clips) % classes]
        values = rng.normal(size=(clips, count))
        values[label == label[4], 1] += 4
        values[:, 3] = 0
        return layer(values, label, name)

    return make


def table_of(features):
    return neurons.selectivity(neurons.neuron_class_matrix(features))


def counts_of(rows, labels=ANIMALS):
    matrix = np.zeros((len(rows), len(labels)), dtype=int)
    for row, counts in zip(matrix, rows, strict=True):
        row[: len(counts)] = counts
    return pd.DataFrame(matrix, pd.RangeIndex(len(rows), name="neuron"), pd.Index(labels, name="label"))


def texts(ax):
    return [t.get_text() for t in ax.texts]


def names(axis):
    return [t.get_text() for t in axis.get_ticklabels() if t.get_text()]


def check_apart(labels, axis, slack=1.5):
    """Names along an axis do not overlap."""
    boxes = sorted(
        ((box.x0, box.x1) if axis == "x" else (box.y0, box.y1))
        for box in (t.get_window_extent() for t in labels if t.get_text())
    )
    assert len(boxes) > 1 and all(a[1] < b[0] + slack for a, b in pairwise(boxes))


def test_activation_is_sorted_and_shaded_above_its_percentile(make):
    features = make()
    ax = plots.activation_curve(features, 1)
    values = features.values[:, 1]
    curve, limit = ax.lines
    assert list(curve.get_ydata()) == sorted(values, reverse=True) and curve.get_xdata()[0] == 1
    assert set(limit.get_ydata()) == {np.percentile(values, 95)}
    assert [t.get_text() for t in ax.get_legend().get_texts()] == [
        "on: 20 of 400 clips", "activation", f"percentile 95: {np.percentile(values, 95):.3g}",
    ]  # fmt: skip
    shaded = ax.collections[0].get_paths()[0].get_extents()
    assert shaded.x0 == 1 and shaded.x1 == 20 and shaded.y0 == pytest.approx(np.percentile(values, 95))
    assert ax.get_title() == "conv1, neuron 1"


def test_activation_of_other_axes_percentiles_and_dead_neurons(make):
    features = make()
    ax = plots.activation_curve(features.transpose("neuron", "clip"), 0, percentile=97.5, title="")
    assert ax.get_title() == "" and "percentile 97.5" in ax.get_legend().get_texts()[2].get_text()
    assert plots.activation_curve(features, 1, ax=ax) is ax
    assert plots.activation_curve(features, 3).get_legend().get_texts()[0].get_text() == "on: 0 of 400 clips"
    with pytest.raises(ValueError, match=r"neuron 16 is not in the layer. It has 16: 0, 1, 2, 3, 4, … \(16 in all\)"):
        plots.activation_curve(features, 16)
    named = features.assign_coords(neuron=np.arange(100, 116))
    assert list(plots.activation_curve(named, 101).lines[0].get_ydata()) == sorted(features.values[:, 1])[::-1]


def test_neuron_classes_bars():
    ax = plots.neuron_classes(counts_of([[1, 12, 0, 7]]), 0)
    assert [bar.get_width() for bar in ax.patches] == [12, 7, 1]
    assert names(ax.yaxis) == [ANIMALS[1], ANIMALS[3], ANIMALS[0]] and texts(ax) == ["12 (60%)", "7 (35%)", "1 (5%)"]
    assert ax.get_title() == "Neuron 0: on for 20 clips of 3 classes" and ax.get_xlabel() == "Number of clips (share)"
    top, below = ax.transData.transform([(0, 0), (0, 1)])[:, 1]
    assert top > below


def test_neuron_classes_from_none_to_fifty(check_inside):
    matrix = counts_of([range(1, 51), [0], [0, 1]], ESC50_LABELS)
    ax = plots.neuron_classes(matrix, 0)
    assert [bar.get_width() for bar in ax.patches] == list(range(50, 38, -1))
    assert ax.get_xlabel() == f"Number of clips (share); not shown: {sum(range(39)):,} clips of 38 classes"
    everything = plots.neuron_classes(matrix, 0, most=50)
    check_inside(everything.figure)
    check_apart(everything.get_yticklabels(), "y")
    dead = plots.neuron_classes(matrix, 1)
    assert texts(dead) == ["this neuron is on for no clip"] and not dead.patches and not dead.get_xlabel()
    assert plots.neuron_classes(matrix, 2).get_title() == "Neuron 2: on for 1 clip of 1 class"
    with pytest.raises(ValueError, match="neuron 3 is not in the layer"):
        plots.neuron_classes(matrix, 3)


def test_matrix_stands_in_blocks_of_classes():
    matrix = counts_of([[0, 6, 4], [9, 1, 0], [0, 0, 0], [0, 9, 1], [6, 3, 1], [0, 2, 18]], ["dog", "rain", "sea"])
    ax = plots.neuron_class_matrix(matrix, title="conv1")
    assert names(ax.yaxis) == ["1", "4", "3", "0", "5", "2"] and names(ax.xaxis) == ["dog", "rain", "sea"]
    cells = ax.collections[0].get_array()
    assert cells[:5].tolist() == [[90, 10, 0], [60, 30, 10], [0, 90, 10], [0, 60, 40], [0, 10, 90]]
    assert cells.mask[5].all() and not cells.mask[:5].any()
    assert ax.get_ylabel() == "6 neurons (1 dead: grey)" and ax.get_title() == "conv1"
    assert "Share of the clips" in ax.figure.axes[1].get_ylabel() and not ax.lines


def test_matrix_is_drawn_where_it_belongs(pixel):
    ax = plots.neuron_class_matrix(counts_of([[10, 0], [0, 10], [0, 0]], ["dog", "rain"]))
    dark, pale = (np.array(CELLS(shade)[:3]) for shade in (1.0, 0.0))
    for row, column in ((0, 0), (1, 1)):
        assert pixel(ax, column + 0.5, row + 0.5) == pytest.approx(dark, abs=0.05)
        assert pixel(ax, 1.5 - column, row + 0.5) == pytest.approx(pale, abs=0.05)
    assert pixel(ax, 0.8, 2.5) == pytest.approx([0.7] * 3, abs=0.05)


def test_matrix_puts_groups_together():
    matrix = counts_of([[5, 0, 1, 0], [0, 5, 0, 0]], ["axe", "dog", "saw", "cow"])
    groups = {"dog": "animals", "cow": "animals", "axe": "tools", "saw": "tools", "rain": "water"}
    ax = plots.neuron_class_matrix(matrix, groups=groups)
    assert names(ax.xaxis) == ["dog", "cow", "axe", "saw"] and names(ax.yaxis) == ["1", "0"]
    assert {t.get_text(): t.xy[0] for t in ax.texts} == {"animals": 1, "tools": 3}
    assert [line.get_xdata()[0] for line in ax.lines if line.get_linewidth()] == [2]
    with pytest.raises(UnknownLabelError, match="'axe' is not among those of the groups"):
        plots.neuron_class_matrix(matrix, groups={"dog": "animals"})


def test_neurons_of_few_clips_do_not_pale_the_others():
    ax = plots.neuron_class_matrix(counts_of([[10, 10, 20], [1, 0, 0]]))
    assert ax.collections[0].get_clim() == (0, 50) and ax.collections[0].colorbar.extend == "max"
    ax = plots.neuron_class_matrix(counts_of([[2, 2], [1, 0]]))  # where all are such
    assert ax.collections[0].get_clim() == (0, 100) and ax.collections[0].colorbar.extend == "neither"


@pytest.mark.parametrize("count, classes, grouped", [(16, 10, False), (16, 50, True), (64, 50, True), (1024, 50, True)])
def test_matrix_of_any_size_is_readable(make, count, classes, grouped, check_inside):
    matrix = neurons.neuron_class_matrix(make(500, classes, count))
    ax = plots.neuron_class_matrix(matrix, groups=ESC50_GROUPS if grouped else None, title="a layer")
    check_inside(ax.figure)
    check_apart(ax.get_xticklabels(), "x")
    if count <= 64:
        check_apart(ax.get_yticklabels(), "y")
    else:
        assert not names(ax.yaxis)
    if grouped:
        title, above = ax.title.get_window_extent(), [t.get_window_extent() for t in ax.texts]
        assert len(above) == 5 and all(box.y1 <= title.y0 for box in above)
        check_apart(ax.texts, "x")
    cells = ax.collections[0].get_array()
    assert cells.shape == (count, classes)
    live = np.asarray(cells[:-1])
    assert cells.mask[-1].all() and not cells.mask[:-1].any() and live.sum(axis=1) == pytest.approx(100)
    best = live.argmax(axis=1)
    assert (np.diff(best) >= 0).all() and len(set(best)) > 3
    assert all((np.diff(live[best == number].max(axis=1)) <= 0).all() for number in set(best))
    assert max(ax.figure.get_size_inches()) <= 11


def test_matrix_of_dead_neurons_alone():
    ax = plots.neuron_class_matrix(counts_of([[0], [0]]))
    assert ax.collections[0].get_array().mask.all() and ax.get_ylabel() == "2 neurons (2 dead: grey)"
    with pytest.raises(ValueError, match="0 neurons and 10 classes"):
        plots.neuron_class_matrix(counts_of([]))


def test_curve_and_the_band_of_chance(make):
    features = make()
    shuffled = neurons.shuffled_shares(features, shuffles=200)
    ax = plots.selectivity_curve(table_of(features), shuffled, title="conv1")
    chance, own = ax.lines
    assert list(own.get_ydata()) == sorted(100 * table_of(features)["share"].dropna(), reverse=True)
    assert list(own.get_xdata()) == list(range(1, 16)) and own.get_marker() == "o"  # 16 neurons, one dead
    assert chance.get_ydata() == pytest.approx(100 * shuffled.values.mean(axis=0, dtype=float))
    band = ax.collections[0].get_paths()[0].vertices
    low, high = 100 * np.quantile(shuffled, [0.025, 0.975], axis=0)
    for rank in (1, 8, 15):
        at = band[band[:, 0] == rank, 1]
        assert (at.min(), at.max()) == pytest.approx((low[rank - 1], high[rank - 1]))
    assert [t.get_text() for t in ax.get_legend().get_texts()] == [
        "labels shuffled: 95% of the shuffles", "labels shuffled: mean", "neurons of the layer",
    ]  # fmt: skip
    assert ax.get_ylim()[0] == 0 and "off the top" not in ax.get_xlabel()
    assert len(plots.selectivity_curve(table_of(features)).lines) == 1


def test_curve_says_which_neurons_are_above_the_axes():
    table = neurons.selectivity(counts_of([[10, 10, 20], [1, 0, 0], [2, 0, 0]]))
    ax = plots.selectivity_curve(table)
    assert ax.get_ylim() == pytest.approx((0, 57.5)) and ax.get_xlabel().endswith(
        "(2 on for fewer than 10 clips: off the top)"
    )


def test_curve_of_another_layer_or_of_none(make):
    features = make()
    with pytest.raises(ValueError, match=r"for 15 neurons.*shuffled_shares\(\) of the same layer"):
        plots.selectivity_curve(table_of(features), neurons.shuffled_shares(make(count=20), shuffles=3))
    with pytest.raises(ValueError, match=r"no column share.*selectivity\(\)"):
        plots.selectivity_curve(table_of(features).drop(columns="share"))
    dead = layer(np.zeros((40, 2)), ["dog", "rain"] * 20)
    ax = plots.selectivity_curve(table_of(dead), neurons.shuffled_shares(dead, shuffles=3))
    assert len(ax.lines[-1].get_xdata()) == 0 and ax.get_ylim()[1] > 0
    ax.figure.canvas.draw()


@pytest.mark.parametrize("count", [1, 2, 5, 7])
def test_layers_together_and_one_by_one(make, count, check_inside):
    features = {f"conv{n}": make(count=8 * 2**n, name=f"conv{n}") for n in range(count)}
    tables = {name: table_of(part) for name, part in features.items()}
    shuffled = {name: neurons.shuffled_shares(part, shuffles=20) for name, part in features.items()}
    first, *single = plots.selectivity_by_layer(tables, shuffled, title="a network")
    assert texts(first) == list(tables) and first.get_title() == "a network" and len(single) == count
    assert len(first.lines) == count and not first.collections  # as published: without chance
    assert len({line.get_color() for line in first.lines}) == count
    for ax, line, (name, table) in zip(single, first.lines, tables.items(), strict=True):
        live = table["share"].dropna()
        assert ax.get_title() == f"{name}: {len(live)} neurons" and len(ax.lines) == 2 and len(ax.collections) == 1
        assert list(ax.lines[1].get_ydata()) == list(line.get_ydata()) == sorted(100 * live, reverse=True)
        assert ax.lines[1].get_color() == line.get_color() == first.texts[list(tables).index(name)].get_color()
        assert line.get_xdata() == pytest.approx(np.arange(1, len(live) + 1) / len(live))
        assert ax.get_xlim() == first.get_xlim() and ax.get_ylim() == first.get_ylim()
    check_inside(first.figure)
    if count > 1:
        check_apart(first.texts, "x")
    assert [t.get_text() for t in first.figure.legends[0].get_texts()] == [
        "labels shuffled: 95% of the shuffles", "labels shuffled: mean",
    ]  # fmt: skip


def test_layers_without_shuffles_are_one_panel(make):
    tables = {"conv1": table_of(make()), "dead": neurons.selectivity(counts_of([[0], [0]]))}
    (first,) = plots.selectivity_by_layer(tables)
    assert texts(first) == ["conv1", "dead"] and not first.figure.legends
    first.figure.canvas.draw()
    with pytest.raises(ValueError, match=r"layers: conv1, dead; shuffles: conv1\. Expected"):
        plots.selectivity_by_layer(tables, {"conv1": neurons.shuffled_shares(make(), shuffles=2)})
    with pytest.raises(ValueError, match="Expected one layer at least"):
        plots.selectivity_by_layer({})


def test_layers_against_chance(make, check_inside):
    features = {"conv1": make(), "conv2": make(count=1000)}
    table = neurons.compare_layers(features, shuffles=30)
    ax = plots.layers_against_chance(table, title="two layers")
    assert list(ax.lines[0].get_ydata()) == pytest.approx(list(100 * table["share"]))
    assert names(ax.xaxis) == ["conv1\n16 neurons", "conv2\n1,000 neurons"]
    assert texts(ax) == [f"{share:.1%}" for share in table["share"]]
    (bars,) = ax.containers
    ends = [segment[:, 1] for segment in bars.lines[2][0].get_segments()]
    assert np.array(ends) == pytest.approx(100 * table[["low", "high"]].to_numpy())
    assert ax.get_legend().get_texts()[0].get_text() == "neurons of the layer"
    assert ax.get_ylim()[0] == 0 and ax.get_ylim()[1] > 100 * table[["share", "high"]].max(axis=None)
    check_inside(ax.figure)
    with pytest.raises(ValueError, match=r"no column chance.*compare_layers\(\)"):
        plots.layers_against_chance(table.drop(columns="chance"))


def test_layers_below_chance_and_dead_ones_are_drawn(check_inside):
    table = pd.DataFrame({"neurons": [4, 2], "share": [0.1, np.nan], "chance": [0.3, np.nan]}, ["conv1", "dead"])
    ax = plots.layers_against_chance(table.assign(low=table["chance"] - 0.1, high=table["chance"] + 0.1))
    assert texts(ax) == ["10.0%"] and ax.get_ylim()[1] > 40
    check_inside(ax.figure)


def test_class_owners_bars(check_inside):
    ax = plots.class_owners(pd.Series([12, 7], pd.Index(["siren", "dog"], name="label"), name="neurons"))
    assert [bar.get_width() for bar in ax.patches] == [12, 7] and names(ax.yaxis) == ["siren", "dog"]
    assert texts(ax) == ["12", "7"] and ax.get_title() == "2 classes with more than 5 neurons"
    many = plots.class_owners(pd.Series(range(60, 10, -1), ESC50_LABELS))
    check_inside(many.figure)
    check_apart(many.get_yticklabels(), "y")


def test_no_class_owns_neurons():
    ax = plots.class_owners(neurons.owners(neurons.selectivity(counts_of([[1]]))))
    assert texts(ax) == ["no class is the first of more than 5 neurons"] and not ax.patches
    assert ax.get_title() == "0 classes with more than 5 neurons"
    assert texts(plots.class_owners(pd.Series(dtype=int), more_than=1)) == [
        "no class is the first of more than 1 neuron"
    ]


def selective_matrix(count, total=30):
    """So many neurons of one class in 60 %, of `total`; the rest are even."""
    return counts_of([[12, 3, 1, 1, 1, 1, 1]] * count + [[2] * 10] * (total - count))


@pytest.mark.parametrize(
    "count, panels, across", [(0, 1, 1), (1, 1, 1), (2, 2, 2), (5, 5, 3), (12, 12, 3), (20, 12, 3)]
)
def test_selective_neurons_of_any_number(count, panels, across, check_inside):
    axes = plots.selective_neurons(selective_matrix(count))
    assert len(axes) == panels and axes[0].get_subplotspec().get_gridspec().ncols == across
    title = axes[0].figure.get_suptitle()
    assert title.startswith(f"{count} of 30 neurons with one class in more than 30% of their clips")
    assert ("(the first 12; 8 more)" in title) == (count == 20)
    assert all(ax.axison for ax in axes) and sum(ax.axison for ax in axes[0].figure.axes) == panels
    check_inside(axes[0].figure)
    if count == 0:
        assert texts(axes[0]) == ["no neuron is above 30%"]
        return
    assert [ax.get_title() for ax in axes] == [f"neuron {n}: 60% of 20 clips" for n in range(panels)]
    assert [bar.get_width() for bar in axes[-1].patches] == [12, 3, 1, 1, 1, 1]
    assert texts(axes[0])[:2] == ["12 (60%)", "3 (15%)"] and names(axes[0].yaxis) == list(ANIMALS[:6])


def test_selective_neurons_are_those_asked_for():
    matrix = counts_of([[4, 1], [1, 0], [0], [30, 10], [5, 5]])
    assert [ax.get_title().split(":")[0] for ax in plots.selective_neurons(matrix, over=0.7)] == [
        "neuron 1", "neuron 0", "neuron 3",
    ]  # fmt: skip
    (ax,) = plots.selective_neurons(matrix, over=0.7, fewest=10, title="conv1")
    assert ax.get_title() == "neuron 3: 75% of 40 clips"
    assert ax.figure.get_suptitle() == "conv1\n1 of 5 neurons with one class in more than 70% of their clips"
    assert len(plots.selective_neurons(matrix, over=0.4, most=2)) == 2


def test_names_of_fifty_classes_fit_into_the_small_panels(check_inside):
    longest = sorted(ESC50_LABELS, key=len)[::-1]
    axes = plots.selective_neurons(counts_of([[88, 44, 22, 11, 11, 11, 5]] * 7, longest))
    figure = axes[0].figure
    check_inside(figure)
    left, right = axes[0], axes[1]
    assert max(t.get_window_extent().x1 for t in left.texts) < min(
        t.get_window_extent().x0 for t in right.get_yticklabels()
    )
    check_apart(left.get_yticklabels(), "y")


def test_axes_can_be_given(make):
    matrix, table = neurons.neuron_class_matrix(make()), table_of(make())
    ax = plots.neuron_classes(matrix, 0)
    assert plots.class_owners(neurons.owners(table), ax=ax) is ax
    assert plots.selectivity_curve(table, ax=ax) is ax and plots.neuron_classes(matrix, 3, ax=ax) is ax
    assert plots.layers_against_chance(neurons.compare_layers({"a": make()}, shuffles=2), ax=ax) is ax
