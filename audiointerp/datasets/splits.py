"""Dividing clips: into training and validation, three parts, or folds; and what such a division leaks."""

import warnings

import numpy as np
import pandas as pd

from ..errors import MissingDataError
from .clips import check_table, some

PARTS = ("train", "valid", "test")
_NEEDS = {"source": ("label", "source"), "random": ("label",), "filtered": ("label", "filtered")}

_ADVICE = {
    "order": "Add clips, leave the label out with select_labels(), or change fraction.",
    "random": "Add clips, leave the label out with select_labels(), or change fraction.",
    "source": "Add clips from other sources, leave the label out with select_labels(), or split by='order'.",
    "fold": "Name another fold, leave the label out with select_labels(), or split by='source'.",
}

_PARTITION_ADVICE = "Add clips, leave the label out with select_labels(), or change"
_ORDERS_TRIED = 32


def split(clips, by="order", *, fold=5, fraction=0.8, on_missing="raise", seed=0):
    """Divide clips into a training and a validation part.

    Parameters
    ----------
    clips : pandas.DataFrame
    by : {"order", "fold", "source", "random"}
        ``order``: the first clips of each label train (as MATLAB's ``splitEachLabel``); ``fold``: one fold validates;
        ``source``: all clips of one source stand on the same side; ``random``: clips drawn within each label.
    fold : int
        The fold that validates, for ``fold``.
    fraction : float
        Share of each label's clips that trains, for the others; rounded half up, for ``source`` as near as it gets.
    on_missing : {"raise", "skip"}
        What to do with a label that would be missing on one side, such as one with a single source: stop and name it,
        or leave it out of both with a warning.
    seed : int
        For ``source`` and ``random``.

    Returns
    -------
    train, validation : pandas.DataFrame
        In table order, with the index of ``clips``.

    Raises
    ------
    MissingDataError
        If the fold does not exist, a label would be missing on one side, or fewer than two labels are left.
    ValueError
        If ``by`` is not one of the four, ``fraction`` is not between 0 and 1 or ``on_missing`` is unknown.

    Warns
    -----
    UserWarning
        For labels that are left out.

    See Also
    --------
    shared_sources : what such a split leaks.
    partition : three parts, with one for the test.

    Examples
    --------
    >>> train, validation = split(load("esc10"), "fold", fold=5)  # doctest: +SKIP
    """
    check_table(clips)
    if not 0 < fraction < 1:
        raise ValueError(f"fraction={fraction}: expected a share between 0 and 1, both excluded, such as 0.8.")
    if on_missing not in ("raise", "skip"):
        raise ValueError(f"on_missing={on_missing!r}: expected 'raise' or 'skip'.")
    rng = np.random.default_rng(seed)
    if by == "order":
        trains = _first_of_each_label(clips, np.arange(len(clips)), fraction)
    elif by == "random":
        trains = _first_of_each_label(clips, rng.permutation(len(clips)), fraction)
    elif by == "source":
        trains = _whole_sources(clips, fraction, rng)
    elif by == "fold":
        folds = sorted(clips["fold"].unique().tolist())
        if fold not in folds:
            known = f"the folds are {folds}" if any(folds) else "the folds of these clips are unknown (all 0)"
            raise MissingDataError(f"No clip is in fold {fold}; {known}. Name one of them, or split by='source'.")
        trains = clips["fold"].to_numpy() != fold
    else:
        raise ValueError(f"by={by!r}: expected 'order', 'fold', 'source' or 'random'.")
    train, validation = clips[trains], clips[~trains]
    there = set(train["label"]) & set(validation["label"])
    for side, part in (("training", train), ("validation", validation)):
        absent = sorted(set(clips["label"]) - set(part["label"]))
        text = f"Split by {by}: no {side} clip of {some(absent)}"
        if absent and (on_missing == "raise" or len(there) < 2):
            raise MissingDataError(
                f"{text}; a label needs clips on both sides. {_ADVICE[by]}"
                + (" on_missing='skip' leaves such labels out." if len(there) > 1 else "")
            )
        if absent:
            warnings.warn(f"{text}; left out, as on_missing='skip' says.", stacklevel=2)
    return tuple(part[part["label"].isin(there)] for part in (train, validation))


