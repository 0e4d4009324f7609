"""Track features: 57 numbers a clip, or a part of it, as published for every track of GTZAN."""

from functools import cache

import librosa
import numpy as np
import pandas as pd
from scipy import ndimage

from ..errors import MissingDataError, UnreadableAudioError
from ..storage.cache import cached
from .frontend import WaveformFrontEnd
from .reading import LONGEST, file_digest, numbered, read_each, report_unreadable, short, warn_of_repairs

TRACK = WaveformFrontEnd(sample_rate=22_050, scale=1.0, shortest=0, channel=None)
SHORTEST = 1.0  # seconds
SUMMARISED = ("chroma_stft", "rms", "spectral_centroid", "spectral_bandwidth", "rolloff", "zero_crossing_rate")
SUMMARISED += ("harmony", "perceptr")
MFCCS = 20
FEATURES = [f"{name}_{number}" for name in SUMMARISED for number in ("mean", "var")] + ["tempo"]
FEATURES += [f"mfcc{number}_{statistic}" for number in range(1, MFCCS + 1) for statistic in ("mean", "var")]

MEDIAN = 31  # frames, or bins, of the median filters that part harmonies from percussion


def track_features(clips, *, seconds=None, on_error="raise", max_seconds=LONGEST, jobs=-1, cache=True, progress=True):
    """Describe each clip, or each part of it, by the 57 features of the published GTZAN table.

    Mean and variance over time of what librosa gives with its own settings (frames of 2,048 samples every 512) at
    22,050 Hz: ``chroma_stft``; ``rms``; ``spectral_centroid``, ``spectral_bandwidth`` and ``rolloff`` (Hz);
    ``zero_crossing_rate``; ``mfcc1`` to ``mfcc20``; and of the samples of the harmonic (``harmony``) and the percussive
    (``perceptr``) part of the waveform. ``tempo`` is the beat tracker's, in beats a minute.

    Every feature is finite: where nothing sounds, tempo, chroma and the spectral ones are 0. Clips are read in
    parallel; the features of each are kept in the cache under its content and the settings.

    Parameters
    ----------
    clips : pandas.DataFrame
        Clip table: `path`, and if it has them `label`, `fold`, `source`.
    seconds : float, optional
        Length of the parts that each clip is cut into, one after the other; what is left at the end is not used.
        Whole clips by default. At least 1.
    on_error : {"raise", "skip"}
        What to do with clips that cannot be used: stop and list them, or leave them out with a warning.
    max_seconds : float
        Longest clip that is accepted.
    jobs : int
        Clips worked on at a time; -1 for one a core.
    cache, progress : bool

    Returns
    -------
    pandas.DataFrame [clips] or [parts]
        `label`, `fold`, `source` as far as the table has them, then `FEATURES`; indexed by `clip` (the table's index)
        or by `clip` and `start` (s).

    Raises
    ------
    MissingDataError
        If there are no clips.
    UnreadableAudioError
        If clips cannot be read or are shorter than a part, or than 1 s (all of them are named at once).

    Warns
    -----
    AudioRepairWarning
        For what had to be repaired in a clip, and for silence.

    References
    ----------
    "GTZAN Dataset - Music Genre Classification" on Kaggle, ``features_30_sec.csv``; McFee et al., librosa, SciPy 2015;
    Fitzgerald, "Harmonic/percussive separation using median filtering", DAFx 2010.
    """
    if len(clips) == 0:
        raise MissingDataError("no clips: the table is empty. Check the folder, labels or split it came from.")
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error={on_error!r}: expected 'raise' or 'skip'.")
    if seconds is not None and not seconds >= SHORTEST:
        raise ValueError(f"seconds={seconds}: expected at least {SHORTEST} s a part, or None for whole clips.")
    seconds = None if seconds is None else float(seconds)
    clips = numbered(clips)

    def read(path):
        return _of_file(file_digest(path), str(path), seconds, max_seconds, cache=cache)

    results = read_each(read, clips["path"], title="track features", jobs=jobs, progress=progress)
    columns = [c for c in ("label", "fold", "source") if c in clips]
    about, parts, failures = [], [], []
    for index, path, values, result in zip(clips.index, clips["path"], clips[columns].values, results, strict=True):
        if isinstance(result, UnreadableAudioError):
            failures.append(result)
            continue
        rows, notes = result
        warn_of_repairs(path, notes)
        parts.append(rows)
        starts = np.arange(len(rows)) * (seconds or 0.0)
        about += [(index, start, *values) for start in starts]
    if failures:
        report_unreadable(failures, len(clips), on_error)
    found = pd.DataFrame(about, columns=["clip", "start", *columns]).astype(clips[columns].dtypes)
    found = pd.concat([found, pd.DataFrame(np.concatenate(parts), columns=FEATURES)], axis=1)
    return found.drop(columns="start").set_index("clip") if seconds is None else found.set_index(["clip", "start"])


