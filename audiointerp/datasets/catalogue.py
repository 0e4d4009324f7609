"""Data sets by their names."""

import difflib
import inspect
import pkgutil
from pathlib import Path

from ..errors import MissingDataError
from .clips import URBANSOUND, from_folder, from_urbansound_layout

# Name → "module:function", imported when asked for.
DATASETS = {
    "esc10": "audiointerp.datasets.esc:load_esc10",
    "esc50": "audiointerp.datasets.esc:load_esc50",
    "gtzan": "audiointerp.datasets.gtzan:load_gtzan",
    "synthetic": "audiointerp.datasets.synthetic.clips:load",
    "synthetic_music": "audiointerp.datasets.synthetic.tracks:load",
}


def load(name, **options):
    """Clip table of a data set, or of a folder of your own.

    Parameters
    ----------
    name : str or path
        One of `DATASETS`, a folder that holds one folder of sounds per class, or one in the official layout
        of ESC-50 or UrbanSound8K.
    **options
        For the data set's own function. ``download`` and ``progress`` are taken by all: a folder of your own has
        nothing to download.

    Returns
    -------
    pandas.DataFrame [clips]
        `path` and `label`, and what more the data set knows of each clip.

    Raises
    ------
    MissingDataError
        If it is neither a known name nor a folder, or the data is not there.
    TypeError
        If the data set has no such option.

    Examples
    --------
    >>> load("esc10")["label"].value_counts()  # doctest: +SKIP
    >>> load("my_sounds")  # doctest: +SKIP
    """
    if name in DATASETS:
        return _call(pkgutil.resolve_name(DATASETS[name]), name, options)
    folder = Path(name).expanduser()
    if not folder.is_dir():
        raise MissingDataError(f"{name}: neither a folder nor a data set. {known_names(name, DATASETS)}")
    if (folder / "meta" / "esc50.csv").is_file():
        return _call(pkgutil.resolve_name("audiointerp.datasets.esc:from_esc_layout"), name, options, folder)
    if (folder / URBANSOUND).is_file():
        return _call(from_urbansound_layout, name, options, folder)
    return _call(from_folder, name, options, folder)


def _call(function, name, options, *given):
    accepted = list(inspect.signature(function).parameters)[len(given) :]
    needless = {"download", "progress"} - set(accepted)
    options = {option: value for option, value in options.items() if option not in needless}
    if unknown := [option for option in options if option not in accepted]:
        own = ", ".join(accepted) or "none"
        raise TypeError(f"{name}: no option {', '.join(unknown)} to load it with; its own are: {own}.")
    return function(*given, **options)


def known_names(name, names):
    """The names there are, and the one that was perhaps meant, as a sentence."""
    near = difflib.get_close_matches(str(name).lower(), names, n=1)
    return f"Known names: {', '.join(names)}." + (f" Did you mean {near[0]!r}?" if near else "")
