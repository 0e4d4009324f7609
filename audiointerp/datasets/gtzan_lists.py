"""Which part each track of GTZAN stands in, by lists that leave out its faults and part its artists."""

import re
import warnings
from functools import partial

from .remote import Remote

GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
TRACK = re.compile(rf"(?P<genre>{'|'.join(GENRES)})/(?P<track>(?P=genre)\.\d{{5}})\.\w+")
"""A track below the folder of genres: ``blues/blues.00000.wav``."""

_ADDRESS = "https://raw.githubusercontent.com/coreyker/dnn-mgr/master/gtzan"
_LINES = {"train": 443, "valid": 197, "test": 290}


def filtered_parts(folder):
    """Part of each track that the fault-filtered lists name.

    Parameters
    ----------
    folder : path
        Holds ``train_filtered.txt``, ``valid_filtered.txt`` and ``test_filtered.txt``.

    Returns
    -------
    dict [track -> "train", "valid" or "test"]
        Empty where the lists are not there.

    Warns
    -----
    UserWarning
        If they cannot be used: one of them is missing or another file.

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
