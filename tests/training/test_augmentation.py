"""Augmentation: what each change does to a batch, and what it leaves alone."""

import numpy as np
import pandas as pd
import pytest

from audiointerp.sound.frontend import FrontEnd
from audiointerp.sound.patches import Patches
from audiointerp.training.augmentation import Augmentation

STILL = Augmentation(crop=False, time_masks=0, frequency_masks=0, mixup=0)


@pytest.fixture
def segments(rng, toy, small):
    """Three clips of four neighbouring patches; each cell tells its clip, its frame in the clip and its band."""
    made = toy(12, per_clip=4)
    frame = np.arange(12)[:, None] % 4 * small.frames + np.arange(small.frames)
    data = made.clip[:, None, None] * 10_000.0 + frame[..., None] * 20 + np.arange(small.mels)
    table = made.table.assign(start=np.arange(12) % 4 * small.patch_seconds)
    return Patches(data.astype(np.float32), table, small)


@pytest.fixture
def targets(segments):
    return np.eye(2, dtype=np.float32)[(segments.label == "low").astype(int)]


ROWS = np.array([0, 3, 5, 11, 7, 2])


def test_nothing_switched_on_is_indexing(segments, targets, rng):
    inputs, chosen = STILL(segments, targets, ROWS, rng)
    np.testing.assert_array_equal(inputs, segments.data[ROWS][..., None])
    np.testing.assert_array_equal(chosen, targets[ROWS])


def test_crop_is_an_unbroken_stretch_of_the_same_clip(segments, targets, small):
    augmentation = Augmentation(time_masks=0, frequency_masks=0, mixup=0)
    starts = []
    for seed in range(60):
        inputs, chosen = augmentation(segments, targets, ROWS, np.random.default_rng(seed))
        np.testing.assert_array_equal(chosen, targets[ROWS])
        clip, inside = np.divmod(inputs[..., 0], 10_000)
        frame, band = np.divmod(inside, 20)
        assert (clip == segments.clip[ROWS][:, None, None]).all()
        assert (np.diff(frame, axis=1) == 1).all()
        assert (band == np.arange(small.mels)).all()
        starts.append(frame[:, 0, 0])
    starts = np.array(starts)
    first = ROWS % 4 * small.frames
    last_of_clip = ROWS % 4 == 3
    low, high = first - last_of_clip * small.frames, first + ~last_of_clip * small.frames
    assert (starts >= low).all() and (starts <= high).all()
    assert (np.ptp(starts, axis=0) > small.frames / 2).all()


def test_lonely_patch_is_left_as_it_is(segments, targets, rng):
    alone, own = segments[[1, 4, 10]], targets[[1, 4, 10]]
    inputs, _ = Augmentation(time_masks=0, frequency_masks=0, mixup=0)(alone, own, np.array([2, 0]), rng)
    np.testing.assert_array_equal(inputs[..., 0], alone.data[[2, 0]])


def test_gap_in_a_clip_is_not_bridged(segments, targets, rng):
    gapped, own = segments[[0, 2, 3]], targets[[0, 2, 3]]
    inputs, _ = Augmentation(time_masks=0, frequency_masks=0, mixup=0)(gapped, own, np.array([0]), rng)
    np.testing.assert_array_equal(inputs[0, ..., 0], gapped.data[0])


def test_crop_refuses_patches_that_overlap(toy, targets, rng):
    with pytest.raises(ValueError, match=r"overlap or are out of order.*overlap=0"):
        Augmentation()(toy(12, per_clip=4), targets, ROWS, rng)


@pytest.mark.parametrize(("kind", "axis"), [("time", 1), ("frequency", 2)])
def test_mask_fills_one_stretch_with_the_mean(segments, targets, kind, axis):
    options = {f"{kind}_masks": 1, f"{kind}_width": 0.25}
    augmentation = Augmentation(**{"crop": False, "time_masks": 0, "frequency_masks": 0, "mixup": 0} | options)
    length, widths = segments.data.shape[axis], []
    for seed in range(40):
        inputs, _ = augmentation(segments, targets, ROWS, np.random.default_rng(seed))
        for patch, before in zip(inputs[..., 0], segments.data[ROWS], strict=True):
            changed = patch != before
            lines = changed.any(axis=2 - axis)
            assert changed[np.broadcast_to(np.expand_dims(lines, 2 - axis), changed.shape)].all()
            np.testing.assert_allclose(patch[changed], before.mean(), rtol=1e-5)
            hit = np.flatnonzero(lines)
            assert len(hit) == 0 or np.ptp(hit) == len(hit) - 1
            widths.append(len(hit))
    assert min(widths) == 0
    assert max(widths) == length // 4


def test_two_masks_can_lie_apart(segments, targets):
    augmentation = Augmentation(crop=False, time_masks=2, time_width=0.1, frequency_masks=0, mixup=0)
    apart = 0
    for seed in range(20):
        inputs, _ = augmentation(segments, targets, ROWS, np.random.default_rng(seed))
        lines = (inputs[..., 0] != segments.data[ROWS]).any(axis=2)
        apart += (np.diff(lines.astype(int), axis=1, prepend=0, append=0) == 1).sum(axis=1).max() > 1
    assert apart > 5


def test_mixup_mixes_inputs_and_targets_alike(segments, targets, rng):
    inputs, chosen = Augmentation(crop=False, time_masks=0, frequency_masks=0, mixup=1.0)(segments, targets, ROWS, rng)
    np.testing.assert_allclose(chosen.sum(axis=1), 1, rtol=1e-5)
    found = 0
    for patch, target, row in zip(inputs[..., 0], chosen, ROWS, strict=True):
        fits = []
        for other in ROWS:
            apart = (segments.data[row] - segments.data[other]).astype(float)
            share = 1.0 if other == row else ((patch - segments.data[other]) / apart)[apart != 0].mean()
            mixed = share * segments.data[row] + (1 - share) * segments.data[other]
            same_patch = np.allclose(patch, mixed, rtol=1e-3, atol=0.5)
            fits.append(
                same_patch and np.allclose(target, share * targets[row] + (1 - share) * targets[other], atol=1e-2)
            )
        assert any(fits)
        found += not np.allclose(patch, segments.data[row])
    assert found >= 3


def test_patches_themselves_are_not_changed(segments, targets, rng):
    before, labels = segments.data.copy(), targets.copy()
    Augmentation()(segments, targets, ROWS, rng)
    np.testing.assert_array_equal(segments.data, before)
    np.testing.assert_array_equal(targets, labels)


def test_same_seed_same_batch(segments, targets):
    one, two, other = (Augmentation()(segments, targets, ROWS, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_array_equal(one[1], two[1])
    assert not np.array_equal(one[0], other[0])


@pytest.mark.parametrize("option", [{"time_width": 1.5}, {"frequency_width": -0.1}, {"mixup": -1}, {"time_masks": -1}])
def test_settings_out_of_range(option):
    with pytest.raises(ValueError, match=next(iter(option))):
        Augmentation(**option)


def test_frontends_of_any_shape(rng):
    frontend = FrontEnd(frames=20, mels=24)
    table = pd.DataFrame({"clip": [0, 0], "start": [0, frontend.patch_seconds], "label": ["a", "a"]})
    patches = Patches(rng.normal(size=(2, 20, 24)).astype(np.float32), table, frontend)
    inputs, chosen = Augmentation()(patches, np.ones((2, 1), np.float32), np.array([0, 1]), rng)
    assert inputs.shape == (2, 20, 24, 1) and inputs.dtype == np.float32 and chosen.dtype == np.float32
