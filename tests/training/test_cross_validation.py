"""Cross-validation, folds that leak, and the table that compares networks."""

import keras
import numpy as np
import pandas as pd
import pytest

from audiointerp.datasets.splits import patch_folds
from audiointerp.errors import MissingDataError
from audiointerp.evaluation.metrics import accuracy
from audiointerp.evaluation.predictions import predict, vote
from audiointerp.networks.genre import cam_cnn
from audiointerp.sound.music import FEATURES
from audiointerp.sound.patches import Patches
from audiointerp.training.cross_validation import (
    CrossValidation,
    compare_networks,
    cross_validate,
    cross_validate_tracks,
)
from audiointerp.training.fine_tuning import fine_tune
from audiointerp.training.recipes import Recipe
from audiointerp.training.tracks import classify_tracks

RECIPE = Recipe(epochs=4, batch_size=16, learning_rate=3e-3, drop_period=4)


QUIET = {"cache": False, "progress": False}


@pytest.fixture
def network(small):
    return cam_cnn(["high", "low"], frontend=small, width=0.25)


def predictions(right, clip, label="a"):
    table = pd.DataFrame({"clip": clip, "label": label, "predicted": np.where(right, label, "b"), "a": 0.6, "b": 0.4})
    table.attrs["labels"] = ["a", "b"]
    return table


