"""Fine-tuning on patches, the whole network or its head; the loop itself is tested in test_fitting.py."""

import re

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from audiointerp.errors import MissingDataError, PatchShapeError, UnknownLabelError
from audiointerp.networks.head import add_head, frontend_of, labels_of
from audiointerp.sound.frontend import FrontEnd
from audiointerp.sound.patches import Patches
from audiointerp.training import fine_tuning
from audiointerp.training.fine_tuning import embed, fine_tune, head_scores
from audiointerp.training.recipes import Recipe

LABELS = ["high", "low"]
COLUMNS = ["epoch", "iteration", "elapsed", "batch_accuracy", "validation_accuracy"]
COLUMNS += ["batch_loss", "validation_loss", "learning_rate"]


def build(frontend, labels=LABELS, seed=0):
    start = keras.initializers.GlorotUniform
    inputs = keras.Input((frontend.frames, frontend.mels, 1), name="log_mel")
    x = keras.layers.Conv2D(4, 3, strides=2, activation="relu", kernel_initializer=start(seed), name="conv")(inputs)
    x = keras.layers.Flatten(name="flatten")(x)
    x = keras.layers.Dense(6, activation="relu", kernel_initializer=start(seed + 1), name="dense")(x)
    return add_head(keras.Model(inputs, x, name="tiny"), labels, frontend, seed=seed + 2)


@pytest.fixture
def network(small):
    return build(small)


@pytest.fixture
def train(toy):
    return toy(43)


@pytest.fixture
def validation(toy):
    return toy(70)


RECIPE = Recipe(epochs=3, batch_size=10, learning_rate=1e-3, validate_every=5)


def weights_equal(one, two, atol=0.0):
    return all(np.allclose(a, b, rtol=0, atol=atol) for a, b in zip(one.get_weights(), two.get_weights(), strict=True))


@pytest.fixture
def steps(monkeypatch):
    """Counts the training steps."""
    taken = []
    original = keras.Model.train_on_batch

    def counted(self, x, *rest, **options):
        taken.append(np.array(x))
        return original(self, x, *rest, **options)

    monkeypatch.setattr(keras.Model, "train_on_batch", counted)
    return taken


@pytest.mark.parametrize("trainable", ["all", "head"])
def test_a_toy_problem_is_learned_and_the_given_network_stays(network, train, validation, trainable):
    before = [weight.copy() for weight in network.get_weights()]
    recipe = Recipe(epochs=12, batch_size=10, learning_rate=1e-2, drop_period=100)
    recipe = Recipe(trainable="head") if trainable == "head" else recipe
    trained, history = fine_tune(network, train, validation, recipe, progress=False)
    assert history["validation_accuracy"].iloc[-1] > 0.9
    for old, new in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert not weights_equal(trained, network)
    assert labels_of(trained) == LABELS and frontend_of(trained) == train.frontend and trained.name == "tiny"
    assert list(history.columns) == COLUMNS and (trainable == "head" or len(history) == 12 * 4)
    scores = trained.predict(validation.data[..., None], verbose=0)
    own = np.array([LABELS.index(label) for label in validation.label])
    expected = -np.log(scores[np.arange(len(own)), own]).mean()
    assert history["validation_loss"].iloc[-1] == pytest.approx(expected, abs=1e-5)


def test_targets_follow_the_labels_of_the_network_not_their_order_in_the_data(small, train, validation):
    turned = build(small, LABELS[::-1])
    recipe = Recipe(epochs=8, batch_size=10, learning_rate=1e-2)
    trained, history = fine_tune(turned, train, validation, recipe, progress=False)
    assert history["validation_accuracy"].iloc[-1] > 0.9
    predicted = trained.predict(validation.data[..., None], verbose=0).argmax(axis=1)
    assert (np.array(LABELS[::-1])[predicted] == validation.label).mean() > 0.9


def test_head_only_changes_the_head_only(network, train, validation):
    trained, history = fine_tune(network, train, validation, Recipe(trainable="head"), progress=False)
    for before, after in zip(network.layers, trained.layers, strict=True):
        for old, new in zip(before.get_weights(), after.get_weights(), strict=True):
            assert np.array_equal(old, new) == (before.name != "FCFinal"), before.name
    scores = trained.predict(validation.data[..., None], verbose=0)
    own = np.array([LABELS.index(label) for label in validation.label])
    assert history["validation_loss"].iloc[-1] == pytest.approx(
        -np.log(scores[np.arange(len(own)), own]).mean(), abs=1e-5
    )


