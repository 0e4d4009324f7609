"""Fine-tuning: the MathWorks recipe, and heads trained on cached embeddings."""

from dataclasses import asdict
from functools import partial

import numpy as np

from ..errors import MissingDataError
from ..networks.backend import keras
from ..networks.graph import has_ending
from ..networks.head import HEAD, check_network, check_patches, label_index, labels_of
from ..networks.running import outputs_of
from ..networks.saving import copy_of, digest
from ..storage.cache import cached
from .loop import fit
from .recipes import Recipe


def fine_tune(network, train, validation, recipe=None, *, augmentation=None, cache=True, progress=True):
    """Train a network on patches and report as the MathWorks example does.

    The result is cached under the network's weights, the patches and the recipe. Each finished epoch is kept as well:
    after an interruption the same call goes on from there, with the result it would have had.

    Parameters
    ----------
    network : keras.Model [(n, frames, mels, 1) -> (n, classes)]
        Left as it is; its class names must hold every label of the patches.
    train, validation : Patches
    recipe : Recipe, optional
    augmentation : Augmentation, optional
        What is done to the patches trained on; nothing by default. With mixup, `batch_accuracy` counts the class that
        has the larger share of the mixture.
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
        `batch_loss`, `validation_loss` (both NaN where there was no validation), `learning_rate`.

    Raises
    ------
    PatchShapeError
        If the network does not take the patches.
    MissingDataError
        If there are none.
    UnknownLabelError
        If they have a label the network does not know.
    ValueError
        If a head alone is to be trained with augmentation, or the network does not give a probability a class.

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
    if network.output_shape[-1] == 1 or not has_ending(network):
        raise ValueError(
            f"network '{network.name}' gives {'one score' if network.output_shape[-1] == 1 else 'logits'}, and is "
            "trained as one that gives a probability a class. Give it a head of its own: add_head(body, labels)."
        )
    outputs = {label: label_index(network, label) for p in (train, validation) for label in np.unique(p.label)}
    targets = [np.array([outputs[label] for label in p.label]) for p in (train, validation)]
    key = [digest(network), train.digest, validation.digest, asdict(recipe)]
    options = {"cache": cache, "progress": progress}
    if augmentation:
        key.append(asdict(augmentation))
        targets = [np.eye(network.output_shape[-1], dtype=np.float32)[numbers] for numbers in targets]
        options |= {"augment": partial(augmentation, train, targets[0]), "loss": "categorical_crossentropy"}
    if recipe.trainable == "head" and augmentation:
        raise ValueError("trainable='head' learns from embeddings computed once: there is nothing to augment.")
    if recipe.trainable == "head":
        return _train_head(network, (train, validation), targets, recipe, key, options)
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
    """
    check_patches(network, patches)
    body = keras.Model(network.input, network.get_layer(HEAD).input, name=network.name)
    return _embeddings([digest(body), patches.digest], body, patches, batch_size, progress, cache=cache)


@cached("embeddings", version=1, ignore=("body", "patches", "batch_size", "progress"))
def _embeddings(key, body, patches, batch_size, progress):
    return outputs_of(body, patches.data, batch_size=batch_size, title="embeddings", progress=progress)


def _train_head(network, sets, targets, recipe, key, options):
    """Train the head alone on embeddings that are computed once; the trained network and the history."""

    def inputs():
        return [embed(network, patches, **options) for patches in sets]

    def whole(head):
        trained = copy_of(network)
        trained.get_layer(HEAD).set_weights(head.get_layer(HEAD).get_weights())
        return trained

    return fit(_head_of(network), inputs, targets, recipe, key, finish=whole, name=network.name, **options)


def _head_of(network):
    """The layers after the embedding as a network of their own, with copied weights."""
    features = keras.Input(network.get_layer(HEAD).input.shape[1:])
    dense = keras.layers.Dense(len(labels_of(network)), name=HEAD)
    head = keras.Model(features, keras.layers.Softmax()(dense(features)), name="head")
    dense.set_weights(network.get_layer(HEAD).get_weights())
    return head
