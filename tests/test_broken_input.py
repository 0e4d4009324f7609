"""What people really have: broken sounds, broken files in the cache, networks and labels that do not fit.

Each gets an error that says what was found and what to do, or a repair that is stated.
"""

import os
import struct
import warnings

import keras
import numpy as np
import pandas as pd
import pytest
import soundfile

from audiointerp import cli
from audiointerp.errors import AudioRepairWarning, CacheError, PatchShapeError, UnknownLabelError, UnreadableAudioError
from audiointerp.evaluation.metrics import confusion
from audiointerp.evaluation.predictions import predict
from audiointerp.networks.head import add_head, label_index
from audiointerp.sound.frontend import VGGISH
from audiointerp.sound.patches import make_patches
from audiointerp.sound.reading import read_audio
from audiointerp.training import loop as fitting
from audiointerp.training.fine_tuning import embed, fine_tune
from audiointerp.training.recipes import Recipe

RATE = 16_000


def noise(rng, seconds=1.5, rate=RATE):
    return rng.uniform(-0.5, 0.5, int(seconds * rate)).astype(np.float32)


def table(*paths):
    return pd.DataFrame({"path": [str(path) for path in paths], "label": "dog", "fold": 1, "source": "a"})


def refused(path, match):
    """The same error, alone and as one clip of many."""
    with pytest.raises(UnreadableAudioError, match=match):
        read_audio(path)
    with pytest.raises(UnreadableAudioError, match=match):
        make_patches(table(path))


def cut_in_half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


# Sounds


def test_zero_bytes(tmp_path):
    (tmp_path / "a.wav").touch()
    refused(tmp_path / "a.wav", r"a\.wav: no audio frames \(file is 0 bytes\)\. Remove it or download it again")


def test_a_header_without_sound(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(0), RATE)
    refused(tmp_path / "a.wav", r"a\.wav: no audio frames \(file is \d\d bytes\)")


@pytest.mark.parametrize("name", ["a.wav", "a.ogg", "a.mp3", "a.flac"])
def test_text_under_the_name_of_a_sound(tmp_path, name):
    (tmp_path / name).write_text("<html>404: not found</html>\n" * 50)
    refused(tmp_path / name, rf"{name}: (not readable as audio \(\d+ bytes|no audio frames)")


def test_random_bytes_under_the_name_of_a_sound(tmp_path, rng):
    (tmp_path / "a.wav").write_bytes(rng.bytes(5_000))
    refused(tmp_path / "a.wav", r"a\.wav: not readable as audio \(5000 bytes")


def test_a_file_that_is_not_there_and_a_folder_in_its_place(tmp_path):
    refused(tmp_path / "gone.wav", r"gone\.wav: [nN]o such file")
    (tmp_path / "folder.wav").mkdir()
    refused(tmp_path / "folder.wav", r"folder\.wav: (no such file|Is a directory|Permission denied)")


def test_a_truncated_wav_is_used_as_far_as_it_goes(tmp_path, rng):
    samples = noise(rng)
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    header = (tmp_path / "a.wav").stat().st_size - 4 * len(samples)
    (tmp_path / "a.wav").write_bytes((tmp_path / "a.wav").read_bytes()[: header + 4 * 20_000])
    with pytest.warns(AudioRepairWarning, match=r"a\.wav: truncated: .* its first 1\.25 s are used"):
        waveform = read_audio(tmp_path / "a.wav")
    np.testing.assert_array_equal(waveform, samples[:20_000])
    with pytest.warns(AudioRepairWarning, match="truncated"):
        assert len(make_patches(table(tmp_path / "a.wav"))) == 2


def test_a_wav_truncated_within_its_header(tmp_path, rng):
    soundfile.write(tmp_path / "a.wav", noise(rng), RATE)
    for size in (10, 30):
        (tmp_path / "a.wav").write_bytes((tmp_path / "a.wav").read_bytes()[:size])
        refused(tmp_path / "a.wav", r"a\.wav: (not readable as audio|no audio frames)")


def test_a_whole_wav_with_other_chunks_is_not_called_truncated(tmp_path, rng):
    samples = noise(rng)
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    content = (tmp_path / "a.wav").read_bytes() + b"LIST" + struct.pack("<I", 4) + b"INFO"
    (tmp_path / "a.wav").write_bytes(content[:4] + struct.pack("<I", len(content) - 8) + content[8:])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(read_audio(tmp_path / "a.wav"), samples)


@pytest.mark.parametrize("name", ["a.flac", "a.ogg", "a.mp3"])
def test_other_formats_truncated_give_what_there_is_or_an_error(tmp_path, rng, name):
    samples = noise(rng, 3.0)
    soundfile.write(tmp_path / name, samples, RATE)
    cut_in_half(tmp_path / name)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            waveform = read_audio(tmp_path / name)
    except UnreadableAudioError as error:
        assert name in str(error)
        return
    assert 0.5 * RATE < len(waveform) < 2.5 * RATE
    if name == "a.flac":  # the one of the three whose header says how long it is
        assert "truncated" in str(caught[0].message)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_few_samples_that_are_no_numbers_become_zero(tmp_path, rng, value):
    samples = noise(rng)
    samples[[5, 700]] = value
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    with pytest.warns(AudioRepairWarning, match=r"a\.wav: 2 samples are NaN or infinite: set to 0"):
        waveform = read_audio(tmp_path / "a.wav")
    samples[[5, 700]] = 0
    np.testing.assert_array_equal(waveform, samples)
    with pytest.warns(AudioRepairWarning, match="2 samples are NaN"):
        assert np.isfinite(make_patches(table(tmp_path / "a.wav")).data).all()


