"""Maps that were written to a netCDF file and read again serve wherever maps are taken."""

from contextlib import contextmanager

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from audiointerp import listening, plots
from audiointerp.maps import class_difference, class_profile, explain, method_consensus
from audiointerp.trust.agreement import map_agreement
from audiointerp.trust.evidence import evidence_score, evidence_summary, moved_maps, oracle_maps, random_maps
from audiointerp.trust.faithfulness import faithfulness_areas, faithfulness_curves

METHODS = {"gradcam": {}, "lime": {"samples": 40}, "occlusion": {}}
LABELS = ["class0", "class1"]


@pytest.fixture
def network(network_of):
    return network_of()


@pytest.fixture
def patches(patches_of):
    return patches_of(n=6)


@pytest.fixture
def maps(network, patches):
    common = {"labels": LABELS, "progress": False}
    return {method: explain(network, patches, method, **options, **common) for method, options in METHODS.items()}


@contextmanager
def read_back(maps, folder, kind):
    engine = "scipy" if kind == "netCDF 3" else "h5netcdf"
    read = xr.load_dataarray if kind == "loaded" else xr.open_dataarray
    found = {}
    for method, each in maps.items():
        each.to_netcdf(folder / f"{kind} {method}.nc", engine=engine)
        found[method] = read(folder / f"{kind} {method}.nc", engine=engine)
    yield found
    for each in found.values():
        each.close()


@pytest.fixture
def clips():
    boxes = [[(0.05, 0.2, 300.0, 3000.0)], [(0.1, 0.5, 500.0, 2000.0)], [(0.0, 9.0, 1000.0, 4000.0)]]
    return pd.DataFrame({"evidence": boxes}, index=range(3))


def calls(patches, clips, network):
    """What takes maps, by name; each gives numbers."""
    own = list(patches.label)
    return {
        "class_profile": lambda m: class_profile(m["lime"]),
        "class_difference": lambda m: class_difference(m["occlusion"], LABELS),
        "method_consensus": lambda m: method_consensus(m, "class0"),
        "map_agreement": lambda m: map_agreement(m, own),
        "evidence_score": lambda m: evidence_score(m["gradcam"], clips),
        "evidence_summary": lambda m: evidence_summary(m, clips),
        "random_maps": lambda m: random_maps(m["lime"]),
        "moved_maps": lambda m: moved_maps(m["lime"]),
        "oracle_maps": lambda m: oracle_maps(m["lime"], clips),
        "faithfulness": lambda m: faithfulness_areas(
            faithfulness_curves(network, patches, m, labels=own, count=9, steps=4, progress=False)
        ),
        "gain_of": lambda m: listening.gain_of(m["occlusion"][0].sel(label="class1"), patches.frontend),
        "listen": lambda m: (
            listening.listen(
                np.sin(np.arange(16_000)), m["gradcam"][1].sel(label="class1"), frontend=patches.frontend
            ).kept
        ),
        "map_grid": lambda m: drawn(plots.map_grid(patches[:2], m, label="class1")),
        "compare_labels": lambda m: drawn(plots.compare_labels(patches[[2]], m, LABELS)),
        "label_average": lambda m: drawn(plots.label_average(m["lime"], "class0")),
        "label_difference": lambda m: drawn(plots.label_difference(m["occlusion"], LABELS)),
        "frequency_profile": lambda m: drawn(plots.frequency_profile(m["gradcam"])),
        "time_profile": lambda m: drawn(plots.time_profile(m["gradcam"])),
        "consensus": lambda m: drawn(plots.consensus(m, "class1")),
    }


def drawn(axes):
    figure = np.ravel(axes)[0].figure
    figure.set(dpi=30, layout_engine="none")
    figure.canvas.draw()
    picture = np.asarray(figure.canvas.buffer_rgba()).copy()
    plt.close(figure)
    return picture


def test_maps_read_back_give_what_maps_give(maps, patches, clips, network, tmp_path):
    given = {name: call(maps) for name, call in calls(patches, clips, network).items()}
    for kind in ("loaded", "open", "netCDF 3"):
        with read_back(maps, tmp_path, kind) as read:
            for name, call in calls(patches, clips, network).items():
                check(call(read), given[name], f"{name}, {kind}")


def check(found, expected, what):
    if isinstance(expected, pd.DataFrame | pd.Series):
        assert_equal = pd.testing.assert_frame_equal if found.ndim == 2 else pd.testing.assert_series_equal
        assert_equal(found, expected, check_index_type=False)
    elif isinstance(expected, xr.DataArray | xr.Dataset):
        xr.testing.assert_equal(found, expected)
    else:
        np.testing.assert_array_equal(found, expected, err_msg=what)
