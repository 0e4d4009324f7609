"""What holds for every method, over shapes, batch sizes and numbers of classes."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import xarray as xr

from audiointerp.maps import METHODS, explain
from audiointerp.networks.head import add_head, frontend_of, labels_of
from audiointerp.sound.patches import Patches

SHAPES = [(96, 64), (64, 96), (37, 23)]
OPTIONS = {"lime": {"samples": 40}, "occlusion": {"mask": (15, 11), "stride": (12, 9)}}
SEEDED = {"lime": {}, "saliency": {"smooth_samples": 2}}
POOLED = ("cam", "crm")  # take networks that end in global average pooling and one dense layer
FLOAT32 = {"precision": "float32", "progress": False, "cache": False}  # a stored map would equal itself

every_method = pytest.mark.parametrize("method", METHODS)
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


@pytest.fixture
def network_of(request, network_of):
    """A network that the method takes: the usual one, or its convolutions with an average over positions."""
    if getattr(request.node, "callspec", None) is None or request.node.callspec.params.get("method") not in POOLED:
        return network_of

    def build(*shape, **options):
        whole = network_of(*shape, **options)
        averaged = keras.layers.GlobalAveragePooling2D()(whole.get_layer("pool").output)
        body = keras.Model(whole.inputs[0], averaged, name="small")
        return add_head(body, labels_of(whole), frontend_of(whole), seed=options.get("seed", 0))

    return build


def run(network, patches, method, **options):
    return explain(network, patches, method, **FLOAT32, **OPTIONS.get(method, {}), **options)


@every_method
@every_shape
def test_result(method, shape, network_of, patches_of):
    network, patches = network_of(shape), patches_of(shape)
    maps = run(network, patches, method)
    assert isinstance(maps, xr.DataArray)
    assert maps.dims == ("patch", "label", "time", "frequency")
    assert maps.shape == (3, 3, *shape)
    assert maps.dtype == np.float32
    assert np.isfinite(maps).all()
    assert maps.std() > 0
    np.testing.assert_array_equal(maps.patch, [100, 110, 120])
    np.testing.assert_array_equal(maps.label, ["class0", "class1", "class2"])
    np.testing.assert_allclose(maps.time, patches.time)
    np.testing.assert_allclose(maps.frequency, patches.frequency)
    np.testing.assert_array_equal(maps["true"], patches.label)
    np.testing.assert_array_equal(maps["clip"], patches.clip)
    np.testing.assert_array_equal(maps["start"], patches.start)
    assert (maps.time.attrs["units"], maps.frequency.attrs["units"]) == ("s", "Hz")
    assert (maps.attrs["method"], maps.attrs["network"]) == (method, "small")
    assert maps.attrs["units"]
    json.dumps(maps.attrs)


@every_method
@every_shape
def test_batch_size_makes_no_difference(method, shape, network_of, patches_of):
    network, patches = network_of(shape), patches_of(shape)
    whole = run(network, patches, method)
    for size in (1, 2, 7):
        maps = run(network, patches, method, batch_size=size)
        np.testing.assert_allclose(maps, whole, rtol=1e-3, atol=1e-4 * float(abs(whole).max()))


@every_method
def test_patches_do_not_depend_on_each_other(method, network_of, patches_of):
    network, patches = network_of(), patches_of()
    whole = run(network, patches, method)
    alone = run(network, patches[[2]], method)
    np.testing.assert_array_equal(alone.patch, [120])
    np.testing.assert_allclose(alone.sel(patch=120), whole.sel(patch=120), rtol=1e-3, atol=1e-6)


@every_method
def test_labels_select(method, network_of, patches_of):
    network, patches = network_of(classes=4), patches_of()
    whole = run(network, patches, method)
    for labels in (["class2"], ["class3", "class0"]):
        maps = run(network, patches, method, labels=labels)
        assert list(maps.label.values) == labels
        np.testing.assert_allclose(maps, whole.sel(label=labels), rtol=1e-4, atol=1e-7)
    assert list(run(network, patches, method, labels="class1").label.values) == ["class1"]


@every_method
@pytest.mark.parametrize("classes", [2, 5])
def test_number_of_classes(method, classes, network_of, patches_of):
    maps = run(network_of(classes=classes), patches_of(n=1), method)
    assert maps.sizes["label"] == classes
    assert np.isfinite(maps).all()


@pytest.mark.parametrize("method", SEEDED)
def test_seed(method, network_of, patches_of):
    network, patches = network_of(), patches_of(n=2)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, again, other = (run(network, patches, method, seed=seed, **SEEDED[method]) for seed in (1, 1, 2))
    xr.testing.assert_identical(first, again)
    assert not np.allclose(first, other)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@every_method
def test_network_stays_as_it_was(method, network_of, patches_of):
    network, patches = network_of(), patches_of(n=2)

    def state():
        nodes = [len(layer._inbound_nodes) for layer in network.layers]
        return network.to_json(), nodes, network.trainable

    before, weights = state(), network.get_weights()
    predicted = network.predict(patches.data, verbose=0)
    explain(network, patches, method, precision="bfloat16", progress=False, cache=False, **OPTIONS.get(method, {}))
    assert state() == before
    for now, then in zip(network.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(now, then)
    np.testing.assert_array_equal(network.predict(patches.data, verbose=0), predicted)


@every_method
@every_shape
def test_raw_grid(method, shape, network_of, patches_of):
    network, patches = network_of(shape, classes=2), patches_of(shape, n=1)
    grid = run(network, patches, method, upsample=None)
    assert grid.dims == ("patch", "label", "time", "frequency")
    for axis, fine in (("time", patches.time), ("frequency", patches.frequency)):
        centres = grid[axis].values
        assert (np.diff(centres) > 0).all()
        assert fine[0] <= centres[0] and centres[-1] <= fine[-1]
        assert len(centres) <= len(fine)
    if method != "saliency":
        assert grid.sizes["time"] < shape[0] and grid.sizes["frequency"] < shape[1]


@every_method
@pytest.mark.parametrize("upsample", ["linear", None])
def test_details(method, upsample, network_of, patches_of):
    network, patches = network_of(classes=2), patches_of(n=2)
    maps = run(network, patches, method, upsample=upsample)
    details = run(network, patches, method, upsample=upsample, details=True)
    xr.testing.assert_identical(details["map"], maps)
    if upsample and method not in ("lime", "saliency"):
        coarse = run(network, patches, method, upsample=None)
        np.testing.assert_array_equal(details["grid"], coarse)
        np.testing.assert_array_equal(details["grid_time"], coarse["time"])


def test_a_class_averaged_over_patches(network_of, patches_of):
    maps = explain(network_of(), patches_of(), progress=False)
    assert maps.sel(label="class1").mean("patch").dims == ("time", "frequency")


def test_import_is_light():
    code = "import sys, audiointerp.maps; assert not {'keras', 'tensorflow', 'lime'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("cache", [True, False])
def test_patches_without_labels(cache, network_of, patches_of):
    patches = patches_of(n=2)
    unlabelled = Patches(patches.data, patches.table[["clip", "start"]], patches.frontend)
    maps = explain(network_of(), unlabelled, cache=cache, progress=False)
    assert "true" not in maps.coords
    np.testing.assert_array_equal(maps, explain(network_of(), patches, cache=False, progress=False))


def test_cache_notices_changes(network_of, patches_of):
    network, patches = network_of(), patches_of(n=1)
    stored, again = (explain(network, patches, progress=False) for _ in range(2))
    xr.testing.assert_identical(stored, again)
    network.get_layer("second").kernel.assign(network.get_layer("second").kernel * 1.5)
    assert not np.allclose(explain(network, patches, progress=False), stored)
    assert not np.allclose(explain(network, patches_of(n=1, seed=3), progress=False), stored)
