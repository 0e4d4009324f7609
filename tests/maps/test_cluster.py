"""Clips, layer features and maps shared out to the workers of a Dask cluster; one of them is killed."""

import os
import signal
import threading
import time

import joblib
import numpy as np
import pandas as pd
import pytest
import soundfile
import xarray as xr

import audiointerp as ai
from audiointerp.maps import explain_to_file
from audiointerp.sound.frontend import FrontEnd

pytest.importorskip("distributed", reason="needs Dask: pip install 'audiointerp[cluster]'")


@pytest.fixture(scope="module")
def cluster():
    from distributed import Client, LocalCluster

    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with LocalCluster(**options) as running, Client(running) as client:
        yield client


@pytest.fixture
def killed(cluster):
    """Kills a worker as soon as it has something to do; the list holds the process numbers of those killed."""
    done, over = [], threading.Event()
    workers = cluster.run(os.getpid)

    def kill():
        while not over.is_set() and not done:
            busy = [workers[address] for address, tasks in cluster.processing().items() if tasks]
            if busy:
                os.kill(busy[0], signal.SIGKILL)
                done.append(busy[0])
            time.sleep(0.01)

    thread = threading.Thread(target=kill)
    thread.start()
    yield done
    over.set()
    thread.join()


@pytest.fixture
def clips(tmp_path, rng):
    rows = []
    for number in range(12):
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, rng.normal(0, 0.1, 9_000 + 500 * number), 16_000)
        rows.append({"path": str(path), "label": f"class{number % 2}", "fold": 1, "source": str(number)})
    return pd.DataFrame(rows)


def test_a_cluster_gives_the_same_though_a_worker_is_killed(cluster, killed, clips, network_of, tmp_path):
    frontend = FrontEnd(frames=37, mels=23)
    network = network_of()
    patches = ai.make_patches(clips, frontend, progress=False)
    maps = explain_to_file(network, patches, tmp_path / "here.nc", block=8, progress=False)
    features = ai.layer_features(network, patches, cache=False, progress=False)
    with joblib.parallel_config(backend="dask"):
        assert joblib.effective_n_jobs(None) == 2
        found = explain_to_file(network, patches, tmp_path / "there.nc", block=8, progress=False)
        assert len(killed) == 1
        again = ai.make_patches(clips, frontend, cache=False, progress=False)
        layers = ai.layer_features(network, patches, cache=False, progress=False)
    xr.testing.assert_identical(found.load(), maps.load())
    np.testing.assert_array_equal(again.data, patches.data)
    pd.testing.assert_frame_equal(again.table, patches.table)
    for name, values in features.items():
        np.testing.assert_allclose(layers[name], values, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("over_time", ["mean", "flatten"])
def test_waveforms(over_time, cluster, clips):
    network = ai.soundnet(weights="random")
    options = {"layers": ["conv2"], "over_time": over_time, "cache": False, "progress": False}
    here = ai.layer_features(network, clips, **options)
    with joblib.parallel_config(backend="dask"):
        there = ai.layer_features(network, clips, **options)
    np.testing.assert_allclose(there["conv2"], here["conv2"], rtol=1e-3, atol=1e-5)
