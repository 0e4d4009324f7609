"""A network on song features: what it computes, that it learns, that one seed gives one result, and its tables."""

from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest

from audiointerp.errors import MissingDataError, UnknownLabelError
from audiointerp.evaluation.metrics import accuracy, confusion
from audiointerp.evaluation.predictions import score_columns, vote
from audiointerp.networks.fingerprints import digest
from audiointerp.networks.head import labels_of
from audiointerp.networks.tracks import track_network
from audiointerp.sound.music import FEATURES
from audiointerp.training.recipes import Recipe, track_recipe
from audiointerp.training.tracks import classify_tracks, fit_track_network, predict_tracks

LABELS = ["blues", "jazz", "metal"]


QUICK = Recipe(epochs=12, batch_size=16, learning_rate=3e-3, drop_period=6, validate_every=20)


SMALL = {"hidden": (16,), "dropout": 0.25}


def weights_equal(one, two):
    return all(np.array_equal(a, b) for a, b in zip(one.get_weights(), two.get_weights(), strict=True))


def test_it_learns_what_was_not_shown(track_rows):
    train, test = track_rows(150), track_rows(60)
    network = track_network(train, **SMALL)
    before = network.get_weights()
    trained, history = fit_track_network(network, train, test, QUICK, progress=False)
    assert accuracy(predict_tracks(network, test))["accuracy"] < 0.7
    assert accuracy(predict_tracks(trained, test))["accuracy"] > 0.9
    assert all(np.array_equal(a, b) for a, b in zip(before, network.get_weights(), strict=True))
    assert len(history) == 12 * (150 // 16) and history["batch_loss"].iloc[-1] < history["batch_loss"].iloc[0] / 2
    assert history["validation_accuracy"].iloc[-1] == pytest.approx(
        accuracy(predict_tracks(trained, test))["accuracy"], abs=1e-6
    )


def test_labels_without_meaning_are_not_learned(track_rows, rng):
    train, test = track_rows(120), track_rows(60)
    train["label"] = rng.permutation(train["label"])
    assert accuracy(classify_tracks(train, test, QUICK, cache=False, **SMALL))["accuracy"] < 0.6


def test_test_rows_do_not_change_the_network(track_rows):
    train, test = track_rows(60), track_rows(30)
    both = classify_tracks(train, test, QUICK, cache=False, **SMALL)
    shifted = test.assign(tempo=test["tempo"] * 100)
    half = classify_tracks(train, pd.concat([test[:15], shifted[15:]]), QUICK, cache=False, **SMALL)
    np.testing.assert_allclose(half[LABELS][:15], both[LABELS][:15], atol=1e-6)


def test_one_seed_gives_one_network(track_rows):
    train, test = track_rows(48), track_rows(12)
    assert digest(track_network(train, seed=3)) == digest(track_network(train, seed=3))
    assert digest(track_network(train, seed=3)) != digest(track_network(train, seed=4))
    few = Recipe(epochs=2, batch_size=16)
    twins = [classify_tracks(train, test, few, cache=False, seed=3, **SMALL) for _ in range(2)]
    pd.testing.assert_frame_equal(*twins)
    others = [
        classify_tracks(train, test, few, cache=False, seed=4, **SMALL),
        classify_tracks(train, test, replace(few, seed=1), cache=False, seed=3, **SMALL),
        classify_tracks(train, test, few, cache=False, seed=3, decay=0.3, **SMALL),
    ]
    for other in others:
        assert np.abs(other[LABELS] - twins[0][LABELS]).to_numpy().max() > 1e-3


def test_the_second_time_it_comes_from_the_cache(track_rows, monkeypatch, capsys):
    train, test = track_rows(48), track_rows(12)
    first, history = fit_track_network(track_network(train, **SMALL), train, test, QUICK, progress=False)
    monkeypatch.setattr(keras.Model, "train_on_batch", lambda *_: pytest.fail("trained again"))
    second, again = fit_track_network(track_network(train, **SMALL), train, test, QUICK)
    assert "from the cache" in capsys.readouterr().out
    assert weights_equal(first, second) and labels_of(second) == LABELS
    pd.testing.assert_frame_equal(history, again)
    pd.testing.assert_frame_equal(predict_tracks(first, test), predict_tracks(second, test))
    changed = train.assign(label=train["label"].to_numpy()[::-1])
    for other in ([changed, test], [train[[*FEATURES, "label"]][:-1], test]):
        with pytest.raises(pytest.fail.Exception, match="trained again"):
            fit_track_network(track_network(train, **SMALL), *other, QUICK, progress=False)


def test_an_interrupted_training_ends_as_if_it_had_not_been(track_rows, monkeypatch):
    """The random numbers of dropout go on too."""
    train, test = track_rows(48), track_rows(12)
    network = track_network(train, hidden=(16, 8), dropout=0.5)
    whole, _ = fit_track_network(network, train, test, QUICK, cache=False, progress=False)
    original, steps = keras.Model.train_on_batch, []

    def interrupted(self, *data, **options):
        steps.append(1)
        if len(steps) == 3 * 7 + 2:
            raise KeyboardInterrupt
        return original(self, *data, **options)

    monkeypatch.setattr(keras.Model, "train_on_batch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit_track_network(network, train, test, QUICK, progress=False)
    steps.clear()
    resumed, history = fit_track_network(network, train, test, QUICK, progress=False)
    assert len(steps) == 3 * 5 and len(history) == 3 * 12
    for one, two in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)


# Tables


def test_predictions_of_songs(track_rows):
    rows = track_rows(9)
    table = predict_tracks(track_network(rows), rows)
    assert list(table.columns) == ["clip", "label", "fold", "source", "silent", "predicted", "score", *LABELS]
    assert list(table.index) == list(range(9)) and list(table["clip"]) == list(rows.index)
    for column in ("label", "fold", "source"):
        assert list(table[column]) == list(rows[column])
    assert score_columns(table) == LABELS and not table["silent"].any()
    np.testing.assert_allclose(table[LABELS].sum(axis=1), 1, atol=1e-6)
    assert list(table["predicted"]) == list(table[LABELS].idxmax(axis=1))
    np.testing.assert_allclose(table["score"], table[LABELS].max(axis=1))
    assert confusion(table).to_numpy().sum() == 9 and accuracy(table)["n"] == 9
    assert list(vote(table)["predicted"]) == list(table["predicted"])


def test_segments_vote_for_their_song(track_rows):
    train, test = track_rows(120, segments=4), track_rows(60, segments=4)
    table = classify_tracks(train, test, QUICK, cache=False, **SMALL)
    assert list(table.columns[:2]) == ["clip", "start"]
    assert list(table["start"][:5]) == [0, 3, 6, 9, 0] and list(table["clip"][:5]) == [100] * 4 + [101]
    songs_voted = vote(table)
    assert list(songs_voted.index) == list(range(100, 115)) and (songs_voted["patches"] == 4).all()
    assert list(songs_voted["label"]) == list(test["label"][::4])
    majority = table.groupby("clip")["predicted"].agg(lambda own: own.value_counts().iloc[0])
    np.testing.assert_allclose(songs_voted["score"], majority / 4)
    assert accuracy(songs_voted)["accuracy"] >= accuracy(table)["accuracy"] > 0.8


def test_silent_segments_do_not_vote(track_rows):
    rows = track_rows(12, segments=4)
    rows.iloc[[0, 1, 2, 5], rows.columns.get_loc("rms_mean")] = 0.0
    table = predict_tracks(track_network(rows), rows)
    assert list(table.index[table["silent"]]) == [0, 1, 2, 5]
    assert list(vote(table)["patches"]) == [1, 3, 4]


def test_order_of_columns_and_further_ones_do_not_matter(track_rows):
    rows = track_rows(8)
    network = track_network(rows)
    expected = predict_tracks(network, rows)
    pd.testing.assert_frame_equal(predict_tracks(network, rows[rows.columns[::-1]].assign(filtered="test")), expected)


def test_songs_without_labels_are_classified(track_rows):
    rows = track_rows(8)
    table = predict_tracks(track_network(rows), rows[FEATURES].rename_axis("track"))
    assert list(table.columns) == ["clip", "silent", "predicted", "score", *LABELS]


def test_recipe_follows_the_seed(track_rows):
    assert track_recipe(7) == replace(track_recipe(), seed=7) and track_recipe().trainable == "all"
    train, test = track_rows(48), track_rows(12)
    own = classify_tracks(train, test, seed=7, hidden=(8,))
    pd.testing.assert_frame_equal(own, classify_tracks(train, test, track_recipe(7), seed=7, hidden=(8,)))


# Bad input


def test_tables_that_cannot_be_used(track_rows):
    rows = track_rows(9)
    network = track_network(rows)
    bad = rows.copy()
    bad.loc[102, "mfcc3_var"] = np.nan
    bad.loc[104, "tempo"] = np.inf
    cases = {
        "no rows of features": rows[:0],
        "lacks 2 of 57 features: tempo, mfcc20_var": rows.drop(columns=["tempo", "mfcc20_var"]),
        "2 features are NaN or infinite, the first is mfcc3_var of 102": bad,
    }
    for text, table in cases.items():
        for use in (
            lambda table: track_network(table),
            lambda table: predict_tracks(network, table),
            lambda table: fit_track_network(network, table, rows, progress=False),
            lambda table: fit_track_network(network, rows, table, progress=False),
        ):
            with pytest.raises(MissingDataError, match=text):
                use(table)


def test_labels_that_cannot_be_used(track_rows):
    rows = track_rows(9)
    network = track_network(rows)
    for table in (rows.drop(columns="label"), rows.assign(label=[*LABELS * 2, "jazz", None, "blues"])):
        for use in (track_network, lambda table: fit_track_network(network, table, rows, progress=False)):
            with pytest.raises(MissingDataError, match="without label"):
                use(table)
    with pytest.raises(UnknownLabelError, match="label 'polka': the network 'track_network' knows blues, jazz, metal"):
        fit_track_network(network, rows, rows.assign(label="polka"), progress=False)
    with pytest.raises(UnknownLabelError, match="at least two class names"):
        track_network(rows.assign(label="jazz"))
    with pytest.raises(UnknownLabelError, match=r"\['score'\] are also columns"):
        predict_tracks(track_network(rows, ["score", "jazz"]), rows)


def test_a_recipe_for_the_head_alone_is_refused(track_rows):
    rows = track_rows(20)
    with pytest.raises(ValueError, match="trainable='head': a network on track features is trained as a whole"):
        fit_track_network(track_network(rows), rows, rows, Recipe(trainable="head"), progress=False)
