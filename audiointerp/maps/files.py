"""Maps of more patches than memory holds: written to a file as they come, gone on with after a stop, read lazily."""

import os
from pathlib import Path

import joblib
import numpy as np
from tqdm import tqdm

from ..networks.head import check_kinds, labels_of
from ..storage.fingerprints import fingerprint_or_warn
from ..storage.folders import cache_folder
from .arrays import label_coords
from .methods import explain, maps_key, method_call

BLOCK, BLOCK_SLOW = 256, 16  # patches at a time, by gradients and by methods of many forward passes a patch
SLOW = ("integrated_gradients", "lime", "occlusion", "rise", "scorecam")
BLOCK_BYTES = 128e6  # of the maps of a block


def explain_to_file(
    network, patches, path=None, method="gradcam", *, details=False, block=None, progress=True, **options
):
    """Maps of any number of patches in one netCDF file, which is written as they come and read as it is needed.

    Until it is complete the file has the ending ``.part``; a run that was stopped goes on from there when it is called
    again, and a complete file is opened as it is. Blocks of patches are explained one after another; inside
    ``joblib.parallel_config(backend="dask")`` the workers of a cluster share them, and this process writes.

    Parameters
    ----------
    network : keras.Model [(n, frames, mels, 1) -> (n, classes)]
    patches : Patches [n]
    path : str or Path, optional
        Of the file, such as ``maps.nc``, or a folder: then other maps have another name in it. In the cache by default.
    method : str
        One of `METHODS`.
    details : bool
        Write what the method knows more beside `map`.
    block : int, optional
        Patches explained and written at a time: what a stopped run loses at most. By default 256, or 16 with methods of
        many forward passes; fewer if their maps would take more than 128 MB.
    progress : bool
        Show a bar, with the time that is left, when it takes longer than two seconds.
    **options
        As for `explain`: `labels`, `upsample`, `precision`, `seed`, `batch_size` and the method's own.

    Returns
    -------
    xarray.DataArray [patch, label, time (s), frequency (Hz)], float32
        As from `explain`, read from the file when values are asked for: ``maps.sel(label="dog")[5:8]`` reads three
        maps. With ``details=True`` an xarray.Dataset. Later ``xr.open_dataarray(path)`` opens it without the network.

    Raises
    ------
    ValueError
        If the file holds other maps, or as `explain`.
    TypeError, PatchShapeError, UnknownLabelError, MissingDataError
        As `explain`.
    OSError
        If the disk is full or the folder cannot be written to; what is there is gone on with later.

    See Also
    --------
    explain : The same for as many patches as memory holds.

    Examples
    --------
    >>> maps = explain_to_file(network, validation, "occlusion.nc", "occlusion")  # doctest: +SKIP
    >>> with joblib.parallel_config(backend="dask"):  # doctest: +SKIP
    ...     maps = explain_to_file(network, patches, "lime.nc", "lime")
    """
    options = {"details": details} | options
    function, chosen = method_call(method, options)
    check_kinds(network, patches)
    key = fingerprint_or_warn([method, maps_key(network, patches, function, chosen)])
    path = cache_folder("map_files") if path is None else Path(path).expanduser()
    if path.is_dir():
        if key is None:
            raise ValueError(f"these maps have no name of their own. Name a file, such as {path / 'maps.nc'}.")
        path = path / f"{method}-{key[:16]}.nc"
    if path.is_file():
        if key is None:
            raise ValueError(f"{path} is there, and whether it holds these maps cannot be told. Choose another path.")
        if _state(path)[0] != key:
            raise ValueError(f"{path} holds other maps or something else. Choose another path, or delete it.")
        return _opened(path, details)
    part = path.with_name(path.name + ".part")
    found, done = _state(part)
    if found is not None and found != key:
        raise ValueError(f"{part} holds other maps, which were stopped. Choose another path, or delete it.")
    done = done if found == key else 0

    size = _block_size(network, patches, method, block, options.get("labels"))
    starts = range(done, max(len(patches), 1), size)
    task = joblib.delayed(_explained)
    tasks = (task(network, patches[start : start + size], method, options) for start in starts)
    bar = {"total": len(patches), "initial": done, "unit": "patch", "delay": 2, "disable": not progress}
    with tqdm(desc=method, **bar) as bar:
        for start, maps in zip(starts, joblib.Parallel(return_as="generator")(tasks), strict=True):
            if start == 0:
                _begin(part, key, maps, patches)
            _append(part, start, maps)
            bar.update(maps.sizes["patch"])
    os.replace(part, path)
    return _opened(path, details)


def _explained(network, patches, method, options):
    """Maps of one block, as a Dataset; here or in a worker of a cluster."""
    maps = explain(network, patches, method, progress=False, cache=False, **options)
    return maps if options["details"] else maps.to_dataset()


def _block_size(network, patches, method, block, labels):
    if block is not None:
        if block < 1:
            raise ValueError(f"block={block}: expected at least 1 patch, or None to have it chosen.")
        return int(block)
    count = len(labels_of(network)) if labels is None else 1 if isinstance(labels, str) else len(labels)
    a_patch = 4 * max(count, 1) * np.prod(patches.data.shape[1:])
    return int(np.clip(BLOCK_BYTES // a_patch, 1, BLOCK_SLOW if method in SLOW else BLOCK))


def _state(path):
    """Key of the maps in a file, and how many patches are done; None and 0 if it is none of ours."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return str(file.attrs["key"]), int(file.attrs["done"][0])
    except (OSError, KeyError, IndexError, TypeError):
        return None, 0


def _begin(path, key, first, patches):
    """Write a file with room for all patches; its shape does not change again, so that a stop cannot spoil it."""
    import h5netcdf

    path.parent.mkdir(parents=True, exist_ok=True)
    whole = first.drop_dims("patch").assign_coords(label_coords(patches, first["label"].to_numpy()))
    whole.attrs = {"key": key or "", "done": np.array([0])}
    whole.to_netcdf(path, engine="h5netcdf")
    with h5netcdf.File(path, "a") as file:
        for name, values in first.data_vars.items():
            if "patch" in values.dims:
                for dim in set(values.dims) - set(file.dimensions):
                    file.dimensions[dim] = values.sizes[dim]
                beside = " ".join(each for each in values.coords if each not in values.dims)
                room = file.create_variable(name, values.dims, values.dtype)
                room.attrs.update(values.attrs | ({"coordinates": beside} if beside else {}))


def _append(path, start, maps):
    """Write the values of a block, then say that they are there."""
    import h5py

    with h5py.File(path, "r+") as file:
        for name, values in maps.data_vars.items():
            if "patch" in values.dims:
                values, room = values.transpose("patch", ...).to_numpy(), file[name]
                if values.shape[1:] != room.shape[1:]:
                    raise ValueError(
                        f"{name} of patches from {start} on has {values.shape[1:]} values a patch, of those before "
                        f"{room.shape[1:]}: superpixels are not of one number. Leave out details=True."
                    )
                room[start : start + len(values)] = values
        file.flush()
        file.attrs.modify("done", np.array([start + maps.sizes["patch"]]))  # in its place


def _opened(path, details):
    import xarray as xr

    file = xr.open_dataset(path, engine="h5netcdf")
    texts = {name: each.astype(str) for name, each in file.coords.items() if each.dtype.kind == "O"}
    found = file.assign_coords(texts)
    found = found if details else found["map"]
    found.set_close(file.close)
    return found
