import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import keras
import numpy as np
import pytest
import soundfile

from audiointerp.errors import WeightsError
from audiointerp.networks.head import add_head, frontend_of, labels_of
from audiointerp.networks.saving import load_network, save_network
from audiointerp.networks.soundnet import soundnet
from audiointerp.sound.frontend import SOUNDNET, WaveformFrontEnd

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


class Unregistered(keras.layers.Layer):
    def call(self, inputs):
        return inputs * 2


def tripled(values):
    return values * 3


def with_layer(body, layer):
    inputs = keras.Input((32, 16, 1))
    return keras.Sequential([inputs, layer, body(), keras.layers.Dense(2, activation="softmax")])


GOOD = {
    "lambda.keras": (lambda: keras.layers.Lambda(lambda x: 2 * x), {"safe_mode": False}, "safe_mode=False"),
    "lambda.h5": (lambda: keras.layers.Lambda(lambda x: 2 * x), {"safe_mode": False}, "safe_mode=False"),
    "own.keras": (Unregistered, {"custom_objects": {"Unregistered": Unregistered}}, "'Unregistered': Unregistered"),
    "own.h5": (Unregistered, {"custom_objects": {"Unregistered": Unregistered}}, "'Unregistered': Unregistered"),
    "function.keras": (
        lambda: keras.layers.Activation(tripled),
        {"custom_objects": {"tripled": tripled}},
        "'tripled': tripled",
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_file_that_keras_does_not_load_is_not_called_damaged(name, body, rng, tmp_path):
    make, options, advice = GOOD[name]
    network, x = with_layer(body, make()), rng.normal(size=(2, 32, 16, 1)).astype(np.float32)
    network.save(tmp_path / name)
    try:
        loaded = load_network(tmp_path / name)
        assert tuple(map(int, keras.__version__.split(".")[:2])) < (3, 10)  # older ones load some of these
    except WeightsError as error:
        assert "a good file" in str(error) and advice in str(error)
        assert "damaged" not in str(error) and "elete" not in str(error)
        loaded = keras.saving.load_model(tmp_path / name, compile=False, **options)  # what is advised works
    np.testing.assert_allclose(loaded.predict(x, verbose=0), network.predict(x, verbose=0), atol=1e-6)


@pytest.mark.parametrize("name", ["network.weights.h5", "renamed.keras"])
def test_a_file_of_weights_alone_is_said_to_be_one(name, body, rng, tmp_path):
    network, other = (with_layer(body, keras.layers.ReLU()) for _ in range(2))
    network.save_weights(tmp_path / "network.weights.h5")
    (tmp_path / "network.weights.h5").rename(tmp_path / name)
    with pytest.raises(WeightsError, match=r"weights alone.*load_weights\(path\).* ending in \.weights\.h5"):
        load_network(tmp_path / name)
    (tmp_path / name).rename(tmp_path / "again.weights.h5")
    other.load_weights(tmp_path / "again.weights.h5")
    x = rng.normal(size=(2, 32, 16, 1)).astype(np.float32)
    np.testing.assert_array_equal(other.predict(x, verbose=0), network.predict(x, verbose=0))


def test_a_folder_is_said_to_be_what_it_is(network, tmp_path):
    network.export(tmp_path / "exported", verbose=False)
    with pytest.raises(WeightsError, match=r"exported: a folder.* SavedModel .*TFSMLayer"):
        load_network(tmp_path / "exported")
    path = save_network(network, tmp_path / "network.keras")
    shutil.unpack_archive(path, tmp_path / "unpacked", "zip")
    with pytest.raises(WeightsError, match=r"unpacked: a folder.*zip what is in it"):
        load_network(tmp_path / "unpacked")
    with pytest.raises(WeightsError, match=r"a folder, not a file\. Expected one file"):
        load_network(tmp_path)


def test_a_wrong_ending_is_said_and_a_file_of_something_else_is_not_to_be_deleted(network, tmp_path):
    path = save_network(network, tmp_path / "network.keras")
    for name in ("network", "network.zip", "network.h5"):
        shutil.copy(path, tmp_path / name)
        with pytest.raises(WeightsError, match=r"Give it that ending, network\.keras"):
            load_network(tmp_path / name)
    (tmp_path / "network.tflite").write_bytes(b"\0\0\0\0TFL3")
    with pytest.raises(WeightsError, match=r"not a network of Keras") as error:
        load_network(tmp_path / "network.tflite")
    assert "elete" not in str(error.value)
    network.save(tmp_path / "legacy.h5")
    assert labels_of(load_network(tmp_path / "legacy.h5")) == LABELS
