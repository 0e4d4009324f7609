"""What a network of one's own can do: in words, as a table and as a chart."""

import os
import tempfile
from pathlib import Path

from .errors import WeightsError
from .evaluation.metrics import accuracy, confused_pairs, confusion
from .evaluation.predictions import doubtful_clips
from .sound.reading import short
from .storage.cache import write_whole


def summary(own, *, most=10):
    """A network of one's own in words.

    Parameters
    ----------
    own : OwnClasses
        From `train_own_classes`.
    most : int
        Confusions and doubtful clips to name.

    Returns
    -------
    str
        How many held-out clips were right, with the Wilson 95% interval; the confusions; the clips whose own class got
        the lowest score; the files that were left out.
    """
    votes, found = own.votes, accuracy(own.votes)
    labels, folds = votes.attrs["labels"], own.clips["fold"].nunique()
    lines = [
        f"{len(votes)} clips of {len(labels)} classes, each predicted by a network trained without its fold ({folds}):",
        f"{found['right']:.0f} right, {found['accuracy']:.1%} ({found['low']:.1%} to {found['high']:.1%}; by chance "
        f"{votes['label'].value_counts(normalize=True).iloc[0]:.1%}).",
    ]
    pairs = confused_pairs(confusion(votes))
    if len(pairs):
        lines += ["", "Taken for each other:"]
        lines += [f"  {row.true} for {row.predicted}: {row[3]}" for row in pairs.head(most).itertuples()]
    lines += ["", "Most doubtful, by the score of their own class (listen to them: is the label right?):"]
    for row in doubtful_clips(votes).head(most).itertuples():
        other = "" if row.label == row.predicted else f", taken for {row.predicted} ({row.predicted_score:.2f})"
        lines.append(f"  {row.own_score:.2f} {row.label}{other}: {short(row.path)}")
    if len(own.left_out):
        lines += ["", f"Left out, {len(own.left_out)} files:"]
        lines += [f"  {short(row.path)}: {row.why}" for row in own.left_out.head(most).itertuples()]
        lines += [f"  and {len(own.left_out) - most} more"] if len(own.left_out) > most else []
    return "\n".join(lines)


def check_place(path, overwrite=False):
    """The place for `save_own_classes`, checked before the work that comes before it.

    A WeightsError if the name does not end in ``.keras``, a folder stands there or its own cannot be written to, or
    one of the three files is there and may not be replaced.
    """
    path = Path(path)
    if path.suffix != ".keras":
        raise WeightsError(f"{path}: expected the name of a file that ends in .keras.")
    there = [str(file) for file in (path, *_beside(path)) if file.exists()]
    if there and (not overwrite or any(map(os.path.isdir, there))):
        raise WeightsError(f"{', '.join(there)}: there already. Choose another --out, or --overwrite to replace files.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            return path
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror or error}. Choose a folder that can be written to.") from error


def _beside(path):
    return [path.with_suffix(ending) for ending in (".clips.csv", ".confusion.png")]


def save_own_classes(own, path):
    """Write a network of one's own, and beside it what it said of each clip and its confusion chart.

    Parameters
    ----------
    own : OwnClasses
    path : str or path
        Of the network, ending in ``.keras``.

    Returns
    -------
    list of pathlib.Path
        The network, a table of the clips (``.clips.csv``: `path`, `label`, `fold`, `predicted`, `own_score`) and the
        chart (``.confusion.png``). Each is written beside its place first and then renamed.

    Raises
    ------
    OSError
        If the disk is full or the folder cannot be written to; nothing half-written is left.
    """
    import matplotlib.pyplot as plt

    from .networks.saving import save_network
    from .plots.confusion import confusion_chart

    path = Path(path)
    table = own.votes[["path", "label", "fold", "predicted"]].join(doubtful_clips(own.votes)["own_score"])
    written = [save_network(own.network, path), *_beside(path)]
    write_whole(written[1], lambda file: table.to_csv(file, index=False))
    chart = confusion_chart(confusion(own.votes), title=path.stem)[0].figure
    write_whole(written[2], lambda file: chart.savefig(file, dpi=150))
    plt.close(chart)
    return written
