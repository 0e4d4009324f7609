"""What lies where in a network: layers that follow a convolution, outputs of layers, logits, the pooled head.

A layer may be called several times in a network, and its output may go several ways. So the graph is walked by calls
and tensors, never by the layers' own `input` and `output`.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .backend import keras
from .copying import layer_like
from .head import HEAD

CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D)
KERNELS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.SeparableConv2D, keras.layers.Dense)
ACTIVATIONS = (keras.layers.BatchNormalization, keras.layers.Activation, keras.layers.ReLU, keras.layers.LeakyReLU)
POOLS = (keras.layers.MaxPooling1D, keras.layers.MaxPooling2D)


class Call(NamedTuple):
    """One call of a layer in a network, with the tensors that it takes and gives."""

    layer: keras.Layer
    inputs: list
    outputs: list


def calls(network):
    """Every call of a layer that a network's outputs need, each behind those that it needs itself."""
    found, waiting = {}, [(tensor, False) for tensor in reversed(network.outputs)]
    while waiting:
        tensor, ready = waiting.pop()
        layer, number, _ = tensor._keras_history
        node = layer._inbound_nodes[number]
        if id(node) in found:
            continue
        before = [] if any(tensor is given for given in network.inputs) else node.input_tensors
        if ready or not before:
            found[id(node)] = Call(layer, list(before), list(node.output_tensors))
        else:
            waiting += [(tensor, True), *((each, False) for each in reversed(before))]
    # By the longest way to the output: the last convolution is then the one nearest to it.
    distance, maker = {}, {id(tensor): call for call in found.values() for tensor in call.outputs}
    for call in reversed(found.values()):
        for tensor in call.inputs:
            one, own = id(maker[id(tensor)].outputs[0]), distance.setdefault(id(call.outputs[0]), 0)
            distance[one] = max(distance.get(one, 0), own + 1)
    return sorted(found.values(), key=lambda call: -distance.get(id(call.outputs[0]), 0))


def follow(network, tensor, kinds):
    """Where a tensor is after the layers of some kinds that directly follow it, one after another.

    The tensor itself if something else follows, or if it goes several ways, as at the start of a residual block.
    """
    takers = {}
    for call in calls(network):
        for given in call.inputs:
            takers.setdefault(id(given), []).append(call)
    while True:
        following = takers.get(id(tensor), [])
        if len(following) != 1 or not isinstance(following[0].layer, kinds) or len(following[0].inputs) > 1:
            return tensor
        tensor = following[0].outputs[0]


class Grid(NamedTuple):
    """A layer that gives a grid [n, time, frequency, filters]; named after the last that directly follows it."""

    name: str
    tensor: keras.KerasTensor
    layer: keras.Layer


def grid_of(network, name=None):
    """The grid that a layer gives: the named one's output as it is, or that of the last convolution.

    The latter is taken after the batch norm and activation that directly follow it. A ValueError if there is none.
    """
    grids = [call for call in calls(network) if call.inputs and len(call.outputs[0].shape) == 4]
    if name is not None:
        found = [call for call in grids if call.layer.name == name]
        if not found:
            listed = ", ".join(call.layer.name for call in grids)
            raise ValueError(f"layer={name!r}: network '{network.name}' has no grid by this name; it has {listed}.")
        return Grid(name, found[-1].outputs[0], found[-1].layer)
    found = [call for call in grids if isinstance(call.layer, CONVOLUTIONS)]
    if not found:
        raise ValueError(
            f"network '{network.name}' has no convolution over time and frequency among its own layers. "
            "Grad-CAM needs one; use 'lime' or 'occlusion', which take any network."
        )
    wide = [call for call in found if tuple(call.outputs[0].shape[1:3]) != (1, 1)]  # one cell has no place
    tensor = follow(network, (wide or found)[-1].outputs[0], ACTIVATIONS)
    layer = tensor._keras_history[0]
    return Grid(layer.name, tensor, layer)