def test_mostly_invalid_samples(tmp_path, rng):
    samples = noise(rng)
    samples[: int(0.6 * len(samples))] = np.nan
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    refused(tmp_path / "a.wav", r"a\.wav: 60% of its samples are NaN or infinite")


def test_float_samples_that_were_never_scaled(tmp_path, rng):
    soundfile.write(tmp_path / "a.wav", noise(rng) * 32_767, RATE, subtype="FLOAT")
    refused(tmp_path / "a.wav", r"a\.wav: samples up to 1\.6\de\+04, expected -1 to 1")


def test_silence_stays_and_is_said(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(2 * RATE), RATE)
    with pytest.warns(AudioRepairWarning, match=r"a\.wav: silent: every sample is 0"):
        patches = make_patches(table(tmp_path / "a.wav"))
    assert len(patches) == 5 and patches.silent.all()
    np.testing.assert_allclose(patches.data, np.log(0.01), rtol=1e-6)


@pytest.mark.parametrize("rate", [8_000, 96_000])
def test_unusual_sample_rates(tmp_path, rng, rate):
    soundfile.write(tmp_path / "a.wav", noise(rng, 2.0, rate), rate)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        patches = make_patches(table(tmp_path / "a.wav"))
    assert len(patches) == 5 and np.isfinite(patches.data).all()
    assert [rate == 8_000] * len(caught) == ["8000 Hz: nothing above 4000 Hz" in str(w.message) for w in caught]
    # What an 8 kHz file cannot hold is empty, and the rest of it is not
    above = patches.data[:, :, VGGISH.frequency > 4_300].mean()
    below = patches.data[:, :, VGGISH.frequency < 3_700].mean()
    assert below - above > 3 if rate == 8_000 else abs(below - above) < 2


def test_a_sample_rate_that_makes_no_sense(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.ones(500) * 0.1, 100)
    refused(tmp_path / "a.wav", r"a\.wav: its header says 100 samples a second")


@pytest.mark.filterwarnings("ignore:.*sampled at 8000 Hz")
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 96_000])
def test_one_sample(tmp_path, rate):
    soundfile.write(tmp_path / "a.wav", np.array([0.5]), rate)
    with pytest.warns(AudioRepairWarning, match=r"a\.wav: too short for one patch of 0\.96 s: padded with silence"):
        patches = make_patches(table(tmp_path / "a.wav"))
    assert len(patches) == 1 and patches.table["padded"].all() and np.isfinite(patches.data).all()


@pytest.mark.parametrize("channels", [2, 6])
def test_stereo_and_surround(tmp_path, rng, channels):
    one = noise(rng)
    samples = np.zeros((len(one), channels), np.float32)
    samples[:, -1] = one
    soundfile.write(tmp_path / "many.wav", samples, RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "one.wav", one / channels, RATE, subtype="FLOAT")
    patches = make_patches(table(tmp_path / "many.wav", tmp_path / "one.wav"))
    half = len(patches) // 2
    np.testing.assert_allclose(patches.data[:half], patches.data[half:], atol=1e-4)


def test_thirty_minutes(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(1_800 * 2_000, np.int16), 2_000, subtype="PCM_U8")
    refused(tmp_path / "a.wav", r"a\.wav: 30\.0 minutes long, at most 10\.0 minutes are accepted.*raise max_seconds")
    with pytest.warns(AudioRepairWarning):
        assert len(read_audio(tmp_path / "a.wav", 2_000, max_seconds=1_800)) == 1_800 * 2_000


@pytest.mark.parametrize("name", ["a dog, barking.wav", "Hündin – 犬 🐕.wav", "it's 100%.flac"])
def test_names_with_spaces_and_other_letters(tmp_path, rng, name):
    folder = tmp_path / "große Hunde"
    folder.mkdir()
    samples = noise(rng)
    soundfile.write(folder / name, samples, RATE)
    np.testing.assert_allclose(read_audio(folder / name), samples, atol=1e-4)
    patches = make_patches(table(folder / name))
    assert patches.table["path"].iloc[0] == str(folder / name)
    soundfile.write(folder / name, np.zeros(RATE * 2), RATE)
    with pytest.warns(AudioRepairWarning) as caught:
        read_audio(folder / name)
    assert f"große Hunde/{name}" in str(caught[0].message)


# The cache


