import numpy as np
import pytest

from audiointerp.maps import explain
from audiointerp.maps.matching import matching
from audiointerp.sound.patches import Patches


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


def test_maps_of_another_set_with_the_same_numbers_are_an_error(network_of, patches, maps):
    for column, values in (("clip", [7, 7, 8, 8]), ("start", patches.start + 0.5)):
        other = Patches(patches.data, patches.table.assign(**{column: values}), patches.frontend)
        for own in (other, other[[1]]):
            with pytest.raises(ValueError, match="must be of the same clips and starts"):
                matching(maps, own, "gradcam")
    text = Patches(patches.data, patches.table.assign(clip=["x", "x", "y", "y"]), patches.frontend)
    assert len(matching(explain(network_of(), text, "gradcam", progress=False), text[[3]], "gradcam")) == 1
    with pytest.raises(TypeError, match=r"select one|Select one with a list"):
        matching(maps[0], patches, "gradcam")
