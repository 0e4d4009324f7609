import numpy as np
import pandas as pd
import pytest

from audiointerp.errors import MissingDataError, PatchShapeError
from audiointerp.maps import explain, whole_clip_maps
from audiointerp.plots import map_grid
from audiointerp.sound.frontend import FrontEnd
from audiointerp.sound.patches import Patches
from audiointerp.sound.whole import whole_clip

SMALL = FrontEnd(frames=8, mels=6)
HOP = SMALL.hop / SMALL.sample_rate


@pytest.fixture
def clip(rng):
    """Log-mel of 14 frames, cut into patches of 8 with a hop of 3; a patch of another clip behind."""
    whole = rng.normal(size=(14, 6)).astype(np.float32)
    data = np.stack([whole[0:8], whole[3:11], whole[6:14], whole[1:9]])
    start = np.array([0, 3, 6, 1]) * HOP
    table = pd.DataFrame({"clip": [5, 5, 5, 6], "start": start, "label": "dog"}, index=[20, 21, 22, 23])
    return whole, Patches(data, table, SMALL)


def test_maps_are_averaged_where_patches_overlap(clip, linear_of, rng):
    _, patches = clip
    own = patches[patches.clip == 5]
    maps = explain(linear_of(rng.normal(size=(8, 6, 2)).astype(np.float32)), patches, "saliency", progress=False)
    maps = maps.copy(data=rng.normal(size=maps.shape).astype(np.float32))
    found = whole_clip_maps(maps, own)
    assert found.dims == ("patch", "label", "time", "frequency") and found.shape == (1, 2, 14, 6)
    by_hand = {0: [(0, 0)], 4: [(0, 4), (1, 1)], 7: [(0, 7), (1, 4), (2, 1)], 10: [(1, 7), (2, 4)], 13: [(2, 7)]}
    for frame, parts in by_hand.items():
        expected = np.mean([maps.values[patch, :, row] for patch, row in parts], axis=0)
        np.testing.assert_allclose(found.values[0, :, frame], expected, atol=1e-6)
    assert found["true"].item() == "dog" and found["clip"].item() == 5
    map_grid(whole_clip(own), found, label="class1")  # drawn as any other


def test_errors(clip, linear_of, rng):
    _, patches = clip
    maps = explain(linear_of(rng.normal(size=(8, 6, 2)).astype(np.float32)), patches, "saliency", progress=False)
    for some in (patches, patches[[]]):
        with pytest.raises(MissingDataError, match=f"patches of {2 if len(some) else 0} clips: expected those of one"):
            whole_clip(some)
    with pytest.raises(PatchShapeError, match="expected as many"):
        whole_clip_maps(maps.isel(time=slice(0, 4)), patches[:3])
