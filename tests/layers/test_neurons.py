"""Which clips neurons are on for, of which classes, and what chance gives: against slow formulas and known answers."""

import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from audiointerp.errors import MissingDataError, UnknownLabelError
from audiointerp.layers import neurons

GROUP = {"dog": "animals", "rain": "water", "sea": "water", "cow": "animals", "axe": "tools"}


def layer(values, label, *, group=True, name="conv1", clip=None):
    """Layer features as the package has them."""
    label = np.asarray(label, dtype=object)
    coords = {"clip": np.arange(len(label)) if clip is None else clip, "label": ("clip", label)}
    coords |= {"fold": ("clip", np.arange(len(label)) % 3 + 1)}
    if group:
        coords["group"] = ("clip", np.array([GROUP.get(name, name) for name in label], dtype=object))
    return xr.DataArray(np.asarray(values, dtype=np.float32), coords, ("clip", "neuron"), name)


@pytest.fixture
def features(rng):
    """120 clips of 5 classes, 16 neurons: some that are zero for nearly all clips, one dead, many equal values."""
    values = np.maximum(rng.normal(size=(120, 16)).round(1), 0)
    values[:, 3] = 0.5
    values[:, 5] = 0
    values[[4, 9], 5] = 1
    label = np.array(list(GROUP))[rng.integers(0, 5, 120)]
    values[label == "sea", 7] += 5
    return layer(values, label)


def one_hot(label, names):
    return (np.asarray(label)[:, None] == np.asarray(names)[None]).astype(int)


def linear_percentile(column, percentile):
    """The percentile between the two values whose ranks enclose it."""
    ordered = sorted(float(value) for value in column)
    place = percentile / 100 * (len(ordered) - 1)
    low, part = int(place), place - int(place)
    return ordered[low] + part * (ordered[min(low + 1, len(ordered) - 1)] - ordered[low])


@pytest.mark.parametrize("percentile", [0, 30, 95, 97.5, 100])
def test_active_is_strictly_above_the_linear_percentile(rng, percentile):
    values = rng.permutation(41 * 6).reshape(41, 6) / 4
    on = neurons.active(layer(values, ["dog", "sea"] * 20 + ["dog"]), percentile=percentile)
    for column in range(6):
        limit = linear_percentile(values[:, column], percentile)
        assert list(on[:, column].values) == [value > limit + 1e-4 for value in values[:, column]]
    assert on.dims == ("clip", "neuron") and on.dtype == bool and list(on["label"].values[:2]) == ["dog", "sea"]


def test_active_of_equal_values():
    values = np.zeros((40, 3))
    values[:1, 1], values[:20, 2] = 1, 1
    on = neurons.active(layer(values, ["dog", "sea"] * 20))
    assert list(on.sum("clip").values) == [0, 1, 0]  # all the same; one of them; the percentile is the highest value


def test_dims_in_the_other_order_are_the_same(features):
    turned = features.transpose("neuron", "clip")
    xr.testing.assert_equal(neurons.active(turned), neurons.active(features))
    pd.testing.assert_frame_equal(neurons.neuron_class_matrix(turned), neurons.neuron_class_matrix(features))


@pytest.mark.parametrize("percentile", [50, 90, 95])
def test_matrix_is_the_published_product(features, percentile):
    matrix = neurons.neuron_class_matrix(features, percentile=percentile)
    X = features.values
    above = np.greater(X, np.percentile(X, percentile, axis=0))
    assert (matrix.to_numpy() == above.astype(int).T @ one_hot(features["label"].values, matrix.columns)).all()
    assert matrix.to_numpy().sum() > 50 and matrix.to_numpy().dtype.kind == "i"


def test_matrix_names_and_order(features):
    matrix = neurons.neuron_class_matrix(features)
    assert list(matrix.columns) == ["cow", "dog", "axe", "rain", "sea"]  # animals, tools, water
    assert matrix.columns.name == "label" and matrix.index.name == "neuron" and list(matrix.index) == list(range(16))
    assert list(neurons.neuron_class_matrix(features.drop_vars("group")).columns) == sorted(GROUP)
    own = features.assign_coords(group=("clip", features["label"].values))
    assert list(neurons.neuron_class_matrix(own).columns) == sorted(GROUP)
    named = features.assign_coords(neuron=np.arange(100, 116))
    assert list(neurons.neuron_class_matrix(named).index) == list(range(100, 116))