def partition(clips, by="source", *, shares=(0.70, 0.15, 0.15), seed=0):
    """Divide clips into a training, a validation and a test part.

    Parameters
    ----------
    clips : pandas.DataFrame
        A clip table, or any with a ``label`` and what the way needs, such as GTZAN's track features.
    by : {"source", "random", "filtered"}
        ``source``: all clips of one source stand in the same part; ``random``: clips drawn within each label;
        ``filtered``: as the column of this name says (see `load_gtzan`), clips without a part left out.
    shares : (float, float, float)
        Shares of each label's clips, 1 in all, for ``source`` and ``random``; as near as it gets.
    seed : int
        For ``source`` and ``random``.

    Returns
    -------
    train, validation, test : pandas.DataFrame
        In table order, with the index of ``clips``.

    Raises
    ------
    MissingDataError
        If a label would be missing in a part, or a column that is needed is not there or says nothing.
    ValueError
        If ``by`` is not one of the three or the shares are not three that add up to 1.

    See Also
    --------
    shared_sources : what stands in two parts; compare them two by two.
    """
    if by not in _NEEDS:
        raise ValueError(f"by={by!r}: expected 'source', 'random' or 'filtered'.")
    shares = tuple(shares)
    if len(shares) != len(PARTS) or not all(share > 0 for share in shares) or not np.isclose(sum(shares), 1):
        raise ValueError(f"shares={shares}: expected three shares above 0 that add up to 1, such as (0.7, 0.15, 0.15).")
    absent = [column for column in _NEEDS[by] if column not in clips.columns]
    if absent or clips.empty:
        found = f"the columns {', '.join(absent)} are missing" if absent else "the table is empty"
        raise MissingDataError(f"Partition by {by}: {found}. Expected one row a clip with {' and '.join(_NEEDS[by])}.")
    if by == "filtered":
        return _by_column(clips)
    # A clip that is its own source is drawn at random, and no part of a label stays empty by rounding.
    source = clips["source"].to_numpy() if by == "source" else np.arange(len(clips))
    return _by_source(clips, source, by, shares, seed)


