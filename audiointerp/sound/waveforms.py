"""Clips and patches → waveforms, for networks that listen to them directly."""

import numpy as np

from ..errors import MissingDataError, PatchShapeError, UnreadableAudioError
from .reading import read_each, warn_of_repairs


def read_waveforms(clips, frontend, *, jobs=-1, progress=True):
    """Waveforms of clips as a network on waveforms takes them, read in parallel; repairs are said in warnings.

    Parameters
    ----------
    clips : pandas.DataFrame
        Clip table with `path`.
    frontend : WaveformFrontEnd
    jobs : int
        Clips read at a time; -1 for one a core.
    progress : bool

    Returns
    -------
    list of numpy.ndarray [samples], float32

    Raises
    ------
    UnreadableAudioError
        If a clip cannot be read.
    """
    waveforms = []
    results = read_each(frontend.read, clips["path"], title="waveforms", jobs=jobs, progress=progress)
    for path, result in zip(clips["path"], results, strict=True):
        if isinstance(result, UnreadableAudioError):
            raise result
        waveform, notes = result
        warn_of_repairs(path, notes)
        waveforms.append(waveform)
    return waveforms


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
        self.waveforms = dict(zip(clips.index, read_waveforms(clips, frontend), strict=True))
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
