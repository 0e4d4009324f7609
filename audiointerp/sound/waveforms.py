"""Clips and patches → waveforms, for networks that listen to them directly."""

import warnings
from collections import Counter

import numpy as np
import soundfile

from ..errors import AudioRepairWarning, MissingDataError, PatchShapeError, UnreadableAudioError
from .reading import LONGEST, read_each, report_unreadable, warn_of_repairs


def read_waveforms(clips, frontend, *, on_error="raise", max_seconds=LONGEST, jobs=-1, progress=True):
    """Waveforms of clips as a network on waveforms takes them, read in parallel; repairs are said in warnings.

    Parameters
    ----------
    clips : pandas.DataFrame
        Clip table with `path`.
    frontend : WaveformFrontEnd
    on_error : {"raise", "skip"}
        What to do with clips that cannot be read: stop and list them, or leave them out with a warning.
    max_seconds : float
        Longest clip that is accepted.
    jobs : int
        Clips read at a time; -1 for one a core.
    progress : bool

    Returns
    -------
    list of numpy.ndarray [samples], float32
        With `on_error` "skip", None stands for clips that are left out.

    Raises
    ------
    UnreadableAudioError
        If clips cannot be read (all of them are named at once).

    Warns
    -----
    AudioRepairWarning
        For what had to be repaired, and if a front end that keeps each file's own sample rate meets several.
    """
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error={on_error!r}: expected 'raise' or 'skip'.")
    waveforms, failures = try_waveforms(clips, frontend, max_seconds, jobs, progress)
    if failures:
        report_unreadable(failures, len(waveforms), on_error)
    return waveforms


def try_waveforms(clips, frontend, max_seconds, jobs=-1, progress=True):
    """As `read_waveforms`, with None for clips that cannot be read, and the errors that say why."""

    def read(path):
        return frontend.read(path, max_seconds=max_seconds)

    waveforms, failures, known = [], [], []
    results = read_each(read, clips["path"], title="waveforms", jobs=jobs, progress=progress)
    for path, result in zip(clips["path"], results, strict=True):
        if isinstance(result, UnreadableAudioError):
            failures.append(result)
            waveforms.append(None)
            continue
        warn_of_repairs(path, result[1])
        waveforms.append(result[0])
        known.append(path)
    if frontend.sample_rate is None:
        _warn_of_rates(Counter(soundfile.info(path).samplerate for path in known))
    return waveforms, failures


def _warn_of_rates(rates):
    """Say that clips of several sample rates are heard at unlike speeds."""
    if len(rates) > 1:
        found = ", ".join(f"{count} of {rate:,} Hz" for rate, count in rates.most_common())
        warnings.warn(
            f"the clips have several sample rates ({found}), and this front end keeps each file's own: the same sound "
            "is then heard at another pitch and length. Give it one: with_frontend(network, replace(frontend_of("
            "network), sample_rate=22_050)).",
            AudioRepairWarning,
            stacklevel=4,
        )


class PatchWaveforms:
    """Waveforms of patches, cut from their clips when they are asked for.

    Parameters
    ----------
    patches : Patches [n]
        With the `path` of each clip.
    frontend : WaveformFrontEnd
        Of the network that listens; its sample rate must be fixed.

    Raises
    ------
    MissingDataError
        If there are no patches or their files are not known.
    PatchShapeError
        If the front end takes any sample rate.
    """

    def __init__(self, patches, frontend):
        rate, log_mel = frontend.sample_rate, patches.frontend
        if rate is None:
            raise PatchShapeError(
                "the network takes any sample rate, so that a patch has no number of samples. "
                "Give it one: student_for(teacher), or with_frontend."
            )
        seconds = ((log_mel.frames - 1) * log_mel.hop + log_mel.window) / log_mel.sample_rate
        clips = clips_of(patches)
        self.waveforms = dict(zip(clips.index, read_waveforms(clips, frontend, max_seconds=np.inf), strict=True))
        self.clip, self.start = patches.clip, np.round(patches.start * rate).astype(int)
        self.shape = (len(patches), round(seconds * rate), 1)

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows):
        """Waveforms [rows, samples, 1]; what lies behind a clip's end is silent."""
        numbers = np.atleast_1d(np.arange(len(self))[rows])
        cut = np.zeros((len(numbers), *self.shape[1:]), np.float32)
        for row, number in zip(cut, numbers, strict=True):
            part = self.waveforms[self.clip[number]][self.start[number] :][: self.shape[1]]
            row[: len(part), 0] = part
        return cut


def clips_of(patches):
    """The clips that patches were cut from, with their files."""
    if len(patches) == 0:
        raise MissingDataError("no patches to learn from. Check the split, and whether every clip is silent.")
    if "path" not in patches.table:
        raise MissingDataError("patches without the path of their clips: make them with make_patches(clips).")
    return patches.table.groupby("clip", sort=False)[["path"]].first()