def with_folds(clips, *, count=5, by="neighbours", seed=0):
    """Clips with folds: their own if they are known, otherwise new ones in which no source stands on two sides.

    Neighbours by file name stay together, because what stands side by side often has more in common, as the tracks
    of one album. Where a source has clips of several labels, as a speaker who says all words, ask for ``by="source"``:
    sources are drawn so that each fold has the labels in the proportion of the whole.

    Parameters
    ----------
    clips : pandas.DataFrame
        A clip table; its folds are unknown where they are all 0.
    count : int
    by : {"neighbours", "source"}
    seed : int
        For ``source``.

    Returns
    -------
    pandas.DataFrame
        With the same rows and `fold` from 1 to `count`.

    Raises
    ------
    MissingDataError
        If a label has fewer sources than there are to be folds.
    ValueError
        If there are to be fewer than two folds, or `by` is unknown.
    """
    if count < 2:
        raise ValueError(f"count={count}: expected at least two folds.")
    if by not in ("neighbours", "source"):
        raise ValueError(f"by={by!r}: expected 'neighbours' or 'source'.")
    if clips["fold"].any():
        return clips
    if by == "source":
        return clips.assign(fold=_in_proportion(clips, count, seed))
    sources = clips.drop_duplicates("source")
    rank, size = sources.groupby("label").cumcount(), sources.groupby("label")["source"].transform("size")
    if (few := size[size < count]).any():
        label = sources.at[few.index[0], "label"]
        raise MissingDataError(
            f"{label}: {few.iloc[0]} clips from different sources, for {count} folds. Add some, leave the label out "
            "with select_labels(), or ask for fewer folds."
        )
    folds = dict(zip(sources["source"], 1 + rank * count // size, strict=True))
    return clips.assign(fold=clips["source"].map(folds).astype("int64"))


def _in_proportion(clips, count, seed):
    """Fold of each clip from 1: whole sources, each fold with the labels in proportion."""
    from sklearn.model_selection import StratifiedGroupKFold

    few = clips.groupby("label")["source"].nunique().sort_values()
    if few.iloc[0] < count:
        raise MissingDataError(
            f"{few.index[0]}: clips from {few.iloc[0]} sources, for {count} folds. Add some, leave the label out with "
            "select_labels(), or ask for fewer folds."
        )
    fold = np.zeros(len(clips), "int64")
    for attempt in range(_ORDERS_TRIED):
        parts = StratifiedGroupKFold(count, shuffle=True, random_state=seed + attempt)
        for number, (_, held_out) in enumerate(parts.split(clips, clips["label"], clips["source"]), 1):
            fold[held_out] = number
        if (pd.Series(fold).groupby(clips["label"].to_numpy()).nunique() > 1).all():
            return fold
    raise MissingDataError(
        f"no way was found to put each label into two of {count} folds while sources stay together: labels share them. "
        "Ask for other folds, or leave labels of few sources out with select_labels()."
    )


def clip_folds(table, *, count=5, seed=0):
    """Folds drawn clip by clip: all patches of one clip stand on the same side.

    Parameters
    ----------
    table : pandas.DataFrame [n]
        One row a patch, with `label`, and `clip` as a column or in the index.
    count, seed
        As for `patch_folds`.

    Returns
    -------
    numpy.ndarray [n], int
    """
    clip = table["clip"].to_numpy() if "clip" in table else table.index.get_level_values("clip").to_numpy()
    label = pd.Series(table["label"].to_numpy()).groupby(clip).first()
    folds = pd.Series(_spread(label.to_numpy(), count, seed, "clips"), label.index)
    return folds.loc[clip].to_numpy()


def patch_folds(table, *, count=5, seed=0):
    """Folds drawn patch by patch: patches of one clip stand on both sides, and what they share leaks.

    Parameters
    ----------
    table : pandas.DataFrame [n]
        One row a patch, with `label`: the `table` of patches, or track features.
    count : int
    seed : int

    Returns
    -------
    numpy.ndarray [n], int
        From 1 to `count`; each label is spread evenly.

    Raises
    ------
    ValueError
        If there are fewer rows than folds, or fewer than two folds.
    """
    return _spread(table["label"].to_numpy(), count, seed, "patches")


def shared_sources(train, validation):
    """Sources that stand on both sides of a split: recordings the network is tested on and has heard.

    Returns
    -------
    pandas.DataFrame [source] with the columns ``train`` and ``validation``
        Number of clips on each side; empty where nothing leaks.
    """
    counts = {"train": train["source"].value_counts(), "validation": validation["source"].value_counts()}
    return pd.concat(counts, axis=1, join="inner").rename_axis("source").sort_index()


def _first_of_each_label(clips, order, fraction):
    """Mask of the first share of each label, clips taken in the order given."""
    shuffled = clips["label"].iloc[order]
    rank = shuffled.groupby(shuffled.to_numpy()).cumcount().to_numpy()
    count = shuffled.map(shuffled.value_counts()).to_numpy()
    trains = np.zeros(len(clips), dtype=bool)
    trains[order] = rank < np.floor(count * fraction + 0.5)
    return trains


def _whole_sources(clips, fraction, rng):
    """Mask that keeps each source on one side, near the share in each label."""
    side = {}
    for _, own in clips.groupby("label", observed=True)["source"]:
        sizes = own.value_counts().sort_index()
        decided = sizes.index.isin(list(side))
        trained = sum(size for source, size in sizes[decided].items() if side[source])
        validated = sizes[decided].sum() - trained
        side |= _best_cut(sizes[~decided], trained, validated, fraction, rng)
    return clips["source"].map(side).to_numpy(dtype=bool)


def _best_cut(sizes, trained, validated, fraction, rng):
    """Side of each undecided source: of several random orders, the cut whose clip count is nearest to the share."""
    target = np.floor((sizes.sum() + trained + validated) * fraction + 0.5)
    best = (np.inf, {})
    for _ in range(_ORDERS_TRIED):
        order = rng.permutation(len(sizes))
        totals = trained + np.concatenate([[0], np.cumsum(sizes.to_numpy()[order])])
        cuts = np.arange(len(totals))
        allowed = ((cuts > 0) | (trained > 0)) & ((cuts < len(sizes)) | (validated > 0))
        distance = np.where(allowed, np.abs(totals - target), np.inf)
        cut = int(distance.argmin())
        if distance[cut] < best[0] or not best[1]:
            best = (distance[cut], {source: place < cut for place, source in enumerate(sizes.index[order])})
    return best[1]


def _by_source(clips, source, by, shares, seed):
    table = pd.DataFrame({"path": "", "label": clips["label"].to_numpy(), "fold": 0, "source": source})
    rest = 1 - shares[2]  # rounded below: of thirds exactly half remains
    try:
        kept, test = split(table, "source", fraction=round(rest, 9), seed=seed)
        train, validation = split(kept, "source", fraction=round(shares[0] / rest, 9), seed=seed)
    except MissingDataError as error:
        sources = table.groupby("label", observed=True)["source"].nunique()
        unit = "sources" if by == "source" else "clips"
        raise MissingDataError(
            f"Partition by {by} in the shares {shares}: a label would be missing in one of the three parts. Fewest "
            f"{unit}: {sources.idxmin()}, {sources.min()}. {_PARTITION_ADVICE} the shares."
        ) from error
    return tuple(clips.iloc[part.index] for part in (train, validation, test))


def _by_column(clips):
    named = clips["filtered"].isin(PARTS)
    if strange := sorted(set(clips["filtered"][~named].astype(str)) - {""}):
        raise MissingDataError(f"Partition by filtered: found {strange[0]!r}; expected 'train', 'valid', 'test' or ''.")
    if not named.any():
        raise MissingDataError(
            "Partition by filtered: no clip is in a list. 'audiointerp download gtzan' gets GTZAN's lists, which stand "
            "beside genres/; or take by='source'."
        )
    parts = [clips[clips["filtered"] == part] for part in PARTS]
    labels = set(clips["label"])
    missing = {name: sorted(labels - set(part["label"])) for name, part in zip(PARTS, parts, strict=True)}
    if any(missing.values()):
        found = "; ".join(f"no {name} clip of {', '.join(absent)}" for name, absent in missing.items() if absent)
        raise MissingDataError(
            f"Partition by filtered: {found}. The lists need all 1,000 tracks of GTZAN. "
            f"{_PARTITION_ADVICE} to by='source'."
        )
    return tuple(parts)


def _spread(labels, count, seed, of):
    if not 2 <= count <= len(labels):
        raise ValueError(f"count={count}: expected a number of folds from 2 to the number of {of}, {len(labels)}.")
    order = np.random.default_rng(seed).permutation(len(labels))
    folds = np.empty(len(labels), int)
    folds[order] = pd.Series(order).groupby(labels[order]).cumcount().to_numpy() % count + 1
    return folds
