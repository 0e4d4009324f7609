"""Sounds to classify: clip tables, their splits, and where the data comes from."""

import difflib
import pkgutil
from pathlib import Path

from ..errors import MissingDataError
from .clips import count_labels, from_folder, select_labels, shared_sources, split
from .labels import merge_labels
from .partition import partition, with_folds

__all__ = [
    "DATASETS",
    "DOWNLOADS",
    "count_labels",
    "download",
    "from_folder",
    "load",
    "merge_labels",
    "partition",
    "select_labels",
    "shared_sources",
    "split",
    "with_folds",
]

# Name → "module:function", imported when asked for.
DATASETS = {
    "esc10": "audiointerp.datasets.esc:load_esc10",
    "esc50": "audiointerp.datasets.esc:load_esc50",
    "gtzan": "audiointerp.datasets.gtzan:load_gtzan",
    "synthetic": "audiointerp.datasets.synthetic:load",
    "synthetic_music": "audiointerp.datasets.music:load",
}
DOWNLOADS = {
    "esc10": "audiointerp.datasets.esc:download_esc10",
    "esc50": "audiointerp.datasets.esc:download_esc50",
    "gtzan": "audiointerp.datasets.gtzan:download_gtzan",
}


def load(name, **options):
    """Clip table of a data set, or of a folder of your own.

    Parameters
    ----------
    name : str or path
        One of `DATASETS`, a folder that holds one folder of sounds per class, or one in ESC-50's official layout.
    **options
        For the data set's own function, such as ``download=False``.

    Returns
    -------
    pandas.DataFrame [clips]

    Raises
    ------
    MissingDataError
        If it is neither a known name nor a folder, or the data is not there.
    """
    if name in DATASETS:
        return pkgutil.resolve_name(DATASETS[name])(**options)
    folder = Path(name).expanduser()
    if not folder.is_dir():
        raise MissingDataError(f"{name}: neither a folder nor a data set. {_known(name, DATASETS)}")
    if (folder / "meta" / "esc50.csv").is_file():
        return pkgutil.resolve_name("audiointerp.datasets.esc:from_esc_layout")(folder, **options)
    return from_folder(folder, **options)


def download(name, **options):
    """Download data or weights to the data folder.

    Parameters
    ----------
    name : str
        One of `DOWNLOADS`.
    **options
        For the function that does it, such as ``folder`` or ``progress``.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    MissingDataError
        If the name is not known, or the download did not arrive.
    ChecksumError
        If what arrived is not what was published.
    """
    if name not in DOWNLOADS:
        raise MissingDataError(f"{name}: nothing to download under this name. {_known(name, DOWNLOADS)}")
    return pkgutil.resolve_name(DOWNLOADS[name])(**options)


def _known(name, names):
    near = difflib.get_close_matches(str(name).lower(), names, n=1)
    return f"Known names: {', '.join(names)}." + (f" Did you mean {near[0]!r}?" if near else "")
