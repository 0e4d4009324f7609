import keras
import numpy as np
import pandas as pd
import pytest

from audiointerp.networks.head import add_head
from audiointerp.sound.frontend import FrontEnd
from audiointerp.sound.patches import Patches


@pytest.fixture(scope="session")
def patches_of():
    """Random patches of a shape, numbered from 100 in steps of 10, as if taken from a larger set."""

    def build(shape=(37, 23), n=3, seed=0):
        data = np.random.default_rng(seed).normal(-2, 1.5, (n, *shape)).astype(np.float32)
        table = pd.DataFrame(
            {"clip": np.arange(n) // 2, "start": 0.24 * np.arange(n), "label": [f"class{i % 2}" for i in range(n)]},
            index=100 + 10 * np.arange(n),
        )
        return Patches(data, table, FrontEnd(frames=shape[0], mels=shape[1]))

    return build


@pytest.fixture(scope="session")
def network_of():
    """A small network of random weights with two convolutions, batch norm and a head."""

    def build(shape=(37, 23), classes=3, seed=0):
        rng = np.random.default_rng(seed)
        layers = keras.layers
        inputs = keras.Input((*shape, 1))
        x = layers.Conv2D(4, 3, padding="same", activation="relu", name="first")(inputs)
        x = layers.MaxPooling2D(4, padding="same")(x)
        x = layers.Conv2D(6, 3, padding="same", name="second")(x)
        x = layers.BatchNormalization(name="norm")(x)
        x = layers.ReLU(name="rectified")(x)
        x = layers.MaxPooling2D(2, padding="same", name="pool")(x)
        x = layers.Dense(5, activation="relu")(layers.Flatten()(x))
        frontend = FrontEnd(frames=shape[0], mels=shape[1])
        network = add_head(keras.Model(inputs, x, name="small"), [f"class{i}" for i in range(classes)], frontend)
        for weight in network.weights:
            positive = "variance" in weight.path
            weight.assign(rng.uniform(0.5, 2, weight.shape) if positive else rng.normal(0, 0.3, weight.shape))
        return network

    return build


@pytest.fixture(scope="session")
def linear_of():
    """A network whose logits are sums of the patch's cells, weighted by `weights` (frames, mels, classes)."""

    def build(weights):
        *shape, classes = weights.shape
        inputs = keras.Input((*shape, 1))
        frontend = FrontEnd(frames=shape[0], mels=shape[1])
        body = keras.Model(inputs, keras.layers.Flatten()(inputs), name="linear")
        network = add_head(body, [f"class{i}" for i in range(classes)], frontend)
        network.get_layer("FCFinal").set_weights([weights.reshape(-1, classes), np.zeros(classes)])
        return network

    return build


@pytest.fixture(scope="session")
def correlation():
    """Pearson's r of two arrays."""
    return lambda a, b: np.corrcoef(np.ravel(a), np.ravel(b))[0, 1]
