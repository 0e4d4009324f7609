"""Which maps belong to which patches."""

import numpy as np
import xarray as xr


def matching(maps, patches, name):
    """The maps of these patches, in their order, by the coordinate `patch` and the index of ``patches.table``.

    Clip and start must be the same wherever both sides know them: another set of patches is numbered from 0 too.
    """
    if not isinstance(maps, xr.DataArray) or "patch" not in maps.dims:
        found = f"the dimensions {maps.dims}" if isinstance(maps, xr.DataArray) else type(maps).__name__
        raise TypeError(
            f"maps of {name}: found {found}, expected an xarray.DataArray with the dimension patch, as from explain(). "
            "Select one with a list, as in maps[[0]]."
        )
    index, there = patches.table.index, maps.indexes.get("patch")
    if (there is None and maps.sizes["patch"] == len(patches)) or (there is not None and there.equals(index)):
        found = maps
    elif there is not None and there.is_unique and index.isin(there).all():
        found = maps.sel(patch=index.to_numpy())
    else:
        found = None
    if found is None or not _of_the_same_sounds(found, patches.table):
        raise ValueError(
            f"{maps.sizes['patch']} maps of {name} are not those of these {len(index)} patches: they are matched by "
            "the coordinate 'patch' and the index of patches.table, and must be of the same clips and starts. Pass the "
            "maps that explain() gave for them."
        )
    return found


def _of_the_same_sounds(maps, table):
    """Whether clip and start of each patch are the same wherever both sides know them."""
    for name in ("clip", "start"):
        if name in table and name in maps.coords and maps[name].dims == ("patch",):
            own, other = table[name].to_numpy(), maps[name].to_numpy()
            same = np.allclose(own, other, atol=1e-6) if name == "start" else [*map(str, own)] == [*map(str, other)]
            if not same:
                return False
    return True
