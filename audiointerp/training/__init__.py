"""Training: recipes, the loop, fine-tuning, distillation, cross-validation."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "augmentation",
        "cross_validation",
        "distillation",
        "fine_tuning",
        "loop",
        "own_classes",
        "recipes",
        "study",
        "tracks",
    ],
    submod_attrs={
        "recipes": ["Recipe", "default_augmentation", "default_recipe", "student_recipe", "track_recipe"],
        "loop": ["print_progress"],
        "fine_tuning": ["embed", "fine_tune"],
        "augmentation": ["Augmentation"],
        "distillation": ["distill", "divergence", "student_for"],
        "tracks": ["classify_tracks", "fit_track_network", "predict_tracks"],
        "cross_validation": ["CrossValidation", "compare_networks", "cross_validate", "cross_validate_tracks"],
        "own_classes": ["OwnClasses", "train_own_classes"],
        "study": ["Study", "prepare"],
    },
)
