"""What filters do: every number held against a slow loop or a case worked out by hand."""

from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from audiointerp.errors import MissingDataError, PatchShapeError, UnknownLabelError
from audiointerp.layers import filters as module
from audiointerp.layers.features import layer_features
from audiointerp.layers.filters import compare_filters, feature_maps, filter_statistics, label_statistics
from audiointerp.maps.deconvolution import strongest_examples
from audiointerp.networks.head import add_head
from audiointerp.networks.interpretable_filters import InterpretableFilters
from audiointerp.networks.yamnet import yamnet
from audiointerp.sound.frontend import hz_to_mel

LABELS = ["high", "low"]
layers = keras.layers


@pytest.fixture
def network(small):
    """Two convolutions, the second with batch norm of its own statistics, behind it a mask."""
    inputs = keras.Input((small.frames, small.mels, 1))
    x = layers.Conv2D(4, (3, 5), padding="same", activation="relu", name="conv1")(inputs)
    x = layers.MaxPooling2D((4, 2), name="pool1")(x)
    x = layers.Conv2D(6, 3, padding="same", name="conv2")(x)
    x = layers.BatchNormalization(name="bn2")(x)
    x = layers.ReLU(name="relu2")(x)
    x = InterpretableFilters(tau=1, peak=1, name="mask")(x)
    x = layers.GlobalAveragePooling2D(name="embedding")(x)
    network = add_head(keras.Model(inputs, x, name="two"), LABELS, small)
    network.get_layer("bn2").set_weights([np.linspace(0.5, 2, 6), np.linspace(-0.5, 0.5, 6), np.zeros(6), np.ones(6)])
    return network


def maps_of(values, label, clip=None, frequency=None):
    """Feature maps (patch, time, frequency, filter) with coordinates of their own."""
    values = np.asarray(values, np.float32)
    n, rows, columns, count = values.shape
    coords = {
        "patch": np.arange(100, 100 + n),
        "label": ("patch", np.array(label, dtype=str)),
        "clip": ("patch", np.arange(n) if clip is None else np.asarray(clip)),
        "time": np.arange(rows) * 0.1,
        "frequency": np.geomspace(100, 1600, columns) if frequency is None else frequency,
        "filter": np.arange(count),
    }
    return xr.DataArray(values, coords, ("patch", "time", "frequency", "filter"))


@pytest.fixture
def maps(rng):
    """60 patches of 20 clips, 3 labels, 5 filters on a grid of 4 x 8; filter 3 is dead, filter 4 rarely active."""
    clip = np.arange(60) // 3
    label = np.array(["rock", "jazz", "pop"])[clip % 3]
    values = np.maximum(rng.normal(size=(60, 4, 8, 5)), 0)
    values[label == "jazz", 1:3, 5, 1] += 4
    values[..., 3] = 0
    values[:, :, :, 4] *= (np.arange(60) == 7)[:, None, None]
    return maps_of(values, label, clip)


def test_maps_are_the_layers_output_at_the_centres_of_its_cells(network, toy, small):
    patches = toy(7)[2:]
    maps = feature_maps(network, patches, "pool1", batch_size=2)
    assert maps.dims == ("patch", "time", "frequency", "filter") and maps.shape == (5, 8, 8, 4)
    model = keras.Model(network.inputs[0], network.get_layer("pool1").output)
    expected = np.concatenate([model(one[None, ..., None], training=False).numpy() for one in patches.data])
    np.testing.assert_allclose(maps, expected, atol=1e-5)
    hop = small.hop / small.sample_rate
    np.testing.assert_allclose(maps["time"], small.time[0] + hop * (1.5 + 4 * np.arange(8)))
    np.testing.assert_allclose(maps["frequency"], (small.frequency[::2] + small.frequency[1::2]) / 2)
    assert (np.diff(hz_to_mel(maps["frequency"])) > 0).all()
    assert list(maps["patch"]) == [2, 3, 4, 5, 6] and list(maps["label"]) == list(patches.label)
    assert list(maps["clip"]) == list(patches.clip) and list(maps["start"]) == list(patches.start)
    assert maps.dtype == np.float32 and maps.attrs["layer"] == "pool1" and maps["time"].attrs["units"] == "s"


