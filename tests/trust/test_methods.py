"""Methods by name, the maps of one class a patch, and rank correlation."""

import numpy as np
import pytest
from scipy import stats

from audiointerp.errors import UnknownLabelError
from audiointerp.maps.methods import explain
from audiointerp.trust.methods import explain_own, named_methods, own_labels, rank_correlation


def test_methods_are_named_after_their_options():
    named = named_methods(["gradcam", ("occlusion", {"fill": "silence", "score": "logit"}), ("lime", {})])
    assert list(named) == ["gradcam", "occlusion (fill=silence, score=logit)", "lime"]
    assert named["occlusion (fill=silence, score=logit)"] == ("occlusion", {"fill": "silence", "score": "logit"})
    with pytest.raises(ValueError, match="methods is empty"):
        named_methods([])


def test_labels_are_the_predicted_ones_or_those_given(network_of, patches_of):
    network, patches = network_of(), patches_of(n=5)
    scores = np.asarray(network(patches.data[..., None]))
    assert own_labels(network, patches, progress=False).tolist() == [f"class{i}" for i in scores.argmax(axis=1)]
    assert own_labels(network, patches, "class1").tolist() == ["class1"] * 5
    with pytest.raises(UnknownLabelError, match="'cat'"):
        own_labels(network, patches, ["class1"] * 4 + ["cat"])
    with pytest.raises(ValueError, match="2 labels for 5 patches"):
        own_labels(network, patches, ["class1"] * 2)


def test_maps_of_each_patch_are_those_of_its_class(network_of, patches_of, monkeypatch):
    monkeypatch.setattr("audiointerp.trust.methods.CHUNK", 2)
    network, patches = network_of(), patches_of(n=5)
    labels = ["class2", "class0", "class2", "class2", "class0"]
    options = {"mask": (10, 5), "stride": (9, 4)}
    own = explain_own(network, patches, "occlusion", options, labels, progress=False)
    every = explain(network, patches, "occlusion", **options, progress=False)
    for row, label in enumerate(labels):
        np.testing.assert_allclose(own[row], every[row].sel(label=label), atol=1e-6)
    assert own["patch"].values.tolist() == patches.table.index.tolist()


def test_rank_correlation_is_scipys(rng):
    one, two = rng.integers(0, 9, (2, 4, 60)).astype(float)
    one[2] = 3
    two[3, 5] = np.nan
    found = rank_correlation(one, two)
    assert found[:2] == pytest.approx([stats.spearmanr(a, b).statistic for a, b in zip(one[:2], two[:2], strict=True)])
    assert np.isnan(found[2:]).all()
