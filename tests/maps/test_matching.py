import numpy as np
import pytest

from audiointerp.maps import explain
from audiointerp.maps.matching import matching


@pytest.fixture
def patches(patches_of):
    return patches_of(n=4)


@pytest.fixture
def maps(network_of, patches):
    return explain(network_of(), patches, "gradcam", progress=False)


def test_maps_come_in_the_order_of_the_patches(maps, patches):
    assert matching(maps, patches, "gradcam") is maps
    turned = matching(maps, patches[[2, 0]], "gradcam")
    np.testing.assert_array_equal(turned.patch, [120, 100])
    np.testing.assert_array_equal(turned.values, maps.values[[2, 0]])


def test_maps_without_numbers_are_taken_as_they_stand_if_there_are_as_many(maps, patches):
    bare = maps.drop_vars("patch")
    assert matching(bare, patches, "gradcam") is bare
    with pytest.raises(ValueError, match="4 maps of gradcam are not those of these 3 patches"):
        matching(bare, patches[:3], "gradcam")


def test_maps_of_others_are_an_error(maps, patches):
    for other in (maps[:2], maps.assign_coords(patch=[1, 2, 3, 4]), maps.assign_coords(patch=[100, 100, 110, 120])):
        with pytest.raises(ValueError, match="are not those of these 4 patches: they are matched by"):
            matching(other, patches, "gradcam")
    with pytest.raises(TypeError, match=r"maps of gradcam: found ndarray, expected an xarray\.DataArray"):
        matching(maps.values, patches, "gradcam")
