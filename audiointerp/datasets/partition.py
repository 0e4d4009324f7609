"""Training, validation and test: three parts of a clip table."""

import numpy as np
import pandas as pd

from ..errors import MissingDataError
from .clips import split

PARTS = ("train", "valid", "test")
_NEEDS = {"source": ("label", "source"), "random": ("label",), "filtered": ("label", "filtered")}
_ADVICE = "Add clips, leave the label out with select_labels(), or change"


def partition(clips, by="source", *, shares=(0.70, 0.15, 0.15), seed=0):
    """Divide clips into a training, a validation and a test part.

    Parameters
    ----------
    clips : pandas.DataFrame
        A clip table, or any with a ``label`` and what the way needs, such as GTZAN's song features.
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
            f"{unit}: {sources.idxmin()}, {sources.min()}. {_ADVICE} the shares."
        ) from error
    return tuple(clips.iloc[part.index] for part in (train, validation, test))


def with_folds(clips, *, count=5):
    """Clips with folds: their own if they are known, otherwise blocks of neighbouring sources.

    Neighbours by file name stay together, because what stands side by side often has more in common, as the songs of
    one album.

    Parameters
    ----------
    clips : pandas.DataFrame
        A clip table; its folds are unknown where they are all 0.
    count : int

    Returns
    -------
    pandas.DataFrame
        With the same rows and `fold` from 1 to `count`.

    Raises
    ------
    MissingDataError
        If a label has fewer sources than there are to be folds.
    ValueError
        If there are to be fewer than two folds.
    """
    if count < 2:
        raise ValueError(f"count={count}: expected at least two folds.")
    if clips["fold"].any():
        return clips
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
            f"Partition by filtered: {found}. The lists need all 1,000 tracks of GTZAN. {_ADVICE} to by='source'."
        )
    return tuple(parts)
