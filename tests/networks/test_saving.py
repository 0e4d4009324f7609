import json
import os
import subprocess
import sys
from dataclasses import replace

import keras
import numpy as np
import pytest
import soundfile

from audiointerp.errors import WeightsError
from audiointerp.networks.head import add_head, frontend_of, labels_of, with_frontend
from audiointerp.networks.precision import as_precision
from audiointerp.networks.saving import copy_of, digest, load_network, save_network
from audiointerp.networks.soundnet import soundnet
from audiointerp.sound.frontend import SOUNDNET, WaveformFrontEnd
from audiointerp.training.fine_tuning import fine_tune
from audiointerp.training.recipes import Recipe

LABELS = ["dog", "crying baby", "Türklingel"]


@pytest.fixture
def network(body, small):
    return add_head(body(), LABELS, small, seed=1)


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


# Networks on waveforms

HEARD = WaveformFrontEnd(sample_rate=22_050, scale=64.0, shortest=9_000, longest=None, channel=None)


@pytest.mark.parametrize("head", [True, False], ids=["head", "no head"])
def test_saved_network_on_waveforms_is_whole(head, rng, tmp_path, listener):
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


def test_fingerprint_knows_the_front_end_and_the_weights(listener):
    network, same, other = listener(), listener(), listener(replace(HEARD, longest=10_000))
    for each in (same, other):
        each.set_weights(network.get_weights())
    assert digest(network) == digest(same) != digest(other)
    kernel, bias = same.get_layer("conv").get_weights()
    same.get_layer("conv").set_weights([kernel, bias + 1])
    assert digest(network) != digest(same)


def test_a_copy_has_weights_of_its_own(network):
    copy = copy_of(network)
    assert copy is not network and [layer.name for layer in copy.layers[1:]] == [
        layer.name for layer in network.layers[1:]
    ]
    for one, two in zip(copy.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    copy.get_layer("FCFinal").kernel.assign(copy.get_layer("FCFinal").kernel + 1)
    assert np.abs(copy.get_layer("FCFinal").kernel - network.get_layer("FCFinal").kernel).min() > 0.9
    again = copy_of(network, weights_of=copy)
    np.testing.assert_array_equal(again.get_layer("FCFinal").kernel, copy.get_layer("FCFinal").kernel)


def adapted(rng, nested=False):
    """A network that begins with a Normalization that was adapted, as in TensorFlow's tutorial on audio."""
    normalisation = keras.layers.Normalization(axis=None)
    normalisation.adapt(rng.normal(-4, 3, (50, 32, 16, 1)).astype(np.float32))
    inputs = keras.Input((32, 16, 1))
    x = keras.Sequential([keras.Input((32, 16, 1)), normalisation])(inputs) if nested else normalisation(inputs)
    x = keras.layers.Conv2D(3, 3, activation="relu")(x)
    return keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(keras.layers.GlobalAveragePooling2D()(x)))


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("way", ["copy", "bfloat16", "front end", "trained"])
def test_a_copy_gives_what_the_network_gives(rng, toy, nested, way):
    network, patches = adapted(rng, nested), toy(8, ("0", "1"))
    expected = network.predict(patches.data[..., None], verbose=0)
    assert np.ptp(expected[:, 0]) > 1e-3
    if way == "trained":
        recipe = Recipe(epochs=1, batch_size=8, learning_rate=1e-12)
        copy, _ = fine_tune(network, patches, patches, recipe, progress=False)
        again, _ = fine_tune(network, patches, patches, recipe, progress=False)
        np.testing.assert_allclose(again.predict(patches.data[..., None], verbose=0), expected, atol=1e-5)
    else:
        ways = {"copy": (copy_of,), "bfloat16": (as_precision, "bfloat16"), "front end": (with_frontend, SOUNDNET)}
        copy = ways[way][0](network, *ways[way][1:])
    assert copy is not network
    found = copy.predict(patches.data[..., None], verbose=0)
    np.testing.assert_allclose(found, expected, atol=0.02 if way == "bfloat16" else 1e-5)


@keras.saving.register_keras_serializable("tests")
class Remembering(keras.layers.Layer):
    """Multiplies by a number that is neither a weight nor in its config."""

    factor = 1.0

    def call(self, inputs):
        return self.factor * inputs


def test_a_network_whose_copy_is_another_is_refused(small, body):
    layer = Remembering()
    inputs = keras.Input((32, 16, 1))
    network = add_head(keras.Model(inputs, body()(layer(inputs)), name="remembering"), LABELS, small)
    assert copy_of(network) is not network
    layer.factor = 3.0
    with pytest.raises(WeightsError, match="'remembering' cannot be copied: its copy gives other values"):
        copy_of(network)
