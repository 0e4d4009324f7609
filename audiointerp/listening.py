"""Listening: what a map marks, or a region drawn by hand, heard beside the clip and what is left of it."""

import base64
import io
import os
import tempfile
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
import soundfile
from scipy import fft, signal

from .audio import read_audio
from .errors import UnreadableAudioError
from .frontend import VGGISH
from .gains import gain_of

SOUNDS = {"clip": "the clip", "kept": "what the map keeps", "left_out": "what it leaves out"}
AUDIBLE = 1e-6  # of the clip's level: what lies below it (-120 dB) counts as silence
GATE = 1e-4  # of the loudest block's power: quieter blocks (-40 dB) are pauses and do not count for the level
BLOCK = 0.02  # seconds


@dataclass(frozen=True, eq=False)
class Listening:
    """A clip, what a map keeps of it, and what it leaves out.

    Parameters
    ----------
    clip, kept, left_out : numpy.ndarray [samples], float32
        Between -1 and 1. Each divided by its gain (``gain_db``), kept + left_out is the clip.
    sample_rate : int
        Hz.
    start : float
        Where in the whole clip the three begin, in seconds.
    gain_db : dict of float
        What `clip`, `kept` and `left_out` were amplified by so that they are equally loud and nothing clips.
    """

    clip: np.ndarray
    kept: np.ndarray
    left_out: np.ndarray
    sample_rate: int
    start: float
    gain_db: dict

    @property
    def energy_kept(self):
        """Share of the clip's energy that is in `kept`; 0 for a silent clip."""
        clip, kept = (np.square(getattr(self, name), dtype=np.float64).sum() for name in ("clip", "kept"))
        return float(kept / clip * 10 ** ((self.gain_db["clip"] - self.gain_db["kept"]) / 10)) if clip else 0.0


