"""RISE beside a loop over its masks, and on a network whose weights are known."""

import numpy as np
import pytest

from audiointerp.maps import explain
from audiointerp.maps.rise import rise, smooth_masks

FLOAT32 = {"precision": "float32", "progress": False}


@pytest.mark.parametrize("fill", ["mean", "silence"])
def test_equals_a_loop_over_the_masks(fill, network_of, patches_of):
    network, patches = network_of(), patches_of(n=2)
    found = rise(network, patches, samples=20, grid=(4, 3), fill=fill, seed=3, details=True, **FLOAT32)
    masks = smooth_masks(20, (37, 23), (4, 3), 0.5, 3)
    for row, data in enumerate(patches.data):
        level = data.mean() if fill == "mean" else np.log(patches.frontend.log_offset)
        kept, away, weights = 0, 0, masks.sum(axis=0)
        for mask in masks:
            score = network((data * mask + level * (1 - mask))[None], training=False).numpy()[0][:, None, None]
            kept, away = kept + score * mask, away + score * (1 - mask)
        np.testing.assert_allclose(found["map"][row], kept / weights - away / (20 - weights), atol=1e-5)
    np.testing.assert_allclose(found["score"], network.predict(patches.data, verbose=0), atol=1e-6)


def test_masks_are_smooth_half_kept_and_of_one_seed():
    masks = smooth_masks(400, (96, 64), (8, 6), 0.5, 0)
    assert masks.shape == (400, 96, 64) and masks.min() >= 0 and masks.max() <= 1
    assert masks.mean(axis=0) == pytest.approx(0.5, abs=0.11) and masks.mean() == pytest.approx(0.5, abs=0.02)
    assert np.abs(np.diff(masks, axis=1)).max() <= 1 / 12 + 1e-6  # a coarse cell is 12 frames long
    np.testing.assert_array_equal(masks[:9], smooth_masks(9, (96, 64), (8, 6), 0.5, 0))
    assert (masks[:9] != smooth_masks(9, (96, 64), (8, 6), 0.5, 1)).any()
    assert smooth_masks(300, (96, 64), (8, 6), 0.2, 0).mean() == pytest.approx(0.2, abs=0.03)


def test_the_region_that_counts_stands_out(linear_of, patches_of, with_cells):
    weights = np.zeros((37, 23, 2))
    weights[20:30, 5:12, 0] = 0.3
    network, patches = linear_of(weights), patches_of(n=1)
    patches = with_cells(patches, (slice(None), slice(20, 30), slice(5, 12)), 3.0)
    found = explain(network, patches, "rise", samples=600, score="logit", seed=1, cache=False, **FLOAT32)
    one, other = found.sel(patch=100).transpose("label", "time", "frequency").values
    inside = one[20:30, 5:12]
    assert inside.mean() > 5 * np.abs(one[:12, 15:]).mean()
    time, frequency = np.unravel_index(one.argmax(), one.shape)
    assert 18 <= time < 32 and 3 <= frequency < 14
    np.testing.assert_allclose(other, 0, atol=1e-6)  # nothing of this class is to be hidden


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"samples": 1}, "samples=1: expected at least 2"),
        ({"share": 1}, "share=1: expected more than 0 and less than 1"),
        ({"grid": (0, 3)}, r"grid=\(0, 3\): expected \(time, frequency\)"),
        ({"grid": (8, 200)}, r"whole numbers from 1 to \(37, 23\)"),
        ({"grid": 8}, "grid=8: expected"),
        ({"score": "loss"}, "score='loss'"),
        ({"fill": "zero"}, "fill='zero'"),
    ],
)
def test_mistakes_are_errors(options, match, network_of, patches_of):
    with pytest.raises(ValueError, match=match):
        rise(network_of(), patches_of(n=1), **options)


def test_cells_that_no_mask_hides_or_keeps_are_an_error(network_of, patches_of):
    for options in ({"samples": 8, "share": 0.98}, {"samples": 8, "share": 0.02}, {"samples": 2}):
        with pytest.raises(ValueError, match=r"cells are kept by all of \d masks, or hidden by all.*Raise samples"):
            rise(network_of(), patches_of(n=1), seed=1, **options, **FLOAT32)


def test_the_default_grid_fits_into_a_small_patch(linear_of, patches_of):
    found = rise(linear_of(np.ones((5, 3, 2))), patches_of((5, 3), n=1), samples=64, **FLOAT32)
    assert found.attrs["grid"] == [5, 3] and np.isfinite(found).all()