def test_maps_and_features_go_to_a_file_and_back(network, toy, tmp_path):
    maps = feature_maps(network, toy(3), "pool1")
    features = layer_features(network, toy(3), layers=["conv1"], cache=False)["conv1"]
    for result in (maps, features):
        result.to_netcdf(tmp_path / "result.nc")
        with xr.open_dataarray(tmp_path / "result.nc") as again:
            xr.testing.assert_equal(again.load(), result)
            assert again.attrs == result.attrs


def test_a_convolution_is_measured_behind_batch_norm_and_activation_and_before_the_mask(network, toy):
    patches = toy(4)
    by_name = {name: feature_maps(network, patches, name) for name in ("conv2", "bn2", "relu2", "mask")}
    masked = feature_maps(network, patches, "mask", before_mask=False)
    for name in ("conv2", "mask"):
        np.testing.assert_array_equal(by_name[name], by_name["relu2"])
    assert float(by_name["bn2"].min()) < 0 <= float(by_name["conv2"].min())
    mask = network.get_layer("mask")
    np.testing.assert_allclose(masked, mask(by_name["relu2"].to_numpy()).numpy(), atol=1e-6)
    assert float(masked.sum()) < float(by_name["mask"].sum())
    strongest = strongest_examples(network, patches, "conv2", 3)
    np.testing.assert_allclose(
        by_name["conv2"].sel(filter=3).max(["time", "frequency"]).sel(patch=strongest.index), strongest["activation"]
    )


def test_means_of_the_maps_are_the_layers_features(toy, small):
    network = yamnet(LABELS, weights="random", width=1 / 16, frontend=replace(small, log_offset=0.001))
    patches = toy(6, frontend=replace(small, log_offset=0.001))
    name = "layer3_pointwise_conv"
    maps = feature_maps(network, patches, name)
    features = layer_features(network, patches, layers=[name], cache=False)[name]
    np.testing.assert_allclose(maps.mean(["time", "frequency"]), features, atol=1e-5)


def test_what_cannot_be_mapped_is_an_error(network, toy, monkeypatch):
    patches = toy(4)
    with pytest.raises(ValueError, match=r"layer='conv9': .* it has conv1, pool1, conv2, bn2, relu2, mask"):
        feature_maps(network, patches, "conv9")
    with pytest.raises(ValueError, match="layer='embedding'"):
        feature_maps(network, patches, "embedding")
    with pytest.raises(MissingDataError, match="no patches"):
        feature_maps(network, patches[[]], "conv1")
    with pytest.raises(PatchShapeError):
        feature_maps(network, toy(2, frontend=replace(patches.frontend, mels=8)), "conv1")
    monkeypatch.setattr(module, "LARGEST", 4 * 8 * 8 * 6 - 1)
    with pytest.raises(ValueError, match="its maps of 4 patches have 1,536 numbers, more than 1,535"):
        feature_maps(network, patches, "conv2")


