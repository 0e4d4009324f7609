"""EfficientNetB0, which has learned from photographs, on log-mel patches."""

from pathlib import Path

import h5py
import numpy as np

from ..errors import PatchShapeError, WeightsError
from ..sound.frontend import MUSIC
from ..storage.folders import data_folder
from ..storage.remote import Remote, fetch
from .backend import in_float32, keras
from .head import HEAD, add_head

WEIGHTS = Remote(
    name="EfficientNetB0's ImageNet weights",
    urls=("https://storage.googleapis.com/keras-applications/efficientnetb0_notop.h5",),
    filename="efficientnetb0_notop.h5",
    md5="50bc09e76180e00e4465e1a485ddc09d",
    licence="Apache-2.0",
    citation="Tan & Le, EfficientNet: Rethinking model scaling for convolutional neural networks, ICML 2019",
    otherwise="train from random weights instead: weights='random'",
)

LOUDEST = 5.0  # log-mel value that becomes white
SMALLEST = 32  # frames and mel bands: the network halves the picture five times

# Mean and standard deviation of ImageNet's red, green and blue, black being 0 and white 1.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PIXELS, COLOURS = "pixels", "colours"  # layers that make a patch a picture, and that picture one of ImageNet's


@in_float32()
def efficientnet_b0(labels, *, weights="efficientnet", seed=0, frontend=MUSIC):
    """EfficientNetB0's 1,280 averaged features with a new dense layer `FCFinal` and softmax.

    A patch becomes a grey picture: the log-mel value of silence, log(`frontend.log_offset`), is black (0), 5 is white
    (255), in between it is a straight line, and nothing is cut off, so that louder bands are brighter than white. The
    three colours are equal. ImageNet's mean and deviation of each colour are then taken out, as in training.

    With pretrained weights batch norm stays in inference mode when the body is trained.

    Parameters
    ----------
    labels : sequence of str
        Class names.
    weights : {"efficientnet", "random"} or path
        The official ImageNet weights (found under ``AUDIOINTERP_DATA`` or downloaded), random numbers, or a file in
        the layout of ``efficientnetb0_notop.h5``.
    seed : int
        For the random weights, and for what training leaves out at random.
    frontend : FrontEnd
        At least 32 frames and 32 mel bands.

    Returns
    -------
    keras.Model [(n, frames, mels, 1) -> (n, classes)]

    Raises
    ------
    PatchShapeError
        If the front end's patches are too small.
    WeightsError
        If the file lacks an array, one has another shape, or it is another network's.
    MissingDataError
        If the weights are neither there nor to be downloaded.
    ChecksumError
        If what arrived are not the official weights.

    References
    ----------
    Tan & Le, EfficientNet, ICML 2019; ``keras.applications.EfficientNetB0``.
    """
    if min(frontend.frames, frontend.mels) < SMALLEST:
        raise PatchShapeError(
            f"patches of {frontend.frames} frames x {frontend.mels} mel bands: EfficientNetB0 takes at least "
            f"{SMALLEST} x {SMALLEST}. Use a front end with more of them, such as MUSIC, or a smaller network."
        )
    if weights == "random":
        return add_head(_body(frontend, seed, MEAN, DEVIATION), labels, frontend, seed=seed + 100)
    path = find_weights() if weights == "efficientnet" else Path(weights)
    arrays = _read(path)
    network = add_head(_body(frontend, seed, *_colours(arrays, path)), labels, frontend, seed=seed + 100)
    _fill(network, arrays, path)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    return network


def find_weights():
    """Path of the ImageNet weights: in the data folder, otherwise downloaded and checked.

    Raises
    ------
    MissingDataError, ChecksumError
        If they could not be had.
    """
    return fetch(WEIGHTS, data_folder() / "weights")


