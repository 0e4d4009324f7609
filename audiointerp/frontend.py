"""Waveform → log-mel spectrogram → patches: what the networks see."""

import hashlib
import tempfile
import warnings
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache

import joblib
import numpy as np
import pandas as pd
from scipy import fft, signal
from tqdm import tqdm

from .audio import read_with_notes, short
from .errors import AudioRepairWarning, MissingDataError, PatchShapeError, UnreadableAudioError
from .settings import cache_folder

IN_MEMORY = 2_000_000_000  # bytes; larger sets of patches live in a temporary file


@dataclass(frozen=True)
class FrontEnd:
    """How a waveform becomes log-mel patches; the defaults are VGGish's.

    Parameters
    ----------
    sample_rate : int
        Hz.
    window, hop, fft_length : int
        Samples per frame, samples between frames, points of the Fourier transform.
    mels : int
        Mel bands between `low` and `high` (Hz), their triangles straight on the HTK mel scale.
    log_offset : float
        Added before the logarithm: 0.01 for VGGish, 0.001 for YAMNet.
    frames : int
        Frames per patch.

    References
    ----------
    Hershey et al., ICASSP 2017; ``mel_features.py`` of AudioSet's VGGish.
    """

    sample_rate: int = 16_000
    window: int = 400
    hop: int = 160
    fft_length: int = 512
    mels: int = 64
    low: float = 125.0
    high: float = 7_500.0
    log_offset: float = 0.01
    frames: int = 96

    @property
    def time(self):
        """Centres of a patch's frames in seconds from its start, shape (frames,)."""
        return (np.arange(self.frames) * self.hop + self.window / 2) / self.sample_rate

    @property
    def frequency(self):
        """Centres of the mel bands in Hz, shape (mels,)."""
        return mel_to_hz(self._mel_edges[1:-1])

    @property
    def mel_weights(self):
        """Weights from FFT magnitudes to mel bands, shape (fft_length // 2 + 1, mels); the DC bin is left out."""
        return _mel_weights(self)

    @property
    def patch_seconds(self):
        """Seconds of hops in a patch."""
        return self.frames * self.hop / self.sample_rate

    @property
    def _mel_edges(self):
        return np.linspace(hz_to_mel(self.low), hz_to_mel(self.high), self.mels + 2)

    def patch_hop(self, overlap):
        """Frames between two patches that share the fraction `overlap`."""
        if not 0 <= overlap < 1:
            raise ValueError(f"overlap is {overlap}; it is a fraction from 0 up to, but not, 1 (0.75 is usual).")
        return max(1, round(self.frames * (1 - overlap)))

    def log_mel(self, waveform):
        """Log-mel spectrogram of a waveform.

        Parameters
        ----------
        waveform : array_like [samples]
            Mono, at `sample_rate`.

        Returns
        -------
        numpy.ndarray [frames, mels], float32
            As many frames as fit; at least one, the waveform being padded with silence if it is too short.
        """
        waveform = np.asarray(waveform, dtype=np.float32)
        if waveform.ndim != 1 or not waveform.size or not np.isfinite(waveform).all():
            raise UnreadableAudioError(
                f"waveform of shape {waveform.shape}: expected one channel of finite samples. "
                "Average the channels and check for NaN, or read the file with read_audio."
            )
        waveform = np.pad(waveform, (0, max(0, self.window - waveform.size)))
        frames = np.lib.stride_tricks.sliding_window_view(waveform, self.window)[:: self.hop]
        hann = signal.get_window("hann", self.window).astype(np.float32)
        magnitude = np.abs(fft.rfft(frames * hann, self.fft_length, axis=1))
        return np.log(magnitude @ self.mel_weights + np.float32(self.log_offset))

    def cut(self, log_mel, overlap=0.75):
        """Cut a log-mel spectrogram into patches.

        Parameters
        ----------
        log_mel : numpy.ndarray [frames, mels]
        overlap : float
            Fraction shared by neighbouring patches.

        Returns
        -------
        patches : numpy.ndarray [n, frames, mels], float32
        start : numpy.ndarray [n]
            Start of each patch in seconds.
        """
        hop = self.patch_hop(overlap)
        if len(log_mel) < self.frames:
            silence = np.log(np.float32(self.log_offset))
            log_mel = np.pad(log_mel, ((0, self.frames - len(log_mel)), (0, 0)), constant_values=silence)
        windows = np.lib.stride_tricks.sliding_window_view(log_mel, self.frames, axis=0)[::hop]
        start = np.arange(len(windows)) * hop * self.hop / self.sample_rate
        return np.ascontiguousarray(windows.transpose(0, 2, 1), dtype=np.float32), start


VGGISH = FrontEnd()
YAMNET = replace(VGGISH, log_offset=0.001)


@dataclass(frozen=True, eq=False)
class Patches:
    """Log-mel patches and where each comes from.

    ``patches[3]``, ``patches[[250, 500]]`` and ``patches[patches.label == "dog"]`` are patches again.

    Parameters
    ----------
    data : numpy.ndarray [n, frames, mels], float32
    table : pandas.DataFrame [n]
        One row a patch: `clip` (index of its row in the clip table), `start` (s), `label`, `fold`, `source`,
        `path`, and `padded` (the clip was too short for one patch).
    frontend : FrontEnd
    """

    data: np.ndarray
    table: pd.DataFrame
    frontend: FrontEnd = VGGISH

    def __post_init__(self):
        expected = (len(self.table), self.frontend.frames, self.frontend.mels)
        if self.data.shape != expected:
            raise PatchShapeError(f"patches of shape {self.data.shape}: expected {expected} (patches, frames, mels).")

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        rows = np.atleast_1d(np.arange(len(self))[index])
        return Patches(self.data[rows], self.table.iloc[rows], self.frontend)

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
    def time(self):
        """Time axis of a patch in seconds, shape (frames,)."""
        return self.frontend.time

    @property
    def frequency(self):
        """Frequency axis of a patch in Hz, shape (mels,)."""
        return self.frontend.frequency

    @cached_property
    def digest(self):
        """Fingerprint of the contents, labels and settings, for cached results."""
        return joblib.hash([np.asarray(self.data), list(self.label), asdict(self.frontend)])


