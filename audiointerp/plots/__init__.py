"""Every figure of the series.

Functions take results (tables, patches, maps), compute nothing heavy and return matplotlib axes. Spectrograms and
maps have time across in seconds and frequency up in Hz, on a mel scale: every band is equally high.
"""

from .averages import frequency_profile, label_average
from .charts import accuracy_bars, confused_pairs, label_counts, scores_over_time
from .confusion import confusion_chart
from .maps import compare_labels, map_grid
from .progress import training_curves
from .spectrograms import outline, patch_grid, spectrogram, waveform

__all__ = [
    "accuracy_bars",
    "compare_labels",
    "confused_pairs",
    "confusion_chart",
    "frequency_profile",
    "label_average",
    "label_counts",
    "map_grid",
    "outline",
    "patch_grid",
    "scores_over_time",
    "spectrogram",
    "training_curves",
    "waveform",
]