@pytest.fixture
def sounds(tmp_path, rng):
    paths = [tmp_path / f"{number}.wav" for number in range(2)]
    for path in paths:
        soundfile.write(path, noise(rng), RATE)
    return table(*paths)


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.99])
def test_log_mels_in_the_cache_cut_in_half_are_made_again(sounds, own_cache, capsys, keep):
    expected = make_patches(sounds)
    results = list((own_cache / "log_mel").glob("*.joblib"))
    assert len(results) == 2
    for path in results:
        content = path.read_bytes()
        path.write_bytes(content[: int(keep * len(content))])
    np.testing.assert_array_equal(make_patches(sounds).data, expected.data)
    assert capsys.readouterr().out.count("(log_mel) cannot be read") == 2
    np.testing.assert_array_equal(make_patches(sounds).data, expected.data)
    assert capsys.readouterr().out == ""


@pytest.fixture
def network(small):
    inputs = keras.Input((small.frames, small.mels, 1))
    x = keras.layers.Conv2D(2, 3, strides=4, name="conv")(inputs)
    return add_head(keras.Model(inputs, keras.layers.Flatten()(x), name="tiny"), ["high", "low"], small)


@pytest.mark.parametrize("keep", [0.0, 0.02, 0.5])
def test_embeddings_in_the_cache_cut_in_half_are_made_again(network, toy, own_cache, capsys, keep):
    patches = toy(20)
    expected = embed(network, patches)
    path = next((own_cache / "embeddings").glob("*.joblib"))
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    np.testing.assert_array_equal(embed(network, patches), expected)
    assert "cannot be read" in capsys.readouterr().out
    assert path.read_bytes() == content


RECIPE = Recipe(epochs=2, batch_size=10, validate_every=10)


@pytest.mark.parametrize("name", ["network.keras", "history.csv"])
def test_a_trained_network_in_the_cache_cut_in_half_is_trained_again(network, toy, own_cache, capsys, name):
    patches = toy(40)
    trained, history = fine_tune(network, patches, patches, RECIPE, progress=False)
    cut_in_half(next(own_cache.rglob(name)))
    again, history_again = fine_tune(network, patches, patches, RECIPE, progress=False)
    assert "trained network in the cache cannot be read" in capsys.readouterr().out
    assert len(history_again) == len(history) == 8
    for one, two in zip(trained.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)
    fine_tune(network, patches, patches, RECIPE, progress=False)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["state.keras", "state.csv"])
def test_the_state_of_an_interrupted_training_cut_in_half(network, toy, own_cache, capsys, monkeypatch, name):
    patches = toy(40)
    expected, _ = fine_tune(network, patches, patches, RECIPE, cache=False, progress=False)
    with monkeypatch.context() as patch:
        original = fitting.save_network

        def save_and_stop(*arguments):
            original(*arguments)
            raise KeyboardInterrupt

        patch.setattr(fitting, "save_network", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            fine_tune(network, patches, patches, RECIPE, progress=False)
    cut_in_half(next(own_cache.rglob(name)))
    trained, history = fine_tune(network, patches, patches, RECIPE, progress=False)
    assert "state of an interrupted training cannot be read" in capsys.readouterr().out
    assert list(history["iteration"]) == list(range(1, 9))
    for one, two in zip(trained.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)


@pytest.fixture(params=["file", "read-only"])
def unwritable(request, monkeypatch, tmp_path):
    folder = tmp_path / "cache"
    if request.param == "file":
        folder.write_text("in the way")
    elif not hasattr(os, "geteuid") or os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    else:
        folder.mkdir(mode=0o500)
    monkeypatch.setenv("AUDIOINTERP_CACHE", str(folder))
    return folder


def test_an_unwritable_cache_folder(unwritable, sounds, network, toy, capsys):
    message = r"cache.*: the cache folder cannot be written to .*Set AUDIOINTERP_CACHE"
    patches = toy(4)
    with pytest.raises(CacheError, match=message):
        make_patches(sounds)
    with pytest.raises(CacheError, match=message):
        embed(network, patches)
    with pytest.raises(CacheError, match=message):
        fine_tune(network, patches, patches, RECIPE, progress=False)
    assert cli.main(["cache"]) == 1
    assert "cannot be written to" in capsys.readouterr().err


# Networks and labels


@pytest.mark.parametrize("shape", [(16_000,), (32, 16, 3), (16, 32, 1), (10,)])
def test_a_network_whose_input_is_not_a_patch(toy, shape):
    network = keras.Sequential([keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(2, name="FCFinal")])
    patches = toy(4)
    for use in (
        lambda: predict(network, patches),
        lambda: embed(network, patches),
        lambda: fine_tune(network, patches, patches),
    ):
        with pytest.raises(PatchShapeError, match=r"takes inputs of shape .* the patches are \(32, 16, 1\)"):
            use()


def test_a_label_that_the_network_does_not_know(network, toy):
    with pytest.raises(UnknownLabelError, match=r"'cat': the network 'tiny' knows high, low"):
        label_index(network, "cat")
    with pytest.raises(UnknownLabelError, match=r"\['cat'\]"):
        predictions = predict(network, toy(4, ["high", "cat"]))
        confusion(predictions)
