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
import xarray as xr
from scipy import fft, signal

from .errors import PatchShapeError, UnreadableAudioError
from .sound.frontend import VGGISH, hz_to_mel
from .sound.reading import read_audio
from .sound.whole import joined


def gain_of(
    map_,
    frontend=VGGISH,
    *,
    sign="positive",
    percentile=99.0,
    power=1.0,
    threshold=0.0,
    outside="nearest",
    frequencies=None,
):
    """Gains from a map: how much of each frequency is let through in each frame.

    Relevance becomes a gain from 0 to 1 per frame and mel band; frequencies between the centres of two bands take
    from both as the mel weights do, normalised to a sum of 1.

    Parameters
    ----------
    map_ : xarray.DataArray or array_like
        Relevance of one label: from `explain` (one patch, or several of one clip, averaged where they overlap), from
        `region`, or an array (frames, mels). A coarse grid is interpolated as `explain` does.
    frontend : FrontEnd
        Of the patches that were explained.
    sign : {"positive", "negative", "both"}
        The relevance to hear: what speaks for the class, against it, or either way. The rest counts as 0.
    percentile : float or None
        Of the values above 0 that becomes the gain 1: 100 is the maximum; 99 does not hang on a few outlying
        cells. None takes the values as gains, cut at 1.
    power : float
        Exponent of the gains: above 1 contrasts are stronger; 0 lets everything through that is above the threshold.
    threshold : float
        Gains below it become 0, before the power is taken.
    outside : "nearest" or float
        Gain of frequencies that no mel band reaches and the network cannot hear (VGGish: up to 125 Hz and from 7.5 kHz
        on). "nearest" is that of the outermost band, so that a map of ones gives the whole clip back and a map of zeros
        silence; 0 lets only through what the network hears.
    frequencies : array_like [bins], optional
        In Hz; those of the front end's Fourier transform by default.

    Returns
    -------
    xarray.DataArray [time (s), frequency (Hz)]
        From 0 to 1; `time` is the centre of each frame, counted from the map's start, which is the coordinate `start`
        if the map knows it.

    Raises
    ------
    PatchShapeError
        If the map does not fit the front end, or is of several labels or clips.
    ValueError
        If the map has values that are not finite, or an option is out of range.
    """
    values, start = _relevance(map_, frontend)
    if sign not in ("positive", "negative", "both"):
        raise ValueError(f"sign={sign!r}: expected 'positive', 'negative' or 'both'.")
    if percentile is not None and not 0 < percentile <= 100:
        raise ValueError(
            f"percentile={percentile}: expected a percentile above 0 up to 100, or None for values that are gains."
        )
    if not power >= 0 or not 0 <= threshold <= 1:
        raise ValueError(f"power={power}, threshold={threshold}: expected power from 0 on, threshold from 0 to 1.")
    if outside != "nearest" and not (isinstance(outside, int | float) and 0 <= outside <= 1):
        raise ValueError(f"outside={outside!r}: expected 'nearest' or a gain from 0 to 1.")

    values = {"positive": values, "negative": -values, "both": np.abs(values)}[sign].clip(min=0)
    if percentile is not None and values.any():
        values = values / np.percentile(values[values > 0], percentile)
    values = values.clip(max=1)
    values = np.where((values > 0) & (values >= threshold), values**power, 0)

    if frequencies is None:
        frequencies = fft.rfftfreq(frontend.fft_length, 1 / frontend.sample_rate)
    frequencies = np.asarray(frequencies, dtype=np.float64)
    bins, centres = hz_to_mel(frequencies), hz_to_mel(frontend.frequency)
    weights = np.stack([np.interp(bins, centres, band) for band in np.eye(frontend.mels)])
    gains = (values @ weights).clip(0, 1)
    if outside != "nearest":
        gains[:, (frequencies <= frontend.low) | (frequencies >= frontend.high)] = outside
    time = frontend.frame_times(len(gains))
    coords = {"time": ("time", time, {"units": "s"}), "frequency": ("frequency", frequencies, {"units": "Hz"})}
    return xr.DataArray(gains, coords | ({} if start is None else {"start": start}), ("time", "frequency"), name="gain")