def feature_map(network, name):
    """What a convolution gives [n, time, frequency, filters], after batch norm and activation, before pooling.

    A ValueError if there is no such convolution.
    """
    found = {call.layer.name: call.outputs[0] for call in calls(network) if isinstance(call.layer, CONVOLUTIONS)}
    if name not in found:
        listed = ", ".join(found) or "none among its own layers"
        raise ValueError(f"layer={name!r}: network '{network.name}' has no such convolution; it has {listed}.")
    return follow(network, found[name], ACTIVATIONS)


def layer_outputs(network):
    """Output of each layer with a kernel, by name, after the batch norm, activation and pool that follow it.

    From the first layer to the last; depthwise convolutions and the dense layer of the head are left out.
    """
    return {
        call.layer.name: follow(network, call.outputs[0], ACTIVATIONS + POOLS)
        for call in calls(network)
        if isinstance(call.layer, KERNELS)
        and not isinstance(call.layer, keras.layers.DepthwiseConv2D)
        and call.layer.name != HEAD
    }


def logits_of(network):
    """Symbolic logits [n, classes]: what a network gives before its softmax or sigmoids, or without one.

    A softmax is told by what it does, not by its name: layers, functions and operations are tried out on numbers. What
    follows it and changes no number, as dropout, a cast or a reshape, stays behind the logits. A network of one unit
    tells two classes, whose logits are -z and z. A ValueError if the network gives probabilities whose logits are not
    found.
    """
    logits, found = _before_the_end(network.outputs[0], network)
    if not found and _gives_probabilities(network):
        raise ValueError(
            f"network '{network.name}' gives probabilities, and the logits before them are not found: it ends in "
            f"{_described([call.layer for call in calls(network) if call.inputs])}. End it in a Dense layer with "
            "activation='softmax', or in a Dense and a Softmax layer."
        )
    return keras.ops.concatenate([-logits, logits], axis=-1) if logits.shape[-1] == 1 else logits


def probabilities_of(network):
    """Symbolic probabilities [n, classes]: what a network gives, or the softmax of it where it gives logits."""
    scores, ends = network.outputs[0], has_ending(network)
    if scores.shape[-1] == 1:
        one = scores if ends else keras.ops.sigmoid(scores)
        return keras.ops.concatenate([1 - one, one], axis=-1)
    return scores if ends or _gives_probabilities(network) else keras.ops.softmax(scores)


def has_ending(network):
    """Whether a network ends in a softmax or in sigmoids."""
    return _before_the_end(network.outputs[0], network)[1]


def _before_the_end(tensor, network):
    """A tensor without the softmax or sigmoid that it ends in, and whether there was one."""
    maker = {id(made): call for call in calls(network) for made in call.outputs}
    call = maker[id(tensor)]
    layer, given = call.layer, call.inputs[0] if len(call.inputs) == 1 else None
    if given is None:
        return tensor, False
    if isinstance(layer, keras.Model):
        inner, found = _before_the_end(layer.outputs[0], layer)
        return (keras.Model(layer.inputs, inner)(given), True) if found else (tensor, False)
    activation = getattr(layer, "activation", None)
    if getattr(layer, "weights", None):
        if activation is None or not _acts_as_ending(activation, tensor.shape):
            return tensor, False
        linear = layer_like(layer, activation="linear")
        logits = linear(given)
        linear.set_weights(layer.get_weights())
        return logits, True
    if _acts_as_ending(layer, given.shape):
        return given, True
    if _changes_no_number(layer, given.shape):
        before, found = _before_the_end(given, network)
        return (layer(before), True) if found else (tensor, False)
    return tensor, False


def _tried(function, shape):
    """Numbers of a shape of two rows, and what a function makes of them; None if it cannot."""
    values = np.random.default_rng(0).normal(0, 2, (2, *(size or 3 for size in shape[1:]))).astype(np.float32)
    try:
        options = {"training": False} if isinstance(function, keras.layers.Dropout) else {}
        return values, keras.ops.convert_to_numpy(function(keras.ops.convert_to_tensor(values), **options))
    except Exception:
        return values, None


def _acts_as_ending(function, shape):
    """Whether a function is a softmax over the last axis, or a sigmoid."""
    values, found = _tried(function, shape)
    if found is None or found.shape != values.shape:
        return False
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    expected = powers / powers.sum(axis=-1, keepdims=True), 1 / (1 + np.exp(-values))
    return any(np.allclose(found, one, rtol=1e-3, atol=1e-5) for one in expected)


