import matplotlib.pyplot as plt
import numpy as np

from audiointerp import plots
from audiointerp.plots import drawing
from audiointerp.sound.frontend import MUSIC, VGGISH, hz_to_mel


def test_mel_bands_are_equally_high_and_ticks_stand_in_their_band():
    ax = plots.spectrogram(np.zeros((300, 64)))
    bottom, top = ax.transAxes.transform([(0, 0), (0, 1)])[:, 1]
    height = (top - bottom) / 64
    ticks = dict(zip((t.get_text() for t in ax.get_yticklabels()), ax.get_yticks(), strict=True))
    assert ticks == {"250": 250, "500": 500, "1k": 1000, "2k": 2000, "4k": 4000}
    for hz in ticks.values():
        band = int((ax.transData.transform((1, hz))[1] - bottom) / height)
        distances = np.abs(hz_to_mel(VGGISH.frequency) - hz_to_mel(hz))
        assert band == distances.argmin()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Time (s)", "Frequency (Hz)")


def test_ticks_of_a_wide_mel_axis_keep_their_distance():
    """From 40 Hz to 10 kHz, 125 and 250 Hz would stand too close for their numbers; from 125 Hz they do not."""
    for frontend, expected in ((VGGISH, [125, 250, 500]), (MUSIC, [125, 500, 1000])):
        ax = plt.figure().add_subplot()
        drawing.mel_axis(ax, frontend.low, frontend.high)
        assert ax.get_yticks()[:3].tolist() == expected
