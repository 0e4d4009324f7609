"""A student that learns from a teacher's scores instead of labels, as SoundNet learned from image networks."""

from dataclasses import asdict
from functools import cache as cache_once

import numpy as np
import pandas as pd

from ..errors import UnknownLabelError
from ..evaluation.predictions import predict
from ..networks.fingerprints import digest
from ..networks.head import frontend_of, labels_of
from ..networks.running import outputs_of
from ..networks.soundnet import soundnet
from ..sound.frontend import WaveformFrontEnd
from ..sound.reading import file_digest
from ..sound.waveforms import PatchWaveforms, clips_of
from ..storage.cache import cached
from .loop import fit
from .recipes import student_recipe

FRONTEND = WaveformFrontEnd(sample_rate=16_000, shortest=0, channel=None)
SMALLEST = 1e-7  # scores below it count as this in logarithms


def student_for(teacher, *, width=1.0, seed=0):
    """A SoundNet from random weights that tells the classes its teacher tells, from the waveform alone.

    Parameters
    ----------
    teacher : keras.Model
    width : float
        Factor on the number of filters.
    seed : int

    Returns
    -------
    keras.Model [(n, samples, 1) -> (n, classes)]
        For mono waveforms of 16 kHz.
    """
    return soundnet(labels_of(teacher), weights="random", width=width, seed=seed, frontend=FRONTEND)


def distill(student, teacher, train, validation, recipe=None, *, cache=True, progress=True):
    """Train a student on waveforms to give the scores that its teacher gives for the same patches.

    The loss is the Kullback-Leibler divergence of the student's distribution from the teacher's. No label is used.

    Parameters
    ----------
    student : keras.Model [(n, samples, 1) -> (n, classes)]
        Left as it is; with the teacher's classes in the teacher's order, as `student_for` makes it.
    teacher : keras.Model [(n, frames, mels, 1) -> (n, classes)]
    train, validation : Patches
        For the teacher's front end, with the `path` of each clip.
    recipe : Recipe, optional
        `student_recipe` by default.
    cache : bool
        Serve and keep the result in the cache; an interrupted training goes on after its last finished epoch.
    progress : bool
        Print the progress table and show a bar.

    Returns
    -------
    student : keras.Model
        The trained copy.
    history : pandas.DataFrame
        As `fine_tune` returns it; losses are divergences in nats, accuracies say how often student and teacher put
        the same class first. One row more stands in front: iteration 0, before the training.

    Raises
    ------
    UnknownLabelError
        If student and teacher tell different classes.
    MissingDataError
        If there are no patches, or their clips' files are not known.
    PatchShapeError
        If the patches are not the teacher's, or the student takes any sample rate.

    References
    ----------
    Aytar, Vondrick & Torralba, SoundNet, NIPS 2016; Hinton, Vinyals & Dean, "Distilling the knowledge in a neural
    network", 2015.
    """
    if labels_of(student) != labels_of(teacher):
        raise UnknownLabelError(
            f"the student tells {', '.join(labels_of(student))}; its teacher {', '.join(labels_of(teacher))}. "
            "Make the student with student_for(teacher)."
        )
    recipe = recipe or student_recipe()
    targets = [teacher_scores(teacher, patches, cache=cache, progress=progress) for patches in (train, validation)]
    clips = pd.concat([clips_of(patches) for patches in (train, validation)])
    key = [digest(student), targets, [file_digest(path) for path in clips["path"]], asdict(recipe)]
    key += [[list(patches.clip), list(patches.start)] for patches in (train, validation)]

    @cache_once  # read when they are needed: not if the result is in the cache
    def inputs():
        return [PatchWaveforms(patches, frontend_of(student)) for patches in (train, validation)]

    trained, history = fit(student, inputs, targets, recipe, key, loss="kl_divergence", cache=cache, progress=progress)
    before = _start(key, student, inputs, targets, progress, cache=cache)
    return trained, pd.concat([pd.DataFrame([before]), history], ignore_index=True)


def teacher_scores(teacher, patches, *, cache=True, progress=True):
    """What a student is to learn: the teacher's distribution for every patch, in float32 on every machine.

    Returns
    -------
    numpy.ndarray [n, classes], float32
    """
    scores = predict(teacher, patches, precision="float32", cache=cache, progress=progress)
    return scores[labels_of(teacher)].to_numpy(np.float32)


def divergence(teacher, student, patches, *, cache=True, progress=True):
    """Kullback-Leibler divergence of the student's scores from the teacher's, patch by patch.

    Parameters
    ----------
    teacher : keras.Model
        On log-mel patches.
    student : keras.Model
        On the waveforms of the same patches.
    patches : Patches [n]
    cache, progress : bool

    Returns
    -------
    numpy.ndarray [n], nats
    """
    goal = teacher_scores(teacher, patches, cache=cache, progress=progress)
    waveforms = PatchWaveforms(patches, frontend_of(student))
    return _divergence(goal, outputs_of(student, waveforms, title="student", progress=progress))


@cached("scores", version=1, ignore=("student", "inputs", "targets", "progress"))
def _start(key, student, inputs, targets, progress):
    """Row of the history for the student before its training."""
    scores = [outputs_of(student, waveforms, title="student", progress=progress) for waveforms in inputs()]
    train, validation = (_divergence(goal, score).mean() for goal, score in zip(targets, scores, strict=True))
    same = [(goal.argmax(1) == score.argmax(1)).mean() for goal, score in zip(targets, scores, strict=True)]
    row = {"epoch": 0, "iteration": 0, "elapsed": 0.0, "batch_accuracy": same[0], "validation_accuracy": same[1]}
    return row | {"batch_loss": train, "validation_loss": validation, "learning_rate": np.nan}


def _divergence(goal, scores):
    goal, scores = np.clip(goal, SMALLEST, 1), np.clip(scores, SMALLEST, 1)
    return (goal * np.log(goal / scores)).sum(axis=1)
