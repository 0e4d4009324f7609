import numpy as np
import pytest

from audiointerp.maps.regions import grid_regions, grid_shape, regions_of


@pytest.mark.parametrize(
    ("shape", "grid"), [((96, 64), (8, 6)), ((64, 96), (6, 8)), ((37, 23), (9, 5)), ((2, 2), (2, 2))]
)
def test_grid(shape, grid):
    assert grid_shape(shape) == grid
    region = grid_regions(shape, grid)
    sizes = np.bincount(region.ravel())
    assert len(sizes) == grid[0] * grid[1]
    assert sizes.min() > 0


def test_grid_cells_are_rectangles(patches_of):
    region = regions_of(patches_of((96, 64), n=1))[0]
    assert (region[:12, :10] == 0).all()
    assert region[12, 0] == 6
    assert region[-1, -1] == 47


def test_superpixels(patches_of, with_cells):
    patches = patches_of((96, 64), n=2)
    box = np.s_[0, 30:50, 10:40]
    patches = with_cells(patches, box, patches.data[box] + 20)
    region = regions_of(patches, "superpixels", 30)
    for one in region:
        np.testing.assert_array_equal(np.unique(one), np.arange(one.max() + 1))
        assert 10 < one.max() < 80
    inside = np.zeros((96, 64), bool)
    inside[30:50, 10:40] = True
    assert not set(region[0][inside]) & set(region[0][~inside])


def test_superpixels_of_silence(patches_of, with_cells):
    patches = with_cells(patches_of((96, 64), n=1), np.s_[:], -4.6)
    assert regions_of(patches, "superpixels").max() > 5


def test_any_numbering_of_regions(patches_of):
    given = np.full((37, 23), 7)
    given[:10] = -3
    np.testing.assert_array_equal(regions_of(patches_of(n=2), given)[1], (given == 7).astype(int))
