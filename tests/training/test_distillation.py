"""A student that learns from a teacher's scores: what it hears, what it learns, and what it never sees."""

from dataclasses import replace

import joblib
import keras
import numpy as np
import pandas as pd
import pytest
import soundfile
from scipy import stats

from audiointerp.errors import MissingDataError, PatchShapeError, UnknownLabelError
from audiointerp.networks.graph import layer_outputs
from audiointerp.networks.head import add_head, frontend_of, labels_of, with_frontend
from audiointerp.networks.soundnet import CONVOLUTIONS, soundnet
from audiointerp.sound import waveforms
from audiointerp.sound.frontend import SOUNDNET, FrontEnd, WaveformFrontEnd
from audiointerp.sound.patches import Patches, make_patches
from audiointerp.sound.waveforms import PatchWaveforms
from audiointerp.training import distillation
from audiointerp.training.distillation import distill, divergence, student_for, teacher_scores
from audiointerp.training.recipes import Recipe

LABELS = ["low", "middle", "high"]


COLUMNS = ["epoch", "iteration", "elapsed", "batch_accuracy", "validation_accuracy"]


COLUMNS += ["batch_loss", "validation_loss", "learning_rate"]


RECIPE = Recipe(epochs=8, batch_size=16, learning_rate=3e-3, drop_period=4, validate_every=5)


MONO = WaveformFrontEnd(sample_rate=16_000, shortest=0, channel=None)


SMALL = FrontEnd(frames=32, mels=16)


# Low bands speak for the first class, high ones for the last, the middle ones a little for the middle.
RISE = np.linspace(-1, 1, SMALL.mels)


KERNEL = 0.15 * np.stack([-RISE, 0.5 - np.abs(RISE), RISE], axis=1)


def teaching(kernel, labels=LABELS):
    """A teacher whose scores are the softmax of weighted means of the mel bands."""
    inputs = keras.Input((SMALL.frames, SMALL.mels, 1), name="log_mel")
    means = keras.layers.Flatten()(keras.layers.AveragePooling2D((SMALL.frames, 1))(inputs))
    network = add_head(keras.Model(inputs, means, name="teacher"), labels, SMALL)
    network.get_layer("FCFinal").set_weights([kernel.astype(np.float32), np.zeros(len(labels), np.float32)])
    return network


def scores_by_hand(patches, kernel):
    logits = patches.data.astype(float).mean(axis=1) @ kernel
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def teacher():
    return teaching(KERNEL)


@pytest.fixture(scope="module")
def student(teacher):
    return student_for(teacher, width=0.1)


@pytest.fixture(scope="module")
def taught(teacher, student, tone_sets, module_cache):
    """A trained student, its history, and what it was shown in every step; nothing of it is cached."""
    shown, original = [], keras.Model.train_on_batch

    def noted(self, x, y, *rest, **options):
        shown.append((np.array(x), np.array(y)))
        return original(self, x, y, *rest, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.Model, "train_on_batch", noted)
        trained, history = distill(student, teacher, *tone_sets, RECIPE, cache=False, progress=False)
    return trained, history, shown


def weights_equal(one, two, tolerance=0.0):
    pairs = zip(one.get_weights(), two.get_weights(), strict=True)
    return all(np.allclose(a, b, rtol=tolerance, atol=tolerance) for a, b in pairs)


def kl(goal, scores):
    """Kullback-Leibler divergence in nats, term by term."""
    return np.array(
        [sum(p * np.log(p / q) for p, q in zip(*rows, strict=True)) for rows in zip(goal, scores, strict=True)]
    )


def test_student_has_the_labels_of_its_teacher_and_the_layers_of_soundnet(teacher, rng):
    student = student_for(teacher, width=0.25, seed=3)
    assert labels_of(student) == LABELS and frontend_of(student) == MONO
    assert list(layer_outputs(student)) == list(CONVOLUTIONS)
    for name, (taps, filters, *_) in CONVOLUTIONS.items():
        assert student.get_layer(name).kernel_size == (taps,) and student.get_layer(name).filters == filters // 4
    for samples in (5_360, 15_600, 40_000):
        scores = student.predict(rng.normal(0, 0.1, (2, samples, 1)), verbose=0)
        assert scores.shape == (2, 3)
        np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)
    assert weights_equal(student, student_for(teacher, width=0.25, seed=3))
    assert not weights_equal(student, student_for(teacher, width=0.25, seed=4))