def region(boxes, frontend=VGGISH, frames=None, *, soft=0.0):
    """A map drawn by hand: ones inside boxes, zeros elsewhere.

    Parameters
    ----------
    boxes : (float, float, float, float) or sequence of such
        ``(start_s, stop_s, low_hz, high_hz)``, times counted from the map's start. A cell is inside if its centre is;
        ends may be infinite.
    frontend : FrontEnd
    frames : int, optional
        Frames of the map; a patch's by default, ``len(frontend.log_mel(waveform))`` for a whole clip.
    soft : float
        Cells, outside a box, over which its edges fall from 1 to 0.

    Returns
    -------
    xarray.DataArray [time (s), frequency (Hz)]

    Raises
    ------
    ValueError
        If a box is not one, or holds no cell.
    """
    frames = frontend.frames if frames is None else frames
    if int(frames) != frames or frames < 1 or not 0 <= soft < np.inf:
        raise ValueError(f"frames={frames}, soft={soft}: expected a whole number from 1 on, and cells from 0 on.")
    time = frontend.frame_times(int(frames))
    frequency = frontend.frequency
    values = np.zeros((len(time), len(frequency)))
    try:
        boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    except (ValueError, TypeError) as error:
        raise ValueError(f"boxes={boxes!r}: expected (start_s, stop_s, low_hz, high_hz), or a list of such.") from error
    for box in boxes:
        start, stop, low, high = box
        inside = [(time >= start) & (time < stop), (frequency >= low) & (frequency < high)]
        if not all(cells.any() for cells in inside):
            raise ValueError(
                f"box {tuple(map(float, box))}: (start_s, stop_s, low_hz, high_hz) holds no cell. The map's centres go "
                f"from {time[0]:.4f} to {time[-1]:.4f} s every {frontend.hop / frontend.sample_rate:.3f} s, and from "
                f"{frequency[0]:.0f} to {frequency[-1]:.0f} Hz. Make it wider, or frames= larger."
            )
        rows, columns = (_edges(cells, soft) for cells in inside)
        values = np.maximum(values, rows[:, None] * columns)
    coords = {"time": ("time", time, {"units": "s"}), "frequency": ("frequency", frequency, {"units": "Hz"})}
    attrs = {"method": "region", "units": "gain"}
    return xr.DataArray(values.astype(np.float32), coords, ("time", "frequency"), name="map", attrs=attrs)


def _edges(inside, soft):
    """1 inside, falling to 0 over `soft` cells outside."""
    cell = np.arange(len(inside))
    outside = np.maximum(np.flatnonzero(inside)[0] - cell, cell - np.flatnonzero(inside)[-1]).clip(min=0)
    return (1 - outside / (soft + 1)).clip(min=0)


def _relevance(map_, frontend):
    """Relevance frame for frame and band for band (frames, mels), and where in the clip it starts if the map knows."""
    if not isinstance(map_, xr.DataArray):
        values = np.asarray(map_, dtype=np.float64)
        if values.ndim != 2:
            raise PatchShapeError(f"map of shape {values.shape}: expected (frames, mels), one patch and one label.")
        map_ = xr.DataArray(values, dims=("time", "frequency"))
    map_ = map_.rename({name: name.removeprefix("grid_") for name in map_.dims if str(name).startswith("grid_")})
    if not {"time", "frequency"} <= set(map_.dims):
        raise PatchShapeError(f"map with the dimensions {map_.dims}: expected time and frequency, as from explain().")
    several = {name: size for name, size in map_.sizes.items() if name not in ("patch", "time", "frequency")}
    if any(size != 1 for size in several.values()) or map_.sizes.get("patch", 1) == 0:
        raise PatchShapeError(
            f"map of {dict(map_.sizes)}: a gain comes from one label and at least one patch. "
            "Select with maps.sel(label='dog'), or average with maps.mean('label')."
        )
    map_ = map_.squeeze(list(several), drop=True)
    if not np.isfinite(map_).all():
        raise ValueError(
            f"map: {int((~np.isfinite(map_)).sum())} of {map_.size} values are NaN or infinite; expected finite "
            "relevance. Where cells are meant to be left out, use maps.fillna(0)."
        )
    if "patch" not in map_.dims:
        start = map_.coords.get("start")
        return _refined(map_, frontend), None if start is None else float(start)
    map_ = map_.transpose("patch", "time", "frequency")
    if map_.sizes["patch"] > 1 and ("start" not in map_.coords or len(np.unique(map_.coords.get("clip", 0))) > 1):
        raise PatchShapeError(
            f"map of {map_.sizes['patch']} patches: they must be of one clip, with their starts. Select one with "
            "maps.isel(patch=0), those of a clip with maps.sel(patch=maps.clip == 3), or average them."
        )
    start = map_.coords["start"].to_numpy() if "start" in map_.coords else None
    parts = [_refined(part, frontend) for part in map_]
    if start is None:
        return parts[0], None
    return joined(parts, start, frontend), float(start.min())