class TestSongs:
    @pytest.fixture
    def features(self, rng):
        """Ten clips of three segments; twenty features tell the label."""
        label = np.repeat(np.arange(10) % 2, 3)
        values = rng.normal(size=(30, len(FEATURES)))
        values[:, :20] += 4 * label[:, None]
        values[:, FEATURES.index("rms_mean")] = 1
        index = pd.MultiIndex.from_product([range(10), [0.0, 3.0, 6.0]], names=["clip", "start"])
        table = pd.DataFrame(values, index, FEATURES)
        table.insert(0, "fold", np.repeat(np.arange(10) // 2 + 1, 3))
        table.insert(0, "label", np.array(["low", "high"])[label])
        return table

    def test_each_segment_is_predicted_by_a_network_that_did_not_hear_it(self, features):
        result = cross_validate_tracks(features, **QUIET)
        assert len(result.predictions) == 30
        assert sorted(result.networks) == [1, 2, 3, 4, 5]
        assert result.parameters == 57 * 256 + 256 + 256 * 2 + 2
        assert accuracy(vote(result.predictions))["accuracy"] > 0.8
        own = classify_tracks(features[features["fold"] != 2], features[features["fold"] == 2], cache=False)
        np.testing.assert_allclose(result.predictions.query("fold == 2")["high"], own["high"], atol=1e-6)

    def test_leaking_folds(self, features):
        result = cross_validate_tracks(features, folds=patch_folds(features), only=[1, 2], **QUIET)
        assert sorted(set(result.predictions["fold"])) == [1, 2]
        assert len(result.predictions) == 12


class TestCrossValidate:
    def test_each_patch_is_predicted_once_by_a_network_that_did_not_hear_it(self, toy, network):
        patches = toy(60, per_clip=3)
        result = cross_validate(network, patches, RECIPE, **QUIET)
        assert sorted(result.predictions.index) == patches.table.index.tolist()
        assert result.parameters == network.count_params()
        assert result.seconds_per_epoch > 0
        assert sorted(result.networks) == [1, 2, 3, 4, 5]
        fold = patches.table["fold"].to_numpy()
        again, _ = fine_tune(network, patches[fold != 2], patches[fold == 2], RECIPE, cache=False, progress=False)
        for one, two in zip(again.get_weights(), result.networks[2].get_weights(), strict=True):
            np.testing.assert_array_equal(one, two)
        own = again.predict(patches[fold == 2].data[..., None], verbose=0)
        np.testing.assert_allclose(result.predictions.query("fold == 2")[["high", "low"]], own, atol=1e-6)

    def test_learns_what_can_be_learned(self, toy, network):
        result = cross_validate(network, toy(60, per_clip=3), RECIPE, **QUIET)
        assert accuracy(vote(result.predictions))["accuracy"] == 1

    def test_other_folds_and_some_of_them(self, toy, network):
        patches = toy(24)
        folds = np.arange(24) // 2 % 3
        result = cross_validate(network, patches, RECIPE, folds=folds, only=[1], **QUIET)
        assert sorted(result.predictions.index) == np.flatnonzero(folds == 1).tolist()
        assert (result.predictions["fold"] == 1).all()

    def test_network_given_is_left_as_it_is(self, toy, network):
        before = [weights.copy() for weights in network.get_weights()]
        cross_validate(network, toy(24), RECIPE, folds=np.arange(24) // 2 % 2, **QUIET)
        assert all(np.array_equal(a, b) for a, b in zip(before, network.get_weights(), strict=True))

    def test_a_head_is_trained_and_tested_as_fold_by_fold(self, toy, network):
        patches, recipe = toy(20), Recipe(trainable="head")
        found = cross_validate(network, patches, recipe, **QUIET)
        fold = patches.table["fold"].to_numpy()
        for number in (1, 4):
            trained, _ = fine_tune(network, patches[fold != number], patches[fold == number], recipe, **QUIET)
            expected = predict(trained, patches[fold == number], **QUIET)
            own = found.predictions[found.predictions["fold"] == number]
            assert list(own) == list(expected) and own["predicted"].equals(expected["predicted"])
            np.testing.assert_allclose(own[["high", "low"]], expected[["high", "low"]], atol=1e-5)
            np.testing.assert_allclose(found.networks[number].get_weights()[-1], trained.get_weights()[-1], atol=1e-4)

    def test_a_class_that_is_silent_elsewhere_is_named(self, toy, network):
        patches = toy(20)
        silent = (patches.label == "low") & (patches.table["fold"] != 1)
        patches = Patches(patches.data, patches.table.assign(silent=silent), patches.frontend)
        with pytest.raises(MissingDataError, match="fold 1: no sounding patch of low is left"):
            cross_validate(network, patches, RECIPE, **QUIET)

    @pytest.mark.parametrize("only, text", [([], "only=.*at least one fold"), (9, "folds .9. have no patches")])
    def test_folds_that_are_not_there(self, toy, network, only, text):
        with pytest.raises((ValueError, MissingDataError), match=text):
            cross_validate(network, toy(20), RECIPE, only=only, **QUIET)
        with pytest.raises(ValueError, match="folds of shape"):
            cross_validate(network, toy(20), RECIPE, folds=np.ones((20, 2)), **QUIET)

    def test_silent_patches_are_predicted_not_trained_on(self, toy, network, monkeypatch):
        patches = toy(24)
        patches.table.loc[[0, 5], "silent"] = True
        sizes = []
        original = keras.Model.train_on_batch

        def seen(self, x, *rest, **options):
            sizes.append(len(x))
            return original(self, x, *rest, **options)

        monkeypatch.setattr(keras.Model, "train_on_batch", seen)
        recipe = Recipe(epochs=1, batch_size=1)
        result = cross_validate(network, patches, recipe, folds=np.arange(24) // 2 % 2, only=[1], **QUIET)
        assert sum(sizes) == 10
        assert len(result.predictions) == 12

    def test_folds_that_cannot_be(self, toy, network):
        patches = toy(12)
        with pytest.raises(ValueError, match="one of each of the 12 patches"):
            cross_validate(network, patches, RECIPE, folds=[1, 2], **QUIET)
        with pytest.raises(MissingDataError, match="tested on a fold"):
            cross_validate(network, patches, RECIPE, folds=np.ones(12), **QUIET)
        with pytest.raises(MissingDataError, match=r"folds \[9\] have no patches"):
            cross_validate(network, patches, RECIPE, only=[9], **QUIET)
        with pytest.raises(MissingDataError, match="no sounding patch of low is left"):
            cross_validate(network, patches, RECIPE, folds=(patches.label == "low").astype(int), only=[1], **QUIET)


def test_table_of_networks():
    clip = np.repeat(np.arange(20), 5)
    good = predictions(np.arange(100) % 5 > 0, clip)  # four of five patches right: every clip is
    poor = predictions(np.arange(100) % 5 == 0, clip)
    results = {
        ("good", "by track"): CrossValidation(good, {}, 10, 0.5),
        ("poor", "by track"): CrossValidation(poor, {}, 20, 1.5),
    }
    table = compare_networks(results)
    assert table["network"].tolist() == ["good", "poor"]
    assert table["patches"].tolist() == [0.8, 0.2]
    assert table["clips"].tolist() == [1, 0]
    assert table[["n", "parameters", "seconds_per_epoch"]].to_numpy().tolist() == [[20, 10, 0.5], [20, 20, 1.5]]
    assert table.loc[0, "clips_low"] == pytest.approx(20 / (20 + 1.96**2), abs=1e-3)  # Wilson at 20 of 20
    assert table.loc[1, "clips_low"] == pytest.approx(0, abs=1e-9)
