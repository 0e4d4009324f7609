import numpy as np
import pytest
import xarray as xr

from audiointerp.errors import PatchShapeError
from audiointerp.listening import gain_of, region
from audiointerp.maps.arrays import grid_axis, upsampled
from audiointerp.maps.occlusion import occlusion
from audiointerp.sound.frontend import VGGISH, FrontEnd, mel_to_hz


@pytest.fixture
def cells(rng):
    return rng.random((96, 64))


def with_axes(values, time=VGGISH.time, frequency=VGGISH.frequency, **coords):
    return xr.DataArray(values, {"time": time, "frequency": frequency, **coords}, ("time", "frequency"))


def test_bins_take_from_bands_by_the_normalised_mel_weights(cells):
    gains = gain_of(cells, top=None).to_numpy()
    weights = VGGISH.mel_weights.astype(np.float64)
    heard = weights.sum(axis=1) > 1e-3
    assert gains.shape == (96, 257) and heard.sum() == 235
    np.testing.assert_allclose(gains[:, heard], (cells @ weights.T)[:, heard] / weights.sum(axis=1)[heard], atol=1e-5)


def test_axes_are_those_of_the_transform(cells):
    gains = gain_of(cells)
    np.testing.assert_allclose(gains.time, VGGISH.time)
    np.testing.assert_allclose(gains.frequency, np.arange(257) * 31.25)
    assert (gains.time.units, gains.frequency.units) == ("s", "Hz") and "start" not in gains.coords


def test_ones_and_zeros_everywhere():
    assert (gain_of(np.ones((96, 64))) == 1).all()
    assert (gain_of(np.zeros((96, 64))) == 0).all()


@pytest.mark.parametrize("outside", [0, 0.25, 1.0])
def test_frequencies_that_the_network_cannot_hear(outside, cells):
    gains, nearest = gain_of(cells, outside=outside), gain_of(cells)
    beyond = (nearest.frequency <= 125) | (nearest.frequency >= 7500)
    assert beyond.sum() == 5 + 17
    assert (gains[:, beyond] == outside).all()
    np.testing.assert_array_equal(gains[:, ~beyond], nearest[:, ~beyond])
    inner = gain_of(cells, top=None)
    np.testing.assert_allclose(inner[:, 0], cells[:, 0])
    np.testing.assert_allclose(inner[:, -1], cells[:, -1])


def test_sign():
    values = np.zeros((96, 64))
    values[:48], values[48:] = 2, -1
    positive, negative, both = (gain_of(values, sign=sign) for sign in ("positive", "negative", "both"))
    assert (positive[:48] == 1).all() and (positive[48:] == 0).all()
    assert (negative[:48] == 0).all() and (negative[48:] == 1).all()
    np.testing.assert_allclose(both[:48], 1)
    np.testing.assert_allclose(gain_of(values, sign="both", top=100)[48:], 0.5)


@pytest.mark.parametrize("value", [0.0, -3.0])
def test_nothing_above_zero_lets_nothing_through(value):
    assert (gain_of(np.full((96, 64), value)) == 0).all()


def test_scale_does_not_matter_unless_values_are_gains(cells):
    np.testing.assert_allclose(gain_of(cells * 1e-6), gain_of(cells))
    np.testing.assert_allclose(gain_of(cells / 2, top=None), gain_of(cells, top=None) / 2)


def test_top_does_not_hang_on_one_cell(cells):
    spiked = cells.copy()
    spiked[10, 10] = 1e6
    np.testing.assert_allclose(gain_of(spiked)[20:], gain_of(cells)[20:], rtol=1e-3)
    assert gain_of(spiked, top=100)[20:].max() < 1e-5


def test_power_and_threshold():
    values = np.repeat(np.linspace(0, 1, 96)[:, None], 64, axis=1)
    np.testing.assert_allclose(gain_of(values, top=100, power=2), np.repeat(values[:, :1] ** 2, 257, axis=1))
    binary = gain_of(values, top=100, power=0, threshold=0.5)
    assert (binary[:48] == 0).all() and (binary[48:] == 1).all()
    cut = gain_of(values, top=100, threshold=0.5)
    assert (cut[:48] == 0).all()
    np.testing.assert_allclose(cut[48:, 0], values[48:, 0])


