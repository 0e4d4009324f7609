"""Every figure of the series.

Functions take results (tables, patches, maps), compute nothing heavy and return matplotlib axes. Spectrograms and
maps have time across in seconds and frequency up in Hz, on a mel scale: every band is equally high.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "charts",
        "classes",
        "confusion",
        "drawing",
        "filters",
        "interactive",
        "maps",
        "neurons",
        "probes",
        "progress",
        "projections",
        "spectrograms",
        "trust",
    ],
    submod_attrs={
        "charts": ["accuracy_bars", "confused_pairs", "label_counts", "network_comparison", "scores_over_time"],
        "confusion": ["confusion_chart"],
        "filters": ["filter_comparison", "filter_grid", "filter_label_matrix"],
        "interactive": ["clickable", "without_sound"],
        "classes": ["consensus", "frequency_profile", "label_average", "label_difference", "time_profile"],
        "maps": ["compare_labels", "map_grid"],
        "neurons": [
            "activation_curve",
            "class_owners",
            "layers_against_chance",
            "neuron_class_matrix",
            "neuron_classes",
            "selective_neurons",
            "selectivity_by_layer",
            "selectivity_curve",
        ],
        "probes": ["paired_layers", "probe_by_layer", "probe_grid", "recall_bars"],
        "progress": ["distillation_curves", "training_curves"],
        "projections": ["chosen_labels", "projection", "projection_grid", "projections_by_group", "side_by_side"],
        "trust": ["deletion_insertion", "evidence_bars", "randomization_curves", "trust_chart"],
        "spectrograms": ["outline", "patch_grid", "spectrogram", "waveform"],
    },
)
