import numpy as np
import pytest

from audiointerp.maps.occlusion import averaged, covered, occlusion

FLOAT32 = {"precision": "float32"}
SHAPES = [(96, 64), (64, 96), (37, 23), (5, 3)]


def slow_occlusion(network, data, mask, stride, fill):
    """Position by position, cell by cell; centres from border to border."""
    frames, mels = data.shape
    whole = network(data[None], training=False).numpy()[0]
    centres = []
    for side, step in zip(data.shape, stride, strict=True):
        steps = -(-(side - 1) // step)
        centres.append([i * step - (steps * step - (side - 1)) // 2 for i in range(steps + 1)])
    total, times = np.zeros((len(whole), frames, mels)), np.zeros((frames, mels))
    grid = np.zeros((len(whole), len(centres[0]), len(centres[1])))
    for i, row in enumerate(centres[0]):
        for j, column in enumerate(centres[1]):
            top, left = row - mask[0] // 2, column - mask[1] // 2
            window = slice(max(top, 0), top + mask[0]), slice(max(left, 0), left + mask[1])
            hidden = data.copy()
            hidden[window] = fill
            grid[:, i, j] = whole - network(hidden[None], training=False).numpy()[0]
            total[:, window[0], window[1]] += grid[:, i, j, None, None]
            times[window] += 1
    return total / times, grid


@pytest.mark.parametrize(("shape", "mask", "stride"), [((37, 23), (12, 9), (10, 6)), ((23, 37), (5, 20), (5, 11))])
def test_against_slow_loop(shape, mask, stride, network_of, patches_of):
    network, patches = network_of(shape), patches_of(shape, n=2)
    details = occlusion(network, patches, mask=mask, stride=stride, details=True, **FLOAT32)
    for i, data in enumerate(patches.data):
        slow, grid = slow_occlusion(network, data, mask, stride, data.mean())
        np.testing.assert_allclose(details["map"][i], slow, atol=1e-5)
        np.testing.assert_allclose(details["grid"][i], grid, atol=1e-5)
    np.testing.assert_allclose(details["score"], network.predict(patches.data, verbose=0), atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_default_sizes(shape, linear_of, patches_of):
    network, patches = linear_of(np.ones((*shape, 2))), patches_of(shape, n=1)
    settings = occlusion(network, patches).attrs
    expected = {(96, 64): ([19, 13], [10, 6]), (64, 96): ([13, 19], [6, 10]), (5, 3): ([1, 1], [1, 1])}
    if shape in expected:
        assert (settings["mask"], settings["stride"]) == expected[shape]


def test_every_cell_is_covered():
    for side in range(1, 100):
        for mask in {1, 2, 3, max(1, round(0.2 * side)), side // 2 or 1, side}:
            for stride in range(1, mask + 1):
                cover = covered(side, mask, stride)
                assert cover.any(axis=0).all()
                assert cover.any(axis=1).all()


def test_inner_and_border_cells_are_covered_alike():
    for side, mask, stride in ((96, 19, 10), (64, 13, 6)):
        times = covered(side, mask, stride).sum(axis=0)
        assert times.min() >= 1
        assert times.max() <= 3


@pytest.mark.parametrize("shape", SHAPES[:3])
@pytest.mark.parametrize("fill", ["mean", "silence", 0.5])
def test_planted_square(shape, fill, linear_of, patches_of, with_cells):
    """Logit = mean over a square: what a mask takes away is known, and nothing outside the masks' reach counts."""
    top, left, height, width = 10, 6, 8, 6
    weights = np.zeros((*shape, 2))
    weights[top : top + height, left : left + width, 1] = 1 / (height * width)
    patches = patches_of(shape, n=1)
    square = np.s_[:, top : top + height, left : left + width]
    patches = with_cells(patches, square, patches.data[square] + 10)
    mask, stride = (4, 3), (1, 1)
    maps = occlusion(linear_of(weights), patches, mask=mask, stride=stride, fill=fill, score="logit", **FLOAT32)
    values, data = maps.sel(label="class1").values[0], patches.data[0]
    filled = {"mean": data.mean(), "silence": np.log(0.01)}.get(fill, fill)
    lost = weights[..., 1] * (data - filled)

    def taken(i, j):
        """Loss averaged over the masks that cover cell (i, j)."""
        starts = [
            (r, c)
            for r in range(i - mask[0] + 1, i + 1)
            for c in range(j - mask[1] + 1, j + 1)
            if 0 <= r + mask[0] // 2 < shape[0] and 0 <= c + mask[1] // 2 < shape[1]
        ]
        return np.mean([lost[max(r, 0) : r + mask[0], max(c, 0) : c + mask[1]].sum() for r, c in starts])

    for i, j in [(0, 0), (top, left), (top + 4, left + 3), (top - 2, left + 1), (shape[0] - 1, shape[1] - 1)]:
        np.testing.assert_allclose(values[i, j], taken(i, j), atol=1e-4)
    peak = np.unravel_index(values.argmax(), shape)
    assert top <= peak[0] < top + height and left <= peak[1] < left + width
    reach = np.zeros(shape, bool)
    reach[top - 3 : top + height + 3, left - 2 : left + width + 2] = True
    np.testing.assert_allclose(values[~reach], 0, atol=1e-4)
    assert (values[reach] > 0).all()
    np.testing.assert_allclose(maps.sel(label="class0"), 0, atol=1e-6)


def test_square_seen_exactly_by_single_cell_masks(linear_of, patches_of):
    weights = np.zeros((37, 23, 2))
    weights[5:9, 11:20, 0] = 1 / 36
    patches = patches_of(n=1)
    maps = occlusion(linear_of(weights), patches, mask=(1, 1), stride=(1, 1), fill=-9, score="logit", **FLOAT32)
    np.testing.assert_allclose(maps[0, 0], weights[..., 0] * (patches.data[0] + 9), atol=1e-5)


def test_averaged_against_loop():
    rows, columns = covered(9, 4, 3), covered(7, 3, 2)
    grid = np.random.default_rng(0).normal(size=(2, len(rows), len(columns)))
    expected = np.empty((2, 9, 7))
    for i in range(9):
        for j in range(7):
            expected[:, i, j] = grid[:, rows[:, i]][:, :, columns[:, j]].mean(axis=(1, 2))
    np.testing.assert_allclose(averaged(grid, rows, columns), expected)


def test_grid_coordinates(linear_of, patches_of):
    """Centres of what each position hides; the outermost hide only the part that lies in the patch."""
    patches = patches_of((96, 64), n=1)
    grid = occlusion(linear_of(np.ones((96, 64, 2))), patches, upsample=None)
    assert grid.shape == (1, 2, 11, 12)
    np.testing.assert_allclose(grid.time[0], patches.time[[3, 4]].mean())  # frames 0 … 7
    np.testing.assert_allclose(grid.time[2], patches.time[18])  # frames 9 … 27
    np.testing.assert_allclose(grid.frequency[1], patches.frequency[[5, 6]].mean())  # bands 0 … 11
