import json

import numpy as np
import pytest
from scipy import ndimage

from audiointerp.maps import explain
from audiointerp.maps.arrays import plain, upsampled
from audiointerp.maps.gradcam import gradcam
from audiointerp.networks.precision import gains_from_bfloat16


@pytest.mark.parametrize(("grid", "shape"), [((12, 8), (96, 64)), ((5, 3), (37, 23)), ((1, 4), (8, 9))])
def test_upsampling(grid, shape):
    values = np.random.default_rng(0).normal(size=(2, *grid)).astype(np.float32)
    factors = (1, shape[0] / grid[0], shape[1] / grid[1])
    expected = [ndimage.zoom(v[None], factors, order=1, mode="nearest", grid_mode=True)[0] for v in values]
    np.testing.assert_allclose(upsampled(values, shape, "linear"), expected, atol=1e-5)
    nearest = upsampled(values, shape, "nearest")
    for i in range(shape[0]):
        for j in range(shape[1]):
            cell = values[:, int((i + 0.5) * grid[0] / shape[0]), int((j + 0.5) * grid[1] / shape[1])]
            np.testing.assert_array_equal(nearest[:, i, j], cell)


def test_grid_coordinates(network_of, patches_of):
    """A grid cell of 4 × 4 has its centre between its second and third frame and band."""
    patches = patches_of((96, 64), n=1)
    grid = gradcam(network_of((96, 64)), patches, upsample=None)
    assert grid.shape == (1, 3, 24, 16)
    np.testing.assert_allclose(grid.time[5], patches.time[[21, 22]].mean())
    np.testing.assert_allclose(grid.frequency[3], patches.frequency[[13, 14]].mean())


def test_every_setting_becomes_an_attribute_of_a_plain_kind():
    found = plain({"layer": "conv", "top": None, "mask": [3, 2], "given": True, "seed": 4, "width": 0.25})
    assert found == {"layer": "conv", "top": "None", "mask": [3, 2], "given": True, "seed": 4, "width": 0.25}
    json.dumps(found)


@pytest.mark.parametrize("method", ["gradcam", "lime", "occlusion"])
@pytest.mark.parametrize("precision", ["auto", "float32", "bfloat16"])
def test_maps_say_the_precision_that_was_used(method, precision, network_of, patches_of):
    options = {"samples": 10} if method == "lime" else {}
    maps = explain(network_of(), patches_of(n=1), method, precision=precision, cache=False, **options)
    if method == "gradcam":
        expected = "float32" if precision == "auto" else precision
    else:
        expected = precision if precision != "auto" else ("bfloat16" if gains_from_bfloat16() else "float32")
    assert maps.attrs["precision"] == expected
    assert all(isinstance(value, str | int | float | list | tuple) for value in maps.attrs.values())
