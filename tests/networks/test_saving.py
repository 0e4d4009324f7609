import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import joblib
import keras
import numpy as np
import pytest
import soundfile

from audiointerp.errors import WeightsError
from audiointerp.networks.head import add_head, frontend_of, labels_of, with_frontend
from audiointerp.networks.precision import as_precision
from audiointerp.networks.saving import copy_of, digest, load_network, save_network, weights_digest, while_unchanged
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


def test_fingerprint_is_the_same_from_a_file(network, tmp_path):
    assert digest(load_network(save_network(network, tmp_path / "network.keras"))) == digest(network)


def test_what_was_computed_is_kept_until_a_weight_changes(network, rng):
    import tensorflow as tf

    kernel, other = network.get_layer("FCFinal").kernel, network.weights[0]
    x, y = rng.normal(size=(4, 32, 16, 1)).astype(np.float32), np.array([0, 1, 2, 0])
    network.compile("sgd", "sparse_categorical_crossentropy")

    @tf.function
    def in_a_graph():
        kernel.assign_add(tf.ones(kernel.shape))

    changes = [
        lambda: kernel.assign(kernel + 1),
        lambda: kernel.assign_add(np.ones(kernel.shape)),
        lambda: other.assign(-other),
        lambda: network.set_weights([2 * weight for weight in network.get_weights()]),
        lambda: network.train_on_batch(x, y),
        lambda: network.fit(x, y, verbose=0),
        in_a_graph,
        in_a_graph,
        lambda: kernel.value.scatter_nd_add([[0, 0]], [1.0]),  # last: from then on it is copied when it is read
    ]
    for number, change in enumerate(changes):
        before = digest(network)
        assert isinstance(before, str)
        assert while_unchanged(network, number, lambda number=number: number) == number
        network.predict(x, verbose=0)
        network.evaluate(x, y, verbose=0)
        assert while_unchanged(network, number, lambda: pytest.fail("computed again")) == number
        weights = network.get_weights()
        change()
        assert any((one != two).any() for one, two in zip(weights, network.get_weights(), strict=True))
        assert while_unchanged(network, number, lambda: "anew") == "anew", number
        assert digest(network) != before, number


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


# Fingerprints of a user's own code

OWN = """
import os, sys, warnings
import keras
import numpy as np
from keras import layers, ops

FACTOR = 2.0

def helper(x):
    return x + FACTOR

@keras.saving.register_keras_serializable("tests")
def bent(x):
    return ops.tanh(x) * 2

@keras.saving.register_keras_serializable("tests")
class Penalty(keras.regularizers.Regularizer):
    def __call__(self, x):
        return 0.1 * ops.sum(x**2)
    def get_config(self):
        return {}

class Base(layers.Layer):
    def shifted(self, x):
        return x + 3

@keras.saving.register_keras_serializable("tests")
class Mine(Base):
    def __init__(self, gain=4, **options):
        super().__init__(**options)
        self.gain, self.parts = gain, [layers.Dense(2, activation=bent), {"step": 5}]
    def build(self, shape):
        self.parts[0].build(shape)
        super().build(shape)
    def call(self, x):
        return helper(self.shifted(self.gain * x)) + 6 * ops.sum(self.parts[0](x), axis=-1, keepdims=True)
    def get_config(self):
        return {**super().get_config(), "gain": self.gain}

@keras.saving.register_keras_serializable("tests")
class Cell(layers.SimpleRNNCell):
    def call(self, inputs, states, training=False):
        return ops.sin(inputs), [states[0] * 7]

@keras.saving.register_keras_serializable("tests")
class Net(keras.Model):
    def call(self, x, training=False):
        return super().call(x) * 8

def network(shape=(32, 16, 1)):
    keras.utils.clear_session()  # layers are numbered from 0 again
    keras.utils.set_random_seed(1)
    inputs = keras.Input(shape)
    inner = keras.Sequential([keras.Input((4, 2, 1)), Mine()])
    x = inner(layers.AveragePooling2D(8)(inputs))
    x = layers.Lambda(lambda z: z * FACTOR * 9)(x)
    x = layers.TimeDistributed(layers.TimeDistributed(layers.Dense(2, activation=lambda z: z * 11)))(x)
    x = layers.RNN(Cell(8))(layers.Reshape((8, 2))(x)[:, :, :1] * np.ones(8, "float32"))
    return Net(inputs, layers.Dense(2, kernel_regularizer=Penalty(), activation="softmax", name="FCFinal")(x), name="n")
"""


@pytest.fixture
def own(tmp_path):
    """Function from code to the fingerprint of its network, as if it had been typed in."""

    def run(old="import os", new="import os"):
        assert OWN.count(old) == 1
        names, path = {"__name__": "notebook"}, tmp_path / f"{len(list(tmp_path.iterdir()))}.py"
        path.write_text(OWN.replace(old, new))
        exec(compile(path.read_text(), path, "exec"), names)
        found = digest(names["network"]())
        assert isinstance(found, str), found
        return found

    return run


def test_own_code_has_one_fingerprint(own):
    assert own() == own() == own("import os", "# elsewhere\nimport os")


