"""The clip table: one row a sound, and the ways of dividing it.

A clip table is a `pandas.DataFrame` with the columns ``path`` (absolute), ``label``, ``fold`` (0 when unknown)
and ``source`` (clips cut from one recording share it). Further columns are kept by every function here.
"""

import difflib
import re
import unicodedata
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from ..errors import MissingDataError, UnknownLabelError

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
_ESC_NAME = re.compile(r"(?P<fold>[1-9])-(?P<source>\d+)-[A-Z](-\d+)?")
_IGNORED = {"__MACOSX", "Thumbs.db", "desktop.ini"}
_ORDERS_TRIED = 32
_ADVICE = {
    "order": "Add clips, leave the label out with select_labels(), or change fraction.",
    "random": "Add clips, leave the label out with select_labels(), or change fraction.",
    "source": "Add clips from other sources, leave the label out with select_labels(), or split by='order'.",
    "fold": "Name another fold, leave the label out with select_labels(), or split by='source'.",
}


def sound_extensions():
    """File name extensions of the formats that the installed libsndfile reads.

    Returns
    -------
    frozenset of str
        Lower case, with the dot. Formats that need parameters or are mostly not sound (RAW, MAT) are left out.
    """
    formats = set(soundfile.available_formats()) - _NOT_BY_NAME
    names = {name.lower() for name in formats}.union(*(_SPELLINGS.get(name, ()) for name in formats))
    return frozenset(f".{name}" for name in names)


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
        warnings.warn(f"{folder}: left out {_some(loose)}: sounds that stand outside a class folder.", stacklevel=2)
    rows = []
    for class_folder in class_folders:
        rows += _class_rows(class_folder)
    clips = pd.DataFrame(rows, columns=[*COLUMNS, "name"]).astype({"fold": "int64"})
    labels = sorted(clips["label"].unique())
    if len(labels) < 2:
        raise MissingDataError(_too_few_classes(folder, labels, class_folders, loose))
    return clips.sort_values(["label", "name"], kind="stable", ignore_index=True).drop(columns="name")


def count_labels(clips):
    """Clips and sources per label.

    Returns
    -------
    pandas.DataFrame [label] with the columns ``clips`` and ``sources``
    """
    _check_table(clips)
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
    _check_table(clips)
    labels = [labels] if isinstance(labels, str) else list(labels)
    known = sorted(clips["label"].unique())
    if not labels:
        raise UnknownLabelError(f"No label asked for. Name at least one of: {', '.join(known)}.")
    for label in labels:
        if label not in known:
            near = difflib.get_close_matches(str(label), known, n=1, cutoff=0.5)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise UnknownLabelError(f"No clip has the label {label!r}. Known labels: {', '.join(known)}.{hint}")
    return clips[clips["label"].isin(labels)]


def split(clips, by="order", *, fold=5, fraction=0.8, seed=0):
    """Divide clips into a training and a validation part.

    Parameters
    ----------
    clips : pandas.DataFrame
    by : {"order", "fold", "source", "random"}
        ``order``: the first clips of each label train (as MATLAB's ``splitEachLabel``); ``fold``: one fold validates;
        ``source``: all clips of one source stand on the same side; ``random``: clips drawn within each label.
    fold : int
        The fold that validates, for ``fold``.
    fraction : float
        Share of each label's clips that trains, for the others; rounded half up, for ``source`` as near as it gets.
    seed : int
        For ``source`` and ``random``.

    Returns
    -------
    train, validation : pandas.DataFrame
        In table order, with the index of ``clips``.

    Raises
    ------
    MissingDataError
        If the fold does not exist, or a label would be missing on one side.
    ValueError
        If ``by`` is not one of the four or ``fraction`` is not between 0 and 1.

    See Also
    --------
    shared_sources : what such a split leaks.
    audiointerp.datasets.partition : three parts, with one for the test.
    """
    _check_table(clips)
    if not 0 < fraction < 1:
        raise ValueError(f"fraction={fraction}: expected a share between 0 and 1, both excluded, such as 0.8.")
    rng = np.random.default_rng(seed)
    if by == "order":
        trains = _first_of_each_label(clips, np.arange(len(clips)), fraction)
    elif by == "random":
        trains = _first_of_each_label(clips, rng.permutation(len(clips)), fraction)
    elif by == "source":
        trains = _whole_sources(clips, fraction, rng)
    elif by == "fold":
        folds = sorted(clips["fold"].unique().tolist())
        if fold not in folds:
            known = f"the folds are {folds}" if any(folds) else "the folds of these clips are unknown (all 0)"
            raise MissingDataError(f"No clip is in fold {fold}; {known}. Name one of them, or split by='source'.")
        trains = clips["fold"].to_numpy() != fold
    else:
        raise ValueError(f"by={by!r}: expected 'order', 'fold', 'source' or 'random'.")
    train, validation = clips[trains], clips[~trains]
    for side, part in (("training", train), ("validation", validation)):
        absent = sorted(set(clips["label"]) - set(part["label"]))
        if absent:
            raise MissingDataError(
                f"Split by {by}: no {side} clip of {_some(absent)}; a label needs clips on both sides. {_ADVICE[by]}"
            )
    return train, validation


