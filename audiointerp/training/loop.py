"""The training loop: its recipe, its progress table, its cache, and going on after an interruption."""

import time
import warnings
from contextlib import contextmanager
from functools import partial

import numpy as np
import pandas as pd
import tensorflow as tf
from tqdm import tqdm

from ..errors import WeightsError
from ..networks.backend import in_float32, keras
from ..networks.copying import copy_of
from ..networks.precision import float32_of
from ..networks.running import quiet_retracing
from ..networks.saving import load_network, save_network
from ..storage.cache import write_whole
from ..storage.fingerprints import fingerprint_or_warn
from ..storage.folders import cache_folder

VERSION = 1  # goes up whenever training gives other results than before
NETWORK, HISTORY = "network.keras", "history.csv"
STATE, PARTIAL = "state.keras", "state.csv"
BATCH = 64


@in_float32()
def fit(
    network,
    inputs,
    targets,
    recipe,
    key,
    *,
    loss="sparse_categorical_crossentropy",
    augment=None,
    cache=True,
    progress=True,
):
    """Train a copy of a network on arrays and report as the MathWorks example does.

    The result is cached under `key`, all that it depends on. Each finished epoch is kept as well: after an interruption
    the same call goes on from there, with the result it would have had.

    Inputs and targets are pairs, for training and validation: inputs anything with a shape that gives arrays when it is
    indexed, or a function that returns the pair; targets numbers of classes, or distributions over them. `augment`
    makes each training batch from the numbers of its rows and a generator, in place of indexing. Network and history
    are returned, as by `fine_tune`.
    """
    network = float32_of(network)
    key = fingerprint_or_warn([VERSION, key]) if cache else None
    cache = key is not None
    folder = cache_folder(f"networks/{network.name}-{key[:16]}") if cache else None
    iterations = len(targets[0]) // min(recipe.batch_size, len(targets[0])) * recipe.epochs
    finished = _finished(folder, iterations) if cache else None
    if finished:
        if progress:
            print("Trained before; from the cache:")
            print_progress(finished[1], recipe.validate_every)
        return finished
    arrays = inputs() if callable(inputs) else inputs
    train = partial(_train, network, arrays, targets, recipe, loss, augment, folder, progress)
    with quiet_retracing():
        try:
            with one_after_another():
                learner, history = train()
        except tf.errors.UnimplementedError:  # before the first step: TensorFlow has rewritten a large sum in its way
            with one_after_another(rewritten=False):
                learner, history = train()
    trained = copy_of(network, learner)  # without the optimizer
    if cache:
        write_whole(folder / HISTORY, lambda path: history.to_csv(path, index=False))
        save_network(trained, folder / NETWORK)
        for file in (STATE, PARTIAL):
            (folder / file).unlink(missing_ok=True)
    return trained, history


@contextmanager
def one_after_another(*, rewritten=True):
    """Operations run one after another while this lasts, each on all cores.

    Side by side, TensorFlow adds up gradients in an order of chance: one seed would not give one result. Rewritten to
    save memory, some large sums are a kind of variable that cannot run so (`tensorflow.errors.UnimplementedError`):
    then ask for what is not `rewritten`. Warns with a RuntimeWarning if this TensorFlow has no way to do so.
    """
    try:
        from tensorflow.python.eager.context import function_executor_type as executor
    except ImportError:
        text = "this TensorFlow cannot be told to run operations one after another: one seed may not give one result. "
        warnings.warn(text + "Set TF_NUM_INTEROP_THREADS=1 before Python starts.", RuntimeWarning, stacklevel=3)
        yield
        return
    before = tf.config.optimizer.get_experimental_options()
    try:
        if not rewritten:
            tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
        with executor("SINGLE_THREADED_EXECUTOR"):
            yield
    finally:
        if not rewritten:
            before = {"disable_meta_optimizer": False} | before
            tf.config.optimizer.set_experimental_options(before)


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


