"""What the tests of synthetic sounds share: sounds of every class, and where their energy lies."""

import numpy as np
import pytest

from audiointerp.datasets.synthetic.evidence import evidence_mask
from audiointerp.datasets.synthetic.music import LABELS as GENRES
from audiointerp.datasets.synthetic.music import compose
from audiointerp.datasets.synthetic.sounds import LABELS, SAMPLE_RATE, synthesize

SEEDS = range(6)
SECONDS = 12.0  # of a piece of music
TRACKS = 10  # of a genre


@pytest.fixture(scope="session")
def sounds():
    return {label: [synthesize(label, seed=seed) for seed in SEEDS] for label in LABELS}


@pytest.fixture(scope="session")
def power():
    """Function that gives a power spectrogram and its axes."""

    def power(signal, sample_rate=SAMPLE_RATE):
        """Power spectrogram [frame, bin] between 125 and 7500 Hz, with its axes: frames of 25 ms every 10 ms."""
        size, hop = round(0.025 * sample_rate), round(0.01 * sample_rate)
        frames = np.lib.stride_tricks.sliding_window_view(signal, size)[::hop]
        spectrum = np.abs(np.fft.rfft(frames * np.hanning(size), axis=1)) ** 2
        frequency = np.fft.rfftfreq(size, 1 / sample_rate)
        heard = (frequency >= 125) & (frequency <= 7500)
        time = (np.arange(len(frames)) * hop + size / 2) / sample_rate
        return spectrum[:, heard], time, frequency[heard]

    return power


@pytest.fixture(scope="session")
def share_inside(power):
    """Function that gives the share of an event's energy inside boxes."""

    def share_inside(sound, boxes):
        spectrum, time, frequency = power(sound.event, sound.sample_rate)
        return spectrum[evidence_mask(boxes, time, frequency)].sum() / spectrum.sum()

    return share_inside


@pytest.fixture(scope="session")
def pieces():
    """Ten pieces of each genre, the number-th of seed (7, number of the genre, number)."""
    return {
        label: [compose(label, seed=(7, GENRES.index(label), number), seconds=SECONDS) for number in range(TRACKS)]
        for label in GENRES
    }
