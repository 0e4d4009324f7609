"""Maps in a file: the same as in memory, gone on with after a stop, read lazily."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import xarray as xr

from audiointerp.errors import MissingDataError
from audiointerp.maps import explain, explain_to_file, files
from audiointerp.networks.head import add_head, frontend_of, labels_of
from audiointerp.networks.saving import save_network
from audiointerp.plots import label_average, map_grid
from audiointerp.trust import map_agreement

OPTIONS = {"lime": {"samples": 20}, "occlusion": {"mask": (15, 11), "stride": (12, 9)}}
STOPPED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from conftest import patches_of
from audiointerp.maps import explain_to_file, files
from audiointerp.networks.saving import load_network
explain, calls = files.explain, []
def stopped(*args, **options):
    calls.append(1)
    if len(calls) == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return explain(*args, **options)
files.explain = stopped
explain_to_file(load_network(sys.argv[2]), patches_of.__wrapped__()(n=23), sys.argv[3], sys.argv[4], block=5,
                progress=False)
"""


@pytest.fixture
def pooled(network_of):
    whole = network_of()
    x = keras.layers.GlobalAveragePooling2D()(whole.get_layer("pool").output)
    return add_head(keras.Model(whole.inputs[0], x, name="small"), labels_of(whole), frontend_of(whole))


@pytest.mark.parametrize("details", [False, True])
@pytest.mark.parametrize("method", ["gradcam", "lime", "occlusion", "cam", "crm"])
def test_a_file_holds_what_explain_gives(method, details, pooled, patches_of, tmp_path):
    patches, options = patches_of(n=8), OPTIONS.get(method, {}) | {"details": details, "progress": False}
    found = explain_to_file(pooled, patches, tmp_path / "new" / "maps.nc", method, block=3, **options)
    expected = explain(pooled, patches, method, cache=False, **options)
    xr.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert dict(found.sizes) == dict(expected.sizes) and {*found.coords} == {*expected.coords}
    whole, again = (each["map"] if details else each for each in (expected, found))
    assert {key: np.asarray(value).tolist() for key, value in again.attrs.items()} == whole.attrs
    assert again.dtype == np.float32 and again["label"].dtype.kind == again["true"].dtype.kind == "U"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["maps.nc"]


@pytest.mark.parametrize("method", ["gradcam", "occlusion"])
def test_a_killed_run_goes_on_and_gives_the_same_file(method, network_of, patches_of, tmp_path):
    network, patches, (whole, stopped) = network_of(), patches_of(n=23), (tmp_path / f"{k}.nc" for k in "ab")
    save_network(network, tmp_path / "network.keras")
    explain_to_file(network, patches, whole, method, block=5, progress=False)
    command = [sys.executable, "-c", STOPPED, Path(__file__).parents[1], tmp_path / "network.keras", stopped, method]
    ran = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    part = tmp_path / "b.nc.part"
    assert part.is_file() and not stopped.exists()
    with xr.open_dataset(part, engine="h5netcdf") as begun:
        assert begun.attrs["done"] == [15]
        assert (begun["map"][15:] == 0).all() and (begun["map"][:15] != 0).any(("label", "time", "frequency")).all()
    explain_to_file(network, patches, stopped, method, block=5, progress=False)
    one, two = (xr.load_dataset(path, engine="h5netcdf") for path in (stopped, whole))
    xr.testing.assert_identical(one, two)  # to the last bit; the files also hold the time when they were begun
    assert stopped.stat().st_size == whole.stat().st_size and not part.exists()


@pytest.fixture
def counted(monkeypatch):
    """Numbers of patches that were explained."""
    made = []

    def counting(network, patches, *args, **options):
        made.append(len(patches))
        return explain(network, patches, *args, **options)

    monkeypatch.setattr(files, "explain", counting)
    return made


def test_only_its_own_part_is_gone_on_with(counted, network_of, patches_of, tmp_path):
    network, patches, path = network_of(), patches_of(n=6), tmp_path / "maps.nc"

    def stop(*_, **__):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        made = iter([explain, explain, stop])
        patch.setattr(files, "explain", lambda *args, **options: next(made)(*args, **options))
        explain_to_file(network, patches, path, block=2, progress=False)
    kept = (tmp_path / "maps.nc.part").read_bytes()
    for other in ({"method": "occlusion"}, {"upsample": "nearest"}, {"labels": ["class1"]}, {"network": 1}, {"p": 1}):
        (tmp_path / "maps.nc.part").write_bytes(kept)
        asked = network_of(seed=1) if other.pop("network", 0) else network
        given = patches_of(n=6, seed=1) if other.pop("p", 0) else patches
        with pytest.raises(ValueError, match=r"maps\.nc\.part holds other maps, which were stopped"):
            explain_to_file(asked, given, path, block=2, progress=False, **other)
        assert (tmp_path / "maps.nc.part").read_bytes() == kept and not counted
    explain_to_file(network, patches, path, block=2, progress=False)
    assert counted == [2]
    explain_to_file(network, patches, path, progress=False)
    assert counted == [2]  # a complete file is opened
    with pytest.raises(ValueError, match=r"maps.nc holds other maps"):
        explain_to_file(network, patches, path, "occlusion")
    (tmp_path / "maps.nc").write_bytes(b"a table of mine")
    with pytest.raises(ValueError, match=r"maps.nc holds other maps"):
        explain_to_file(network, patches, path)
    assert (tmp_path / "maps.nc").read_bytes() == b"a table of mine"


