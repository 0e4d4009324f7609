"""Augmentation: patches changed at random while a network trains, so that it cannot learn them by heart."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Augmentation:
    """What is done to each patch of a training batch.

    Parameters
    ----------
    crop : bool
        Take a stretch of the clip that begins at random, up to one patch later, in place of the patch. Where the clip
        has no next patch to go on with, the stretch begins earlier instead.
    time_masks, frequency_masks : int
        Stretches of time and bands of frequency that are filled with the patch's mean (SpecAugment).
    time_width, frequency_width : float
        Longest stretch and widest band, as a share of the patch.
    mixup : float
        Each patch becomes λ times itself plus 1 − λ times another one of the batch, its label likewise; λ is drawn
        from Beta(mixup, mixup). 0 mixes nothing.

    References
    ----------
    Park et al., SpecAugment, Interspeech 2019; Zhang et al., mixup, ICLR 2018.
    """

    crop: bool = True
    time_masks: int = 1
    frequency_masks: int = 1
    time_width: float = 0.25
    frequency_width: float = 0.2
    mixup: float = 0.2

    def __post_init__(self):
        for name in ("time_width", "frequency_width"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)}: expected a share of the patch, from 0 to 1.")
        for name in ("time_masks", "frequency_masks", "mixup"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(f"{name}={getattr(self, name)}: expected a number from 0.")

    def __call__(self, patches, targets, rows, rng):
        """Inputs [batch, frames, mels, 1] and targets [batch, classes], float32, of one batch: the patches in `rows`.

        All patches that are trained on are given, for `crop` not overlapping and in the order of their clips, and their
        targets [n, classes], distributions over the classes.
        """
        data = self._cropped(patches, rows, rng) if self.crop else np.array(patches.data[rows])
        means = data.mean(axis=(1, 2))
        for axis, masks, width in (
            (1, self.time_masks, self.time_width),
            (2, self.frequency_masks, self.frequency_width),
        ):
            for _ in range(masks):
                _mask(data, axis, width, means, rng)
        chosen = np.asarray(targets[rows], np.float32)
        if self.mixup:
            share = rng.beta(self.mixup, self.mixup, len(rows)).astype(np.float32)
            other = rng.permutation(len(rows))
            data = share[:, None, None] * data + (1 - share)[:, None, None] * data[other]
            chosen = share[:, None] * chosen + (1 - share)[:, None] * chosen[other]
        return data[..., None], chosen

    def _cropped(self, patches, rows, rng):
        frames = patches.data.shape[1]
        goes_on = np.append(_adjoins(patches), False)  # whether the next patch takes up where this one ends
        first = np.where(goes_on[rows], rows, np.where(goes_on[rows - 1], rows - 1, rows))
        second = first + goes_on[first]
        offset = np.where(second > first, rng.integers(0, frames + 1, len(rows)), 0)
        long = np.concatenate([patches.data[first], patches.data[second]], axis=1)
        return long[np.arange(len(rows))[:, None], offset[:, None] + np.arange(frames)]


def _adjoins(patches):
    """Whether each patch but the last is followed by the next stretch of its clip, shape (n - 1,)."""
    apart = np.diff(patches.start) / patches.frontend.patch_seconds
    same = patches.clip[1:] == patches.clip[:-1]
    if (same & (apart < 0.99)).any():
        raise ValueError(
            "patches of a clip overlap or are out of order: crop=True joins neighbours to one stretch. Make them with "
            "make_patches(..., overlap=0), or augment with crop=False."
        )
    return same & (apart < 1.01)


def _mask(data, axis, share, means, rng):
    """Fill a stretch of each patch along an axis with the patch's mean, in place."""
    length = data.shape[axis]
    width = rng.integers(0, int(share * length) + 1, len(data))
    start = rng.integers(0, length - width + 1)
    position = np.arange(length)
    hidden = (position >= start[:, None]) & (position < (start + width)[:, None])
    hidden = np.expand_dims(hidden, 3 - axis)
    np.copyto(data, means[:, None, None], where=hidden)
