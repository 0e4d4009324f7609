"""GTZAN: 1,000 tracks of 30 s in 10 genres, the lists that leave out its faults, and a table of track features."""

import re
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
from tqdm import tqdm

from ..errors import AudioInterpError, MissingDataError
from ..sound.reading import short
from ..storage.folders import data_folder
from ..storage.remote import Remote, fetch, fetch_unpacked
from .clips import from_folder, some

GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
TRACK = re.compile(rf"(?P<genre>{'|'.join(GENRES)})/(?P<track>(?P=genre)\.\d{{5}})\.\w+")
"""A track below the folder of genres: ``blues/blues.00000.wav``."""

_TRACKS = 100  # per genre
_LINES = {"train": 443, "valid": 197, "test": 290}
_FEATURE_COUNT = 57
_FOLDERS = ("gtzan", "GTZAN", "gtzan_genre", "gtzan/Data", "Data", ".")
_NAMES = ("genres", "genres_original", ".")  # as in the archive, as on Kaggle
_FEATURES = "features_30_sec.csv"
CITATION = "Tzanetakis & Cook, Musical Genre Classification of Audio Signals, IEEE Trans. Speech Audio Process. 2002"
LICENCE = "no open licence: for research and teaching on your own machine; never publish its audio"
_OTHERWISE = 'run with GENRES="synthetic_music", which needs no download, or load() a folder of your own tracks'

ARCHIVE = Remote(
    name="GTZAN (1.2 GB)",
    urls=(
        "http://opihi.cs.uvic.ca/sound/genres.tar.gz",
        "https://huggingface.co/datasets/marsyas/gtzan/resolve/main/data/genres.tar.gz",
    ),
    filename="genres.tar.gz",
    licence=LICENCE,
    citation=CITATION,
    md5="5b3d6dddb579ab49814ab86dba69e7c7",
    otherwise=_OTHERWISE,
)


def _tracks_of(path):
    """The tracks that a list names, None for each line that names none."""
    lines = path.read_text(encoding="utf-8", errors="replace").split()
    return [found["track"] if (found := TRACK.fullmatch(line)) else None for line in lines]


def _not_a_list(path, *, lines):
    """What tells a file from one of the lists, or None."""
    tracks = _tracks_of(path)
    if None not in tracks and len(set(tracks)) == len(tracks) == lines:
        return None
    found = len(set(tracks) - {None})
    return f"expected {lines} lines such as blues/blues.00000.wav, found {len(tracks)}, {found} tracks among them"


_ADDRESS = "https://raw.githubusercontent.com/coreyker/dnn-mgr/master/gtzan"

LISTS = {
    part: Remote(
        name=f"GTZAN's fault-filtered list {part}_filtered.txt",
        urls=(f"{_ADDRESS}/{part}_filtered.txt",),
        filename=f"{part}_filtered.txt",
        licence="none stated",
        citation="Kereliuk, Sturm & Larsen, Deep Learning and Music Adversaries, IEEE Trans. Multimedia 2015",
        structure=partial(_not_a_list, lines=lines),
        otherwise="partition the tracks by='source'",
    )
    for part, lines in _LINES.items()
}


def load_gtzan(folder=None, *, download=True, progress=True):
    """GTZAN: 10 genres, 100 tracks of 30 s each.

    Looked for as ``gtzan/genres/<genre>/*`` in any format that libsndfile reads, also as ``genres``, ``GTZAN/genres``
    and in Kaggle's layout (``Data/genres_original``); downloaded otherwise. Fewer tracks are taken as they are. Tracks
    of which no sound can be read (in the official archive ``jazz.00054.wav``) are left out.

    Parameters
    ----------
    folder : str or path, optional
        Where the data is; `audiointerp.storage.folders.data_folder` by default.
    download : bool
        Download it if it is not there (1.2 GB).
    progress : bool

    Returns
    -------
    pandas.DataFrame [tracks]
        Sorted by genre, then by number. ``source`` is the track (``blues.00000``). ``fold``: five blocks of neighbours
        in each genre, because tracks of one artist stand side by side; the cuts still part some artists, and tracks
        that are in GTZAN twice (``metal.00034`` and ``metal.00094``). ``filtered``: "train", "valid" or "test" by the
        lists of Kereliuk et al., ``{train,valid,test}_filtered.txt`` beside ``genres``, which leave out repeated,
        mislabelled and distorted tracks and part the artists; "" for the others, and for all without the lists.
        `download_gtzan` gets the lists.

    Raises
    ------
    MissingDataError
        If a genre is missing, or nothing is there and it is not to be downloaded or could not be.

    Warns
    -----
    UserWarning
        For tracks that are left out and for lists that cannot be used.

    References
    ----------
    Tzanetakis & Cook, IEEE Trans. Speech Audio Process. 2002. Faults: Sturm, arXiv:1306.1461. Lists: Kereliuk, Sturm &
    Larsen, IEEE Trans. Multimedia 2015, github.com/coreyker/dnn-mgr.
    """
    base = Path(folder).expanduser() if folder else data_folder()
    places = sorted(_places(base), key=lambda place: len(_absent(place)))
    if places:
        return _read(places[0], progress)
    if not download:
        raise MissingDataError(
            f"{base}: no gtzan there (looked for gtzan/genres, genres and Kaggle's genres_original). Get it with "
            f"'audiointerp download gtzan', set AUDIOINTERP_DATA to the folder that holds it, or {_OTHERWISE}."
        )
    return _read(download_gtzan(base, progress=progress), progress)


