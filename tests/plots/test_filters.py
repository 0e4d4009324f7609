"""Figures of filters: what they show is what the maps and tables hold, from one filter to many."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from audiointerp.plots.filters import filter_comparison, filter_grid, filter_label_matrix
from audiointerp.sound.frontend import VGGISH

GENRES = ["blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock"]


@pytest.fixture
def make_features(rng):
    """Feature maps of patches, on a grid of 12 x 8 whose cells are 8 frames and 8 bands."""

    def make(patches, values=None, filters=6):
        values = rng.uniform(0.1, 1, (len(patches), 12, 8, filters)) if values is None else values
        coords = {
            "patch": patches.table.index.to_numpy(),
            "label": ("patch", patches.label.astype(str)),
            "clip": ("patch", patches.clip),
            "time": VGGISH.time.reshape(12, 8).mean(axis=1),
            "frequency": np.interp(np.arange(8) * 8 + 3.5, np.arange(64), VGGISH.frequency),
            "filter": np.arange(values.shape[3]),
        }
        return xr.DataArray(np.asarray(values, np.float32), coords, ("patch", "time", "frequency", "filter"))

    return make


@pytest.fixture
def own_clips(make_patches):
    """Patches of so many clips, in turn of three labels."""

    def make(n, clip=None):
        patches = make_patches(np.array(["rock", "jazz", "pop"], dtype=object)[np.arange(n) % 3])
        patches.table["clip"] = np.arange(n) if clip is None else clip
        return patches

    return make


def label_table(means, active=1.0, patches=30):
    means = np.asarray(means, dtype=float)
    index = pd.MultiIndex.from_product([range(len(means)), GENRES[: means.shape[1]]], names=["filter", "label"])
    return pd.DataFrame({"mean": means.ravel(), "std": 0.1, "active": active, "patches": patches}, index)


def statistics(rng, filters=64, **columns):
    table = {"concentration": rng.uniform(0.2, 0.5, filters), "area": 0.09, "purity": rng.uniform(0.3, 1, filters)}
    table |= {"chance": 0.4, "spread": rng.uniform(0, 0.35, filters), "even": 0.28}
    return pd.DataFrame(table | columns)


def titles(axes):
    return [[ax.get_title() for ax in row] for row in axes]


def drawn(ax):
    return ax.collections[0].get_array().reshape(64, 96)


def test_grid_shows_the_strongest_patch_of_each_clip(own_clips, make_features, check_inside):
    patches = own_clips(6, [0, 0, 1, 1, 2, 2])
    values = np.zeros((6, 12, 8, 2))
    values[:, 3, 2, 0] = [4.5, 5, 4, 2, 0, 3]
    values[:, 3, 2, 1] = [0, 0, 0, 7, 0, 0]
    axes = filter_grid(patches, make_features(patches, values), [1, 0], examples=3)
    assert titles(axes) == [["rock, peak 7", "", ""], ["jazz, peak 5", "pop, peak 4", "pop, peak 3"]]
    assert [ax.axison for ax in axes[0]] == [True, False, False] and all(ax.axison for ax in axes[1])
    assert [row[0].get_ylabel().splitlines()[0] for row in axes] == ["filter 1", "filter 0"]
    for ax, number in zip(axes[1], (1, 2, 5), strict=True):
        np.testing.assert_array_equal(drawn(ax), patches.data[number].T)
    check_inside(axes[0, 0].figure)


def test_outline_runs_halfway_down_from_the_active_cell(own_clips, make_features):
    patches = own_clips(1)
    values = np.zeros((1, 12, 8, 1))
    values[0, 3, 2] = 4
    frames, bands = VGGISH.time, np.arange(64)
    for level, reach in ((0.5, 4), (0.25, 6)):
        ax = filter_grid(patches, make_features(patches, values), [0], examples=1, level=level)[0, 0]
        (path,) = ax.collections[1].get_paths()
        across = np.interp(path.vertices[:, 0], frames, np.arange(96))
        up = np.interp(path.vertices[:, 1], VGGISH.frequency, bands)
        middle = 3 * 8 + 3.5, 2 * 8 + 3.5
        found = [across.min(), across.max(), up.min(), up.max()]
        # A cell is 8 x 8, with no centre of its own: the largest value that is drawn is a little below the map's.
        expected = [middle[0] - reach, middle[0] + reach, middle[1] - reach, middle[1] + reach]
        assert found == pytest.approx(expected, abs=0.6)


def test_maps_of_some_patches_in_any_order_find_theirs(own_clips, make_features):
    patches = own_clips(9)
    maps = make_features(patches)
    axes = filter_grid(patches, maps.isel(patch=[7, 2]).transpose("filter", "frequency", "time", "patch"), [3])
    peaks = maps.sel(filter=3).isel(patch=[7, 2]).max(["time", "frequency"]).to_numpy()
    order = [[7, 2][place] for place in np.argsort(-peaks)]
    for ax, number in zip(axes[0, :2], order, strict=True):
        np.testing.assert_array_equal(drawn(ax), patches.data[number].T)
    assert not axes[0, 2].axison


def test_dead_filters_are_said_and_deconvolved_patches_stand_below(own_clips, make_features, rng, check_inside):
    patches = own_clips(4)
    maps = make_features(patches)
    maps[..., 2] = 0
    coords = {"patch": maps["patch"].to_numpy(), "time": patches.time, "frequency": patches.frequency}
    back = xr.DataArray(rng.normal(size=(4, 96, 64)), coords, ("patch", "time", "frequency"))
    axes = filter_grid(patches, maps, [1, 2], examples=2, deconvolved={1: back})
    assert axes.shape == (3, 2) and [t.get_text() for t in axes[2, 0].texts] == ["active nowhere"]
    assert [row[0].get_ylabel() for row in axes[:2]] == ["filter 1\nFrequency (Hz)", "filter 1\ndeconvolved (Hz)"]
    first = int(maps.sel(filter=1).max(["time", "frequency"]).to_numpy().argmax())
    own = back[first].to_numpy()
    np.testing.assert_allclose(drawn(axes[1, 0]), own.T / np.abs(own).max())
    with pytest.raises(ValueError, match="deconvolved maps lack patch"):
        filter_grid(patches, maps, [1], deconvolved={1: back[:0]})
    only_dead = filter_grid(patches, maps, [2])
    check_inside(only_dead[0, 0].figure)


def test_titles_of_a_full_grid_do_not_overlap(own_clips, make_features, check_inside):
    patches = own_clips(8)
    axes = filter_grid(patches, make_features(patches), [0, 1, 2], examples=6)
    check_inside(axes[0, 0].figure)
    for row in axes:
        boxes = [ax.title.get_window_extent() for ax in row]
        assert all(a.x1 < b.x0 for a, b in pairwise(boxes))


def test_matrix_sorts_filters_by_their_first_label():
    table = label_table([[1, 1, 6], [0, 0, 0], [5, 4, 1], [8, 1, 1], [2, 6, 2]])
    ax = filter_label_matrix(table, title="conv4")
    assert [t.get_text() for t in ax.get_yticklabels()] == ["3", "2", "4", "0", "1"]
    assert [t.get_text() for t in ax.get_xticklabels()] == GENRES[:3] and ax.get_title() == "conv4"
    cells = ax.collections[0].get_array()
    np.testing.assert_allclose(cells[:4], 100 * np.array([[8, 1, 1], [5, 4, 1], [2, 6, 2], [1.25, 1.25, 7.5]]) / 10)
    assert cells.mask[4].all() and ax.get_ylabel() == "5 filters (1 dead: grey)"
    assert ax.collections[0].get_clim() == (0, 80) and "even: 33%" in ax.figure.axes[1].get_ylabel()


def test_a_filter_active_in_a_patch_or_two_does_not_set_the_colours():
    table = label_table([[10, 0, 0], [4, 3, 3]])
    table.loc[0, "active"] = [2 / 30, 0, 0]
    ax = filter_label_matrix(table)
    assert ax.collections[0].get_clim() == (0, 40) and ax.collections[0].colorbar.extend == "max"
    table["active"] = 1 / 30
    assert filter_label_matrix(table).collections[0].get_clim() == (0, 100)


@pytest.mark.parametrize("filters", [1, 16, 64, 128])
def test_matrix_is_readable_with_few_and_many_filters(rng, filters, check_inside):
    ax = filter_label_matrix(label_table(rng.uniform(size=(filters, 10))))
    check_inside(ax.figure)
    names = [t for t in ax.get_yticklabels() if t.get_text()]
    assert len(names) == (filters if filters <= 64 else 0)
    boxes = sorted((t.get_window_extent().y0, t.get_window_extent().y1) for t in names)
    assert all(below[1] < above[0] + 1.5 for below, above in pairwise(boxes))
    assert ax.get_ylabel() == ("1 filter" if filters == 1 else f"{filters} filters")


def test_matrix_of_dead_filters_alone():
    ax = filter_label_matrix(label_table(np.zeros((3, 4)), active=0.0))
    assert ax.collections[0].get_array().mask.all() and ax.get_ylabel() == "3 filters (3 dead: grey)"


def test_comparison_shows_each_filter_its_quartiles_and_the_reference(rng, check_inside):
    tables = {"plain": statistics(rng), "interpretable": statistics(rng, 32, chance=0.5)}
    axes = filter_comparison(tables, title="conv4")
    for ax, measure in zip(axes, ("concentration", "purity", "spread"), strict=True):
        for points, (name, table) in zip(ax.collections, tables.items(), strict=True):
            np.testing.assert_allclose(points.get_offsets()[:, 1], table[measure])
            place = list(tables).index(name)
            assert (np.abs(points.get_offsets()[:, 0] - place) < 0.3).all()
        levels = [line.get_ydata() for line in ax.lines]
        for table in tables.values():
            assert any(np.allclose(y, table[measure].median()) for y in levels if len(y))
        assert [t.get_text() for t in ax.get_xticklabels()] == ["plain\n64 filters", "interpretable\n32 filters"]
        assert ax.get_ylim()[0] == 0 and len(ax.get_legend().get_texts()) == 1
    dashed = [line.get_ydata()[0] for line in axes[1].lines if line.get_linestyle() == "--"]
    assert dashed == [0.4, 0.5] and axes[0].figure.get_suptitle() == "conv4"
    check_inside(axes[0].figure)
    again = filter_comparison(tables)
    for one, two in zip(axes[0].collections, again[0].collections, strict=True):
        np.testing.assert_array_equal(one.get_offsets(), two.get_offsets())


def test_comparison_of_one_network_of_dead_filters(rng, check_inside):
    axes = filter_comparison({"dead": statistics(rng, 3, purity=np.nan, chance=np.nan, spread=[np.nan, 0.1, np.nan])})
    assert [ax.get_xticklabels()[0].get_text() for ax in axes] == [
        "dead\n3 filters",
        "dead\n0 filters",
        "dead\n1 filter",
    ]
    check_inside(axes[0].figure)


def test_errors_say_what_does_not_fit(own_clips, make_features, rng):
    patches = own_clips(5)
    maps = make_features(patches)
    bad = [
        (patches, maps.to_numpy(), [0], {}, r"maps are \('ndarray',\)"),
        (patches, maps.sel(filter=0), [0], {}, r"maps are \('patch', 'time', 'frequency'\)"),
        (patches, maps.drop_vars("frequency"), [0], {}, "with all their coordinates"),
        (patches[:3], maps, [0], {}, "maps of 5 patches are not of these 3"),
        (patches, maps, [0, 6], {}, r"filters 6: expected 1 to 12 of those of the maps, 0, 1, 2, 3, 4, … \(6 in all\)"),
        (patches, maps, [], {}, "filters : expected 1 to 12"),
        (patches, maps, [0], {"examples": 7}, "examples=7"),
        (patches, maps, [0], {"level": 1}, "level=1"),
    ]
    for own, wrong, filters, options, text in bad:
        with pytest.raises(ValueError, match=text):
            filter_grid(own, wrong, filters, **options)
    with pytest.raises(ValueError, match="no column mean"):
        filter_label_matrix(label_table(np.ones((2, 3))).drop(columns="mean"))
    with pytest.raises(ValueError, match=r"rows are \[None\]: expected \(filter, label\)"):
        filter_label_matrix(label_table(np.ones((2, 3))).reset_index(drop=True))
    tables = {str(number): statistics(rng) for number in range(5)}
    for wrong, text in ((tables, "5 networks"), ({}, "0 networks"), (tables["0"], "a DataFrame")):
        with pytest.raises(ValueError, match=f"statistics are {text}: expected 1 to 4"):
            filter_comparison(wrong)
    with pytest.raises(ValueError, match="no column even"):
        filter_comparison({"plain": tables["0"].drop(columns="even")})
