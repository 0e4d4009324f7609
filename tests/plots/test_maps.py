"""Maps beside patches, their averages and profiles."""

from itertools import pairwise

import matplotlib
import numpy as np
import pytest

from audiointerp import plots
from audiointerp.errors import UnknownLabelError
from audiointerp.plots.drawing import mel_edges
from audiointerp.plots.maps import title_of
from audiointerp.sound.frontend import VGGISH

RED, BLUE = (matplotlib.colormaps["RdBu_r"](place)[:3] for place in (1.0, 0.0))


def drawn(ax):
    """Values of the map of a panel [time, frequency] and their norm."""
    mesh = ax.collections[-1]
    return np.ma.filled(mesh.get_array(), np.nan).T, mesh.norm


def test_grid_has_a_row_a_patch_and_titles_say_method_class_and_peak(make_patches, make_maps, make_predictions):
    patches = make_patches(["dog", "chainsaw"])
    maps = {name: make_maps(patches, 0.25, method=name) for name in ("gradcam", "lime", "occlusion")}
    axes = plots.map_grid(patches, maps, predictions=make_predictions(patches, "chainsaw"))
    assert axes.shape == (2, 4)
    assert axes[0, 0].get_title() == "wrong | true: dog\npredicted: chainsaw 0.75"
    assert [ax.get_title() for ax in axes[1, 1:]] == [
        "Grad-CAM\nchainsaw, peak 0.25", "LIME\nchainsaw, peak 0.25", "Occlusion\nchainsaw, peak 0.25",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "label, expected",
    [("true", ["dog", "chainsaw"]), ("crackling_fire", ["crackling_fire"] * 2), (["chainsaw", "dog"],) * 2,
     ("predicted", ["chainsaw"] * 2), (None, ["chainsaw"] * 2)],
)  # fmt: skip
def test_each_patch_shows_the_map_of_the_class_asked_for(label, expected, make_patches, make_maps, make_predictions):
    patches = make_patches(["dog", "chainsaw"])
    maps = make_maps(patches)
    axes = plots.map_grid(patches, maps, label=label, predictions=make_predictions(patches, "chainsaw"))
    for row, name in enumerate(expected):
        values = maps.isel(patch=row).sel(label=name).to_numpy()
        assert drawn(axes[row, 1])[0] == pytest.approx(values / np.abs(values).max())
        assert axes[row, 1].get_title().split("\n")[1].startswith(f"{name}, peak")


def test_without_predictions_the_only_class_or_the_true_one(make_patches, make_maps):
    patches = make_patches(["dog"])
    only = plots.map_grid(patches, make_maps(patches, labels=["chainsaw"]))
    assert "chainsaw" in only[0, 1].get_title()
    assert "dog" in plots.map_grid(patches, make_maps(patches))[0, 1].get_title()


def test_maps_are_found_by_the_index_of_the_patches(make_patches, make_maps):
    patches = make_patches(["dog"] * 5)
    maps = make_maps(patches, np.arange(1.0, 6)[:, None, None, None])
    axes = plots.map_grid(patches[[3, 0]], maps)
    assert ["peak 4" in axes[0, 1].get_title(), "peak 1" in axes[1, 1].get_title()] == [True, True]


def test_a_coarse_cell_covers_exactly_its_part_of_the_patch(make_patches, make_maps, pixel):
    patches = make_patches(["dog"])
    values = np.zeros((12, 8))
    values[2, 6], values[9, 1] = 1, -1
    ax = plots.map_grid(patches, make_maps(patches, values))[0, 1]
    assert ax.get_xlim() == pytest.approx((0.0075, 0.9675))
    for frame, band, colour in [(16, 48, RED), (23, 55, RED), (72, 8, BLUE), (79, 15, BLUE)]:
        assert pixel(ax, VGGISH.time[frame], VGGISH.frequency[band]) == pytest.approx(colour, abs=0.02)
    for frame, band in [(15, 48), (16, 47), (24, 55), (23, 56), (71, 8), (80, 15)]:
        assert np.ptp(pixel(ax, VGGISH.time[frame], VGGISH.frequency[band])) < 0.02


def test_coarse_and_fine_maps_fill_the_same_extent(make_patches, make_maps):
    patches = make_patches(["dog"])
    corners = []
    for shape in ((12, 8), (96, 64), (1, 1)):
        mesh = plots.map_grid(patches, make_maps(patches, 1, shape=shape))[0, 1].collections[-1]
        grid = mesh.get_coordinates()
        corners.append([*grid[0, 0], *grid[-1, -1]])
    edges = mel_edges(VGGISH.frequency)
    assert edges[:2] == pytest.approx([139.7, 169.9], abs=0.1)  # by hand: bands are 39.82 mel wide, the first at 224.99
    for corner in corners:
        assert corner == pytest.approx([0.0075, edges[0], 0.9675, edges[-1]])


