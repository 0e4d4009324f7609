"""Agreement between maps."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from audiointerp.errors import UnknownLabelError
from audiointerp.trust import agreement


def array(values, labels=("a", "b")):
    values = np.asarray(values, float)
    coords = {"patch": np.arange(len(values)) + 7, "label": list(labels)}
    return xr.DataArray(values, coords, ("patch", "label", "time", "frequency"))


@pytest.fixture
def maps(rng):
    one, noise = rng.normal(size=(2, 3, 2, 10, 8))
    return {"one": array(one), "same order": array(np.exp(one)), "opposite": array(-one), "noise": array(noise)}


def test_equal_order_is_one_and_opposite_order_minus_one(maps):
    table = agreement(maps, ["a", "b", "a"]).xs("one, same order", level="methods")
    np.testing.assert_allclose(table, 1)
    table = agreement(maps, ["a", "b", "a"]).xs("one, opposite", level="methods")
    np.testing.assert_allclose(table["rank_correlation"], -1)
    np.testing.assert_allclose(table["overlap"], 0)


def test_agrees_with_scipy_and_with_counting(maps):
    row = agreement(maps, ["a", "b", "a"]).loc[(8, "b", "one, noise")]
    one, noise = (maps[m].values[1, 1].ravel() for m in ("one", "noise"))
    assert row["rank_correlation"] == pytest.approx(stats.spearmanr(one, noise).statistic)
    strongest = [set(np.argsort(values)[-8:]) for values in (one, noise)]
    assert row["overlap"] == pytest.approx(len(strongest[0] & strongest[1]) / 8)


def test_constant_map_has_no_order():
    maps = {"flat": array(np.zeros((1, 2, 4, 3))), "other": array(np.arange(24).reshape(1, 2, 4, 3))}
    assert np.isnan(agreement(maps, ["a"])["rank_correlation"].item())


def test_what_cannot_be_compared_is_said(maps):
    with pytest.raises(ValueError, match="at least two methods"):
        agreement({"one": maps["one"]}, ["a", "b", "a"])
    with pytest.raises(ValueError, match="at least two methods"):
        agreement({"one": maps["one"], "coarse": maps["one"][..., :4]}, ["a", "b", "a"])
    with pytest.raises(ValueError, match="2 labels for 3 patches"):
        agreement(maps, ["a", "b"])
    with pytest.raises(UnknownLabelError, match=r"'c'.*a, b"):
        agreement(maps, ["a", "b", "c"])
