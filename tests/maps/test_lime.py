import keras
import numpy as np
import pytest
from lime.lime_base import LimeBase
from lime.lime_image import LimeImageExplainer
from sklearn.metrics import pairwise_distances

from audiointerp.maps import explain
from audiointerp.maps.lime import fit_ridge, lime, random_choices
from audiointerp.maps.regions import grid_regions, grid_shape


def kernel(distance, width=0.25):
    return np.sqrt(np.exp(-(distance**2) / width**2))


def test_equals_limebase():
    rng = np.random.default_rng(0)
    kept = random_choices(300, 20, 3)
    scores = 1 / (1 + np.exp(-(kept @ rng.normal(size=(20, 4)))))
    scores[:, 3] = 0.25
    coefficients, intercept, r2 = fit_ridge(kept, scores)
    distances = pairwise_distances(kept.astype(float), kept[:1].astype(float), metric="cosine").ravel()
    base = LimeBase(kernel)
    for c in range(4):
        expected_intercept, weights, expected_r2, _ = base.explain_instance_with_data(
            kept.astype(float), scores, distances, c, 20, feature_selection="none"
        )
        np.testing.assert_allclose(coefficients[c], [w for _, w in sorted(weights)], atol=1e-9)
        np.testing.assert_allclose(intercept[c], expected_intercept, atol=1e-9)
        np.testing.assert_allclose(r2[c], expected_r2, atol=1e-9)


def test_a_version_without_any_region():
    kept = np.array([[1, 1], [0, 0], [1, 0], [0, 1]], bool)
    distances = pairwise_distances(kept.astype(float), kept[:1].astype(float), metric="cosine").ravel()
    scores = np.array([[0.9], [0.1], [0.7], [0.2]])
    _, weights, _, _ = LimeBase(kernel).explain_instance_with_data(
        kept.astype(float), scores, distances, 0, 2, feature_selection="none"
    )
    np.testing.assert_allclose(fit_ridge(kept, scores)[0][0], [w for _, w in sorted(weights)], atol=1e-9)


@pytest.mark.parametrize("shape", [(96, 64), (37, 23)])
@pytest.mark.parametrize("fill", ["mean", "silence", -1.5])
def test_recovers_a_linear_model(shape, fill, linear_of, patches_of, correlation):
    """What a region adds to a linear logit is the sum over its cells of weight × (value − fill)."""
    weights = np.random.default_rng(1).normal(size=(*shape, 2)) / 10
    patches = patches_of(shape, n=2)
    details = lime(linear_of(weights), patches, samples=400, score="logit", fill=fill, details=True)
    region = grid_regions(shape, grid_shape(shape))
    for i, data in enumerate(patches.data):
        filled = {"mean": data.mean(), "silence": np.log(0.01)}.get(fill, fill)
        added = weights * (data - filled)[..., None]
        expected = [added[region == r].sum(axis=0) for r in range(region.max() + 1)]
        assert correlation(details["coefficients"][i].T, expected) > 0.99
        np.testing.assert_array_equal(details["regions"][i], region)
    assert (details["r2"] > 0.98).all()
    assert details["map"].attrs["units"] == "logit"


def test_agrees_with_lime_image(network_of, patches_of, correlation):
    shape = (37, 23)
    network, patches = network_of(shape), patches_of(shape, n=1)
    region = grid_regions(shape, (4, 3))
    details = lime(network, patches, regions=region, details=True, precision="float32")
    explainer = LimeImageExplainer(random_state=0)
    explanation = explainer.explain_instance(
        np.repeat(patches.data[0].astype(float)[..., None], 3, axis=2),
        lambda images: network(images[..., :1].astype(np.float32), training=False).numpy(),
        labels=(0, 1, 2),
        top_labels=None,
        hide_color=float(patches.data[0].mean()),
        num_samples=2048,
        batch_size=256,
        segmentation_fn=lambda image: region,
    )
    theirs = [[w for _, w in sorted(explanation.local_exp[c])] for c in range(3)]
    assert correlation(details["coefficients"][0], theirs) > 0.95


def test_map_paints_coefficients(network_of, patches_of):
    network, patches = network_of(), patches_of()
    for options in ({}, {"regions": "superpixels", "count": 20}, {"regions": np.arange(37 * 23).reshape(37, 23) // 90}):
        details = lime(network, patches, samples=50, details=True, **options)
        for p in range(3):
            painted = details["coefficients"].values[p][:, details["regions"].values[p]]
            np.testing.assert_array_equal(details["map"][p], painted)


def test_unperturbed_score(network_of, patches_of):
    network, patches = network_of(), patches_of()
    details = lime(network, patches, samples=10, details=True, precision="float32")
    np.testing.assert_allclose(details["score"], network.predict(patches.data, verbose=0), rtol=1e-5)


def test_score_that_never_moves(linear_of, patches_of):
    details = lime(linear_of(np.zeros((37, 23, 2))), patches_of(n=1), samples=30, details=True)
    # Equal scores may differ in their last digit: how many patches of a batch are worked on at a time differs.
    np.testing.assert_allclose(details["map"], 0, atol=np.finfo(np.float32).eps)
    np.testing.assert_array_equal(details["r2"], 1)


def test_score_that_moves_by_rounding_only_has_nothing_to_explain(rng):
    kept = random_choices(200, 12, 0)
    steps = rng.integers(-1, 2, (200, 1)) * np.finfo(np.float32).eps / 2
    assert fit_ridge(kept, 0.5 + steps)[2] == 1
    assert fit_ridge(kept, 0.5 + 1e-3 * rng.normal(size=(200, 1)))[2] < 0.5


def test_random_choices():
    kept = random_choices(1000, 30, 5)
    assert kept[0].all()
    np.testing.assert_allclose(kept.mean(axis=0), 0.5, atol=0.07)
    np.testing.assert_array_equal(kept[:, :12], random_choices(1000, 12, 5))


def test_options_in_settings(network_of, patches_of):
    maps = explain(network_of(), patches_of(n=1), "lime", samples=20, seed=4, fill="silence")
    settings = maps.attrs
    assert (settings["samples"], settings["seed"], settings["fill"], settings["count"]) == (20, 4, "silence", 45)


def test_network_need_not_be_convolutional(linear_of, patches_of):
    maps = explain(linear_of(np.ones((37, 23, 2))), patches_of(), "lime", samples=20)
    assert maps.shape == (3, 2, 37, 23)
    assert isinstance(linear_of(np.ones((2, 2, 2))), keras.Model)