def test_teacher_gives_the_scores_that_are_learned(teacher, tone_sets):
    scores = teacher_scores(teacher, tone_sets[0])
    assert scores.dtype == np.float32 and scores.shape == (len(tone_sets[0]), 3)
    np.testing.assert_allclose(scores, scores_by_hand(tone_sets[0], KERNEL), atol=1e-5)
    assert set(scores.argmax(axis=1)) == {0, 2}  # the teacher hears the difference


def test_divergence_is_relative_entropy(teacher, student, tone_sets):
    patches = tone_sets[1]
    found = divergence(teacher, student, patches)
    goal = teacher_scores(teacher, patches)
    scores = student.predict(PatchWaveforms(patches, MONO)[:], verbose=0)
    assert found.shape == (len(patches),)
    np.testing.assert_allclose(found, stats.entropy(goal.astype(float), scores.astype(float), axis=1), atol=1e-5)
    np.testing.assert_allclose(found, kl(goal, scores), atol=1e-5)
    assert (found > 0.01).any() and (found >= -1e-6).all()


def test_divergence_of_scores_that_are_zero_is_finite(teacher, tone_sets):
    certain, student = teaching(1_000 * KERNEL), student_for(teacher, width=0.1)
    goal = teacher_scores(certain, tone_sets[1])
    assert (goal == 0).any() and (goal == 1).any()
    found, scores = (
        divergence(certain, student, tone_sets[1]),
        student.predict(PatchWaveforms(tone_sets[1], MONO)[:], verbose=0),
    )
    np.testing.assert_allclose(found, stats.entropy(goal.astype(float), scores.astype(float), axis=1), atol=1e-5)
    head = student.get_layer("FCFinal")
    head.set_weights([0 * head.get_weights()[0], np.array([-1e4, 0, 1e4], np.float32)])
    never = divergence(certain, student, tone_sets[1])
    low = goal.argmax(axis=1) == 0
    np.testing.assert_allclose(never[low], -np.log(1e-7), atol=1e-3)  # as if the score were 1e-7
    np.testing.assert_allclose(never[~low], 0, atol=1e-3)


def test_a_student_learns_what_its_teacher_hears(teacher, student, tone_sets, taught):
    _, held_out = tone_sets
    goals = [teacher_scores(teacher, patches) for patches in tone_sets]
    before = divergence(teacher, student, held_out).mean()
    after = divergence(teacher, taught[0], held_out).mean()
    always_the_mean = kl(goals[1], np.repeat(goals[0].mean(axis=0, keepdims=True), len(held_out), axis=0)).mean()
    assert after < 0.5 * min(before, always_the_mean)
    assert weights_equal(student, student_for(teacher, width=0.1))  # left as it was
    assert labels_of(taught[0]) == LABELS and frontend_of(taught[0]) == MONO
    last = taught[1].iloc[-1]
    assert last["validation_loss"] == pytest.approx(after, rel=1e-3)
    scores = taught[0].predict(PatchWaveforms(held_out, MONO)[:], verbose=0)
    same = (scores.argmax(axis=1) == goals[1].argmax(axis=1)).mean()
    assert last["validation_accuracy"] == pytest.approx(same, abs=1e-6) and same > 0.85


def test_history_begins_before_the_training(teacher, student, tone_sets, taught):
    history, batches = taught[1], len(tone_sets[0]) // 16
    assert list(history.columns) == COLUMNS
    assert list(history["iteration"]) == list(range(8 * batches + 1))
    assert list(history["epoch"]) == [0, *np.repeat(np.arange(8) + 1, batches)]
    validated = {0, 1, *range(5, 8 * batches, 5), 8 * batches}
    assert set(history["iteration"][history["validation_loss"].notna()]) == validated
    first = history.iloc[0]
    assert first["elapsed"] == 0 and np.isnan(first["learning_rate"])
    for patches, name in zip(tone_sets, ("batch", "validation"), strict=True):
        goal = teacher_scores(teacher, patches)
        scores = student.predict(PatchWaveforms(patches, MONO)[:], verbose=0)
        assert first[f"{name}_loss"] == pytest.approx(kl(goal, scores).mean(), abs=1e-5)
        assert first[f"{name}_accuracy"] == pytest.approx((goal.argmax(axis=1) == scores.argmax(axis=1)).mean())