def _train(network, inputs, targets, recipe, loss, augment, folder, progress):
    """Train a copy of `network`; after every epoch it and its optimizer go to `folder`."""
    learner, rows = _resume(folder) if folder else (None, [])
    if learner is None:
        learner = copy_of(network)
        learner.compile(keras.optimizers.Adam(), loss, metrics=["accuracy"])
        # With all variables there, the first step is traced once instead of twice.
        learner.optimizer.build(learner.trainable_variables)
        learner.compute_metrics(None, targets[0][:1], np.zeros((1, learner.output_shape[-1]), np.float32))
    elif progress:
        print(f"Interrupted before; going on after epoch {rows[-1]['epoch']}.")
    size = min(recipe.batch_size, len(targets[0]))
    batches = len(targets[0]) // size
    total = batches * recipe.epochs
    started = time.perf_counter() - (rows[-1]["elapsed"] if rows else 0)
    bar = tqdm(total=total, initial=len(rows), desc="training", unit="batch", leave=False, disable=not progress)
    headed = False
    for epoch in range(len(rows) // batches, recipe.epochs):
        rate = recipe.learning_rate * recipe.drop_factor ** (epoch // recipe.drop_period)
        learner.optimizer.learning_rate = rate
        rng = np.random.default_rng([recipe.seed, epoch])
        order = rng.permutation(len(targets[0]))
        for batch in order[: batches * size].reshape(batches, size):
            batch.sort()
            learner.reset_metrics()
            given = augment(batch, rng) if augment else (inputs[0][batch], targets[0][batch])
            batch_loss, share = learner.train_on_batch(*given)
            row = {"epoch": epoch + 1, "iteration": len(rows) + 1, "elapsed": 0.0, "batch_accuracy": float(share)}
            row |= {"validation_accuracy": np.nan, "batch_loss": float(batch_loss), "validation_loss": np.nan}
            if _reported(row, recipe.validate_every, total):
                row["validation_loss"], row["validation_accuracy"] = _validate(learner, inputs[1], targets[1])
            validated = [row["validation_loss"]] if _reported(row, recipe.validate_every, total) else []
            if not np.isfinite([batch_loss, *validated]).all():
                raise _diverged(row, rate, folder)
            row |= {"elapsed": time.perf_counter() - started, "learning_rate": rate}
            rows.append(row)
            bar.update()
            if progress and _reported(row, recipe.validate_every, total):
                bar.clear()
                print(*([] if headed else [RULE, HEADING, RULE]), _line(row), sep="\n")
                headed = True
        if folder:
            write_whole(folder / PARTIAL, pd.DataFrame(rows).to_csv)
            save_network(learner, folder / STATE)
    bar.close()
    if not all(np.isfinite(weight).all() for weight in learner.get_weights()):
        raise _diverged(rows[-1], rate, folder)
    if progress:
        print(RULE)
    return learner, pd.DataFrame(rows)


def _diverged(row, rate, folder):
    """The error to raise when a loss or a weight is no number; nothing of the training is kept."""
    for file in (STATE, PARTIAL) if folder else ():
        (folder / file).unlink(missing_ok=True)
    return WeightsError(
        f"the training diverged at iteration {row['iteration']} (epoch {row['epoch']}, learning rate {rate:g}): its "
        "loss or a weight is NaN or infinite. Nothing was kept. Take a smaller learning rate, or look for values in "
        "the patches that are far larger than the others."
    )


def _finished(folder, iterations):
    """The trained network and its history from the cache, or None."""
    if not ((folder / HISTORY).is_file() and (folder / NETWORK).is_file()):
        return None
    try:
        trained, history = load_network(folder / NETWORK), pd.read_csv(folder / HISTORY, float_precision="round_trip")
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
        rows = pd.read_csv(folder / PARTIAL, index_col=0, float_precision="round_trip").to_dict("records")
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
