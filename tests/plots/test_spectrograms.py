"""Waveforms, spectrograms, grids of patches: everything at its time and its frequency."""

from itertools import pairwise

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

from audiointerp import plots
from audiointerp.errors import PatchShapeError
from audiointerp.sound.frontend import VGGISH, YAMNET

VIRIDIS = matplotlib.colormaps["viridis"]


def text_boxes(figure, texts):
    renderer = figure.canvas.get_renderer()
    return [text.get_window_extent(renderer) for text in texts if text.get_text() and text.get_visible()]


def test_waveform_spans_its_seconds():
    ax = plots.waveform(np.sin(np.arange(8000)), 4000, title="a tone")
    assert ax.get_xlim() == (0, 2)
    assert ax.lines[0].get_xdata()[4000] == 1
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("Time (s)", "Amplitude", "a tone")


def test_waveform_of_silence_and_of_two_channels():
    assert plots.waveform(np.zeros(10)).get_ylim() == (-1.1, 1.1)
    with pytest.raises(ValueError, match=r"\(2, 10\): expected \(samples,\)"):
        plots.waveform(np.zeros((2, 10)))


def test_axes_can_be_given():
    _, ax = plt.subplots()
    assert plots.waveform(np.ones(10), ax=ax) is ax
    assert plots.spectrogram(np.zeros((5, 64)), ax=ax, colorbar=False) is ax


@pytest.mark.parametrize("frame, band", [(0, 0), (20, 50), (95, 63), (95, 0)])
def test_one_loud_cell_is_drawn_at_its_time_and_frequency(frame, band, pixel):
    data = np.zeros((96, 64))
    data[frame, band] = 1
    ax = plots.spectrogram(data)
    loud, quiet = VIRIDIS(1.0)[:3], VIRIDIS(0.0)[:3]
    assert pixel(ax, VGGISH.time[frame], VGGISH.frequency[band]) == pytest.approx(loud, abs=0.05)
    elsewhere = pixel(ax, VGGISH.time[95 - frame], VGGISH.frequency[63 - band])
    assert elsewhere == pytest.approx(quiet, abs=0.05)
    neighbour = band - 1 if band else 1
    assert pixel(ax, VGGISH.time[frame], VGGISH.frequency[neighbour]) == pytest.approx(quiet, abs=0.05)


def test_colour_bar_says_what_the_front_end_computes():
    labels = [plots.spectrogram(np.eye(64), frontend=f).figure.axes[1].get_ylabel() for f in (VGGISH, YAMNET)]
    assert labels == ["Level: ln(mel magnitude + 0.01)", "Level: ln(mel magnitude + 0.001)"]


def test_evidence_is_outlined_and_cut_off_at_the_edges():
    ax = plots.spectrogram(np.zeros((98, 64)), evidence=[(0.2, 0.5, 500, 2000), (0.9, 9, 0, 250)])
    first, second = ax.patches
    assert first.get_bbox().extents == pytest.approx([0.2, 500, 0.5, 2000])
    assert second.get_bbox().extents == pytest.approx([0.9, ax.get_ylim()[0], ax.get_xlim()[1], 250])
    with pytest.raises(ValueError, match="each pair ascending"):
        plots.outline(ax, [(0.5, 0.2, 500, 2000)])


@pytest.mark.parametrize("shape", [(96,), (96, 63), (0, 64), (1, 96, 64)])
def test_spectrogram_of_another_shape(shape):
    with pytest.raises(PatchShapeError, match=r"expected \(frames, 64\)"):
        plots.spectrogram(np.zeros(shape))


def test_patch_grid_titles_scale_and_outer_labels(make_patches):
    data = np.zeros((7, 96, 64), np.float32)
    data[3], data[5, 0, 0] = -4, 2
    axes = plots.patch_grid(make_patches(["dog", "chainsaw"] * 3 + ["dog"], data))
    assert [ax.get_title() for ax in axes] == ["dog", "chainsaw"] * 3 + ["dog"]
    assert {ax.collections[0].get_clim() for ax in axes} == {(-4, 2)}
    assert len(axes[0].figure.axes) == 9 + 1  # two empty places, one colour bar
    assert [bool(ax.get_xlabel()) for ax in axes] == [False] * 4 + [True] * 3
    axes[0].figure.canvas.draw()
    shown = [any(t.get_text() and t.get_visible() for t in ax.get_xticklabels()) for ax in axes]
    assert shown == [False] * 4 + [True] * 3


def test_patch_grid_marks_wrong_predictions_by_word_and_colour(make_patches, make_predictions):
    patches = make_patches(["dog", "dog"])
    table = make_predictions(make_patches(["dog"] * 4), ["dog", "dog", "dog", "chainsaw"], 0.83)
    table = table.set_axis([90, 91, 40, 41])  # found by index, not by place
    right, wrong = plots.patch_grid(patches, predictions=table)
    assert right.get_title() == "true: dog\npredicted: dog 0.83"
    assert wrong.get_title() == "wrong | true: dog\npredicted: chainsaw 0.83"
    assert right.title.get_color() != wrong.title.get_color()


def test_patches_without_labels_show_what_was_predicted(make_patches, make_predictions):
    patches = make_patches(["dog"])
    table = make_predictions(patches, ["dog"]).drop(columns="label")
    del patches.table["label"]
    assert plots.patch_grid(patches, predictions=table)[0].get_title() == "predicted: dog 0.75"
    assert plots.patch_grid(patches)[0].get_title() == ""


def test_long_names_in_four_columns_do_not_overlap(make_patches, make_predictions):
    patches = make_patches(["crackling_fire"] * 4)
    axes = plots.patch_grid(patches, predictions=make_predictions(patches, "chainsaw_chainsaw"), columns=4)
    figure = axes[0].figure
    figure.canvas.draw()
    boxes = text_boxes(figure, [ax.title for ax in axes])
    assert len(boxes) == 4
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
    assert boxes[0].x0 >= 0 and boxes[-1].x1 <= figure.bbox.x1 and max(box.y1 for box in boxes) <= figure.bbox.y1


def test_patch_grid_refuses_what_does_not_fit(make_patches, make_predictions):
    patches = make_patches(["dog", "dog"])
    with pytest.raises(ValueError, match="0 patches: a figure shows 1 to 60"):
        plots.patch_grid(patches[[]])
    with pytest.raises(ValueError, match="1 titles for 2 patches"):
        plots.patch_grid(patches, titles=["a"])
    with pytest.raises(ValueError, match="1 predictions do not cover these 2 patches"):
        plots.patch_grid(patches, predictions=make_predictions(patches, "dog").iloc[:1])
    others = make_predictions(make_patches(["dog", "chainsaw"]), "dog")
    with pytest.raises(ValueError, match="disagree about true classes"):
        plots.patch_grid(patches, predictions=others)
