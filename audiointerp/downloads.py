"""Downloads by their names: data sets and pretrained weights."""

import pkgutil

from .datasets.catalogue import known_names
from .errors import MissingDataError

# Name → "module:function", imported when asked for.
DOWNLOADS = {
    "esc10": "audiointerp.datasets.esc:download_esc10",
    "esc50": "audiointerp.datasets.esc:download_esc50",
    "gtzan": "audiointerp.datasets.gtzan:download_gtzan",
    "imagenet": "audiointerp.networks.efficientnet:find_weights",
    "soundnet": "audiointerp.networks.soundnet_weights:find_weights",
    "soundnet-features": "audiointerp.datasets.soundnet_features:download_soundnet_features",
    "vggish": "audiointerp.networks.vggish:find_checkpoint",
    "yamnet": "audiointerp.networks.yamnet:find_weights",
}


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
        Where it lies now.

    Raises
    ------
    MissingDataError
        If the name is not known, or the download did not arrive.
    ChecksumError
        If what arrived is not what was published.

    Examples
    --------
    >>> download("yamnet")  # doctest: +SKIP
    """
    if name not in DOWNLOADS:
        raise MissingDataError(f"{name}: nothing to download under this name. {known_names(name, DOWNLOADS)}")
    return pkgutil.resolve_name(DOWNLOADS[name])(**options)
