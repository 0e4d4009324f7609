"""Projections: every clip where its table says, in the colour and shape that the legend says."""

from itertools import combinations, pairwise

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex, to_rgb

from audiointerp.errors import UnknownLabelError
from audiointerp.plots import projections
from audiointerp.plots.projections import (
    categories,
    chosen_labels,
    looks,
    projection,
    projection_grid,
    projections_by_group,
    side_by_side,
)

GROUPS = {"cat": "animals", "dog": "animals", "rain": "water", "wind": "water", "clock": "home", "door": "home"}
QUALITY = {"trustworthiness": 0.934, "agreement": 0.414, "chance": 0.02}


@pytest.fixture
def table(rng):
    """Eight clips of each of six classes in three groups; each class has a place of its own."""
    label = np.repeat(list(GROUPS), 8)
    place = np.repeat(np.arange(6), 8)
    columns = {"x": place % 3 * 10 + rng.random(48), "y": place // 3 * 10 + rng.random(48), "label": label}
    columns |= {"fold": np.arange(48) % 5 + 1, "group": [GROUPS[name] for name in label]}
    made = pd.DataFrame(columns, index=rng.permutation(1000)[:48])
    made.attrs = {"layer": "conv5", "supervised": False}
    return made


def legend_of(owner):
    """Colour and marker of each name in a legend."""
    legend = owner.get_legend() if isinstance(owner, plt.Axes) else owner.legends[0]
    handles = zip(legend.get_texts(), legend.legend_handles, strict=True)
    return {
        text.get_text(): (to_hex(one.get_color()), one.get_marker())
        for text, one in handles
        if one.get_marker() != "None"
    }


def shape_of(marker):
    """Corners of a marker, relative to its size."""
    style = matplotlib.markers.MarkerStyle(marker)
    corners = style.get_path().transformed(style.get_transform()).vertices
    return corners / np.abs(corners).max()


def drawn(points):
    """For each drawn point its place, colour and corners."""
    colours = [to_hex(colour) for colour in points.get_facecolors()]
    corners = [path.vertices / np.abs(path.vertices).max() for path in points.get_paths()]
    return list(zip(map(tuple, np.asarray(points.get_offsets())), colours, corners, strict=True))


def check_points(points, table, by, legend):
    """Every clip of the table is drawn once, as the legend says."""
    expected = {(x, y): str(name) for x, y, name in zip(table["x"], table["y"], table[by], strict=True)}
    seen = drawn(points)
    assert sorted(place for place, _, _ in seen) == sorted(expected)
    for place, colour, corners in seen:
        shown, marker = legend[expected[place]]
        assert colour == shown and corners.shape == shape_of(marker).shape
        assert np.allclose(corners, shape_of(marker))


def check_no_ticks(ax):
    assert ax.get_xticks().size == ax.get_yticks().size == 0
    assert not ax.get_xlabel() and not ax.get_ylabel()


def check_layout(figure):
    """Nothing is cut off, and no two panels or legends overlap, titles included."""
    figure.canvas.draw()
    whole = figure.bbox
    boxes = [ax.get_tightbbox() for ax in figure.axes if ax.axison] + [
        own.get_window_extent() for own in figure.legends
    ]
    for box in boxes:
        assert box.x0 > -1 and box.y0 > -1 and box.x1 < whole.x1 + 1 and box.y1 < whole.y1 + 1
    for one, other in combinations(boxes, 2):
        assert min(one.x1, other.x1) - max(one.x0, other.x0) < 1 or min(one.y1, other.y1) - max(one.y0, other.y0) < 1


@pytest.mark.parametrize("by", ["group", "label", "fold"])
def test_projection_draws_each_clip_as_its_legend_says(table, by):
    ax = projection(table, by=by)
    legend = legend_of(ax)
    assert list(legend) == [str(name) for name in sorted(table[by].unique())]
    assert ax.get_legend().get_title().get_text() == by
    (points,) = ax.collections
    check_points(points, table, by, legend)
    check_no_ticks(ax)
    check_layout(ax.figure)


def test_projection_has_one_scale_and_legend_outside(table):
    ax = projection(table)
    ax.figure.canvas.draw()
    (x0, y0), (x1, y1) = ax.transData.transform([(0, 0), (1, 1)])
    assert x1 - x0 == pytest.approx(y1 - y0)
    assert ax.get_legend().get_window_extent().x0 > ax.get_window_extent().x1
    inside = ax.get_window_extent()
    pixels = ax.transData.transform(table[["x", "y"]])
    assert (pixels > [inside.x0, inside.y0]).all() and (pixels < [inside.x1, inside.y1]).all()


def test_projection_titles(table):
    assert projection(table).get_title() == "conv5"
    assert projection(table, title="mine").get_title() == "mine" and projection(table, title="").get_title() == ""
    table.attrs["supervised"] = True
    assert projection(table).get_title() == "conv5, fitted with the labels"
    table.attrs = {}
    assert projection(table).get_title() == ""
    _, ax = plt.subplots()
    assert projection(table, ax=ax) is ax


def test_colour_really_reaches_the_page(table, pixel):
    ax = projection(table.iloc[[0, 47]], by="label")
    for _, clip in table.iloc[[0, 47]].iterrows():
        colour = np.array(to_rgb(legend_of(ax)[clip["label"]][0]))
        assert pixel(ax, clip["x"], clip["y"]) == pytest.approx(0.75 * colour + 0.25, abs=0.02)


def test_no_class_lies_over_all_others(rng):
    n = 600
    columns = {"x": rng.normal(size=n), "y": rng.normal(size=n), "label": np.repeat(["a", "b", "c"], n // 3)}
    (points,) = projection(pd.DataFrame(columns), by="label").collections
    order = [colour for _, colour, _ in drawn(points)]
    changes = sum(one != other for one, other in pairwise(order))
    assert changes > n / 2  # 2 if class after class were drawn, 400 on average in a random order
    (again,) = projection(pd.DataFrame(columns), by="label").collections
    assert [colour for _, colour, _ in drawn(again)] == order


def test_names_can_be_told_apart():
    names = [str(number) for number in range(60)]
    look = looks(names)
    assert list(look) == names and len(set(look.values())) == 60
    assert all(one[0] != other[0] and one[1] != other[1] for one, other in pairwise(look.values()))
    ten = list(look.values())[:10]
    assert len({marker for _, marker in ten}) == 10
    assert len({shape_of(marker).tobytes() for marker in projections.MARKERS}) == 10


def test_fifty_classes_have_a_legend_in_columns(rng):
    n = 2000
    columns = {"x": rng.normal(size=n), "y": rng.normal(size=n)}
    table = pd.DataFrame(columns | {"label": [f"washing_machine_{number % 50:02d}" for number in range(n)]})
    ax = projection(table, by="label")
    check_layout(ax.figure)
    texts = [text.get_window_extent() for text in ax.get_legend().get_texts()]
    assert len(texts) == 50 and max(ax.figure.get_size_inches()) < 11
    for one, other in combinations(texts, 2):
        assert one.x1 < other.x0 or other.x1 < one.x0 or one.y1 < other.y0 + 1 or other.y1 < one.y0 + 1
    assert ax.collections[0].get_sizes()[0] >= 9


@pytest.mark.parametrize("draw", [projection, lambda table, **_: projection_grid({"a": table}), projections_by_group])
def test_other_tables_are_refused(table, draw):
    with pytest.raises(ValueError, match=r"no rows .*Expected a table as from a projection"):
        draw(table.iloc[:0])
    for column in ("x", "y", "group"):
        with pytest.raises(ValueError, match=f"no column {column} "):
            draw(table.drop(columns=column))
    table.loc[table.index[3], "y"] = np.nan
    table.loc[table.index[5], "group"] = None
    with pytest.raises(
        ValueError, match=rf"no x, y or group: 2 of 48 clips, the first {table.index[3]}\. Leave them out"
    ):
        draw(table)


def test_too_many_names_are_refused(rng):
    table = pd.DataFrame({"x": np.arange(61.0), "y": 0.0, "label": [f"class {number}" for number in range(61)]})
    with pytest.raises(ValueError, match=r"61 different values of 'label': at most 60 .*by='group'"):
        projection(table, by="label")
    assert len(legend_of(projection(table.iloc[1:], by="label"))) == 60


def test_categories_are_sorted_texts_over_all_tables(table):
    assert categories([table.assign(fold=10), table], "fold") == ["1", "2", "3", "4", "5", "10"]
    assert categories([table[table["label"] == "rain"], table[table["label"] == "cat"]], "label") == ["cat", "rain"]


def test_grid_has_one_legend_for_all_panels(table):
    tables = {
        "conv1": table[table["label"] != "cat"],
        "conv2": table.assign(x=-table["x"]),
        "conv3": table,
        "conv4": table,
    }
    axes = projection_grid(tables, by="label", columns=3, title="Layers")
    figure = axes[0].figure
    assert axes.shape == (4,) and figure.get_suptitle() == "Layers"
    assert [ax.get_title() for ax in axes] == list(tables)
    assert len(figure.legends) == 1 and not any(ax.get_legend() for ax in axes)
    legend = legend_of(figure)
    assert list(legend) == sorted(GROUPS)
    for ax, drawn_table in zip(axes, tables.values(), strict=True):
        check_points(ax.collections[0], drawn_table, "label", legend)
        check_no_ticks(ax)
    assert sum(ax.axison for ax in figure.axes) == 4
    check_layout(figure)
    assert figure.legends[0].get_window_extent().y1 < min(ax.get_window_extent().y0 for ax in axes)


def numbers_of(ax):
    return [text.get_text() for text in ax.texts]


def test_grid_says_how_good_each_projection_is(table):
    quality = {"conv1": pd.Series(QUALITY), "conv2": {"trustworthiness": 0.5}, "conv3": QUALITY | {"agreement": np.nan}}
    axes = projection_grid(dict.fromkeys(["conv1", "conv2", "conv3", "conv4"], table), quality=quality)
    assert [numbers_of(ax) for ax in axes] == [
        ["trustworthiness 0.93 · neighbours 41% (chance 2%)"], ["trustworthiness 0.50"], ["trustworthiness 0.93"], [""],
    ]  # fmt: skip
    check_layout(axes[0].figure)
    for ax in axes:
        assert ax.texts[0].get_window_extent().y1 < ax.title.get_window_extent().y0 + 2
        assert ax.texts[0].get_window_extent().width <= ax.get_window_extent().width * 1.15
    by_row = projection_grid({"conv1": table}, quality=pd.DataFrame(quality).T)
    assert numbers_of(by_row[0]) == ["trustworthiness 0.93 · neighbours 41% (chance 2%)"]
    only = projection_grid({"conv1": table}, quality={"conv1": {"agreement": 0.5}})
    assert numbers_of(only[0]) == ["neighbours 50%"]
    with pytest.raises(ValueError, match=r"quality of conv9, tables conv1: no name in common"):
        projection_grid({"conv1": table}, quality={"conv9": QUALITY})


def test_grid_says_that_labels_were_seen(table):
    assert projection_grid({"a": table}, title=None)[0].figure.get_suptitle() == ""
    seen = table.copy()
    seen.attrs = {"supervised": True}
    assert projection_grid({"a": seen})[0].figure.get_suptitle() == "Projections fitted with the labels"
    assert projection_grid({"a": seen, "b": table})[0].figure.get_suptitle() == ""


def test_grid_refuses_what_is_no_dict_of_tables(table):
    with pytest.raises(ValueError, match="dict of 0 tables: expected a dict like"):
        projection_grid({})
    with pytest.raises(ValueError, match="list of 2 tables"):
        projection_grid([table, table])


def test_side_by_side(table):
    right = table.assign(x=table["y"], y=-table["x"])
    titles = ("without labels", "with labels")
    axes = side_by_side(table, right, by="group", titles=titles, quality=(QUALITY, {"agreement": 1.0}))
    assert tuple(ax.get_title() for ax in axes) == titles
    assert [numbers_of(ax) for ax in axes] == [
        ["trustworthiness 0.93 · neighbours 41% (chance 2%)"],
        ["neighbours 100%"],
    ]
    legend = legend_of(axes[0].figure)
    for ax, one in zip(axes, (table, right), strict=True):
        check_points(ax.collections[0], one, "group", legend)
    check_layout(axes[0].figure)
    by_title = side_by_side(table, right, by="group", titles=titles, quality={"with labels": QUALITY})
    assert [bool(numbers_of(ax)[0]) for ax in by_title] == [False, True]
    for bad in (("same", "same"), ("one",)):
        with pytest.raises(ValueError, match="expected two different ones"):
            side_by_side(table, right, by="group", titles=bad)


def test_groups_have_panels_and_legends_of_their_own(table):
    axes = projections_by_group(table)
    assert [ax.get_title() for ax in axes] == ["animals", "home", "water"]
    assert axes[0].figure.get_suptitle() == "conv5"
    for ax in axes:
        part = table[table["group"] == ax.get_title()]
        legend = legend_of(ax)
        assert list(legend) == sorted(part["label"].unique())
        check_points(ax.collections[0], part, "label", legend)
        check_no_ticks(ax)
    check_layout(axes[0].figure)
    for ax in axes:
        assert ax.get_legend().get_window_extent().y1 < ax.get_window_extent().y0 + 1


@pytest.mark.parametrize("count", range(1, 7))
def test_one_to_six_groups(rng, count):
    n = 20 * count
    columns = {"x": rng.normal(size=n), "y": rng.normal(size=n), "group": [f"group {row % count}" for row in range(n)]}
    table = pd.DataFrame(columns | {"label": [f"g{row % count}, class {row // count % 10}" for row in range(n)]})
    axes = projections_by_group(table, title="Groups")
    assert [ax.get_title() for ax in axes] == [f"group {number}" for number in range(count)]
    assert all(len(legend_of(ax)) == 10 for ax in axes) and axes[0].figure.get_suptitle() == "Groups"
    assert max(axes[0].figure.get_size_inches()) < 11.5
    check_layout(axes[0].figure)


def test_seven_groups_are_too_many(table):
    many = table.assign(group=[f"group {row % 7}" for row in range(48)])
    with pytest.raises(ValueError, match=r"7 groups \(group 0, .*: a figure shows 1 to 6"):
        projections_by_group(many)


def test_groups_of_one_class_are_no_groups(rng):
    label = [f"class {row % 10}" for row in range(50)]
    table = pd.DataFrame({"x": rng.normal(size=50), "y": rng.normal(size=50), "label": label, "group": label})
    (ax,) = projections_by_group(table)
    assert ax.get_title() == "all classes" and len(legend_of(ax)) == 10
    check_points(ax.collections[0], table, "label", legend_of(ax))
    check_layout(ax.figure)
    (single,) = projections_by_group(table[table["label"] == "class 3"])
    assert single.get_title() == "class 3" and list(legend_of(single)) == ["class 3"]


def test_chosen_labels_are_warm_and_cool_over_grey(table):
    ax = chosen_labels(table, ["rain", "cat"], ["door"], names=("difficult", "easy"), title="Chosen")
    texts = ax.get_legend().get_texts()
    assert [text.get_text() for text in texts] == ["difficult", "rain", "cat", "easy", "door", "3 other classes"]
    assert [text.get_fontweight() == "bold" for text in texts] == [True, False, False, True, False, False]
    grey, chosen = ax.collections
    rest = table[table["label"].isin(["dog", "wind", "clock"])]
    assert sorted(map(tuple, np.asarray(grey.get_offsets()))) == sorted(zip(rest["x"], rest["y"], strict=True))
    assert {to_hex(colour) for colour in grey.get_facecolors()} == {to_hex("0.75")}
    legend = legend_of(ax)
    check_points(chosen, table.drop(rest.index), "label", legend)
    for name, warm in (("rain", True), ("cat", True), ("door", False)):
        red, _, blue = to_rgb(legend[name][0])
        assert (red > blue) == warm
    assert len({marker for _, marker in legend.values()}) >= 3 and ax.get_title() == "Chosen"
    check_no_ticks(ax)
    check_layout(ax.figure)


def test_chosen_labels_up_to_eight_of_each(rng):
    names = [f"class {number:02d}" for number in range(16)]
    table = pd.DataFrame({"x": rng.normal(size=160), "y": rng.normal(size=160), "label": names * 10})
    ax = chosen_labels(table, names[:8], names[8:])
    legend = legend_of(ax)
    assert list(legend) == names and len(set(legend.values())) == 16
    assert not {legend[name][1] for name in names[:8]} & {legend[name][1] for name in names[8:]}
    assert len({shape_of(marker).tobytes() for _, marker in legend.values()}) == 16
    check_layout(ax.figure)


def test_chosen_labels_refuses_what_it_cannot_show(table):
    assert [t.get_text() for t in chosen_labels(table, "rain", "dog").get_legend().get_texts()][:2] == ["hard", "rain"]
    with pytest.raises(UnknownLabelError, match="'sheep' is not among those of this table"):
        chosen_labels(table, ["sheep"], ["dog"])
    for first, second in ((["dog"], ["dog", "cat"]), ([], ["dog"]), (["dog"], [])):
        with pytest.raises(ValueError, match="Expected 1 to 8 classes each, and none in both"):
            chosen_labels(table, first, second)


def test_an_index_that_is_not_unique_is_no_problem(table):
    twice = table.set_axis([0] * 48)
    (points,) = projection(twice).collections
    assert len(points.get_offsets()) == 48
    assert sum(len(points.get_offsets()) for points in chosen_labels(twice, "rain", "dog").collections) == 48
    assert sum(len(ax.collections[0].get_offsets()) for ax in projections_by_group(twice)) == 48
