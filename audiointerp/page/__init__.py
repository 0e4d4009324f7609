"""A page for sounds that nobody has trained on: what a network says of one, and what its answer rests on."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["analysis", "browser", "explorer"],
    submod_attrs={
        "analysis": ["ClipAnalysis", "analyse_clip", "silenced", "wav_bytes"],
        "browser": ["map_browser"],
        "explorer": ["sound_explorer"],
    },
)
