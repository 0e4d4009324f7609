"""Averages and profiles of classes, differences and consensus, as they are drawn."""

import numpy as np
import pytest

from audiointerp import plots
from audiointerp.errors import UnknownLabelError
from audiointerp.maps import class_difference, class_profile, method_consensus


def drawn(ax):
    """Values of the map of a panel [time, frequency] and their norm."""
    mesh = ax.collections[-1]
    return np.ma.filled(mesh.get_array(), np.nan).T, mesh.norm


def test_label_average_means_over_the_class_and_its_edges(make_patches, make_maps):
    patches = make_patches(["dog", "chainsaw", "dog"])
    maps = make_maps(patches)
    centre, above, right = plots.label_average(maps, "dog")
    values = maps.to_numpy()[[0, 2], 2].mean(axis=0)
    shown, norm = drawn(centre)
    assert shown == pytest.approx(values) and norm.vmin == -norm.vmax == -np.abs(values).max()
    assert above.lines[0].get_ydata() == pytest.approx(values.mean(axis=1))
    assert right.lines[0].get_xdata() == pytest.approx(values.mean(axis=0))
    assert right.lines[0].get_ydata() == pytest.approx(maps["frequency"].to_numpy())
    assert centre.figure.get_suptitle() == "Occlusion for dog, mean of 2 patches"
    assert "(probability)" in centre.figure.axes[-1].get_ylabel()
    all_three, *_ = plots.label_average(maps, "dog", own=False)
    assert drawn(all_three)[0] == pytest.approx(maps.to_numpy()[:, 2].mean(axis=0))


def test_frequency_profile_has_a_distinct_line_a_class(make_patches, make_maps):
    labels = [f"class_{number}" for number in range(10)]
    patches = make_patches(labels)
    maps = make_maps(patches, labels=labels)
    ax = plots.frequency_profile(maps)
    lines = [line for line in ax.lines if line.get_label() in {f"{name} (1 patch)" for name in labels}]
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 10
    assert lines[3].get_ydata() == pytest.approx(maps.to_numpy()[3, 3].mean(axis=0))
    assert list(ax.get_xticks()) == [250, 500, 1000, 2000, 4000] and ax.get_xlabel() == "Frequency (Hz)"
    between = ax.transData.transform([(hz, 0) for hz in maps["frequency"].to_numpy()])[:, 0]
    assert np.diff(between) == pytest.approx(np.diff(between)[0])  # equal steps: the axis is mel-spaced


def test_averages_of_unknown_classes(make_patches, make_maps):
    maps = make_maps(make_patches(["dog", "dog"]))
    with pytest.raises(UnknownLabelError, match=r"'cat'"):
        plots.frequency_profile(maps, ["dog", "cat"])
    with pytest.raises(UnknownLabelError, match=r"'chainsaw' is not among .*own=False.*Known: dog"):
        plots.label_average(maps, "chainsaw")
    with pytest.raises(ValueError, match="do not know the true classes"):
        plots.label_average(maps.drop_vars("true"), "dog")


def band(ax, number=0):
    """Lower and upper edge of a band along its axis, by the polygon that is drawn."""
    outline = ax.collections[number].get_paths()[0].vertices
    half = len(outline) // 2
    return outline[1:half], outline[half + 1 : -1][::-1]


def test_bands_are_the_intervals_or_quartiles(make_patches, make_maps):
    maps = make_maps(make_patches(["dog", "chainsaw"] * 4))
    profile = class_profile(maps, ["dog", "chainsaw"])
    for spread, edges in (("auto", ("low", "high")), ("interval", ("low", "high")), ("quartiles", ("q25", "q75"))):
        ax = plots.frequency_profile(maps, ["dog", "chainsaw"], spread=spread)
        for number, label in enumerate(["dog", "chainsaw"]):
            for drawn_edge, name in zip(band(ax, number), edges, strict=True):
                assert drawn_edge[:, 1] == pytest.approx(profile.sel(label=label)[name].values)
    assert not plots.frequency_profile(maps, ["dog"], spread=None).collections
    with pytest.raises(ValueError, match="spread='wide'"):
        plots.frequency_profile(maps, spread="wide")


def test_time_profile(make_patches, make_maps):
    maps = make_maps(make_patches(["dog", "dog"]))
    ax = plots.time_profile(maps, ["dog"])
    assert ax.lines[1].get_ydata() == pytest.approx(maps.to_numpy()[:, 2].mean(axis=(0, 2)))
    assert ax.get_xlabel() == "Time (s)" and "mean over patches and frequency" in ax.get_title()


def test_difference_is_grey_where_it_may_be_nothing(make_patches, make_maps, rng, check_inside):
    patches = make_patches(["dog", "chainsaw"] * 6)
    values = rng.normal(size=(12, 3, 12, 8))
    values[:, 2, :, 0] += 9
    maps = make_maps(patches, values)
    centre, above, right = plots.label_difference(maps, ("dog", "chainsaw"))
    shown, norm = drawn(centre)
    found = class_difference(maps, ("dog", "chainsaw"), along=None)
    sure = (found["low"] > 0) | (found["high"] < 0)
    assert (np.isfinite(shown) == sure).all() and 12 <= sure.sum() < 60
    assert shown[sure] == pytest.approx(found["difference"].values[sure]) and norm.vmin == -norm.vmax
    along = class_difference(maps, ("dog", "chainsaw"))
    assert right.lines[0].get_xdata() == pytest.approx(along["difference"].values)
    assert band(right)[0][:, 0] == pytest.approx(along["low"].values)
    assert centre.figure.get_suptitle() == "Occlusion: dog − chainsaw (grey: 95% interval holds 0)"
    check_inside(above.figure)


def test_consensus_shows_ranks_their_mean_and_spread(make_patches, make_maps, check_inside):
    patches = make_patches(["dog", "dog", "chainsaw"])
    maps = {name: make_maps(patches, method=name) for name in ("lime", "occlusion")}
    axes = plots.consensus(maps, "dog")
    found = method_consensus(maps, "dog")
    assert [ax.get_title() for ax in axes] == ["LIME", "Occlusion", "Mean of the methods", "Spread of the methods"]
    for ax, each in zip(axes, [*found["rank"], found["mean"], found["spread"]], strict=True):
        assert drawn(ax)[0] == pytest.approx(each.values)
    assert axes[0].figure.get_suptitle() == "dog, mean of 2 patches"
    check_inside(axes[0].figure)
