"""See and hear what a sound classifier listens to.

``import audiointerp as ai`` loads nothing heavy and changes nothing: each name is imported when it is first used.
At the top stand the steps of the way from sounds to maps; everything else is in its room, as in ``ai.layers.probe``.
"""

import lazy_loader

__version__ = "0.1.0"
ROOMS = (
    "storage",
    "sound",
    "datasets",
    "networks",
    "evaluation",
    "training",
    "maps",
    "layers",
    "trust",
    "plots",
    "page",
)

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[*ROOMS, "errors", "listening", "series"],
    submod_attrs={
        "downloads": ["download"],
        "datasets.catalogue": ["load"],
        "datasets.clips": ["count_labels"],
        "datasets.splits": ["split"],
        "sound.reading": ["read_audio"],
        "sound.frontend": ["MUSIC", "SOUNDNET", "VGGISH", "YAMNET", "FrontEnd"],
        "sound.patches": ["Patches", "make_patches"],
        "networks.vggish": ["vggish"],
        "networks.yamnet": ["yamnet"],
        "networks.soundnet": ["soundnet"],
        "networks.head": ["add_head", "frontend_of", "labels_of"],
        "networks.saving": ["load_network", "save_network"],
        "training.recipes": ["Recipe"],
        "training.fine_tuning": ["fine_tune"],
        "training.study": ["prepare"],
        "evaluation.predictions": ["mistakes", "predict", "vote"],
        "evaluation.metrics": ["accuracy", "confused_pairs", "confusion"],
        "maps.methods": ["explain"],
        "layers.features": ["layer_features"],
        "listening": ["listen", "players"],
        "page.browser": ["map_browser"],
        "page.explorer": ["sound_explorer"],
    },
)
