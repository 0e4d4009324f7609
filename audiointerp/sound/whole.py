"""Patches of one clip joined to the clip they were cut from."""

from dataclasses import replace

import numpy as np
import pandas as pd

from ..errors import MissingDataError
from .patches import Patches


def joined(parts, start, frontend, empty=0.0):
    """What patches of one clip say frame by frame, averaged where they overlap.

    Parameters
    ----------
    parts : sequence of array_like [frames, ...]
        One a patch.
    start : array_like [n]
        In seconds.
    frontend : FrontEnd
    empty : float
        What stands where no patch is.

    Returns
    -------
    numpy.ndarray [frames, ...], float64
        From the first start on.
    """
    start = np.asarray(start)
    first = np.round((start - start.min()) * frontend.sample_rate / frontend.hop).astype(int)
    total = np.zeros((first.max() + len(parts[0]), *np.shape(parts[0])[1:]))
    count = np.zeros((len(total), *(1,) * (total.ndim - 1)))
    for row, part in zip(first, parts, strict=True):
        total[row : row + len(part)] += part
        count[row : row + len(part)] += 1
    return np.where(count > 0, total / np.maximum(count, 1), empty)


def whole_clip(patches):
    """The patches of one clip as a single one as long as they are together.

    Parameters
    ----------
    patches : Patches [n]
        Of one clip.

    Returns
    -------
    Patches [1]
        With a front end of so many frames, silence where no patch is; `start` is that of the first, `silent` whether
        all are, and its index is the clip's number.

    Raises
    ------
    MissingDataError
        If there is no patch, or they are of several clips.

    See Also
    --------
    audiointerp.maps.whole_clip_maps : their maps, likewise.
    """
    if len(clips := pd.unique(patches.clip)) != 1:
        raise MissingDataError(f"patches of {len(clips)} clips: expected those of one, patches[patches.clip == 3].")
    silence = np.log(patches.frontend.log_offset)
    data = joined(patches.data, patches.start, patches.frontend, silence).astype(np.float32)
    table = patches.table.sort_values("start").head(1).set_axis(clips)
    if "silent" in table:
        table = table.assign(silent=patches.silent.all())
    return Patches(data[None], table, replace(patches.frontend, frames=len(data)))
