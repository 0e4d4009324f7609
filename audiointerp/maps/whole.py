"""Maps of whole clips, from those of their patches."""

import numpy as np
import xarray as xr

from ..errors import PatchShapeError
from ..sound.whole import joined, whole_clip
from .matching import matching


def whole_clip_maps(maps, patches):
    """Maps of a whole clip: those of its patches, averaged where they overlap.

    Parameters
    ----------
    maps : xarray.DataArray [n, label, time, frequency]
        From `explain`, of these patches or more.
    patches : Patches [n]
        Of one clip.

    Returns
    -------
    xarray.DataArray [1, label, time (s), frequency (Hz)]
        Of the patch that `sound.whole.whole_clip` gives; its time is counted from the first patch.

    Raises
    ------
    MissingDataError
        If the patches are not of one clip.
    PatchShapeError
        If the maps are coarser than the patches.

    Examples
    --------
    >>> own = patches[patches.clip == 3]  # doctest: +SKIP
    >>> whole_clip_maps(explain(network, own, "occlusion"), own).sel(label="dog")  # doctest: +SKIP
    """
    whole, maps = whole_clip(patches), matching(maps, patches, getattr(maps, "attrs", {}).get("method", "map"))
    if "label" not in maps.dims:
        raise PatchShapeError(f"maps of {maps.dims}: expected the dimension label too, as in maps.sel(label=['dog']).")
    maps = maps.transpose("patch", "label", "time", "frequency")
    if maps.shape[2:] != patches.data.shape[1:]:
        raise PatchShapeError(f"maps of {maps.shape[2:]} cells, patches of {patches.data.shape[1:]}: expected as many.")
    values = joined(maps.transpose("patch", "time", "label", "frequency").values, patches.start, patches.frontend)
    coords = {"patch": whole.table.index.to_numpy(), "label": maps["label"].values}
    coords["time"] = ("time", whole.time, {"units": "s"})
    coords["frequency"] = ("frequency", whole.frequency, {"units": "Hz"})
    for name, column in (("clip", "clip"), ("start", "start"), ("true", "label")):
        if column in whole.table:
            known = whole.table[column].to_numpy()
            coords[name] = ("patch", known.astype(str) if name == "true" else known)
    data = np.moveaxis(values, 1, 0)[None].astype(np.float32)
    return xr.DataArray(data, coords, ("patch", "label", "time", "frequency"), name="map", attrs=maps.attrs)
