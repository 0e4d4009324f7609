"""A network for a folder of one's own: tested on recordings held out, then trained on all of it."""

import warnings
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ..datasets.catalogue import load
from ..datasets.clips import check_table, some
from ..datasets.splits import with_folds
from ..errors import MissingDataError
from ..evaluation.predictions import check_class_names, vote
from ..networks.backend import keras
from ..networks.build import build_network
from ..networks.head import frontend_of
from ..sound.patches import class_names, make_patches
from ..sound.reading import file_digest, numbered, short
from .cross_validation import cross_validate
from .fine_tuning import embed, fine_tune
from .recipes import Recipe


@dataclass(frozen=True, eq=False)
class OwnClasses:
    """A network of one's own classes, and what can be expected of it.

    Parameters
    ----------
    network : keras.Model
        Trained on all clips.
    votes : pandas.DataFrame [clips]
        As from `vote`: each clip by a network that was trained without its fold.
    clips : pandas.DataFrame
        The clips that were used, with their folds.
    left_out : pandas.DataFrame
        Clips that were not: `path`, `label` and `why`.
    """

    network: keras.Model
    votes: pd.DataFrame
    clips: pd.DataFrame
    left_out: pd.DataFrame


def train_own_classes(
    data,
    backbone="yamnet",
    *,
    weights="audioset",
    width=1.0,
    recipe=None,
    folds=5,
    on_missing="raise",
    seed=0,
    progress=True,
    **options,
):
    """Train a network on a folder of class folders, and say how well such a network does on recordings it never heard.

    The clips' own folds are used where they have some; otherwise clips of one source stay together and each fold has
    the classes in proportion. Every fold is predicted by a network trained on the others; the network returned is
    trained on all of them. Files that cannot be read or hold nothing that the network hears are left out, and the same
    recording under two names is kept on one side; warnings say so.

    Parameters
    ----------
    data : str, path or pandas.DataFrame
        Data set or folder, see `load`; or a clip table.
    backbone : {"yamnet", "vggish"}
    weights : {"audioset", "random"} or path
    width : float
        Factor on the number of filters; below 1 only with random weights.
    recipe : Recipe, optional
        ``Recipe(trainable="head")`` by default: the backbone stays as it is, which needs few clips and seconds.
    folds : int
        How many to draw; fewer where a class has clips from fewer sources.
    on_missing : {"raise", "skip"}
        What to do with a class whose clips come from one source alone, so that it can be learned or tested but not
        both: stop and name it, or leave it out with a warning.
    seed : int
    progress : bool
    **options
        Of `make_patches`: `channel`, `max_seconds`, `jobs`.

    Returns
    -------
    OwnClasses

    Raises
    ------
    MissingDataError
        If fewer than two classes are left, a class has one source, or the table lacks what it needs.
    UnknownLabelError
        If a class has the name of a column of predictions.
    ValueError
        If an option is out of range.
    AudioInterpError
        As the steps raise it.

    Examples
    --------
    >>> own = train_own_classes("my_sounds")  # doctest: +SKIP
    >>> accuracy(own.votes)  # doctest: +SKIP
    """
    if on_missing not in ("raise", "skip"):
        raise ValueError(f"on_missing={on_missing!r}: expected 'raise' or 'skip'.")
    if folds < 2:
        raise ValueError(f"folds={folds}: expected at least two parts to test in turn.")
    every = numbered(data) if isinstance(data, pd.DataFrame) else load(data)
    every = every.assign(**{name: value for name, value in (("fold", 0), ("source", every.index)) if name not in every})
    check_table(every)
    every = every.assign(label=class_names(every["label"]), source=every["source"].astype(str))
    check_class_names(every["label"])

    def untrained(labels):
        return build_network(backbone, sorted(labels), weights=weights, width=width, seed=seed)

    network = untrained(set(every["label"]))
    patches = make_patches(every, frontend_of(network), on_error="skip", progress=progress, **options)
    readable, sounding = (every.index.isin(part.clip) for part in (patches, patches[~patches.silent]))
    clips, why = every[sounding], pd.Series("cannot be read", every.index[~readable], dtype=object)
    why = pd.concat([why, pd.Series("silent to the network", every.index[readable & ~sounding], dtype=object)])
    clips = _twins_share_a_source(clips)
    if lonely := _of_one_source(clips, every["label"]):
        text = (
            f"{some(lonely)}: usable clips from fewer than two sources, so that it can be learned or tested, not both"
        )
        enough = every["label"].nunique() - len(lonely) > 1
        if on_missing == "raise" or not enough:
            advice = (
                ", or leave it out (on_missing='skip', --on-missing skip)" if enough else ": two classes are needed"
            )
            raise MissingDataError(f"{text}. Add recordings{advice}.")
        warnings.warn(f"{text}; left out, as asked.", stacklevel=2)
        alone = clips["label"].isin(lonely)
        why = pd.concat([why, pd.Series("all of its class from one source", clips.index[alone], dtype=object)])
        clips = clips[~alone]
        network = untrained(set(clips["label"]))
    clips, patches = _with_folds(clips, folds, seed), patches[np.isin(patches.clip, clips.index)]
    patches = replace(patches, table=patches.table.assign(fold=clips["fold"].loc[patches.clip].to_numpy()))
    recipe = recipe or Recipe(trainable="head", seed=seed)
    tested = cross_validate(network, patches, recipe, progress=progress)
    heard, given = patches[~patches.silent], None
    if recipe.trainable == "head":
        given = 2 * (embed(network, patches, progress=False)[~patches.silent],)
    trained, _ = fine_tune(network, heard, heard, recipe, embeddings=given, progress=False)
    left_out = every.loc[why.index, ["path", "label"]].assign(why=why)
    return OwnClasses(trained, vote(tested.predictions), clips, left_out)


def _twins_share_a_source(clips):
    """Clips whose files are the same, byte for byte, get one source, so that they stand on one side."""
    digest = pd.Series([file_digest(path) for path in clips["path"]], clips.index)
    twins = clips[digest.duplicated(keep=False)]
    if twins.empty:
        return clips
    names = [short(path) for path in twins["path"]]
    warnings.warn(f"{some(names)}: the same recording more than once. It is kept on one side.", stacklevel=3)
    source = clips["source"].copy()
    for _, one in source.groupby(digest):
        source[source.isin(source[one.index])] = source[one.index[0]]
    return clips.assign(source=source)


def _of_one_source(clips, labels):
    """Labels whose clips come from one source or none."""
    sources = clips.groupby("label")["source"].nunique()
    return [label for label in sorted(set(labels)) if sources.get(label, 0) < 2]


def _with_folds(clips, count, seed):
    """Clips with their own folds if each label stands in two, or with new ones: as many as there can be."""
    known = clips["fold"].notna() & (clips["fold"] != 0)
    if known.all() and (clips.groupby("label")["fold"].nunique() > 1).all():
        return clips
    if known.any():
        why = f"{(~known).sum()} clips have none" if not known.all() else "a class stands in one of them alone"
        warnings.warn(f"the clips' own folds are not used: {why}. New ones are drawn.", stacklevel=3)
    fewest = int(clips.groupby("label")["source"].nunique().min())
    return with_folds(clips.assign(fold=0), count=min(count, fewest), by="source", seed=seed)
