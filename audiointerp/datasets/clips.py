"""The clip table: one row a sound, and the ways of dividing it.

A clip table is a `pandas.DataFrame` with the columns ``path`` (absolute), ``label``, ``fold`` (0 when unknown)
and ``source`` (clips cut from one recording share it). Further columns are kept by every function here.
"""

import difflib
import re
import unicodedata
import warnings
from pathlib import Path

import pandas as pd
import soundfile

from ..errors import MissingDataError, UnknownLabelError
from ..sound.patches import class_names

COLUMNS = ("path", "label", "fold", "source")

# libsndfile names formats; these are the spellings that their files also have.
_SPELLINGS = {
    "AIFF": ("aif", "aifc"),
    "AU": ("snd",),
    "IRCAM": ("sf",),
    "MP3": ("mp2",),
    "MPC2K": ("mpc",),
    "NIST": ("sph",),
    "OGG": ("oga", "opus"),
    "SVX": ("8svx", "iff"),
    "WAV": ("wave",),
}

_NOT_BY_NAME = {"RAW", "MAT4", "MAT5"}
_IGNORED = {"__MACOSX", "Thumbs.db", "desktop.ini"}
URBANSOUND = Path("metadata", "UrbanSound8K.csv")
_ESC_NAME = re.compile(r"(?P<fold>[1-9])-(?P<source>\d+)-[A-Z](-\d+)?")


def from_folder(folder):
    """Clip table of a folder that holds one folder of sounds per class.

    Files are listed, not opened. Names such as ``1-100032-A.ogg`` or ``1-100032-A-0.wav`` (ESC: fold, source, take)
    give fold and source; any other file has fold 0 and is its own source.

    Parameters
    ----------
    folder : str or path
        Each folder in it is a class and gives the label its name; hidden files and folders are ignored.

    Returns
    -------
    pandas.DataFrame [clips]
        Sorted by label, then by file name.

    Raises
    ------
    MissingDataError
        If the folder is not there, or holds sounds of fewer than two classes.

    Warns
    -----
    UserWarning
        For each class folder without a sound, and for files that are left out because libsndfile cannot read them.
    """
    folder = Path(folder).expanduser().resolve()
    entries = _visible(folder)
    class_folders = [entry for entry in entries if entry.is_dir()]
    loose = [entry.name for entry in entries if entry.suffix.lower() in sound_extensions() and entry.is_file()]
    if loose and class_folders:
        warnings.warn(f"{folder}: left out {some(loose)}: sounds that stand outside a class folder.", stacklevel=2)
    rows = []
    for class_folder in class_folders:
        rows += _class_rows(class_folder)
    clips = pd.DataFrame(rows, columns=[*COLUMNS, "name"]).astype({"fold": "int64"})
    labels = sorted(clips["label"].unique())
    if labels and all(re.fullmatch(r"fold[ _-]?\d+", label, re.IGNORECASE) for label in labels):
        raise MissingDataError(
            f"{folder}: {some(labels)} look like folds, not classes. Name the folder that also holds the table of the "
            "clips (of UrbanSound8K the one above), or give each class a folder of its own."
        )
    if len(labels) < 2:
        raise MissingDataError(_too_few_classes(folder, labels, class_folders, loose))
    return clips.sort_values(["label", "name"], kind="stable", ignore_index=True).drop(columns="name")


def from_urbansound_layout(folder):
    """Clip table of a folder in UrbanSound8K's official layout: ``metadata/UrbanSound8K.csv`` and ``audio/fold1`` …

    Folds are the official ten; clips cut from one recording of Freesound (``fsID``) share a source.

    Parameters
    ----------
    folder : str or path

    Returns
    -------
    pandas.DataFrame [clips]

    Raises
    ------
    MissingDataError
        If the table cannot be read, or files that it names are not there.

    References
    ----------
    Salamon, Jacoby & Bello, A dataset and taxonomy for urban sound research, ACM MM 2014.
    """
    folder = Path(folder).expanduser().resolve()
    kinds = {"slice_file_name": str, "fsID": str, "fold": "int64", "class": str}
    try:
        table = pd.read_csv(folder / URBANSOUND, usecols=list(kinds), dtype=kinds)
    except (OSError, ValueError) as error:
        raise MissingDataError(
            f"{folder / URBANSOUND}: not UrbanSound8K's table ({error}). Expected the columns {', '.join(kinds)}."
        ) from error
    paths = [folder / "audio" / f"fold{row.fold}" / row.slice_file_name for row in table.itertuples()]
    absent = [path.name for path in paths if not path.is_file()]
    if absent:
        raise MissingDataError(f"{folder}/audio: {len(absent)} of {len(paths)} clips are not there: {some(absent)}.")
    columns = {"path": list(map(str, paths)), "label": table["class"], "fold": table["fold"], "source": table["fsID"]}
    return pd.DataFrame(columns).sort_values(["label", "path"], kind="stable", ignore_index=True)


def count_labels(clips):
    """Clips and sources per label.

    Parameters
    ----------
    clips : pandas.DataFrame

    Returns
    -------
    pandas.DataFrame [label] with the columns ``clips`` and ``sources``

    Raises
    ------
    MissingDataError
        If the table is empty or lacks a column.

    Examples
    --------
    >>> count_labels(load("esc10"))  # doctest: +SKIP
    """
    check_table(clips)
    return clips.groupby("label", observed=True)["source"].agg(clips="size", sources="nunique")