def listen(
    clip,
    map_,
    *,
    frontend=VGGISH,
    start=None,
    whole_clip=False,
    match=True,
    max_boost=20.0,
    sample_rate=None,
    **options,
):
    """Hear what a map marks: the clip, what is kept of it, and what is left out.

    The map's gains multiply the clip's short-time Fourier transform, which keeps its phase, and the result is inverted.
    The transform's frames are those that the map was made from (same window, same hop). A map of ones gives the clip
    back, a map of zeros silence.

    Parameters
    ----------
    clip : str, Path or array_like [samples]
        A sound file, or a mono waveform at `sample_rate`.
    map_ : xarray.DataArray or array_like
        As for `gain_of`.
    frontend : FrontEnd
        Of the patches that were explained.
    start : float, optional
        Where in the clip the map begins, in seconds; what the map says by default, or else 0.
    whole_clip : bool
        Return the clip from end to end, of which nothing outside the map is kept, instead of the map's stretch alone.
    match : bool
        Make the three equally loud, so that ears compare contents: same RMS, pauses (40 dB below the loudest 20 ms) not
        counted. If a peak would pass 1, all three are lowered together, whether they are matched or not.
    max_boost : float
        dB by which a faint part is raised at most; silence stays silence.
    sample_rate : int or "own", optional
        Rate of the waveform, or to convert the file to; the front end's by default. "own" keeps the file's, so that
        frequencies above the network's are heard too: consider ``outside=0``. Frames are then as long in seconds.
    **options
        Of `gain_of`: `sign`, `top`, `power`, `threshold`, `outside`.

    Returns
    -------
    Listening

    Raises
    ------
    UnreadableAudioError
        If the clip cannot be used.
    PatchShapeError, ValueError
        As `gain_of`; ValueError also if the map begins outside the clip.

    Examples
    --------
    >>> maps = explain(network, patches[[250]])  # doctest: +SKIP
    >>> heard = listen(patches[[250]].table["path"].iloc[0], maps.sel(label="helicopter"))  # doctest: +SKIP
    >>> players(heard)  # doctest: +SKIP
    """
    if not max_boost >= 0:
        raise ValueError(f"max_boost={max_boost}: expected decibels from 0 on.")
    waveform, rate = _waveform(clip, sample_rate, frontend)
    scale = rate / frontend.sample_rate
    window, hop = max(2, round(frontend.window * scale)), max(1, round(frontend.hop * scale))
    mfft = fft.next_fast_len(max(window, round(frontend.fft_length * scale)), real=True)
    gains = gain_of(map_, frontend, frequencies=fft.rfftfreq(mfft, 1 / rate), **options)
    start = float(gains.coords.get("start", 0.0)) if start is None else start
    first = round(start * rate) if np.isfinite(start) else -1
    if not 0 <= first < len(waveform):
        raise ValueError(
            f"the map begins at {start} s, but the clip has {len(waveform) / rate:.2f} s. Give the clip that the map "
            "is of (its path is in patches.table), or start= in seconds."
        )
    # A rest too short for a frame of its own goes with the last one.
    last = first + round((len(gains) - 1) * frontend.hop * scale) + window
    last = len(waveform) if len(waveform) - last < hop else last

    begin, end = max(0, first - 2 * window), min(len(waveform), last + 2 * window)
    transform = signal.ShortTimeFFT(signal.get_window("hann", window), hop, rate, mfft=mfft)
    # Padded so that a frame begins exactly at the map's first sample.
    lead = (begin - first - transform.m_num_mid) % hop
    piece = np.pad(waveform[begin:end], (lead, max(0, window - (end - begin))))
    spectrum = transform.stft(piece)
    frame = np.arange(spectrum.shape[1]) + transform.p_min
    sample = frame * hop - transform.m_num_mid - lead + begin  # in the clip, where each frame begins
    position = (sample - first) / (frontend.hop * scale)
    # Where the map reaches an end of the clip, or its stretch is cut out, its border frame goes on.
    goes_on = not whole_clip or first == 0, not whole_clip or last == len(waveform)
    spectrum *= _at(gains.to_numpy(), position, goes_on).T
    kept = np.zeros_like(waveform)
    kept[begin:end] = transform.istft(spectrum, k1=len(piece))[lead : lead + end - begin]

    part = slice(None) if whole_clip else slice(first, last)
    sounds = {"clip": waveform[part], "kept": kept[part], "left_out": waveform[part] - kept[part]}
    gain = _matching(sounds, rate, match, max_boost)
    sounds = {name: (sound * gain[name]).astype(np.float32) for name, sound in sounds.items()}
    return Listening(
        **sounds,
        sample_rate=rate,
        start=0.0 if whole_clip else first / rate,
        gain_db={name: float(20 * np.log10(factor)) for name, factor in gain.items()},
    )


def write(heard, path, *, subtype="PCM_16"):
    """Write the three sounds to WAV files: all of them, or none.

    Parameters
    ----------
    heard : Listening
    path : str or Path
        A folder, in which ``clip.wav``, ``kept.wav`` and ``left_out.wav`` are written; or with the ending ``.wav``, the
        beginning of their names: ``dog.wav`` gives ``dog_clip.wav`` …
    subtype : {"PCM_16", "PCM_24", "FLOAT"}

    Returns
    -------
    dict of Path
        By name: `clip`, `kept`, `left_out`.

    Raises
    ------
    OSError
        If they cannot be written; nothing half-written stays behind.
    ValueError
        If there is no such subtype.
    """
    path = Path(path)
    folder, prefix = (path.parent, f"{path.stem}_") if path.suffix.lower() == ".wav" else (path, "")
    files = {folder / f"{prefix}{name}.wav": _wav(heard, name, subtype) for name in SOUNDS}
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".") as waiting:
        for file, content in files.items():
            (Path(waiting) / file.name).write_bytes(content)
        for file in files:
            os.replace(Path(waiting) / file.name, file)
    return dict(zip(SOUNDS, files, strict=True))