def test_student_is_shown_each_patch_with_its_own_scores(teacher, tone_sets, taught):
    goals = teacher_scores(teacher, tone_sets[0])
    number = {waveform.tobytes(): row for row, waveform in enumerate(PatchWaveforms(tone_sets[0], MONO)[:])}
    batches = len(tone_sets[0]) // 16
    assert len(number) == len(tone_sets[0]) and len(taught[2]) == 8 * batches
    for epoch in range(8):
        waveforms, shown = zip(*taught[2][epoch * batches :][:batches], strict=True)
        rows = [number[waveform.tobytes()] for waveform in np.concatenate(waveforms)]
        assert len(set(rows)) == len(rows) == 16 * batches
        np.testing.assert_array_equal(np.concatenate(shown), goals[rows])


def test_labels_are_never_used_and_nothing_is_kept_without_cache(
    teacher, student, tone_sets, taught, rng, own_cache, monkeypatch
):
    shuffled, read, original = [], [], waveforms.read_waveforms
    monkeypatch.setattr(
        waveforms, "read_waveforms", lambda *given, **options: read.append(1) or original(*given, **options)
    )
    for patches in tone_sets:
        label = rng.permutation([*patches.label[1:], "zebra"])
        assert (label != patches.label).any()
        shuffled.append(Patches(patches.data, patches.table.assign(label=label), patches.frontend))
    trained, history = distill(student, teacher, *shuffled, RECIPE, cache=False, progress=False)
    assert weights_equal(trained, taught[0], 1e-4) and not weights_equal(trained, student, 1e-3)
    pd.testing.assert_frame_equal(history.drop(columns="elapsed"), taught[1].drop(columns="elapsed"), atol=1e-4)
    assert not [path for path in own_cache.rglob("*") if path.is_file()]
    assert len(read) == 2  # once for each set


class Asked(Exception):
    pass


def asked(monkeypatch, *arguments):
    """Fingerprint of what a result is cached under."""

    def fit(student, inputs, targets, recipe, key, **options):
        raise Asked(joblib.hash(key))

    with monkeypatch.context() as patch:
        patch.setattr(distillation, "fit", fit)
        with pytest.raises(Asked) as caught:
            distill(*arguments)
    return str(caught.value)


def test_what_the_result_depends_on(teacher, student, tone_clips, tone_sets, monkeypatch, rng, tone):
    train, held_out = tone_sets
    louder = with_frontend(student, replace(MONO, scale=128.0))
    calls = [
        (student, teacher, train, held_out, RECIPE),
        (student_for(teacher, width=0.1, seed=1), teacher, train, held_out, RECIPE),
        (louder, teacher, train, held_out, RECIPE),
        (student, teaching(2 * KERNEL), train, held_out, RECIPE),
        (student, teacher, train[:-1], held_out, RECIPE),
        (student, teacher, train, held_out[1:], RECIPE),
        (student, teacher, train, held_out, replace(RECIPE, seed=1)),
    ]
    keys = [asked(monkeypatch, *call) for call in calls]
    assert len(set(keys)) == len(calls)
    assert asked(monkeypatch, student_for(teacher, width=0.1), teaching(KERNEL), *calls[0][2:]) == keys[0]
    path = tone_clips["path"][train.clip[0]]
    before, _ = soundfile.read(path, dtype="int16")
    soundfile.write(path, tone(rng, 700), 16_000)  # another sound under the same name
    assert asked(monkeypatch, *calls[0]) not in keys
    soundfile.write(path, before, 16_000)
    assert asked(monkeypatch, *calls[0]) == keys[0]


