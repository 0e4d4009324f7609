"""A fully connected network on the 57 features of a music track."""

import numpy as np

from ..errors import MissingDataError, PatchShapeError
from ..sound.music import FEATURES, TRACK
from .backend import in_float32, keras
from .custom_layers import FeatureScale, ResumedDropout
from .head import add_head


@in_float32()
def track_network(train, labels=None, *, hidden=(256,), dropout=0.5, decay=1e-3, seed=0):
    """A network of dense layers on track features, with random weights.

    Its first layer scales every feature by its mean and variance in the training rows.

    Parameters
    ----------
    train : pandas.DataFrame [rows]
        Features that it will be trained on: from `track_features`, or published ones.
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
    values = feature_values(train, FEATURES).astype(float)
    if any(size < 1 for size in hidden) or not 0 <= dropout < 1 or decay < 0:
        raise ValueError(
            f"hidden={hidden}, dropout={dropout}, decay={decay}: expected sizes of 1 or more, a share from 0 up to, "
            "but not, 1, and a weight of 0 or more."
        )
    labels = sorted(set(feature_labels(train))) if labels is None else labels
    variance = values.var(axis=0)
    # A feature that never varies in training tells nothing: left at its scale, it does not explode where it varies.
    variance[variance == 0] = 1
    inputs = keras.Input((len(FEATURES),), name="track_features")
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
    return add_head(keras.Model(inputs, x, name="track_network"), labels, TRACK, seed=seed)


def features_of(network):
    """Names of the features that a network takes, in the order of its input.

    Raises
    ------
    PatchShapeError
        If it is not a network on track features.
    """
    for layer in network.layers:
        if isinstance(layer, FeatureScale):
            return list(layer.features)
    raise PatchShapeError(
        f"network '{network.name}' takes inputs of shape {network.input_shape}, not track features. "
        "Make one with track_network(train)."
    )


def feature_values(table, features):
    """The columns of a feature table that a network takes, float32."""
    if len(table) == 0:
        raise MissingDataError("no rows of features: the table is empty. Check the split it came from.")
    if absent := [feature for feature in features if feature not in table]:
        raise MissingDataError(
            f"the table lacks {len(absent)} of {len(features)} features: {', '.join(absent[:3])} … "
            "Make it with track_features(clips)."
        )
    values = table[features].to_numpy(np.float32)
    bad = ~np.isfinite(values)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise MissingDataError(
            f"{bad.sum()} features are NaN or infinite, the first is {features[column]} of {table.index[row]}. "
            "Leave such rows out, or make them again with track_features."
        )
    return values


def feature_labels(table):
    """The labels of a feature table."""
    if "label" not in table or table["label"].isna().any():
        raise MissingDataError(
            "rows of features without label: put it into the clip table, or join it to the features."
        )
    return table["label"]
