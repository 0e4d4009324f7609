"""From a data set to a trained network in one call: what each notebook starts from."""

from dataclasses import dataclass

import keras
import pandas as pd

from . import datasets
from .augmentation import Augmentation
from .datasets.clips import split
from .fitting import Recipe
from .networks.genre import cam_cnn, interpretable_cnn, plain_cnn
from .networks.heads import frontend_of
from .networks.vggish import vggish
from .networks.yamnet import yamnet
from .patches import Patches, make_patches
from .training import fine_tune

PRETRAINED = {"vggish": vggish, "yamnet": yamnet}
GENRE = {"plain_cnn": plain_cnn, "cam_cnn": cam_cnn, "interpretable_cnn": interpretable_cnn}
NETWORKS = PRETRAINED | GENRE


@dataclass(frozen=True)
class Study:
    """A trained network and the data it was trained and is judged on.

    Parameters
    ----------
    clips : pandas.DataFrame
    train, validation : Patches
        All patches of the two parts, silent ones too; those are left out of the training.
    network : keras.Model
    history : pandas.DataFrame
    """

    clips: pd.DataFrame
    train: Patches
    validation: Patches
    network: keras.Model
    history: pd.DataFrame


def prepare(
    data="esc10",
    network="vggish",
    *,
    weights="audioset",
    width=1.0,
    by="fold",
    fold=5,
    seed=0,
    recipe=None,
    verbose=True,
):
    """Load a data set, hold a part of it out, and train a network on the rest.

    Whatever was made before with the same settings comes from the cache.

    Parameters
    ----------
    data : str, path or pandas.DataFrame
        Data set or folder, see `load`; or a clip table.
    network : {"vggish", "yamnet", "plain_cnn", "cam_cnn", "interpretable_cnn"}
        The last three are for music: they learn from segments of 3 s that do not overlap.
    weights : {"audioset", "random"} or path
        To start from; the networks for music start from random ones in any case.
    width : float
        Factor on the number of filters; below 1 only with random weights.
    by, fold
        How clips are divided, see `split`.
    seed : int
        For random weights, the division and the order of the patches.
    recipe : Recipe, optional
        `default_recipe` otherwise.
    verbose : bool

    Returns
    -------
    Study

    Raises
    ------
    ValueError
        If there is no such network.
    AudioInterpError
        As the steps raise it.
    """
    clips = data if isinstance(data, pd.DataFrame) else datasets.load(data)
    parts = split(clips, by, fold=fold, seed=seed)
    untrained = build(network, sorted(clips["label"].unique()), weights=weights, width=width, seed=seed)
    overlap = 0.0 if network in GENRE else 0.75
    train, validation = (make_patches(part, frontend_of(untrained), overlap=overlap) for part in parts)
    recipe = recipe or default_recipe(network, weights, width=width, seed=seed)
    sounding = (train[~train.silent], validation[~validation.silent])
    augmentation = default_augmentation(network)
    trained, history = fine_tune(untrained, *sounding, recipe, augmentation=augmentation, verbose=verbose)
    return Study(clips, train, validation, trained, history)


def build(network, labels, *, weights="audioset", width=1.0, seed=0):
    """A network by its name, with a new head for `labels`."""
    if network not in NETWORKS:
        raise ValueError(f"network={network!r}: expected one of {', '.join(NETWORKS)}.")
    if network in GENRE:
        return GENRE[network](labels, width=width, seed=seed)
    return PRETRAINED[network](labels, weights=weights, width=width, seed=seed)


def default_recipe(network, weights="audioset", *, width=1.0, seed=0):
    """The recipe that suits a network and the weights it starts from.

    VGGish follows the MathWorks example, at a tenth of its rate from random weights of full width. YAMNet's pretrained
    body is kept as it is and the head alone is trained, for longer; from random weights all of it is. Networks for
    music see small batches; those that are augmented learn for longer.

    Returns
    -------
    Recipe
    """
    if network == "plain_cnn":
        return Recipe(epochs=10, batch_size=32, drop_period=4, seed=seed)
    if network in GENRE:
        return Recipe(epochs=20, batch_size=32, learning_rate=3e-3, drop_period=6, validate_every=100, seed=seed)
    if network == "yamnet" and weights != "random":
        return Recipe(epochs=20, drop_period=8, trainable="head", seed=seed)
    if network == "yamnet":
        return Recipe(epochs=8, learning_rate=3e-3, drop_period=3, seed=seed)
    if weights == "random" and width > 0.5:
        return Recipe(learning_rate=1e-4, seed=seed)
    return Recipe(seed=seed)


def default_augmentation(network):
    """The augmentation that suits a network: none but for those that would learn a few tracks by heart.

    Returns
    -------
    Augmentation or None
    """
    return Augmentation() if network in ("cam_cnn", "interpretable_cnn") else None