def select_labels(clips, labels):
    """Clips of the labels asked for, in table order.

    Parameters
    ----------
    clips : pandas.DataFrame
    labels : str or sequence of str

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    UnknownLabelError
        If a label is not in the table, or none is asked for.
    """
    check_table(clips)
    labels = [labels] if isinstance(labels, str) else list(labels)
    names = pd.Series(class_names(clips["label"]), clips.index)
    known = sorted(names.unique())
    if not labels:
        raise UnknownLabelError(f"No label asked for. Name at least one of: {', '.join(known)}.")
    labels = class_names(labels)
    for label in labels:
        if label not in known:
            near = difflib.get_close_matches(str(label), known, n=1, cutoff=0.5)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise UnknownLabelError(f"No clip has the label {label!r}. Known labels: {', '.join(known)}.{hint}")
    return clips[names.isin(labels)]


def merge_labels(clips, groups):
    """Clip table in which similar labels are one.

    Parameters
    ----------
    clips : pandas.DataFrame
    groups : dict [new label -> sequence of labels]
        Such as ``{"loud": ["metal", "rock"]}``; labels that no group names are kept.

    Returns
    -------
    pandas.DataFrame
        All clips, in table order.

    Raises
    ------
    UnknownLabelError
        If a label is not in the table, or a group is empty.
    ValueError
        If a label stands in two groups, a new label is also one that is kept, or fewer than two labels remain.

    Examples
    --------
    >>> merge_labels(clips, {"loud": ["metal", "rock"]})  # doctest: +SKIP
    """
    merged = {}
    for new, labels in groups.items():
        own = set(select_labels(clips, labels)["label"])
        if twice := sorted(own & set(merged)):
            raise ValueError(
                f"{twice[0]!r} stands in two groups, {merged[twice[0]]!r} and {new!r}. Take it out of one."
            )
        merged |= dict.fromkeys(own, new)
    kept = set(clips["label"]) - set(merged)
    if taken := sorted(kept & set(groups)):
        raise ValueError(
            f"{taken[0]!r} is the name of a group and of a label that is kept. Add the label to the group, or give the "
            "group another name."
        )
    if len(remaining := [*groups, *kept]) < 2:
        raise ValueError(f"Only the label {remaining[0]!r} would remain. A classifier needs two labels or more.")
    return clips.assign(label=[merged.get(label, label) for label in clips["label"]])


def sound_extensions():
    """File name extensions, lower case with the dot, of the formats that the installed libsndfile reads.

    Formats that need parameters or are mostly not sound (RAW, MAT) are left out.
    """
    formats = set(soundfile.available_formats()) - _NOT_BY_NAME
    names = {name.lower() for name in formats}.union(*(_SPELLINGS.get(name, ()) for name in formats))
    return frozenset(f".{name}" for name in names)


def check_table(clips):
    """Raise a MissingDataError unless there are clips, with all columns of a clip table."""
    absent = [column for column in COLUMNS if column not in clips.columns]
    if absent or clips.empty:
        found = f"the columns {', '.join(absent)} are missing" if absent else "the clip table is empty"
        raise MissingDataError(f"{found}. Expected one row a sound with {', '.join(COLUMNS)}, as from_folder() gives.")
    if missing := clips["label"].isna().sum():
        raise MissingDataError(
            f"{missing} of {len(clips)} clips have no label (NaN). Label them, or leave them out: "
            "clips.dropna(subset='label')."
        )


def some(names, most=3):
    """The first names in their order, and how many more there are, as a part of a sentence."""
    return ", ".join(sorted(names)[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _visible(folder):
    try:
        entries = list(folder.iterdir())
    except OSError as error:
        raise MissingDataError(
            f"{folder}: {error.strerror}. Expected a folder that holds one folder of sounds per class."
        ) from error
    return [entry for entry in entries if not entry.name.startswith(".") and entry.name not in _IGNORED]


def _class_rows(class_folder):
    label = unicodedata.normalize("NFC", class_folder.name)
    entries = _visible(class_folder)
    sounds = [entry for entry in entries if entry.suffix.lower() in sound_extensions() and entry.is_file()]
    others = sorted({entry.name for entry in entries} - {entry.name for entry in sounds})
    if others or not sounds:
        found = f"left out {some(others)}: not sounds that libsndfile reads" if others else "empty"
        warnings.warn(f"{class_folder}: {found}{'' if sounds else '; the class is skipped'}.", stacklevel=3)
    return [(str(sound), label, *_fold_and_source(sound, label), sound.name) for sound in sounds]


def _fold_and_source(sound, label):
    esc = _ESC_NAME.fullmatch(sound.stem)
    if esc:
        return int(esc["fold"]), esc["source"]
    return 0, f"{label}/{unicodedata.normalize('NFC', sound.stem)}"


def _too_few_classes(folder, labels, class_folders, loose):
    found = f"only the class {labels[0]!r}" if labels else "no class folder with sounds"
    if loose:
        found += f", and {some(loose)} outside a class folder"
    inside = [entry for entry in class_folders if any(child.is_dir() for child in _visible(entry))]
    hint = f" Did you mean {inside[0]}, which holds folders?" if inside else ""
    return f"{folder}: {found}. A classifier needs two classes or more, each a folder of its own with sounds.{hint}"
