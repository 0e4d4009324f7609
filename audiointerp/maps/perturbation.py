"""Patches with parts hidden, and what a network says of them."""

import numpy as np
from tqdm import tqdm


def perturbed_scores(forward, data, hidden, versions, fill, *, batch_size, progress, title):
    """Scores of many versions of each patch, parts of which are hidden.

    The versions are made batch by batch, across patches, so that memory stays bounded and batches stay full.

    Parameters
    ----------
    forward : callable
        From `forward_pass`.
    data : numpy.ndarray [n, frames, mels]
    hidden : callable
        From a patch's number and a slice of its versions to the cells that are hidden, bool (v, frames, mels).
    versions : int
        How many there are of each patch.
    fill : numpy.ndarray [n]
        What hidden cells of each patch become.
    batch_size : int
    progress : bool
    title : str
        In front of the progress bar.

    Returns
    -------
    numpy.ndarray [n, versions, classes], float32
    """
    total = len(data) * versions
    scores = []
    with tqdm(desc=title, total=total, unit="patch", delay=2, leave=False, disable=not progress) as bar:
        for start in range(0, total, batch_size):
            stop = min(start + batch_size, total)
            batch = np.concatenate(
                [
                    np.where(hidden(patch, slice(max(0, start - first), stop - first)), fill[patch], data[patch])
                    for patch in range(start // versions, (stop - 1) // versions + 1)
                    for first in [patch * versions]
                ]
            )
            scores.append(forward(batch))
            bar.update(len(batch))
    return np.concatenate(scores).reshape(len(data), versions, -1)


def fill_values(patches, fill):
    """What hidden cells of each patch become: its mean, silence, or a given log-mel value.

    Parameters
    ----------
    patches : Patches [n]
    fill : {"mean", "silence"} or float

    Returns
    -------
    numpy.ndarray [n], float32
    """
    if fill == "mean":
        return patches.data.mean(axis=(1, 2), dtype=np.float64).astype(np.float32)
    if fill == "silence":
        return np.full(len(patches), np.log(patches.frontend.log_offset), np.float32)
    if isinstance(fill, (int, float, np.number)) and np.isfinite(fill):
        return np.full(len(patches), fill, np.float32)
    raise ValueError(f"fill={fill!r}: expected 'mean', 'silence' or a finite log-mel value.")
