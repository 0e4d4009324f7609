"""Networks in files: saved whole, and loaded again or told what is wrong."""

import re
import zipfile
import zlib
from pathlib import Path

import h5py

from ..errors import WeightsError
from ..storage.cache import write_whole
from . import custom_layers, interpretable_filters  # noqa: F401 - a saved network may hold their layers
from .backend import in_float32, keras
from .copying import why_not_made_again


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
    WeightsError
        If a layer of one's own does not say how it is made, or the network is not built.
    OSError
        If the disk is full or the folder cannot be written to; nothing is left behind.

    Examples
    --------
    >>> save_network(network, "dogs.keras")  # doctest: +SKIP
    """
    path = Path(path)
    if not network.built:
        raise WeightsError(
            f"network '{network.name}' cannot be saved: it is not built, so it has no weights yet. Begin it with a "
            "keras.Input, or call it once."
        )
    try:
        write_whole(path, network.save)
    except OSError:
        raise
    except Exception as error:
        raise WeightsError(f"network '{network.name}' cannot be saved: {why_not_made_again(error)}") from error
    return path


@in_float32()
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
        If there is no such file or it is not a saved network, or Keras cannot load it; the text says why and how to.

    Examples
    --------
    >>> network = load_network("dogs.keras")  # doctest: +SKIP
    >>> predict(network, make_patches(clips, frontend_of(network)))  # doctest: +SKIP
    """
    path = Path(path)
    if path.is_dir():
        raise WeightsError(f"{path}: a folder, not a file. {_folder_advice(path)}")
    if not path.is_file():
        raise WeightsError(f"{path}: no such file. Expected a network saved with save_network.")
    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:
        raise WeightsError(f"{path}: {_what_is_wrong(path, error)}") from error


def _folder_advice(path):
    """What to do with a folder where a saved network is expected."""
    if (path / "saved_model.pb").is_file():
        return (
            "It is a SavedModel of TensorFlow, whose layers cannot be followed: save the network it was exported from "
            "with save_network(). Keras runs it as it is, as one layer: keras.layers.TFSMLayer(path, "
            "call_endpoint='serving_default')."
        )
    if (path / "config.json").is_file():
        return "It is a .keras file that was unpacked: zip what is in it, not the folder, and name that file .keras."
    return "Expected one file, saved with save_network."


def _what_is_wrong(path, error):
    """What keeps Keras from loading a file, and what to do: its first words need not be the reason."""
    reason = " ".join(str(error).rsplit("Exception encountered:", 1)[-1].split())
    zipped, whole, weights_alone = zipfile.is_zipfile(path), False, ""
    try:
        if zipped:
            with zipfile.ZipFile(path) as file:
                whole = file.testzip() is None and "config.json" in file.namelist()
        elif h5py.is_hdf5(path):
            with h5py.File(path) as file:
                whole = True
                if "model_config" not in file.attrs:
                    weights_alone = ".h5" if "layer_names" in file.attrs else ".weights.h5"
    except (OSError, zipfile.BadZipFile, zlib.error):
        pass
    if not whole and path.suffix not in (".keras", ".h5", ".hdf5"):
        return "not a network of Keras. Expected a file saved with save_network, which ends in .keras."
    if not whole:
        return (
            f"not a saved network, or damaged ({type(error).__name__}: {reason}). "
            "Delete it and train again, or save it again with save_network."
        )
    if weights_alone:
        return (
            "holds weights alone, without the layers they belong to. Build the network as it was built, and fill it "
            f"with network.load_weights(path), the file's name ending in {weights_alone}."
        )
    endings = (".keras",) if zipped else (".h5", ".hdf5")
    if path.suffix not in endings:
        return f"holds a network as a {endings[0]} file does. Give it that ending, {path.stem}{endings[0]}."
    if "safe_mode" in reason:
        return (
            "a good file, with a Lambda layer: loading it would run code that is in the file. If you trust it: "
            "keras.saving.load_model(path, compile=False, safe_mode=False)."
        )
    unknown = r"(?:Could not locate \w+|Unknown [\w ]+:|identifier: \{[^}]*'config':) '([^']+)'"
    if found := re.search(unknown, reason):
        return (
            f"a good file, with a layer or function that Keras does not know: '{found[1]}'. Import the module that "
            "defines it under @keras.saving.register_keras_serializable(), or use keras.saving.load_model(path, "
            f"compile=False, custom_objects={{'{found[1]}': {found[1]}}})."
        )
    return (
        f"a whole file that this Keras, {keras.__version__}, cannot make a network of ({type(error).__name__}: "
        f"{reason[:500]}). Load it with the version that saved it, and save it again from there."
    )