def test_matrix_by_other_coordinates(features):
    labels = neurons.neuron_class_matrix(features)
    groups = neurons.neuron_class_matrix(features, by="group")
    assert list(groups.columns) == ["animals", "tools", "water"] and groups.columns.name == "group"
    assert (groups["water"] == labels["rain"] + labels["sea"]).all()
    folds = neurons.neuron_class_matrix(features, by="fold")
    assert list(folds.columns) == [1, 2, 3] and (folds.sum(axis=1) == labels.sum(axis=1)).all()
    assert neurons.selectivity(folds)["label"].dropna().isin([1, 2, 3]).all()


def test_labels_of_numpy_text_are_the_same(features):
    fixed = features.assign_coords(label=("clip", features["label"].values.astype(str)))
    pd.testing.assert_frame_equal(neurons.neuron_class_matrix(fixed), neurons.neuron_class_matrix(features))


MATRIX = pd.DataFrame(
    [[1, 3, 0], [2, 2, 1], [0, 0, 0], [0, 0, 1], [0, 4, 0]],
    pd.Index([10, 11, 12, 13, 14], name="neuron"),
    pd.Index(["dog", "rain", "sea"], name="label"),
)


def test_selectivity_of_a_known_matrix():
    table = neurons.selectivity(MATRIX)
    assert table["label"].fillna("none").tolist() == ["rain", "dog", "none", "sea", "rain"]  # the first of equals
    assert table["count"].tolist() == [3, 2, 0, 1, 4] and table["active"].tolist() == [4, 5, 0, 1, 4]
    assert table["share"].tolist()[:2] == [0.75, 0.4] and np.isnan(table["share"][12])
    assert list(table.columns) == ["label", "count", "active", "share"] and table.index.equals(MATRIX.index)


def test_dead_neurons_are_neither_owned_nor_selective():
    table = neurons.selectivity(MATRIX)
    assert neurons.owners(table, more_than=0).to_dict() == {"rain": 2, "dog": 1, "sea": 1}
    assert 12 not in neurons.selective(table, 0).index
    dead = neurons.selectivity(MATRIX * 0)
    assert neurons.owners(dead, more_than=0).empty and neurons.selective(dead, 0).empty


def test_owners_are_sorted_and_may_be_none():
    table = neurons.selectivity(MATRIX)
    found = neurons.owners(table, more_than=1)
    assert found.to_dict() == {"rain": 2} and found.name == "neurons" and found.index.name == "label"
    assert neurons.owners(table).empty
    six = neurons.selectivity(pd.DataFrame([[0, 1]] * 6 + [[1, 0]] * 5, columns=["dog", "sea"]))
    assert neurons.owners(six).to_dict() == {"sea": 6}  # more than five, not five
    assert list(neurons.owners(six, more_than=0).index) == ["sea", "dog"]


def test_selective_is_strictly_above_and_sorted():
    table = neurons.selectivity(MATRIX)
    assert list(neurons.selective(table, 0.4).index) == [13, 14, 10]
    assert list(neurons.selective(table, 0.4, fewest=2).index) == [14, 10]
    assert neurons.selective(table, 1).empty
    with pytest.raises(ValueError, match="over=30: expected a share"):
        neurons.selective(table, 30)


@pytest.mark.parametrize("bad", [MATRIX / 2, -MATRIX, MATRIX.iloc[:0], MATRIX[[]], MATRIX.astype(float)])
def test_selectivity_refuses_what_are_no_counts(bad):
    with pytest.raises(ValueError, match=r"expected counts.*neuron_class_matrix"):
        neurons.selectivity(bad)


def slow_shuffles(features, shuffles, seed, percentile=95):
    """The shuffled shares, one label and one neuron at a time."""
    X, rng = features.values, np.random.default_rng(seed)
    names = list(neurons.neuron_class_matrix(features).columns)
    codes = np.array([names.index(label) for label in features["label"].values])
    rows = []
    for _ in range(shuffles):
        own, row = rng.permutation(codes), []
        for column in X.T:
            on = column > np.percentile(column, percentile)
            if on.any():
                row.append(max((own[on] == code).sum() for code in range(len(names))) / on.sum())
        rows.append(sorted(row, reverse=True))
    return np.array(rows)


def test_shuffled_shares_are_those_of_the_slow_formula(features):
    shares = neurons.shuffled_shares(features, shuffles=25, seed=4, progress=False)
    assert shares.dims == ("shuffle", "rank") and shares.dtype == np.float32 and shares.name == "conv1"
    assert list(shares["rank"].values) == list(range(1, 16))  # 16 neurons, one of them dead
    assert (shares.values == slow_shuffles(features, 25, 4).astype(np.float32)).all()


