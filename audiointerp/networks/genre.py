"""Convolutional networks for music genres, built to be read: a plain one, and ones that end in an average."""

from ..sound.frontend import MUSIC
from .backend import in_float32, keras
from .head import add_head, scaled
from .interpretable_filters import InterpretableFilters

layers = keras.layers
FILTERS = (16, 32, 64)
WEIGHT = 0.002  # of the filter loss: at 0.01 its 64 filters outweigh the classes
PEAK = 12.0  # of the mask, which lets few positions pass: averages stay as large as without it, and are learned from


@in_float32()
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


@in_float32()
def cam_cnn(labels, *, width=1.0, seed=0, frontend=MUSIC):
    """Four convolutions with batch norm, then the average of each feature map and one dense layer.

    What a filter gives to a class is then its average times one weight, so that CAM and CRM are exact.

    Parameters
    ----------
    labels, width, seed, frontend
        As for `plain_cnn`.

    Returns
    -------
    keras.Model [(n, frames, mels, 1) -> (n, classes)]

    References
    ----------
    Zhou et al., Learning deep features for discriminative localization, CVPR 2016.
    """
    return _averaged("cam_cnn", labels, None, width, seed, frontend)


@in_float32()
def interpretable_cnn(labels, *, weight=WEIGHT, tau=1.0, peak=PEAK, width=1.0, seed=0, frontend=MUSIC):
    """`cam_cnn` with `InterpretableFilters` after its last convolution, and otherwise the same initial weights.

    Parameters
    ----------
    labels, width, seed, frontend
        As for `plain_cnn`.
    weight : float
        Factor on the filter loss, which is summed over the filters; 0 leaves the mask alone.
    tau, peak : float
        See `InterpretableFilters`; a tau of 1 suits maps after batch norm.

    Returns
    -------
    keras.Model [(n, frames, mels, 1) -> (n, classes)]

    References
    ----------
    Zhang, Wu & Zhu, Interpretable Convolutional Neural Networks, CVPR 2018.
    """
    masked = InterpretableFilters(weight, tau, peak=peak, name="interpretable")
    return _averaged("interpretable_cnn", labels, masked, width, seed, frontend)


def _averaged(name, labels, masked, width, seed, frontend):
    x = inputs = _input(frontend)
    x = layers.BatchNormalization(axis=2, momentum=0.9, name="bands")(x)  # each mel band has a level of its own
    for number, filters in enumerate((*FILTERS, FILTERS[-1]), 1):
        start = keras.initializers.HeUniform(seed + number)
        x = layers.Conv2D(
            scaled(filters, width), 3, padding="same", use_bias=False, kernel_initializer=start, name=f"conv{number}"
        )(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"bn{number}")(x)
        x = layers.ReLU(name=f"relu{number}")(x)
        if number <= len(FILTERS):
            x = layers.MaxPooling2D(2, name=f"pool{number}")(x)
    if masked:
        x = masked(x)
    x = layers.GlobalAveragePooling2D(name="embedding")(x)
    return add_head(keras.Model(inputs, x, name=name), labels, frontend, seed=seed + 100)


def _input(frontend):
    return keras.Input((frontend.frames, frontend.mels, 1), name="log_mel")