def make_patches(clips, frontend=VGGISH, *, overlap=0.75, on_error="raise", jobs=-1, max_seconds=600.0):
    """Read clips and cut them into log-mel patches.

    Clips are read in parallel; each log-mel spectrogram is kept in the cache under its content and the settings.
    Sets larger than 2 GB live in a temporary file instead of memory.

    Parameters
    ----------
    clips : pandas.DataFrame
        Clip table: `path`, and if it has them `label`, `fold`, `source`.
    frontend : FrontEnd
    overlap : float
        Fraction shared by neighbouring patches.
    on_error : {"raise", "skip"}
        What to do with clips that cannot be read: stop and list them, or leave them out with a warning.
    jobs : int
        Clips read at a time; -1 for one a core.
    max_seconds : float
        Longest clip that is accepted.

    Returns
    -------
    Patches

    Raises
    ------
    MissingDataError
        If there are no clips.
    UnreadableAudioError
        If clips cannot be read (all of them are named at once).
    """
    if len(clips) == 0:
        raise MissingDataError("no clips: the table is empty. Check the folder, labels or split it came from.")
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error={on_error!r}: expected 'raise' or 'skip'.")
    frontend.patch_hop(overlap)
    read = joblib.Memory(cache_folder("log_mel"), verbose=0).cache(_clip_log_mel, ignore=["path"])
    task = joblib.delayed(_try)
    results = joblib.Parallel(jobs, prefer="threads", return_as="generator")(
        task(read, path, frontend, max_seconds) for path in clips["path"]
    )
    store, rows, failures = _Store(frontend), [], []
    columns = [c for c in ("label", "fold", "source", "path") if c in clips]
    bar = tqdm(results, "log-mel", len(clips), unit="clip", leave=False, delay=2)
    for (index, clip), (log_mel, notes) in zip(clips[columns].iterrows(), bar, strict=True):
        if log_mel is None:
            failures.append(notes)
            continue
        for note in notes:
            warnings.warn(f"{short(clip['path'])}: {note}", AudioRepairWarning, stacklevel=2)
        cut, start = frontend.cut(log_mel, overlap)
        padded = len(log_mel) < frontend.frames
        if padded:
            note = f"too short for one patch of {frontend.patch_seconds} s: padded with silence"
            warnings.warn(f"{short(clip['path'])}: {note}", AudioRepairWarning, stacklevel=2)
        store.append(cut)
        rows += [{"clip": index, "start": s, "padded": padded, **clip} for s in start]
    if failures:
        _report(failures, len(clips), on_error)
    return Patches(store.array(), pd.DataFrame(rows), frontend)


def hz_to_mel(frequency):
    """HTK mel of a frequency in Hz: 1127 ln(1 + f / 700)."""
    return 1127.0 * np.log1p(np.asarray(frequency) / 700.0)


def mel_to_hz(mel):
    """Frequency in Hz of an HTK mel."""
    return 700.0 * np.expm1(np.asarray(mel) / 1127.0)


@lru_cache(maxsize=8)
def _mel_weights(frontend):
    edges = frontend._mel_edges
    bins = hz_to_mel(np.linspace(0, frontend.sample_rate / 2, frontend.fft_length // 2 + 1))[:, None]
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    weights = np.maximum(0, np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)))
    weights[0] = 0
    return weights.astype(np.float32)


def _clip_log_mel(digest, path, frontend, max_seconds):
    """Log-mel of one file (cached under `digest`, the fingerprint of its bytes) and what was repaired."""
    waveform, notes = read_with_notes(path, frontend.sample_rate, max_seconds)
    return frontend.log_mel(waveform), notes


def _try(read, path, frontend, max_seconds):
    """Result of one clip, or (None, the error's text)."""
    try:
        digest = hashlib.sha1()
        with open(path, "rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
        return read(digest.hexdigest(), str(path), frontend, max_seconds)
    except FileNotFoundError:
        return None, f"{path}: no such file. Check the table's paths, or download the data again."
    except UnreadableAudioError as error:
        return None, str(error)


def _report(failures, total, on_error):
    listed = "\n".join(f"  {text}" for text in failures[:10])
    more = f"\n  … and {len(failures) - 10} more" if len(failures) > 10 else ""
    text = f"{len(failures)} of {total} clips cannot be read:\n{listed}{more}"
    if on_error == "raise" or len(failures) == total:
        raise UnreadableAudioError(f"{text}\nMend or remove them, or leave them out with on_error='skip'.")
    warnings.warn(f"{text}\nThey are left out.", AudioRepairWarning, stacklevel=3)


class _Store:
    """Collects patches in memory, and in a temporary file from IN_MEMORY bytes on."""

    def __init__(self, frontend):
        self.shape = (-1, frontend.frames, frontend.mels)
        self.parts, self.size, self.file = [], 0, None

    def append(self, part):
        self.size += part.nbytes
        self.parts.append(part)
        if self.size > IN_MEMORY or self.file:
            self.file = self.file or tempfile.TemporaryFile(dir=cache_folder("patches"))
            for waiting in self.parts:
                waiting.tofile(self.file)
            self.parts = []

    def array(self):
        if self.file is None:
            return np.concatenate(self.parts)
        self.file.flush()
        return np.memmap(self.file, np.float32, "r").reshape(self.shape)
