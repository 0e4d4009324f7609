"""Data sets by their names."""

import difflib
import pkgutil
from pathlib import Path

from ..errors import MissingDataError
from .clips import from_folder

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
        raise MissingDataError(f"{name}: neither a folder nor a data set. {known_names(name, DATASETS)}")
    if (folder / "meta" / "esc50.csv").is_file():
        return pkgutil.resolve_name("audiointerp.datasets.esc:from_esc_layout")(folder, **options)
    return from_folder(folder, **options)


def known_names(name, names):
    near = difflib.get_close_matches(str(name).lower(), names, n=1)
    return f"Known names: {', '.join(names)}." + (f" Did you mean {near[0]!r}?" if near else "")
