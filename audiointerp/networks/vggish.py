"""VGGish, whole or narrow, from its official checkpoint or from random weights."""

from dataclasses import replace
from pathlib import Path

from ..errors import WeightsError
from ..sound.frontend import VGGISH
from ..storage.folders import data_folder
from ..storage.remote import Remote, check, fetch
from .backend import in_float32, keras
from .head import add_head, scaled

CHECKPOINT = Remote(
    name="VGGish checkpoint",
    urls=("https://storage.googleapis.com/audioset/vggish_model.ckpt",),
    filename="vggish_model.ckpt",
    sha256="0962b1914e3e053922d957c45bc84a78c985765641dc6bceeeb3a7d8dfecfdf6",
    licence="Apache-2.0",
    citation="Hershey et al., CNN architectures for large-scale audio classification, ICASSP 2017",
    otherwise="train from random weights instead: weights='random'",
)

CONVOLUTIONS = (("conv1", 64), ("conv2", 128), ("conv3_1", 256), ("conv3_2", 256), ("conv4_1", 512), ("conv4_2", 512))
POOLED = {"conv1": "pool1", "conv2": "pool2", "conv3_2": "pool3", "conv4_2": "pool4"}
DENSE = (("fc1_1", 4096), ("fc1_2", 4096), ("fc2", 128))


@in_float32()
def vggish(labels, *, weights="audioset", width=1.0, seed=0, frontend=VGGISH, sha256=CHECKPOINT.sha256):
    """VGGish with a new dense layer `FCFinal` and softmax.

    Parameters
    ----------
    labels : sequence of str
        Class names.
    weights : {"audioset", "random"} or path
        The official AudioSet checkpoint (found under ``AUDIOINTERP_DATA`` or downloaded), random numbers, or a
        checkpoint file.
    width : float
        Factor on the number of filters and units; below 1 only with random weights.
    seed : int
        For the random weights.
    frontend : FrontEnd
        Its frames and mels are the input's shape.
    sha256 : str or None
        What a checkpoint must match; None accepts any file.

    Returns
    -------
    keras.Model [(n, frames, mels, 1) -> (n, classes)]

    Raises
    ------
    WeightsError
        If the checkpoint lacks a variable or one has another shape.
    ChecksumError
        If the file is not the published one.
    MissingDataError
        If it is neither there nor to be downloaded.

    References
    ----------
    Hershey et al., ICASSP 2017; last layer `EmbeddingBatch` as in MathWorks' ``vggish``.

    Examples
    --------
    >>> vggish(["dog", "rain"], weights="random", width=0.25)  # doctest: +SKIP
    """
    if weights != "random" and width != 1:
        raise WeightsError(f"width {width} with weights {weights!r}: pretrained weights exist for width 1 only.")
    network = add_head(_body(frontend, width, seed), labels, frontend, seed=seed + 100)
    if weights != "random":
        path = find_checkpoint() if weights == "audioset" else Path(weights)
        load_checkpoint(network, path, sha256=sha256)
    return network


def has_checkpoint():
    """Whether the official checkpoint lies in the data folder already."""
    return (data_folder() / "weights" / CHECKPOINT.filename).is_file()


def find_checkpoint():
    """Path of the official checkpoint, downloaded if it is not there yet."""
    return fetch(CHECKPOINT, data_folder() / "weights")


def load_checkpoint(network, path, *, sha256=CHECKPOINT.sha256):
    """Fill the body of a VGGish of width 1 with a TensorFlow checkpoint (V1, one file; V2 works too); its head stays.

    A ChecksumError if the file has not this sha256 (None accepts any), a WeightsError if it does not fit.
    """
    import tensorflow as tf

    try:
        if sha256:
            check(replace(CHECKPOINT, sha256=sha256), path)
        values = _read(tf.train.load_checkpoint(str(path)), network, path)
    except (OSError, tf.errors.OpError, ValueError, RuntimeError) as error:
        raise WeightsError(
            f"{path}: not a TensorFlow checkpoint, or damaged ({error}). "
            f"Expected {CHECKPOINT.filename} from {CHECKPOINT.urls[0]}."
        ) from error
    for layer, arrays in values.items():
        network.get_layer(layer).set_weights(arrays)


def _read(reader, network, path):
    """Weights and biases of each layer of the body, once all of them are known to fit."""
    shapes, values = reader.get_variable_to_shape_map(), {}
    for layer in [name for name, _ in CONVOLUTIONS + DENSE]:
        scope = f"vggish/{layer.split('_')[0]}/{layer}" if "_" in layer else f"vggish/{layer}"
        own = network.get_layer(layer).get_weights()
        for part, array in zip(("weights", "biases"), own, strict=True):
            name = f"{scope}/{part}"
            if tuple(shapes.get(name, ())) != array.shape:
                found = f"has shape {tuple(shapes[name])}" if name in shapes else "is missing"
                raise WeightsError(
                    f"{path}: variable '{name}' {found}, expected {array.shape}. "
                    "It is not VGGish's checkpoint, or it is damaged: download it again with "
                    "'audiointerp download vggish'."
                )
            values.setdefault(layer, []).append(reader.get_tensor(name))
    return values


def _body(frontend, width, seed):
    layers = keras.layers
    seeds = iter(range(seed, seed + 100))

    def glorot():
        return keras.initializers.GlorotUniform(next(seeds))

    x = inputs = keras.Input((frontend.frames, frontend.mels, 1), name="log_mel")
    for name, filters in CONVOLUTIONS:
        x = layers.Conv2D(
            scaled(filters, width), 3, padding="same", activation="relu", kernel_initializer=glorot(), name=name
        )(x)
        if name in POOLED:
            x = layers.MaxPooling2D(2, padding="same", name=POOLED[name])(x)
    x = layers.Flatten(name="flatten")(x)
    for name, units in DENSE:
        activation = None if name == "fc2" else "relu"
        x = layers.Dense(scaled(units, width), activation=activation, kernel_initializer=glorot(), name=name)(x)
    x = layers.ReLU(name="EmbeddingBatch")(x)
    return keras.Model(inputs, x, name="vggish")
