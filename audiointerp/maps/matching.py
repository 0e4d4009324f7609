"""Which maps belong to which patches."""

import xarray as xr


def matching(maps, patches, name):
    """The maps of these patches, in their order, by the coordinate `patch` and the index of ``patches.table``."""
    if not isinstance(maps, xr.DataArray):
        raise TypeError(f"maps of {name}: found {type(maps).__name__}, expected an xarray.DataArray as from explain().")
    index, there = patches.table.index, maps.indexes.get("patch")
    if (there is None and maps.sizes["patch"] == len(patches)) or (there is not None and there.equals(index)):
        return maps
    if there is None or not there.is_unique or not index.isin(there).all():
        raise ValueError(
            f"{maps.sizes['patch']} maps of {name} are not those of these {len(index)} patches: they are matched by "
            "the coordinate 'patch' and the index of patches.table. Pass the maps that explain() gave for them."
        )
    return maps.sel(patch=index.to_numpy())
