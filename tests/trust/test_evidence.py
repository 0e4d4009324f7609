"""Maps against evidence whose place is known."""

from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from audiointerp.errors import MissingDataError, UnknownLabelError
from audiointerp.maps import explain
from audiointerp.networks.head import add_head
from audiointerp.sound.frontend import FrontEnd
from audiointerp.trust.evidence import (
    evidence_area,
    evidence_score,
    evidence_summary,
    filter_evidence,
    moved_maps,
    oracle_maps,
    random_maps,
)

TIME, FREQUENCY = np.arange(5) * 0.1, np.array([100.0, 200.0, 400.0, 800.0])


@pytest.fixture
def clips():
    """The patch of clip 4 begins at 1 s: its box holds frames 1 and 2 of bands 1 and 2. Clip 9: band 3 throughout."""
    boxes = [[(1.05, 1.25, 150.0, 500.0)], [(0.0, 9.0, 700.0, 900.0)]]
    return pd.DataFrame({"evidence": boxes}, index=[4, 9])


def placed(values):
    coords = {"patch": [11, 12], "clip": ("patch", [4, 9]), "start": ("patch", [1.0, 0.0])}
    coords |= {"label": ["a", "b"], "time": TIME, "frequency": FREQUENCY}
    return xr.DataArray(np.asarray(values, float), coords, ("patch", "label", "time", "frequency"))


def test_evidence_by_hand(clips):
    values = np.zeros((2, 2, 5, 4))
    values[0, 0, 1, 1], values[0, 0, 4, 3] = 3, 1  # 3 of 4 inside, and the peak
    values[0, 1, 0, 0], values[0, 1, 2, 2] = 2, 1  # 1 of 3 inside, peak outside
    values[0, 1, 3, 3] = -9  # minus is nothing
    values[1, 0, :, 3] = 1
    table = evidence_score(placed(values), clips)
    assert table.index.names == ["patch", "label"]
    # The four strongest cells: one inside, one outside, and two of 18 that are 0, three of them inside.
    assert table.loc[(11, "a")].tolist() == pytest.approx([1, 0.75, (1 + 2 * 3 / 18) / 4, 4 / 20])
    assert table.loc[(11, "b")].tolist() == pytest.approx([0, 1 / 3, (1 + 2 * 3 / 18) / 4, 4 / 20])
    assert table.loc[(12, "a")].tolist() == [1, 1, 1, 5 / 20]
    assert table.loc[(12, "b")][["hit", "mass", "top"]].isna().all()


def test_top_cells_are_those_that_sorting_finds(rng, clips):
    values = rng.uniform(size=(2, 2, 5, 4))
    table = evidence_score(placed(values), clips)
    strongest = np.argsort(values[0, 1].ravel())[-4:]
    expected = np.isin(strongest, [1 * 4 + 1, 1 * 4 + 2, 2 * 4 + 1, 2 * 4 + 2]).mean()
    assert table.loc[(11, "b"), "top"] == pytest.approx(expected)


def test_even_map_has_what_chance_gives(clips):
    table = evidence_score(placed(np.ones((2, 2, 5, 4))), clips)
    np.testing.assert_allclose(table["mass"], table["area"])
    np.testing.assert_allclose(table["hit"], table["area"])
    np.testing.assert_allclose(table["top"], table["area"])


def test_area_of_patches_is_that_of_their_maps(network_of, patches_of):
    patches = patches_of(n=4)  # two of each clip
    middle = float(np.median(patches.time))
    clips = pd.DataFrame({"evidence": [[(0.0, middle, 0.0, 9e3)], [(middle, 9.0, 0.0, 9e3)]]})
    area = evidence_area(patches, clips)
    start = patches.start[:, None] + patches.time
    inside = np.where(patches.clip[:, None] == 0, start < middle, start >= middle)
    np.testing.assert_allclose(area, inside.mean(axis=1), atol=1.01 / len(patches.time))
    maps = random_maps(explain(network_of(), patches, "gradcam", labels=["class0"], progress=False))
    np.testing.assert_array_equal(area, evidence_score(maps, clips)["area"])
    with pytest.raises(MissingDataError, match="no column evidence"):
        evidence_area(patches, clips.drop(columns="evidence"))


