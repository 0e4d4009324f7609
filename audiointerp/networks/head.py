"""The output layer: scores per class, and what a network says of its classes and its front end."""

from collections.abc import Iterable
from dataclasses import asdict

import numpy as np

from ..errors import PatchShapeError, UnknownLabelError, WeightsError
from ..sound.frontend import VGGISH
from ..sound.patches import Patches, class_names
from .backend import in_float32, keras
from .copying import finalised, layer_like
from .custom_layers import ClassScores, ScaleWaveform
from .fingerprints import while_unchanged

HEAD = "FCFinal"  # name of the new dense layer, as in the MathWorks example


@in_float32()
def add_head(body, labels, frontend=VGGISH, *, seed=0):
    """Put a new dense layer and a softmax on a network without its output layer.

    Parameters
    ----------
    body : keras.Model [(n, ...) -> (n, features)]
    labels : sequence of str
        Class names, at least two, none twice.
    frontend : FrontEnd or WaveformFrontEnd
        That the network is made for; it travels with it.
    seed : int
        For the new layer's weights.

    Returns
    -------
    keras.Model [(n, ...) -> (n, classes)]

    Raises
    ------
    UnknownLabelError
        If there are fewer than two class names, or one stands twice.

    Examples
    --------
    >>> network = add_head(body, ["dog", "rain"], YAMNET)  # doctest: +SKIP
    """
    labels = class_names(labels)
    if None in labels or len(labels) < 2 or len(set(labels)) < len(labels):
        raise UnknownLabelError(f"labels {labels}: expected at least two class names, none of them twice or missing.")
    initializer = keras.initializers.GlorotUniform(seed)
    logits = keras.layers.Dense(len(labels), kernel_initializer=initializer, name=HEAD)(body.outputs[0])
    return keras.Model(body.inputs[0], ClassScores(labels, frontend)(logits), name=body.name)


def labels_of(network):
    """Class names of a network, in the order of its outputs.

    Parameters
    ----------
    network : keras.Model [(n, ...) -> (n, classes)]
        One made elsewhere, without `add_head`, has its outputs' numbers as names; one unit tells 0 from 1.

    Returns
    -------
    list of str [classes]

    Raises
    ------
    TypeError
        If it is no Keras network with one input and one output.

    Examples
    --------
    >>> labels_of(network)  # doctest: +SKIP
    """
    check_network(network)
    last = network.layers[-1]
    if isinstance(last, ClassScores):
        return list(last.labels)
    return [str(number) for number in range(max(2, network.output_shape[-1]))]


def check_network(network, *, one_output=True):
    """Raise a TypeError unless this is a Keras network of known layers, with one input and output."""
    if not isinstance(network, keras.Model):
        raise TypeError(f"found {type(network).__name__} where a Keras network is expected. load_network() reads one.")
    inputs, outputs = (getattr(network, name, None) or [] for name in ("inputs", "outputs"))
    if not inputs or not outputs:
        raise TypeError(
            f"network '{network.name}' is subclassed, or not built yet: its layers cannot be followed. Make it with "
            "keras.Model(inputs, outputs), or as a keras.Sequential that begins with a keras.Input."
        )
    if one_output and (len(inputs) > 1 or len(outputs) > 1):
        raise TypeError(
            f"network '{network.name}' has {len(inputs)} inputs and {len(outputs)} outputs; expected one of each. Take "
            "one, as in keras.Model(network.inputs[0], network.outputs[0])."
        )


def frontend_of(network):
    """Front end that a network was made for.

    Parameters
    ----------
    network : keras.Model
        From `add_head`, or loaded.

    Returns
    -------
    FrontEnd or WaveformFrontEnd

    Raises
    ------
    WeightsError
        If the network does not carry one.

    Examples
    --------
    >>> patches = make_patches(clips, frontend_of(network))  # doctest: +SKIP
    """
    for layer in reversed(network.layers):
        if isinstance(layer, (ClassScores, ScaleWaveform)):
            return layer.frontend
    raise WeightsError(f"network '{network.name}' does not say which front end it needs; build it with add_head.")


