"""Can a map be trusted? Agreement between methods, and maps against evidence that is known."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["agreement", "evidence", "faithfulness", "methods", "sanity", "stability", "table"],
    submod_attrs={
        "agreement": ["map_agreement"],
        "evidence": ["evidence_score", "evidence_summary", "filter_evidence", "oracle_maps", "random_maps"],
        "faithfulness": ["faithfulness_areas", "faithfulness_curves"],
        "sanity": ["parameter_randomization", "randomized"],
        "stability": ["map_stability"],
        "table": ["trust_table"],
    },
)
