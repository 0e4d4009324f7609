"""Patches with parts hidden, and what a network says of them."""

import numpy as np

from ..networks.running import scores_of


class Versions:
    """Versions of each patch with parts hidden, made when they are asked for, so that memory stays bounded.

    `hidden` takes a patch's number and a slice of its `count` versions and gives the cells that are hidden, bool
    (v, frames, mels); they become the patch's number in `fill`. Numbers from 0 to 1 say how far each is hidden.
    """

    def __init__(self, data, hidden, count, fill):
        self.data, self.hidden, self.count, self.fill = data, hidden, count, fill

    def __len__(self):
        return len(self.data) * self.count

    def __getitem__(self, rows):
        """Those in a slice, counted patch by patch [rows, frames, mels]; batches of them go across patches."""
        start, stop, _ = rows.indices(len(self))
        parts = []
        for patch in range(start // self.count, (stop - 1) // self.count + 1):
            first = patch * self.count
            hidden = self.hidden(patch, slice(max(0, start - first), stop - first))
            fill, data = self.fill[patch], self.data[patch]
            parts.append(np.where(hidden, fill, data) if hidden.dtype == bool else data + hidden * (fill - data))
        return np.concatenate(parts)


def perturbed_scores(network, patches, hidden, count, fill, **options):
    """Scores [n, count, classes] of `count` versions of each patch with parts hidden; options of `scores_of`."""
    versions = Versions(patches.data, hidden, count, fill_values(patches, fill))
    return scores_of(network, versions, **options).reshape(len(patches), count, -1)


def fill_values(patches, fill):
    """What hidden cells of each patch become [n]: "mean", its own; "silence"; or a given log-mel value."""
    if fill == "mean":
        return patches.data.mean(axis=(1, 2), dtype=np.float64).astype(np.float32)
    if fill == "silence":
        return np.full(len(patches), np.log(patches.frontend.log_offset), np.float32)
    if isinstance(fill, (int, float, np.number)) and np.isfinite(fill):
        return np.full(len(patches), fill, np.float32)
    raise ValueError(f"fill={fill!r}: expected 'mean', 'silence' or a finite log-mel value.")
