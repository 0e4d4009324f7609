"""Waveform → log-mel spectrogram, cut as the networks see it."""

import warnings
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy import fft, signal

from ..errors import UnreadableAudioError
from .reading import LONGEST, read_with_notes


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

    Raises
    ------
    ValueError
        If the settings do not fit each other.

    Warns
    -----
    UserWarning
        If mel bands fall between the frequencies of the Fourier transform and stay empty.

    References
    ----------
    Hershey et al., ICASSP 2017; ``mel_features.py`` of AudioSet's VGGish.

    Examples
    --------
    >>> FrontEnd().log_mel(np.zeros(16_000)).shape
    (98, 64)
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

    def __post_init__(self):
        for name in ("sample_rate", "window", "hop", "fft_length", "mels", "frames"):
            if not getattr(self, name) >= 1:
                raise ValueError(f"{name}={getattr(self, name)}: expected at least 1.")
        if self.window > self.fft_length:
            raise ValueError(
                f"window={self.window}, fft_length={self.fft_length}: the end of every frame would be cut off. Take an "
                "fft_length of at least the window."
            )
        if not 0 <= self.low < self.high <= self.sample_rate / 2:
            raise ValueError(
                f"low={self.low}, high={self.high}: expected 0 ≤ low < high ≤ {self.sample_rate / 2} Hz, half the rate."
            )
        if not self.log_offset > 0:
            raise ValueError(f"log_offset={self.log_offset}: expected more than 0, as 0.01.")
        if (empty := ~self.mel_weights.any(axis=0)).any():
            warnings.warn(
                f"{empty.sum()} of {self.mels} mel bands are empty, the first near {self.frequency[empty][0]:.0f} Hz: "
                f"they lie between two frequencies of the Fourier transform, {self.sample_rate / self.fft_length:.1f} "
                "Hz apart. Take a larger fft_length, fewer mels or a higher low.",
                stacklevel=3,
            )

    def frame_times(self, count):
        """Centres of so many frames in seconds from the start of the first, shape (count,)."""
        return (np.arange(count) * self.hop + self.window / 2) / self.sample_rate

    @property
    def time(self):
        """Centres of a patch's frames in seconds from its start, shape (frames,)."""
        return self.frame_times(self.frames)

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
        # In float64: next to a loud low sound, rounding in float32 would reach what the log shows of faint bands.
        hann = signal.get_window("hann", self.window)
        magnitude = np.abs(fft.rfft(frames * hann, self.fft_length, axis=1))
        return np.log(magnitude @ self.mel_weights + self.log_offset).astype(np.float32)

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

# For music: patches of 2.97 s, finer in frequency and coarser in time, from the bass drum to the cymbals.
MUSIC = FrontEnd(22_050, window=1024, hop=512, fft_length=2048, low=40.0, high=10_000.0, frames=128)


@dataclass(frozen=True)
class WaveformFrontEnd:
    """How a sound file becomes the input of a network that listens to the waveform; the defaults are SoundNet's.

    Parameters
    ----------
    sample_rate : int or None
        Hz; None keeps the file's own.
    scale : float
        Factor on samples between -1 and 1; it is the network's first layer.
    shortest : int
        A waveform with fewer samples is repeated ``int(shortest / samples + 1)`` times, which may be longer.
    longest : int or None
        What a waveform has more samples is cut off, before it is repeated.
    channel : int or None
        The channel to take; None for the mean of all.

    References
    ----------
    Aytar, Vondrick & Torralba, SoundNet, NIPS 2016. The published features of ESC-50 were made at the files' own
    44.1 kHz, although the network had been trained at 22.05 kHz.

    Examples
    --------
    >>> WaveformFrontEnd(shortest=8).fit_length(np.zeros(3)).shape
    (9,)
    """

    sample_rate: int | None = None
    scale: float = 256.0
    shortest: int = 20 * 22_050
    longest: int | None = None
    channel: int | None = 0

    def read(self, path, *, max_seconds=LONGEST):
        """Waveform of a file between -1 and 1, cut or repeated to a length, and what had to be repaired.

        Returns
        -------
        waveform : numpy.ndarray [samples], float32
        notes : list of str
        """
        waveform, notes = read_with_notes(path, self.sample_rate, channel=self.channel, max_seconds=max_seconds)
        return self.fit_length(waveform), notes

    def fit_length(self, waveform):
        """The waveform, cut if it is too long, then repeated as often as it takes to be long enough."""
        waveform = waveform[: self.longest]
        if len(waveform) >= self.shortest:
            return waveform
        return np.tile(waveform, int(self.shortest / len(waveform) + 1))


SOUNDNET = WaveformFrontEnd()


def frontend_from(config):
    """Front end of a dictionary of its settings."""
    return (FrontEnd if "mels" in config else WaveformFrontEnd)(**config)
