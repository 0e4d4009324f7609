"""What a network says of sounds, and how often it is right."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["metrics", "predictions"],
    submod_attrs={
        "predictions": ["doubtful_clips", "mistakes", "predict", "vote"],
        "metrics": ["accuracy", "clip_bootstrap", "confused_pairs", "confusion", "recall", "sort_by_recall"],
    },
)
