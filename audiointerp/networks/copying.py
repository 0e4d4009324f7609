"""Copies of networks and of their layers."""

import numpy as np

from ..errors import WeightsError
from .backend import in_float32, keras


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
        raise WeightsError(f"network '{network.name}' cannot be copied: {why_not_made_again(error)}") from error
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


def why_not_made_again(error):
    """The first sentence of an error of Keras, whose examples go on for long, and what a layer of one's own needs."""
    first = " ".join(str(error).split()).split(". ")[0].rstrip(".")
    return (
        f"{first}. A layer of your own is made again from its config: give it a get_config() that returns what its "
        "__init__ takes, beside super().get_config()."
    )


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
