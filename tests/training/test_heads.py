"""Heads against scikit-learn's logistic regression, on problems of known answers."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from audiointerp.training import heads
from audiointerp.training.heads import fit_head


def recordings(rng, classes=3, per_class=8, patches=5, features=12, apart=1.0):
    """Embeddings whose classes lie apart, with an offset of each recording's own."""
    centres = rng.normal(0, apart, (classes, features))
    number = np.repeat(np.arange(classes * per_class), patches)
    own = rng.normal(0, 0.7, (classes * per_class, features))[number]
    targets = number // per_class
    data = centres[targets] + own + rng.normal(0, 0.3, (len(number), features))
    return (data * np.geomspace(0.01, 100, features) + 3).astype(np.float32), targets, number.astype(str)


@pytest.fixture
def one(rng):
    return recordings(rng)


def probabilities(kernel, bias, data):
    logits = data.astype(np.float64) @ kernel + bias
    scores = np.exp(logits - logits.max(axis=1, keepdims=True))
    return scores / scores.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_the_result_is_scikit_learn_s(rng, classes, monkeypatch):
    monkeypatch.setattr(heads, "TOLERANCE", 1e-6)
    data, targets, groups = recordings(rng, classes)
    kernel, bias, _, strength = fit_head((data, targets), (data, targets), classes, groups, progress=False)
    scaler = StandardScaler().fit(data)
    # For two classes scikit-learn has one vector, whose penalty is twice that of the two opposite halves of it.
    theirs = LogisticRegression(C=strength * (2 if classes == 2 else 1), tol=1e-6, max_iter=5000)
    theirs.fit(scaler.transform(data.astype(np.float64)), targets)
    expected = theirs.predict_proba(scaler.transform(data.astype(np.float64)))
    np.testing.assert_allclose(probabilities(kernel, bias, data), expected, atol=2e-3)
    assert kernel.dtype == bias.dtype == np.float32 and kernel.shape == (12, classes)


def test_the_history_is_what_the_weights_give(rng, one):
    data, targets, groups = one
    other, answers, _ = recordings(np.random.default_rng(5))
    kernel, bias, history, _ = fit_head((data, targets), (other, answers), 3, groups, validate_every=4, progress=False)
    last = history.iloc[-1]
    for name, x, y in (("batch", data, targets), ("validation", other, answers)):
        scores = probabilities(kernel, bias, x)
        assert last[f"{name}_loss"] == pytest.approx(-np.log(scores[np.arange(len(x)), y]).mean(), rel=1e-3)
        assert last[f"{name}_accuracy"] == (scores.argmax(axis=1) == y).mean()
    assert history["iteration"].tolist() == history["epoch"].tolist() == list(range(1, len(history) + 1))
    checked = np.flatnonzero(history["validation_loss"].notna())
    assert set(checked) == set(range(0, len(history), 4)) | {len(history) - 1}
    assert history["learning_rate"].isna().all() and history["elapsed"].is_monotonic_increasing


def test_a_noisy_problem_takes_a_stronger_penalty_than_a_clear_one(rng):
    chosen = {}
    for apart in (0.05, 6.0):
        data, targets, groups = recordings(rng, per_class=12, apart=apart)
        chosen[apart] = fit_head((data, targets), (data, targets), 3, groups, progress=False)[3]
    assert chosen[0.05] < chosen[6.0]


def test_recordings_are_held_out_whole(rng, monkeypatch):
    """With patches of one recording on both sides, nothing would speak for a penalty: each knows its own."""
    data, targets, groups = recordings(rng, per_class=6, apart=0.0)
    together = fit_head((data, targets), (data, targets), 3, groups, progress=False)[3]
    alone = fit_head((data, targets), (data, targets), 3, np.arange(len(data)).astype(str), progress=False)[3]
    assert together < alone


def test_classes_of_one_recording_have_no_say(rng, one):
    data, targets, groups = one
    kept = (targets > 0) | (groups == "3")
    strengths = []
    for rows in (kept, kept & (targets > 0), (targets == 2) | np.isin(groups, ["3", "9"])):
        strengths.append(fit_head((data[rows], targets[rows]), (data, targets), 3, groups[rows], progress=False)[3])
    assert strengths[0] == strengths[1] != heads.FALLBACK == strengths[2]


def test_a_class_that_is_not_there_is_never_the_answer(rng, one):
    data, targets, groups = one
    kept = targets != 1
    kernel, bias, *_ = fit_head((data[kept], targets[kept]), (data, targets), 3, groups[kept], progress=False)
    assert (
        probabilities(kernel, bias, data)[:, 1].max() < 0.01 and np.isfinite(kernel).all() and np.isfinite(bias).all()
    )


def test_constant_features_and_one_seed(rng, one):
    data, targets, groups = one
    data = np.hstack([data, np.full((len(data), 2), 4.0, np.float32)])
    results = [fit_head((data, targets), (data, targets), 3, groups, seed=3, progress=False) for _ in range(2)]
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])
    assert np.abs(results[0][0][-2:]).max() < 1e-6


def test_many_patches_are_thinned_for_the_choice_alone(rng, monkeypatch):
    data, targets, groups = recordings(rng, patches=30)
    monkeypatch.setattr(heads, "MOST", 100)
    kernel, bias, history, _ = fit_head((data, targets), (data, targets), 3, groups, progress=False)
    assert history["batch_accuracy"].iloc[-1] == (probabilities(kernel, bias, data).argmax(axis=1) == targets).mean()
