"""Profiles of classes, differences and agreement, beside values worked out by hand and by other libraries."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from audiointerp.errors import UnknownLabelError
from audiointerp.maps import class_difference, class_profile, explain_to_file, method_consensus


@pytest.fixture
def maps(rng):
    """Maps of 60 patches of 20 clips, classes a and b; a is raised at the first frequency."""
    values = rng.normal(size=(60, 2, 4, 3))
    clip = np.arange(60) // 3
    values += rng.normal(size=20)[clip][:, None, None, None]  # clips differ
    true = np.where(clip % 2, "b", "a")
    values[true == "a", 0, :, 0] += 5
    coords = {"patch": np.arange(60), "label": ["a", "b"], "time": np.arange(4) / 10, "frequency": [100.0, 200, 400]}
    coords |= {"clip": ("patch", clip), "true": ("patch", true)}
    return xr.DataArray(values, coords, ("patch", "label", "time", "frequency"), attrs={"units": "logit"})


@pytest.mark.parametrize("along, axes", [("frequency", (1,)), ("time", (2,)), (None, ())])
def test_profile(along, axes, maps):
    found = class_profile(maps, along=along)
    kept = {"frequency": (3,), "time": (4,), None: (4, 3)}[along]
    for number, label in enumerate("ab"):
        own = maps.values[maps["true"] == label, number].mean(axis=axes)
        one = found.sel(label=label)
        np.testing.assert_allclose(one["mean"], own.mean(axis=0))
        for share in (25, 50, 75):
            np.testing.assert_allclose(one[f"q{share}"], np.percentile(own, share, axis=0))
        assert one["mean"].shape == kept and (one["patches"], one["clips"]) == (30, 10)
        clips = own.reshape(10, 3, *kept).mean(axis=1)  # as many patches a clip: the mean of clips is the mean
        expected = stats.bootstrap((clips,), np.mean, method="percentile", random_state=np.random.default_rng(1))
        width = expected.confidence_interval.high - expected.confidence_interval.low
        assert (abs(one["low"] - expected.confidence_interval.low) < 0.15 * width).all()
        assert (abs(one["high"] - expected.confidence_interval.high) < 0.15 * width).all()
    np.testing.assert_allclose(class_profile(maps, "b", along=along, own=False)["mean"][0], maps[:, 1].mean(
        ["patch", *({"frequency": ["time"], "time": ["frequency"], None: []}[along])]))  # fmt: skip


def test_an_interval_knows_that_patches_of_a_clip_belong_together(maps):
    apart = maps.drop_vars("clip")
    wide, narrow = (class_profile(each)["high"] - class_profile(each)["low"] for each in (maps, apart))
    assert (wide > 1.15 * narrow).all()


def test_difference(maps):
    found = class_difference(maps, ("a", "b"))
    own = [maps.values[maps["true"] == label, number].mean(axis=(0, 1)) for number, label in enumerate("ab")]
    np.testing.assert_allclose(found["difference"], own[0] - own[1])
    assert found["low"][0] > 3 and ((found["low"] < 0) & (found["high"] > 0))[1:].all()
    clips = [
        maps.values[maps["true"] == label, k].reshape(10, 3, 4, 3).mean(axis=(1, 2)) for k, label in enumerate("ab")
    ]
    expected = stats.bootstrap(clips, lambda x, y, axis: x.mean(axis) - y.mean(axis), method="percentile",
                               vectorized=True, random_state=np.random.default_rng(1)).confidence_interval  # fmt: skip
    np.testing.assert_allclose(found["low"], expected.low, atol=0.15)
    np.testing.assert_allclose(found["high"], expected.high, atol=0.15)
    np.testing.assert_allclose(class_difference(maps, ("b", "a"))["difference"], -found["difference"])


def test_difference_of_the_same_patches_is_paired(maps):
    maps = maps.copy(data=np.repeat(maps.values[:, :1], 2, axis=1))
    maps[:, 0] += 1
    found = class_difference(maps, ("a", "b"), own=False, along=None)
    for each in ("difference", "low", "high"):  # whatever the clips, it is 1
        np.testing.assert_allclose(found[each], 1)


def test_consensus(maps):
    one = maps.copy(data=np.arange(12.0).reshape(4, 3) + np.zeros((60, 2, 1, 1)))
    ranks = np.arange(12).reshape(4, 3) / 11
    same = method_consensus({"one": one, "two": 100 * one - 7}, "a")
    np.testing.assert_allclose(same["mean"], ranks)
    np.testing.assert_allclose(same["spread"], 0, atol=1e-12)
    against = method_consensus({"one": one, "two": -one}, "a", own=False)
    np.testing.assert_allclose(against["mean"], 0.5)
    np.testing.assert_allclose(against["spread"], abs(ranks - 0.5))
    np.testing.assert_allclose(against["rank"].sel(methods="two"), 1 - ranks)
    np.testing.assert_allclose(method_consensus({"one": one, "flat": 0 * one}, "a")["rank"].sel(methods="flat"), 0.5)
    assert (same.attrs["patches"], against.attrs["patches"]) == (30, 60)


def test_maps_of_a_file(network_of, patches_of, tmp_path):
    patches = patches_of(n=12)
    found = {
        m: explain_to_file(network_of(), patches, tmp_path / m, m, progress=False) for m in ("gradcam", "saliency")
    }
    profile = class_profile(found["gradcam"], ["class0", "class1"])
    np.testing.assert_allclose(profile["mean"][1], found["gradcam"].values[1::2, 1].mean(axis=(0, 1)), rtol=1e-5)
    assert method_consensus(found, "class0")["mean"].shape == (37, 23)


def test_what_cannot_be_compared(maps):
    with pytest.raises(UnknownLabelError, match=r"'c' is not among those of the maps. Known: a, b"):
        class_profile(maps, ["a", "c"])
    with pytest.raises(UnknownLabelError, match=r"own=False.*Known: b"):
        class_profile(maps[maps["true"] == "b"], "a")
    with pytest.raises(ValueError, match="do not know the true classes"):
        class_profile(maps.drop_vars("true"))
    with pytest.raises(ValueError, match="along='label'"):
        class_profile(maps, along="label")
    with pytest.raises(ValueError, match="confidence=95"):
        class_profile(maps, confidence=95)
    with pytest.raises(ValueError, match=r"\['a', 'a'\]: expected two different"):
        class_difference(maps, ("a", "a"))
    with pytest.raises(ValueError, match="at least two methods"):
        method_consensus({"one": maps}, "a")
    with pytest.raises(ValueError, match=r"one \(30, 4, 3\), two \(30, 2, 3\) are not of the same"):
        method_consensus({"one": maps, "two": maps[:, :, :2]}, "a")


def test_one_class_has_no_difference(maps):
    for labels in ("a", ["a"], ("a", "a")):
        with pytest.raises(ValueError, match=r"labels \['a'.*expected two different classes"):
            class_difference(maps, labels)