def test_which_clip_a_patch_is_of_matters_even_if_the_teacher_does_not_care(student, tone_sets, monkeypatch):
    """Two tone_sets of patches from the same clips, with the same starts and the same scores."""
    indifferent, train = teaching(0 * KERNEL), tone_sets[0]
    one, two = (np.flatnonzero(train.clip == clip) for clip in (0, 1))
    choices = [train[[one[0], one[1], two[0]]], train[[one[0], two[1], two[0]]]]
    assert list(choices[0].start) == list(choices[1].start)
    keys = [asked(monkeypatch, student, indifferent, chosen, tone_sets[1], RECIPE) for chosen in choices]
    assert keys[0] != keys[1]


def test_interrupted_resumed_and_then_served(teacher, student, tone_sets, taught, monkeypatch, capsys, interrupt):
    batches = len(tone_sets[0]) // 16
    taken = interrupt(3 * batches + 2)
    with pytest.raises(RuntimeError, match="interrupted"):
        distill(student, teacher, *tone_sets, RECIPE, progress=False)
    assert capsys.readouterr().out == ""
    resumed, history = distill(student, teacher, *tone_sets, RECIPE)
    assert "going on after epoch 3." in capsys.readouterr().out
    assert len(taken) == 3 * batches + 2 + 5 * batches
    assert weights_equal(resumed, taught[0], 1e-4)
    pd.testing.assert_frame_equal(
        history.drop(columns="elapsed"), taught[1].drop(columns="elapsed"), atol=1e-4, rtol=1e-4
    )
    monkeypatch.setattr(waveforms, "read_waveforms", None)  # no clip is read for what is in the cache
    again, served = distill(student, teacher, *tone_sets, RECIPE)
    assert "from the cache" in capsys.readouterr().out and len(taken) == 8 * batches + 2
    assert weights_equal(again, resumed) and labels_of(again) == LABELS and frontend_of(again) == MONO
    pd.testing.assert_frame_equal(served, history)


def test_other_classes_or_another_order(teacher, tone_sets):
    for labels in (LABELS[::-1], ["low", "middle", "loud"], ["low", "high"]):
        other = teaching(KERNEL[:, : len(labels)], labels)
        with pytest.raises(UnknownLabelError, match=f"the student tells {', '.join(labels)}; its teacher low, middle"):
            distill(student_for(other, width=0.1), teacher, *tone_sets)


def test_nothing_to_learn_from(teacher, student, tone_sets):
    train, held_out = tone_sets
    for pair in ((train[:0], held_out), (train, held_out[:0])):
        with pytest.raises(MissingDataError, match="no patches"):
            distill(student, teacher, *pair)
    with pytest.raises(MissingDataError, match="no patches"):
        PatchWaveforms(train[:0], MONO)
    with pytest.raises(MissingDataError, match="no patches"):
        divergence(teacher, student, train[:0])


def test_patches_without_their_files(teacher, student, tone_sets):
    nameless = Patches(tone_sets[0].data, tone_sets[0].table.drop(columns="path"), tone_sets[0].frontend)
    for call in (
        lambda: distill(student, teacher, nameless, tone_sets[1]),
        lambda: distill(student, teacher, tone_sets[0], nameless),
        lambda: PatchWaveforms(nameless, MONO),
    ):
        with pytest.raises(MissingDataError, match="without the path of their clips: make them with make_patches"):
            call()


def test_patches_of_another_front_end(teacher, student, tone_sets, tone_clips):
    other = make_patches(tone_clips[:4], replace(SMALL, log_offset=0.001))
    with pytest.raises(PatchShapeError, match="was made for"):
        distill(student, teacher, other, tone_sets[1])


def test_a_student_that_takes_any_sample_rate(teacher, tone_sets):
    """How many samples a patch has is not known then."""
    anywhere = soundnet(weights="random", labels=LABELS, width=0.1)
    for call in (lambda: distill(anywhere, teacher, *tone_sets), lambda: PatchWaveforms(tone_sets[0], SOUNDNET)):
        with pytest.raises(PatchShapeError, match=r"sample rate.*student_for"):
            call()