def load_gtzan_features(folder=None):
    """Track features of GTZAN: the table that is widely shared with it.

    57 features of each 30 s track, computed with librosa: means and variances of chroma, level, spectral shape,
    harmonic and percussive part and 20 MFCCs, and the tempo. Rows that are equal in every feature are tracks that
    GTZAN holds twice.

    Parameters
    ----------
    folder : str or path, optional
        Holds ``gtzan/features_30_sec.csv``; `audiointerp.storage.folders.data_folder` by default.

    Returns
    -------
    pandas.DataFrame [1000 tracks]
        Indexed by track (``blues.00000``): ``label``, ``fold`` and ``filtered`` as `load_gtzan` has them (the lists
        stand beside the table), then the 57 features.

    Raises
    ------
    MissingDataError
        If the table is not there or is another one.

    Warns
    -----
    UserWarning
        If there are lists that cannot be used.
    """
    base = Path(folder).expanduser() if folder else data_folder()
    paths = [path for one in _FOLDERS if (path := base / one / _FEATURES).is_file()]
    if not paths:
        raise MissingDataError(
            f"{base}: no {_FEATURES} there. It has no official address: it comes with Kaggle's \"GTZAN Dataset - Music "
            f'Genre Classification". Put it at {base / "gtzan" / _FEATURES}, or go without it (PUBLISHED = False).'
        )
    table = _read_features(paths[0])
    parts = filtered_parts(paths[0].parent)
    tracks = table.index
    table.insert(1, "fold", tracks.map(_blocks(tracks)).astype("int64"))
    table.insert(2, "filtered", [parts.get(track, "") for track in tracks])
    return table


def download_gtzan(folder=None, *, progress=True):
    """Download the tracks and the fault-filtered lists, or what is missing of them, and say what the licence is.

    Parameters and result as for `audiointerp.datasets.esc.download_esc10`. A ChecksumError if what arrived is not the
    published archive, a MissingDataError if it could not be had or a part of the tracks stands where it goes, a warning
    if the lists could not be had: the tracks can be loaded without them.
    """
    base = Path(folder).expanduser() if folder else data_folder()
    whole = [place for place in _places(base) if not _absent(place)]
    place = whole[0] if whole else base / "gtzan" / "genres"
    if whole:
        print(f"gtzan is in {place} already.")
    else:
        if place.is_dir() and any(place.iterdir()):
            raise _incomplete(place, _absent(place))
        print(f"gtzan goes to {place}. Licence: {LICENCE}; cite {CITATION}.")
        fetch_unpacked(ARCHIVE, place.parent, place, top="genres", progress=progress)
    try:
        for remote in LISTS.values():
            fetch(remote, _beside(place), progress=progress)
    except AudioInterpError as error:
        warnings.warn(f"The tracks are there, without the fault-filtered lists: {error}", stacklevel=2)
    return place


def filtered_parts(folder):
    """Part ("train", "valid" or "test") of each track that the fault-filtered lists in a folder name.

    Empty where the lists are not there; with a warning too if one of them is missing or another file.

    References
    ----------
    Kereliuk, Sturm & Larsen, Deep Learning and Music Adversaries, IEEE Trans. Multimedia 2015.
    """
    paths = {part: folder / remote.filename for part, remote in LISTS.items()}
    absent = [path.name for path in paths.values() if not path.is_file()]
    if len(absent) == len(paths):
        return {}
    problems = [f"no {name}" for name in absent]
    for part, path in paths.items():
        if path.is_file() and (problem := LISTS[part].structure(path)):
            problems.append(f"{path.name}: {problem}")
    parts = {} if problems else {track: part for part, path in paths.items() for track in _tracks_of(path)}
    if not problems and len(parts) < sum(_LINES.values()):
        problems.append("a track stands in two of them")
    if problems:
        warnings.warn(
            f"{folder}: the fault-filtered lists are not used ({'; '.join(problems)}). Remove them and get them with "
            "'audiointerp download gtzan'.",
            stacklevel=4,
        )
        return {}
    return parts


