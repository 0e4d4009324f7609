"""Networks in files, their copies and their fingerprints."""

import re
import warnings
import zipfile
import zlib
from functools import cache
from pathlib import Path
from weakref import WeakKeyDictionary

import h5py
import numpy as np

from ..errors import WeightsError
from ..storage.cache import write_whole
from ..storage.fingerprints import Unknown, fingerprint, is_own, parts
from . import custom_layers, interpretable_filters  # noqa: F401 - a saved network may hold their layers
from .backend import in_float32, keras

CONFIG_ADVICE = (
    "A layer of your own is made again from its config: give it a get_config() that returns what its __init__ takes, "
    "beside super().get_config()."
)


@in_float32()
def copy_of(network, weights_of=None):
    """A network of its own with the same layers, and the weights of the network or of another one like it.

    A WeightsError if the copy gives other values, as where a layer keeps something outside its weights.
    """
    original = weights_of or network
    try:
        copy = keras.models.clone_model(network, clone_function=layer_like)
        copy.set_weights(original.get_weights())
    except Exception as error:
        raise WeightsError(f"network '{network.name}' cannot be copied: {_first(error)}. {CONFIG_ADVICE}") from error
    finalised(copy)
    expected, found = (_tried_out(each) for each in (original, copy))
    close = {"rtol": 1e-5, "atol": 1e-5, "equal_nan": True}
    if expected is not None and not np.allclose(found, expected, **close):
        raise WeightsError(
            f"network '{network.name}' cannot be copied: its copy gives other values. A layer keeps something outside "
            "its weights and its config. Make it a weight (self.add_weight), or return it from get_config()."
        )
    return copy


def layer_like(layer, **changes):
    """A copy of a layer without its weights, some settings changed; of a network in a network likewise.

    Functions without a name stay what they are: Keras would not make them again from a config.
    """
    if isinstance(layer, keras.Model) and getattr(layer, "inputs", None):
        return keras.models.clone_model(layer, clone_function=layer_like)
    config = layer.get_config() | changes
    if isinstance(layer, keras.layers.Lambda):  # the function itself: made again from its code it would know no globals
        own = {name: config[name] for name in ("name", "trainable", "dtype")}
        own |= {name: getattr(layer, name, None) for name in ("mask", "arguments")}
        return type(layer)(layer.function, output_shape=getattr(layer, "_output_shape", None), **own)
    unnamed = {name for name in config if getattr(getattr(layer, name, None), "__name__", "") == "<lambda>"}
    return type(layer).from_config(config | {name: getattr(layer, name) for name in unnamed - set(changes)})


def _first(error):
    """The first sentence of an error of Keras, whose examples go on for long."""
    return " ".join(str(error).split()).split(". ")[0].rstrip(".")


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
    """Fingerprint of a network's layers, with the code of a user's own, and weights, for cached results.

    An `Unknown` if a layer cannot be told.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of functions without names: nobody reads them from this config
            config = _without_lambdas(network.get_config())
    except Exception as error:
        return Unknown(f"network '{network.name}' gives no config ({str(error).strip()[:200]} …)")
    own = list(_own(network))
    return fingerprint([config, weights_digest(network), *([own] if own else [])])


def _without_lambdas(config):
    """A config without the code of unnamed functions, which knows files and lines and not what is called.

    Its tuples become the lists that they are in a saved network.
    """
    if isinstance(config, dict):
        unnamed = set(config) == {"code", "defaults", "closure"} or isinstance(config.get("value"), tuple)
        return None if unnamed else {name: _without_lambdas(value) for name, value in config.items()}
    return [_without_lambdas(each) for each in config] if isinstance(config, (list, tuple)) else config


def _own(layer):
    """Classes, functions and layers of the user's own that a layer holds, itself among them."""
    if is_own(type(layer)):
        yield [type(layer), _held(layer)]
    inside = getattr(layer, "operations", None) or getattr(layer, "layers", [])
    for each in keras.tree.flatten([list(_held(layer).values()), list(inside)]):
        if isinstance(each, keras.Operation):
            yield from _own(each)
        elif is_own(each if callable(each) and hasattr(each, "__module__") else type(each)):
            yield each