@pytest.mark.parametrize("values", [-0.5, [[0.5], [-0.2]] * 6, 0, 3e-12])
def test_signed_methods_are_centred_at_zero(values, make_patches, make_maps):
    patches = make_patches(["dog"])
    ax = plots.map_grid(patches, make_maps(patches, values, method="lime"))[0, 1]
    shown, norm = drawn(ax)
    assert (norm.vmin, norm.vmax) == (-1, 1) and norm(0.0) == 0.5
    assert ax.collections[-1].cmap.name == "RdBu_r"
    peak = np.ravel(values)[np.abs(np.ravel(values)).argmax()]
    assert np.abs(shown).max() == pytest.approx(float(peak != 0))
    assert ax.get_title().endswith(f"peak {peak:.2g}".replace("-", "−"))


def test_unsigned_methods_start_at_zero_and_a_negative_value_makes_any_method_signed(make_patches, make_maps):
    patches = make_patches(["dog"])
    looks = []
    for values in (0.5, np.linspace(-1, 1, 8)):
        mesh = plots.map_grid(patches, make_maps(patches, values, method="gradcam"))[0, 1].collections[-1]
        looks.append((mesh.norm.vmin, mesh.norm.vmax, mesh.cmap.name))
    assert looks == [(0, 1, "magma"), (-1, 1, "RdBu_r")]


def test_panels_are_scaled_alone_or_with_their_method(make_patches, make_maps):
    patches = make_patches(["dog", "dog"])
    maps = make_maps(patches, np.array([1.0, 4.0])[:, None, None, None])
    for relative_to, strongest in (("panel", [1, 1]), ("method", [0.25, 1])):
        axes = plots.map_grid(patches, maps, relative_to=relative_to)
        assert [drawn(ax)[0].max() for ax in axes[:, 1]] == strongest
        assert axes[0, 0].figure.axes[-1].get_xlabel() == f"Relative to {relative_to}'s largest value"


def test_one_colour_bar_a_scale(make_patches, make_maps):
    patches = make_patches(["dog", "dog"])
    maps = {name: make_maps(patches, 1, method=name) for name in ("gradcam", "lime", "occlusion")}
    axes = plots.map_grid(patches, maps)
    bars = [ax for ax in axes[0, 0].figure.axes if ax not in set(axes.flat)]
    assert len(bars) == 3 and bars[0].get_xlabel() == "Level: ln(mel magnitude + 0.01)"


def test_missing_values_are_grey_and_said(make_patches, make_maps, pixel):
    patches = make_patches(["dog", "dog"])
    values = np.ones((2, 1, 12, 8))
    values[0, :, :6], values[1] = np.nan, np.nan
    axes = plots.map_grid(patches, make_maps(patches, values))
    assert "peak 1" in axes[0, 1].get_title() and "no values" in axes[1, 1].get_title()
    assert pixel(axes[0, 1], 0.2, 1000) == pytest.approx([0.7] * 3, abs=0.01)
    assert pixel(axes[0, 1], 0.8, 1000) == pytest.approx(RED, abs=0.01)


def test_overlay_shows_the_spectrogram_where_the_map_is_zero(make_patches, make_maps, pixel):
    data = np.zeros((1, 96, 64), np.float32)
    data[0, :48] = 5
    patches = make_patches(["dog"], data)
    values = np.zeros((12, 8))
    values[:, 0] = 1
    ax = plots.map_grid(patches, make_maps(patches, values), overlay=True)[0, 1]
    loud, quiet, relevant = pixel(ax, 0.2, 4000), pixel(ax, 0.8, 4000), pixel(ax, 0.8, VGGISH.frequency[4])
    assert np.ptp(loud) < 0.02 and np.ptp(quiet) < 0.02 and loud.mean() < quiet.mean() - 0.3
    assert relevant == pytest.approx(RED, abs=0.02)


def test_titles_of_many_methods_do_not_overlap(make_patches, make_maps, make_predictions):
    patches = make_patches(["crackling_fire"])
    names = ["gradcam", "gradcam++", "lime", "occlusion", "saliency", "scorecam"]
    maps = {name: make_maps(patches, 0.123, method=name) for name in names}
    axes = plots.map_grid(patches, maps, label="true", predictions=make_predictions(patches, "chainsaw"))
    axes[0, 0].figure.canvas.draw()
    boxes = [ax.title.get_window_extent() for ax in axes[0]]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


