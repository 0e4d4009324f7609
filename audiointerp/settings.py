"""Where data and cached results live, and the run profiles."""

import os
import tempfile
from pathlib import Path

from .errors import CacheError, MissingDataError


def data_folder():
    """Folder that real data and weights are read from and downloaded to.

    ``AUDIOINTERP_DATA`` if it is set, otherwise ``data`` inside the cache folder.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    MissingDataError
        If ``AUDIOINTERP_DATA`` names a folder that does not exist.
    """
    named = os.environ.get("AUDIOINTERP_DATA")
    if not named:
        return cache_folder("data")
    folder = Path(named).expanduser().resolve()
    if not folder.is_dir():
        raise MissingDataError(
            f"AUDIOINTERP_DATA={named}: no such folder (looked for {folder}). "
            "Set it to the folder that holds esc10/ and weights/, or unset it to download."
        )
    return folder


def cache_folder(room=None):
    """Folder for results that can be made again, created if needed.

    Parameters
    ----------
    room : str, optional
        Name of a folder inside the cache.

    Returns
    -------
    pathlib.Path
        ``AUDIOINTERP_CACHE`` (or ``~/.cache/audiointerp``), and the room in it.

    Raises
    ------
    CacheError
        If the folder cannot be made or written to.
    """
    base = Path(os.environ.get("AUDIOINTERP_CACHE") or Path.home() / ".cache" / "audiointerp").expanduser()
    folder = base / room if room else base
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise CacheError(
            f"{folder}: the cache folder cannot be written to ({error.strerror or error}). "
            "Set AUDIOINTERP_CACHE to a folder you can write to, or free some space."
        ) from error
    return folder.resolve()


PROFILES = {
    # Small networks from random weights on sounds made on the spot: no downloads.
    "demo": {
        "DATA": "synthetic",
        "VGGISH": "random",
        "YAMNET": "random",
        "WIDTH": 0.25,
        "FOLDS": [4, 5],
        "PATCHES": [100, 240, 380],
        "TEACHER": "vggish",
        "SOUNDNET": "student",
        "FEATURES": "own",
        "GENRES": "synthetic_music",
        "MERGED": {"loud": ["chiptune", "metal"]},
    },
    # Real data and weights from AUDIOINTERP_DATA; where it lacks a file, `profile_parameters` says what is done.
    "recorded": {
        "DATA": "esc10",
        "VGGISH": "audioset",
        "YAMNET": "audioset",
        "WIDTH": 1.0,
        "TRUE": "chainsaw",
        "PREDICTED": "helicopter",
        "SOUNDNET": "official",
        "FEATURES": "published",
        "GENRES": "gtzan",
        "HELD_OUT": [1, 2, 3, 4, 5],
    },
    # Everything official, downloaded.
    "full": {
        "DATA": "esc10",
        "VGGISH": "audioset",
        "YAMNET": "audioset",
        "WIDTH": 1.0,
        "SOUNDNET": "official",
        "FEATURES": "published",
        "GENRES": "gtzan",
        "IMAGENET": "imagenet",
    },
}


def profile_parameters(profile):
    """Parameters that a profile puts into the notebooks.

    Parameters
    ----------
    profile : {"demo", "recorded", "full"}

    Returns
    -------
    dict

    Raises
    ------
    MissingDataError
        If there is no such profile, or `recorded` is asked for without ``AUDIOINTERP_DATA``.
    """
    if profile not in PROFILES:
        raise MissingDataError(f"profile {profile!r}: expected one of {', '.join(PROFILES)}.")
    parameters = dict(PROFILES[profile])
    if profile == "recorded":
        if not os.environ.get("AUDIOINTERP_DATA"):
            raise MissingDataError(
                "profile 'recorded' reads real data from the folder in AUDIOINTERP_DATA, which is not set. "
                "Set it, or use --profile full to download, or --profile demo for synthetic sounds."
            )
        weights, features = data_folder() / "weights", data_folder() / "soundnet"
        if not (weights / "vggish_model.ckpt").is_file():
            parameters["VGGISH"] = "random"
        if not (weights / "sound8.npy").is_file() and (weights / "soundnet_pruned.npz").is_file():
            parameters["SOUNDNET"] = "pruned"
        if (features / "X.npy").is_file() and not (features / "X_out_7.npy").is_file():
            parameters["LAYERS"] = [f"conv{number}" for number in range(1, 7)]
        if (data_folder() / "gtzan" / "features_30_sec.csv").is_file():
            parameters["PUBLISHED"] = True
    return parameters
