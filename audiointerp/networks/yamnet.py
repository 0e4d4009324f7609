"""YAMNet, whole or narrow, from its official weights or from random ones."""

from functools import lru_cache
from pathlib import Path

import h5py

from ..errors import WeightsError
from ..sound.frontend import YAMNET
from ..storage.folders import data_folder
from ..storage.remote import Remote, checksum, fetch
from .backend import in_float32, keras
from .head import add_head, scaled

WEIGHTS = Remote(
    name="YAMNet weights",
    urls=("https://storage.googleapis.com/audioset/yamnet.h5",),
    filename="yamnet.h5",
    git_blob="b504399ec042e18b74c0045b8ff8a42c99f05e76",
    licence="Apache-2.0",
    citation="Plakal & Ellis, YAMNet, TensorFlow Model Garden, 2020",
    otherwise="train from random weights instead: weights='random'",
)

# Stride and filters of each block: a convolution, then depthwise-separable ones (MobileNet v1).
BLOCKS = ((2, 32), (1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512), *[(1, 512)] * 5, (2, 1024), (1, 1024))


@in_float32()
def yamnet(labels, *, weights="audioset", width=1.0, seed=0, frontend=YAMNET):
    """YAMNet's 1,024 averaged features with a new dense layer `FCFinal` and softmax.

    With pretrained weights batch norm stays in inference mode when the body is trained.

    Parameters
    ----------
    labels : sequence of str
        Class names.
    weights : {"audioset", "random"} or path
        The official AudioSet weights (found under ``AUDIOINTERP_DATA`` or downloaded), random numbers, or a file in
        the layout of ``yamnet.h5``.
    width : float
        Factor on the number of filters; below 1 only with random weights.
    seed : int
        For the random weights.
    frontend : FrontEnd

    Returns
    -------
    keras.Model [(n, frames, mels, 1) -> (n, classes)]

    Raises
    ------
    WeightsError
        If the file lacks an array or one has another shape.
    MissingDataError
        If the weights are neither there nor to be downloaded.

    References
    ----------
    ``yamnet.py`` of the TensorFlow Model Garden; Howard et al., MobileNets, 2017.

    Examples
    --------
    >>> network, _ = fine_tune(yamnet(labels), train, validation, Recipe(trainable="head"))  # doctest: +SKIP
    """
    if weights != "random" and width != 1:
        raise WeightsError(f"width {width} with weights {weights!r}: pretrained weights exist for width 1 only.")
    network = add_head(_body(frontend, width, seed), labels, frontend, seed=seed + 100)
    if weights != "random":
        load_weights(network, find_weights() if weights == "audioset" else Path(weights))
        for layer in network.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False
    return network


def find_weights():
    """Path of YAMNet's weights: as they lie in the data folder, otherwise downloaded and checked.

    A file put there by hand may be another build of the same network; that its checksum differs is printed.
    """
    path = data_folder() / "weights" / WEIGHTS.filename
    if not path.is_file():
        return fetch(WEIGHTS, path.parent)
    _say_if_other(path)
    return path


@lru_cache
def _say_if_other(path):
    if checksum(path, "git_blob") != WEIGHTS.git_blob:
        print(f"{path.name}: found in the data folder, not the official build (another checksum); used as it is.")


def load_weights(network, path):
    """Fill the body of a YAMNet of width 1 with a file laid out as ``yamnet.h5`` (legacy Keras HDF5); its head stays.

    A WeightsError if the file is not HDF5, lacks an array or one has another shape.
    """
    hint = "Expected YAMNet's yamnet.h5: download it again with 'audiointerp download yamnet'."
    values = {}
    try:
        with h5py.File(path) as file:
            for layer in network.layers:
                if layer.name.startswith("layer") and layer.weights:
                    values[layer.name] = [_read(file, layer, weight, hint) for weight in layer.weights]
    except OSError as error:
        raise WeightsError(f"{path}: not an HDF5 file ({error}). {hint}") from error
    for name, arrays in values.items():
        network.get_layer(name).set_weights(arrays)


def _read(file, layer, weight, hint):
    """One array, whose address in the file spells our layer's name with a slash: layer2/depthwise_conv/bn."""
    block, _, rest = layer.name.partition("_")
    group = f"{block}/{rest.removesuffix('_bn') + '/bn' if rest.endswith('_bn') else rest}"
    variable = "depthwise_kernel" if "depthwise" in rest and weight.name == "kernel" else weight.name
    address = f"{group}/{group}/{variable}:0"
    if address not in file or file[address].shape != tuple(weight.shape):
        found = f"has shape {file[address].shape}" if address in file else "is missing"
        raise WeightsError(f"{file.filename}: array '{address}' {found}, expected {tuple(weight.shape)}. {hint}")
    return file[address][()]


def _body(frontend, width, seed):
    layers = keras.layers
    seeds = iter(range(seed, seed + 100))

    def convolution(x, kind, name, stride, **options):
        initializer = {
            f"{'depthwise' if kind is layers.DepthwiseConv2D else 'kernel'}_initializer": (
                keras.initializers.GlorotUniform(next(seeds))
            )
        }
        x = kind(strides=stride, padding="same", use_bias=False, name=name, **options, **initializer)(x)
        x = layers.BatchNormalization(momentum=0.9, scale=False, epsilon=1e-4, name=f"{name}_bn")(x)
        return layers.ReLU(name=f"{name}_relu")(x)

    x = inputs = keras.Input((frontend.frames, frontend.mels, 1), name="log_mel")
    for number, (stride, filters) in enumerate(BLOCKS, 1):
        filters = scaled(filters, width)
        if number == 1:
            x = convolution(x, layers.Conv2D, "layer1_conv", stride, filters=filters, kernel_size=3)
            continue
        x = convolution(x, layers.DepthwiseConv2D, f"layer{number}_depthwise_conv", stride, kernel_size=3)
        x = convolution(x, layers.Conv2D, f"layer{number}_pointwise_conv", 1, filters=filters, kernel_size=1)
    x = layers.GlobalAveragePooling2D(name="embedding")(x)
    return keras.Model(inputs, x, name="yamnet")
