"""Networks side by side: cross-validated, by patch and by clip."""

import functools
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from tqdm import tqdm

from ..errors import MissingDataError
from ..evaluation.metrics import accuracy, clip_bootstrap
from ..evaluation.predictions import predict, prediction_table, vote
from ..networks.head import labels_of
from ..networks.tracks import track_network
from .fine_tuning import embed, fine_tune, head_scores
from .tracks import fit_track_network, predict_tracks


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """What a network said of patches that it was not trained on.

    Parameters
    ----------
    predictions : pandas.DataFrame [patches]
        As from `predict`, with the fold that held each patch out.
    networks : dict
        The trained network of each fold.
    parameters : int
        Trainable and fixed weights of the network.
    seconds_per_epoch : float
        Training alone, mean over the folds, on the machine that trained.
    """

    predictions: pd.DataFrame
    networks: dict
    parameters: int
    seconds_per_epoch: float


def cross_validate(
    network, patches, recipe=None, *, folds=None, only=None, augmentation=None, cache=True, progress=True
):
    """Train a copy of a network without each fold in turn, and predict that fold with it.

    Parameters
    ----------
    network : keras.Model [(n, frames, mels, 1) -> (n, classes)]
        Untrained, or pretrained on other sounds.
    patches : Patches [n]
        Silent ones are predicted, not trained on.
    recipe : Recipe, optional
    folds : array_like [n], optional
        Of each patch; the patches' own by default. See `clip_folds`, and `patch_folds` for folds that leak.
    only : sequence of int, optional
        Folds to hold out; all by default.
    augmentation : Augmentation, optional
    cache : bool
    progress : bool
        Show a bar over the folds.

    Returns
    -------
    CrossValidation

    Raises
    ------
    MissingDataError
        If there are fewer than two folds, a fold asked for is empty, or no patch of a fold's label is left to train on.
    PatchShapeError, UnknownLabelError
        As `fine_tune`.
    """
    folds, silent = np.asarray(patches.table["fold"] if folds is None else folds), patches.silent
    options = {"augmentation": augmentation, "cache": cache, "progress": False}
    head_alone = recipe is not None and recipe.trainable == "head"

    @functools.cache
    def embeddings():  # what all folds have in common
        return embed(network, patches, cache=cache, progress=progress)

    def turn(held_out):
        trains = ~held_out & ~silent
        tests = held_out & ~silent if (held_out & ~silent).any() else held_out
        sets = patches[trains], patches[tests]
        if not head_alone:
            trained, history = fine_tune(network, *sets, recipe, **options)
            return trained, history, predict(trained, patches[held_out], cache=cache, progress=False)
        given = embeddings()[trains], embeddings()[tests]
        trained, history = fine_tune(network, *sets, recipe, embeddings=given, **options)
        scores = head_scores(trained, embeddings()[held_out])
        return trained, history, prediction_table(patches[held_out].table, scores, labels_of(network))

    title = f"cross-validation of {network.name}"
    return _turns(turn, patches.label, folds, only, title, progress, heard=~silent)


def cross_validate_tracks(
    features, recipe=None, *, folds=None, only=None, seed=0, cache=True, progress=True, **options
):
    """`cross_validate` for the network on track features.

    Parameters
    ----------
    features : pandas.DataFrame [n]
        From `track_features`, of whole clips or of parts of them, with `label`; or published ones.
    recipe, folds, only, cache, progress
        As for `cross_validate`.
    seed : int
        For the network's weights.
    **options
        Of `track_network`.

    Returns
    -------
    CrossValidation

    Raises
    ------
    MissingDataError
        As `cross_validate`, or if features are missing.
    """
    folds, labels = np.asarray(features["fold"] if folds is None else folds), features["label"].to_numpy()

    def turn(held_out):
        train, test = features[~held_out], features[held_out]
        network = track_network(train, sorted(set(labels)), seed=seed, **options)
        trained, history = fit_track_network(network, train, test, recipe, cache=cache, progress=False)
        return trained, history, predict_tracks(trained, test)

    result = _turns(turn, labels, folds, only, "cross-validation of track_network", progress)
    return replace(result, predictions=result.predictions.reset_index(drop=True))


def compare_networks(results, *, seed=0):
    """One table of several networks and ways of dividing.

    Parameters
    ----------
    results : dict
        ``{(network, split): CrossValidation}``.
    seed : int
        For the intervals of patches.

    Returns
    -------
    pandas.DataFrame
        One row a network and split: `network`, `split`, `patches` (accuracy by patch) with `patches_low` and
        `patches_high` (clips drawn with replacement), `clips` (vote per clip) with `clips_low` and `clips_high`
        (Wilson), `n` (clips), `parameters`, `seconds_per_epoch`.
    """
    rows = []
    for (network, split), result in results.items():
        row = {"network": network, "split": split}
        for name, found in (
            ("patches", clip_bootstrap(result.predictions, seed=seed)),
            ("clips", accuracy(vote(result.predictions))),
        ):
            row |= {name: found["accuracy"], f"{name}_low": found["low"], f"{name}_high": found["high"]}
        row |= {"n": int(found["n"]), "parameters": result.parameters, "seconds_per_epoch": result.seconds_per_epoch}
        rows.append(row)
    return pd.DataFrame(rows)


def _turns(turn, labels, folds, only, title, progress, *, heard=True):
    """Hold out each fold in turn: `turn` takes a mask and gives a trained network, its history and predictions."""
    predictions, networks, seconds = [], {}, []
    held_out = _check_folds(labels, folds, only, heard)
    for fold in tqdm(held_out, title, unit="fold", leave=False, disable=not progress):
        networks[fold], history, found = turn(folds == fold)
        predictions.append(found.assign(fold=fold))
        seconds.append(history["elapsed"].iloc[-1] / history["epoch"].iloc[-1])
    return CrossValidation(pd.concat(predictions), networks, networks[fold].count_params(), float(np.mean(seconds)))


def _check_folds(labels, folds, only, heard):
    if folds.shape != (len(labels),):
        raise ValueError(f"folds of shape {folds.shape}: expected one of each of the {len(labels)} patches.")
    known = sorted(set(folds.tolist()))
    if len(known) < 2:
        raise MissingDataError(
            f"all patches are in fold {known}: a network is tested on a fold it was not trained on. Give the clips "
            'folds before they are cut: datasets.with_folds(clips, by="source").'
        )
    held_out = known if only is None else list(dict.fromkeys(np.atleast_1d(only).tolist()))
    if not held_out:
        raise ValueError("only=[]: name at least one fold to hold out, or leave it out for all.")
    if absent := [fold for fold in held_out if fold not in known]:
        raise MissingDataError(f"folds {absent} have no patches; there are {known}.")
    for fold in held_out:
        if unheard := sorted(set(labels[folds == fold]) - set(labels[(folds != fold) & heard])):
            raise MissingDataError(
                f"fold {fold}: no sounding patch of {', '.join(unheard)} is left to train on. Give labels two folds."
            )
    return held_out
