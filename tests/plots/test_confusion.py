"""The confusion chart: cells, colours, summaries, groups, from two classes to fifty."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from audiointerp import plots
from audiointerp.errors import UnknownLabelError

COUNTS = pd.DataFrame([[6, 2, 0], [0, 4, 0], [1, 0, 7]], ["dog", "rooster", "rain"], ["dog", "rooster", "rain"])


def cells(ax):
    """Text of each cell by (row, column)."""
    return {(round(t.get_position()[1]), round(t.get_position()[0])): t.get_text() for t in ax.texts}


def test_confusion_chart_cells_and_summaries():
    chart, right, below = plots.confusion_chart(COUNTS)
    assert cells(chart) == {(0, 0): "6", (0, 1): "2", (1, 1): "4", (2, 0): "1", (2, 2): "7"}
    assert cells(right) == {(0, 0): "75", (0, 1): "25", (1, 0): "100", (1, 1): "0", (2, 0): "88", (2, 1): "12"}
    assert cells(below) == {(0, 0): "86", (1, 0): "14", (0, 1): "67", (1, 1): "33", (0, 2): "100", (1, 2): "0"}
    assert chart.get_ylabel() == "True class" and below.get_xlabel() == "Predicted class"
    assert [t.get_text() for t in below.get_xticklabels()] == list(COUNTS.columns)
    assert [t.get_text() for t in chart.get_yticklabels()] == list(COUNTS.index)


def test_percents_of_right_and_wrong_add_up():
    counts = pd.DataFrame([[37, 3], [1, 39]], ["dog", "rain"], ["dog", "rain"])  # 92.5 and 7.5, 97.5 and 2.5
    _, right, below = plots.confusion_chart(counts)
    for summary in (right, pd.Series({(b, a): t for (a, b), t in cells(below).items()})):
        texts = cells(summary) if summary is right else summary.to_dict()
        assert [int(texts[row, 0]) + int(texts[row, 1]) for row in range(2)] == [100, 100]


def test_confusion_chart_is_blue_where_right_and_orange_where_wrong():
    colours = np.asarray(plots.confusion_chart(COUNTS)[0].images[0].get_array())
    assert colours[1, 1, :3] == pytest.approx(np.array(to_rgb("#0072B2")))
    for wrong in (colours[0, 1], colours[2, 0]):
        assert wrong[0] > wrong[2]
    assert colours[0, 1, 2] < colours[2, 0, 2]  # 2 of 8 is darker than 1 of 8
    assert colours[1, 0, :3] == pytest.approx([1, 1, 1])


def test_confusion_chart_title_has_wilsons_interval_for_clips_only():
    k, n, z = 17, 20, 1.959963984540054
    middle = (k / n + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(k / n * (1 - k / n) / n + z**2 / (4 * n**2))
    title = plots.confusion_chart(COUNTS)[0].figure.get_suptitle()
    assert title == f"85.0% of 20 clips right (95% interval: {middle - half:.1%} to {middle + half:.1%})"
    assert plots.confusion_chart(COUNTS, unit="patches")[0].figure.get_suptitle() == "85.0% of 20 patches right"
    assert plots.confusion_chart(COUNTS, title="YAMNet")[0].figure.get_suptitle() == f"YAMNet\n{title}"


def test_confusion_chart_sorted_and_with_an_absent_class():
    counts = COUNTS.copy()
    counts.loc["rain"] = 0
    chart, right, _ = plots.confusion_chart(counts, sort=True)
    assert [t.get_text() for t in chart.get_yticklabels()] == ["rooster", "dog", "rain"]
    assert cells(right) == {(0, 0): "100", (0, 1): "0", (1, 0): "75", (1, 1): "25"}


def test_confusion_chart_of_fifty_classes_keeps_names_apart():
    names = [f"washing_machine_{number:02d}" for number in range(50)]
    chart, _, below = plots.confusion_chart(pd.DataFrame(np.eye(50, dtype=int), names, names))
    assert cells(chart) == {(place, place): "1" for place in range(50)}
    chart.figure.canvas.draw()
    rows = [t.get_window_extent() for t in chart.get_yticklabels()]
    columns = [t.get_window_extent() for t in below.get_xticklabels()]
    assert len(rows) == len(columns) == 50
    assert all(a.y0 > b.y1 - 1.5 for a, b in pairwise(rows))
    assert all(a.x1 < b.x0 + 1.5 for a, b in pairwise(columns))
    assert max(chart.figure.get_size_inches()) <= 13


def many(rng, n=50, clips=40):
    """Counts of n classes with `clips` clips each, and the group of each class: alternating, the last class first."""
    names = [f"washing_machine_{number:02d}" for number in range(n)]
    counts = pd.DataFrame([rng.multinomial(clips, row) for row in rng.dirichlet(np.full(n, 0.2), n)], names, names)
    groups = ("interior and domestic", "natural soundscapes and water", "animals")
    return counts, {name: groups[number % 3] for number, name in reversed([*enumerate(names)])}


@pytest.mark.parametrize("number_from", [0.1, 0.3, 0, 1])
def test_confusion_chart_of_many_classes_writes_what_matters(rng, number_from):
    counts, _ = many(rng)
    chart = plots.confusion_chart(counts, number_from=number_from)[0]
    expected = {}
    for row in range(50):
        for column in range(50):
            value = counts.iloc[row, column]
            if value > 0 and (row == column or value / 40 >= number_from):
                expected[row, column] = str(value)
    assert cells(chart) == expected and any(row != column for row, column in expected) == (number_from < 1)


def test_confusion_chart_of_few_classes_writes_every_count():
    expected = {(0, 0): "6", (0, 1): "2", (1, 1): "4", (2, 0): "1", (2, 2): "7"}
    assert cells(plots.confusion_chart(COUNTS, number_from=1)[0]) == expected
    with pytest.raises(ValueError, match="number_from is 4: expected a share"):
        plots.confusion_chart(COUNTS, number_from=4)


def test_confusion_chart_numbers_fit_their_cells_and_stay_legible(rng):
    for clips in (40, 680):
        chart = plots.confusion_chart(many(rng, clips=clips)[0])[0]
        chart.figure.canvas.draw()
        cell = np.diff(chart.transData.transform([(0, 0), (1, 0)])[:, 0])[0]
        assert all(text.get_window_extent().width < cell for text in chart.texts)
        assert min(text.get_size() for text in chart.texts) >= 5.5


@pytest.mark.parametrize("sort", [False, True])
def test_confusion_chart_puts_groups_together(rng, sort):
    counts, groups = many(rng)
    chart, _, below = plots.confusion_chart(counts, groups=groups, sort=sort)
    shown = [t.get_text() for t in chart.get_yticklabels()]
    assert shown == [t.get_text() for t in below.get_xticklabels()]
    recall = {name: counts.loc[name, name] / 40 for name in counts.index}
    expected = []
    for group in ("natural soundscapes and water", "interior and domestic", "animals"):  # class 49 is of the first
        names = [name for name in counts.index if groups[name] == group]
        expected += sorted(names, key=lambda name: -recall[name]) if sort else names
    assert shown == expected
    for (row, column), text in cells(chart).items():
        assert int(text) == counts.loc[shown[row], shown[column]]
    lines = {line.get_ydata()[0] for line in chart.lines if line.get_ydata()[0] == line.get_ydata()[1]}
    assert lines == {16.5, 33.5} == {line.get_xdata()[0] for line in chart.lines if line.get_ydata()[0] == 0}
    assert {line.get_xdata()[0] for line in below.lines} == {16.5, 33.5}


def test_confusion_chart_names_groups_beside_the_summary_without_overlap(rng):
    for n in (4, 12, 50):
        counts, groups = many(rng, n)
        groups |= {"washing_machine_01": "a group of its own", "washing_machine_02": "another such one"}
        chart, right, _ = plots.confusion_chart(counts, groups=groups, title="SoundNet")
        chart.figure.canvas.draw()
        whole = chart.figure.bbox
        names = [t for t in right.texts if t.get_text().replace("\n", " ") in groups.values()]
        boxes = sorted((t.get_window_extent() for t in names), key=lambda box: -box.y0)
        assert len(names) == len({*groups.values()}) and all(a.y0 > b.y1 for a, b in pairwise(boxes))
        assert all(right.bbox.x1 < box.x0 and box.x1 <= whole.x1 for box in boxes)
        assert max(chart.figure.get_size_inches()) <= 13
        for text in names:  # each stands at the middle of its group's rows
            rows = [
                row
                for row, label in enumerate(chart.get_yticklabels())
                if groups[label.get_text()] == text.get_text().replace("\n", " ")
            ]
            middle = right.transData.transform((0, np.mean(rows)))[1]
            box = text.get_window_extent()
            assert (box.y0 + box.y1) / 2 == pytest.approx(middle, abs=3)


def test_confusion_chart_with_a_class_without_group():
    with pytest.raises(UnknownLabelError, match="classes rain are in no group"):
        plots.confusion_chart(COUNTS, groups={"dog": "animals", "rooster": "animals"})
    more = {"sea_waves": "water", "dog": "animals", "rooster": "animals", "rain": "water"}
    chart, right, _ = plots.confusion_chart(COUNTS, groups=more)
    assert [t.get_text() for t in chart.get_yticklabels()] == ["rain", "dog", "rooster"]
    assert [t.get_text() for t in right.texts[-2:]] == ["water", "animals"]


def test_confusion_chart_refuses_other_tables():
    with pytest.raises(ValueError, match="same classes in the same order"):
        plots.confusion_chart(COUNTS.iloc[:2])
    with pytest.raises(ValueError, match="same classes in the same order"):
        plots.confusion_chart(COUNTS[["rooster", "dog", "rain"]])
    for bad in (COUNTS / 2, -COUNTS, COUNTS.where(COUNTS > 0)):
        with pytest.raises(ValueError, match="expected whole numbers"):
            plots.confusion_chart(bad)
