"""Sounds to classify: clip tables, their divisions, and where the data comes from."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["catalogue", "clips", "esc", "feature_arrays", "gtzan", "soundnet_features", "splits", "synthetic"],
    submod_attrs={
        "catalogue": ["DATASETS", "load"],
        "clips": ["count_labels", "from_folder", "merge_labels", "select_labels"],
        "splits": ["clip_folds", "partition", "patch_folds", "shared_sources", "split", "with_folds"],
        "esc": ["ESC10_LABELS", "ESC50_GROUPS", "ESC50_LABELS"],
        "gtzan": ["load_gtzan_features"],
        "soundnet_features": ["identify_clips", "load_soundnet_features"],
    },
)
