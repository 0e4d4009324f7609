"""Maps: which parts of a patch speak for a class."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "arrays",
        "cam",
        "classes",
        "deconvolution",
        "files",
        "gradcam",
        "integrated_gradients",
        "keras_vis",
        "lime",
        "matching",
        "methods",
        "occlusion",
        "perturbation",
        "regions",
        "rise",
        "whole",
    ],
    submod_attrs={
        "methods": ["METHODS", "explain"],
        "classes": ["class_difference", "class_profile", "method_consensus"],
        "files": ["explain_to_file"],
        "whole": ["whole_clip_maps"],
        "deconvolution": ["deconvolve", "strongest_examples"],
    },
)
