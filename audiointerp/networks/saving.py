"""Networks in files, their copies and their fingerprints."""

from pathlib import Path

import joblib
import numpy as np

from ..errors import WeightsError
from ..storage.cache import write_whole
from . import custom_layers, interpretable_filters  # noqa: F401 - a saved network may hold their layers
from .backend import keras


def copy_of(network, weights_of=None):
    """A network of its own with the same layers, and the weights of the network or of another one like it.

    A WeightsError if the copy gives other values, as where a layer keeps something outside its weights.
    """
    original = weights_of or network
    copy = keras.models.clone_model(network)
    copy.set_weights(original.get_weights())
    finalised(copy)
    expected, found = (_tried_out(each) for each in (original, copy))
    close = {"rtol": 1e-5, "atol": 1e-5, "equal_nan": True}
    if expected is not None and not np.allclose(found, expected, **close):
        raise WeightsError(
            f"network '{network.name}' cannot be copied: its copy gives other values. A layer keeps something outside "
            "its weights and its config. Make it a weight (self.add_weight), or return it from get_config()."
        )
    return copy


def finalised(network):
    """The network; layers that compute something from their weights, as an adapted Normalization, have done so."""
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            finalised(layer)
        elif hasattr(layer, "finalize_state"):
            layer.finalize_state()
    return network


def _tried_out(network):
    """What a network makes of two inputs drawn at random; None if no length that was tried is long enough."""
    for length in (64, 5_000, 220_500):
        shapes = [[2, *(size or length for size in given.shape[1:])] for given in network.inputs]
        rng = np.random.default_rng(0)
        values = [rng.normal(-1, 2, shape).astype(np.float32) for shape in shapes]
        try:
            found = network(values if len(values) > 1 else values[0], training=False)
        except Exception:
            continue
        return np.concatenate([np.ravel(keras.ops.convert_to_numpy(each)) for each in keras.tree.flatten(found)])
    return None


def digest(network):
    """Fingerprint of a network's layers and weights, for cached results."""
    return joblib.hash([network.get_config(), weights_digest(network)])


def weights_digest(network):
    """Fingerprint of every variable's bytes."""
    import tensorflow as tf

    rows = [tf.reshape(variable.value, [1, -1]) for variable in network.variables]
    found = [tf.raw_ops.Fingerprint(data=tf.bitcast(row, tf.uint8), method="farmhash64") for row in rows]
    return b"".join(each.numpy().tobytes() for each in found)


def save_network(network, path):
    """Save a network with its class names and front end to one ``.keras`` file.

    Written beside the target first, so that an interruption leaves the old file as it was.

    Parameters
    ----------
    network : keras.Model
    path : str or Path

    Returns
    -------
    pathlib.Path

    Raises
    ------
    OSError
        If the disk is full or the folder cannot be written to; nothing is left behind.

    Examples
    --------
    >>> save_network(network, "dogs.keras")  # doctest: +SKIP
    """
    path = Path(path)
    write_whole(path, network.save)
    return path


def load_network(path):
    """Load a network saved by `save_network`; it alone can classify a sound.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    keras.Model

    Raises
    ------
    WeightsError
        If there is no such file or it is not a saved network.

    Examples
    --------
    >>> network = load_network("dogs.keras")  # doctest: +SKIP
    >>> predict(network, make_patches(clips, frontend_of(network)))  # doctest: +SKIP
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"{path}: no such file. Expected a network saved with save_network.")
    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:
        raise WeightsError(
            f"{path}: not a saved network, or damaged ({type(error).__name__}: {error}). "
            "Delete it and train again, or save it again with save_network."
        ) from error