@pytest.mark.parametrize(
    "old, new",
    [
        ("FACTOR = 2.0", "FACTOR = 2.5"),
        ("x + FACTOR", "x - FACTOR"),
        ("tanh(x) * 2", "tanh(x) * 3"),
        ("0.1 *", "0.2 *"),
        ("x + 3", "x + 4"),
        ('"step": 5', '"step": 6'),
        ("gain=4", "gain=5"),
        ("+ 6 *", "+ 7 *"),
        ("states[0] * 7", "states[0] * 8"),
        ("call(x) * 8", "call(x) * 9"),
        ("FACTOR * 9", "FACTOR * 10"),
        ("z * 11", "z * 12"),
    ],
)
def test_changed_code_has_another_fingerprint(old, new, own):
    assert own() != own(old, new)


def test_what_an_own_layer_holds_beside_its_config_counts(small, body):
    layer = Remembering()
    inputs = keras.Input((32, 16, 1))
    network = add_head(keras.Model(inputs, body()(layer(inputs))), LABELS, small)
    before = digest(network)
    assert digest(network) == before
    layer.factor = 3.0
    assert digest(network) != before


def test_a_network_of_known_layers_has_no_code_to_tell(network):
    config = json.loads(json.dumps(network.get_config()))
    assert digest(network) == joblib.hash([config, weights_digest(network)])


KEPT = """
FACTOR = 3.0
import keras
from dataclasses import dataclass
import numpy as np, soundfile
import pandas as pd
import audiointerp as ai

def helper(x):
    return x * FACTOR

@keras.saving.register_keras_serializable("tests")
class Mine(keras.layers.Layer):
    def call(self, x):
        return helper(x) + 0.5

@dataclass(frozen=True)
class Louder(ai.FrontEnd):
    def log_mel(self, waveform):
        return helper(super().log_mel(waveform))

def augmented(patches, targets, rows, rng):
    return helper(patches.data[rows][..., None]), targets[rows]

soundfile.write("a.wav", np.random.default_rng(0).normal(0, 0.1, 16_000), 16_000)
patches = ai.make_patches(pd.DataFrame({"path": ["a.wav"] * 2, "label": list("ab")}), Louder(frames=32, mels=16))
data = np.random.default_rng(0).normal(size=(4, 32, 16)).astype("float32")
shown = ai.Patches(data, patches.table[:4].assign(silent=False), ai.FrontEnd(frames=32, mels=16))
keras.utils.set_random_seed(1)
inputs = keras.Input((32, 16, 1))
x = keras.layers.Conv2D(3, 3, strides=4)(Mine()(inputs))
body = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))
network = ai.networks.add_head(body, list("ab"), shown.frontend)
options, found = {"progress": False, "cache": CACHE}, [patches.data.sum()]
found.append(ai.predict(network, shown, precision="float32", **options)["a"].sum())
found.append(ai.training.embed(network, shown, **options).sum())
found.append(sum(float(abs(layer).sum()) for layer in ai.layer_features(network, shown, **options).values()))
found.append(float(ai.explain(network, shown, "gradcam", **options).sum()))
recipe = ai.Recipe(epochs=1, batch_size=2)
trained, history = ai.fine_tune(network, shown, shown, recipe, augmentation=augmented, **options)
found.append(history["batch_loss"].sum())
"""


def test_results_of_own_code_are_served_while_it_is_the_same(tmp_path, own_cache):
    """In two processes: kept by the one, served by the other until a layer, a helper or a number is another one."""
    driver = f"""
import json, os
from pathlib import Path
from audiointerp.storage.folders import cache_folder
code, out = {KEPT!r}, []
count = lambda: len([path for path in cache_folder(".").rglob("*.*") if path.is_file()])
for old, new in [("", ""), *json.loads(os.environ["CHANGES"])]:
    runs = []
    for cache in (True, False):
        names = {{"__name__": "__main__", "CACHE": cache}}
        exec(code.replace(old, new) if old else code, names)
        runs.append([float(value) for value in names["found"]])
    out.append([*runs, count()])
print(json.dumps(out))
"""
    changes = [("helper(x) + 0.5", "helper(x) - 0.5"), ("FACTOR = 3.0", "FACTOR = 0.3"), ("x * FACTOR", "x - FACTOR")]
    results = []
    for asked in ([], changes):
        environment = {**os.environ, "CHANGES": json.dumps(asked), "PYTHONHASHSEED": str(len(asked))}
        ran = subprocess.run(
            [sys.executable, "-c", driver], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert ran.returncode == 0, ran.stderr
        results += json.loads(ran.stdout.splitlines()[-1])
    first, again, *changed = results
    assert again[2] == first[2] > 0 and again[0] == first[0]
    kept = [values for values, _, _ in (first, *changed)]
    for values, anew, _ in results:
        np.testing.assert_allclose(values, anew, rtol=1e-5)
    for number, which in ((1, range(1, 6)), (2, range(6)), (3, range(6))):
        assert all(abs(kept[number][each] - kept[0][each]) > 1e-4 for each in which), (number, kept)


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
    with pytest.raises(WeightsError, match=r"a good file") as error:
        load_network(tmp_path / name)
    assert advice in str(error.value) and "damaged" not in str(error.value) and "elete" not in str(error.value)
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
