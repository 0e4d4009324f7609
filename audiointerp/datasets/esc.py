"""ESC-50 and its subset ESC-10: environmental sounds of 5 s, 40 a class, in five folds."""

import re
import warnings
from pathlib import Path

import pandas as pd
import soundfile

from ..errors import MissingDataError
from ..storage.folders import data_folder
from ..storage.remote import Remote, fetch, fetch_many, fetch_unpacked
from .clips import COLUMNS, from_folder

_BY_TARGET = """
dog rooster pig cow frog cat hen insects sheep crow
rain sea_waves crackling_fire crickets chirping_birds water_drops wind pouring_water toilet_flush thunderstorm
crying_baby sneezing clapping breathing coughing footsteps laughing brushing_teeth snoring drinking_sipping
door_wood_knock mouse_click keyboard_typing door_wood_creaks can_opening washing_machine vacuum_cleaner clock_alarm
clock_tick glass_breaking
helicopter chainsaw siren car_horn engine train church_bells airplane fireworks hand_saw
"""

_GROUPS = (
    "animals",
    "natural soundscapes and water",
    "human, not speech",
    "interior and domestic",
    "exterior and urban",
)

ESC50_LABELS = tuple(_BY_TARGET.split())
"""The 50 categories in the order of ESC-50's targets, 0 to 49."""

