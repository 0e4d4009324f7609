"""A fully connected network on song features: what a classifier makes of 57 numbers a clip instead of its sound."""

from dataclasses import asdict

import joblib
import keras
import numpy as np
import pandas as pd

from .errors import MissingDataError, PatchShapeError
from .evaluation import prediction_table
from .fitting import Recipe, fit
from .music_features import FEATURES, SONG
from .networks.feature_layers import FeatureScale, ResumedDropout
from .networks.heads import add_head, digest, label_index, labels_of, outputs_of


def song_network(train, labels=None, *, hidden=(256,), dropout=0.5, decay=1e-3, seed=0):
    """A network of dense layers on song features, with random weights.

    Its first layer scales every feature by its mean and variance in the training rows.

    Parameters
    ----------
    train : pandas.DataFrame [rows]
        Features that it will be trained on: from `song_features`, or published ones.
    labels : sequence of str, optional
        Class names; by default those of the training rows, in alphabetical order.
    hidden : sequence of int
        Neurons of each hidden layer (ReLU); none for a linear classifier.
    dropout : float
        Share of the neurons of each hidden layer that are left out in a training step.
    decay : float
        Weight of the squared weights of the hidden layers in the loss.
    seed : int
        For the weights and for dropout.

    Returns
    -------
    keras.Model [(n, features) -> (n, classes)]

    Raises
    ------
    MissingDataError
        If the table has no rows or no labels, lacks a feature, or holds NaN.
    UnknownLabelError
        If there are fewer than two labels.
    ValueError
        If an option is out of range.
    """
    values = _values(train, FEATURES).astype(float)
    if any(size < 1 for size in hidden) or not 0 <= dropout < 1 or decay < 0:
        raise ValueError(
            f"hidden={hidden}, dropout={dropout}, decay={decay}: expected sizes of 1 or more, a share from 0 up to, "
            "but not, 1, and a weight of 0 or more."
        )
    labels = sorted(set(_labels(train))) if labels is None else labels
    variance = values.var(axis=0)
    # A feature that never varies in training tells nothing: left at its scale, it does not explode where it varies.
    variance[variance == 0] = 1
    inputs = keras.Input((len(FEATURES),), name="song_features")
    x = FeatureScale(FEATURES, values.mean(axis=0), variance)(inputs)
    for number, size in enumerate(hidden, 1):
        start = keras.initializers.HeNormal(seed * 1_000 + number)
        penalty = keras.regularizers.L2(decay)
        dense = keras.layers.Dense(
            size, "relu", kernel_initializer=start, kernel_regularizer=penalty, name=f"dense{number}"
        )
        x = dense(x)
        if dropout:
            x = ResumedDropout(dropout, seed=seed * 1_000 + number, name=f"dropout{number}")(x)
    return add_head(keras.Model(inputs, x, name="song_network"), labels, SONG, seed=seed)


def song_recipe(seed=0):
    """The recipe that suits `fit_song_network`.

    Returns
    -------
    Recipe
    """
    return Recipe(epochs=30, batch_size=16, learning_rate=3e-3, drop_period=15, validate_every=100, seed=seed)


def fit_song_network(network, train, validation, recipe=None, *, cache=True, verbose=True):
    """Train a network on song features and report as the MathWorks example does.

    Parameters
    ----------
    network : keras.Model
        From `song_network`; left as it is.
    train, validation : pandas.DataFrame [rows]
        Features with `label`. The validation rows are only reported on: nothing is chosen by them.
    recipe : Recipe, optional
        `song_recipe` by default.
    cache : bool
        Serve and keep the result in the cache; an interrupted training goes on after its last finished epoch.
    verbose : bool
        Print the progress table and show a bar.

    Returns
    -------
    network : keras.Model
        The trained copy.
    history : pandas.DataFrame
        As `fine_tune` returns it; losses include the penalty on large weights.

    Raises
    ------
    MissingDataError
        If a table has no rows or no labels, lacks a feature, or holds NaN.
    UnknownLabelError
        If the rows have a label the network does not know.
    PatchShapeError
        If it is not a network on song features.
    """
    recipe = recipe or song_recipe()
    inputs = [_values(rows, features_of(network)) for rows in (train, validation)]
    outputs = {label: label_index(network, label) for rows in (train, validation) for label in set(_labels(rows))}
    targets = [np.array([outputs[label] for label in rows["label"]]) for rows in (train, validation)]
    key = [digest(network), joblib.hash([inputs, targets]), asdict(recipe)]
    return fit(network, inputs, targets, recipe, key, cache=cache, verbose=verbose)