def test_files_in_a_folder_and_in_the_cache_have_names_of_their_own(
    counted, network_of, patches_of, tmp_path, own_cache
):
    network, patches, quiet = network_of(), patches_of(n=3), {"progress": False}
    asked = [{}, {"method": "saliency"}, {"labels": ["class1"]}]
    for path, folder in ((tmp_path, tmp_path), (None, own_cache / "map_files")):
        for again in (False, True):
            for other in asked:
                maps = explain_to_file(network, patches, path, **other, **quiet)
                expected = explain(network, patches, cache=False, **other, **quiet)
                np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-6)
                maps.close()
            assert sum(counted) == 9 * (1 + (path is None)) or again
            assert len(list(folder.glob("*.nc"))) == 3 == len({*folder.glob("*")})
    assert sum(counted) == 18


def test_blocks(counted, network_of, patches_of, tmp_path, monkeypatch):
    network, patches = network_of(), patches_of(n=40)
    explain_to_file(network, patches, tmp_path / "1.nc", progress=False)
    explain_to_file(network, patches, tmp_path / "2.nc", "occlusion", **OPTIONS["occlusion"], progress=False)
    monkeypatch.setattr(files, "BLOCK_BYTES", 20 * 2 * 37 * 23 * 4)
    explain_to_file(network, patches, tmp_path / "3.nc", labels=["class0", "class2"], progress=False)
    assert counted == [40, 16, 16, 8, 20, 20]
    with pytest.raises(ValueError, match="block=0: expected at least 1"):
        explain_to_file(network, patches, tmp_path / "4.nc", block=0)


def test_values_are_read_when_they_are_asked_for(network_of, patches_of, tmp_path):
    patches = patches_of(n=6)
    maps = explain_to_file(network_of(), patches, tmp_path / "maps.nc", progress=False)
    few = maps.sel(label="class1")[2:4]
    expected = few.values.copy()
    with xr.open_dataarray(tmp_path / "maps.nc", engine="h5netcdf") as later:
        np.testing.assert_array_equal(later.sel(label="class1")[2:4], expected)
    maps.close()
    np.testing.assert_array_equal(few, expected)  # read before
    (tmp_path / "maps.nc").unlink()
    with pytest.raises(FileNotFoundError):
        maps.sel(label="class2").load()  # not read before


def test_what_takes_maps_takes_those_of_a_file(network_of, patches_of, tmp_path):
    network, patches = network_of(), patches_of(n=6)
    maps = {
        method: explain_to_file(network, patches, tmp_path / f"{method}.nc", method, progress=False)
        for method in ("gradcam", "occlusion")
    }
    memory = {method: explain(network, patches, method, progress=False) for method in maps}
    labels = list(patches.label)
    tables = [map_agreement(each, labels) for each in (maps, memory)]
    np.testing.assert_allclose(*tables, rtol=1e-4)
    assert map_grid(patches[[1, 3]], maps, label="class2")[1, 2].get_title().startswith("Occlusion\nclass2")
    label_average(maps["occlusion"], "class1")


def test_superpixels_differ_in_number(network_of, patches_of, tmp_path):
    options = {"regions": "superpixels", "samples": 5, "progress": False, "block": 1}
    with pytest.raises(ValueError, match="superpixels are not of one number"):
        explain_to_file(network_of(), patches_of(n=12), tmp_path / "a.nc", "lime", details=True, **options)
    assert np.isfinite(explain_to_file(network_of(), patches_of(n=4), tmp_path / "b.nc", "lime", **options)).all()


def test_nothing_to_explain(network_of, patches_of, tmp_path):
    with pytest.raises(MissingDataError):
        explain_to_file(network_of(), patches_of()[[]], tmp_path / "maps.nc")
    with pytest.raises(TypeError, match="no option samples"):
        explain_to_file(network_of(), patches_of(), tmp_path / "maps.nc", samples=3)
    assert list(tmp_path.iterdir()) == []
