"""Fine-tuning: the MathWorks recipe, its progress table, resuming, and heads trained on cached embeddings."""

import time
from dataclasses import asdict, dataclass

import joblib
import keras
import numpy as np
import pandas as pd
from tqdm import tqdm

from .cache import cached_array, write_whole
from .errors import MissingDataError, WeightsError
from .networks.heads import check_patches, digest, label_index, labels_of, load_network, outputs_of, save_network
from .settings import cache_folder


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; the defaults are those of the MathWorks example.

    Parameters
    ----------
    epochs : int
    batch_size : int
    learning_rate : float
        Of Adam in the first epoch; 1e-3 suits pretrained weights, 1e-4 random ones.
    drop_factor, drop_period : float, int
        The rate is multiplied by the factor every so many epochs.
    validate_every : int
        Iterations between two validations; one more closes the training.
    trainable : {"all", "head"}
        The whole network, or only the new dense layer `FCFinal` on embeddings computed once.
    seed : int
        Orders the patches of each epoch.
    """

    epochs: int = 5
    batch_size: int = 128
    learning_rate: float = 1e-3
    drop_factor: float = 0.5
    drop_period: int = 2
    validate_every: int = 50
    trainable: str = "all"
    seed: int = 0


def fine_tune(network, train, validation, recipe=None, *, cache=True, verbose=True):
    """Train a network on patches and report as the MathWorks example does.

    The result is cached under the network's weights, the patches and the recipe. Each finished epoch is kept as well:
    after an interruption the same call goes on from there, with the result it would have had.

    Parameters
    ----------
    network : keras.Model [(n, frames, mels, 1) -> (n, classes)]
        Left as it is; its class names must hold every label of the patches.
    train, validation : Patches
    recipe : Recipe, optional
    cache : bool
        Serve and keep the result in the cache.
    verbose : bool
        Print the progress table and show a bar.

    Returns
    -------
    network : keras.Model
        The trained copy.
    history : pandas.DataFrame
        One row an iteration: `epoch`, `iteration`, `elapsed` (s), `batch_accuracy`, `validation_accuracy`,
        `batch_loss`, `validation_loss` (both NaN where there was no validation), `learning_rate`.

    Raises
    ------
    PatchShapeError
        If the network does not take the patches.
    MissingDataError
        If there are none.
    UnknownLabelError
        If they have a label the network does not know.

    References
    ----------
    MathWorks, "Investigate audio classifications using deep learning interpretability techniques".
    """
    recipe = recipe or Recipe()
    for patches, use in ((train, "train on"), (validation, "validate with")):
        check_patches(network, patches)
        if len(patches) == 0:
            raise MissingDataError(f"no patches to {use}. Check the split, and whether every clip is silent.")
    outputs = {label: label_index(network, label) for p in (train, validation) for label in np.unique(p.label)}
    targets = [np.array([outputs[label] for label in p.label]) for p in (train, validation)]
    key = joblib.hash([digest(network), train.digest, validation.digest, asdict(recipe)])
    folder = cache_folder(f"networks/{network.name}-{key[:16]}") if cache else None
    iterations = len(train) // min(recipe.batch_size, len(train)) * recipe.epochs
    finished = _finished(folder, iterations) if cache else None
    if finished:
        if verbose:
            print("Trained before; from the cache:")
            print_progress(finished[1], recipe.validate_every)
        return finished
    trained = keras.models.clone_model(network)
    if recipe.trainable == "head":
        inputs = [embed(network, patches, cache=cache) for patches in (train, validation)]
        learner, history = _train(_head_of(network), inputs, targets, recipe, folder, verbose)
        trained.set_weights(network.get_weights())
        trained.get_layer(HEAD).set_weights(learner.get_layer(HEAD).get_weights())
    elif recipe.trainable == "all":
        inputs = [patches.data[..., None] for patches in (train, validation)]
        learner, history = _train(network, inputs, targets, recipe, folder, verbose)
        trained.set_weights(learner.get_weights())
    else:
        raise ValueError(f"trainable={recipe.trainable!r}: expected 'all' or 'head'.")
    if cache:
        write_whole(folder / HISTORY, lambda path: history.to_csv(path, index=False))
        save_network(trained, folder / NETWORK)
        for name in (STATE, PARTIAL):
            (folder / name).unlink(missing_ok=True)
    return trained, history


NETWORK, HISTORY = "network.keras", "history.csv"
STATE, PARTIAL = "state.keras", "state.csv"
HEAD = "FCFinal"
BATCH = 64


def embed(network, patches, *, batch_size=64, cache=True):
    """What the layer before `FCFinal` gives for each patch.

    Parameters
    ----------
    network : keras.Model
        With a head from `add_head`.
    patches : Patches [n]
    batch_size : int
    cache : bool

    Returns
    -------
    numpy.ndarray [n, features], float32
    """
    check_patches(network, patches)
    body = keras.Model(network.input, network.get_layer(HEAD).input, name=network.name)

    def compute():
        return outputs_of(body, patches.data, batch_size=batch_size, title="embeddings")

    return cached_array("embeddings", [digest(body), patches.digest], compute) if cache else compute()


def print_progress(history, validate_every=50):
    """Print the rows of the table that the MathWorks example prints: the first, every validation, the last.

    Parameters
    ----------
    history : pandas.DataFrame
        From `fine_tune`.
    validate_every : int
    """
    print(RULE, HEADING, RULE, sep="\n")
    for row in history.to_dict("records"):
        if _reported(row, validate_every, len(history)):
            print(_line(row))
    print(RULE)


RULE = "|" + "=" * 92 + "|"
HEADING = (
    "| Epoch | Iteration | Elapsed |  Batch   | Validation |  Batch  | Validation | Base learning |\n"
    "|       |           | (m:ss)  | accuracy |  accuracy  |  loss   |    loss    |     rate      |"
)


def _line(row):
    minutes, seconds = divmod(int(row["elapsed"]), 60)
    accuracy, loss = row["validation_accuracy"], row["validation_loss"]
    return (
        f"| {row['epoch']:5.0f} | {row['iteration']:9.0f} | {minutes:4d}:{seconds:02d} | {row['batch_accuracy']:8.2%} "
        f"| {'' if np.isnan(accuracy) else f'{accuracy:.2%}':>10} | {row['batch_loss']:7.4f} "
        f"| {'' if np.isnan(loss) else f'{loss:.4f}':>10} | {row['learning_rate']:13.2e} |"
    )


def _reported(row, validate_every, last):
    return row["iteration"] in (1, last) or row["iteration"] % validate_every == 0


def _train(network, inputs, targets, recipe, folder, verbose):
    """Train a copy of `network`; after every epoch it and its optimizer go to `folder`."""
    learner, rows = _resume(folder) if folder else (None, [])
    if learner is None:
        learner = keras.models.clone_model(network)
        learner.set_weights(network.get_weights())
        learner.compile(keras.optimizers.Adam(), "sparse_categorical_crossentropy", metrics=["accuracy"])
    elif verbose:
        print(f"Interrupted before; going on after epoch {rows[-1]['epoch']}.")
    size = min(recipe.batch_size, len(targets[0]))
    batches = len(targets[0]) // size
    total = batches * recipe.epochs
    started = time.perf_counter() - (rows[-1]["elapsed"] if rows else 0)
    bar = tqdm(total=total, initial=len(rows), desc="training", unit="batch", leave=False, disable=not verbose)
    if verbose:
        print(RULE, HEADING, RULE, sep="\n")
    for epoch in range(len(rows) // batches, recipe.epochs):
        rate = recipe.learning_rate * recipe.drop_factor ** (epoch // recipe.drop_period)
        learner.optimizer.learning_rate = rate
        order = np.random.default_rng([recipe.seed, epoch]).permutation(len(targets[0]))
        for batch in order[: batches * size].reshape(batches, size):
            batch.sort()
            learner.reset_metrics()
            loss, share = learner.train_on_batch(inputs[0][batch], targets[0][batch])
            row = {"epoch": epoch + 1, "iteration": len(rows) + 1, "elapsed": 0.0, "batch_accuracy": float(share)}
            row |= {"validation_accuracy": np.nan, "batch_loss": float(loss), "validation_loss": np.nan}
            if _reported(row, recipe.validate_every, total):
                row["validation_loss"], row["validation_accuracy"] = _validate(learner, inputs[1], targets[1])
            row |= {"elapsed": time.perf_counter() - started, "learning_rate": rate}
            rows.append(row)
            bar.update()
            if verbose and _reported(row, recipe.validate_every, total):
                bar.clear()
                print(_line(row))
        if folder:
            write_whole(folder / PARTIAL, pd.DataFrame(rows).to_csv)
            save_network(learner, folder / STATE)
    bar.close()
    if verbose:
        print(RULE)
    return learner, pd.DataFrame(rows)


def _finished(folder, iterations):
    """The trained network and its history from the cache, or None."""
    if not ((folder / HISTORY).is_file() and (folder / NETWORK).is_file()):
        return None
    try:
        trained, history = load_network(folder / NETWORK), pd.read_csv(folder / HISTORY)
        if len(history) != iterations:
            raise ValueError(f"{HISTORY} has {len(history)} of {iterations} rows")
        return trained, history
    except (WeightsError, ValueError) as error:
        print(f"The trained network in the cache cannot be read ({error}); it is trained again.")
        return None


def _resume(folder):
    """The learner and its history as the last finished epoch left them, or (None, [])."""
    if not (folder / STATE).is_file():
        return None, []
    try:
        learner = keras.saving.load_model(folder / STATE)
        rows = pd.read_csv(folder / PARTIAL, index_col=0).to_dict("records")
        done = int(learner.optimizer.iterations)
        if len(rows) < done:
            raise ValueError(f"{PARTIAL} has {len(rows)} of {done} rows")
        return learner, rows[:done]
    except Exception as error:
        print(f"The state of an interrupted training cannot be read ({error}); it starts again.")
        return None, []


def _validate(learner, inputs, targets):
    """Mean loss and accuracy, as if in one batch."""
    sums = np.zeros(2)
    for start in range(0, len(targets), BATCH):
        part = slice(start, start + BATCH)
        learner.reset_metrics()
        sums += np.array(learner.test_on_batch(inputs[part], targets[part])) * len(targets[part])
    return sums / len(targets)


def _head_of(network):
    """The layers after the embedding as a network of their own, with copied weights."""
    features = keras.Input(network.get_layer(HEAD).input.shape[1:])
    dense = keras.layers.Dense(len(labels_of(network)), name=HEAD)
    head = keras.Model(features, keras.layers.Softmax()(dense(features)), name="head")
    dense.set_weights(network.get_layer(HEAD).get_weights())
    return head
