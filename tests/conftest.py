"""What every test shares: a cache of its own, seeded numbers, small sounds, a web server, the marks' conditions."""

import http.server
import os
import sys
import threading
from collections import Counter

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pandas as pd
import pytest

from audiointerp.sound.frontend import FrontEnd
from audiointerp.sound.patches import Patches

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
def seeded():
    """Weights that a test leaves to chance are the same in every run and any order."""
    if keras := sys.modules.get("keras"):
        keras.utils.set_random_seed(20240229)


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


@pytest.fixture
def small():
    """A front end of small, non-square patches, so that networks on them are fast."""
    return FrontEnd(frames=32, mels=16)


@pytest.fixture
def toy(rng, small):
    """Patches of a problem that is easily learned: each label has a bright band of its own."""

    def make(n, labels=("high", "low"), *, per_clip=1, frontend=small):
        own = np.array(labels, dtype=object)[np.arange(n) // per_clip % len(labels)]
        data = rng.normal(-3, 0.5, (n, frontend.frames, frontend.mels))
        width = frontend.mels // len(labels)
        for number, label in enumerate(labels):
            data[own == label, :, number * width : (number + 1) * width] += 3
        clip = np.arange(n) // per_clip
        columns = {"clip": clip, "start": np.arange(n) % per_clip * 0.24, "label": own, "fold": clip % 5 + 1}
        columns |= {"source": clip.astype(str), "path": "toy.wav", "padded": False, "silent": False}
        return Patches(data.astype(np.float32), pd.DataFrame(columns), frontend)

    return make


class Cut:
    """An answer that announces all of its content and breaks off after some of it."""

    def __init__(self, content, after):
        self.content, self.after = content, after


class Server(http.server.ThreadingHTTPServer):
    """Answers from ``pages``: bytes, a status, a `Cut`, or a function of the number of the request."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pages, self.hits = {}, Counter()

    def url(self, name):
        return f"http://127.0.0.1:{self.server_port}/{name}"


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.lstrip("/")
        self.server.hits[name] += 1
        answer = self.server.pages.get(name, 404)
        if callable(answer):
            answer = answer(self.server.hits[name])
        if isinstance(answer, int):
            self.send_error(answer)
            return
        content, after = (answer.content, answer.after) if isinstance(answer, Cut) else (answer, None)
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[:after])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    running = Server()
    threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield running
    running.shutdown()
    running.server_close()


@pytest.fixture
def cut():
    return Cut
