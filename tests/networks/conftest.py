"""Layers written out in NumPy, to hold the networks against."""

import keras
import numpy as np
import pytest

from audiointerp.networks.custom_layers import ScaleWaveform
from audiointerp.networks.head import add_head
from audiointerp.sound.frontend import WaveformFrontEnd


def same_padded(x, size, stride):
    """Zeros around (n, height, width, channels) as TensorFlow's "SAME" adds them: the odd one at the end."""
    padding = [(0, 0)]
    for length in x.shape[1:3]:
        missing = max(0, (-(-length // stride) - 1) * stride + size - length)
        padding.append((missing // 2, missing - missing // 2))
    return np.pad(x, [*padding, (0, 0)])


def windows(x, size, stride):
    """What each output position of a convolution sees: (n, height, width, channels, size, size)."""
    view = np.lib.stride_tricks.sliding_window_view(same_padded(x, size, stride), (size, size), axis=(1, 2))
    return view[:, ::stride, ::stride]


@pytest.fixture(scope="session")
def convolve():
    def compute(x, kernel, stride=1):
        return np.einsum("nijcab,abcd->nijd", windows(x, len(kernel), stride), kernel, optimize=True)

    return compute


@pytest.fixture(scope="session")
def convolve_each():
    """Depthwise: each channel with its own kernel."""

    def compute(x, kernel, stride=1):
        return np.einsum("nijcab,abc->nijc", windows(x, len(kernel), stride), kernel[..., 0])

    return compute


@pytest.fixture(scope="session")
def halve():
    """Max-pooling 2 × 2."""

    def compute(x):
        n, height, width, channels = x.shape
        return x.reshape(n, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))

    return compute


@keras.saving.register_keras_serializable("tests")
class Remembering(keras.layers.Layer):
    """Multiplies by a number that is neither a weight nor in its config."""

    factor = 1.0

    def call(self, inputs):
        return self.factor * inputs


@pytest.fixture
def remembering(body, small):
    """A network whose first layer keeps a number outside its weights, and that layer."""
    layer, inputs = Remembering(), keras.Input((32, 16, 1))
    body = keras.Model(inputs, body()(layer(inputs)), name="remembering")
    return add_head(body, ["dog", "crying baby", "Türklingel"], small), layer


@pytest.fixture(scope="session")
def body():
    """Function that makes a small network without a head."""

    def body(shape=(32, 16, 1)):
        inputs = keras.Input(shape)
        x = keras.layers.Conv2D(3, 3, strides=4, activation="relu", name="conv")(inputs)
        return keras.Model(inputs, keras.layers.GlobalAveragePooling2D(name="embedding")(x), name="tiny")

    return body


@pytest.fixture(scope="session")
def listener():
    """Function that makes a network on waveforms of any length."""

    def make(frontend=None, *, head=True):
        frontend = frontend or WaveformFrontEnd(
            sample_rate=22_050, scale=64.0, shortest=9_000, longest=None, channel=None
        )
        inputs = keras.Input((None, 1), name="waveform")
        x = keras.layers.Conv1D(3, 16, strides=4, activation="relu", name="conv")(ScaleWaveform(frontend)(inputs))
        own = keras.Model(inputs, keras.layers.GlobalAveragePooling1D(name="embedding")(x), name="listener")
        return add_head(own, ["dog", "crying baby", "Türklingel"], frontend, seed=1) if head else own

    return make
