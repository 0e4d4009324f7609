"""The training loop on plain arrays: its batches, rates, table and cache, and going on after an interruption."""

import sys
from contextlib import contextmanager
from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from audiointerp.errors import WeightsError
from audiointerp.networks.soundnet import soundnet
from audiointerp.training import loop as fitting
from audiointerp.training.loop import fit, one_after_another, print_progress
from audiointerp.training.recipes import Recipe

COLUMNS = ["epoch", "iteration", "elapsed", "batch_accuracy", "validation_accuracy"]


COLUMNS += ["batch_loss", "validation_loss", "learning_rate"]


RECIPE = Recipe(epochs=3, batch_size=10, learning_rate=1e-3, validate_every=5)


def build(seed=0):
    start = keras.initializers.GlorotUniform
    inputs = keras.Input((6,))
    x = keras.layers.Dense(8, activation="tanh", kernel_initializer=start(seed))(inputs)
    x = keras.layers.Dense(3, activation="softmax", kernel_initializer=start(seed + 1))(x)
    return keras.Model(inputs, x, name="tiny")


@pytest.fixture
def network():
    return build()


@pytest.fixture
def inputs(rng):
    """43 rows to train on, 70 to validate with: more than one batch of either."""
    return [rng.normal(size=(n, 6)).astype(np.float32) for n in (43, 70)]


@pytest.fixture
def targets(inputs):
    return [rows[:, :3].argmax(axis=1) for rows in inputs]


@pytest.fixture
def steps(monkeypatch):
    """What each training step was given."""
    taken = []
    original = keras.Model.train_on_batch

    def counted(self, x, y, *rest, **options):
        taken.append((np.array(x), np.array(y), float(np.asarray(self.optimizer.learning_rate))))
        return original(self, x, y, *rest, **options)

    monkeypatch.setattr(keras.Model, "train_on_batch", counted)
    return taken


def weights_equal(one, two, atol=0.0):
    return all(np.allclose(a, b, rtol=0, atol=atol) for a, b in zip(one.get_weights(), two.get_weights(), strict=True))


def cross_entropy(network, rows, own):
    scores = network.predict(rows, verbose=0).astype(np.float64)
    return -np.log(scores[np.arange(len(own)), own]).mean()


def share(network, rows, own):
    return (network.predict(rows, verbose=0).argmax(axis=1) == own).mean()


def test_batches_are_whole_ones_in_a_new_order_each_epoch(network, inputs, targets, steps):
    _, history = fit(network, inputs, targets, RECIPE, "key", progress=False)
    assert [len(rows) for rows, *_ in steps] == [10] * 12  # three epochs of floor(43 / 10)
    assert list(history.columns) == COLUMNS
    assert list(history["iteration"]) == list(range(1, 13))
    assert list(history["epoch"]) == [1] * 4 + [2] * 4 + [3] * 4
    known = {row.tobytes(): number for number, row in enumerate(inputs[0])}
    for rows, own, _ in steps:
        np.testing.assert_array_equal(own, targets[0][[known[row.tobytes()] for row in rows]])
    epochs = [[known[row.tobytes()] for rows, *_ in steps[i : i + 4] for row in rows] for i in (0, 4, 8)]
    for epoch in epochs:
        assert len(set(epoch)) == 40
    assert len({frozenset(epoch) for epoch in epochs}) > 1


def test_fewer_rows_than_a_batch_are_one_batch(network, inputs, targets, steps):
    few = [rows[:7] for rows in inputs], [own[:7] for own in targets]
    _, history = fit(network, *few, Recipe(epochs=2), "key", progress=False)
    assert [len(rows) for rows, *_ in steps] == [7, 7] and len(history) == 2


def test_learning_rate_is_halved_every_two_epochs(network, inputs, targets, steps):
    recipe = Recipe(epochs=5, learning_rate=4e-3, batch_size=20)
    _, history = fit(network, inputs, targets, recipe, "key", progress=False)
    expected = np.repeat([4e-3, 4e-3, 2e-3, 2e-3, 1e-3], 2)
    np.testing.assert_allclose([rate for *_, rate in steps], expected, rtol=1e-6)
    np.testing.assert_allclose(history["learning_rate"], expected)