@in_float32()
def with_frontend(network, frontend):
    """A copy with the same weights behind another front end for waveforms, such as one of another sample rate."""

    def changed(layer):
        knows = isinstance(layer, (ClassScores, ScaleWaveform))
        return layer_like(layer, **({"frontend": asdict(frontend)} if knows else {}))

    copy = keras.models.clone_model(network, clone_function=changed)
    copy.set_weights(network.get_weights())
    return finalised(copy)


def head_of(network):
    """The dense layer that `add_head` made; a ValueError if a network has none."""
    found = [layer for layer in network.layers if layer.name == HEAD]
    if not found:
        raise ValueError(
            f"network '{network.name}' has no head of this package, a dense layer '{HEAD}': make it from the network "
            "without its last layers, add_head(keras.Model(network.inputs, embedding), labels, frontend)."
        )
    return found[0]


def label_index(network, label):
    """Number of the output that scores a label; an UnknownLabelError if the network has no such class."""
    labels, name = labels_of(network), class_names([label])[0]
    known = class_names(labels)
    if name not in known:
        raise UnknownLabelError(f"label {label!r}: the network '{network.name}' knows {', '.join(labels)}.")
    return known.index(name)


def asked_labels(network, labels):
    """The classes asked for, as the network calls them: one or several, each once; all by default."""
    known = labels_of(network)
    if labels is None:
        return known
    if not isinstance(labels, Iterable):
        raise UnknownLabelError(f"labels={labels!r}: expected class names in a list. It knows {', '.join(known)}.")
    labels = [labels] if isinstance(labels, str) else list(labels)
    return list(dict.fromkeys(known[label_index(network, label)] for label in labels))


def check_kinds(network, patches):
    """Raise a TypeError unless these are a Keras network and `Patches`."""
    check_network(network)
    if not isinstance(patches, Patches):
        raise TypeError(
            f"found {type(patches).__name__} where patches are expected. Make them with make_patches(clips, "
            "frontend_of(network)), or of an array [n, frames, mels] with Patches(data, table, frontend)."
        )


def check_patches(network, patches):
    """Raise a `PatchShapeError` unless a network takes patches, a `WeightsError` if its weights are no numbers."""
    check_kinds(network, patches)
    expected = tuple(network.input_shape[1:]) if isinstance(network.input_shape, tuple) else None
    found = (*patches.data.shape[1:], 1)
    if expected is None or len(expected) != 3 or any(e not in (None, f) for e, f in zip(expected, found, strict=True)):
        raise PatchShapeError(
            f"network '{network.name}' takes inputs of shape {network.input_shape}, the patches are {found}. "
            "Expected (frames, mels, 1): make the patches with the network's front end, frontend_of(network)."
        )
    if isinstance(network.layers[-1], ClassScores) and frontend_of(network) != patches.frontend:
        raise PatchShapeError(
            f"network '{network.name}' was made for {frontend_of(network)}, the patches for {patches.frontend}. "
            "Make them with make_patches(clips, frontend_of(network))."
        )
    if broken := while_unchanged(network, "broken", lambda: _broken_weight(network)):
        raise WeightsError(
            f"network '{network.name}': its weight {broken} is NaN or infinite, so what it gives means "
            "nothing. Train it again with a smaller learning rate, or load it anew."
        )


def _broken_weight(network):
    """Name of the first weight that is not finite, if there is one."""
    broken = (weight.path for weight in network.weights if not np.isfinite(np.asarray(weight, np.float32)).all())
    return next(broken, None)


def scaled(filters, width):
    """Number of filters at a width factor, at least 1."""
    if not 0 < width <= 1:
        raise ValueError(f"width is {width}; expected a factor above 0 and up to 1.")
    return max(1, int(np.round(filters * width)))
