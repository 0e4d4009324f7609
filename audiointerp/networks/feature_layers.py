"""Layers of a network on features: their scale, and dropout that an interrupted training can go on with."""

import keras
import numpy as np


@keras.saving.register_keras_serializable("audiointerp")
class FeatureScale(keras.layers.Normalization):
    """First layer of a network on features: makes each of mean 0 and variance 1, and knows their names.

    Parameters
    ----------
    features : sequence of str
        Names, in the order of the input.
    mean, variance : sequence of float
        Of each feature, in the training set.
    """

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
