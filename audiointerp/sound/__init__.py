"""Sound: from a file to a waveform, a log-mel spectrogram, patches."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["frontend", "music", "patches", "reading", "waveforms", "whole"],
    submod_attrs={
        "reading": ["read_audio"],
        "frontend": ["MUSIC", "SOUNDNET", "VGGISH", "YAMNET", "FrontEnd", "WaveformFrontEnd", "hz_to_mel", "mel_to_hz"],
        "patches": ["Patches", "make_patches"],
        "waveforms": ["PatchWaveforms", "read_waveforms"],
        "whole": ["whole_clip"],
        "music": ["feature_agreement", "track_features"],
    },
)
