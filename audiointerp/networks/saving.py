"""Networks in files, their copies and their fingerprints."""

from pathlib import Path

import joblib
import keras

from ..errors import WeightsError
from ..storage.cache import write_whole
from . import custom_layers, interpretable_filters  # noqa: F401 - a saved network may hold their layers


def copy_of(network, weights_of=None):
    """A network of its own with the same layers, and the weights of the network or of another one like it."""
    copy = keras.models.clone_model(network)
    copy.set_weights((weights_of or network).get_weights())
    return copy


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