def test_random_peaks_hit_as_often_as_the_area_says(rng, clips):
    hits = [evidence_score(placed(rng.uniform(size=(2, 2, 5, 4))), clips) for _ in range(300)]
    means = pd.concat(hits).groupby("patch").mean()
    np.testing.assert_allclose(means["hit"], means["area"], atol=0.06)


def test_maps_without_labels(clips):
    table = evidence_score(placed(np.ones((2, 2, 5, 4))).isel(label=0, drop=True), clips)
    assert table.index.names == ["patch"]
    assert table.loc[12, "area"] == 0.25


def test_faint_cells_count_neither_way(clips):
    clips["faint"] = [[(1.05, 1.45, 150.0, 500.0)], []]  # frames 1 to 4 of bands 1 and 2, of which 1 and 2 are evidence
    values = np.zeros((2, 2, 5, 4))
    values[0, 0, 3, 1], values[0, 0, 1, 1], values[0, 0, 0, 0] = 9, 1, 1
    table = evidence_score(placed(values), clips)
    assert table.loc[(11, "a")].tolist() == pytest.approx([0.5, 0.5, (1 + 2 * 3 / 14) / 4, 4 / 16])
    values = np.zeros((2, 2, 5, 4))
    values[0, 0, 3, 1] = 9
    assert evidence_score(placed(values), clips).loc[(11, "a")][["hit", "mass"]].isna().all()


