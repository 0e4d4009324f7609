"""What every test shares: a cache of its own, seeded numbers, small sounds, and the marks' conditions."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest

# The folder of real data, read once: tests see AUDIOINTERP_DATA only if they ask for the fixture.
REAL_DATA = os.environ.pop("AUDIOINTERP_DATA", None)
if REAL_DATA:
    REAL_DATA = os.path.abspath(REAL_DATA)


def pytest_collection_modifyitems(items):
    if REAL_DATA:
        return
    skip = pytest.mark.skip(reason="needs real data: AUDIOINTERP_DATA is not set")
    for item in items:
        if "realdata" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path_factory):
    """Each test has an empty cache and no data folder but what it sets itself."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("AUDIOINTERP_CACHE", str(folder))
    return folder


@pytest.fixture
def real_data(monkeypatch):
    """Folder of real data; for tests marked `realdata`."""
    monkeypatch.setenv("AUDIOINTERP_DATA", REAL_DATA)
    return REAL_DATA


@pytest.fixture
def rng():
    return np.random.default_rng(20240229)
