"""What holds for every method, over shapes, batch sizes and numbers of classes."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import xarray as xr

from audiointerp.errors import MissingDataError, PatchShapeError, UnknownLabelError
from audiointerp.maps import METHODS, explain
from audiointerp.networks.head import add_head, frontend_of, labels_of
from audiointerp.sound.patches import Patches

SHAPES = [(96, 64), (64, 96), (37, 23)]


OPTIONS = {
    "integrated_gradients": {"steps": 4},
    "lime": {"samples": 40},
    "occlusion": {"mask": (15, 11), "stride": (12, 9)},
    "rise": {"samples": 40},
}


SEEDED = {"lime": {}, "saliency": {"smooth_samples": 2}, "rise": {}}


CELL_BY_CELL = ("saliency", "integrated_gradients", "rise")  # have no coarse grid


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
    if method not in CELL_BY_CELL:
        assert grid.sizes["time"] < shape[0] and grid.sizes["frequency"] < shape[1]


@every_method
@pytest.mark.parametrize("upsample", ["linear", None])
def test_details(method, upsample, network_of, patches_of):
    network, patches = network_of(classes=2), patches_of(n=2)
    maps = run(network, patches, method, upsample=upsample)
    details = run(network, patches, method, upsample=upsample, details=True)
    xr.testing.assert_identical(details["map"], maps)
    if upsample and method not in ("lime", *CELL_BY_CELL):
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


@pytest.mark.parametrize("seed", [None, 0.5, "1"])
def test_a_seed_is_a_whole_number(seed, network_of, patches_of):
    with pytest.raises(ValueError, match=r"seed=.*expected a whole number"):
        explain(network_of(), patches_of(), "lime", seed=seed)


def test_unknown_method(network_of, patches_of):
    with pytest.raises(ValueError, match=r"method='guess'.*gradcam, lime, occlusion"):
        explain(network_of(), patches_of(), "guess")


def test_option_of_another_method(network_of, patches_of):
    with pytest.raises(TypeError, match=r"'gradcam' has no option samples; its own are: layer"):
        explain(network_of(), patches_of(), "gradcam", samples=10)


@every_method
def test_unknown_label(method, network_of, patches_of):
    with pytest.raises(UnknownLabelError, match=r"'dog'.*class0, class1, class2"):
        explain(network_of(), patches_of(), method, labels=["class1", "dog"])


@every_method
def test_no_labels(method, network_of, patches_of):
    with pytest.raises(ValueError, match="labels is empty"):
        explain(network_of(), patches_of(), method, labels=[])


@every_method
def test_no_patches(method, network_of, patches_of):
    with pytest.raises(MissingDataError, match="no patches"):
        explain(network_of(), patches_of()[[]], method)


@every_method
def test_patches_of_another_shape(method, network_of, patches_of):
    with pytest.raises(PatchShapeError, match=r"37, 23"):
        explain(network_of((37, 23)), patches_of((23, 37)), method)


@every_method
def test_network_on_waveforms(method, patches_of):
    inputs = keras.Input((100,))
    network = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(inputs))
    with pytest.raises(PatchShapeError):
        explain(network, patches_of(), method)


@every_method
@pytest.mark.parametrize(
    "option", [{"upsample": "cubic"}, {"batch_size": 0}, {"precision": "float16"}], ids=lambda o: next(iter(o))
)
def test_common_options(method, option, network_of, patches_of):
    with pytest.raises(ValueError, match=next(iter(option))):
        explain(network_of(), patches_of(), method, **option)


@pytest.mark.parametrize(
    ("method", "options", "match"),
    [
        ("gradcam", {"layer": "conv9"}, r"conv9.*first.*second.*norm.*rectified.*pool"),
        ("gradcam", {"layer": "FCFinal"}, "FCFinal"),
        ("scorecam", {"filters": 7}, r"filters=7.*has 6"),
        ("lime", {"samples": 1}, "samples=1"),
        ("lime", {"kernel_width": 0}, "kernel_width"),
        ("lime", {"fill": "noise"}, "'mean', 'silence'"),
        ("lime", {"fill": float("nan")}, "fill=nan"),
        ("lime", {"score": "loss"}, "'probability' or 'logit'"),
        ("lime", {"regions": "hexagons"}, "'grid', 'superpixels'"),
        ("lime", {"regions": np.zeros((3, 3), int)}, r"shape \(37, 23\)"),
        ("lime", {"regions": np.zeros((37, 23))}, "float64"),
        ("lime", {"regions": np.zeros((37, 23), int)}, "single region"),
        ("lime", {"count": 1}, "count=1"),
        ("lime", {"regions": "superpixels", "upsample": None}, "details=True"),
        ("occlusion", {"mask": (38, 4)}, r"\(37, 23\)"),
        ("occlusion", {"mask": (0, 4)}, "mask"),
        ("occlusion", {"mask": (4.5, 4)}, "whole numbers"),
        ("occlusion", {"mask": 4}, r"\(frames, mels\)"),
        ("occlusion", {"mask": (4, 4), "stride": (5, 2)}, "uncovered"),
        ("occlusion", {"fill": "noise"}, "'mean', 'silence'"),
        ("occlusion", {"score": "loss"}, "'probability' or 'logit'"),
    ],
)
def test_own_options(method, options, match, network_of, patches_of):
    with pytest.raises(ValueError, match=match):
        explain(network_of(), patches_of(), method, progress=False, **options)


def test_no_convolution(linear_of, patches_of):
    network = linear_of(np.ones((37, 23, 2)))
    with pytest.raises(ValueError, match=r"no convolution.*'lime' or 'occlusion'"):
        explain(network, patches_of(), "gradcam")