def test_shuffled_shares_are_seeded(features):
    first, again, other = (neurons.shuffled_shares(features, shuffles=5, seed=seed) for seed in (1, 1, 2))
    assert first.equals(again) and not first.equals(other)


def test_shuffled_shares_are_what_chance_gives():
    """One neuron, on for 2 of 6 clips of three classes of two: both are of one class in 3 of 15 pairs."""
    values = np.array([[5], [4], [0], [0], [0], [0]])
    shares = neurons.shuffled_shares(
        layer(values, ["dog", "dog", "sea", "sea", "cow", "cow"]), percentile=75, shuffles=4000
    )
    pairs = list(itertools.combinations("ddsscc", 2))
    expected = sum(a == b for a, b in pairs) / len(pairs)
    assert set(np.unique(shares)) == {0.5, 1}
    assert (shares == 1).mean() == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / 4000))


def test_shuffled_shares_of_dead_neurons_alone():
    shares = neurons.shuffled_shares(layer(np.ones((20, 4)), ["dog", "sea"] * 10), shuffles=3)
    assert shares.shape == (3, 0)


def test_one_number_differs_from_a_threshold_by_no_rounding():
    """Every shuffled share of one neuron that is on for every clip but one is nearly the same as its own."""
    values = np.r_[0, np.ones(10)][:, None]
    table = neurons.compare_layers(
        {"conv1": layer(values, ["sea"] + ["dog"] * 7 + ["sea"] * 3)}, percentile=5, shuffles=50
    )
    assert table.loc["conv1", "share"] == 0.7 and table.loc["conv1", "selective"] == 0


def random_layers(rng, clips=200, classes=8):
    label = np.array([f"class {i}" for i in range(classes)], dtype=object)[np.arange(clips) % classes]
    noise = layer(rng.normal(size=(clips, 300)), label, name="noise")
    tuned = rng.normal(size=(clips, 40))
    tuned[np.arange(clips) % classes == 2, :20] += 4
    tuned[:, 39] = 7
    return {"noise": noise, "tuned": layer(tuned, label, name="tuned")}


def test_compare_layers_columns_are_what_they_say(rng):
    layers = random_layers(rng)
    table = neurons.compare_layers(layers, shuffles=200, seed=3)
    assert list(table.index) == ["noise", "tuned"] and table.index.name == "layer"
    assert table["dead"].tolist() == [0, 1] and table["neurons"].tolist() == [300, 40]
    assert table["clips"].tolist() == [200, 200]
    for name, features in layers.items():
        row, chance = table.loc[name], neurons.shuffled_shares(features, shuffles=200, seed=3).values.astype(float)
        own = neurons.selectivity(neurons.neuron_class_matrix(features))
        live = own[own["active"] > 0]
        assert row["share"] == pytest.approx((live["count"] / live["active"]).mean())
        assert row["chance"] == pytest.approx(chance.mean())
        assert [row["low"], row["high"]] == pytest.approx(np.quantile(chance.mean(axis=1), [0.025, 0.975]))
        assert row["above"] == pytest.approx(row["share"] - row["chance"])
        assert row["largest"] == live["share"].max() and row["chance_largest"] == pytest.approx(
            chance.max(axis=1).mean()
        )
        assert row["owners"] == len(neurons.owners(own))
    assert table.loc["noise", "owners"] == 8
    assert neurons.compare_layers(layers, shuffles=20, more_than=1000)["owners"].tolist() == [0, 0]


def test_noise_is_at_chance_and_tuned_neurons_are_not(rng):
    table = neurons.compare_layers(random_layers(rng), shuffles=300)
    noise, tuned = table.loc["noise"], table.loc["tuned"]
    assert noise["low"] < noise["share"] < noise["high"] and noise["selective"] < 0.07
    assert tuned["share"] > tuned["high"] and tuned["above"] > 0.2
    assert tuned["selective"] == pytest.approx(20 / 39, abs=0.06)


def test_a_layer_of_dead_neurons_has_no_shares(rng):
    layers = random_layers(rng)
    layers["dead"] = layers["tuned"][:, [39, 39]].assign_coords(neuron=[0, 1])
    row = neurons.compare_layers(layers, shuffles=10).loc["dead"]
    assert (row["neurons"], row["dead"], row["owners"]) == (2, 2, 0)
    assert row[["share", "chance", "low", "high", "above", "largest", "chance_largest", "selective"]].isna().all()


