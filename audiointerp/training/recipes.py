"""Recipes: how a network is trained, and the recipe that suits each."""

from dataclasses import dataclass
from numbers import Integral

import numpy as np

from ..networks.build import GENRE
from .augmentation import Augmentation

MATHWORKS = {"epochs": 5, "batch_size": 128, "learning_rate": 1e-3, "drop_factor": 0.5, "drop_period": 2}


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; the defaults are those of the MathWorks example (`MATHWORKS`).

    Parameters
    ----------
    epochs : int
    batch_size : int
    learning_rate : float
        Of Adam in the first epoch; 1e-3 suits pretrained weights, 1e-4 random ones.
    drop_factor, drop_period : float, int
        The rate is multiplied by the factor every so many epochs.
    validate_every : int
        Iterations between two validations; one more closes the training.
    trainable : {"all", "head"}
        The whole network, or only the new dense layer `FCFinal`. That is trained on embeddings computed once until it
        has converged, so that epochs, batches and rates do not apply.
    seed : int
        Orders the patches of each epoch; for a head, the recordings that its penalty is chosen on.

    Raises
    ------
    ValueError
        If a number is out of range, `trainable` is unknown, or what does not apply to a head is given for one.

    Examples
    --------
    >>> Recipe(epochs=2).learning_rate
    0.001
    """

    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    drop_factor: float | None = None
    drop_period: int | None = None
    validate_every: int = 50
    trainable: str = "all"
    seed: int = 0

    def __post_init__(self):
        if self.trainable not in ("all", "head"):
            raise ValueError(f"trainable={self.trainable!r}: expected 'all' or 'head'.")
        given = [name for name in MATHWORKS if getattr(self, name) is not None]
        if self.trainable == "head" and given:
            raise ValueError(f"{', '.join(given)}: a head is trained until it has converged. Leave this out.")
        for name, default in MATHWORKS.items() if self.trainable == "all" else ():
            value = default if getattr(self, name) is None else getattr(self, name)
            object.__setattr__(self, name, value)
            if isinstance(default, int) and not (isinstance(value, Integral) and value >= 1):
                raise ValueError(f"{name}={value!r}: expected a whole number from 1 on.")
            if isinstance(default, float) and not 0 < value < np.inf:
                raise ValueError(f"{name}={value!r}: expected a number above 0.")
        if not (isinstance(self.validate_every, Integral) and self.validate_every >= 1):
            raise ValueError(f"validate_every={self.validate_every!r}: expected a whole number from 1 on.")
        if not (isinstance(self.seed, Integral) and self.seed >= 0):
            raise ValueError(f"seed={self.seed!r}: expected a whole number from 0 on.")


def default_recipe(network, weights="audioset", *, width=1.0, seed=0):
    """The recipe that suits a network and the weights it starts from.

    VGGish follows the MathWorks example, at a tenth of its rate from random weights of full width. YAMNet's pretrained
    body is kept as it is and the head alone is trained; from random weights all of it is. Networks of half the width or
    less see small batches, and so do those for music; those that are augmented learn for longer.

    Returns
    -------
    Recipe
    """
    if network == "plain_cnn":
        return Recipe(epochs=10, batch_size=32, drop_period=4, seed=seed)
    if network in GENRE:
        return Recipe(epochs=20, batch_size=32, learning_rate=3e-3, drop_period=6, validate_every=100, seed=seed)
    if network == "yamnet" and weights != "random":
        return Recipe(trainable="head", seed=seed)
    if weights == "random" and width <= 0.5:
        rate = 1e-2 if network == "yamnet" else 1e-3
        return Recipe(epochs=3, batch_size=32, learning_rate=rate, drop_period=1, validate_every=100, seed=seed)
    if network == "yamnet":
        return Recipe(epochs=8, learning_rate=3e-3, drop_period=3, seed=seed)
    return Recipe(learning_rate=1e-4 if weights == "random" else 1e-3, seed=seed)


def default_augmentation(network):
    """The augmentation that suits a network: none but for those that would learn a few tracks by heart.

    Returns
    -------
    Augmentation or None
    """
    return Augmentation() if network in ("cam_cnn", "interpretable_cnn") else None


def student_recipe(seed=0):
    """The recipe that suits `distill`.

    Returns
    -------
    Recipe
    """
    return Recipe(epochs=12, drop_period=4, validate_every=40, seed=seed)


def track_recipe(seed=0):
    """The recipe that suits `fit_track_network`.

    Returns
    -------
    Recipe
    """
    return Recipe(epochs=30, batch_size=16, learning_rate=3e-3, drop_period=15, validate_every=100, seed=seed)