def _body(frontend, seed, mean, deviation):
    """Keras' own network without its head, its layers copied with seeds and fixed names."""
    inputs = keras.Input((frontend.frames, frontend.mels, 1), name="log_mel")
    black = float(np.log(frontend.log_offset))
    scale = 255 / (LOUDEST - black)
    grey = keras.layers.Rescaling(scale, -black * scale, name=PIXELS)(inputs)
    picture = keras.layers.Concatenate(name="grey")([grey, grey, grey])
    original = keras.applications.EfficientNetB0(include_top=False, weights=None, input_tensor=picture)
    seeds = iter(range(seed, seed + 100))

    def copied(layer):
        config = layer.get_config()
        if isinstance(layer, keras.layers.Normalization):  # its statistics would be lost when the network is cloned
            scale = [1 / each for each in deviation]
            offset = [-each / wide for each, wide in zip(mean, deviation, strict=True)]
            return keras.layers.Rescaling(scale, offset, name=COLOURS)
        if isinstance(layer, keras.layers.Rescaling) and layer.name != PIXELS:
            config["name"] = "between_0_and_1"
        if isinstance(layer, keras.layers.Dropout):
            config["seed"] = next(seeds)
        if isinstance(layer, keras.layers.BatchNormalization):
            config["momentum"] = 0.9  # Keras' 0.99 needs more steps than a small set of sounds gives
        for key in ("kernel_initializer", "depthwise_initializer"):
            if key in config:
                config[key]["config"]["seed"] = next(seeds)
        return type(layer).from_config(config)

    body = keras.models.clone_model(original, clone_function=copied)
    x = keras.layers.GlobalAveragePooling2D(name="embedding")(body.outputs[0])
    return keras.Model(body.inputs[0], x, name="imagenet")


def _read(path):
    """Arrays of a file in legacy Keras HDF5, as {layer: {variable: array}}; layers without any are left out.

    In the official file a layer's group lists its arrays by their addresses inside it, stem_bn/gamma:0.
    """
    try:
        with h5py.File(path) as file:
            listed = {_text(name): file[name].attrs["weight_names"] for name in file.attrs["layer_names"]}
            return {
                layer: {_text(name).rsplit("/", 1)[-1].removesuffix(":0"): file[layer][name][()] for name in names}
                for layer, names in listed.items()
                if len(names)
            }
    except OSError as error:
        raise _wrong(path, f"not an HDF5 file ({error})") from error
    except KeyError as error:
        raise _wrong(path, f"not a legacy Keras HDF5 file ({error.args[0]})") from error


def _colours(arrays, path):
    """Mean and standard deviation of the three colours.

    What the official file calls variance is the standard deviation; Keras divides by its root a second time.
    """
    layer = next((name for name in arrays if name.startswith("normalization")), "normalization")
    mean, variance = (_array(arrays, layer, name, (3,), path) for name in ("mean", "variance"))
    return tuple(mean.tolist()), tuple(np.sqrt(variance * DEVIATION).tolist())


def _fill(network, arrays, path):
    """Give every layer but the head's its arrays; all of the file's must have found their place."""
    values = {}
    for layer in network.layers:
        if layer.weights and layer.name != HEAD:
            names = {"kernel": "depthwise_kernel"} if isinstance(layer, keras.layers.DepthwiseConv2D) else {}
            values[layer.name] = [
                _array(arrays, layer.name, names.get(weight.name, weight.name), tuple(weight.shape), path)
                for weight in layer.weights
            ]
    unknown = [name for name in arrays if name not in values and not name.startswith("normalization")]
    if unknown:
        raise _wrong(path, f"layer '{unknown[0]}' and {len(unknown) - 1} more are not in the network")
    for name, each in values.items():
        network.get_layer(name).set_weights(each)


def _array(arrays, layer, name, shape, path):
    array = arrays.get(layer, {}).get(name)
    if array is None or array.shape != shape:
        found = "is missing" if array is None else f"has shape {array.shape}"
        raise _wrong(path, f"array '{layer}/{name}:0' {found}, expected {shape}")
    return array


def _wrong(path, problem):
    hint = f"Expected EfficientNetB0's {WEIGHTS.filename}: get it again from {WEIGHTS.urls[0]}."
    return WeightsError(f"{path}: {problem}. {hint}")


def _text(name):
    return name.decode() if isinstance(name, bytes) else str(name)
