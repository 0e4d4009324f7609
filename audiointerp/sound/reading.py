"""Sound file → mono waveform, with every repair stated."""

import re
import warnings
from pathlib import Path

import joblib
import numpy as np
import pooch
import soundfile
from tqdm import tqdm

from ..errors import AudioRepairWarning, UnreadableAudioError
from .containers import UNKNOWN, parts_of

LOWEST_RATE = 2_000  # Hz; below it the lowest mel bands are empty too
LONGEST = 600.0  # seconds
STREAMED = 2**48  # frames; headers of streams say at least so many, where nobody knew
SMALL_BLOCK = 1024
CANCELLED = 0.1  # of the channels' power; unrelated channels leave half of it in their mean, equal ones all


def read_audio(path, sample_rate=16_000, *, channel=None, max_seconds=LONGEST):
    """Read a sound file as a mono waveform.

    Any format of libsndfile (wav, ogg, flac, mp3, …). Another sample rate is converted.
    Files are decoded to their end, whatever their header says of their length, and joined ones one after another.
    What had to be repaired is said in a warning: samples that are not numbers become 0, a file that ends before
    its header says is used as far as it goes, a silent file stays silent. So are channels that cancel each other.

    Parameters
    ----------
    path : str or Path
    sample_rate : int or None
        Wanted sample rate in Hz; None keeps the file's own.
    channel : int, optional
        The one to take, 0 for the first; by default all are averaged.
    max_seconds : float
        Longest file that is accepted; infinite for any.

    Returns
    -------
    numpy.ndarray [samples], float32

    Raises
    ------
    UnreadableAudioError
        If there is no such file, it is not audio, holds no samples, mostly invalid ones, is too long, or has no such
        channel.
    ValueError
        If `max_seconds` is not above 0.

    Warns
    -----
    AudioRepairWarning

    Examples
    --------
    >>> waveform = read_audio("dog/1-100032-A.ogg")  # doctest: +SKIP
    """
    waveform, notes = read_with_notes(path, sample_rate, channel=channel, max_seconds=max_seconds)
    warn_of_repairs(path, notes)
    return waveform


def read_with_notes(path, sample_rate=16_000, *, channel=None, max_seconds=LONGEST):
    """As `read_audio`, with the repairs as a list of texts instead of warnings."""
    if not max_seconds > 0:
        raise ValueError(f"max_seconds={max_seconds}: expected more than 0 seconds.")
    samples, rate, notes = _decode(Path(path), max_seconds)
    if channel is not None and not 0 <= channel < samples.shape[1]:
        raise UnreadableAudioError(
            f"{short(path)}: channel {channel} of {samples.shape[1]}; channels are counted from 0. Name another one."
        )
    waveform = samples.mean(axis=1) if channel is None else samples[:, channel]
    power = np.mean(samples**2, dtype=np.float64)
    left = np.mean(waveform**2, dtype=np.float64) / power if power else 1.0
    if channel is None and left < CANCELLED:
        lost = f"lose {-10 * np.log10(left):.0f} dB" if left else "leave nothing"
        notes.append(
            f"its channels cancel each other: averaged they {lost}. Take one alone: channel=0 of read_audio, "
            "make_patches or prepare"
        )
    if not waveform.any():
        notes.append("silent: every sample is 0; kept as it is")
    if sample_rate is not None and rate != sample_rate:
        import librosa

        if rate < sample_rate:
            notes.append(f"sampled at {rate} Hz: nothing above {rate / 2:.0f} Hz; converted to {sample_rate} Hz")
        waveform = librosa.resample(waveform, orig_sr=rate, target_sr=sample_rate, res_type="soxr_hq")
    return np.ascontiguousarray(waveform, dtype=np.float32), notes


def read_each(read, paths, *, title, jobs=-1, progress=True):
    """Yield what a function gives for each of many files, several at a time, in the order of the paths.

    An UnreadableAudioError stands in place of what cannot be read.
    """

    def attempt(path):
        try:
            return read(path)
        except UnreadableAudioError as error:
            return error

    paths = list(paths)
    results = joblib.Parallel(jobs, prefer="threads", return_as="generator")(
        joblib.delayed(attempt)(path) for path in paths
    )
    yield from tqdm(results, title, len(paths), unit="clip", leave=False, delay=2, disable=not progress)


def numbered(clips):
    """A clip table whose index names each clip once; one that does not, as after `pandas.concat`, is numbered anew."""
    if clips.index.is_unique:
        return clips
    warnings.warn(
        f"the index of the clip table names {clips.index.duplicated().sum()} of {len(clips)} clips as it names others, "
        "as after pd.concat(): clips are numbered anew. To have the same numbers in your table, use "
        "pd.concat(…, ignore_index=True).",
        AudioRepairWarning,
        stacklevel=3,
    )
    return clips.reset_index(drop=True)


def warn_of_repairs(path, notes, *, stacklevel=3):
    """One warning for each thing that had to be repaired in a file."""
    for note in notes:
        warnings.warn(f"{short(path)}: {note}", AudioRepairWarning, stacklevel=stacklevel)


def file_digest(path):
    """Fingerprint (SHA-1, hexadecimal) of a file's bytes, for cached results.

    Raises
    ------
    UnreadableAudioError
        If the file cannot be opened.
    """
    try:
        return pooch.file_hash(str(path), alg="sha1")
    except OSError as error:
        raise UnreadableAudioError(
            f"{path}: {error.strerror}. Check the table's paths, or download the data again."
        ) from error


