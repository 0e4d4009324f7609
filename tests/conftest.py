"""What every test shares: a cache of its own, seeded numbers, small sounds, a web server, the marks' conditions."""

import http.server
import os
import sys
import threading
from collections import Counter
from dataclasses import replace

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pandas as pd
import pytest
import soundfile

from audiointerp.sound.frontend import FrontEnd
from audiointerp.sound.patches import Patches, make_patches

# The folder of real data: tests see AUDIOINTERP_DATA only if they ask for the fixture. Tests that run side by side are
# in processes of their own, which get it under the other name.
REAL_DATA = os.environ.pop("AUDIOINTERP_DATA", None) or os.environ.get("AUDIOINTERP_TEST_DATA")
if REAL_DATA:
    REAL_DATA = os.environ["AUDIOINTERP_TEST_DATA"] = os.path.abspath(REAL_DATA)


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


@pytest.fixture(scope="session")
def patches_of():
    """Random patches of a shape, numbered from 100 in steps of 10, as if taken from a larger set."""

    def build(shape=(37, 23), n=3, seed=0):
        data = np.random.default_rng(seed).normal(-2, 1.5, (n, *shape)).astype(np.float32)
        table = pd.DataFrame(
            {"clip": np.arange(n) // 2, "start": 0.24 * np.arange(n), "label": [f"class{i % 2}" for i in range(n)]},
            index=100 + 10 * np.arange(n),
        )
        return Patches(data, table, FrontEnd(frames=shape[0], mels=shape[1]))

    return build


@pytest.fixture(scope="session")
def with_cells():
    """The same patches with other values in some cells."""

    def build(patches, cells, values):
        data = np.array(patches.data)
        data[cells] = values
        return replace(patches, data=data)

    return build


@pytest.fixture(scope="session")
def network_of():
    """A small network of random weights with two convolutions, batch norm and a head."""

    import keras

    from audiointerp.networks.head import add_head

    def build(shape=(37, 23), classes=3, seed=0):
        rng = np.random.default_rng(seed)
        layers = keras.layers
        inputs = keras.Input((*shape, 1))
        x = layers.Conv2D(4, 3, padding="same", activation="relu", name="first")(inputs)
        x = layers.MaxPooling2D(4, padding="same")(x)
        x = layers.Conv2D(6, 3, padding="same", name="second")(x)
        x = layers.BatchNormalization(name="norm")(x)
        x = layers.ReLU(name="rectified")(x)
        x = layers.MaxPooling2D(2, padding="same", name="pool")(x)
        x = layers.Dense(5, activation="relu")(layers.Flatten()(x))
        frontend = FrontEnd(frames=shape[0], mels=shape[1])
        network = add_head(keras.Model(inputs, x, name="small"), [f"class{i}" for i in range(classes)], frontend)
        for weight in network.weights:
            positive = "variance" in weight.path
            weight.assign(rng.uniform(0.5, 2, weight.shape) if positive else rng.normal(0, 0.3, weight.shape))
        return network

    return build


@pytest.fixture(scope="session")
def linear_of():
    """A network whose logits are sums of the patch's cells, weighted by `weights` (frames, mels, classes)."""

    import keras

    from audiointerp.networks.head import add_head

    def build(weights):
        *shape, classes = weights.shape
        inputs = keras.Input((*shape, 1))
        frontend = FrontEnd(frames=shape[0], mels=shape[1])
        body = keras.Model(inputs, keras.layers.Flatten()(inputs), name="linear")
        network = add_head(body, [f"class{i}" for i in range(classes)], frontend)
        network.get_layer("FCFinal").set_weights([weights.reshape(-1, classes), np.zeros(classes)])
        return network

    return build


@pytest.fixture(scope="session")
def correlation():
    """Pearson's r of two arrays."""
    return lambda a, b: np.corrcoef(np.ravel(a), np.ravel(b))[0, 1]


@pytest.fixture
def track_rows(rng):
    """Rows of three genres, each with six features of its own raised; the rest is noise on very unequal scales."""

    from audiointerp.sound.music import FEATURES

    # As different as in the published table, from the harmonic waveform's mean to the rolloff's variance.
    scales = np.geomspace(1e-4, 1e6, len(FEATURES))

    def make(n, labels=("blues", "jazz", "metal"), segments=1):
        own = np.arange(n) // segments % len(labels)
        values = rng.normal(0, 1, (n, len(FEATURES)))
        for number in range(len(labels)):
            values[np.ix_(own == number, range(10 * number, 10 * number + 6))] += 2
        table = pd.DataFrame(3 * scales + scales * values, columns=FEATURES)
        clip = np.arange(n) // segments
        about = {"label": np.array(labels, dtype=object)[own], "fold": clip % 5 + 1, "source": [f"s{c}" for c in clip]}
        table = pd.concat([pd.DataFrame(about), table], axis=1)
        if segments == 1:
            return table.set_index(pd.Index(100 + clip, name="clip"))
        return table.set_index(pd.MultiIndex.from_arrays([100 + clip, np.arange(n) % segments * 3.0]))

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


@pytest.fixture(scope="session")
def tone():
    """Function that makes half a second of a tone with a little noise."""

    def make(rng, frequency, seconds=0.5, rate=16_000):
        t = np.arange(int(seconds * rate)) / rate
        return 0.4 * np.sin(2 * np.pi * frequency * t + rng.uniform(0, 6)) + rng.normal(0, 0.01, len(t))

    return make


@pytest.fixture(scope="module")
def tone_clips(tmp_path_factory, tone):
    """Thirty tones, low or high, in five folds; their labels are nonsense."""
    rng, rows, folder = np.random.default_rng(20240229), [], tmp_path_factory.mktemp("tones")
    for number in range(30):
        frequency = rng.uniform(200, 500) if number % 2 else rng.uniform(1_500, 3_000)
        path = folder / f"{number}.wav"
        soundfile.write(path, tone(rng, frequency), 16_000)
        rows.append({"path": str(path), "label": rng.choice(["cat", "dog"]), "fold": number // 2 % 5 + 1})
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def module_cache(tmp_path_factory):
    """A cache for what the tests of a module share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUDIOINTERP_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def tone_sets(tone_clips, module_cache):
    """Patches of the tones of folds 1 to 4, and of fold 5."""
    patches = make_patches(tone_clips, FrontEnd(frames=32, mels=16))
    inside = patches.table["fold"].to_numpy() == 5
    return patches[~inside], patches[inside]