@pytest.mark.parametrize("loss", ["sparse_categorical_crossentropy", "kl_divergence"])
def test_one_step_is_a_step_of_adam(network, inputs, targets, loss):
    """The first step of Adam moves each weight by the rate, against the gradient of the loss."""
    rows, own = inputs[0], targets[0]
    goal = np.eye(3, dtype=np.float32)[own]
    if loss == "kl_divergence":
        targets = [0.7 * np.eye(3, dtype=np.float32)[each] + 0.1 for each in targets]
        goal = targets[0]
    recipe = Recipe(epochs=1, learning_rate=1e-2)
    trained, history = fit(network, inputs, targets, recipe, "key", loss=loss, cache=False, progress=False)
    with tf.GradientTape() as tape:
        value = tf.reduce_mean(-tf.reduce_sum(goal * tf.math.log(network(rows)), axis=1))
    gradients = tape.gradient(value, [weight.value for weight in network.trainable_weights])
    moved = 0
    for before, after, gradient in zip(network.get_weights(), trained.get_weights(), gradients, strict=True):
        clear = np.abs(gradient) > 1e-3
        np.testing.assert_allclose((after - before)[clear], -1e-2 * np.sign(gradient)[clear], rtol=1e-2)
        moved += clear.sum()
    assert moved > 50
    entropy = -np.sum(goal * np.log(np.maximum(goal, 1e-12)), axis=1).mean()  # 0 for classes
    assert history["batch_loss"][0] == pytest.approx(float(value) - entropy, abs=1e-5)
    assert history["batch_accuracy"][0] == pytest.approx(share(network, rows, own))


def test_validation_is_the_first_every_few_and_the_last(network, inputs, targets):
    trained, history = fit(network, inputs, targets, RECIPE, "key", progress=False)
    validated = history["validation_accuracy"].notna()
    assert list(history["iteration"][validated]) == [1, 5, 10, 12]
    assert (history["validation_loss"].notna() == validated).all()
    assert history["batch_loss"].notna().all() and history["batch_accuracy"].between(0, 1).all()
    last = history.iloc[-1]
    assert last["validation_accuracy"] == pytest.approx(share(trained, inputs[1], targets[1]), abs=1e-6)
    assert last["validation_loss"] == pytest.approx(cross_entropy(trained, inputs[1], targets[1]), abs=1e-5)


def test_first_batch_is_reported_as_the_untrained_network_sees_it(network, inputs, targets, steps):
    _, history = fit(network, inputs, targets, RECIPE, "key", progress=False)
    rows, own, _ = steps[0]
    assert history["batch_loss"][0] == pytest.approx(cross_entropy(network, rows, own), abs=1e-5)
    assert history["batch_accuracy"][0] == pytest.approx(share(network, rows, own))


def test_it_learns_and_the_given_network_stays(network, inputs, targets):
    before = [weight.copy() for weight in network.get_weights()]
    recipe = Recipe(epochs=30, batch_size=10, learning_rate=2e-2, drop_period=100)
    trained, history = fit(network, inputs, targets, recipe, "key", progress=False)
    assert history["validation_accuracy"].iloc[-1] > 0.75 > 0.6 > history["validation_accuracy"].iloc[0]
    for old, new in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert trained.name == "tiny" and not weights_equal(trained, network, 1e-2)
    assert not trained.compiled and not network.compiled


def test_the_seed_decides(network, inputs, targets):
    runs = []
    for seed in (1, 1, 2):
        recipe = Recipe(epochs=1, batch_size=10, seed=seed)
        runs.append(fit(network, inputs, targets, recipe, "key", cache=False, progress=False)[0])
    assert weights_equal(runs[0], runs[1], 1e-6)
    assert not weights_equal(runs[0], runs[2], 1e-4)


class Cut:
    """Rows that are made when they are asked for, as waveforms of patches are."""

    def __init__(self, rows):
        self.rows, self.shape, self.asked = rows, rows.shape, []

    def __getitem__(self, rows):
        self.asked.append(rows)
        return self.rows[rows]


def test_inputs_may_be_made_when_they_are_indexed(network, inputs, targets):
    trained, history = fit(network, inputs, targets, RECIPE, "key", cache=False, progress=False)
    made = [Cut(rows) for rows in inputs]
    again, same = fit(network, made, targets, RECIPE, "key", cache=False, progress=False)
    assert weights_equal(trained, again, 1e-6)
    pd.testing.assert_frame_equal(same.drop(columns="elapsed"), history.drop(columns="elapsed"), atol=1e-6)
    assert all((np.diff(rows) > 0).all() for rows in made[0].asked) and len(made[0].asked) == 12  # read in order
    assert len(made[1].asked) == 4 * 2  # four validations of 70 rows


def test_the_result_is_cached_under_the_key_and_inputs_are_not_read_then(network, inputs, targets, steps, capsys):
    read = []

    def given():
        read.append(1)
        return inputs

    trained, history = fit(network, given, targets, RECIPE, ["key", 1], progress=False)
    assert read == [1] and len(steps) == 12 and capsys.readouterr().out == ""
    again, served = fit(network, given, targets, RECIPE, ["key", 1])
    assert read == [1] and len(steps) == 12
    printed = capsys.readouterr().out
    print_progress(history, 5)
    assert printed == "Trained before; from the cache:\n" + capsys.readouterr().out
    assert weights_equal(again, trained)
    pd.testing.assert_frame_equal(served, history)
    fit(network, given, targets, RECIPE, ["key", 2], progress=False)
    assert read == [1, 1] and len(steps) == 24


