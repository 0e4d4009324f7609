"""From a data set to a trained network in one call: what each notebook starts from."""

from dataclasses import dataclass

import pandas as pd

from ..datasets.catalogue import load
from ..datasets.splits import split
from ..networks.backend import keras
from ..networks.build import GENRE, build_network
from ..networks.head import frontend_of, labels_of
from ..sound.patches import Patches, class_names, make_patches
from ..sound.reading import numbered
from .fine_tuning import fine_tune
from .recipes import default_augmentation, default_recipe


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
    on_missing="raise",
    seed=0,
    recipe=None,
    progress=True,
    **options,
):
    """Load a data set, hold a part of it out, and train a network on the rest.

    Whatever was made before with the same settings comes from the cache.

    Parameters
    ----------
    data : str, path or pandas.DataFrame
        Data set or folder, see `load`; or a clip table.
    network : {"vggish", "yamnet", "plain_cnn", "cam_cnn", "interpretable_cnn"}
        The last three are for music: they learn from patches of 3 s that do not overlap.
    weights : {"audioset", "random"} or path
        To start from; the networks for music start from random ones in any case.
    width : float
        Factor on the number of filters; below 1 only with random weights.
    by, fold, on_missing
        How clips are divided, see `split`.
    seed : int
        For random weights, the division and the order of the patches.
    recipe : Recipe, optional
        `default_recipe` otherwise.
    progress : bool
    **options
        Of `make_patches`: `on_error`, `channel`, `max_seconds`, `jobs`.

    Returns
    -------
    Study

    Raises
    ------
    ValueError
        If there is no such network.
    AudioInterpError
        As the steps raise it.

    Examples
    --------
    >>> study = prepare("my_sounds", "yamnet", by="source")  # doctest: +SKIP
    """
    clips = numbered(data) if isinstance(data, pd.DataFrame) else load(data)
    parts = split(clips, by, fold=fold, on_missing=on_missing, seed=seed)
    untrained = build_network(
        network, sorted(set(class_names(parts[0]["label"]))), weights=weights, width=width, seed=seed
    )
    options = {"overlap": 0.0 if network in GENRE else 0.75, "progress": progress} | options
    train, validation = (make_patches(part, frontend_of(untrained), **options) for part in parts)
    recipe = recipe or default_recipe(network, weights, width=width, seed=seed)
    sounding = (train[~train.silent], validation[~validation.silent])
    augmentation = default_augmentation(network)
    trained, history = fine_tune(untrained, *sounding, recipe, augmentation=augmentation, progress=progress)
    if on_missing == "skip":
        clips = clips[[name in labels_of(untrained) for name in class_names(clips["label"])]]
    return Study(clips, train, validation, trained, history)
