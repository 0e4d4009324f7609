"""Clips → log-mel patches, each knowing its clip and its start."""

import tempfile
import unicodedata
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from ..errors import MissingDataError, PatchShapeError, UnreadableAudioError
from ..storage.cache import cached
from ..storage.fingerprints import fingerprint, settings_of
from ..storage.folders import cache_folder
from .frontend import VGGISH, FrontEnd
from .reading import LONGEST, file_digest, numbered, read_each, read_with_notes, report_unreadable, warn_of_repairs

IN_MEMORY = 2_000_000_000  # bytes; larger sets of patches live in a temporary file


@dataclass(frozen=True, eq=False)
class Patches:
    """Log-mel patches and where each comes from.

    ``patches[3]``, ``patches[[250, 500]]`` and ``patches[patches.label == "dog"]`` are patches again. What they hold
    cannot be changed: what is computed from it is kept under its fingerprint.

    Parameters
    ----------
    data : numpy.ndarray [n, frames, mels], float32
        Taken as it is if it is read-only, otherwise copied and made so.
    table : pandas.DataFrame [n]
        One row a patch: `clip` (index of its row in the clip table), `start` (s), `label` (numbers become text),
        `fold`, `source`, `path`, `padded` (the clip was too short for one patch) and `silent` (no band of any frame
        rises above the front end's log offset: the network sees a flat patch).
    frontend : FrontEnd

    Raises
    ------
    PatchShapeError
        If data, table and front end do not fit each other.

    Examples
    --------
    >>> patches = make_patches(clips)  # doctest: +SKIP
    >>> patches[~patches.silent].data.mean(axis=1)  # doctest: +SKIP
    """

    data: np.ndarray
    table: pd.DataFrame
    frontend: FrontEnd = VGGISH

    def __post_init__(self):
        data = np.asanyarray(self.data)
        if data.flags.writeable:
            data = data.copy()
            data.flags.writeable = False
        object.__setattr__(self, "data", data)
        if "label" in self.table and (names := class_names(self.table["label"])) != list(self.table["label"]):
            object.__setattr__(self, "table", self.table.assign(label=pd.Series(names, self.table.index, object)))
        expected = (len(self.table), self.frontend.frames, self.frontend.mels)
        if self.data.shape != expected:
            raise PatchShapeError(f"patches of shape {self.data.shape}: expected {expected} (patches, frames, mels).")

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        rows = np.atleast_1d(np.arange(len(self))[index])
        part = self.data[rows]
        part.flags.writeable = False  # it is a copy already
        return Patches(part, self.table.iloc[rows], self.frontend)

    @property
    def label(self):
        """Class name of each patch, shape (n,)."""
        return self.table["label"].to_numpy()

    @property
    def clip(self):
        """Clip of each patch, as its row's index in the clip table, shape (n,)."""
        return self.table["clip"].to_numpy()

    @property
    def start(self):
        """Start of each patch in its clip, in seconds, shape (n,)."""
        return self.table["start"].to_numpy()

    @property
    def silent(self):
        """Whether each patch is silent to the network, shape (n,); none is where the table does not say."""
        return self.table["silent"].to_numpy() if "silent" in self.table else np.zeros(len(self), bool)

    @property
    def time(self):
        """Time axis of a patch in seconds, shape (frames,)."""
        return self.frontend.time

    @property
    def frequency(self):
        """Frequency axis of a patch in Hz, shape (mels,)."""
        return self.frontend.frequency

    def without_band(self, low, high, *, fill="mean"):
        """The same patches with a frequency band taken out.

        Parameters
        ----------
        low, high : float
            Bands whose centres lie from `low` up to, not including, `high` (Hz) are filled.
        fill : {"mean", "silence"}
            Each patch's own mean, or the log-mel value of silence.

        Returns
        -------
        Patches
        """
        band = (self.frequency >= low) & (self.frequency < high)
        fills = {"mean": self.data.mean(axis=(1, 2), keepdims=True), "silence": np.log(self.frontend.log_offset)}
        if fill not in fills:
            raise ValueError(f"fill={fill!r}: expected 'mean' or 'silence'.")
        return replace(self, data=np.where(band, fills[fill], self.data).astype(np.float32))

    @cached_property
    def digest(self):
        """Fingerprint of the contents, labels and settings, for cached results."""
        labels = list(self.label) if "label" in self.table else None
        return fingerprint([np.asarray(self.data), labels, settings_of(self.frontend)])


