import json
import os
import subprocess
import sys
from dataclasses import asdict, replace

import keras
import numpy as np
import pandas as pd
import pytest
import soundfile

from audiointerp.errors import PatchShapeError, UnknownLabelError, WeightsError
from audiointerp.networks.custom_layers import ClassScores, ScaleWaveform
from audiointerp.networks.head import add_head, check_patches, frontend_of, label_index, labels_of, scaled
from audiointerp.networks.saving import digest, load_network, save_network
from audiointerp.networks.soundnet import soundnet
from audiointerp.sound.frontend import SOUNDNET, VGGISH, YAMNET, WaveformFrontEnd
from audiointerp.sound.patches import Patches

LABELS = ["dog", "crying baby", "Türklingel"]


def body(shape=(32, 16, 1)):
    inputs = keras.Input(shape)
    x = keras.layers.Conv2D(3, 3, strides=4, activation="relu", name="conv")(inputs)
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D(name="embedding")(x), name="tiny")


@pytest.fixture
def network(small):
    return add_head(body(), LABELS, small, seed=1)


def foreign(shape=(32, 16, 1)):
    """A network made without this package."""
    return keras.Sequential([keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(3, "softmax")])


def test_scores_are_the_softmax_of_a_dense_layer_on_the_embedding(network, rng):
    x = rng.normal(size=(5, 32, 16, 1)).astype(np.float32)
    embedding = keras.Model(network.input, network.get_layer("embedding").output).predict(x, verbose=0)
    kernel, bias = network.get_layer("FCFinal").get_weights()
    raised = np.exp(embedding.astype(np.float64) @ kernel + bias)
    expected = raised / raised.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(network.predict(x, verbose=0), expected, atol=1e-6)


def test_head_is_new_and_follows_its_seed(network, small):
    tiny = body()
    kernels = [add_head(tiny, LABELS, small, seed=s).get_layer("FCFinal").get_weights()[0] for s in (1, 1, 2)]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert not np.allclose(kernels[0], kernels[2])
    assert kernels[0].shape == (3, len(LABELS))


@pytest.mark.parametrize("labels", [[], ["dog"], ["dog", "cat", "dog"]])
def test_head_needs_two_different_labels(labels):
    with pytest.raises(UnknownLabelError, match="at least two class names"):
        add_head(body(), labels)


def test_labels_and_front_end_travel_with_the_network(network, small):
    assert labels_of(network) == LABELS
    assert frontend_of(network) == small
    clone = keras.models.clone_model(network)
    assert labels_of(clone) == LABELS and frontend_of(clone) == small


def test_networks_made_elsewhere_have_numbers_and_no_front_end():
    assert labels_of(foreign()) == ["0", "1", "2"]
    with pytest.raises(WeightsError, match="does not say which front end"):
        frontend_of(foreign())


def test_label_index(network):
    assert [label_index(network, label) for label in LABELS] == [0, 1, 2]
    with pytest.raises(UnknownLabelError, match=r"'cat'.*'tiny' knows dog, crying baby, Türklingel"):
        label_index(network, "cat")


def test_saved_network_is_whole(network, small, rng, tmp_path):
    x = rng.normal(size=(4, 32, 16, 1)).astype(np.float32)
    path = save_network(network, tmp_path / "new folder" / "Geräusche.keras")
    loaded = load_network(path)
    assert labels_of(loaded) == LABELS and frontend_of(loaded) == small and loaded.name == "tiny"
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), network.predict(x, verbose=0))
    assert [entry.name for entry in path.parent.iterdir()] == ["Geräusche.keras"]


def test_saved_network_alone_classifies_in_a_fresh_process(network, rng, tmp_path):
    x = rng.normal(size=(2, 32, 16, 1)).astype(np.float32)
    save_network(network, tmp_path / "network.keras")
    np.save(tmp_path / "x.npy", x)
    code = (
        "import json, numpy, audiointerp as ai\n"
        "network = ai.load_network('network.keras')\n"
        "scores = network.predict(numpy.load('x.npy'), verbose=0).tolist()\n"
        "print(json.dumps([scores, ai.labels_of(network), ai.frontend_of(network).mels]))"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8"
    )
    assert ran.returncode == 0, ran.stderr
    scores, labels, mels = json.loads(ran.stdout.splitlines()[-1])
    np.testing.assert_allclose(scores, network.predict(x, verbose=0), atol=1e-6)
    assert (labels, mels) == (LABELS, 16)


