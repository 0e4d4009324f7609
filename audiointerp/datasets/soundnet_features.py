"""SoundNet's features of ESC-50 as jplumail/SoundNet publishes them: each layer averaged over time, one row a clip.

The rows stand in the order of the folds, 400 each, and carry no file names; `identify_clips` finds out which clip a
row is when the clip is at hand.
"""

import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import MissingDataError
from ..storage.folders import data_folder
from ..storage.remote import Remote, fetch
from .esc import ESC50_LABELS
from .feature_arrays import as_features

_ADDRESS = "https://github.com/jplumail/SoundNet/raw/master/donnee_ESC"

_ABOUT = {
    "licence": "none stated; computed from ESC-50 (CC BY-NC 3.0)",
    "citation": "J. Plumail & M. Rakotoarivony, github.com/jplumail/SoundNet",
    "otherwise": "take the features of another network: FEATURES='student'",
}

FOLDER = "soundnet"
CLIPS_PER_FOLD = 400


def _remote(filename, **checksum):
    return Remote(f"SoundNet features {filename}", (f"{_ADDRESS}/{filename}",), filename, **_ABOUT, **checksum)


TARGETS = _remote("y.npy", sha256="731c191ab4442ef4b32203582c7278dff42b055e8d19f8230725e97d76b367b9")

LAYERS = {
    "conv1": _remote("X_out_1.npy", sha256="91abf4ae1860e1451d868b947f0905ee3d7865619f63409e0059d1ebce6cb72a"),
    "conv2": _remote("X_out_2.npy", sha256="c461ce427bc7eb08d7f979f0b12d5493c5602f89ccc8621a5bcc703c90b36135"),
    "conv3": _remote("X_out_3.npy", sha256="1bb8a654aafc6c11931642218acefb7761a03bbc7449bd065bc6ef772292fe91"),
    "conv4": _remote("X_out_4.npy", sha256="a01e41f9087bcce1f542a600b459735d6ceb0ad85a85f619209e4832b16d6b80"),
    "conv5": _remote("X.npy", sha256="796d9b53ac67acc50512df46cb6f14cc00c427441da0cef2ae1ba4bfeac41dcb"),
    "conv6": _remote("X_out_6.npy", sha256="759c57b099d698b6e7e09153f1bc24d0ee6d6dc622ae7ae9d6bc39de2ee6c547"),
    "conv7": _remote("X_out_7.npy", git_blob="f553ef23539738e62bab6a9c40c58edf0e85b106"),
}


