import numpy as np
import pytest
import soundfile
import xarray as xr

from audiointerp import listening
from audiointerp.errors import PatchShapeError, UnreadableAudioError
from audiointerp.listening import gain_of, listen, players, region, write
from audiointerp.maps.arrays import grid_axis, upsampled
from audiointerp.maps.occlusion import occlusion
from audiointerp.sound.frontend import VGGISH, FrontEnd, mel_to_hz
from audiointerp.sound.patches import make_patches

RATE = 16_000


EVERYWHERE = (0, np.inf, 0, np.inf)


@pytest.fixture
def noise(rng):
    return rng.normal(0, 0.1, 5 * RATE).astype(np.float32)


@pytest.fixture
def mix():
    """A low and a high tone together, 2 s."""
    time = np.arange(2 * RATE) / RATE
    return 0.3 * np.sin(2 * np.pi * 300 * time), 0.3 * np.sin(2 * np.pi * 4000 * time)


def snr(found, true):
    error = np.square(np.float64(found) - true).sum()
    return 10 * np.log10(np.square(true, dtype=np.float64).sum() / max(error, 1e-300))


def decibels(waveform, frequency, rate=RATE):
    """Level of a tone, through one bin of a windowed Fourier transform."""
    window = np.hanning(len(waveform))
    tone = np.exp(-2j * np.pi * frequency * np.arange(len(waveform)) / rate)
    return 20 * np.log10(2 * np.abs((waveform * window * tone).sum()) / window.sum() + 1e-12)