def test_a_save_that_fails_leaves_the_old_file(network, tmp_path, monkeypatch):
    path = save_network(network, tmp_path / "network.keras")
    before = path.read_bytes()

    def full_disk(self, target, *_, **__):
        with open(target, "wb") as file:
            file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keras.Model, "save", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_network(network, path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["network.keras"]


def test_what_is_not_a_saved_network_is_an_error(network, tmp_path):
    with pytest.raises(WeightsError, match=r"gone\.keras: no such file"):
        load_network(tmp_path / "gone.keras")
    (tmp_path / "text.keras").write_text("not a network")
    with pytest.raises(WeightsError, match=r"text\.keras: not a saved network, or damaged"):
        load_network(tmp_path / "text.keras")
    path = save_network(network, tmp_path / "half.keras")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(WeightsError, match=r"half\.keras: .*damaged"):
        load_network(path)


def test_patches_that_fit_pass(network, toy):
    check_patches(network, toy(2))
    check_patches(foreign(), toy(2))
    check_patches(body((None, None, 1)), toy(2))


@pytest.mark.parametrize("shape", [(16, 32, 1), (32, 16, 3), (32, 16), (16_000, 1), (16_000,)])
def test_networks_whose_input_is_not_a_patch_are_refused(toy, shape):
    with pytest.raises(PatchShapeError, match=r"Expected \(frames, mels, 1\)"):
        check_patches(foreign(shape), toy(2))


def test_networks_with_two_inputs_are_refused(toy):
    two = [keras.Input((32, 16, 1)), keras.Input((32, 16, 1))]
    with pytest.raises(PatchShapeError):
        check_patches(keras.Model(two, keras.layers.Add()(two)), toy(2))


def test_patches_of_another_front_end_are_refused():
    network = add_head(body((96, 64, 1)), LABELS, VGGISH)
    data, table = np.zeros((1, 96, 64), np.float32), pd.DataFrame({"clip": [0]})
    check_patches(network, Patches(data, table, VGGISH))
    for other in (YAMNET, replace(VGGISH, high=7_000.0)):
        with pytest.raises(PatchShapeError, match=r"make_patches\(clips, frontend_of\(network\)\)"):
            check_patches(network, Patches(data, table, other))


def test_scaled():
    assert [scaled(64, w) for w in (1, 0.5, 0.1, 0.001)] == [64, 32, 6, 1]
    for width in (0, -1, 1.5):
        with pytest.raises(ValueError, match="factor above 0"):
            scaled(64, width)


# Networks on waveforms

HEARD = WaveformFrontEnd(sample_rate=22_050, scale=64.0, shortest=9_000, longest=None, channel=None)


def listener(frontend=HEARD, *, head=True):
    """A network on waveforms of any length."""
    inputs = keras.Input((None, 1), name="waveform")
    x = keras.layers.Conv1D(3, 16, strides=4, activation="relu", name="conv")(ScaleWaveform(frontend)(inputs))
    x = keras.layers.GlobalAveragePooling1D(name="embedding")(x)
    own = keras.Model(inputs, x, name="listener")
    return add_head(own, LABELS, frontend, seed=1) if head else own


def test_waveforms_are_scaled_by_the_front_end(rng):
    x = rng.normal(size=(2, 50, 1)).astype(np.float32)
    for scale in (1.0, 256.0):
        layer = ScaleWaveform(replace(HEARD, scale=scale))
        np.testing.assert_allclose(layer(x), scale * x, rtol=1e-6)
        assert layer.compute_output_shape((None, None, 1)) == (None, None, 1)
        assert not layer.weights
    inputs = keras.Input((None, 1))
    assert keras.Model(inputs, ScaleWaveform(HEARD)(inputs)).output_shape == (None, None, 1)


def test_front_end_of_a_network_on_waveforms_with_and_without_a_head():
    for network in (listener(), listener(head=False)):
        assert frontend_of(network) == HEARD
        clone = keras.models.clone_model(network)
        assert frontend_of(clone) == HEARD and isinstance(frontend_of(clone), WaveformFrontEnd)
    assert labels_of(listener()) == LABELS
    assert labels_of(listener(head=False)) == ["0", "1", "2"]


def test_layers_may_be_made_of_settings():
    for frontend in (HEARD, SOUNDNET, VGGISH):
        scores = ClassScores(LABELS, asdict(frontend))
        assert scores.frontend == frontend and type(scores.frontend) is type(frontend)
        again = ClassScores.from_config(json.loads(json.dumps(scores.get_config())))
        assert (again.labels, again.frontend, again.name) == (LABELS, frontend, "scores")
    layer = ScaleWaveform(asdict(HEARD))
    assert layer.frontend == HEARD
    assert ScaleWaveform.from_config(json.loads(json.dumps(layer.get_config()))).frontend == HEARD


@pytest.mark.parametrize("head", [True, False], ids=["head", "no head"])
def test_saved_network_on_waveforms_is_whole(head, rng, tmp_path):
    network = listener(head=head)
    loaded = load_network(save_network(network, tmp_path / "listener.keras"))
    assert frontend_of(loaded) == HEARD and labels_of(loaded) == labels_of(network) and loaded.name == "listener"
    assert loaded.get_layer("scale").frontend == HEARD
    for samples in (40, 9_001):
        x = rng.normal(size=(2, samples, 1)).astype(np.float32)
        np.testing.assert_array_equal(loaded.predict(x, verbose=0), network.predict(x, verbose=0))


def test_saved_soundnet_alone_classifies_a_file(rng, tmp_path):
    frontend = replace(SOUNDNET, shortest=5_000)
    network = soundnet(weights="random", width=1 / 16, labels=LABELS, frontend=frontend, seed=4)
    soundfile.write(tmp_path / "a.wav", rng.normal(0, 0.1, 3_000), 8_000, subtype="FLOAT")
    loaded = load_network(save_network(network, tmp_path / "network.keras"))
    waveform, _ = frontend_of(loaded).read(tmp_path / "a.wav")
    assert len(waveform) == 6_000 and frontend_of(loaded) == frontend and labels_of(loaded) == LABELS
    scores = loaded.predict(waveform[None, :, None], verbose=0)
    np.testing.assert_allclose(scores, network.predict(waveform[None, :, None], verbose=0), atol=1e-6)


def test_fingerprint_knows_the_front_end_and_the_weights():
    network, same, other = listener(), listener(), listener(replace(HEARD, longest=10_000))
    for each in (same, other):
        each.set_weights(network.get_weights())
    assert digest(network) == digest(same) != digest(other)
    kernel, bias = same.get_layer("conv").get_weights()
    same.get_layer("conv").set_weights([kernel, bias + 1])
    assert digest(network) != digest(same)


def test_patches_are_refused_by_networks_on_waveforms(toy):
    for network in (listener(), listener(head=False)):
        with pytest.raises(PatchShapeError, match="network 'listener' takes inputs of shape"):
            check_patches(network, toy(2))
