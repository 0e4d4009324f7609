"""Into the layers: features, probes, projections, neurons, filters."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["features", "filters", "neurons", "probes", "projections"],
    submod_attrs={
        "features": ["layer_features", "layer_table"],
        "probes": ["chosen_C", "probe", "probe_grid", "probe_layers"],
        "projections": ["neighbour_agreement", "project", "projection_quality"],
        "neurons": [
            "common_clips",
            "compare_layers",
            "neuron_class_matrix",
            "owners",
            "selective",
            "selectivity",
            "shuffled_shares",
        ],
        "filters": ["compare_filters", "feature_maps", "filter_statistics", "label_statistics"],
    },
)
