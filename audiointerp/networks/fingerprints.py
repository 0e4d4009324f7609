"""Fingerprints of networks, of their layers and weights: what a cached result of a network is known by."""

import json
import warnings
from functools import cache, lru_cache
from weakref import WeakKeyDictionary

import numpy as np

from ..storage.fingerprints import Unknown, fingerprint, is_own, parts
from .backend import keras


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
    if own := list(_own(network)):
        return fingerprint([config, weights_digest(network), own])
    try:
        text = json.dumps(config)
    except TypeError:  # a function or a layer in the config
        return fingerprint([config, weights_digest(network)])
    return _known(text, weights_digest(network))


@lru_cache(256)
def _known(config, weights):
    """Fingerprint of a config without a user's own things, from its JSON text: many a cell asks for the same one."""
    return fingerprint([json.loads(config), weights])


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


ATTRIBUTE = "_self_kept"  # a name that TensorFlow and `_held` leave alone


def kept_with(network, name, make):
    """What `make()` gives, such as a traced function, kept with the network until its layers or weights change.

    It may refer to the network: it goes when the network goes. With layers that cannot be told it is made each time.
    """
    known = digest(network)
    if isinstance(known, Unknown):
        return make()
    of, things = vars(network).get(ATTRIBUTE, (None, {}))
    if of != known:
        things = {}
        object.__setattr__(network, ATTRIBUTE, (known, things))  # unseen by Keras, which would look into it and save it
    if name not in things:
        things[name] = make()
    return things[name]


def _buffer(variable):
    """Where a variable lies in the processor's memory and the tensor that lies there; None if that cannot be told."""
    import tensorflow as tf

    tensor = tf.convert_to_tensor(variable.value)
    try:
        return (np.frombuffer(memoryview(tensor), np.uint8).ctypes.data, tensor) if "CPU" in tensor.device else None
    except ValueError:  # bfloat16
        return None
