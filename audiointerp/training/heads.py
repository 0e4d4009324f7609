"""Heads: one dense layer on embeddings, trained until it has converged."""

import time
import warnings

import joblib
import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import log_softmax
from sklearn.model_selection import StratifiedGroupKFold
from threadpoolctl import threadpool_limits
from tqdm import tqdm

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # C: the larger, the weaker the penalty; on standardised embeddings
FALLBACK = 1e-2  # where fewer than two classes have a second recording to try C on
PARTS = 3
MOST = 3000  # patches that C is chosen on
TOLERANCE = 1e-3  # largest entry of the gradient at the end


@threadpool_limits.wrap(1, "blas")  # the products are so narrow that threads mostly wait for each other
def fit_head(train, validation, outputs, groups, *, validate_every=50, seed=0, progress=True):
    """Multinomial logistic regression on embeddings, as the weights of a dense layer, and how it came about.

    The sum is that of scikit-learn's `LogisticRegression`: the mean cross-entropy and ‖W‖² / 2Cn over standardised
    embeddings, which is convex, so that L-BFGS ends at one result whatever the size of the data. C is the one whose
    cross-entropy is least on parts of the training data that are held out in turn, all of a group together.

    `train` and `validation` are pairs of embeddings [n, features] and numbers of their outputs [n]; `groups` [n] are
    the recordings that the training patches come from. Kernel [features, outputs], bias [outputs], both float32, the
    history as `fine_tune` returns it, where an iteration sees all patches and so is an epoch, and C are returned.
    """
    started = time.perf_counter()
    (x, targets), (held_out, answers) = train, validation
    centre, scale = x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64)
    scale[scale == 0] = 1.0
    x, held_out = (((part - centre) / scale).astype(np.float32) for part in (x, held_out))
    strength = _chosen(x, targets, outputs, np.asarray(groups), seed, progress)
    rows = []

    def note(weights):
        row = {"epoch": len(rows) + 1, "iteration": len(rows) + 1, "elapsed": time.perf_counter() - started}
        row["batch_accuracy"], row["batch_loss"] = _scored(weights, x, targets, outputs)
        reported = len(rows) % validate_every == 0
        found = _scored(weights, held_out, answers, outputs) if reported else (np.nan, np.nan)
        rows.append(row | {"validation_accuracy": found[0], "validation_loss": found[1], "learning_rate": np.nan})

    weights = _solved(x, targets, outputs, strength, note=note)
    if not rows:  # it was converged before the first step
        note(weights)
    rows[-1]["validation_accuracy"], rows[-1]["validation_loss"] = _scored(weights, held_out, answers, outputs)
    kernel, bias = weights[:-1] / scale[:, None], weights[-1] - (centre / scale) @ weights[:-1]
    columns = ["epoch", "iteration", "elapsed", "batch_accuracy", "validation_accuracy", "batch_loss"]
    history = pd.DataFrame(rows)[[*columns, "validation_loss", "learning_rate"]]
    return kernel.astype(np.float32), bias.astype(np.float32), history, strength


def _chosen(x, targets, outputs, groups, seed, progress):
    """The C that is best on groups that were not learned from; classes of one group alone have no say.

    Neighbouring patches overlap, so every k-th says as much. C then goes down by k: the penalty on a patch is the same.
    """
    thinned = np.arange(0, len(x), -(-len(x) // MOST))
    share = len(thinned) / len(x)
    several = pd.Series(groups[thinned]).groupby(targets[thinned]).nunique()
    several = several[several > 1]
    thinned = thinned[np.isin(targets[thinned], several.index)]
    if len(several) < 2:
        return FALLBACK * share
    x, targets, groups = x[thinned], targets[thinned], groups[thinned]
    folds = StratifiedGroupKFold(min(PARTS, several.min()), shuffle=True, random_state=seed)

    def losses(learned, tested):
        weights, found = None, []
        for strength in STRENGTHS:
            weights = _solved(x[learned], targets[learned], outputs, strength, start=weights)
            found.append(_scored(weights, x[tested], targets[tested], outputs)[1])
        return found

    turns = list(folds.split(x, targets, groups))
    jobs = (joblib.delayed(losses)(*turn) for turn in turns)
    found = joblib.Parallel(n_jobs=-1, prefer="threads", return_as="generator")(jobs)
    found = list(tqdm(found, "head", len(turns), unit="part", leave=False, delay=2, disable=not progress))
    return STRENGTHS[int(np.argmin(np.mean(found, axis=0)))] * share


def _solved(x, targets, outputs, strength, *, start=None, note=None):
    """Weights [features + 1, outputs], the last row the bias, at which the gradient is 0."""
    n = len(x)
    penalty = 1 / (strength * n)
    rows = np.arange(n)

    def loss_and_gradient(flat):
        weights = flat.reshape(-1, outputs)
        logs = log_softmax(_logits(x, weights), axis=1)
        loss = -logs[rows, targets].mean(dtype=np.float64) + penalty / 2 * (weights[:-1] ** 2).sum()
        errors = np.exp(logs)
        errors[rows, targets] -= 1
        gradient = np.vstack([x.T @ errors / n + penalty * weights[:-1], errors.mean(axis=0, dtype=np.float64)])
        return loss, gradient.ravel().astype(np.float64)

    start = np.zeros((x.shape[1] + 1, outputs)) if start is None else start
    callback = None if note is None else lambda flat: note(flat.reshape(-1, outputs))
    options = {"maxiter": 2000, "gtol": TOLERANCE, "ftol": 0.0}
    found = minimize(loss_and_gradient, start.ravel(), jac=True, method="L-BFGS-B", callback=callback, options=options)
    if (steepest := np.abs(found.jac).max()) > 10 * TOLERANCE:
        warnings.warn(
            f"the head has not converged: its gradient is still {steepest:.2g}.", RuntimeWarning, stacklevel=3
        )
    return found.x.reshape(-1, outputs)


def _logits(x, weights):
    return x @ weights[:-1].astype(np.float32) + weights[-1].astype(np.float32)


def _scored(weights, x, targets, outputs):
    """Accuracy and mean cross-entropy."""
    logs = log_softmax(_logits(x, weights), axis=1)
    return (logs.argmax(axis=1) == targets).mean(), -logs[np.arange(len(x)), targets].mean()
