"""Fine-tuning: the MathWorks recipe, and heads on cached embeddings."""

from dataclasses import asdict
from functools import partial

import joblib
import numpy as np

from ..errors import MissingDataError
from ..networks.backend import in_float32, keras
from ..networks.copying import copy_of
from ..networks.fingerprints import digest
from ..networks.graph import has_ending
from ..networks.head import check_network, check_patches, head_of, label_index, labels_of
from ..networks.precision import float32_of
from ..networks.running import outputs_of
from ..storage.cache import cached
from ..storage.fingerprints import settings_of
from .heads import fit_head
from .loop import fit
from .recipes import Recipe


@in_float32()
def fine_tune(
    network, train, validation, recipe=None, *, augmentation=None, embeddings=None, cache=True, progress=True
):
    """Train a network on patches and report as the MathWorks example does.

    The result is cached under the network's weights, the patches and the recipe. Each finished epoch is kept as well:
    after an interruption the same call goes on from there, with the result it would have had.

    With ``Recipe(trainable="head")`` the dense layer `FCFinal` alone is trained, on embeddings that are computed once:
    a logistic regression, which L-BFGS brings to its end. How strongly large weights are held back is chosen on
    recordings of the training part, held out in turn.

    Parameters
    ----------
    network : keras.Model [(n, frames, mels, 1) -> (n, classes)]
        Left as it is; its class names must hold every label of the patches.
    train, validation : Patches
    recipe : Recipe, optional
    augmentation : Augmentation, optional
        What is done to the patches trained on; nothing by default. With mixup, `batch_accuracy` counts the class that
        has the larger share of the mixture.
    embeddings : (array_like, array_like), optional
        What `embed` gives for `train` and `validation`, for a head, where they are at hand.
    cache : bool
        Serve and keep the result in the cache.
    progress : bool
        Print the progress table and show a bar.

    Returns
    -------
    network : keras.Model
        The trained copy.
    history : pandas.DataFrame
        One row an iteration: `epoch`, `iteration`, `elapsed` (s), `batch_accuracy`, `validation_accuracy`,
        `batch_loss`, `validation_loss` (both NaN where there was no validation), `learning_rate` (NaN for a head).

    Raises
    ------
    PatchShapeError
        If the network does not take the patches.
    MissingDataError
        If there are none.
    UnknownLabelError
        If they have a label the network does not know.
    ValueError
        If a head alone is to be trained with augmentation, embeddings are given for more or do not fit the patches, or
        the network does not give a probability a class.

    References
    ----------
    MathWorks, "Investigate audio classifications using deep learning interpretability techniques".

    Examples
    --------
    >>> network, history = fine_tune(vggish(labels), train, validation, Recipe(epochs=5))  # doctest: +SKIP
    """
    recipe = recipe or Recipe()
    check_network(network)
    for patches, use in ((train, "train on"), (validation, "validate with")):
        check_patches(network, patches)
        if len(patches) == 0:
            raise MissingDataError(f"no patches to {use}. Check the split, and whether every clip is silent.")
    network = float32_of(network)
    if network.output_shape[-1] == 1 or not has_ending(network):
        raise ValueError(
            f"network '{network.name}' gives {'one score' if network.output_shape[-1] == 1 else 'logits'}, and is "
            "trained as one that gives a probability a class. Give it a head of its own: add_head(body, labels)."
        )
    outputs = {label: label_index(network, label) for p in (train, validation) for label in set(p.label)}
    targets = [np.array([outputs[label] for label in p.label]) for p in (train, validation)]
    key = [digest(network), train.digest, validation.digest, asdict(recipe)]
    options = {"cache": cache, "progress": progress}
    if augmentation:
        key.append(settings_of(augmentation))
        targets = [np.eye(network.output_shape[-1], dtype=np.float32)[numbers] for numbers in targets]
        options |= {"augment": partial(augmentation, train, targets[0]), "loss": "categorical_crossentropy"}
    if recipe.trainable == "head" and augmentation:
        raise ValueError("trainable='head' learns from embeddings computed once: there is nothing to augment.")
    if recipe.trainable == "head":
        return _train_head(network, (train, validation), targets, recipe, key, embeddings, **options)
    if embeddings is not None:
        raise ValueError("embeddings are for Recipe(trainable='head'): a whole network is trained on patches.")
    inputs = [patches.data[..., None] for patches in (train, validation)]
    return fit(network, inputs, targets, recipe, key, **options)


def embed(network, patches, *, batch_size=None, cache=True, progress=True):
    """What the layer before the head gives for each patch.

    Parameters
    ----------
    network : keras.Model
        With a head from `add_head`.
    patches : Patches [n]
    batch_size : int, optional
    cache, progress : bool

    Returns
    -------
    numpy.ndarray [n, features], float32

    Raises
    ------
    PatchShapeError
        If the network does not take the patches.
    ValueError
        If it has no such head.
    """
    check_patches(network, patches)
    body = keras.Model(network.inputs[0], head_of(network).input, name=network.name)
    return _embeddings([digest(body), patches.digest], body, patches, batch_size, progress, cache=cache)


def head_scores(network, embeddings):
    """Scores [n, classes] that the head makes of what `embed` gives."""
    head = keras.Model(head_of(network).input, network.outputs[0])
    return outputs_of(head, embeddings, progress=False).astype(np.float64)


@cached("embeddings", version=1, ignore=("body", "patches", "batch_size", "progress"))
def _embeddings(key, body, patches, batch_size, progress):
    return outputs_of(body, patches.data, batch_size=batch_size, title="embeddings", progress=progress)


def _train_head(network, sets, targets, recipe, key, embeddings, *, cache, progress):
    """A copy of the network with the head that is best on embeddings, and the history."""
    train = sets[0]
    groups = train.table["source" if "source" in train.table else "clip"].astype(str).to_numpy()
    for patches, each in zip(sets, embeddings, strict=True) if embeddings is not None else ():
        shape = len(patches), head_of(network).input.shape[-1]
        if np.shape(each) != shape:
            raise ValueError(
                f"embeddings of shape {np.shape(each)}: expected {shape}, one row a patch as embed() gives."
            )
    key = [*key, list(groups), *([] if embeddings is None else [joblib.hash(embeddings)])]
    found = _head(key, network, sets, targets, groups, recipe, embeddings, cache, progress, cache=cache)
    kernel, bias, history, strength = found
    trained = copy_of(network)
    head_of(trained).set_weights([kernel, bias])
    if progress:
        last = history.iloc[-1]
        print(
            f"head of {network.name}: converged after {last['iteration']:.0f} iterations, C = {strength:g}; right "
            f"{last['batch_accuracy']:.1%} of the patches trained on, {last['validation_accuracy']:.1%} of the others"
        )
    return trained, history


@cached("heads", version=1, ignore=("network", "sets", "targets", "groups", "recipe", "embeddings", "keep", "progress"))
def _head(key, network, sets, targets, groups, recipe, embeddings, keep, progress):
    if embeddings is None:
        embeddings = [embed(network, patches, cache=keep, progress=progress) for patches in sets]
    options = {"validate_every": recipe.validate_every, "seed": recipe.seed, "progress": progress}
    return fit_head(*zip(embeddings, targets, strict=True), len(labels_of(network)), groups, **options)