@pytest.mark.parametrize(
    "option", [{"sign": "up"}, {"top": 0}, {"top": 101}, {"power": -1}, {"threshold": 2}, {"outside": "zero"}]
)
def test_options_out_of_range(option, cells):
    with pytest.raises(ValueError, match=f"{next(iter(option))}="):
        gain_of(cells, **option)


@pytest.mark.parametrize("grid", [(12, 8), (6, 4), (1, 1), (7, 64)], ids=str)
def test_coarse_grid_is_what_explain_upsamples(grid, rng):
    values = rng.random(grid)
    fine = gain_of(upsampled(values, (96, 64), "linear"), top=None)
    np.testing.assert_allclose(gain_of(values, top=None), fine, atol=1e-6)
    axes = grid_axis(VGGISH.time, grid[0]), grid_axis(VGGISH.frequency, grid[1])
    np.testing.assert_allclose(gain_of(with_axes(values, *axes), top=None), fine, atol=1e-6)
    details = xr.DataArray(
        values[None, None],
        {"patch": [5], "label": ["dog"], "grid_time": axes[0], "grid_frequency": axes[1]},
        ("patch", "label", "grid_time", "grid_frequency"),
    )
    np.testing.assert_allclose(gain_of(details, top=None), fine, atol=1e-6)


def test_axes_in_any_order(cells):
    map_ = with_axes(cells)
    np.testing.assert_array_equal(gain_of(map_.transpose()[::-1]), gain_of(map_))
    np.testing.assert_array_equal(gain_of(map_), gain_of(cells))


def test_patches_of_a_clip_are_averaged_where_they_overlap(rng):
    values = rng.random((3, 96, 64))
    maps = xr.DataArray(
        values,
        {"start": ("patch", [0.48, 0.72, 2.0]), "clip": ("patch", [4, 4, 4])}
        | {"time": VGGISH.time, "frequency": VGGISH.frequency},
        ("patch", "time", "frequency"),
    )
    joined = gain_of(maps, top=None)
    assert float(joined.start) == 0.48 and len(joined) == 152 + 96
    alone = [gain_of(part, top=None).to_numpy() for part in values]
    np.testing.assert_allclose(joined[:24], alone[0][:24])
    np.testing.assert_allclose(joined[24:96], (alone[0][24:] + alone[1][:72]) / 2)
    np.testing.assert_allclose(joined[96:120], alone[1][72:])
    assert (joined[120:152] == 0).all()
    np.testing.assert_allclose(joined[152:], alone[2])
    with pytest.raises(PatchShapeError, match="of one clip"):
        gain_of(maps.assign_coords(clip=("patch", [4, 4, 5])))
    with pytest.raises(PatchShapeError, match="with their starts"):
        gain_of(maps.drop_vars("start"))


@pytest.mark.parametrize("shape", [(96, 65), (97, 63), (96,), (2, 96, 64), (0, 64)], ids=str)
def test_wrong_shapes(shape):
    with pytest.raises(PatchShapeError, match="expected"):
        gain_of(np.ones(shape))


def test_map_of_another_front_end(small):
    time, frequency = (grid_axis(axis, cells) for axis, cells in ((small.time, 8), (small.frequency, 4)))
    with pytest.raises(PatchShapeError, match=r"along time: 8 cells.*frontend=patches.frontend"):
        gain_of(with_axes(np.ones((8, 4)), time, frequency))
    assert gain_of(with_axes(np.ones((8, 4)), time, frequency), small).shape == (32, 257)
    with pytest.raises(PatchShapeError, match="along frequency"):
        gain_of(with_axes(np.ones((96, 64))).isel(frequency=slice(20, 40)))
    with pytest.raises(PatchShapeError, match="along time"):
        gain_of(with_axes(np.ones((96, 64)), time=np.arange(96.0)))


def test_several_labels_or_other_dimensions():
    maps = with_axes(np.ones((96, 64)))
    with pytest.raises(PatchShapeError, match=r"'label': 2.*maps.sel\(label="):
        gain_of(maps.expand_dims(label=["dog", "rain"]))
    with pytest.raises(PatchShapeError, match="expected time and frequency"):
        gain_of(maps.mean("time"))
    with pytest.raises(PatchShapeError, match="at least one patch"):
        gain_of(maps.expand_dims(patch=[1]).isel(patch=[]))


