"""Numbers a clip as an array that knows its clips: what layer features are, computed or published."""

import numpy as np
import xarray as xr

from .esc import ESC50_GROUPS


def as_features(values, clips, name):
    """One layer's values [clips, neurons] as a DataArray [clip, neuron] with all that the table knows of its clips.

    `group` is ESC-50's where all labels are among its categories, otherwise the label.
    """
    along = {column: clips[column].to_numpy() for column in ("label", "fold", "source", "path") if column in clips}
    if "label" in along:
        grouped = set(along["label"]) <= set(ESC50_GROUPS)
        along["group"] = np.array([ESC50_GROUPS[x] if grouped else x for x in along["label"]], dtype=object)
    coordinates = {key: ("clip", np.asarray(column, dtype=object if column.dtype.kind not in "if" else None))
                   for key, column in along.items()}  # fmt: skip
    coordinates |= {"clip": clips.index.to_numpy(), "neuron": np.arange(values.shape[1])}
    return xr.DataArray(values, coordinates, ("clip", "neuron"), name)
