import numpy as np
import pandas as pd
import pytest

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


def test_patches_of_a_clip_are_the_clip_again(clip):
    whole, patches = clip
    joined = whole_clip(patches[patches.clip == 5][[2, 0, 1]])
    np.testing.assert_allclose(joined.data[0], whole, atol=1e-6)
    assert joined.frontend.frames == 14 and joined.table.index.tolist() == [5] and joined.table["start"].item() == 0
    np.testing.assert_allclose(joined.time, SMALL.frame_times(14))
    later = whole_clip(patches[[2]])
    assert later.start.item() == pytest.approx(6 * HOP) and len(later.data[0]) == 8


def test_gaps_are_silence_and_a_sound_is_silent_only_if_all_of_it_is(clip):
    _, patches = clip
    far = patches[[0, 2]].table.assign(start=[0.0, 20 * HOP], clip="x", silent=[True, False])
    whole = whole_clip(Patches(patches.data[[0, 2]], far, SMALL))
    np.testing.assert_allclose(whole.data[0, 8:20], np.log(SMALL.log_offset), rtol=1e-6)
    assert not whole.silent.item() and whole.table.index.tolist() == ["x"]
    assert whole_clip(Patches(patches.data[[0, 2]], far.assign(silent=True), SMALL)).silent.item()
