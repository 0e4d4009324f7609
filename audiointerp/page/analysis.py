"""One sound through a network: read, cut, scored patch by patch, and explained as a whole."""

import io
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from ..errors import UnreadableAudioError
from ..evaluation.predictions import predict, vote
from ..maps.methods import explain
from ..maps.whole import whole_clip_maps
from ..networks.backend import keras
from ..networks.head import frontend_of
from ..sound.patches import Patches, are_silent
from ..sound.reading import read_with_notes
from ..sound.whole import whole_clip

MAX_SECONDS, MAX_BYTES = 60.0, 20_000_000


@dataclass(frozen=True, eq=False)
class ClipAnalysis:
    """A sound, and what a network says of it. Nothing of it is kept elsewhere.

    Parameters
    ----------
    name : str
        Of the file, for titles alone.
    waveform : numpy.ndarray [samples], float32
        At the front end's sample rate.
    patches : Patches [n]
    predictions : pandas.DataFrame [n]
        As from `predict`.
    notes : list of str
        What had to be repaired when it was read.
    network : keras.Model
    """

    name: str
    waveform: np.ndarray
    patches: Patches
    predictions: pd.DataFrame
    notes: list
    network: keras.Model
    _maps: dict = field(default_factory=dict, repr=False)

    @property
    def clip(self):
        """The whole sound as one long patch: Patches [1]."""
        return whole_clip(self.patches)

    @property
    def silent(self):
        """Whether the network hears nothing in it."""
        return bool(self.patches.silent.all())

    @property
    def answer(self):
        """The vote of its patches: a row as from `vote`, with `predicted`, `score` and each class's mean score."""
        table = vote(self.predictions)
        return table.iloc[0].rename(self.name)

    @property
    def ranking(self):
        """Mean score of each class over the patches that vote, the highest first."""
        return self.answer[self.predictions.attrs["labels"]].astype(float).sort_values(ascending=False, kind="stable")

    def maps(self, method="gradcam", **options):
        """Maps of all classes over the whole sound; made once.

        Parameters
        ----------
        method : str
            One of `METHODS`.
        **options
            As for `explain`.

        Returns
        -------
        xarray.DataArray [1, label, time (s), frequency (Hz)]
        """
        key = method, repr(sorted(options.items()))
        if key not in self._maps:
            maps = explain(self.network, self.patches, method, cache=False, **options)
            self._maps[key] = whole_clip_maps(maps, self.patches)
        return self._maps[key]


def analyse_clip(network, sound, *, name=None, max_seconds=MAX_SECONDS, max_bytes=MAX_BYTES, overlap=0.5):
    """Read a sound and ask a network about it.

    Parameters
    ----------
    network : keras.Model [(n, frames, mels, 1) -> (n, classes)]
    sound : str, path or bytes
        A file, or what is in one (as an upload has it): any format of libsndfile.
    name : str, optional
        What to call it; a file's own by default.
    max_seconds : float
        Longest sound that is accepted.
    max_bytes : int
        Largest file.
    overlap : float
        Fraction shared by neighbouring patches.

    Returns
    -------
    ClipAnalysis

    Raises
    ------
    UnreadableAudioError
        If it is too large or too long, cannot be decoded or holds no sound.

    Examples
    --------
    >>> heard = analyse_clip(network, "my_dog.ogg")  # doctest: +SKIP
    >>> heard.answer["predicted"], heard.ranking.head(3)  # doctest: +SKIP
    """
    frontend = frontend_of(network)
    waveform, notes = _read(sound, name, frontend.sample_rate, max_seconds, max_bytes)
    data, start = frontend.cut(frontend.log_mel(waveform), overlap)
    if len(waveform) < frontend.patch_seconds * frontend.sample_rate:
        notes = [*notes, f"shorter than one patch of {frontend.patch_seconds:.2f} s: padded with silence"]
    patches = Patches(data, pd.DataFrame({"clip": 0, "start": start, "silent": are_silent(data, frontend)}), frontend)
    predictions = predict(network, patches, cache=False, progress=False)
    return ClipAnalysis(_called(sound, name), waveform, patches, predictions, notes, network)


def _called(sound, name):
    return str(name or (Path(sound).name if isinstance(sound, str | Path) else "sound"))


def _read(sound, name, rate, max_seconds, max_bytes):
    """Waveform and notes; the name given is shown, and never a path."""
    called = _called(sound, name)
    if isinstance(sound, str | Path):
        path = Path(sound)
        size = path.stat().st_size if path.is_file() else 0
    else:
        sound = bytes(sound)
        size = len(sound)
    if size > max_bytes:
        raise UnreadableAudioError(
            f"{called}: {size / 1e6:.1f} MB, at most {max_bytes / 1e6:.1f} MB are accepted. Cut it, or save it as ogg."
        )
    if isinstance(sound, str | Path):
        return read_with_notes(path, rate, max_seconds=max_seconds)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sound"
        path.write_bytes(sound)
        try:
            return read_with_notes(path, rate, max_seconds=max_seconds)
        except UnreadableAudioError as error:
            place = f"{Path(folder).name}/sound"
            raise UnreadableAudioError(str(error).replace(str(path), called).replace(place, called)) from error


def silenced(waveform, times, frontend):
    """A waveform with silence in place of some frames.

    Parameters
    ----------
    waveform : array_like [samples]
        At the front end's sample rate.
    times : array_like [n]
        Of the frames to silence, in seconds, as maps have them.
    frontend : FrontEnd

    Returns
    -------
    numpy.ndarray [samples], float32
    """
    waveform, centre = np.array(waveform, np.float32), np.asarray(times) * frontend.sample_rate
    for first in np.round(centre - frontend.hop / 2).astype(int):
        waveform[max(0, first) : first + frontend.hop] = 0
    return waveform


def wav_bytes(waveform, sample_rate):
    """A mono waveform as the bytes of a WAV file; louder than 1, it is lowered to 1."""
    file = io.BytesIO()
    waveform = np.asarray(waveform, np.float32)
    peak = max(1.0, float(np.abs(waveform).max(initial=0)))
    soundfile.write(file, waveform / peak, sample_rate, format="WAV", subtype="PCM_16")
    return file.getvalue()