def _places(base):
    """Folders that seem to hold the genres, all or not."""
    places = [base / one / name for one in _FOLDERS for name in _NAMES]
    return [place for place in places if len(_absent(place)) < len(GENRES) - 1]


def _absent(place):
    return [genre for genre in GENRES if not (place / genre).is_dir()]


def _beside(place):
    return place.parent if place.name in _NAMES else place


def _read(place, progress):
    if absent := _absent(place):
        raise _incomplete(place, absent)
    clips = from_folder(place)
    clips = clips[clips["label"].isin(GENRES)]
    sounds = [Path(path) for path in clips["path"]]
    clips = clips.assign(source=[sound.stem for sound in sounds], name=[sound.name for sound in sounds])
    is_track = np.array([bool(TRACK.fullmatch(f"{sound.parent.name}/{sound.name}")) for sound in sounds], dtype=bool)
    clips = _leave_out(clips, is_track, place, "not named as GTZAN's tracks are (blues.00000.wav)")
    folds = _blocks(clips["source"])  # counts what cannot be read too, so that a track's fold depends on names alone
    paths = tqdm(clips["path"], "headers", unit="track", leave=False, delay=2, disable=not progress)
    readable = [_opens(path) for path in paths]
    clips = _leave_out(clips, np.array(readable, dtype=bool), place, "no sound can be read")
    clips = _leave_out(clips, ~clips.duplicated("source").to_numpy(), place, "the track is there in another format")
    counts = clips["label"].value_counts()
    if empty := [genre for genre in GENRES if genre not in counts]:
        raise _incomplete(place, empty)
    if len(folds) < len(GENRES) * _TRACKS:
        per_genre = " to ".join(map(str, sorted({counts.min(), counts.max()})))
        print(f"{short(place)}: {len(clips)} of 1,000 tracks, {per_genre} a genre.")
    parts = filtered_parts(_beside(place))
    clips["fold"] = clips["source"].map(folds).astype("int64")
    clips["filtered"] = [parts.get(track, "") for track in clips["source"]]
    return clips.drop(columns="name").reset_index(drop=True)


def _leave_out(clips, stays, place, why):
    if not stays.all():
        warnings.warn(f"{place}: left out {some(clips['name'][~stays])}: {why}.", stacklevel=4)
    return clips[stays]


def _opens(path):
    try:
        return soundfile.info(path).frames > 0
    except soundfile.LibsndfileError:
        return False


def _blocks(tracks):
    """Fold of each track: blocks of neighbours in the numbering of its genre."""
    tracks = pd.Series(sorted(set(tracks)))
    genre = tracks.groupby(tracks.str.split(".").str[0])
    return dict(zip(tracks, 1 + genre.cumcount() * 5 // genre.transform("size"), strict=True))


def _incomplete(place, absent):
    return MissingDataError(
        f"{place}: {len(GENRES) - len(absent)} of the {len(GENRES)} genres of gtzan have tracks; not there: "
        f"{some(absent)}. Add them, or move the folder away and get all with 'audiointerp download gtzan'; "
        "load(folder) takes any folder of genres as it is."
    )


def _read_features(path):
    advice = f"Expected filename, label and {_FEATURE_COUNT} features, one row a track. Take Kaggle's file again."
    try:
        table = pd.read_csv(path, float_precision="round_trip").drop(columns="length", errors="ignore")
        track = table.pop("filename").astype(str).str.rsplit(".", n=1).str[0].rename("track")
        label = table.pop("label").astype(str)
        features = table.astype("float64")
    except (OSError, ValueError, KeyError) as error:
        raise MissingDataError(f"{path}: not GTZAN's track features ({error}). {advice}") from error
    whole = np.isfinite(features).all(axis=1) & (track.str.split(".").str[0] == label) & label.isin(GENRES)
    if features.shape[1] != _FEATURE_COUNT or features.empty or not whole.all() or track.duplicated().any():
        raise MissingDataError(
            f"{path}: {features.shape[1]} features of {len(features)} tracks, {track.nunique()} of them different and "
            f"{whole.sum()} rows whole. {advice}"
        )
    return features.assign(label=label)[["label", *features.columns]].set_index(track)
