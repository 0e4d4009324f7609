"""Every figure of the series.

Functions take results (tables, patches, maps), compute nothing heavy and return matplotlib axes. Spectrograms and
maps have time across in seconds and frequency up in Hz, on a mel scale: every band is equally high.
"""

from .averages import frequency_profile, label_average
from .charts import accuracy_bars, confused_pairs, label_counts, scores_over_time
from .comparison import network_comparison
from .confusion import confusion_chart
from .filters import filter_comparison, filter_grid, filter_label_matrix
from .maps import compare_labels, map_grid
from .neurons import activation_curve, class_owners, neuron_class_matrix, neuron_classes, selective_neurons
from .probes import distillation_curves, paired_layers, probe_by_layer, probe_grid, recall_bars
from .progress import training_curves
from .projections import chosen_labels, projection, projection_grid, projections_by_group, side_by_side
from .selectivity import layers_against_chance, selectivity_by_layer, selectivity_curve
from .spectrograms import outline, patch_grid, spectrogram, waveform

__all__ = [
    "accuracy_bars",
    "activation_curve",
    "chosen_labels",
    "class_owners",
    "compare_labels",
    "confused_pairs",
    "confusion_chart",
    "distillation_curves",
    "filter_comparison",
    "filter_grid",
    "filter_label_matrix",
    "frequency_profile",
    "label_average",
    "label_counts",
    "layers_against_chance",
    "map_grid",
    "network_comparison",
    "neuron_class_matrix",
    "neuron_classes",
    "outline",
    "paired_layers",
    "patch_grid",
    "probe_by_layer",
    "probe_grid",
    "projection",
    "projection_grid",
    "projections_by_group",
    "recall_bars",
    "scores_over_time",
    "selective_neurons",
    "selectivity_by_layer",
    "selectivity_curve",
    "side_by_side",
    "spectrogram",
    "training_curves",
    "waveform",
]
