"""Stability of maps that are known by hand: hidden cell by cell, a linear network's map is weight times value."""

import numpy as np
import pytest
from scipy import stats

from audiointerp.trust.stability import map_stability

CELLS = ("occlusion", {"mask": (1, 1), "stride": (1, 1), "fill": 0.0, "score": "logit"})


def test_a_network_that_is_the_same_at_all_times_gives_shifted_maps(linear_of, patches_of, rng):
    weights = np.tile(rng.normal(size=(1, 6, 2)), (20, 1, 1)).astype(np.float32)
    table = map_stability(linear_of(weights), patches_of((20, 6)), [CELLS], shift=3, progress=False)
    shifted = table[table["change"] != "noise"].dropna()
    assert set(shifted["change"]) == {"later", "earlier"}
    np.testing.assert_allclose(shifted["rank_correlation"], 1, atol=1e-3)


def test_correlations_by_hand(linear_of, patches_of, rng):
    weights = rng.normal(size=(20, 6, 2)).astype(np.float32)
    patches = patches_of((20, 6))
    table = map_stability(linear_of(weights), patches, [CELLS], shift=3, noise=0.5, seed=3, progress=False)
    assert table.groupby("change").size().to_dict() == {"earlier": 3, "later": 3, "noise": 3}
    noisy = patches.data + np.random.default_rng(3).normal(0, 0.5, patches.data.shape)
    logits = {name: np.einsum("ntm,tmc->nc", data, weights) for name, data in (("", patches.data), ("noise", noisy))}
    answers = {name: values.argmax(axis=1) for name, values in logits.items()}
    for row, data in enumerate(patches.data):
        w = weights[..., answers[""][row]]
        pairs = {"later": (w[3:] * data[3:], w[:-3] * data[3:]), "earlier": (w[:-3] * data[:-3], w[3:] * data[:-3])}
        pairs["noise"] = w * data, w * noisy[row]
        found = table[table["patch"] == patches.table.index[row]].set_index("change")
        assert found.loc["noise", "same"] == (answers["noise"][row] == answers[""][row])
        for change, (one, two) in pairs.items():
            if found.loc[change, "same"]:
                expected = stats.spearmanr(one.ravel(), two.ravel()).statistic
                assert found.loc[change, "rank_correlation"] == pytest.approx(expected, abs=1e-3), change
    assert table["same"].any()


def test_patches_whose_answer_changes_are_not_compared(linear_of, patches_of, with_cells):
    """The class is decided by one cell of 0.05, which noise of 1 turns over in about half of the patches."""
    weights = np.zeros((20, 6, 2), np.float32)
    weights[10, 3] = -1, 1
    patches = with_cells(patches_of((20, 6), 40), np.s_[:, 10, 3], 0.05)
    table = map_stability(linear_of(weights), patches, [CELLS], noise=1.0, progress=False)
    noise = table[table["change"] == "noise"]
    assert 5 < noise["same"].sum() < 38
    assert noise.loc[~noise["same"], "rank_correlation"].isna().all()
    assert noise.loc[noise["same"], "rank_correlation"].notna().all()


def test_what_is_out_of_range_is_said(network_of, patches_of):
    for option, match in (({"shift": 0}, "shift=0"), ({"shift": 19}, "patch's 37"), ({"noise": 0}, "noise=0")):
        with pytest.raises(ValueError, match=match):
            map_stability(network_of(), patches_of(), ["gradcam"], **option)
