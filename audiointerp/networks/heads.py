"""The output layer: scores per class, and what a saved network must know to classify a sound alone."""

from dataclasses import asdict
from pathlib import Path

import joblib
import keras
import numpy as np
from tqdm import tqdm

from ..cache import write_whole
from ..errors import PatchShapeError, UnknownLabelError, WeightsError
from ..frontend import VGGISH, frontend_from
from . import feature_layers, filterloss  # noqa: F401 - a saved network may hold their layers


@keras.saving.register_keras_serializable("audiointerp")
class ClassScores(keras.layers.Layer):
    """Softmax in float32 that carries the class names and the front end through saving and cloning.

    Parameters
    ----------
    labels : sequence of str
        Class names in the order of the outputs.
    frontend : FrontEnd, WaveformFrontEnd or dict
        Settings that made the input.
    """

    def __init__(self, labels, frontend=VGGISH, **kwargs):
        super().__init__(**{"name": "scores", **kwargs, "dtype": "float32"})
        self.labels = [str(label) for label in labels]
        self.frontend = frontend_from(frontend) if isinstance(frontend, dict) else frontend
        self.activation = keras.activations.softmax

    def call(self, logits):
        return self.activation(logits)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "labels": list(self.labels), "frontend": asdict(self.frontend)}


@keras.saving.register_keras_serializable("audiointerp")
class ScaleWaveform(keras.layers.Layer):
    """First layer of a network that listens to the waveform: its factor, and the front end that it belongs to.

    Parameters
    ----------
    frontend : WaveformFrontEnd or dict
    """

    def __init__(self, frontend, **kwargs):
        super().__init__(**{"name": "scale", **kwargs})
        self.frontend = frontend_from(frontend) if isinstance(frontend, dict) else frontend

    def call(self, waveforms):
        return waveforms * self.frontend.scale

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "frontend": asdict(self.frontend)}


def add_head(body, labels, frontend=VGGISH, *, seed=0):
    """Put a new dense layer and a softmax on a network without its output layer.

    Parameters
    ----------
    body : keras.Model [(n, ...) -> (n, features)]
    labels : sequence of str
        Class names, at least two, none twice.
    frontend : FrontEnd or WaveformFrontEnd
    seed : int

    Returns
    -------
    keras.Model [(n, ...) -> (n, classes)]
    """
    labels = [str(label) for label in labels]
    if len(labels) < 2 or len(set(labels)) < len(labels):
        raise UnknownLabelError(f"labels {labels}: expected at least two class names, none of them twice.")
    initializer = keras.initializers.GlorotUniform(seed)
    logits = keras.layers.Dense(len(labels), kernel_initializer=initializer, name="FCFinal")(body.output)
    return keras.Model(body.input, ClassScores(labels, frontend)(logits), name=body.name)


def labels_of(network):
    """Class names of a network, in the order of its outputs.

    Networks made elsewhere, without `ClassScores`, have their outputs' numbers as names.
    """
    last = network.layers[-1]
    return list(last.labels) if isinstance(last, ClassScores) else [str(i) for i in range(network.output_shape[-1])]


def frontend_of(network):
    """Front end that a network was made for.

    Raises
    ------
    WeightsError
        If the network does not carry one.
    """
    for layer in reversed(network.layers):
        if isinstance(layer, (ClassScores, ScaleWaveform)):
            return layer.frontend
    raise WeightsError(f"network '{network.name}' does not say which front end it needs; build it with add_head.")


def with_frontend(network, frontend):
    """The same weights behind another front end, such as one of another sample rate.

    Parameters
    ----------
    network : keras.Model
        On waveforms.
    frontend : WaveformFrontEnd

    Returns
    -------
    keras.Model
        A copy.
    """

    def changed(layer):
        if isinstance(layer, (ClassScores, ScaleWaveform)):
            return type(layer).from_config({**layer.get_config(), "frontend": asdict(frontend)})
        return type(layer).from_config(layer.get_config())

    copy = keras.models.clone_model(network, clone_function=changed)
    copy.set_weights(network.get_weights())
    return copy


def label_index(network, label):
    """Number of the output that scores `label`.

    Raises
    ------
    UnknownLabelError
        If the network has no such class.
    """
    labels = labels_of(network)
    if label not in labels:
        raise UnknownLabelError(f"label {label!r}: the network '{network.name}' knows {', '.join(labels)}.")
    return labels.index(label)


def check_patches(network, patches):
    """Raise a `PatchShapeError` unless `network` takes `patches` and was made for their front end."""
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


def outputs_of(network, data, *, batch_size=64, title="scores"):
    """What a network gives for many patches, computed in batches of one shape, so that it is traced once.

    Parameters
    ----------
    network : keras.Model
    data : array [n, ...]
        Whatever gives an array when it is sliced; a channel axis is added if it has none.
    batch_size : int
    title : str
        In front of the progress bar.

    Returns
    -------
    numpy.ndarray [n, ...]
    """
    size = min(batch_size, len(data))
    results = []
    for start in tqdm(range(0, len(data), size), title, unit="batch", leave=False, delay=2):
        part = np.asarray(data[start : start + size])
        part = part[..., None] if part.ndim < len(network.input_shape) else part
        full = np.concatenate([part, np.zeros((size - len(part), *part.shape[1:]), part.dtype)])
        results.append(network.predict_on_batch(full)[: len(part)])
    return np.concatenate(results)


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

    Raises
    ------
    OSError
        If the disk is full or the folder cannot be written to; nothing is left behind.
    """
    path = Path(path)
    write_whole(path, network.save)
    return path


def load_network(path):
    """Load a network saved by `save_network`; it alone can classify a sound.

    Raises
    ------
    WeightsError
        If there is no such file or it is not a saved network.
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


def scaled(filters, width):
    """Number of filters at a width factor, at least 1."""
    if not 0 < width <= 1:
        raise ValueError(f"width is {width}; expected a factor above 0 and up to 1.")
    return max(1, int(np.round(filters * width)))