def load_soundnet_features(folder=None, *, layers=None, download=True, progress=True):
    """SoundNet's published features of ESC-50.

    Parameters
    ----------
    folder : str or path, optional
        Holds ``soundnet/X.npy`` and the others; `audiointerp.storage.folders.data_folder` by default.
    layers : sequence of str, optional
        Of conv1 to conv7; all by default.
    download : bool
        Download what is missing (18 MB in all).
    progress : bool

    Returns
    -------
    dict of xarray.DataArray [clip, neuron]
        conv5 for all 2,000 clips, the other layers for the 1,200 clips of folds 1 to 3. The clip's number counts rows.

    Raises
    ------
    ValueError
        If a layer is unknown.
    MissingDataError
        If a file is neither there nor to be downloaded, or is damaged.
    ChecksumError
        If what arrived is not the published file.

    References
    ----------
    github.com/jplumail/SoundNet; Aytar, Vondrick & Torralba, NIPS 2016.
    """
    layers = list(LAYERS) if layers is None else list(layers)
    if unknown := [name for name in layers if name not in LAYERS]:
        raise ValueError(f"layers {unknown}: published are {', '.join(LAYERS)}.")
    place = data_folder() if folder is None else Path(folder).expanduser()
    targets = _read(TARGETS, place, download, progress)
    if targets.ndim != 1 or len(targets) % CLIPS_PER_FOLD or not np.isin(targets, range(len(ESC50_LABELS))).all():
        raise MissingDataError(
            f"{TARGETS.filename}: shape {targets.shape}, expected numbers from 0 to 49, one a clip and 400 clips a "
            "fold. Remove it and get it with 'audiointerp download soundnet-features'."
        )
    labels = np.array(ESC50_LABELS, dtype=object)[targets.astype(int)]
    clips = pd.DataFrame({"label": labels, "fold": np.arange(len(labels)) // CLIPS_PER_FOLD + 1})
    found = {}
    for name in layers:
        values = _read(LAYERS[name], place, download, progress)
        if values.ndim != 2 or not 0 < len(values) <= len(clips) or len(values) % CLIPS_PER_FOLD:
            raise MissingDataError(
                f"{LAYERS[name].filename}: shape {values.shape}, expected (400 clips a fold, neurons) for at most "
                f"{len(clips)} clips. Remove it and get it with 'audiointerp download soundnet-features'."
            )
        found[name] = as_features(values.astype(np.float32, copy=False), clips.iloc[: len(values)], name)
    return found


def download_soundnet_features(folder=None, *, progress=True):
    """Download all layers and their labels (18 MB), and give back their folder."""
    place = (data_folder() if folder is None else Path(folder).expanduser()) / FOLDER
    for remote in (TARGETS, *LAYERS.values()):
        fetch(remote, place, progress=progress)
    return place


def identify_clips(published, features, clips, *, layers=("conv1", "conv2"), tolerance=0.05):
    """Which clip each published row is, found by comparing features of clips that are at hand.

    Parameters
    ----------
    published : dict of xarray.DataArray [row, neuron]
    features : dict of xarray.DataArray [clip, neuron]
        Of the same network's layers, computed from the clips.
    clips : pandas.DataFrame
        Their table, with the index of `features`; only the folds that the published rows have can be found.
    layers : sequence of str
        Those to compare; all must agree on the row.
    tolerance : float
        Largest difference of any neuron that still counts as the same clip.

    Returns
    -------
    pandas.DataFrame [clips found]
        Indexed by the published row: `clip`, `label`, `path`, `difference` (largest of any neuron in any layer).

    Raises
    ------
    MissingDataError
        If no clip is found, or the layers have other numbers of neurons.
    """
    best, difference = [], []
    for name in layers:
        one, two = features[name].values, published[name].values
        if one.shape[1] != two.shape[1]:
            raise MissingDataError(
                f"layer {name}: {one.shape[1]} neurons, {two.shape[1]} in the published rows. Expected features of the "
                "same network."
            )
        gaps = np.stack([np.abs(two - row).max(axis=1) for row in one])
        best.append(gaps.argmin(axis=1))
        difference.append(gaps.min(axis=1))
    agree = np.all(np.array(best) == best[0], axis=0) & (np.max(difference, axis=0) <= tolerance)
    index = features[layers[0]]["clip"].values[agree]
    rows = clips.loc[index, ["label", "path"]].reset_index(names="clip")
    rows["difference"] = np.max(difference, axis=0)[agree]
    rows.index = pd.Index(published[layers[0]]["clip"].values[best[0][agree]], name="row")
    if rows.empty:
        raise MissingDataError(
            f"none of {len(clips)} clips is among the published rows (within {tolerance:g}). Expected ESC-50's clips "
            "of the published folds, and features of the same network."
        )
    return rows.sort_values("difference").loc[lambda table: ~table.index.duplicated()].sort_index()


def _read(remote, folder, download, progress):
    path = folder / FOLDER / remote.filename
    if not path.is_file():
        if not download:
            raise MissingDataError(
                f"{path}: not there. Get it with 'audiointerp download soundnet-features', or {remote.otherwise}."
            )
        fetch(remote, path.parent, progress=progress)
    try:
        array = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
        if array.dtype.kind not in "iuf":
            raise ValueError(f"it holds {array.dtype}")
        return array
    except (ValueError, OSError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise MissingDataError(
            f"{path}: not an array of numbers ({error}). Remove it and get it with 'audiointerp download "
            "soundnet-features'."
        ) from error