ESC50_GROUPS = {label: _GROUPS[target // 10] for target, label in enumerate(ESC50_LABELS)}
"""The group of each category: ten categories each."""

_ESC10 = "chainsaw clock_tick crackling_fire crying_baby dog helicopter rain rooster sea_waves sneezing"
ESC10_LABELS = tuple(_ESC10.split())
"""The 10 categories in alphabetical order."""

LABELS = {"esc10": ESC10_LABELS, "esc50": ESC50_LABELS}

_FIRST_NAMES = {
    "dog_bark": "dog",
    "baby_cry": "crying_baby",
    "person_sneeze": "sneezing",
    "fire_crackling": "crackling_fire",
    "insects_flying": "insects",
    "door_knock": "door_wood_knock",
}

_CLIPS = 40  # per class
_FEWER = {"rooster": 38}  # in the edition that MathWorks publishes
_RATE, _FRAMES = 44100, 220500  # Hz, samples

_FOLDERS = {
    "esc10": ("esc10", "ESC-10", "ESC-10-master", "ESC-50-master", "esc50", "ESC-50"),
    "esc50": ("ESC-50-master", "esc50", "ESC-50"),
}

CITATION = "K. J. Piczak, ESC: Dataset for Environmental Sound Classification, ACM Multimedia 2015"
LICENCES = {"esc10": "CC BY 3.0", "esc50": "CC BY-NC 3.0"}
_RAW = "https://raw.githubusercontent.com/karolpiczak/ESC-50/master"
_OTHERWISE = 'run with DATA="synthetic", which needs no download'

TABLE = Remote(
    name="ESC-50's table of clips",
    urls=(f"{_RAW}/meta/esc50.csv",),
    filename="meta/esc50.csv",
    licence=LICENCES["esc50"],
    citation=CITATION,
    sha256="ca660da60191a97de289983a05821c9382d852a38a2ba8428980816b68cf6246",
    otherwise=_OTHERWISE,
)

ARCHIVE = Remote(
    name="ESC-50 (600 MB)",
    urls=("https://github.com/karoldvl/ESC-50/archive/master.zip",),
    filename="ESC-50-master.zip",
    licence=LICENCES["esc50"],
    citation=CITATION,
    md5="7771e4b9d86d0945acce719c7a59305a",
    strict=False,  # several libraries state this md5; GitHub makes the archive anew from the present master
    otherwise=_OTHERWISE,
)


def load_esc10(folder=None, *, download=True, progress=True):
    """ESC-10: 400 clips of 10 classes.

    Looked for as class folders (``esc10/dog/1-100032-A.ogg``, also under their first names such as
    ``001 - Dog bark``) and in the official layout (``ESC-50-master/audio`` and ``meta``); downloaded otherwise.

    Parameters
    ----------
    folder : str or path, optional
        Where the data is; `audiointerp.storage.folders.data_folder` by default.
    download : bool
        Download what is missing (176 MB, clip by clip; an interrupted download goes on where it stopped).
    progress : bool

    Returns
    -------
    pandas.DataFrame [400 clips]

    Raises
    ------
    MissingDataError
        If it is not there or not whole, and is not to be downloaded or could not be.

    References
    ----------
    K. J. Piczak, ESC: Dataset for Environmental Sound Classification, ACM Multimedia 2015. CC BY 3.0.
    """
    return _load("esc10", folder, download, progress)


def load_esc50(folder=None, *, download=True, progress=True):
    """ESC-50: 2,000 clips of 50 classes, CC BY-NC 3.0; as `load_esc10`, but the download is one archive of 600 MB."""
    return _load("esc50", folder, download, progress)


def download_esc10(folder=None, *, progress=True):
    """Download the 400 clips of ESC-10, or those still missing, and say what their licence is.

    Parameters
    ----------
    folder : str or path, optional
        Where data is kept; `audiointerp.storage.folders.data_folder` by default.
    progress : bool

    Returns
    -------
    pathlib.Path
        The folder that holds ``audio`` and ``meta``.

    Raises
    ------
    MissingDataError, ChecksumError
        If something could not be had; what arrived stays, and the next call goes on from there.
    """
    return _download("esc10", folder, progress)


def download_esc50(folder=None, *, progress=True):
    """Download ESC-50 as one archive, or the clips that an earlier download left out.

    Parameters, returns and errors are those of `download_esc10`.
    """
    return _download("esc50", folder, progress)


def from_esc_layout(folder, esc10=False):
    """Clip table of a folder in ESC-50's official layout (``audio``, ``meta/esc50.csv``), or of its clips of ESC-10.

    Sorted by label, then by file name; ``source`` is the number of the Freesound recording. A MissingDataError if the
    table cannot be read or clips that it lists are not there.
    """
    folder = Path(folder).expanduser().resolve()
    name = "esc10" if esc10 else "esc50"
    table = _read_table(folder / "meta" / "esc50.csv", name)
    absent = [name for name in table["filename"] if not _has_content(folder / "audio" / name)]
    if absent:
        raise MissingDataError(
            f"{folder / 'audio'}: {len(absent)} of the {len(table)} clips of meta/esc50.csv are missing or empty "
            f"({', '.join(absent[:3])}{', …' if len(absent) > 3 else ''}). Complete it with 'audiointerp download "
            f"{name}'."
        )
    table = table.sort_values(["category", "filename"], ignore_index=True)
    columns = {
        "path": [str(folder / "audio" / name) for name in table["filename"]],
        "label": table["category"],
        "fold": table["fold"],
        "source": table["src_file"],
    }
    return pd.DataFrame(columns, columns=list(COLUMNS))


def category_name(folder_name):
    """ESC-50's name of a category, from the name of its folder in any edition: "001 - Dog bark" is ``dog``."""
    bare = re.sub(r"^\d{3} - ", "", folder_name)
    name = re.sub(r"[^a-z0-9]+", "_", bare.lower()).strip("_")
    return _FIRST_NAMES.get(name, name)


def _load(name, folder, download, progress):
    base = Path(folder).expanduser() if folder else data_folder()
    problem = None
    for place in _places(base, name):
        try:
            return _read(place, name)
        except MissingDataError as error:
            problem = problem or error
    if not download:
        raise problem or MissingDataError(
            f"{base}: no {name} there (looked for {', '.join(_FOLDERS[name])}). Get it with 'audiointerp download "
            f"{name}', set AUDIOINTERP_DATA to the folder that holds it, or {_OTHERWISE}."
        )
    if problem:
        warnings.warn(f"{problem} Downloading what is missing.", stacklevel=3)
    return _read(_download(name, base, progress), name)


def _places(base, name):
    """Folders that seem to hold the data set, whole or not."""
    folders = [base / one for one in _FOLDERS[name]]
    return [folder for folder in folders if _is_layout(folder) or _class_folders(folder, name)]


def _is_layout(folder):
    return (folder / "meta" / "esc50.csv").is_file()


def _class_folders(folder, name):
    labels = {category_name(entry.name) for entry in folder.iterdir() if entry.is_dir()} if folder.is_dir() else set()
    return labels & set(LABELS[name])


def _is_whole(place, name):
    try:
        _read(place, name)
    except MissingDataError:
        return False
    return True


def _read(place, name):
    return from_esc_layout(place, esc10=name == "esc10") if _is_layout(place) else _from_class_folders(place, name)


def _from_class_folders(folder, name):
    clips = from_folder(folder)
    clips["label"] = clips["label"].map(category_name)
    clips = clips[clips["label"].isin(LABELS[name])].sort_values("label", kind="stable", ignore_index=True)
    counts = clips["label"].value_counts()
    absent = [label for label in LABELS[name] if label not in counts]
    if absent:
        raise MissingDataError(
            f"{folder}: {len(counts)} of the {len(LABELS[name])} classes of {name} have sounds; not there: "
            f"{', '.join(absent[:3])}{', …' if len(absent) > 3 else ''}. Get all with 'audiointerp download {name}'."
        )
    unusual = {label: count for label, count in counts.items() if count not in (_CLIPS, _FEWER.get(label))}
    if unusual:
        found = ", ".join(f"{label} {count}" for label, count in unusual.items())
        warnings.warn(f"{folder}: {name} has {_CLIPS} clips a class; found {found}.", stacklevel=2)
    return clips


def _read_table(path, name):
    """The rows of ``meta/esc50.csv`` that belong to the data set."""
    kinds = {"filename": str, "fold": "int64", "category": str, "esc10": str, "src_file": str}
    try:
        table = pd.read_csv(path, usecols=list(kinds), dtype=kinds)
    except (OSError, ValueError) as error:
        raise MissingDataError(
            f"{path}: not ESC-50's table ({error}). Expected the columns {', '.join(kinds)}. Remove it and get it with "
            f"'audiointerp download {name}'."
        ) from error
    return table[table["esc10"].str.lower() == "true"] if name == "esc10" else table


def _has_content(path):
    return path.is_file() and path.stat().st_size > 0


def _download(name, folder, progress):
    base = Path(folder).expanduser() if folder else data_folder()
    places = sorted(_places(base, name), key=lambda place: not _is_whole(place, name))
    if places and not _is_layout(places[0]) and _is_whole(places[0], name):
        print(f"{name} is in {places[0]} already.")
        return places[0]
    layouts = [place for place in places if _is_layout(place)]
    place = layouts[0] if layouts else base / _FOLDERS[name][0]
    print(f"{name} goes to {place}. Licence {LICENCES[name]}; cite {CITATION}.")
    if name == "esc50" and not layouts:
        fetch_unpacked(ARCHIVE, base, place, top="ESC-50-master", progress=progress)
        return place
    table = _read_table(fetch(TABLE, place, progress=progress), name)
    fetch_many([_clip(filename, name) for filename in table["filename"]], place, progress=progress)
    return place


def _clip(filename, name):
    return Remote(
        name=f"clip {filename}",
        urls=(f"{_RAW}/audio/{filename}",),
        filename=f"audio/{filename}",
        licence=LICENCES[name],
        citation=CITATION,
        structure=_not_a_clip,
        otherwise=_OTHERWISE,
    )


def _not_a_clip(path):
    """What tells a file from an ESC-50 clip, or None."""
    try:
        found = soundfile.info(path)
    except soundfile.LibsndfileError as error:
        return f"expected a WAV of 5 s, found no sound ({error.error_string})"
    if (found.format, found.samplerate, found.channels, found.frames) == ("WAV", _RATE, 1, _FRAMES):
        return None
    return (
        f"expected {_FRAMES} samples of one channel at {_RATE} Hz as WAV, found {found.frames} of {found.channels} "
        f"at {found.samplerate} Hz as {found.format}"
    )
