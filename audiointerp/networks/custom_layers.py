"""The layers that Keras does not have: class scores with their names, scales, dropout that can be resumed."""

from dataclasses import asdict

import numpy as np

from ..sound.frontend import VGGISH, frontend_from
from .backend import keras


@keras.saving.register_keras_serializable("audiointerp")
class ClassScores(keras.layers.Layer):
    """Softmax in float32 that carries the class names and the front end through saving and cloning."""

    def __init__(self, labels, frontend=VGGISH, **kwargs):
        super().__init__(**{"name": "scores", **kwargs, "dtype": "float32"})
        self.labels = [str(label) for label in labels]
        self.frontend = frontend_from(frontend) if isinstance(frontend, dict) else frontend
        self.activation = keras.activations.softmax

    def call(self, logits):
        return self.activation(logits)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "labels": list(self.labels), "frontend": asdict(self.frontend)}


@keras.saving.register_keras_serializable("audiointerp")
class ScaleWaveform(keras.layers.Layer):
    """First layer of a network that listens to the waveform: its factor, and the front end that it belongs to.

    Parameters
    ----------
    frontend : WaveformFrontEnd or dict
    """

    def __init__(self, frontend, **kwargs):
        super().__init__(**{"name": "scale", **kwargs})
        self.frontend = frontend_from(frontend) if isinstance(frontend, dict) else frontend

    def call(self, waveforms):
        return waveforms * self.frontend.scale

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "frontend": asdict(self.frontend)}


@keras.saving.register_keras_serializable("audiointerp")
class FeatureScale(keras.layers.Normalization):
    """First layer of a network on features: makes each of mean 0 and variance 1, and knows their names."""

    def __init__(self, features, mean, variance, **kwargs):
        super().__init__(**{"name": "feature_scale", **kwargs}, mean=mean, variance=variance)
        self.features = [str(feature) for feature in features]

    def get_config(self):
        return {**super().get_config(), "features": list(self.features)}


@keras.saving.register_keras_serializable("audiointerp")
class ResumedDropout(keras.layers.Dropout):
    """Dropout that goes on with its own random numbers after saving and loading, so that a training can."""

    def save_own_variables(self, store):
        store["state"] = np.asarray(self.seed_generator.state)

    def load_own_variables(self, store):
        self.seed_generator.state.assign(store["state"])
