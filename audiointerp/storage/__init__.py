"""Where things are kept: folders, the cache, downloads, archives."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["archives", "cache", "fingerprints", "folders", "remote"],
    submod_attrs={
        "folders": ["cache_folder", "data_folder"],
        "cache": ["cached", "write_whole"],
        "remote": ["Remote", "fetch", "fetch_many"],
        "archives": ["unpack"],
    },
)