def class_names(labels):
    """Labels as class names: numbers as text, 1.0 as "1"; text in one Unicode form (NFC); None if none."""

    def name(label):
        if pd.isna(label):
            return None
        whole = isinstance(label, (float, np.floating)) and float(label).is_integer()
        return unicodedata.normalize("NFC", str(int(label) if whole else label))

    return [name(label) for label in labels]


def make_patches(
    clips,
    frontend=VGGISH,
    *,
    overlap=0.75,
    on_error="raise",
    channel=None,
    max_seconds=LONGEST,
    jobs=-1,
    cache=True,
    progress=True,
):
    """Read clips and cut them into log-mel patches.

    Clips are read in parallel; each log-mel spectrogram is kept in the cache under its content and the settings.
    Sets larger than 2 GB live in a temporary file instead of memory. Inside ``joblib.parallel_config(backend="dask")``
    the workers of a cluster, which must see the same files, read the clips.

    Parameters
    ----------
    clips : pandas.DataFrame
        Clip table: `path`, and if it has them `label`, `fold`, `source`.
    frontend : FrontEnd
    overlap : float
        Fraction shared by neighbouring patches.
    on_error : {"raise", "skip"}
        What to do with clips that cannot be read: stop and list them, or leave them out with a warning.
    channel : int, optional
        The one to take of each clip, 0 for the first; by default all are averaged.
    max_seconds : float
        Longest clip that is accepted.
    jobs : int
        Clips read at a time; -1 for one a core.
    cache, progress : bool

    Returns
    -------
    Patches

    Raises
    ------
    MissingDataError
        If there are no clips.
    UnreadableAudioError
        If clips cannot be read (all of them are named at once).

    Examples
    --------
    >>> patches = make_patches(load("my_sounds"), YAMNET, overlap=0.5)  # doctest: +SKIP
    """
    if len(clips) == 0:
        raise MissingDataError("no clips: the table is empty. Check the folder, labels or split it came from.")
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error={on_error!r}: expected 'raise' or 'skip'.")
    frontend.patch_hop(overlap)
    clips = numbered(clips)

    def read(path):
        return _clip_log_mel(file_digest(path), str(path), frontend, channel, max_seconds, cache=cache)

    results = read_each(read, clips["path"], title="log-mel", jobs=jobs, progress=progress)
    store, rows, failures = _Store(frontend), [], []
    columns = [c for c in ("label", "fold", "source", "path") if c in clips]
    for (index, clip), result in zip(clips[columns].iterrows(), results, strict=True):
        if isinstance(result, UnreadableAudioError):
            failures.append(result)
            continue
        log_mel, notes = result
        cut, start = frontend.cut(log_mel, overlap)
        padded = len(log_mel) < frontend.frames
        if padded:
            notes = [*notes, f"too short for one patch of {frontend.patch_seconds} s: padded with silence"]
        warn_of_repairs(clip["path"], notes)
        store.append(cut)
        silent = are_silent(cut, frontend)
        rows += [
            {"clip": index, "start": s, **clip, "padded": padded, "silent": q}
            for s, q in zip(start, silent, strict=True)
        ]
    if failures:
        report_unreadable(failures, len(clips), on_error)
    return Patches(store.array(), pd.DataFrame(rows), frontend)


def are_silent(data, frontend):
    """Whether no band of any frame of each patch [n, frames, mels] rises above the front end's log offset."""
    return data.max(axis=(1, 2)) < np.log(2 * frontend.log_offset)


@cached("log_mel", version=2, ignore=("path",))
def _clip_log_mel(digest, path, frontend, channel, max_seconds):
    """Log-mel of one file (kept under `digest`, the fingerprint of its bytes) and what was repaired."""
    waveform, notes = read_with_notes(path, frontend.sample_rate, channel=channel, max_seconds=max_seconds)
    return frontend.log_mel(waveform), notes


class _Store:
    """Collects patches in memory, and in a temporary file from IN_MEMORY bytes on."""

    def __init__(self, frontend):
        self.shape = (-1, frontend.frames, frontend.mels)
        self.parts, self.size, self.file = [], 0, None

    def append(self, part):
        self.size += part.nbytes
        self.parts.append(part)
        if self.size > IN_MEMORY or self.file:
            self.file = self.file or tempfile.TemporaryFile(dir=cache_folder("patches"))  # noqa: SIM115
            for waiting in self.parts:
                waiting.tofile(self.file)
            self.parts = []

    def array(self):
        if self.file is None:
            whole = np.concatenate(self.parts)
            whole.flags.writeable = False
            return whole
        self.file.flush()
        return np.memmap(self.file, np.float32, "r").reshape(self.shape)