def test_a_head_is_a_logistic_regression_on_the_embeddings(network, train, validation, capsys, monkeypatch):
    monkeypatch.setattr("audiointerp.training.heads.TOLERANCE", 1e-6)
    trained, history = fine_tune(network, train, validation, Recipe(trainable="head"))
    said = re.fullmatch(
        r"head of tiny: converged after (\d+) iterations, C = (\S+); right .*\n", capsys.readouterr().out
    )
    assert int(said[1]) == len(history)
    scaler = StandardScaler().fit(embed(network, train))
    theirs = LogisticRegression(C=2 * float(said[2]), tol=1e-6, max_iter=5000)  # one vector for two opposite ones
    theirs.fit(scaler.transform(embed(network, train)), train.label == LABELS[1])
    expected = theirs.predict_proba(scaler.transform(embed(network, validation)))
    np.testing.assert_allclose(trained.predict(validation.data[..., None], verbose=0), expected, atol=2e-3)


def test_embeddings_at_hand_are_taken_and_are_part_of_the_key(network, train, validation):
    recipe, quiet = Recipe(trainable="head"), {"progress": False}
    given = [embed(network, patches, **quiet) for patches in (train, validation)]
    plain, _ = fine_tune(network, train, validation, recipe, **quiet)
    same, _ = fine_tune(network, train, validation, recipe, embeddings=given, **quiet)
    other, _ = fine_tune(network, train, validation, recipe, embeddings=[given[0] ** 2, given[1]], **quiet)
    again, _ = fine_tune(network, train, validation, recipe, **quiet)
    assert weights_equal(plain, same, 1e-6) and weights_equal(plain, again) and not weights_equal(plain, other, 1e-3)
    np.testing.assert_allclose(head_scores(plain, given[1]), plain.predict(validation.data[..., None]), atol=1e-6)
    with pytest.raises(ValueError, match=r"embeddings of shape \(43, 6\): expected \(70, 6\)"):
        fine_tune(network, train, validation, recipe, embeddings=given[:1] * 2, **quiet)
    with pytest.raises(ValueError, match="a whole network is trained on patches"):
        fine_tune(network, train, validation, RECIPE, embeddings=given, **quiet)


def test_recordings_of_a_head_are_part_of_the_key(network, train, validation, capsys):
    recipe = Recipe(trainable="head")
    fine_tune(network, train, validation, recipe, progress=False)
    one = Patches(train.data, train.table.assign(source=train.label), train.frontend)  # one recording a class
    fine_tune(network, one, validation, recipe)
    assert "C = 0.01;" in capsys.readouterr().out


@pytest.mark.parametrize("option", [{"epochs": 20}, {"batch_size": 32}, {"learning_rate": 1e-2}, {"drop_period": 8}])
def test_what_does_not_apply_to_a_head_is_refused(option):
    with pytest.raises(ValueError, match=rf"{next(iter(option))}: a head is trained until it has converged"):
        Recipe(trainable="head", **option)
    assert Recipe(trainable="head", validate_every=5, seed=3).seed == 3


def test_embeddings_are_what_the_head_sees(network, train):
    features = embed(network, train, batch_size=7)
    kernel, bias = network.get_layer("FCFinal").get_weights()
    logits = features.astype(np.float64) @ kernel + bias
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(scores, network.predict(train.data[..., None], verbose=0), atol=1e-6)
    assert features.shape == (43, 6) and features.dtype == np.float32


def test_embeddings_come_from_the_cache_whatever_else_was_built(network, train, own_cache):
    features = embed(network, train)
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    np.testing.assert_array_equal(embed(network, train), features)
    assert len(list((own_cache / "embeddings").iterdir())) == 1
    np.testing.assert_allclose(embed(network, train[1:]), features[1:], atol=1e-6)
    assert np.abs(embed(build(train.frontend, seed=9), train) - features).max() > 1e-3
    assert len(list((own_cache / "embeddings").iterdir())) == 3


