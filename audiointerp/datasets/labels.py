"""Labels that become one."""

from .clips import select_labels


def merge_labels(clips, groups):
    """Clip table in which similar labels are one.

    Parameters
    ----------
    clips : pandas.DataFrame
    groups : dict [new label -> sequence of labels]
        Such as ``{"loud": ["metal", "rock"]}``; labels that no group names are kept.

    Returns
    -------
    pandas.DataFrame
        All clips, in table order.

    Raises
    ------
    UnknownLabelError
        If a label is not in the table, or a group is empty.
    ValueError
        If a label stands in two groups, a new label is also one that is kept, or fewer than two labels remain.

    Examples
    --------
    >>> merge_labels(clips, {"loud": ["metal", "rock"]})  # doctest: +SKIP
    """
    merged = {}
    for new, labels in groups.items():
        own = set(select_labels(clips, labels)["label"])
        if twice := sorted(own & set(merged)):
            raise ValueError(
                f"{twice[0]!r} stands in two groups, {merged[twice[0]]!r} and {new!r}. Take it out of one."
            )
        merged |= dict.fromkeys(own, new)
    kept = set(clips["label"]) - set(merged)
    if taken := sorted(kept & set(groups)):
        raise ValueError(
            f"{taken[0]!r} is the name of a group and of a label that is kept. Add the label to the group, or give the "
            "group another name."
        )
    if len(remaining := [*groups, *kept]) < 2:
        raise ValueError(f"Only the label {remaining[0]!r} would remain. A classifier needs two labels or more.")
    return clips.assign(label=[merged.get(label, label) for label in clips["label"]])
