"""The table of a network: each measure is what its own function gives."""

import numpy as np
import pandas as pd
import pytest

from audiointerp.errors import MissingDataError
from audiointerp.maps.methods import explain
from audiointerp.trust import table as table_module
from audiointerp.trust.evidence import evidence_summary, moved_maps
from audiointerp.trust.faithfulness import faithfulness_areas, faithfulness_curves
from audiointerp.trust.sanity import parameter_randomization
from audiointerp.trust.table import trust_table

FINE = ("occlusion", {"mask": (4, 4), "stride": (2, 2)})
METHODS = ["gradcam", FINE]
NAMES = ["gradcam", "occlusion (mask=(4, 4), stride=(2, 2))"]


@pytest.fixture
def asked(network_of, patches_of):
    network, patches = network_of(), patches_of(n=8)
    predicted = network(patches.data[..., None]).numpy().argmax(axis=1)
    patches.table["label"] = [f"class{i}" for i in predicted]
    patches.table.loc[100, "label"] = "class0" if predicted[0] else "class1"  # a mistake
    boxes = [[(0.24 * 2 * i, 0.24 * 2 * i + 0.4, 500.0, 2_000.0)] for i in range(4)]
    return network, patches, pd.DataFrame({"evidence": boxes})


def test_measures_are_those_of_their_own_functions(asked):
    network, patches, clips = asked
    table = trust_table(network, patches, METHODS, clips=clips, most=3, progress=False)
    assert table.index.get_level_values("method").unique().tolist() == NAMES
    measures = ["evidence hit", "evidence mass", "evidence top", "deletion", "deletion, moved"]
    measures += ["insertion", "insertion, moved", "randomization", "stability", "agreement"]
    assert table.loc["gradcam"].index.tolist() == measures
    assert ((table["low"] <= table["value"]) & (table["value"] <= table["high"])).all()

    maps = {name: explain(network, patches, m, **o, progress=False) for name, (m, o) in
            zip(NAMES, (("gradcam", {}), FINE), strict=True)}  # fmt: skip
    right = {name: one[1:] for name, one in maps.items()}
    summary = evidence_summary(right, clips).xs("all classes", level="label")
    moved = {f"{name} elsewhere": moved_maps(one) for name, one in maps.items()}
    areas = faithfulness_areas(faithfulness_curves(network, patches, maps | moved, progress=False))
    random = parameter_randomization(network, patches[[0, 4, 7]], METHODS, depths=1, progress=False)
    for name in NAMES:
        assert table.loc[(name, "evidence mass"), "value"] == pytest.approx(summary.loc[(name, "mass"), "ratio"])
        assert table.loc[(name, "deletion"), "value"] == pytest.approx(areas.loc[name, "deletion_gain"].mean())
        assert table.loc[(name, "insertion"), "value"] == pytest.approx(areas.loc[name, "insertion_gain"].mean())
        gain = areas.loc[f"{name} elsewhere", "deletion"] - areas.loc[name, "deletion"]
        assert table.loc[(name, "deletion, moved"), "value"] == pytest.approx(gain.mean())
        gain = areas.loc[name, "insertion"] - areas.loc[f"{name} elsewhere", "insertion"]
        assert table.loc[(name, "insertion, moved"), "value"] == pytest.approx(gain.mean())
        expected = random.loc[random["method"] == name, "rank_correlation"].mean()
        assert table.loc[(name, "randomization"), "value"] == pytest.approx(expected, abs=1e-3, nan_ok=True)
    assert table.loc[(NAMES[1], "stability"), "value"] > 0.5
    assert table.loc[(NAMES[0], "agreement"), "value"] == table.loc[(NAMES[1], "agreement"), "value"]
    assert table.loc[(NAMES[1], "evidence hit"), "patches"] == 7
    assert set(table.xs("randomization", level="measure")["better"]) == {"lower"}


def test_without_evidence_and_other_methods_these_measures_are_absent(asked):
    network, patches, clips = asked
    table = trust_table(network, patches, [FINE], most=2, labels="class1", progress=False)
    measures = ["deletion", "deletion, moved", "insertion", "insertion, moved", "randomization", "stability"]
    assert table.loc[NAMES[1]].index.tolist() == measures
    wrong = [f"class{(int(label[-1]) + 1) % 3}" for label in patches.label]
    none = trust_table(network, patches, [FINE], clips=clips, most=1, labels=wrong, progress=False)
    assert none.loc[(NAMES[1], "evidence mass"), ["value", "clips"]].isna().tolist() == [True, False]
    with pytest.raises(ValueError, match="most=0"):
        trust_table(network, patches, [FINE], most=0)


def test_what_was_stopped_goes_on_from_the_cache(asked, monkeypatch):
    network, patches, clips = asked
    stop = pytest.MonkeyPatch()
    stop.setattr("audiointerp.trust.table.map_stability", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        trust_table(network, patches, METHODS, clips=clips, most=2, progress=False)
    stop.undo()
    runs = []
    from audiointerp.trust import faithfulness

    monkeypatch.setattr(faithfulness, "perturbed_scores", lambda *_, **__: runs.append(1))
    table = trust_table(network, patches, METHODS, clips=clips, most=2, progress=False)
    assert not runs and np.isfinite(table.loc[NAMES[1], "value"]).all()


def test_patches_are_counted_once_and_maps_without_order_do_not_spoil_the_agreement_of_others(asked, monkeypatch):
    network, patches, _ = asked
    real = table_module.explain_own

    def explain_own(network, patches, method, options, labels, **run):
        found = real(network, patches, method, options, labels, **run)
        return found * 0 if method == "saliency" else found

    monkeypatch.setattr(table_module, "explain_own", explain_own)
    table = trust_table(network, patches, ["gradcam", "saliency", FINE], most=3, progress=False)
    counts = table["patches"].unstack("measure").loc[NAMES[1]]
    assert (counts["stability"], counts["deletion"]) == (3, 8)
    two = trust_table(network, patches, METHODS, most=3, progress=False)
    one, other = (each.loc[(NAMES[1], "agreement"), "value"] for each in (table, two))
    assert one == pytest.approx(other) and counts["agreement"] == two.loc[(NAMES[1], "agreement"), "patches"] > 0


def test_evidence_that_is_not_there_is_said_before_anything_is_computed(asked, monkeypatch):
    network, patches, clips = asked
    monkeypatch.setattr(table_module, "explain_own", lambda *_, **__: pytest.fail("maps were made"))
    with pytest.raises(MissingDataError, match="clips without the column evidence"):
        trust_table(network, patches, METHODS, clips=clips.drop(columns="evidence"), progress=False)