def whole(clip, boxes=EVERYWHERE, rate=RATE):
    """Region over a whole clip."""
    return region(boxes, frames=1 + int((len(clip) / rate * RATE - 400) // 160))


@pytest.mark.parametrize("whole_clip", [False, True])
@pytest.mark.parametrize("rate", [16_000, 8_000, 22_050, 44_100, 48_000])
def test_ones_give_the_clip_back_to_its_last_sample(rate, whole_clip, noise):
    heard = listen(noise, whole(noise, rate=rate), sample_rate=rate, whole_clip=whole_clip)
    assert heard.sample_rate == rate and heard.start == 0
    np.testing.assert_array_equal(heard.clip, noise)
    assert snr(heard.kept, noise) > 120
    assert np.abs(heard.left_out).max() < 1e-7


@pytest.mark.parametrize("start", [0, 0.24, 1.00004, 4.03, 4.9])
def test_ones_over_a_patch_give_its_stretch_back(start, noise):
    heard = listen(noise, np.ones((96, 64)), start=start)
    first = round(start * RATE)
    np.testing.assert_array_equal(heard.clip, noise[first : first + 95 * 160 + 400])
    assert snr(heard.kept, heard.clip) > 120
    assert heard.start == pytest.approx(start, abs=1 / RATE)


@pytest.mark.parametrize("samples", [1, 100, 399, 401, 8_000, 15_599, 15_601, 15_759])
@pytest.mark.parametrize("whole_clip", [False, True])
def test_clip_shorter_than_a_patch(samples, whole_clip, noise):
    heard = listen(noise[:samples], np.ones((96, 64)), whole_clip=whole_clip)
    assert len(heard.clip) == len(heard.kept) == len(heard.left_out) == samples
    assert snr(heard.kept, noise[:samples]) > 120


@pytest.mark.parametrize("value", [0, -1])
def test_zeros_and_what_is_negative_are_silence(value, noise):
    heard = listen(noise, np.full((96, 64), value))
    assert (heard.kept == 0).all() and heard.energy_kept == 0
    np.testing.assert_array_equal(heard.left_out, heard.clip)
    assert heard.gain_db == {"clip": 0, "kept": 0, "left_out": 0}


@pytest.mark.parametrize(("kept", "box", "other"), [(4000, (0, 9, 2000, 8000), 300), (300, (0, 9, 0, 1000), 4000)])
def test_the_sound_inside_the_map_stays_and_the_other_goes(kept, box, other, mix):
    clip = sum(mix)
    heard = listen(clip, whole(clip, box), match=False)
    assert abs(decibels(heard.kept, kept) - decibels(clip, kept)) < 0.1
    assert decibels(heard.kept, other) < decibels(clip, other) - 60
    assert abs(decibels(heard.left_out, other) - decibels(clip, other)) < 0.1
    assert decibels(heard.left_out, kept) < decibels(clip, kept) - 60
    assert heard.energy_kept == pytest.approx(0.5, abs=0.01)


def test_own_rate_of_the_file(mix, tmp_path):
    time = np.arange(2 * 44_100) / 44_100
    tones = {300: 0.2, 4_000: 0.2, 12_000: 0.2}
    clip = sum(level * np.sin(2 * np.pi * f * time) for f, level in tones.items())
    soundfile.write(tmp_path / "clip.wav", clip, 44_100, subtype="FLOAT")
    map_ = region((0, 9, 2000, 8000), frames=198)
    for outside, change in (("nearest", 0), (0, -60)):
        heard = listen(tmp_path / "clip.wav", map_, sample_rate="own", match=False, outside=outside)
        assert heard.sample_rate == 44_100 and len(heard.clip) == len(clip)
        found = {f: decibels(heard.kept, f, 44_100) - decibels(clip, f, 44_100) for f in tones}
        assert abs(found[4_000]) < 0.1 and found[300] < -60
        assert abs(found[12_000]) < 0.1 if change == 0 else found[12_000] < change
    heard = listen(str(tmp_path / "clip.wav"), map_)
    assert heard.sample_rate == 16_000 and len(heard.clip) == 2 * RATE


@pytest.mark.parametrize("rate", [16_000, 22_050, 44_100])
def test_a_stretch_of_time_is_kept_to_the_frame(rate, noise):
    heard = listen(noise, region((0.3, 0.6, 0, 1e4), frames=96), start=0.5, sample_rate=rate, whole_clip=True)
    assert len(heard.kept) == len(noise) and heard.start == 0
    unmatched = heard.kept / 10 ** (heard.gain_db["kept"] / 20)
    block = rate // 500
    blocks = len(noise) // block
    share = [np.square(w[: blocks * block]).reshape(blocks, block).mean(axis=1) for w in (unmatched, noise)]
    on = np.flatnonzero(share[0] > 0.25 * share[1]) * block / rate
    assert on[0] == pytest.approx(0.8, abs=0.01) and on[-1] == pytest.approx(1.1, abs=0.01)
    heard_at = np.flatnonzero(np.abs(unmatched) > 1e-6) / rate
    assert heard_at[0] > 0.8 - 0.0251 and heard_at[-1] < 1.1 + 0.0251
    inside = slice(int(0.83 * rate), int(1.07 * rate))
    assert snr(unmatched[inside], noise[inside]) > 100


def test_an_impulse_is_in_the_frames_that_hold_it(noise):
    """Frame i of the map is samples 160 i … 160 i + 400: gains of other frames do not touch an impulse."""
    impulse = np.zeros(len(noise))
    impulse[10_100] = 0.5
    holds = [i for i in range(498) if 160 * i < 10_100 < 160 * i + 400]  # (the window's first sample is 0)
    assert holds == [61, 62, 63]
    map_ = whole(noise) * 0.0
    map_[holds] = 1
    assert snr(listen(impulse, map_).kept, impulse) > 120
    assert (np.abs(listen(impulse, 1 - map_).kept) < 1e-12).all()
    share = []
    for frame in (60, *holds, 64):
        map_ = whole(noise) * 0.0
        map_[frame] = 1
        share.append(listen(impulse, map_, match=False).kept[10_100] / 0.5)
    window = np.array([np.sin(np.pi * (10_100 - 160 * i) / 400) ** 4 for i in holds])
    np.testing.assert_allclose(share, [0, *window / window.sum(), 0], atol=1e-6)


def test_kept_and_left_out_make_the_clip(rng, noise):
    values = rng.normal(size=(96, 64))
    for whole_clip in (False, True):
        heard = listen(noise, values, start=2, whole_clip=whole_clip, match=False)
        np.testing.assert_allclose(heard.kept + heard.left_out, heard.clip, atol=1e-7)
        matched = listen(noise, values, start=2, whole_clip=whole_clip)
        parts = {name: getattr(matched, name) / 10 ** (gain / 20) for name, gain in matched.gain_db.items()}
        np.testing.assert_allclose(parts["kept"] + parts["left_out"], parts["clip"], atol=1e-6)
        np.testing.assert_allclose(parts["kept"], heard.kept, atol=1e-6)
        assert matched.energy_kept == pytest.approx(heard.energy_kept, rel=1e-4)


def test_parts_of_two_gains_add_up(rng, noise):
    one, two = rng.random((2, 96, 64)) / 2
    kept = [listen(noise, gain, percentile=None, match=False).kept for gain in (one, two, one + two)]
    np.testing.assert_allclose(kept[0] + kept[1], kept[2], atol=1e-6)


def test_levels_are_matched(mix):
    clip = mix[0] + 0.2 * mix[1]
    heard = listen(clip, whole(clip, (0, 9, 2000, 8000)))
    root = {name: np.sqrt(np.square(getattr(heard, name)).mean()) for name in heard.gain_db}
    assert root["kept"] == pytest.approx(root["clip"], rel=0.02)
    assert root["left_out"] == pytest.approx(root["clip"], rel=0.02)
    assert heard.gain_db["kept"] - heard.gain_db["clip"] == pytest.approx(14.15, abs=0.1)


@pytest.mark.parametrize("max_boost", [0, 6, 20])
def test_the_boost_has_a_limit(max_boost, mix):
    clip = mix[0] + 0.01 * mix[1]
    heard = listen(clip, whole(clip, (0, 9, 2000, 8000)), max_boost=max_boost)
    assert heard.gain_db["kept"] == pytest.approx(max_boost, abs=1e-6)


def test_pauses_do_not_count_for_the_level(noise):
    """A stretch of even noise is as loud as the whole: it is not raised for being short."""
    heard = listen(noise, region((0, 0.5, 0, 1e4)), start=1, whole_clip=True)
    assert abs(heard.gain_db["kept"]) < 1
    quiet = np.zeros(2 * RATE)
    quiet[8_000:16_000] = noise[:8_000]
    assert listen(quiet, whole(quiet)).gain_db["kept"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("match", [True, False])
@pytest.mark.parametrize("scale", [1, 30, 1e-4])
def test_nothing_clips_and_nothing_is_nan(scale, match, rng):
    clip = rng.standard_t(3, 2 * RATE)
    clip *= scale / np.abs(clip).max()
    heard = listen(clip, rng.normal(size=(96, 64)), match=match, whole_clip=True)
    for name in heard.gain_db:
        sound = getattr(heard, name)
        assert sound.dtype == np.float32 and sound.shape == clip.shape
        assert np.isfinite(sound).all() and np.abs(sound).max() <= 1
    loudest = max(np.abs(getattr(heard, name)).max() for name in heard.gain_db)
    assert loudest == pytest.approx(1) if scale == 30 else loudest > 0
    if not match:
        assert len(set(heard.gain_db.values())) == 1
        np.testing.assert_allclose(heard.kept + heard.left_out, heard.clip, atol=1e-6)


def test_silent_clip():
    heard = listen(np.zeros(2 * RATE), np.ones((96, 64)))
    assert not heard.clip.any() and not heard.kept.any() and not heard.left_out.any()
    assert heard.gain_db == {"clip": 0, "kept": 0, "left_out": 0} and heard.energy_kept == 0


def test_wrong_maps(noise):
    with pytest.raises(PatchShapeError, match=r"along frequency: 65 cells.*region\(\)"):
        listen(noise, np.ones((96, 65)))
    with pytest.raises(ValueError, match="6144 of 6144 values are NaN"):
        listen(noise, np.full((96, 64), np.nan))
    with pytest.raises(TypeError, match="gamma"):
        listen(noise, np.ones((96, 64)), gamma=2)


@pytest.mark.parametrize("start", [5.0, -0.1, np.nan])
def test_map_outside_the_clip(start, noise):
    with pytest.raises(ValueError, match=r"the clip has 5.00 s.*patches.table"):
        listen(noise, np.ones((96, 64)), start=start)


def test_wrong_clips_and_options(noise, tmp_path):
    for clip in (np.zeros(0), np.zeros((2, 100)), np.array([0.0, np.nan])):
        with pytest.raises(UnreadableAudioError, match="expected one channel of finite samples"):
            listen(clip, np.ones((96, 64)))
    with pytest.raises(UnreadableAudioError, match="no such file"):
        listen(tmp_path / "none.wav", np.ones((96, 64)))
    for rate in ("own", 0, "fast", 16_000.5):
        with pytest.raises(ValueError, match="sample_rate="):
            listen(noise, np.ones((96, 64)), sample_rate=rate)
    with pytest.raises(ValueError, match="max_boost=-1"):
        listen(noise, np.ones((96, 64)), max_boost=-1)


@pytest.mark.parametrize("upsample", ["linear", "nearest", None])
@pytest.mark.parametrize("method", ["gradcam", "occlusion"])
def test_maps_of_a_network_can_be_heard(method, upsample, small, tmp_path, noise):
    import keras
    import pandas as pd

    from audiointerp.maps import explain
    from audiointerp.networks.head import add_head

    clip = noise[:RATE]
    soundfile.write(tmp_path / "clip.wav", clip, RATE, subtype="FLOAT")
    patches = make_patches(pd.DataFrame({"path": [str(tmp_path / "clip.wav")], "label": ["high"]}), small)
    inputs = keras.Input((32, 16, 1))
    x = keras.layers.Conv2D(4, 5, strides=4, padding="same", activation="relu")(inputs)
    network = add_head(keras.Model(inputs, keras.layers.Flatten()(x), name="toy"), ["high", "low"], small)
    network.get_layer("FCFinal").set_weights([np.random.default_rng(0).uniform(0, 0.01, (128, 2)), np.zeros(2)])
    options = {"precision": "float32", "progress": False, "cache": False, "upsample": upsample}
    maps = explain(network, patches, method, **options)
    assert maps.shape[2:] != (32, 16) if upsample is None else maps.shape[2:] == (32, 16)
    map_ = maps.sel(label="low")
    one = listen(tmp_path / "clip.wav", map_.isel(patch=2), frontend=small)
    assert one.start == pytest.approx(0.16) and len(one.clip) == 31 * 160 + 400
    every = listen(tmp_path / "clip.wav", map_, frontend=small, sign="both", whole_clip=True)
    np.testing.assert_allclose(every.clip, clip * 10 ** (every.gain_db["clip"] / 20), atol=1e-6)
    assert len(every.clip) == RATE and 0 < every.energy_kept < 1
    for heard in (one, every):
        assert np.isfinite(heard.kept).all() and np.abs(heard.kept).max() <= 1
    with pytest.raises(PatchShapeError, match=r"maps.sel\(label="):
        listen(tmp_path / "clip.wav", maps, frontend=small)


def test_start_of_the_map_is_where_it_is_heard(noise):
    axes = {"time": VGGISH.time, "frequency": VGGISH.frequency, "start": 1.2, "patch": 7, "label": "dog"}
    map_ = xr.DataArray(np.ones((96, 64)), axes, ("time", "frequency"))
    np.testing.assert_array_equal(listen(noise, map_).clip, noise[19_200 : 19_200 + 15_600])
    assert listen(noise, map_, start=0).start == 0


@pytest.fixture
def heard(mix):
    clip = sum(mix)
    return listen(clip, whole(clip, (0, 9, 2000, 8000)))


@pytest.mark.parametrize(("subtype", "step"), [("PCM_16", 2**-15), ("PCM_24", 2**-23), ("FLOAT", 0)])
def test_files_are_what_is_heard(subtype, step, heard, tmp_path):
    files = write(heard, tmp_path / "new" / "folder", subtype=subtype)
    assert [file.name for file in files.values()] == ["clip.wav", "kept.wav", "left_out.wav"]
    assert sorted((tmp_path / "new" / "folder").iterdir()) == sorted(files.values())
    for name, file in files.items():
        sound, rate = soundfile.read(file)
        assert rate == RATE and soundfile.info(file).subtype == subtype
        np.testing.assert_allclose(sound, getattr(heard, name), atol=step)


def test_files_named_after_a_clip(heard, tmp_path):
    files = write(heard, tmp_path / "dog.wav")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["dog_clip.wav", "dog_kept.wav", "dog_left_out.wav"]
    assert files["kept"] == tmp_path / "dog_kept.wav"


def test_a_full_disk_leaves_what_was_there(heard, tmp_path, monkeypatch):
    write(heard, tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    other = listen(np.zeros(RATE), np.ones((96, 64)))
    real, written = listening.Path.write_bytes, []

    def full(path, content):
        written.append(path)
        real(path, content[: 1 + len(content) // 2])
        if len(written) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(listening.Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        write(other, tmp_path)
    monkeypatch.undo()
    assert len(written) == 2
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_folder_that_cannot_be_one(heard, tmp_path):
    (tmp_path / "file").write_text("here already")
    with pytest.raises(OSError, match="file"):
        write(heard, tmp_path / "file" / "folder")
    with pytest.raises(OSError, match="file"):
        write(heard, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "here already"
    with pytest.raises(ValueError, match="subtype='MP3'"):
        write(heard, tmp_path / "sounds", subtype="MP3")
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_players(heard, noise):
    page = players(heard, "rain & <dog>").data
    assert page.count("<audio controls") == 3 and page.count("data:audio/wav;base64,UklGR") == 3
    for text in ("the clip: ", "what the map keeps: ", "what it leaves out: ", "rain &amp; &lt;dog&gt;", " dB"):
        assert text in page
    assert "what the map keeps: silence" in players(listen(noise, np.zeros((96, 64)))).data
    assert "-0.0" not in players(listen(noise, np.ones((96, 64)))).data


@pytest.fixture
def cells(rng):
    return rng.random((96, 64))


def with_axes(values, time=VGGISH.time, frequency=VGGISH.frequency, **coords):
    return xr.DataArray(values, {"time": time, "frequency": frequency, **coords}, ("time", "frequency"))


def test_players_of_something_else(noise):
    with pytest.raises(TypeError, match=r"expected what listen\(\) gives, found ndarray"):
        players(noise)


def test_bins_take_from_bands_by_the_normalised_mel_weights(cells):
    gains = gain_of(cells, percentile=None).to_numpy()
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
    inner = gain_of(cells, percentile=None)
    np.testing.assert_allclose(inner[:, 0], cells[:, 0])
    np.testing.assert_allclose(inner[:, -1], cells[:, -1])


def test_sign():
    values = np.zeros((96, 64))
    values[:48], values[48:] = 2, -1
    positive, negative, both = (gain_of(values, sign=sign) for sign in ("positive", "negative", "both"))
    assert (positive[:48] == 1).all() and (positive[48:] == 0).all()
    assert (negative[:48] == 0).all() and (negative[48:] == 1).all()
    np.testing.assert_allclose(both[:48], 1)
    np.testing.assert_allclose(gain_of(values, sign="both", percentile=100)[48:], 0.5)


@pytest.mark.parametrize("value", [0.0, -3.0])
def test_nothing_above_zero_lets_nothing_through(value):
    assert (gain_of(np.full((96, 64), value)) == 0).all()


def test_scale_does_not_matter_unless_values_are_gains(cells):
    np.testing.assert_allclose(gain_of(cells * 1e-6), gain_of(cells))
    np.testing.assert_allclose(gain_of(cells / 2, percentile=None), gain_of(cells, percentile=None) / 2)


def test_top_does_not_hang_on_one_cell(cells):
    spiked = cells.copy()
    spiked[10, 10] = 1e6
    np.testing.assert_allclose(gain_of(spiked)[20:], gain_of(cells)[20:], rtol=1e-3)
    assert gain_of(spiked, percentile=100)[20:].max() < 1e-5


def test_power_and_threshold():
    values = np.repeat(np.linspace(0, 1, 96)[:, None], 64, axis=1)
    np.testing.assert_allclose(gain_of(values, percentile=100, power=2), np.repeat(values[:, :1] ** 2, 257, axis=1))
    binary = gain_of(values, percentile=100, power=0, threshold=0.5)
    assert (binary[:48] == 0).all() and (binary[48:] == 1).all()
    cut = gain_of(values, percentile=100, threshold=0.5)
    assert (cut[:48] == 0).all()
    np.testing.assert_allclose(cut[48:, 0], values[48:, 0])


@pytest.mark.parametrize(
    "option",
    [{"sign": "up"}, {"percentile": 0}, {"percentile": 101}, {"power": -1}, {"threshold": 2}, {"outside": "zero"}],
)
def test_options_out_of_range(option, cells):
    with pytest.raises(ValueError, match=f"{next(iter(option))}="):
        gain_of(cells, **option)


@pytest.mark.parametrize("grid", [(12, 8), (6, 4), (1, 1), (7, 64)], ids=str)
def test_coarse_grid_is_what_explain_upsamples(grid, rng):
    values = rng.random(grid)
    fine = gain_of(upsampled(values, (96, 64), "linear"), percentile=None)
    np.testing.assert_allclose(gain_of(values, percentile=None), fine, atol=1e-6)
    axes = grid_axis(VGGISH.time, grid[0]), grid_axis(VGGISH.frequency, grid[1])
    np.testing.assert_allclose(gain_of(with_axes(values, *axes), percentile=None), fine, atol=1e-6)
    details = xr.DataArray(
        values[None, None],
        {"patch": [5], "label": ["dog"], "grid_time": axes[0], "grid_frequency": axes[1]},
        ("patch", "label", "grid_time", "grid_frequency"),
    )
    np.testing.assert_allclose(gain_of(details, percentile=None), fine, atol=1e-6)


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
    joined = gain_of(maps, percentile=None)
    assert float(joined.start) == 0.48 and len(joined) == 152 + 96
    alone = [gain_of(part, percentile=None).to_numpy() for part in values]
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
    gains = gain_of(same_bands, small, percentile=None)
    np.testing.assert_allclose(gains[:, 100], rows, atol=1e-6)
    same_rows = grid.mean("time").broadcast_like(grid)
    centres = np.isclose(grid.frequency.to_numpy()[:, None], small.frequency, rtol=1e-5).any(axis=1)
    assert centres.sum() == 8  # (the first lies between two cells)
    gains = gain_of(same_rows, small, percentile=None, frequencies=grid.frequency)
    np.testing.assert_allclose(gains[5, centres], grid.mean("time")[centres], atol=1e-6)