def test_result_comes_from_the_cache(network, train, validation, steps, capsys):
    recipe = Recipe(epochs=2, batch_size=10)
    first, history = fine_tune(network, train, validation, recipe, progress=False)
    taken = len(steps)
    assert taken == 8 and capsys.readouterr().out == ""
    again, served = fine_tune(network, train, validation, recipe)
    assert len(steps) == taken and "from the cache" in capsys.readouterr().out
    assert weights_equal(first, again) and labels_of(again) == LABELS
    pd.testing.assert_frame_equal(served, history)


def test_a_head_comes_from_the_cache(network, train, validation, monkeypatch):
    recipe = Recipe(trainable="head")
    first, history = fine_tune(network, train, validation, recipe, progress=False)
    monkeypatch.setattr(fine_tuning, "fit_head", lambda *_, **__: pytest.fail("trained again"))
    again, served = fine_tune(network, train, validation, recipe, progress=False)
    assert weights_equal(first, again)
    pd.testing.assert_frame_equal(served, history)
    for changed in ((network, train[1:], validation, recipe), (network, train, validation[1:], recipe)):
        with pytest.raises(pytest.fail.Exception, match="trained again"):
            fine_tune(*changed, progress=False)


def test_another_recipe_network_or_data_is_trained_anew(network, train, validation, steps, small):
    recipe = Recipe(epochs=1, batch_size=10)
    fine_tune(network, train, validation, recipe, progress=False)
    for changed in (
        (network, train, validation, Recipe(epochs=1, batch_size=10, seed=1)),
        (build(small, seed=5), train, validation, recipe),
        (network, train[:40], validation, recipe),
        (network, train, validation[1:], recipe),
    ):
        taken = len(steps)
        fine_tune(*changed, progress=False)
        assert len(steps) == taken + 4


def test_without_cache_nothing_is_kept(network, train, validation, own_cache, steps):
    for _ in range(2):
        fine_tune(network, train, validation, Recipe(epochs=1, batch_size=10), cache=False, progress=False)
        fine_tune(network, train, validation, Recipe(trainable="head"), cache=False, progress=False)
    assert len(steps) == 8
    assert not [path for path in own_cache.rglob("*") if path.is_file()]


def test_an_interrupted_training_goes_on_to_the_same_result(network, train, validation, interrupt, capsys):
    recipe = RECIPE
    expected, expected_history = fine_tune(network, train, validation, recipe, cache=False, progress=False)
    taken = interrupt(6)
    with pytest.raises(RuntimeError, match="interrupted"):
        fine_tune(network, train, validation, recipe, progress=False)
    resumed, history = fine_tune(network, train, validation, recipe)
    assert "going on after epoch 1." in capsys.readouterr().out
    assert len(taken) == 6 + 8  # of two epochs
    assert weights_equal(resumed, expected, 1e-5)
    kept = [column for column in COLUMNS if column != "elapsed"]
    pd.testing.assert_frame_equal(history[kept], expected_history[kept], atol=1e-5, rtol=1e-5)
    assert history["elapsed"].is_monotonic_increasing


def test_a_label_that_the_network_does_not_know(network, toy, train, validation):
    strange = toy(6, ["high", "cat"])
    for pair in ((strange, validation), (train, strange)):
        with pytest.raises(UnknownLabelError, match=r"'cat'.*'tiny' knows high, low"):
            fine_tune(network, *pair, RECIPE, progress=False)


def test_patches_that_the_network_does_not_take(network, toy, train):
    other = toy(6, frontend=FrontEnd(frames=16, mels=32))
    for pair in ((other, train), (train, other)):
        with pytest.raises(PatchShapeError):
            fine_tune(network, *pair, RECIPE, progress=False)
    with pytest.raises(PatchShapeError):
        embed(network, other)


def test_nothing_to_train_on_or_to_validate_with(network, train):
    none = train[:0]
    for pair in ((none, train), (train, none)):
        with pytest.raises(MissingDataError, match="no patches"):
            fine_tune(network, *pair, RECIPE, progress=False)


def test_an_unknown_choice_of_what_to_train(network, train, validation):
    with pytest.raises(ValueError, match="trainable='body': expected 'all' or 'head'"):
        fine_tune(network, train, validation, Recipe(trainable="body"), progress=False)