def test_long_names_in_a_row_do_not_overlap(make_patches, make_maps, make_predictions):
    patches = make_patches(["door_wood_creaks"])
    names = ["gradcam", "lime", "occlusion"]
    maps = {name: make_maps(patches, -0.0123, method=name, labels=["door_wood_creaks", "dog"]) for name in names}
    predictions = make_predictions(patches, "door_wood_creaks")
    grid = plots.map_grid(patches, maps, predictions=predictions)
    comparison = plots.compare_labels(patches, maps, ("door_wood_creaks", "dog"), predictions=predictions)
    for axes in (grid, comparison):
        axes[0, 0].figure.canvas.draw()
        boxes = [ax.title.get_window_extent() for ax in axes[0]]
        assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
        assert min(box.x0 for box in boxes) >= 0 and boxes[-1].x1 <= axes[0, 0].figure.bbox.x1


def test_compare_labels_shares_one_scale_a_row(make_patches, make_maps, make_predictions):
    patch = make_patches(["dog"])
    maps = {name: make_maps(patch, np.array([-1, 0, 3])[:, None, None], method=name) for name in ("gradcam", "lime")}
    axes = plots.compare_labels(patch, maps, predictions=make_predictions(patch, "chainsaw"))
    assert axes.shape == (2, 4)
    for row in axes:
        assert [float(drawn(ax)[0].max()) for ax in row[1:]] == pytest.approx([3 / 4, -1 / 4, 1])
        assert [drawn(ax)[1].vmin for ax in row[1:]] == [-1] * 3
    first, second, difference = (ax.get_title() for ax in axes[1, 1:])
    assert (first, second) == ("LIME\ndog, peak 3", "LIME\nchainsaw, peak −1")
    assert difference == "LIME\ndog − chainsaw, peak 4"
    swapped = plots.compare_labels(patch, maps, ("chainsaw", "crackling_fire"), difference=False)
    assert swapped.shape == (2, 3) and drawn(swapped[0, 2])[0].max() == 0


@pytest.mark.parametrize("labels", [("dog", "dog"), ("dog",), "dog"])
def test_compare_labels_wants_two_classes_and_one_patch(labels, make_patches, make_maps):
    patches = make_patches(["dog", "dog"])
    with pytest.raises(ValueError, match="expected two different classes"):
        plots.compare_labels(patches[[0]], make_maps(patches), labels)
    with pytest.raises(ValueError, match="2 patches: a figure shows 1 to 1"):
        plots.compare_labels(patches, make_maps(patches), ("dog", "chainsaw"))


def test_errors_say_what_does_not_fit(make_patches, make_maps):
    patches = make_patches(["dog", "dog"])
    maps = make_maps(patches)
    others = make_maps(make_patches(["dog", "dog"], first=0))
    bad = [
        (maps.isel(patch=0), {}, r"occlusion.*expected an xarray.DataArray"),
        (maps.to_numpy(), {}, "numpy.ndarray.*expected an xarray.DataArray"),
        (maps.drop_vars("frequency"), {}, "with coordinates"),
        ({}, {}, "the dict is empty"),
        (others, {}, "2 maps of 'occlusion' are not those of these 2 patches"),
        (maps.drop_vars("patch").isel(patch=[0]), {}, "1 maps of 'occlusion' are not those of these 2 patches"),
        (maps, {"label": "predicted"}, "without predictions"),
        (maps, {"label": ["dog"]}, "1 labels for 2 patches"),
        (maps, {"relative_to": "row"}, "expected 'panel' or 'method'"),
    ]
    for wrong, options, text in bad:
        with pytest.raises(ValueError, match=text):
            plots.map_grid(patches, wrong, **options)
    with pytest.raises(
        UnknownLabelError, match=r"'cat' is not among .* Occlusion. Known: chainsaw, crackling_fire, dog"
    ):
        plots.map_grid(patches, maps, label="cat")


@pytest.mark.parametrize(
    ("method", "title"),
    [
        ("lime", "LIME"),
        ("lime (samples=256)", "LIME (samples=256)"),
        ("occlusion, bands", "Occlusion, bands"),
        ("gradcam++", "Grad-CAM++"),
        ("of my own (samples=2)", "of my own (samples=2)"),
    ],
)
def test_what_follows_a_methods_name_stays(method, title):
    assert title_of(method) == title