def test_without_cache_nothing_is_kept(network, inputs, targets, own_cache, steps):
    for _ in range(2):
        fit(network, inputs, targets, replace(RECIPE, epochs=1), "key", cache=False, progress=False)
    assert len(steps) == 8
    assert not [path for path in own_cache.rglob("*") if path.is_file()]


def test_the_cache_holds_the_network_without_its_optimizer(network, inputs, targets, own_cache):
    fit(network, inputs, targets, RECIPE, "key", progress=False)
    files = sorted(path for path in own_cache.rglob("*") if path.is_file())
    assert [path.name for path in files] == ["history.csv", "network.keras"]
    assert files[0].parent.name.startswith("tiny-")
    network.save(own_cache / "plain.keras")
    assert files[1].stat().st_size < 1.2 * (own_cache / "plain.keras").stat().st_size


@pytest.mark.parametrize("after", [2, 4, 6, 11])
def test_an_interrupted_training_goes_on_to_the_same_result(network, inputs, targets, interrupt, capsys, after):
    expected, expected_history = fit(network, inputs, targets, RECIPE, "key", cache=False, progress=False)
    taken = interrupt(after)
    with pytest.raises(RuntimeError, match="interrupted"):
        fit(network, inputs, targets, RECIPE, "key", progress=False)
    resumed, history = fit(network, inputs, targets, RECIPE, "key")
    finished = after // 4
    assert (f"going on after epoch {finished}." in capsys.readouterr().out) == (finished > 0)
    assert len(taken) == after + 12 - 4 * finished
    assert weights_equal(resumed, expected, 1e-5)
    kept = [column for column in COLUMNS if column != "elapsed"]
    pd.testing.assert_frame_equal(history[kept], expected_history[kept], atol=1e-5, rtol=1e-5)
    assert history["elapsed"].is_monotonic_increasing


def test_augmented_batches_are_drawn_anew_each_epoch_and_the_same_after_an_interruption(
    network, inputs, targets, steps, interrupt
):
    def augment(rows, rng):
        return inputs[0][rows] + rng.normal(size=(len(rows), 6)).astype(np.float32), targets[0][rows]

    options = {"augment": augment, "progress": False}
    expected, _ = fit(network, inputs, targets, RECIPE, "key", cache=False, **options)
    given = [x for x, _, _ in steps]
    assert not any(np.array_equal(given[0], other) for other in given[1:])
    interrupt(6)
    with pytest.raises(RuntimeError, match="interrupted"):
        fit(network, inputs, targets, RECIPE, "key", **options)
    resumed, _ = fit(network, inputs, targets, RECIPE, "key", **options)
    assert weights_equal(resumed, expected, 1e-5)


@contextmanager
def full_disk(monkeypatch, when):
    """Saving a network fails while this lasts, when the names of those saved so far say so."""
    original, saved = fitting.save_network, []

    def save(network, path):
        saved.append(path.name)
        if when(saved):
            raise OSError(28, "No space left on device")
        return original(network, path)

    with monkeypatch.context() as patch:
        patch.setattr(fitting, "save_network", save)
        yield


def test_interrupted_between_the_history_and_the_state_of_an_epoch(network, inputs, targets, monkeypatch, steps):
    """The history then is an epoch ahead of the network, which counts."""
    expected, expected_history = fit(network, inputs, targets, RECIPE, "key", cache=False, progress=False)
    with full_disk(monkeypatch, lambda saved: len(saved) == 2), pytest.raises(OSError, match="No space left"):
        fit(network, inputs, targets, RECIPE, "key", progress=False)
    steps.clear()
    resumed, history = fit(network, inputs, targets, RECIPE, "key", progress=False)
    assert len(steps) == 8 and list(history["iteration"]) == list(range(1, 13))
    assert weights_equal(resumed, expected, 1e-5)
    np.testing.assert_allclose(history["batch_loss"], expected_history["batch_loss"], atol=1e-5)


def test_interrupted_between_the_history_and_the_network_of_the_end(network, inputs, targets, monkeypatch, steps):
    at_the_end = full_disk(monkeypatch, lambda saved: saved[-1] == "network.keras")
    with at_the_end, pytest.raises(OSError, match="No space left"):
        fit(network, inputs, targets, RECIPE, "key", progress=False)
    assert len(steps) == 12
    _, history = fit(network, inputs, targets, RECIPE, "key", progress=False)
    assert len(steps) == 12 and len(history) == 12