def test_values_that_are_not_finite(cells):
    cells[3, :5] = np.nan
    with pytest.raises(ValueError, match=r"5 of 6144 values are NaN.*fillna\(0\)"):
        gain_of(cells)


def test_region_is_ones_inside_its_boxes():
    map_ = region([(0.2, 0.4, 500, 1000), (0.3, np.inf, 3000, np.inf)])
    time, frequency = np.meshgrid(VGGISH.time, VGGISH.frequency, indexing="ij")
    inside = (time >= 0.2) & (time < 0.4) & (frequency >= 500) & (frequency < 1000)
    inside |= (time >= 0.3) & (frequency >= 3000)
    np.testing.assert_array_equal(map_, inside)
    np.testing.assert_array_equal(region((0.2, 0.4, 500, 1000)), region([(0.2, 0.4, 500, 1000)]))


@pytest.mark.parametrize("frames", [1, 20, 498])
def test_region_of_any_length(frames):
    gains = gain_of(region((0, 10, 0, 1e4), frames=frames))
    assert gains.shape == (frames, 257) and (gains == 1).all()


def test_soft_edges():
    map_ = region((0.5, 0.6, 0, 1e4), soft=3)
    rows = np.flatnonzero(region((0.5, 0.6, 0, 1e4))[:, 0])
    np.testing.assert_allclose(map_[rows[0] - 5 : rows[0] + 1, 9], [0, 0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(map_[rows[-1] : rows[-1] + 6, 9], [1, 0.75, 0.5, 0.25, 0, 0])


@pytest.mark.parametrize(
    "box", [(0.5, 0.4, 0, 1e4), (0, 1, 900, 800), (0.5, 0.505, 300, 301), (2, 3, 0, 1e4), (0, 1, 0, np.nan)], ids=str
)
def test_box_without_a_cell(box):
    with pytest.raises(ValueError, match="holds no cell"):
        region(box)


def test_what_is_no_box():
    for boxes in ((1, 2, 3), [("a", 1, 2, 3)], [(0, 1, 2, 3), (0, 1)]):
        with pytest.raises(ValueError, match=r"expected \(start_s"):
            region(boxes)
    for option in ({"frames": 0}, {"frames": 1.5}, {"soft": -1}):
        with pytest.raises(ValueError, match="expected a whole number"):
            region((0, 1, 0, 1e4), **option)


def test_front_end_of_other_proportions(rng):
    frontend = FrontEnd(sample_rate=8_000, window=255, hop=100, fft_length=256, mels=20, high=3_500, frames=40)
    assert (gain_of(np.ones((40, 20)), frontend) == 1).all()
    band = np.zeros((40, 20))
    band[:, 7] = 1
    gains = gain_of(band, frontend, frequencies=[frontend.frequency[7], frontend.frequency[8], 4_000])
    np.testing.assert_allclose(gains, np.tile([1.0, 0, 0], (40, 1)), atol=1e-9)
    middle = mel_to_hz(1127 * np.log1p(frontend.frequency[7:9] / 700).mean())
    np.testing.assert_allclose(gain_of(band, frontend, frequencies=[middle]), 0.5)


def test_occlusion_grid_reaches_its_own_centres(rng, small, toy):
    import keras

    from audiointerp.networks.head import add_head

    inputs = keras.Input((32, 16, 1))
    network = add_head(keras.Model(inputs, keras.layers.Flatten()(inputs), name="toy"), ["high", "low"], small)
    maps = occlusion(network, toy(2), upsample=None, precision="float32", progress=False)
    grid = np.abs(maps.sel(label="high").isel(patch=0))
    assert grid.shape == (12, 9) and grid.std() > 0
    rows = np.interp(small.time, grid.time, grid.mean("frequency"))
    same_bands = grid.mean("frequency").broadcast_like(grid)
    gains = gain_of(same_bands, small, top=None)
    np.testing.assert_allclose(gains[:, 100], rows, atol=1e-6)
    same_rows = grid.mean("time").broadcast_like(grid)
    centres = np.isclose(grid.frequency.to_numpy()[:, None], small.frequency, rtol=1e-5).any(axis=1)
    assert centres.sum() == 8  # (the first lies between two cells)
    gains = gain_of(same_rows, small, top=None, frequencies=grid.frequency)
    np.testing.assert_allclose(gains[5, centres], grid.mean("time")[centres], atol=1e-6)