def test_statistics_of_one_filter_by_hand():
    """Ten patches of five clips; filter 0's two strongest are of one jazz clip, in the 3rd and 5th of 5 bands."""
    values = np.zeros((40, 2, 5, 1))
    values[:, 0, 1] = 1
    values[10, 1, 2], values[11, 1, 4] = 30, 20
    label = np.repeat(["rock", "jazz", "pop", "disco"], 10)
    table = filter_statistics(maps_of(values, label, np.arange(40) // 2, [1, 2, 4, 8, 16]), percentile=95)
    row = table.loc[0]
    assert row["mean"] == pytest.approx((40 + 50) / 400) and row["active"] == pytest.approx(42 / 400)
    assert (row["patches"], row["on"], row["clips"]) == (1, 2, 1)
    assert (row["label"], row["purity"]) == ("jazz", 1) and row["chance"] == 1  # of one clip, hence of one label
    assert row["spread"] == pytest.approx(1 / 5) and row["time_spread"] == 0
    assert row["even"] == pytest.approx(np.std(np.arange(5)) / 5) and row["even_time"] == pytest.approx(0.5 / 2)
    assert row["frequency"] == 8  # of the bands at 4 and 16 Hz the median place is that at 8
    # Closer than 1/4 of the sides, a band to either side: all but these two have everything there.
    assert row["concentration"] == pytest.approx((38 + 30 / 31 + 20 / 21) / 40)
    assert row["area"] == pytest.approx((38 * 3 + 3 + 2) / 40 / 10)


def test_statistics_are_those_of_a_slow_loop(maps):
    table = filter_statistics(maps)
    clip, label = maps["clip"].to_numpy(), maps["label"].to_numpy()
    for number in range(5):
        row, own = table.loc[number], maps.to_numpy()[..., number].astype(float)
        peak = own.max(axis=(1, 2))
        on = [i for i in range(60) if peak[i] > np.percentile(peak, 95)]
        assert row["mean"] == pytest.approx(own.mean()) and row["active"] == pytest.approx((own > 0).mean())
        assert row["patches"] == np.mean(peak > 0) and row["on"] == len(on)
        assert row["clips"] == len({clip[i] for i in on})
        if not on:
            assert pd.isna(row[["label", "purity", "chance", "frequency", "spread", "even", "concentration"]]).all()
            continue
        counts = pd.Series(label[on]).value_counts()
        assert row["purity"] == counts.max() / len(on) and counts[row["label"]] == counts.max()
        places = np.array([np.unravel_index(own[i].argmax(), (4, 8)) for i in on])
        frequency = np.interp(np.median(places[:, 1]), np.arange(8), maps["frequency"])
        assert row["frequency"] == pytest.approx(frequency)
        if len(on) > 1:
            np.testing.assert_allclose(row[["time_spread", "spread"]].to_list(), places.std(axis=0) / [4, 8])
        else:
            assert np.isnan(row["spread"]) and np.isnan(row["even"])
    assert table.loc[1, "label"] == "jazz" and table.loc[1, "purity"] == 1 and table.loc[1, "spread"] == 0
    assert (table.loc[[3, 4], "on"] == [0, 1]).all() and table.loc[3, "mean"] == 0


def test_chance_is_the_purity_of_labels_shuffled_over_clips(maps):
    """Where all strongest patches are of different clips it is less than where few clips have them all."""
    rng = np.random.default_rng(5)
    clip = np.arange(60) // 6
    label = np.array(["a", "b"])[clip % 2]
    values = np.zeros((60, 1, 2, 2))
    values[::6, 0, 0, 0] = 5 + np.arange(10)[:, None].T  # filter 0: a patch of each of the ten clips
    values[:10, 0, 0, 1] = 5 + np.arange(10)  # filter 1: all of two clips
    table = filter_statistics(maps_of(values, label, clip), percentile=80, shuffles=2000)
    own = np.array(["a", "b"])[np.arange(10) % 2]
    expected = {0: [], 1: []}
    for _ in range(4000):
        drawn = rng.permutation(own)
        expected[0].append(max(np.mean(drawn == name) for name in "ab"))
        expected[1].append(max(np.mean(drawn[[0] * 6 + [1] * 4] == name) for name in "ab"))
    assert (table["on"] == 10).all() and (table["clips"] == [10, 2]).all()
    assert expected[0][0] == 0.5 and table.loc[0, "chance"] == pytest.approx(0.5)
    assert table.loc[1, "chance"] == pytest.approx(np.mean(expected[1]), abs=0.02)
    assert np.mean(expected[1]) > 0.7
    by_patch = filter_statistics(maps_of(values, label, clip).drop_vars("clip"), percentile=80)
    assert by_patch.loc[1, "clips"] == 10 and by_patch.loc[1, "chance"] < 0.66


def test_one_seed_gives_one_table_and_the_order_of_the_dimensions_does_not_matter(maps):
    first = filter_statistics(maps, seed=1)
    pd.testing.assert_frame_equal(
        first, filter_statistics(maps.transpose("filter", "frequency", "patch", "time"), seed=1)
    )
    assert (first["chance"].dropna() != filter_statistics(maps, seed=2)["chance"].dropna()).any()
    chosen = maps.sel(filter=[4, 1])
    columns = ["purity", "spread", "concentration", "clips"]
    pd.testing.assert_frame_equal(filter_statistics(chosen)[columns], first.loc[[4, 1], columns])


def test_label_statistics_are_those_of_a_slow_loop(maps):
    table = label_statistics(maps)
    assert table.index.names == ["filter", "label"] and len(table) == 5 * 3
    label = maps["label"].to_numpy()
    for number in range(5):
        for name in ("jazz", "pop", "rock"):
            own = maps.to_numpy()[label == name, ..., number].astype(float)
            each = own.reshape(len(own), -1).mean(axis=1)
            row = table.loc[(number, name)]
            expected = [each.mean(), each.std(ddof=1), np.mean(own.max(axis=(1, 2)) > 0), len(own)]
            np.testing.assert_allclose(row[["mean", "std", "active", "patches"]], expected, atol=1e-7)
    assert table["mean"].unstack().shape == (5, 3) and table["mean"].unstack().loc[1].idxmax() == "jazz"
    alone = label_statistics(maps.isel(patch=[0, 3, 6, 9]).assign_coords(label=("patch", ["a", "b", "b", "b"])))
    assert np.isnan(alone.loc[(0, "a"), "std"]) and alone.loc[(0, "b"), "patches"] == 3


def test_networks_are_compared_by_medians_with_intervals(maps):
    tables = {"plain": filter_statistics(maps), "other": filter_statistics(maps.sel(filter=[0, 1, 2]))}
    found = compare_filters(tables)
    assert list(found.index) == [(m, n) for m in ("concentration", "purity", "spread") for n in ("plain", "other")]
    plain = tables["plain"]
    for measure, reference in (("concentration", "area"), ("purity", "chance"), ("spread", "even")):
        row = found.loc[(measure, "plain")]
        assert row["median"] == plain[measure].median() and row["filters"] == plain[measure].notna().sum()
        assert row["reference"] == pytest.approx(plain[reference].dropna().median())
        assert row["low"] <= row["median"] <= row["high"]
    pd.testing.assert_frame_equal(found, compare_filters(tables))


def test_interval_of_the_median_covers_what_it_should():
    """Of 300 samples of 40 filters, about 95 % have the true median within their interval."""
    rng = np.random.default_rng(0)
    inside = []
    for _ in range(300):
        columns = dict.fromkeys(["area", "purity", "chance", "spread", "even"], 0.5)
        row = compare_filters({"one": pd.DataFrame({"concentration": rng.normal(size=40), **columns})}, resamples=300)
        low, high = row.loc[("concentration", "one"), ["low", "high"]]
        inside.append(low <= 0 <= high)
    assert 0.9 < np.mean(inside) < 0.99


def test_dead_networks_have_no_medians(maps):
    found = compare_filters({"dead": filter_statistics(maps.sel(filter=[3]))})
    assert found[["median", "low", "high", "reference"]].isna().all(axis=None) and (found["filters"] == 0).all()


def test_errors_say_what_does_not_fit(maps):
    for function in (filter_statistics, label_statistics):
        with pytest.raises(ValueError, match="maps are a ndarray: expected an xarray"):
            function(maps.to_numpy())
        with pytest.raises(ValueError, match=r"maps are \('patch', 'time', 'frequency'\)"):
            function(maps.sel(filter=0))
        with pytest.raises(MissingDataError, match=r"maps have .*'patch': 0"):
            function(maps.isel(patch=[]))
        with pytest.raises(UnknownLabelError, match="no coordinate 'label'"):
            function(maps.drop_vars("label"))
    with pytest.raises(ValueError, match="negative numbers or NaN: expected the output of a ReLU"):
        filter_statistics(maps - 1)
    with pytest.raises(ValueError, match="two classes at least"):
        filter_statistics(maps.isel(patch=[0, 1, 2]))
    with pytest.raises(ValueError, match="percentile=101"):
        filter_statistics(maps, percentile=101)
    with pytest.raises(ValueError, match="shuffles=0"):
        filter_statistics(maps, shuffles=0)
    with pytest.raises(ValueError, match="maps of 65 x 64 positions: expected at most 4,096"):
        filter_statistics(maps_of(np.ones((2, 65, 64, 1)), ["a", "b"]))
    table = filter_statistics(maps)
    for wrong, text in (({}, "an empty dict"), (table, "a DataFrame"), ([table], "a list")):
        with pytest.raises(ValueError, match=f"statistics are {text}"):
            compare_filters(wrong)
    with pytest.raises(ValueError, match="table of 'plain' has no column 'chance'"):
        compare_filters({"plain": table.drop(columns="chance")})
    with pytest.raises(ValueError, match="resamples=0"):
        compare_filters({"plain": table}, resamples=0)