def many(rng, values=None, n=60):
    """Maps of many patches, two a clip, each clip with a box of its own, and their clip table."""
    time, frequency = np.arange(12) * 0.1, np.arange(1, 9) * 100.0
    starts, lows = rng.integers(0, 6, n // 2) * 0.1, rng.integers(1, 5, n // 2) * 100.0
    boxes = [[(a - 0.01, a + 0.41, low - 1, low + 201)] for a, low in zip(starts, lows, strict=True)]
    true = np.where(np.arange(n) // 2 % 2, "a", "b")
    coords = {"patch": np.arange(n), "clip": ("patch", np.arange(n) // 2), "start": ("patch", np.zeros(n))}
    coords |= {"true": ("patch", true), "label": ["b", "a"], "time": time, "frequency": frequency}
    values = rng.normal(size=(n, 2, 12, 8)) if values is None else values
    return xr.DataArray(values, coords, ("patch", "label", "time", "frequency")), pd.DataFrame({"evidence": boxes})


def test_summary_of_maps_that_know_nothing_and_of_those_that_know_all(rng):
    maps, clips = many(rng)
    table = evidence_summary({"even": xr.ones_like(maps), "noise": maps}, clips)
    np.testing.assert_allclose(table.loc["even", ["ratio", "low", "high"]], 1)
    random = table.loc[("random", "all classes")]
    assert (random.loc[["mass", "top"], "ratio"] - 1).abs().max() < 0.05
    assert random.loc["hit", "low"] < 1 < random.loc["hit", "high"]
    assert (table.loc["oracle", "score"] == 1).all()
    np.testing.assert_allclose(table.loc["oracle", "ratio"], 1 / table.loc["oracle", "area"])
    assert table["score"].max() == 1
    assert (table.loc[("noise", "all classes"), ["clips", "patches"]] == [30, 60]).all(axis=None)
    assert (table.loc[("noise", "a"), ["clips", "patches"]] == [15, 30]).all(axis=None)


def test_summary_takes_the_map_of_the_true_class(rng):
    maps, clips = many(rng)
    known = oracle_maps(maps, clips)
    known = known.where(known["label"] == known["true"], 1 - known)
    table = evidence_summary({"own": known}, clips)
    assert (table.loc["own", "score"] == 1).all()
    with pytest.raises(UnknownLabelError, match=r"'a'.*of own are of b"):
        evidence_summary({"own": known.sel(label=["b"])}, clips)
    with pytest.raises(MissingDataError, match="own do not know the true classes"):
        evidence_summary({"own": known.drop_vars("true")}, clips)


def test_moved_maps_keep_their_values_and_lose_their_place(rng):
    maps, clips = many(rng, n=400)
    known = oracle_maps(maps, clips)
    moved = moved_maps(known)
    assert (moved.sum(["time", "frequency"]) == known.sum(["time", "frequency"])).all()
    assert (moved[:, 0].values == moved[:, 1].values).all()  # a patch's classes move together
    mass = evidence_summary({"moved": moved}, clips).loc[("moved", "all classes", "mass")]
    assert mass["low"] < 1 < mass["high"] and mass["ratio"] == pytest.approx(1, abs=0.25)
    two = moved_maps(maps.transpose("label", "time", "patch", "frequency")).transpose(*maps.dims)
    assert (two == moved_maps(maps)).all() and (moved_maps(maps, seed=1) != two).any()


def test_patches_without_evidence_do_not_count(rng):
    maps, clips = many(rng)
    clips.at[3, "evidence"] = []
    table = evidence_summary({"noise": maps}, clips)
    assert table.loc[("noise", "all classes", "mass"), ["clips", "patches"]].tolist() == [29, 58]


@pytest.fixture(scope="module")
def bands():
    """A network whose two filters answer to the lowest and to the highest bands, and a third to nothing."""
    kernel = np.zeros((3, 16, 1, 3), np.float32)
    kernel[1, 2, 0, 0] = kernel[1, 12, 0, 1] = 1
    kernel[1, 5, 0, 2] = -1
    layer = keras.layers.Conv2D(3, (3, 16), activation="relu", name="conv")
    inputs = keras.Input((32, 16, 1))
    pooled = keras.layers.GlobalAveragePooling2D()(layer(inputs))
    network = add_head(keras.Model(inputs, pooled, name="bands"), ["a", "b"], FrontEnd(frames=32, mels=16))
    layer.set_weights([kernel, np.zeros(3, np.float32)])
    return network


def test_filters_are_scored_where_they_answer(bands, toy, small, rng):
    patches = toy(8)
    patches = replace(patches, data=np.abs(patches.data))
    low = small.frequency[2]
    boxes = [(0.0, 9.0, low - 1, low + 1)]
    clips = pd.DataFrame({"evidence": [boxes] * 8}, index=range(8))
    table = filter_evidence(bands, patches, clips, "conv", most=5, progress=False)
    assert table["patches"].tolist() == [5, 5, 0]
    assert table.loc[0, ["hit", "mass"]].tolist() == [1, 1]
    assert table.loc[1, ["hit", "mass"]].tolist() == [0, 0]
    assert table.loc[0, "area"] == pytest.approx(1 / 16)
    assert table.loc[2, ["hit", "mass", "area"]].isna().all()
    assert filter_evidence(bands, patches, clips, "conv", filters=[1], progress=False).index.tolist() == [1]


def test_one_patch_a_clip(bands, toy, small):
    patches = toy(8, per_clip=4)
    patches = replace(patches, data=np.abs(patches.data))
    clips = pd.DataFrame({"evidence": [[(0.0, 9.0, 0.0, 9e3)]] * 2}, index=range(2))
    table = filter_evidence(bands, patches, clips, "conv", filters=[0], progress=False)
    assert table.loc[0, "patches"] == 2
    assert table.loc[0, "hit"] == 1


def test_evidence_needs_boxes_and_places(clips):
    maps = placed(np.ones((2, 2, 5, 4)))
    with pytest.raises(MissingDataError, match="no column evidence"):
        evidence_score(maps, clips.drop(columns="evidence"))
    with pytest.raises(MissingDataError, match="lack start"):
        evidence_score(maps.drop_vars("start"), clips)
    with pytest.raises(MissingDataError, match="clips that the table does not hold"):
        evidence_score(maps, clips.iloc[:1])