def describe(waveform):
    """The 57 features of a waveform [samples] of 22,050 Hz, in the order of `FEATURES`."""
    rate = TRACK.sample_rate
    stft = librosa.stft(waveform)
    magnitude = np.abs(stft)
    power = magnitude**2
    harmonic, percussive = _parts(stft, magnitude, len(waveform))
    over_time = [
        librosa.feature.chroma_stft(S=power, sr=rate, tuning=_tuning(power)),
        librosa.feature.rms(y=waveform),
        librosa.feature.spectral_centroid(S=magnitude, sr=rate),
        librosa.feature.spectral_bandwidth(S=magnitude, sr=rate),
        librosa.feature.spectral_rolloff(S=magnitude, sr=rate),
        librosa.feature.zero_crossing_rate(waveform),
        harmonic,
        percussive,
    ]
    level = librosa.power_to_db(_mel_weights() @ power)
    mfcc = librosa.feature.mfcc(S=level, n_mfcc=MFCCS)
    onsets = librosa.onset.onset_strength(S=level, sr=rate, aggregate=np.median)  # what beat_track(y=...) computes
    tempo = np.ravel(librosa.beat.beat_track(onset_envelope=onsets, sr=rate)[0])[0]
    statistics = [[np.mean(x, dtype=float), np.var(x, dtype=float)] for x in [*over_time, *mfcc]]
    summary = np.ravel(statistics)
    return np.insert(summary, 2 * len(over_time), tempo)


def feature_agreement(own, published):
    """How well features agree with published ones of the same tracks.

    Parameters
    ----------
    own : pandas.DataFrame
        From `track_features` of whole clips, with `source`.
    published : pandas.DataFrame
        Indexed by `source`; its columns `FEATURES`.

    Returns
    -------
    pandas.DataFrame [feature]
        Over the tracks that both tables have: `correlation` (Pearson), `spearman`, `difference` (median of
        ``|own - published| / |published|``) and `tracks` (their number). Lowest correlation first.

    Raises
    ------
    MissingDataError
        If a table lacks a column or names a track twice, or fewer than three tracks are common.
    """
    if "source" not in own:
        raise MissingDataError("own features without the column source. Put it into the clip table.")
    tables = {"own": own.set_index("source"), "published": published}
    for name, table in tables.items():
        if absent := [feature for feature in FEATURES if feature not in table]:
            raise MissingDataError(f"{name} features lack {len(absent)} of {len(FEATURES)} columns: {absent[:3]} …")
        if twice := list(table.index[table.index.duplicated()][:3]):
            raise MissingDataError(f"{name} features have several rows of {twice}. Give one row a track.")
    common = tables["own"].index.intersection(published.index)
    if len(common) < 3:
        raise MissingDataError(
            f"{len(common)} tracks are in both tables (own: {list(own['source'][:2])} …, published: "
            f"{list(published.index[:2])} …); expected three or more. Name both tables' tracks alike."
        )
    one, two = (table.loc[common, FEATURES].astype(float) for table in tables.values())
    found = {"correlation": one.corrwith(two), "spearman": one.corrwith(two, method="spearman")}
    found |= {"difference": ((one - two).abs() / two.abs()).median(), "tracks": len(common)}
    return pd.DataFrame(found).rename_axis("feature").sort_values("correlation", kind="stable")


@cached("track_features", version=2, ignore=("path",))
def _of_file(digest, path, seconds, max_seconds):
    """Features of a file's parts (cached under `digest`, the fingerprint of its bytes) and what was repaired."""
    waveform, notes = TRACK.read(path, max_seconds=max_seconds)
    length = len(waveform) / TRACK.sample_rate
    if length < (seconds or SHORTEST):
        what = f"a part needs {seconds} s" if seconds else f"the features need {SHORTEST} s"
        raise UnreadableAudioError(f"{short(path)}: {length:.2f} s long; {what} at least.")
    samples = len(waveform) if seconds is None else round(seconds * TRACK.sample_rate)
    parts = waveform[: len(waveform) // samples * samples].reshape(-1, samples)
    silent = int((~parts.any(axis=1)).sum())
    if silent > 0 and waveform.any():
        notes = [*notes, f"{silent} of {len(parts)} parts are silent: their features describe silence"]
    return np.stack([describe(part) for part in parts]), notes


@cache
def _mel_weights():
    """Weights of librosa's mel bands [128, bins]: to multiply by them its `melspectrogram` takes 60 times as long."""
    return librosa.filters.mel(sr=TRACK.sample_rate, n_fft=2048)


def _tuning(power):
    """Deviation from 440 Hz in semitones, as ``librosa.estimate_tuning`` gives it; 0 where nothing has a pitch."""
    pitch, strength = librosa.piptrack(S=power, sr=TRACK.sample_rate)
    found = pitch > 0
    if not found.any():
        return 0.0
    return librosa.pitch_tuning(pitch[found & (strength >= np.median(strength[found]))])


def _parts(stft, magnitude, samples):
    """Harmonic and percussive waveform, as ``librosa.effects.hpss`` gives them, several times as fast."""
    along_time, along_frequency = _medians(magnitude), _medians(magnitude.T).T
    mask = librosa.util.softmask(along_time, along_frequency, power=2, split_zeros=True)
    return [librosa.istft(stft * part, length=samples) for part in (mask, 1 - mask)]


def _medians(rows):
    """Running median of each row; all rows as one long line, for which SciPy has a faster way."""
    reach = MEDIAN // 2
    line = np.pad(rows, ((0, 0), (reach, reach)), mode="symmetric")
    return ndimage.median_filter(line.ravel(), size=MEDIAN).reshape(line.shape)[:, reach:-reach]
