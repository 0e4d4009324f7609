"""Gains: how much of each frequency and frame a map, or a region drawn by hand, lets through."""

import numpy as np
import xarray as xr
from scipy import fft

from .errors import PatchShapeError
from .frontend import VGGISH, hz_to_mel


def gain_of(
    map_, frontend=VGGISH, *, sign="positive", top=99.0, power=1.0, threshold=0.0, outside="nearest", frequencies=None
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
    top : float or None
        Percentile of the values above 0 that becomes the gain 1: 100 is the maximum; 99 does not hang on a few outlying
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
    if top is not None and not 0 < top <= 100:
        raise ValueError(f"top={top}: expected a percentile above 0 up to 100, or None for values that are gains.")
    if not power >= 0 or not 0 <= threshold <= 1:
        raise ValueError(f"power={power}, threshold={threshold}: expected power from 0 on, threshold from 0 to 1.")
    if outside != "nearest" and not (isinstance(outside, int | float) and 0 <= outside <= 1):
        raise ValueError(f"outside={outside!r}: expected 'nearest' or a gain from 0 to 1.")

    values = {"positive": values, "negative": -values, "both": np.abs(values)}[sign].clip(min=0)
    if top is not None and values.any():
        values = values / np.percentile(values[values > 0], top)
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
    time = (np.arange(len(gains)) * frontend.hop + frontend.window / 2) / frontend.sample_rate
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
    time = (np.arange(int(frames)) * frontend.hop + frontend.window / 2) / frontend.sample_rate
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
    first = np.round((start - start.min()) * frontend.sample_rate / frontend.hop).astype(int)
    total = np.zeros((first.max() + len(parts[0]), frontend.mels))
    patches = np.zeros((len(total), 1))
    for row, part in zip(first, parts, strict=True):
        total[row : row + len(part)] += part
        patches[row : row + len(part)] += 1
    return total / np.maximum(patches, 1), float(start.min())


def _refined(map_, frontend):
    """Relevance per frame and band (frames, mels): the map as it is, or a coarse grid over a patch, interpolated."""
    map_ = map_.transpose("time", "frequency")
    map_ = map_.sortby([name for name in map_.dims if name in map_.coords])
    values = map_.to_numpy().astype(np.float64)
    if "time" in map_.coords:
        frames = (np.arange(len(values)) * frontend.hop + frontend.window / 2) / frontend.sample_rate
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