def _refined(map_, frontend):
    """Relevance per frame and band (frames, mels): the map as it is, or a coarse grid over a patch, interpolated."""
    map_ = map_.transpose("time", "frequency")
    map_ = map_.sortby([name for name in map_.dims if name in map_.coords])
    values = map_.to_numpy().astype(np.float64)
    if "time" in map_.coords:
        frames = frontend.frame_times(len(values))
        whole = len(values) > 0 and np.allclose(map_["time"], frames, rtol=0, atol=1e-4)
    else:
        whole = values.shape[1] == frontend.mels and len(values) >= frontend.frames
    if not whole:
        values = _cells_to_axis(map_, "time", frontend.time, "s") @ values
    return values @ _cells_to_axis(map_, "frequency", frontend.frequency, "Hz").T


def _cells_to_axis(map_, name, axis, unit):
    """Weights (axis, cells) of linear interpolation between the centres of cells, the outermost held to the borders."""
    cells, size = map_.sizes[name], len(axis)
    if name in map_.coords:
        centre = map_[name].to_numpy().astype(np.float64)
        position = np.interp(centre, axis, np.arange(size))
        outside = centre[0] < axis[0] - 1e-3 or centre[-1] > axis[-1] + 1e-3
        reach = size / cells + 1e-6
        fits = cells <= size and not outside and position[0] <= reach and position[-1] >= size - 1 - reach
        found = f"{cells} cells with centres from {centre[0]:.4g} to {centre[-1]:.4g} {unit}"
    else:
        position = (np.arange(cells) + 0.5) * size / cells - 0.5
        fits, found = 0 < cells <= size, f"{cells} cells"
    if not fits:
        raise PatchShapeError(
            f"map along {name}: {found}; expected up to {size} over a patch's {axis[0]:.4g} to {axis[-1]:.4g} {unit}. "
            "Give the front end that made the patches (frontend=patches.frontend) and the map as explain() returned "
            "it, or draw one with region()."
        )
    return np.stack([np.interp(np.arange(size), position, cell) for cell in np.eye(cells)], axis=1)


SOUNDS = {"clip": "the clip", "kept": "what the map keeps", "left_out": "what it leaves out"}
AUDIBLE = 1e-6  # of the clip's level: what lies below it (-120 dB) counts as silence
GATE = 1e-4  # of the loudest block's power: quieter blocks (-40 dB) are pauses and do not count for the level
BLOCK = 0.02  # seconds


@dataclass(frozen=True, eq=False)
class Listening:
    """A clip, what a map keeps of it, and what it leaves out: [samples] in float32, between -1 and 1.

    `start` says where in the whole clip the three begin, in seconds, and `gain_db` what each was amplified by so that
    they are equally loud and nothing clips: divided by their gains, kept + left_out is the clip.
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
        Of `gain_of`: `sign`, `percentile`, `power`, `threshold`, `outside`.

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
    """Write the three sounds to WAV files, all of them or none, and give back their paths by name.

    `path` is a folder, in which ``clip.wav``, ``kept.wav`` and ``left_out.wav`` are written; or with the ending
    ``.wav``, the beginning of their names: ``dog.wav`` gives ``dog_clip.wav`` … The subtype is "PCM_16", "PCM_24" or
    "FLOAT".
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

    Raises
    ------
    TypeError
        If these are not the sounds of `listen`.

    Examples
    --------
    >>> players(listen("dog.wav", maps[0].sel(label="dog")))  # doctest: +SKIP
    """
    from IPython.display import HTML

    if not isinstance(heard, Listening):
        raise TypeError(f"players: expected what listen() gives, found {type(heard).__name__}.")
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