def shared_sources(train, validation):
    """Sources that stand on both sides of a split: recordings the network is tested on and has heard.

    Returns
    -------
    pandas.DataFrame [source] with the columns ``train`` and ``validation``
        Number of clips on each side; empty where nothing leaks.
    """
    counts = {"train": train["source"].value_counts(), "validation": validation["source"].value_counts()}
    return pd.concat(counts, axis=1, join="inner").rename_axis("source").sort_index()


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
        found = f"left out {_some(others)}: not sounds that libsndfile reads" if others else "empty"
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
        found += f", and {_some(loose)} outside a class folder"
    inside = [entry for entry in class_folders if any(child.is_dir() for child in _visible(entry))]
    hint = f" Did you mean {inside[0]}, which holds folders?" if inside else ""
    return f"{folder}: {found}. A classifier needs two classes or more, each a folder of its own with sounds.{hint}"


def _first_of_each_label(clips, order, fraction):
    """Mask of the first share of each label, clips taken in the order given."""
    shuffled = clips["label"].iloc[order]
    rank = shuffled.groupby(shuffled.to_numpy()).cumcount().to_numpy()
    count = shuffled.map(shuffled.value_counts()).to_numpy()
    trains = np.zeros(len(clips), dtype=bool)
    trains[order] = rank < np.floor(count * fraction + 0.5)
    return trains


def _whole_sources(clips, fraction, rng):
    """Mask that keeps each source on one side, near the share in each label."""
    side = {}
    for _, own in clips.groupby("label", observed=True)["source"]:
        sizes = own.value_counts().sort_index()
        decided = sizes.index.isin(list(side))
        trained = sum(size for source, size in sizes[decided].items() if side[source])
        validated = sizes[decided].sum() - trained
        side |= _best_cut(sizes[~decided], trained, validated, fraction, rng)
    return clips["source"].map(side).to_numpy(dtype=bool)


def _best_cut(sizes, trained, validated, fraction, rng):
    """Side of each undecided source: of several random orders, the cut whose clip count is nearest to the share."""
    target = np.floor((sizes.sum() + trained + validated) * fraction + 0.5)
    best = (np.inf, {})
    for _ in range(_ORDERS_TRIED):
        order = rng.permutation(len(sizes))
        totals = trained + np.concatenate([[0], np.cumsum(sizes.to_numpy()[order])])
        cuts = np.arange(len(totals))
        allowed = ((cuts > 0) | (trained > 0)) & ((cuts < len(sizes)) | (validated > 0))
        distance = np.where(allowed, np.abs(totals - target), np.inf)
        cut = int(distance.argmin())
        if distance[cut] < best[0] or not best[1]:
            best = (distance[cut], {source: place < cut for place, source in enumerate(sizes.index[order])})
    return best[1]


def _check_table(clips):
    absent = [column for column in COLUMNS if column not in clips.columns]
    if absent or clips.empty:
        found = f"the columns {', '.join(absent)} are missing" if absent else "the clip table is empty"
        raise MissingDataError(f"{found}. Expected one row a sound with {', '.join(COLUMNS)}, as from_folder() gives.")


def _some(names, most=3):
    return ", ".join(sorted(names)[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
