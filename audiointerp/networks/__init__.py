"""Networks: building them, their heads, copies, files, running and looking into their graphs."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "build",
        "copying",
        "custom_layers",
        "efficientnet",
        "fingerprints",
        "genre",
        "graph",
        "head",
        "interpretable_filters",
        "precision",
        "running",
        "saving",
        "soundnet",
        "soundnet_weights",
        "tracks",
        "vggish",
        "yamnet",
    ],
    submod_attrs={
        "build": ["build_network"],
        "head": ["add_head", "frontend_of", "label_index", "labels_of", "with_frontend"],
        "saving": ["load_network", "save_network"],
        "graph": ["layer_outputs"],
        "genre": ["cam_cnn", "interpretable_cnn", "plain_cnn"],
        "interpretable_filters": ["InterpretableFilters", "filter_loss"],
        "efficientnet": ["efficientnet_b0"],
        "soundnet_weights": ["soundnet_classes"],
        "tracks": ["track_network"],
        "precision": ["gains_from_bfloat16"],
    },
)