def test_layers_of_other_clips_are_warned_of(rng):
    layers = random_layers(rng)
    layers["tuned"] = layers["tuned"][:160]
    with pytest.warns(UserWarning, match=r"different clips \(noise: 200, tuned: 160\).*common_clips") as caught:
        table = neurons.compare_layers(layers, shuffles=5)
    assert caught[0].filename == __file__ and table["clips"].tolist() == [200, 160]
    shifted = {"a": layers["noise"][:150], "b": layers["noise"][50:]}
    with pytest.warns(UserWarning, match="different clips"):  # as many, but others
        neurons.compare_layers(shifted, shuffles=2)


def test_common_clips(rng):
    layers = random_layers(rng)
    layers["tuned"] = layers["tuned"][::-1][20:180]
    found = neurons.common_clips(layers)
    assert list(found) == ["noise", "tuned"]
    for name, features in found.items():
        assert list(features["clip"].values) == list(range(20, 180))
        assert features.equals(layers[name].sel(clip=np.arange(20, 180)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        neurons.compare_layers(found, shuffles=2)
        neurons.compare_layers({"noise": layers["noise"], "turned": layers["noise"][::-1]}, shuffles=2)


def test_common_clips_refuses(rng):
    noise = random_layers(rng)["noise"]
    with pytest.raises(MissingDataError, match="no clip is in all of a, b"):
        neurons.common_clips({"a": noise[:100], "b": noise[100:]})
    for unnamed in (noise.drop_vars("clip"), noise[[0, 0, 1]]):
        with pytest.raises(ValueError, match="layer b does not name its clips"):
            neurons.common_clips({"a": noise, "b": unnamed})


FUNCTIONS = [neurons.neuron_class_matrix, neurons.shuffled_shares, lambda x, **o: neurons.compare_layers({"a": x}, **o)]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_bad_input(features, function):
    with pytest.raises(ValueError, match=r"\('clip', 'time'\): expected one layer"):
        function(features.rename(neuron="time"))
    with pytest.raises(ValueError, match="a ndarray: expected one layer"):
        function(features.values)
    for empty in (features[:0], features[:, :0]):
        with pytest.raises(MissingDataError, match="Check the selection"):
            function(empty)
    for percentile in (-1, 101, np.nan):
        with pytest.raises(ValueError, match="expected 0 to 100"):
            function(features, percentile=percentile)
    with pytest.raises(UnknownLabelError, match=r"no coordinate 'species' \(they have: clip, label, fold, group\)"):
        function(features, by="species")
    with pytest.raises(UnknownLabelError, match="no coordinate 'neuron'"):
        function(features, by="neuron")
    label = features["label"].values.copy()
    label[[2, 5]] = None
    with pytest.raises(UnknownLabelError, match="2 of 120 clips have no label"):
        function(features.assign_coords(label=("clip", label)))
    with pytest.raises(ValueError, match="all 120 clips are of label 'dog'"):
        function(features.assign_coords(label=("clip", ["dog"] * 120)))
    for value in (np.nan, np.inf):
        broken = features.copy(deep=True)
        broken[7, 2] = broken[7, 3] = broken[9, 0] = value
        with pytest.raises(MissingDataError, match=r"layer conv1 has NaN or infinite values in 2 clips \(7, 9\)"):
            function(broken)


def test_shuffles_and_layers_there_must_be(features):
    for function in FUNCTIONS[1:]:
        with pytest.raises(ValueError, match="shuffles=0: expected 1 at least"):
            function(features, shuffles=0)
    for function in (neurons.compare_layers, neurons.common_clips):
        with pytest.raises(ValueError, match="layers are a DataArray"):
            function(features)
        with pytest.raises(ValueError, match="layers are an empty dict"):
            function({})


def test_input_is_left_as_it_was(features):
    before = features.copy(deep=True)
    neurons.compare_layers({"a": features}, shuffles=3)
    xr.testing.assert_identical(features, before)


@pytest.mark.realdata
def test_published_counts_of_soundnet(real_data):
    X, y = (np.load(f"{real_data}/soundnet/{name}.npy") for name in ("X", "y"))
    features = layer(X, [f"{label:02d}" for label in y], group=False, name="conv5")
    published = np.greater(X, np.percentile(X, 95, axis=0)).T.astype(int) @ one_hot(y, np.arange(50))
    matrix = neurons.neuron_class_matrix(features)
    assert (matrix.to_numpy() == published).all()
    table = neurons.selectivity(matrix)
    assert (table["share"] > 0.2).sum() == 83 and len(neurons.owners(table)) == 12
    assert len(neurons.selective(table, fewest=100)) == 11
