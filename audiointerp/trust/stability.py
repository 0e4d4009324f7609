"""Stability: maps of patches that sound the same must look the same."""

from dataclasses import replace

import numpy as np
import pandas as pd

from .methods import answers_of, explain_each, explain_own, named_methods, own_labels, rank_correlation


def map_stability(
    network,
    patches,
    methods,
    *,
    labels=None,
    maps=None,
    shift=4,
    noise=0.1,
    precision="auto",
    seed=0,
    batch_size=None,
    cache=True,
    progress=True,
):
    """Rank correlation of maps with those of the same patches a little later, a little earlier and with faint noise.

    Maps of shifted patches are shifted back, and compared where both know the sound; the frames that a shift brings in
    are those of the border, mirrored. Only patches for which the network's answer stays are compared.

    Parameters
    ----------
    shift : int
        Frames.
    noise : float
        Standard deviation of what is added to every cell, in log-mel units: 0.1 is about 1 dB.
    seed : int
        For the noise, and methods that draw random numbers.

    The other parameters as for `parameter_randomization`.

    Returns
    -------
    pandas.DataFrame [methods * 3 * n]
        `method`, `change` ("later", "earlier" or "noise"), `patch`, `clip`, `label`, `same` (whether the answer stays),
        `rank_correlation` (Spearman's; NaN where it does not, or a map is the same everywhere).

    Raises
    ------
    ValueError
        If shift or noise are out of range or there are no methods.
    PatchShapeError, UnknownLabelError, MissingDataError

    References
    ----------
    Alvarez-Melis & Jaakkola, On the robustness of interpretability methods, 2018.
    """
    frames = patches.data.shape[1]
    if not 1 <= shift < frames / 2:
        raise ValueError(f"shift={shift!r}: expected 1 or more frames, and less than half of the patch's {frames}.")
    if not 0 < noise < np.inf:
        raise ValueError(f"noise={noise!r}: expected a number above 0, as 0.1.")
    methods = named_methods(methods)
    run = {"precision": precision, "batch_size": batch_size, "progress": progress}
    labels = own_labels(network, patches, labels, **run)
    padded = np.pad(patches.data, ((0, 0), (shift, shift), (0, 0)), mode="reflect")
    noisy = patches.data + np.random.default_rng(seed).normal(0, noise, patches.data.shape).astype(np.float32)
    # What is heard, and the frames of its map that show what the frames of the original's show.
    kept, start, end = slice(None), slice(None, -shift), slice(shift, None)
    changes = {"later": (padded[:, 2 * shift :], start, end), "earlier": (padded[:, : -2 * shift], end, start)}
    changes["noise"] = noisy, kept, kept
    answers = answers_of(network, patches.data, **run)
    explained = run | {"seed": seed, "cache": cache}
    whole = explain_each(network, patches, methods, labels, maps, **explained)
    tables = []
    for change, (data, own, original) in changes.items():
        changed = replace(patches, data=np.ascontiguousarray(data))
        same = answers_of(network, changed.data, **run) == answers
        for name, method in methods.items():
            new = np.full(patches.data.shape, np.nan, np.float32)
            if same.any():
                new[same] = explain_own(network, changed[same], *method, labels[same], **explained).values
            cells = (each.reshape(len(patches), -1) for each in (whole[name][:, original], new[:, own]))
            about = {"method": name, "change": change, "patch": patches.table.index, "clip": patches.clip}
            about |= {"label": labels, "same": same}
            tables.append(pd.DataFrame(about | {"rank_correlation": rank_correlation(*cells)}))
    return pd.concat(tables, ignore_index=True)