def _changes_no_number(function, shape):
    """Whether a function gives the numbers that it takes, perhaps in another shape or precision."""
    values, found = _tried(function, shape)
    return found is not None and found.size == values.size and np.allclose(found.ravel(), values.ravel(), rtol=1e-2)


def _does_nothing(call):
    """Whether a call gives the numbers that it takes, as dropout and a cast do."""
    if len(call.inputs) != 1 or getattr(call.layer, "weights", None) or call.inputs[0].shape != call.outputs[0].shape:
        return False
    return _changes_no_number(call.layer, call.inputs[0].shape)


def _gives_probabilities(network):
    """Whether scores of numbers drawn at random lie between 0 and 1 and add up to 1."""
    shape = [size or 64 for size in network.input_shape[1:]]
    data = np.random.default_rng(0).normal(-3, 2, (4, *shape)).astype(np.float32)
    scores = np.asarray(network(data, training=False), np.float64)
    return scores.shape[-1] > 1 and (scores >= 0).all() and np.allclose(scores.sum(axis=-1), 1, atol=1e-3)


@dataclass(frozen=True)
class PooledHead:
    """The end of a network that averages its last feature maps over all positions and has one dense layer.

    What is averaged, `features` [n, time, frequency, filters], by the layer `pool`; the dense layer's `kernel`
    [filters, classes] and `bias` [classes].
    """

    features: keras.KerasTensor
    kernel: np.ndarray
    bias: np.ndarray
    pool: str


def pooled_head(network):
    """The end of a network, if it averages its feature maps over all positions and has one dense layer.

    A softmax may follow, and dropout or a cast, which do nothing here, may stand between. A ValueError if the network
    ends otherwise.
    """
    by_output = {id(tensor): call for call in calls(network) for tensor in call.outputs}
    chain = [by_output[id(network.outputs[0])]]  # from the end to the feature maps
    while len(chain[-1].inputs) == 1 and not isinstance(chain[-1].layer, keras.layers.GlobalAveragePooling2D):
        chain.append(by_output[id(chain[-1].inputs[0])])
    kept = [call for call in chain if not _does_nothing(call)]
    last = kept[0] if kept and kept[0].inputs and not getattr(kept[0].layer, "weights", None) else None
    if last and _acts_as_ending(last.layer, last.inputs[0].shape):
        kept = kept[1:]
    dense, pool = (kept[0].layer, kept[1].layer) if len(kept) == 2 else (None, None)
    fits = isinstance(dense, keras.layers.Dense) and isinstance(pool, keras.layers.GlobalAveragePooling2D)
    linear = dense.activation in (keras.activations.linear, None) if fits else False
    if not fits or not (linear or _acts_as_ending(dense.activation, (None, 3))):
        layers = [call.layer for call in calls(network) if call.inputs]
        raise ValueError(
            f"network '{network.name}' ends in {_described(layers)}. CAM and CRM need global average pooling "
            "(GlobalAveragePooling2D) and one dense layer with no activation but a softmax, as YAMNet has them. "
            "Use 'gradcam', which takes any convolutional network, or 'occlusion', which takes any."
        )
    kernel = np.asarray(dense.kernel, np.float32)
    bias = np.asarray(dense.bias, np.float32) if dense.use_bias else np.zeros(kernel.shape[1], np.float32)
    if len(bias) == 1:  # one unit tells two classes
        kernel, bias = np.concatenate([-kernel, kernel], axis=1), np.concatenate([-bias, bias])
    return PooledHead(kept[1].inputs[0], kernel, bias, pool.name)


def _described(layers):
    """The last layers, in words: "… ReLU 'a', Flatten 'b', Dense 'c' (relu)"."""
    words = []
    for layer in layers:
        if not isinstance(layer, keras.layers.Dropout):
            words.append(f"{type(layer).__name__} '{layer.name}'")
            if isinstance(layer, keras.layers.Dense):
                words[-1] += f" ({getattr(layer.activation, '__name__', 'own activation')})"
    return ", ".join(words[-6:])