def short(path):
    """The last folder and the name of a file: enough to find it, without the whole path."""
    return "/".join(Path(path).parts[-2:])


def report_unreadable(failures, total, on_error):
    """Say at once which of `total` clips could not be used: in an error, or in a warning if they may be left out.

    An UnreadableAudioError too if none is left.
    """
    listed = "\n".join(f"  {text}" for text in failures[:10])
    more = f"\n  … and {len(failures) - 10} more" if len(failures) > 10 else ""
    text = f"{len(failures)} of {total} clips cannot be read:\n{listed}{more}"
    if len(failures) == total:
        raise UnreadableAudioError(f"{text}\nNone is left. Mend them, or check the table's paths.")
    if on_error == "raise":
        raise UnreadableAudioError(f"{text}\nMend or remove them, or leave them out with on_error='skip'.")
    warnings.warn(f"{text}\nThey are left out.", AudioRepairWarning, stacklevel=3)


class _Stream(soundfile.SoundFile):
    """A sound file that is read to its end: what its header says of its length is not believed."""

    def seekable(self):
        return False


def _samples(source, path, most, max_seconds, block=65_536):
    """Samples (n, channels) of one sound file, their rate in Hz, and whether they end before its header says.

    At most `most` seconds are accepted. What is decoded before an error counts: it is told by reading small blocks.
    """
    source.seek(0)
    with _Stream(source) as file:
        rate, promised, read, blocks, broken = file.samplerate, file.frames, 0, [], False
        if rate < LOWEST_RATE:
            raise UnreadableAudioError(
                f"{short(path)}: its header says {rate} samples a second; at least {LOWEST_RATE} are needed. "
                "Export it again as 16 kHz or 44.1 kHz WAV."
            )
        known = promised < STREAMED
        while not (too_long := max(read, promised if known else 0) > most * rate):
            try:
                blocks.append(file.read(block, dtype="float32", always_2d=True))
            except soundfile.LibsndfileError:
                if block > SMALL_BLOCK:
                    return _samples(source, path, most, max_seconds, SMALL_BLOCK)
                if not read:
                    raise
                broken = True
                break
            read += len(blocks[-1])
            if not len(blocks[-1]):
                break
        if too_long:
            long = f"{promised / rate / 60:.1f} minutes long" if known else "longer than that"
            raise UnreadableAudioError(
                f"{short(path)}: {long}, at most {max_seconds / 60:.1f} minutes are accepted. "
                "Cut it to the part of interest, or raise max_seconds, as read_audio and make_patches take it."
            )
        missing = any(there < said < UNKNOWN for said, there in _sizes(file.extra_info))
        samples = np.concatenate([np.zeros((0, file.channels), np.float32), *blocks])
        return samples, rate, broken or missing or (known and read < promised)


def _sizes(log):
    """Sizes of a file by its header and as they are, where libsndfile's log says that they differ."""
    found = re.findall(r"^\s*(?:SSND|Data Size|Riff size|riff)\s*:\s*(\d+) \(should be (\d+)\)", log, re.MULTILINE)
    return [(int(said), int(there)) for said, there in found]


def _decode(path, max_seconds):
    """Samples (n, channels), their rate in Hz, and what had to be repaired."""
    if not path.is_file():
        raise UnreadableAudioError(f"{path}: no such file. Check the name, or the folder that it should be in.")
    size = path.stat().st_size
    if size == 0:
        raise UnreadableAudioError(f"{short(path)}: no audio frames (file is 0 bytes). Remove it or download it again.")
    notes, parts = [], []
    try:
        # Under its number: by a name such as .raw soundfile would take it for what it is not.
        with path.open("rb") as named, open(named.fileno(), "rb", closefd=False) as file:
            sources, cut = parts_of(file)
            for source in sources:
                most = max_seconds - sum(len(part) for part, _ in parts) / (parts[0][1] if parts else 1)
                samples, rate, ends_early = _samples(source, path, most, max_seconds)
                if parts and (rate, samples.shape[1]) != (parts[0][1], parts[0][0].shape[1]):
                    notes.append(f"joined files of unlike rate or channels: only the first {len(parts)} are read")
                    break
                parts.append((samples, rate))
                cut = cut or ends_early
    except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
        raise UnreadableAudioError(
            f"{short(path)}: not readable as audio ({size} bytes; {getattr(error, 'error_string', error)}). "
            "Expected wav, ogg, flac or mp3: remove it, download it again, or convert it."
        ) from error
    samples, rate = np.concatenate([part for part, _ in parts]), parts[0][1]
    if len(samples) == 0:
        raise UnreadableAudioError(
            f"{short(path)}: no audio frames (file is {size} bytes). Remove it or download it again."
        )
    if len(parts) > 1:
        notes.append(f"{len(parts)} sound files joined in one: read one after another")
    if cut:
        notes.append(f"truncated: ends before its header says; its first {len(samples) / rate:.2f} s are used")
    bad = ~np.isfinite(samples)
    if bad.mean() > 0.5:
        raise UnreadableAudioError(
            f"{short(path)}: {bad.mean():.0%} of its samples are NaN or infinite. Export it again from its source."
        )
    if bad.any():
        notes.append(f"{bad.sum()} samples are NaN or infinite: set to 0")
        samples = np.where(bad, np.float32(0), samples)
    if np.abs(samples).max() > 1e3:
        raise UnreadableAudioError(
            f"{short(path)}: samples up to {np.abs(samples).max():.3g}, expected -1 to 1. "
            "It was probably written as float without scaling: divide by the full scale and export it again."
        )
    return samples, rate, notes