def predict_songs(network, features):
    """Scores of every row of a feature table.

    Parameters
    ----------
    network : keras.Model
        From `fit_song_network`.
    features : pandas.DataFrame [rows]
        From `song_features`, or published ones; labels are not needed.

    Returns
    -------
    pandas.DataFrame [rows]
        As `audiointerp.predict` returns it, for `vote`, `accuracy` and `confusion`: `clip` (and `start`), `label`,
        `fold` and `source` as far as they are known, `silent` (no sample but 0), `predicted`, `score`, then one column
        a class. Numbered from 0.

    Raises
    ------
    MissingDataError
        If there are no rows, or they lack a feature or hold NaN.
    PatchShapeError
        If it is not a network on song features.
    UnknownLabelError
        If a class has the name of a column.
    """
    scores = outputs_of(network, _values(features, features_of(network))).astype(np.float64)
    index = features.index.to_frame(index=False)
    index.columns = ["clip", "start"][: index.shape[1]]
    known = features.drop(columns=[name for name in index if name in features]).reset_index(drop=True)
    about = pd.concat([index, known], axis=1).assign(silent=features["rms_mean"].to_numpy() == 0)
    return prediction_table(about, scores, labels_of(network))


def classify_songs(train, test, recipe=None, *, seed=0, cache=True, verbose=False, **options):
    """Predictions for some rows by a network that was trained on others: one turn of a cross-validation.

    Parameters
    ----------
    train, test : pandas.DataFrame [rows]
        Features with `label`. The test rows take no part in the training or in the scaling.
    recipe : Recipe, optional
        `song_recipe` of the seed by default.
    seed : int
    cache, verbose : bool
        As in `fit_song_network`.
    **options
        Further ones of `song_network`.

    Returns
    -------
    pandas.DataFrame [test rows]
        As `predict_songs` returns it.

    Raises
    ------
    AudioInterpError
        As the steps raise it.

    Examples
    --------
    >>> turns = [classify_songs(rows[rows["fold"] != fold], rows[rows["fold"] == fold]) for fold in range(1, 6)]
    >>> accuracy(pd.concat(turns))
    """
    network, recipe = song_network(train, seed=seed, **options), recipe or song_recipe(seed)
    trained, _ = fit_song_network(network, train, test, recipe, cache=cache, verbose=verbose)
    return predict_songs(trained, test)


def features_of(network):
    """Names of the features that a network takes, in the order of its input.

    Raises
    ------
    PatchShapeError
        If it is not a network on song features.
    """
    for layer in network.layers:
        if isinstance(layer, FeatureScale):
            return list(layer.features)
    raise PatchShapeError(
        f"network '{network.name}' takes inputs of shape {network.input_shape}, not song features. "
        "Make one with song_network(train)."
    )


def _values(table, features):
    """The columns of a feature table that a network takes, float32."""
    if len(table) == 0:
        raise MissingDataError("no rows of features: the table is empty. Check the split it came from.")
    if absent := [feature for feature in features if feature not in table]:
        raise MissingDataError(
            f"the table lacks {len(absent)} of {len(features)} features: {', '.join(absent[:3])} … "
            "Make it with song_features(clips)."
        )
    values = table[features].to_numpy(np.float32)
    bad = ~np.isfinite(values)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise MissingDataError(
            f"{bad.sum()} features are NaN or infinite, the first is {features[column]} of {table.index[row]}. "
            "Leave such rows out, or make them again with song_features."
        )
    return values


def _labels(table):
    """The labels of a feature table."""
    if "label" not in table or table["label"].isna().any():
        raise MissingDataError(
            "rows of features without label: put it into the clip table, or join it to the features."
        )
    return table["label"]
