import keras
import numpy as np
import pandas as pd
import pytest

from audiointerp.errors import PatchShapeError
from audiointerp.networks.head import add_head, frontend_of, labels_of
from audiointerp.networks.saving import load_network, save_network
from audiointerp.networks.tracks import features_of, track_network
from audiointerp.sound.music import FEATURES, TRACK
from audiointerp.training.recipes import Recipe
from audiointerp.training.tracks import classify_tracks, fit_track_network, predict_tracks

LABELS = ["blues", "jazz", "metal"]


QUICK = Recipe(epochs=12, batch_size=16, learning_rate=3e-3, drop_period=6, validate_every=20)


SMALL = {"hidden": (16,), "dropout": 0.25}


@pytest.mark.parametrize("hidden", [(), (8,), (8, 5)])
def test_scores_are_those_of_dense_layers_on_scaled_features(track_rows, hidden):
    """Layer by layer by hand; dropout does nothing outside the training."""
    train, test = track_rows(40), track_rows(9)
    network = track_network(train, hidden=hidden, dropout=0.5)
    mean, variance = train[FEATURES].mean(), train[FEATURES].var(ddof=0)
    x = ((test[FEATURES] - mean) / np.sqrt(variance)).to_numpy()
    *before, (weights, bias) = [
        layer.get_weights() for layer in network.layers if isinstance(layer, keras.layers.Dense)
    ]
    assert [len(bias) for _, bias in before] == list(hidden)
    for kernel, offset in before:
        x = np.maximum(x @ kernel + offset, 0)
    logits = x @ weights + bias
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(predict_tracks(network, test)[LABELS], expected, atol=1e-5)


def test_units_do_not_matter(track_rows):
    train, test = track_rows(60), track_rows(20)
    factors = pd.Series(np.geomspace(1e4, 1e-4, len(FEATURES)), FEATURES)
    plain = classify_tracks(train, test, QUICK, cache=False, **SMALL)
    scaled = [rows.assign(**(rows[FEATURES] * factors - 2 * factors)) for rows in (train, test)]
    np.testing.assert_allclose(classify_tracks(*scaled, QUICK, cache=False, **SMALL)[LABELS], plain[LABELS], atol=2e-3)


def test_it_carries_its_labels_its_features_and_its_front_end(track_rows, tmp_path):
    train = track_rows(30)
    network = track_network(train, ["metal", "rock", "blues", "jazz"])
    again = load_network(save_network(network, tmp_path / "track_rows.keras"))
    for each in (network, again, keras.models.clone_model(network)):
        assert labels_of(each) == ["metal", "rock", "blues", "jazz"]
        assert features_of(each) == FEATURES and frontend_of(each) == TRACK
    assert labels_of(track_network(train)) == LABELS
    pd.testing.assert_frame_equal(predict_tracks(network, train), predict_tracks(again, train))


def test_a_feature_that_does_not_vary_in_training_does_not_explode(track_rows):
    train, test = track_rows(40).assign(tempo=120.0), track_rows(10).assign(tempo=121.0)
    network = track_network(train)
    scores = predict_tracks(network, test)[LABELS]
    expected = predict_tracks(network, test.assign(tempo=120.0))[LABELS]
    assert np.isfinite(scores).all(axis=None) and np.abs(scores - expected).max(axis=None) < 0.5


@pytest.mark.parametrize("options", [{"hidden": (8, 0)}, {"dropout": 1.0}, {"dropout": -0.1}, {"decay": -1.0}], ids=str)
def test_options_out_of_range(track_rows, options):
    with pytest.raises(ValueError, match="expected sizes of 1 or more"):
        track_network(track_rows(9), **options)


def test_a_network_on_something_else(track_rows, small):
    inputs = keras.Input((small.frames, small.mels, 1))
    other = add_head(keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs), name="other"), LABELS, small)
    for use in (
        lambda: predict_tracks(other, track_rows(3)),
        lambda: fit_track_network(other, track_rows(3), track_rows(3), progress=False),
    ):
        with pytest.raises(PatchShapeError, match=r"'other' takes .*, not track features"):
            use()
