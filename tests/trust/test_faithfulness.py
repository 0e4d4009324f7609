"""Deletion and insertion curves of networks whose scores are known by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from audiointerp.errors import UnknownLabelError
from audiointerp.maps.methods import explain
from audiointerp.maps.perturbation import fill_values
from audiointerp.maps.regions import grid_regions, superpixels
from audiointerp.trust.faithfulness import faithfulness_areas, faithfulness_curves

GRID = (2, 3)
PLAIN = {"regions": grid_regions((8, 6), GRID), "score": "logit", "fill": 0.0, "steps": 7, "progress": False}


def painted(patches, values, labels=("class0", "class1")):
    """Maps that give each of the six regions a value, the same for all patches and classes."""
    data = np.asarray(values, float)[grid_regions(patches.data.shape[1:], GRID)]
    data = np.broadcast_to(data, (len(patches), len(labels), *data.shape))
    coords = {"patch": patches.table.index, "label": list(labels)}
    return xr.DataArray(data, coords, ("patch", "label", "time", "frequency"))


@pytest.fixture
def known(linear_of, patches_of, with_cells):
    """A network that counts each region's cells so many times, and patches of ones: 8 cells a region."""
    worth = np.array([5, 1, 0, 3, 2, 4]) / 8
    weights = np.zeros((8, 6, 2), np.float32)
    weights[..., 0] = worth[grid_regions((8, 6), GRID)]
    patches = patches_of((8, 6), 4)
    return linear_of(weights), with_cells(patches, np.s_[:], 1.0), worth


def test_curves_of_a_sum_are_its_parts(known):
    network, patches, worth = known
    curves = faithfulness_curves(network, patches, {"true": painted(patches, worth)}, labels="class0", **PLAIN)
    assert list(curves) == ["method", "curve", "patch", "clip", "label", "share", "score"]
    assert len(curves) == 2 * 2 * 4 * 7
    one = curves[(curves["method"] == "true") & (curves["patch"] == 110)].set_index("curve")
    np.testing.assert_allclose(one.loc["deletion", "share"], np.arange(7) / 6)
    np.testing.assert_allclose(one.loc["deletion", "score"], [15, 10, 6, 3, 1, 0, 0], atol=1e-5)
    np.testing.assert_allclose(one.loc["insertion", "score"], [0, 5, 9, 12, 14, 15, 15], atol=1e-5)
    areas = faithfulness_areas(curves).loc[("true", 110)]
    assert areas[["clip", "label"]].tolist() == [0, "class0"]
    assert areas[["deletion", "insertion"]].tolist() == pytest.approx([(7.5 + 20) / 6, (55 + 7.5) / 6])


def test_random_orders_of_a_sum_fall_evenly_and_are_the_same_for_all_methods(known):
    network, patches, worth = known
    maps = {"true": painted(patches, worth), "backwards": painted(patches, -worth)}
    areas = faithfulness_areas(faithfulness_curves(network, patches, maps, labels="class0", orders=200, **PLAIN))
    np.testing.assert_allclose(areas[["random_deletion", "random_insertion"]], 7.5, atol=0.5)
    assert (areas.loc["true"].filter(like="random") == areas.loc["backwards"].filter(like="random")).all(axis=None)
    assert (areas.loc["true"].filter(like="gain") > 2).all(axis=None)
    assert (areas.loc["backwards"].filter(like="gain") < -2).all(axis=None)
    # Deletion of the weakest first is insertion of the strongest first, looked at from the other end.
    np.testing.assert_allclose(areas.loc["backwards", "deletion"], areas.loc["true", "insertion"], atol=1e-5)


def test_equals_hiding_by_hand(network_of, patches_of):
    """Against the network called on patches that are put together one by one, with superpixels and a mean fill."""
    network, patches = network_of(), patches_of()
    maps = explain(network, patches, "occlusion", progress=False)
    labels = ["class2", "class0", "class1"]
    options = {"regions": "superpixels", "count": 10, "steps": 4, "labels": labels, "progress": False}
    curves = faithfulness_curves(network, patches, {"occlusion": maps}, **options)
    for row, label in enumerate(labels):
        patch, region = patches.data[row], superpixels(patches.data[row], 10)
        own = maps.sel(label=label)[row].values
        order = np.argsort([-own[region == number].mean() for number in range(region.max() + 1)])
        found = curves[(curves["method"] == "occlusion") & (curves["patch"] == patches.table.index[row])]
        for curve, keeps in (("deletion", False), ("insertion", True)):
            expected = []
            for share in found.loc[found["curve"] == curve, "share"]:
                strongest = np.isin(region, order[: round(share * len(order))])
                given = np.where(strongest == keeps, patch, fill_values(patches, "mean")[row])
                expected.append(network(given[None, ..., None]).numpy()[0, int(label[-1])])
            np.testing.assert_allclose(found.loc[found["curve"] == curve, "score"], expected, atol=1e-5)


