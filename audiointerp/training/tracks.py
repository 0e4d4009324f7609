"""Training and prediction for the network on music features."""

from dataclasses import asdict

import joblib
import numpy as np
import pandas as pd

from ..evaluation.predictions import prediction_table
from ..networks.fingerprints import digest
from ..networks.head import label_index, labels_of
from ..networks.running import outputs_of
from ..networks.tracks import feature_labels, feature_values, features_of, track_network
from .loop import fit
from .recipes import track_recipe


def fit_track_network(network, train, validation, recipe=None, *, cache=True, progress=True):
    """Train a network on track features and report as the MathWorks example does.

    Parameters
    ----------
    network : keras.Model
        From `track_network`; left as it is.
    train, validation : pandas.DataFrame [rows]
        Features with `label`. The validation rows are only reported on: nothing is chosen by them.
    recipe : Recipe, optional
        `track_recipe` by default.
    cache : bool
        Serve and keep the result in the cache; an interrupted training goes on after its last finished epoch.
    progress : bool
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
        If it is not a network on track features.
    ValueError
        If the recipe trains the head alone.
    """
    recipe = recipe or track_recipe()
    if recipe.trainable != "all":
        raise ValueError(f"trainable={recipe.trainable!r}: a network on track features is trained as a whole ('all').")
    inputs = [feature_values(rows, features_of(network)) for rows in (train, validation)]
    outputs = {
        label: label_index(network, label) for rows in (train, validation) for label in set(feature_labels(rows))
    }
    targets = [np.array([outputs[label] for label in rows["label"]]) for rows in (train, validation)]
    key = [digest(network), joblib.hash([inputs, targets]), asdict(recipe)]
    return fit(network, inputs, targets, recipe, key, cache=cache, progress=progress)


def predict_tracks(network, features):
    """Scores of every row of a feature table.

    Parameters
    ----------
    network : keras.Model
        From `fit_track_network`.
    features : pandas.DataFrame [rows]
        From `track_features`, or published ones; labels are not needed.

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
        If it is not a network on track features.
    UnknownLabelError
        If a class has the name of a column.
    """
    scores = outputs_of(network, feature_values(features, features_of(network))).astype(np.float64)
    index = features.index.to_frame(index=False)
    index.columns = ["clip", "start"][: index.shape[1]]
    known = features.drop(columns=[name for name in index if name in features]).reset_index(drop=True)
    about = pd.concat([index, known], axis=1).assign(silent=features["rms_mean"].to_numpy() == 0)
    return prediction_table(about, scores, labels_of(network))


def classify_tracks(train, test, recipe=None, *, seed=0, cache=True, progress=True, **options):
    """Predictions for some rows by a network that was trained on others: one turn of a cross-validation.

    Parameters
    ----------
    train, test : pandas.DataFrame [rows]
        Features with `label`. The test rows take no part in the training or in the scaling.
    recipe : Recipe, optional
        `track_recipe` of the seed by default.
    seed : int
    cache, progress : bool
        As in `fit_track_network`.
    **options
        Further ones of `track_network`.

    Returns
    -------
    pandas.DataFrame [test rows]
        As `predict_tracks` returns it.

    Raises
    ------
    AudioInterpError
        As the steps raise it.

    Examples
    --------
    >>> turns = [classify_tracks(rows[rows["fold"] != fold], rows[rows["fold"] == fold]) for fold in range(1, 6)]
    >>> accuracy(pd.concat(turns))
    """
    network, recipe = track_network(train, seed=seed, **options), recipe or track_recipe(seed)
    trained, _ = fit_track_network(network, train, test, recipe, cache=cache, progress=progress)
    return predict_tracks(trained, test)