def players(heard, title=None):
    """Three players for a notebook, labelled, with what each was amplified by.

    Parameters
    ----------
    heard : Listening
    title : str, optional

    Returns
    -------
    IPython.display.HTML
        The sounds are inside it: it works without a kernel.
    """
    from IPython.display import HTML

    rows = []
    for name, text in SOUNDS.items():
        silent = not (np.abs(getattr(heard, name)) > AUDIBLE).any()
        text = f"{text}: " + ("silence" if silent else f"{round(heard.gain_db[name], 1) + 0:+.1f} dB")
        sound = base64.b64encode(_wav(heard, name, "PCM_16")).decode()
        rows.append(
            f'<figure style="display: inline-block; margin: 4px"><figcaption>{text}</figcaption>'
            f'<audio controls aria-label="{text}" src="data:audio/wav;base64,{sound}"></audio></figure>'
        )
    heading = f"<b>{escape(title)}</b><br>" if title else ""
    return HTML(f"<div>{heading}{''.join(rows)}</div>")


def _waveform(clip, sample_rate, frontend):
    """Samples in float64 and their rate."""
    rate = frontend.sample_rate if sample_rate is None else sample_rate
    if rate != "own" and not (isinstance(rate, int | np.integer) and rate > 0):
        raise ValueError(f"sample_rate={rate!r}: expected whole Hz, or 'own' for a file's own.")
    if isinstance(clip, str | Path):
        waveform = read_audio(clip, None if rate == "own" else rate)
        return waveform.astype(np.float64), soundfile.info(clip).samplerate if rate == "own" else rate
    if rate == "own":
        raise ValueError("sample_rate='own' is for files: give the waveform's rate in Hz.")
    waveform = np.asarray(clip, dtype=np.float64)
    if waveform.ndim != 1 or not waveform.size or not np.isfinite(waveform).all():
        raise UnreadableAudioError(
            f"waveform of shape {waveform.shape}: expected one channel of finite samples. "
            "Average the channels and check for NaN, or give the file's path."
        )
    return waveform, rate


def _at(gains, position, goes_on):
    """Gains at positions counted in frames, which may lie between two; before and after, those of the border or 0."""
    before, after = gains[:1] * goes_on[0], gains[-1:] * goes_on[1]
    gains = np.concatenate([before, gains, after])
    position = (position + 1).clip(0, len(gains) - 1)
    lower = np.minimum(position.astype(int), len(gains) - 2)
    share = (position - lower)[:, None]
    return gains[lower] * (1 - share) + gains[lower + 1] * share


def _matching(sounds, rate, match, max_boost):
    """Factor on each sound: same level as the clip, then all lowered together until no peak passes 1."""
    level = {name: _level(sound, max(1, round(BLOCK * rate))) for name, sound in sounds.items()}
    gain = dict.fromkeys(sounds, 1.0)
    for name in sounds:
        if match and level[name] > AUDIBLE * level["clip"]:
            gain[name] = min(level["clip"] / level[name], 10 ** (max_boost / 20))
    peak = max(gain[name] * np.abs(sound).max() for name, sound in sounds.items())
    return {name: factor / max(1.0, peak) for name, factor in gain.items()}


def _level(waveform, block):
    """RMS of the blocks that are not pauses."""
    first = np.arange(0, len(waveform), block)
    power = np.add.reduceat(waveform**2, first) / np.diff(first, append=len(waveform))
    return np.sqrt(power[power >= GATE * power.max()].mean())


def _wav(heard, name, subtype):
    """A sound as the bytes of a WAV file."""
    if subtype not in ("PCM_16", "PCM_24", "FLOAT"):
        raise ValueError(f"subtype={subtype!r}: expected 'PCM_16', 'PCM_24' or 'FLOAT'.")
    file = io.BytesIO()
    soundfile.write(file, getattr(heard, name), heard.sample_rate, format="WAV", subtype=subtype)
    return file.getvalue()