def test_a_flat_map_is_worth_what_chance_is(known):
    """Equal regions are hidden in random order, not from the first on."""
    network, patches, _ = known
    table = patches.table.iloc[np.zeros(300, int)].reset_index(drop=True)
    patches = replace(patches, data=patches.data[np.zeros(300, int)], table=table)
    maps = {"flat": painted(patches, np.full(6, 0.1))}
    curves = faithfulness_curves(network, patches, maps, labels="class0", orders=1, **PLAIN)
    gains = faithfulness_areas(curves)[["deletion_gain", "insertion_gain"]]
    np.testing.assert_allclose(gains, 0, atol=1e-5)


def test_neither_batches_nor_pieces_nor_the_cache_change_it(known, own_cache, monkeypatch):
    network, patches, worth = known
    maps = {"true": painted(patches, worth), "other": painted(patches, worth[::-1])}
    first = faithfulness_curves(network, patches, maps, batch_size=3, **PLAIN)
    assert list((own_cache / "faithfulness").iterdir())
    pd.testing.assert_frame_equal(first, faithfulness_curves(network, patches, maps, **PLAIN))
    pd.testing.assert_frame_equal(first, faithfulness_curves(network, patches, maps, cache=False, **PLAIN))
    assert set(first["label"]) == {"class0"}  # the predicted one
    monkeypatch.setattr("audiointerp.trust.faithfulness.CHUNK", 3)
    pd.testing.assert_frame_equal(first, faithfulness_curves(network, patches, maps, **PLAIN))
    assert len(list((own_cache / "faithfulness").iterdir())) == 3
    other = faithfulness_curves(network, patches, maps, labels="class1", **PLAIN)
    np.testing.assert_allclose(other["score"], 0)


def test_what_cannot_be_judged_is_said(known):
    network, patches, worth = known
    maps = painted(patches, worth)
    for option, match in (({"steps": 2}, "steps=2"), ({"orders": 0}, "orders=0"), ({"fill": "noise"}, "fill='noise'")):
        with pytest.raises(ValueError, match=match):
            faithfulness_curves(network, patches, {"true": maps}, **PLAIN | option)
    with pytest.raises(ValueError, match=r"maps of coarse are \(4, 4, 6\)"):
        faithfulness_curves(network, patches, {"coarse": maps[:, :, :4]}, **PLAIN)
    with pytest.raises(UnknownLabelError, match="maps of true are of class1"):
        faithfulness_curves(network, patches, {"true": maps.sel(label=["class1"])}, **PLAIN)


def test_maps_are_matched_by_their_patches_not_by_their_place(known, rng):
    network, patches, worth = known
    maps = painted(patches, worth).copy(data=rng.normal(size=(4, 2, 8, 6)))
    options = PLAIN | {"cache": False, "labels": "class0"}
    expected = faithfulness_areas(faithfulness_curves(network, patches, {"o": maps}, **options))
    turned = faithfulness_areas(faithfulness_curves(network, patches[::-1], {"o": maps}, **options))
    columns = ["deletion", "insertion"]
    pd.testing.assert_frame_equal(turned[columns].sort_index(), expected[columns].sort_index())
    some = faithfulness_areas(faithfulness_curves(network, patches[[2]], {"o": maps}, **options))
    np.testing.assert_allclose(some.loc[("o", 120), columns], expected.loc[("o", 120), columns], atol=1e-6)
    with pytest.raises(ValueError, match="4 maps of o are not those of these 4 patches"):
        faithfulness_curves(network, patches, {"o": maps.assign_coords(patch=[1, 2, 3, 4])}, **options)


def test_patches_and_names_that_are_there_twice_are_errors(known):
    network, patches, worth = known
    with pytest.raises(ValueError, match="patch 100 is there twice"):
        faithfulness_curves(network, patches[[0, 0]], {"o": painted(patches, worth)}, **PLAIN)
    with pytest.raises(ValueError, match="a method called 'random': that name is taken"):
        faithfulness_curves(network, patches, {"random": painted(patches, worth)}, **PLAIN)
    with pytest.raises(TypeError, match=r"maps of o: found Dataset, expected an xarray\.DataArray"):
        faithfulness_curves(network, patches, {"o": painted(patches, worth).to_dataset(name="map")}, **PLAIN)
