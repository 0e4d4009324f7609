"""See and hear what a sound classifier listens to.

``import audiointerp as ai`` loads nothing heavy: each name below is imported when it is first used.
"""

import logging
import os

import lazy_loader

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Operations side by side add up gradients in an order of chance: one seed would not give one result.
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
# A notebook goes through many networks, each traced once: TensorFlow takes them for one network traced again and again.
logging.getLogger("tensorflow").addFilter(lambda record: "triggered tf.function retracing" not in record.getMessage())

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "audio",
        "augmentation",
        "batching",
        "comparison",
        "datasets",
        "distillation",
        "errors",
        "evaluation",
        "features",
        "filters",
        "fitting",
        "frontend",
        "gains",
        "listening",
        "maps",
        "music_features",
        "networks",
        "neurons",
        "patches",
        "plots",
        "precision",
        "probing",
        "projection",
        "series",
        "settings",
        "song_classifier",
        "soundnet_features",
        "study",
        "training",
        "trust",
        "widgets",
    ],
    submod_attrs={
        "audio": ["read_audio"],
        "datasets": ["load", "download"],
        "datasets.esc_labels": ["ESC50_GROUPS"],
        "datasets.gtzan": ["load_gtzan_features"],
        "datasets.labels": ["merge_labels"],
        "datasets.partition": ["partition", "with_folds"],
        "datasets.clips": ["count_labels", "from_folder", "select_labels", "shared_sources", "split"],
        "augmentation": ["Augmentation"],
        "comparison": [
            "CrossValidation",
            "clip_bootstrap",
            "compare_networks",
            "cross_validate",
            "cross_validate_songs",
            "segment_folds",
            "track_folds",
        ],
        "evaluation": ["accuracy", "confused_pairs", "confusion", "mistakes", "predict", "recall", "vote"],
        "distillation": ["distill", "divergence", "student_for", "student_recipe"],
        "features": ["layer_features", "layer_table"],
        "filters": ["compare_filters", "feature_maps", "filter_statistics", "label_statistics"],
        "frontend": ["MUSIC", "SOUNDNET", "VGGISH", "YAMNET", "FrontEnd", "WaveformFrontEnd"],
        "gains": ["gain_of", "region"],
        "listening": ["Listening", "listen", "players", "write"],
        "maps": ["explain"],
        "maps.deconvolution": ["deconvolve", "strongest_examples"],
        "networks.filterloss": ["InterpretableFilters", "filter_loss"],
        "networks.genre": ["cam_cnn", "interpretable_cnn", "plain_cnn"],
        "networks.heads": ["add_head", "frontend_of", "labels_of", "load_network", "save_network", "with_frontend"],
        "networks.imagenet": ["imagenet"],
        "networks.soundnet": ["soundnet"],
        "networks.vggish": ["vggish"],
        "networks.yamnet": ["yamnet"],
        "neurons": [
            "common_clips",
            "compare_layers",
            "neuron_class_matrix",
            "owners",
            "selective",
            "selectivity",
            "shuffled_shares",
        ],
        "patches": ["Patches", "make_patches"],
        "probing": ["chosen_C", "probe", "probe_grid", "probe_layers"],
        "projection": ["neighbour_agreement", "project", "projection_quality"],
        "music_features": ["feature_agreement", "song_features"],
        "song_classifier": ["classify_songs", "fit_song_network", "predict_songs", "song_network", "song_recipe"],
        "soundnet_features": ["identify", "load_soundnet_features"],
        "study": ["Study", "build", "default_augmentation", "default_recipe", "prepare"],
        "fitting": ["Recipe"],
        "training": ["embed", "fine_tune"],
        "trust": ["agreement", "evidence_score", "filter_evidence"],
        "widgets": ["clickable"],
    },
)
