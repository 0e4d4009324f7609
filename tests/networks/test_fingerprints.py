import json
import os
import subprocess
import sys
from dataclasses import replace

import joblib
import keras
import numpy as np
import pytest

from audiointerp.errors import WeightsError
from audiointerp.evaluation.predictions import predict
from audiointerp.networks.fingerprints import digest, weights_digest, while_unchanged
from audiointerp.networks.head import add_head
from audiointerp.networks.saving import load_network, save_network
from audiointerp.sound.frontend import WaveformFrontEnd
from audiointerp.training.fine_tuning import fine_tune
from audiointerp.training.recipes import Recipe

LABELS = ["dog", "crying baby", "Türklingel"]
HEARD = WaveformFrontEnd(sample_rate=22_050, scale=64.0, shortest=9_000, longest=None, channel=None)


@pytest.fixture
def network(body, small):
    return add_head(body(), LABELS, small, seed=1)


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
        names, path = {"__name__": "own_notebook"}, tmp_path / f"{len(list(tmp_path.iterdir()))}.py"
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


@keras.saving.register_keras_serializable("tests")
def test_what_an_own_layer_holds_beside_its_config_counts(remembering):
    network, layer = remembering
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
for old, new, cache in json.loads(os.environ["ASKED"]):
    names = {{"__name__": "__main__", "CACHE": cache}}
    exec(code.replace(old, new), names)
    out.append([[float(value) for value in names["found"]], count()])
print(json.dumps(out))
"""
    same, half = ("import keras", "import keras"), ("helper(x) + 0.5", "helper(x) - 0.5")
    changes = [half, ("FACTOR = 3.0", "FACTOR = 0.3"), ("x * FACTOR", "x - FACTOR")]
    results = []
    for asked in ([(*same, True)], [(*same, True), (*same, False), *((*change, True) for change in changes)]):
        environment = {**os.environ, "ASKED": json.dumps(asked), "PYTHONHASHSEED": str(len(asked))}
        ran = subprocess.run(
            [sys.executable, "-c", driver], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert ran.returncode == 0, ran.stderr
        results += json.loads(ran.stdout.splitlines()[-1])
    first, again, anew, *changed = results
    assert again[1] == first[1] == anew[1] > 0 and again[0] == first[0]
    np.testing.assert_allclose(first[0], anew[0], rtol=1e-5)
    kept = [values for values, _ in (first, *changed)]
    for number, which in ((1, range(1, 6)), (2, range(6)), (3, range(6))):
        assert all(abs(kept[number][each] - kept[0][each]) > 1e-4 for each in which), (number, kept)


class Unconfigured(keras.layers.Layer):
    """Takes an array and has no get_config(): Keras cannot tell how it was made."""

    def __init__(self, factors):
        super().__init__()
        self.factors = factors

    def call(self, inputs):
        return inputs * self.factors


def test_results_of_a_layer_without_config_are_right_and_said_not_to_be_kept(body, small, toy, own_cache):
    inputs = keras.Input((32, 16, 1))
    network = add_head(keras.Model(inputs, body()(Unconfigured(np.full(16, 2.0)[:, None])(inputs))), LABELS, small)
    patches = toy(4, labels=LABELS[:2])
    expected = network.predict(patches.data[..., None], verbose=0)
    for _ in range(2):
        with pytest.warns(UserWarning, match="not kept in the cache, but computed anew each time.*gives no config"):
            found = predict(network, patches, progress=False)
        np.testing.assert_allclose(found[LABELS], expected, atol=1e-6)
    predict(network, patches, cache=False, progress=False)  # says nothing: warnings are errors here
    assert not [path for path in own_cache.rglob("*") if path.is_file() and "predictions" in str(path)]
    with pytest.raises(WeightsError, match=r"cannot be copied: .*give it a get_config\(\)"):
        fine_tune(network, patches, patches, Recipe(epochs=1), progress=False)
