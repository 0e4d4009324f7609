"""What lies where in a network: layers that follow a convolution, logits, outputs of layers."""

from dataclasses import dataclass

import keras
import numpy as np

from .custom_layers import ClassScores

CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D)

FOLLOWERS = (keras.layers.BatchNormalization, keras.layers.Activation, keras.layers.ReLU, keras.layers.LeakyReLU)


def grid_layer(network, name=None):
    """Layer whose output is a grid over time and frequency: the one named, or the last convolution.

    Returns
    -------
    keras.Layer
        With an output of shape (n, time, frequency, filters). For the last convolution, the last of the batch norm
        and activation layers that directly follow it.

    Raises
    ------
    ValueError
        If there is no such layer.
    """
    grids = [
        layer for layer in network.layers if len(_shape(layer)) == 4 and not isinstance(layer, keras.layers.InputLayer)
    ]
    if name is not None:
        found = next((layer for layer in grids if layer.name == name), None)
        if found is None:
            listed = ", ".join(layer.name for layer in grids)
            raise ValueError(f"layer={name!r}: network '{network.name}' has no grid by this name; it has {listed}.")
        return found
    convolution = next((layer for layer in reversed(grids) if isinstance(layer, CONVOLUTIONS)), None)
    if convolution is None:
        raise ValueError(
            f"network '{network.name}' has no convolution over time and frequency among its own layers. "
            "Grad-CAM needs one; use 'lime' or 'occlusion', which take any network."
        )
    return _last_follower(network, convolution)


def _last_follower(network, layer):
    following = [other for other in network.layers if other is not layer and other.input is layer.output]
    if len(following) == 1 and isinstance(following[0], FOLLOWERS):
        return _last_follower(network, following[0])
    return layer


def _shape(layer):
    output = layer.output
    return output.shape if isinstance(output, keras.KerasTensor) else ()


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


KERNELS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Dense)

FOLLOWING = (
    keras.layers.BatchNormalization,
    keras.layers.ReLU,
    keras.layers.Activation,
    keras.layers.MaxPooling1D,
    keras.layers.MaxPooling2D,
)


def layer_outputs(network):
    """Output of each layer with a kernel, after the batch norm, activation and pool that follow it.

    Depthwise convolutions and the dense layer of the head `FCFinal` are left out.

    Parameters
    ----------
    network : keras.Model

    Returns
    -------
    dict
        ``{layer name: keras.KerasTensor}`` from the first layer to the last.
    """
    takers = {}
    for layer in network.layers:
        if not isinstance(layer, keras.layers.InputLayer):
            for tensor in layer.input if isinstance(layer.input, list) else [layer.input]:
                takers.setdefault(id(tensor), []).append(layer)
    outputs = {}
    for layer in network.layers:
        if isinstance(layer, KERNELS) and not isinstance(layer, keras.layers.DepthwiseConv2D):
            tensor, following = layer.output, takers.get(id(layer.output), [])
            while len(following) == 1 and isinstance(following[0], FOLLOWING):
                tensor = following[0].output
                following = takers.get(id(tensor), [])
            outputs[layer.name] = tensor
    outputs.pop("FCFinal", None)
    return outputs


@dataclass(frozen=True)
class PooledHead:
    """The end of a network that averages its last feature maps over all positions and has one dense layer.

    Parameters
    ----------
    features : keras.KerasTensor [n, time, frequency, filters]
        What is averaged.
    kernel : numpy.ndarray [filters, classes]
    bias : numpy.ndarray [classes]
    pool : str
        Name of the layer that averages.
    """

    features: keras.KerasTensor
    kernel: np.ndarray
    bias: np.ndarray
    pool: str


def pooled_head(network):
    """The end of a network, if it averages its feature maps over all positions and has one dense layer.

    A softmax may follow, and dropout, which does nothing here, may stand between the two.

    Returns
    -------
    PooledHead

    Raises
    ------
    ValueError
        If the network ends otherwise.
    """
    layers = [layer for layer in network.layers if not isinstance(layer, keras.layers.InputLayer)]
    by_output = {id(getattr(layer, "output", None)): layer for layer in layers}
    chain = [by_output.get(id(network.outputs[0]))]  # from the end to the feature maps
    while chain[-1] is not None and not isinstance(chain[-1], keras.layers.GlobalAveragePooling2D):
        chain.append(by_output.get(id(chain[-1].input)))
    kept = [layer for layer in chain if layer is not None and not isinstance(layer, keras.layers.Dropout)]
    if kept and _is_softmax(kept[0]):
        kept = kept[1:]
    fits = len(kept) == 2 and chain[-1] is not None and isinstance(kept[0], keras.layers.Dense)
    if not fits or kept[0].activation not in (keras.activations.linear, keras.activations.softmax, None):
        raise ValueError(
            f"network '{network.name}' ends in {_described(layers)}. CAM and CRM need global average pooling "
            "(GlobalAveragePooling2D) and one dense layer with no activation but a softmax, as YAMNet has them. "
            "Use 'gradcam', which takes any convolutional network, or 'occlusion', which takes any."
        )
    dense, pool = kept
    kernel = np.asarray(dense.kernel, np.float32)
    bias = np.asarray(dense.bias, np.float32) if dense.use_bias else np.zeros(kernel.shape[1], np.float32)
    return PooledHead(pool.input, kernel, bias, pool.name)


def _is_softmax(layer):
    if isinstance(layer, keras.layers.Activation):
        return layer.activation is keras.activations.softmax
    return isinstance(layer, (ClassScores, keras.layers.Softmax))


def _described(layers):
    """The last layers, in words: "… ReLU 'a', Flatten 'b', Dense 'c' (relu)"."""
    words = []
    for layer in layers:
        if not isinstance(layer, keras.layers.Dropout):
            words.append(f"{type(layer).__name__} '{layer.name}'")
            if isinstance(layer, keras.layers.Dense):
                words[-1] += f" ({getattr(layer.activation, '__name__', 'own activation')})"
    return ", ".join(words[-6:])
