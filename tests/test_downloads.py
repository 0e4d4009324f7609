import pkgutil

import pytest

from audiointerp import downloads
from audiointerp.downloads import DOWNLOADS, download
from audiointerp.errors import MissingDataError


@pytest.mark.parametrize("name", DOWNLOADS)
def test_every_name_is_a_function(name):
    assert callable(pkgutil.resolve_name(DOWNLOADS[name]))


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("vggish", "audiointerp.networks.vggish.find_checkpoint"),
        ("imagenet", "audiointerp.networks.efficientnet.find_weights"),
        ("soundnet-features", "audiointerp.datasets.soundnet_features.download_soundnet_features"),
        ("esc10", "audiointerp.datasets.esc.download_esc10"),
    ],
)
def test_it_does_what_the_command_does(name, function, monkeypatch):
    monkeypatch.setattr(function, lambda **options: (name, options))
    assert downloads.download(name) == (name, {})
    assert download(name, progress=False) == (name, {"progress": False})


def test_an_unknown_name_is_told_the_known_ones():
    with pytest.raises(MissingDataError, match=r"esc11: nothing to download.*Known names: esc10.*Did you mean 'esc10'"):
        download("esc11")