def test_progress_is_printed_as_a_table(network, inputs, targets, capsys):
    _, history = fit(network, inputs, targets, RECIPE, "key")
    printed = capsys.readouterr().out
    print_progress(history, RECIPE.validate_every)
    assert capsys.readouterr().out == printed
    lines = printed.splitlines()
    assert len({len(line) for line in lines}) == 1
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines if ":" in line and "m:ss" not in line
    ]
    assert [row[1] for row in rows] == ["1", "5", "10", "12"]
    for row in rows:
        of = history.iloc[int(row[1]) - 1]
        assert row[0] == str(int(of["epoch"]))
        assert row[3:] == [
            f"{100 * of['batch_accuracy']:.2f}%",
            f"{100 * of['validation_accuracy']:.2f}%",
            f"{of['batch_loss']:.4f}",
            f"{of['validation_loss']:.4f}",
            f"{of['learning_rate']:.2e}",
        ]


def test_elapsed_is_minutes_and_seconds(capsys):
    row = {"epoch": 1, "iteration": 1, "elapsed": 125.9, "batch_accuracy": 0.5, "validation_accuracy": np.nan}
    row |= {"batch_loss": 1.0, "validation_loss": np.nan, "learning_rate": 1e-3}
    print_progress(pd.DataFrame([row]))
    assert "   2:05 |" in capsys.readouterr().out


def test_one_seed_gives_one_result_in_processes_that_have_used_tensorflow_before(network, inputs, targets):
    """What makes training repeatable is set up where training starts, however late that is."""
    recipe = Recipe(epochs=2, batch_size=10, seed=3)
    keras.ops.sum(keras.ops.ones((3, 3)))
    first, second = (fit(network, inputs, targets, recipe, "key", cache=False, progress=False)[0] for _ in range(2))
    for one, two in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_an_unusual_tensorflow_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow.python.eager.context", None)
    with pytest.warns(RuntimeWarning, match="TF_NUM_INTEROP_THREADS=1"), one_after_another():
        pass


def test_one_seed_gives_one_training_of_a_large_network(rng):
    """Its gradients are so large that TensorFlow rewrites their sums; nothing of what that takes stays behind."""
    inputs = rng.normal(0, 0.1, (192, 15_600, 1)).astype(np.float32)
    targets = np.eye(10, dtype=np.float32)[rng.integers(0, 10, 192)]
    network = soundnet([str(number) for number in range(10)], weights="random")
    recipe, before = Recipe(epochs=1, batch_size=96), tf.config.optimizer.get_experimental_options()
    arrays = (inputs, inputs[:8]), (targets, targets[:8])
    options = {"loss": "kl_divergence", "cache": False, "progress": False}
    first, second = (fit(network, *arrays, recipe, "key", **options)[0] for _ in range(2))
    for one, two in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert not tf.config.optimizer.get_experimental_options().get("disable_meta_optimizer", False)
    assert before.items() <= tf.config.optimizer.get_experimental_options().items()


@pytest.mark.parametrize("when", ["the first batch", "the third epoch", "the validation"])
def test_a_training_that_diverges_is_an_error_and_leaves_nothing(network, inputs, targets, own_cache, when):
    def augment(rows, rng):
        calls.append(1)
        late = when == "the third epoch" and len(calls) > 8
        return inputs[0][rows] * (np.nan if when == "the first batch" or late else 1), targets[0][rows]

    calls, given = [], [inputs[0], inputs[1] * (np.nan if when == "the validation" else 1)]
    at = 9 if when == "the third epoch" else 1
    with pytest.raises(
        WeightsError, match=rf"diverged at iteration {at} \(epoch {1 + at // 4}, .*smaller learning rate"
    ):
        fit(network, given, targets, RECIPE, "key", augment=augment, progress=False)
    assert not [path for path in own_cache.rglob("*") if path.is_file()]


def test_weights_that_the_last_step_breaks_are_an_error(network, inputs, targets, own_cache, monkeypatch):
    original = keras.Model.train_on_batch

    def breaking(self, *given, **options):
        found = original(self, *given, **options)
        if int(self.optimizer.iterations) == 12:
            self.layers[-1].kernel.assign(np.full(self.layers[-1].kernel.shape, np.inf))
        return found

    monkeypatch.setattr(keras.Model, "train_on_batch", breaking)
    monkeypatch.setattr(fitting, "_validate", lambda *_: np.zeros(2))
    with pytest.raises(WeightsError, match="diverged at iteration 12"):
        fit(network, inputs, targets, RECIPE, "key", progress=False)
    assert not [path for path in own_cache.rglob("*") if path.is_file()]
