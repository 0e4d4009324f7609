"""Convolutional networks for music genres, built to be read: a plain one, and ones that end in an average."""

import keras

from ..frontend import MUSIC
from .filterloss import InterpretableFilters
from .heads import add_head, scaled

layers = keras.layers
FILTERS = (16, 32, 64)
LAST = "conv4"  # the convolution whose maps CAM and CRM read


def plain_cnn(labels, *, width=1.0, seed=0, frontend=MUSIC):
    """Three blocks of convolution, ReLU and max-pooling, then two dense layers: the project's first network.

    Parameters
    ----------
    labels : sequence of str
        Class names.
    width : float
        Factor on the number of filters.
    seed : int
        For the weights, which start random.
    frontend : FrontEnd

    Returns
    -------
    keras.Model [(n, frames, mels, 1) -> (n, classes)]
    """
    x = inputs = _input(frontend)
    for number, filters in enumerate(FILTERS, 1):
        start = keras.initializers.HeUniform(seed + number)
        x = layers.Conv2D(
            scaled(filters, width), 3, padding="same", activation="relu", kernel_initializer=start, name=f"conv{number}"
        )(x)
        x = layers.MaxPooling2D(2, name=f"pool{number}")(x)
    x = layers.Flatten(name="flatten")(x)
    start = keras.initializers.HeUniform(seed + 10)
    x = layers.Dense(scaled(64, width), activation="relu", kernel_initializer=start, name="embedding")(x)
    return add_head(keras.Model(inputs, x, name="plain_cnn"), labels, frontend, seed=seed + 100)


def cam_cnn(labels, *, interpretable=False, width=1.0, seed=0, frontend=MUSIC, **options):
    """Four convolutions with batch norm, then the average of each feature map and one dense layer.

    What a filter gives to a class is then its average times one weight, so that CAM and CRM are exact.

    Parameters
    ----------
    labels : sequence of str
        Class names.
    interpretable : bool
        Put `InterpretableFilters` after the last convolution.
    width, seed, frontend
        As for `plain_cnn`.
    **options
        Of `InterpretableFilters`; by default ``weight=0.1, tau=1, peak=1``, which suit maps after batch norm.

    Returns
    -------
    keras.Model [(n, frames, mels, 1) -> (n, classes)]

    References
    ----------
    Zhou et al., Learning deep features for discriminative localization, CVPR 2016.
    """
    x = inputs = _input(frontend)
    x = layers.BatchNormalization(axis=2, momentum=0.9, name="bands")(x)  # each mel band has a level of its own
    for number, filters in enumerate((*FILTERS, FILTERS[-1]), 1):
        start = keras.initializers.HeUniform(seed + number)
        x = layers.Conv2D(
            scaled(filters, width), 3, padding="same", use_bias=False, kernel_initializer=start, name=f"conv{number}"
        )(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"bn{number}")(x)
        x = layers.ReLU(name=f"relu{number}")(x)
        if number < 4:
            x = layers.MaxPooling2D(2, name=f"pool{number}")(x)
    if interpretable:
        x = InterpretableFilters(**{"weight": 0.1, "tau": 1.0, "peak": 1.0, **options}, name="interpretable")(x)
    x = layers.GlobalAveragePooling2D(name="embedding")(x)
    name = "interpretable_cnn" if interpretable else "cam_cnn"
    return add_head(keras.Model(inputs, x, name=name), labels, frontend, seed=seed + 100)


def _input(frontend):
    return keras.Input((frontend.frames, frontend.mels, 1), name="log_mel")
