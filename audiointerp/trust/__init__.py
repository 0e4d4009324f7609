"""Can a map be trusted? Known evidence, faithfulness, sanity, stability, agreement, and shortcuts to be found."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["agreement", "evidence", "faithfulness", "methods", "sanity", "shortcuts", "stability", "table"],
    submod_attrs={
        "agreement": ["map_agreement"],
        "evidence": [
            "evidence_area",
            "evidence_score",
            "evidence_summary",
            "filter_evidence",
            "moved_maps",
            "oracle_maps",
            "random_maps",
        ],
        "faithfulness": ["faithfulness_areas", "faithfulness_curves"],
        "sanity": ["parameter_randomization", "randomized"],
        "shortcuts": ["plant_shortcut"],
        "stability": ["map_stability"],
        "table": ["trust_table"],
    },
)
