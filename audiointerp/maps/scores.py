"""The score that a map explains: a class's probability, or its logit (what the softmax is given)."""

import math
from weakref import WeakKeyDictionary

import keras
import numpy as np
from tqdm import tqdm

from ..networks.heads import ClassScores
from ..precision import as_precision, is_reduced, structure

UNITS = {"probability": "probability", "logit": "logit"}
ACTIVATION_BYTES = 128e6  # largest activation of a batch: beyond it, forward passes get slower on processors
LARGEST_BATCH = 1024

_compiled = WeakKeyDictionary()  # network: its compiled forward passes


def logits_of(network):
    """Symbolic output of a network before its softmax.

    A network that does not end in a softmax is taken to give logits.

    Returns
    -------
    keras.KerasTensor [n, classes]
    """
    last = network.layers[-1]
    if isinstance(last, (ClassScores, keras.layers.Softmax)):
        return last.input
    if getattr(last, "activation", None) is not keras.activations.softmax:
        return network.outputs[0]
    if isinstance(last, keras.layers.Activation):
        return last.input
    linear = type(last).from_config({**last.get_config(), "activation": "linear"})
    logits = linear(last.input)
    linear.set_weights(last.get_weights())
    return logits


def forward_pass(network, score="probability", precision="auto"):
    """Function from patches (n, frames, mels) to their scores (n, classes), float32, compiled once for any n.

    Parameters
    ----------
    network : keras.Model [(n, frames, mels, 1) -> (n, classes)]
    score : {"probability", "logit"}
    precision : {"auto", "float32", "bfloat16"}

    Returns
    -------
    callable
        Uses the weights that the network has when it is called, in bfloat16 those that it has now.
    """
    check_score(score)
    network = as_precision(network, precision)
    known = _compiled.setdefault(network, {})
    state = (
        structure(network),
        [weight.numpy().tobytes() for weight in network.layers[-1].weights],
    )  # which logits_of may copy
    if score not in known or known[score][0] != state:
        known[score] = state, _compile(network, score)
    return known[score][1]


def _compile(network, score):
    import tensorflow as tf

    output = network.outputs[0] if score == "probability" else logits_of(network)
    model = keras.Model(network.inputs[0], output)

    @tf.function(input_signature=[tf.TensorSpec([None, *model.input_shape[1:3]], tf.float32)])
    def scores(patches):
        return tf.cast(model(patches[..., None], training=False), tf.float32)

    return lambda patches: scores(patches).numpy()


def check_score(score):
    """Raise a ValueError unless `score` is known."""
    if score not in UNITS:
        raise ValueError(f"score={score!r}: expected 'probability' or 'logit'.")


def batch_size_for(network, given=None, precision="float32"):
    """Patches per forward pass: those given, or as many as keep the largest activation within `ACTIVATION_BYTES`."""
    if given is not None:
        if given < 1:
            raise ValueError(f"batch_size={given}: expected at least 1, or None to have it chosen.")
        return int(given)
    width = 2 if is_reduced(precision) else 4
    sizes = [_size(layer) for layer in network.layers if hasattr(layer, "output")]
    fitting = max(1, int(ACTIVATION_BYTES / (width * max(sizes))))
    return min(LARGEST_BATCH, 2 ** int(math.log2(fitting)))


def _size(layer):
    return max(math.prod(size or 1 for size in tensor.shape) for tensor in keras.tree.flatten(layer.output))


def perturbed_scores(forward, data, hidden, versions, fill, *, batch_size, progress, title):
    """Scores of many versions of each patch, parts of which are hidden.

    The versions are made batch by batch, across patches, so that memory stays bounded and batches stay full.

    Parameters
    ----------
    forward : callable
        From `forward_pass`.
    data : numpy.ndarray [n, frames, mels]
    hidden : callable
        From a patch's number and a slice of its versions to the cells that are hidden, bool (v, frames, mels).
    versions : int
        How many there are of each patch.
    fill : numpy.ndarray [n]
        What hidden cells of each patch become.
    batch_size : int
    progress : bool
    title : str
        In front of the progress bar.

    Returns
    -------
    numpy.ndarray [n, versions, classes], float32
    """
    total = len(data) * versions
    scores = []
    with tqdm(desc=title, total=total, unit="patch", delay=2, leave=False, disable=not progress) as bar:
        for start in range(0, total, batch_size):
            stop = min(start + batch_size, total)
            batch = np.concatenate(
                [
                    np.where(hidden(patch, slice(max(0, start - first), stop - first)), fill[patch], data[patch])
                    for patch in range(start // versions, (stop - 1) // versions + 1)
                    for first in [patch * versions]
                ]
            )
            scores.append(forward(batch))
            bar.update(len(batch))
    return np.concatenate(scores).reshape(len(data), versions, -1)


def fill_values(patches, fill):
    """What hidden cells of each patch become: its mean, silence, or a given log-mel value.

    Parameters
    ----------
    patches : Patches [n]
    fill : {"mean", "silence"} or float

    Returns
    -------
    numpy.ndarray [n], float32
    """
    if fill == "mean":
        return patches.data.mean(axis=(1, 2), dtype=np.float64).astype(np.float32)
    if fill == "silence":
        return np.full(len(patches), np.log(patches.frontend.log_offset), np.float32)
    if isinstance(fill, (int, float, np.number)) and np.isfinite(fill):
        return np.full(len(patches), fill, np.float32)
    raise ValueError(f"fill={fill!r}: expected 'mean', 'silence' or a finite log-mel value.")