def _held(layer):
    """What a layer holds beside what Keras keeps in any layer or network."""
    return {name: value for name, value in vars(layer).items() if not (name in _usual() or name.startswith("_self_"))}


@cache
def _usual():
    given, same = keras.Input((1,), name="given"), keras.layers.Identity(name="same")
    kinds = (
        keras.layers.Layer(name="any"),
        keras.Model(given, same(given), name="any"),
        keras.Sequential([given, same], name="any"),
    )
    kinds[1].compile("sgd", "mse")
    run = {"history", "stop_evaluating", "stop_predicting", "_eval_epoch_iterator"}
    return {name for kind in kinds for name in vars(kind)} | run


@parts.register
def _(thing: keras.Operation):
    weights = [np.asarray(variable, np.float32) for variable in getattr(thing, "variables", [])]
    if is_own(type(thing)):
        return [type(thing), _held(thing), weights]
    return [type(thing), _without_lambdas(thing.get_config()), weights, list(_own(thing))]


@parts.register
def _(thing: keras.Variable):
    return [np.asarray(thing, np.float32)]


@parts.register(keras.Initializer)
@parts.register(keras.random.SeedGenerator)
def _(thing):
    return [type(thing)]


def weights_digest(network):
    """Fingerprint of every variable's bytes."""
    return while_unchanged(network, "digest", lambda: _fingerprint(network))


def _fingerprint(network):
    import tensorflow as tf

    rows = [tf.reshape(variable.value, [1, -1]) for variable in network.variables]
    found = [tf.raw_ops.Fingerprint(data=tf.bitcast(row, tf.uint8), method="farmhash64") for row in rows]
    return b"".join(each.numpy().tobytes() for each in found)


_KEPT = WeakKeyDictionary()  # by network: the buffers of its variables, and what was computed from them


def while_unchanged(network, name, compute):
    """What `compute()` gives, kept until a weight of the network changes.

    TensorFlow does not write into a buffer that is held elsewhere, it moves the variable to a new one. The buffers are
    held here: a variable that still lies in its own has not changed. After training the old ones, as large as the
    weights, stay until this is asked again. Weights on a GPU, or in bfloat16, are computed from anew each time.
    """
    buffers = [_buffer(variable) for variable in network.variables]
    if None in buffers:
        return compute()
    held, kept = _KEPT.get(network, ((), {}))
    if [place for place, _ in held] != [place for place, _ in buffers]:
        held, kept = _KEPT[network] = buffers, {}
    if name not in kept:
        kept[name] = compute()
    return kept[name]


def _buffer(variable):
    """Where a variable lies in the processor's memory and the tensor that lies there; None if that cannot be told."""
    import tensorflow as tf

    tensor = tf.convert_to_tensor(variable.value)
    try:
        return (np.frombuffer(memoryview(tensor), np.uint8).ctypes.data, tensor) if "CPU" in tensor.device else None
    except ValueError:  # bfloat16
        return None


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
        raise WeightsError(f"network '{network.name}' cannot be saved: {_first(error)}. {CONFIG_ADVICE}") from error
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
    if found := re.search(r"(?:Could not locate \w+|Unknown [\w ]+:) '([^']+)'", reason):
        return (
            f"a good file, with a layer or function that Keras does not know: '{found[1]}'. Import the module that "
            "defines it under @keras.saving.register_keras_serializable(), or use keras.saving.load_model(path, "
            f"compile=False, custom_objects={{'{found[1]}': {found[1]}}})."
        )
    return (
        f"a whole file that this Keras, {keras.__version__}, cannot make a network of ({type(error).__name__}: "
        f"{reason[:500]}). Load it with the version that saved it, and save it again from there."
    )
