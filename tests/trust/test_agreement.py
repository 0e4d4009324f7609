"""Agreement between maps whose order is known."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from audiointerp.errors import UnknownLabelError
from audiointerp.trust.agreement import map_agreement


def array(values, labels=("a", "b")):
    values = np.asarray(values, float)
    coords = {"patch": np.arange(len(values)) + 7, "label": list(labels)}
    return xr.DataArray(values, coords, ("patch", "label", "time", "frequency"))


@pytest.fixture
def maps(rng):
    one, noise = rng.normal(size=(2, 3, 2, 10, 8))
    return {"one": array(one), "same order": array(np.exp(one)), "opposite": array(-one), "noise": array(noise)}


def test_equal_order_is_one_and_opposite_order_minus_one(maps):
    table = map_agreement(maps, ["a", "b", "a"]).xs("one, same order", level="methods")
    np.testing.assert_allclose(table, 1)
    table = map_agreement(maps, ["a", "b", "a"]).xs("one, opposite", level="methods")
    np.testing.assert_allclose(table["rank_correlation"], -1)
    np.testing.assert_allclose(table["overlap"], 0)


def test_agrees_with_scipy_and_with_counting(maps):
    row = map_agreement(maps, ["a", "b", "a"]).loc[(8, "b", "one, noise")]
    one, noise = (maps[m].values[1, 1].ravel() for m in ("one", "noise"))
    assert row["rank_correlation"] == pytest.approx(stats.spearmanr(one, noise).statistic)
    strongest = [set(np.argsort(values)[-8:]) for values in (one, noise)]
    assert row["overlap"] == pytest.approx(len(strongest[0] & strongest[1]) / 8)


def test_constant_map_has_no_order():
    maps = {"flat": array(np.zeros((1, 2, 4, 3))), "other": array(np.arange(24).reshape(1, 2, 4, 3))}
    assert np.isnan(map_agreement(maps, ["a"])["rank_correlation"].item())


def test_what_cannot_be_compared_is_said(maps):
    with pytest.raises(ValueError, match="at least two methods"):
        map_agreement({"one": maps["one"]}, ["a", "b", "a"])
    with pytest.raises(ValueError, match="expected the same"):
        map_agreement({"one": maps["one"], "coarse": maps["one"][..., :4]}, ["a", "b", "a"])
    with pytest.raises(ValueError, match="2 labels for 3 patches"):
        map_agreement(maps, ["a", "b"])
    with pytest.raises(UnknownLabelError, match=r"'c'.*a, b"):
        map_agreement(maps, ["a", "b", "c"])


def test_the_order_of_dimensions_and_of_classes_does_not_matter(maps):
    expected = map_agreement(maps, ["a", "b", "a"])
    turned = {name: one.transpose("frequency", "label", "time", "patch")[:, ::-1] for name, one in maps.items()}
    pd.testing.assert_frame_equal(map_agreement({**maps, "one": turned["one"]}, ["a", "b", "a"]), expected)


def test_maps_of_other_patches_are_refused(maps):
    other = maps["one"].assign_coords(patch=maps["one"]["patch"] + 1)
    with pytest.raises(ValueError, match="maps of one and other differ in patch"):
        map_agreement({"one": maps["one"], "other": other}, ["a", "b", "a"])
    for name, one, two in (("start", [0.0, 0.24, 0.48], [0.0, 0.24, 0.5]), ("clip", [0, 0, 1], [0, 1, 1])):
        both = {key: maps["one"].assign_coords({name: ("patch", own)}) for key, own in (("one", one), ("two", two))}
        with pytest.raises(ValueError, match=f"maps of one and two differ in {name}"):
            map_agreement(both, ["a", "b", "a"])


def test_a_class_that_one_method_lacks_is_named(maps):
    with pytest.raises(UnknownLabelError, match="label 'b': the maps of other are of a"):
        map_agreement({"one": maps["one"], "other": maps["one"].sel(label=["a"])}, ["a", "b", "a"])
