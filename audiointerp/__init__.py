"""See and hear what a sound classifier listens to.

``import audiointerp as ai`` loads nothing heavy: each name below is imported when it is first used.
"""

import os

import lazy_loader

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "audio",
        "datasets",
        "errors",
        "evaluation",
        "frontend",
        "maps",
        "networks",
        "patches",
        "plots",
        "precision",
        "series",
        "settings",
        "study",
        "training",
        "trust",
    ],
    submod_attrs={
        "audio": ["read_audio"],
        "datasets": ["load", "download"],
        "datasets.clips": ["count_labels", "from_folder", "select_labels", "shared_sources", "split"],
        "evaluation": ["accuracy", "confused_pairs", "confusion", "mistakes", "predict", "vote"],
        "frontend": ["VGGISH", "YAMNET", "FrontEnd"],
        "maps": ["explain"],
        "networks.heads": ["add_head", "frontend_of", "labels_of", "load_network", "save_network"],
        "networks.vggish": ["vggish"],
        "networks.yamnet": ["yamnet"],
        "patches": ["Patches", "make_patches"],
        "study": ["Study", "build", "default_recipe", "prepare"],
        "training": ["Recipe", "embed", "fine_tune"],
        "trust": ["agreement"],
    },
)
