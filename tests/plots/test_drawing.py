"""What the figures share: the mel axis, cells, bars, heat maps, colours that go round, checks."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from audiointerp import plots
from audiointerp.errors import PatchShapeError, UnknownLabelError
from audiointerp.plots import drawing
from audiointerp.sound.frontend import MUSIC, VGGISH, hz_to_mel


def test_mel_bands_are_equally_high_and_ticks_stand_in_their_band():
    ax = plots.spectrogram(np.zeros((300, 64)))
    bottom, top = ax.transAxes.transform([(0, 0), (0, 1)])[:, 1]
    height = (top - bottom) / 64
    ticks = dict(zip((t.get_text() for t in ax.get_yticklabels()), ax.get_yticks(), strict=True))
    assert ticks == {"250": 250, "500": 500, "1k": 1000, "2k": 2000, "4k": 4000}
    for hz in ticks.values():
        band = int((ax.transData.transform((1, hz))[1] - bottom) / height)
        distances = np.abs(hz_to_mel(VGGISH.frequency) - hz_to_mel(hz))
        assert band == distances.argmin()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Time (s)", "Frequency (Hz)")


def test_ticks_of_a_wide_mel_axis_keep_their_distance():
    """From 40 Hz to 10 kHz, 125 and 250 Hz would stand too close for their numbers; from 125 Hz they do not."""
    for frontend, expected in ((VGGISH, [125, 250, 500]), (MUSIC, [125, 500, 1000])):
        ax = plt.figure().add_subplot()
        drawing.mel_axis(ax, frontend.low, frontend.high)
        assert ax.get_yticks()[:3].tolist() == expected


def test_outer_cells_reach_the_border_unless_a_whole_cell_is_missing():
    assert list(drawing.cell_edges([0.5, 1.5, 2.5])) == [0, 1, 2, 3]
    assert list(drawing.cell_edges([1, 2, 3], 0, 4)) == [
        0,
        1.5,
        2.5,
        4,
    ]  # masks cut off by the border have inner centres
    assert list(drawing.cell_edges([1.5, 2.5], 0, 4)) == [1, 2, 3]
    assert list(drawing.cell_edges([2], 0, 4)) == [0, 4]


def test_edges_of_bands_lie_halfway_in_mel():
    edges = drawing.mel_edges([1000, 2000, 4000], low=700)
    centres = 1127 * np.log1p(np.array([1000, 2000, 4000]) / 700)
    expected = [700, *700 * np.expm1([centres[:2].mean() / 1127, centres[1:].mean() / 1127])]
    assert edges[:3] == pytest.approx(expected, rel=1e-3)
    assert hz_to_mel(edges[3]) - hz_to_mel(4000) == pytest.approx(hz_to_mel(4000) - hz_to_mel(edges[2]))


@pytest.mark.parametrize("n", [7, 20])
def test_looks_go_round_without_two_alike(n):
    for look in (drawing.line_style, drawing.bar_look, lambda k: {"c": drawing.colour(k), "m": drawing.marker(k)}):
        assert len({tuple(look(number).values()) for number in range(n)}) == n
    assert drawing.colour(n) in drawing.COLOURS


def test_numbers_frequencies_and_names_in_words():
    found = [
        drawing.number_text(n, name)
        for n, name in ((1, "class"), (2, "class"), (2, "patch"), (3, "epoch"), (1024, "neuron"))
    ]
    assert found == ["1 class", "2 classes", "2 patches", "3 epochs", "1,024 neurons"]
    assert [drawing.hz_text(hz) for hz in (250, 1000, 2500)] == ["250", "1k", "2.5k"]
    assert drawing.some("abc", 2) == "a, b, … (3 in all)" and drawing.some("ab", 2) == "a, b"
    assert max(map(len, drawing.wrapped("one word after another", 0.7).split("\n"))) <= 10


@pytest.mark.parametrize("n", [1, 7, 20, 21])
def test_bars_stand_from_the_top_with_their_texts(n):
    counts = pd.Series(np.arange(n, 0, -1), [f"class {number}" for number in range(n)])
    ax = drawing.draw_bars(plt.figure().add_subplot(), counts, [f"{count}!" for count in counts], "nothing")
    assert [bar.get_width() for bar in ax.patches] == counts.tolist()
    assert [text.get_text() for text in ax.texts] == [f"{count}!" for count in counts]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == counts.index.tolist() and ax.yaxis_inverted()
    empty = drawing.draw_bars(plt.figure().add_subplot(), counts[:0], [], "nothing")
    assert [text.get_text() for text in empty.texts] == ["nothing"] and not empty.patches


def test_share_matrix_keeps_every_row_and_says_what_is_beyond_the_colours():
    shares = pd.DataFrame([[80.0, 20.0], [np.nan, np.nan], [100.0, 0.0]], [4, 2, 7], ["dog", "rain"])
    ax = drawing.share_matrix(shares, 80, "share")
    (mesh,) = ax.collections
    np.testing.assert_array_equal(np.ma.filled(mesh.get_array(), np.nan), shares)
    assert mesh.get_clim() == (0, 80) and mesh.colorbar.extend == "max"
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["4", "2", "7"]
    assert drawing.share_matrix(shares, 100, "share").collections[0].colorbar.extend == "neither"


def test_a_row_thinner_than_a_pixel_is_seen():
    """One dark row at every height of 2,000 pale ones, in a picture of a few hundred pixels."""
    for dark in (1000, 1001, 1002):
        shares = pd.DataFrame(np.zeros((2000, 2)), columns=["dog", "rain"])
        shares.loc[dark] = 100
        ax = drawing.share_matrix(shares, 100, "share")
        ax.figure.canvas.draw()
        column = np.asarray(ax.figure.canvas.buffer_rgba())[:, int(ax.bbox.x0 + ax.bbox.width / 4), :3]
        inside = column[-int(ax.bbox.y1) + 5 : -int(ax.bbox.y0) - 5].astype(int).sum(axis=1)
        assert len(inside) < 2000 and inside.min() < 0.95 * np.median(inside)


def test_checks_say_what_was_found(make_patches, make_predictions):
    patches = make_patches(["dog", "dog"])
    with pytest.raises(ValueError, match="2 patches: a figure shows 1 to 1"):
        drawing.check_count(patches, 1)
    with pytest.raises(ValueError, match=r"no column b \(it has: a\). Expected a table as from f\(\)"):
        drawing.check_columns(pd.DataFrame({"a": [1]}), ["a", "b"], "f()")
    with pytest.raises(ValueError, match="no rows"):
        drawing.check_columns(pd.DataFrame({"a": []}), ["a"], "f()")
    drawing.check_columns(pd.DataFrame({"a": []}), ["a"], "f()", may_be_empty=True)
    with pytest.raises(UnknownLabelError, match=r"'cat' is not among those of the maps\. Known: dog"):
        drawing.check_label("cat", ["dog"], "the maps")
    with pytest.raises(PatchShapeError, match=r"\(5, 3\): expected \(frames, 64\)"):
        drawing.check_log_mel(np.zeros((5, 3)), VGGISH)
    table = make_predictions(patches, ["dog", "chainsaw"])
    assert [row["predicted"] for row in drawing.prediction_rows(table[::-1], patches)] == ["dog", "chainsaw"]
    assert drawing.prediction_rows(None, patches) == [None, None]
    with pytest.raises(ValueError, match="1 predictions do not cover these 2 patches"):
        drawing.prediction_rows(table[:1], patches)


def test_what_a_figure_sets_while_it_is_drawn_stays_set():
    """As the first figure of a notebook, which turns on that figures are shown."""
    before = {name: matplotlib.rcParams[name] for name in ("interactive", "text.parse_math")}
    assert before == {"interactive": False, "text.parse_math": True}

    @drawing.literal
    def first_figure():
        assert not matplotlib.rcParams["text.parse_math"]
        matplotlib.rcParams["interactive"] = True
        raise KeyError

    try:
        for _ in range(2):
            with pytest.raises(KeyError):
                first_figure()
            assert matplotlib.rcParams["interactive"] and matplotlib.rcParams["text.parse_math"]
    finally:
        matplotlib.rcParams.update(before)
