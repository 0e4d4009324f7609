"""Linear probes: against plain loops over the folds, known answers, and what must not leak."""

import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn.base
import sklearn.exceptions
import sklearn.preprocessing
import sklearn.svm
import xarray as xr
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from audiointerp.datasets.esc import ESC50_LABELS
from audiointerp.errors import MissingDataError, UnknownLabelError
from audiointerp.layers.probes import chosen_C, probe, probe_grid, probe_layers

NAMES = np.array(["axe", "dog", "rain", "sea"], dtype=object)
Cs = (1e-3, 1e-2, 1e-1)
FOLDS = [1, 2, 3, 4, 5]


@pytest.fixture(autouse=True)
def one_process():
    """Fits run here instead of in processes of their own, so that they can be counted."""
    with joblib.parallel_config(backend="sequential"):
        yield


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sklearn.exceptions.ConvergenceWarning)
        yield


def layer(values, label, fold, *, clip=None, name="conv5"):
    clip = np.arange(len(label)) if clip is None else clip
    coords = {"clip": clip, "label": ("clip", np.asarray(label, dtype=object)), "fold": ("clip", np.asarray(fold))}
    return xr.DataArray(np.asarray(values, np.float32), coords, ("clip", "neuron"), name)


def made(rng, n=120, neurons=8, noise=1.5):
    """Clips of four classes that overlap; each neuron has a scale of its own, each fold an offset."""
    label, fold = rng.permutation(np.arange(n) % 4), rng.permutation(np.arange(n) % 5 + 1)
    values = rng.normal(size=(4, neurons))[label] + noise * rng.normal(size=(n, neurons))
    values += 1.5 * rng.normal(size=(5, neurons))[fold - 1]
    values *= 10.0 ** rng.uniform(-2, 2, neurons)
    return layer(values, NAMES[label], fold)


@pytest.fixture
def features(rng):
    return made(rng)


@pytest.fixture
def fits(monkeypatch):
    """Counts the fits, by the number of clips that trained."""
    taken, original = [], LinearSVC.fit

    def counted(self, X, y, *rest):
        taken.append(len(y))
        return original(self, X, y, *rest)

    monkeypatch.setattr(LinearSVC, "fit", counted)
    return taken


def predicted_by_hand(features, C, train, test, *, scaled_on=None, max_iter=3_000, seed=0):
    X, y = features.values, features["label"].values
    scaler = StandardScaler().fit(X[train if scaled_on is None else scaled_on])
    dual = C >= 1 or X.shape[1] > train.sum()  # liblinear's other way to the same solution
    svm = LinearSVC(C=C, dual=dual, max_iter=max_iter, random_state=seed)
    return svm.fit(scaler.transform(X[train]), y[train]).predict(scaler.transform(X[test]))


def probe_by_hand(features, C, *, leaky=False):
    found, fold = np.full(features.sizes["clip"], None), features["fold"].values
    for held_out in np.unique(fold):
        test = fold == held_out
        every = np.ones(len(fold), bool) if leaky else None
        found[test] = predicted_by_hand(features, C, ~test, test, scaled_on=every)
    return found


def share(features, predicted, test):
    return np.mean((predicted == features["label"].values)[test])


@pytest.mark.parametrize("C", [1e-4, 1e-3, 0.1, 1.0, 10.0])
def test_probe_is_a_plain_loop_over_the_folds(features, C):
    table = probe(features, C=C)
    assert list(table.columns) == ["label", "fold", "predicted"]
    assert table.index.name == "clip" and list(table.index) == list(range(120))
    assert list(table["predicted"]) == list(probe_by_hand(features, C))
    assert list(table["label"]) == list(features["label"].values) and list(table["fold"]) == list(features["fold"])
    assert 0.3 < (table["predicted"] == table["label"]).mean() < 1


@pytest.mark.parametrize("C", [1e-3, 0.1])
def test_more_neurons_than_clips(rng, C):
    wide = made(rng, n=60, neurons=200, noise=8)
    assert list(probe(wide, C=C)["predicted"]) == list(probe_by_hand(wide, C))


def test_default_C_is_the_published_one(features):
    pd.testing.assert_frame_equal(probe(features), probe(features, C=0.1))


def test_scaling_is_learned_from_the_training_part(features):
    features[(features["fold"] == 5).values] *= 100  # scaled by all clips, the others would be next to constant
    honest, leaky = probe_by_hand(features, 0.1), probe_by_hand(features, 0.1, leaky=True)
    assert (honest != leaky).sum() > 5
    assert list(probe(features)["predicted"]) == list(honest)


def test_the_held_out_fold_does_not_train(rng, features):
    """Nothing in a fold but each clip's own features may change its prediction."""
    other = features.copy()
    inside = np.flatnonzero(features["fold"] == 3)
    other[inside[1:]] = rng.normal(size=(len(inside) - 1, 8))
    other["label"].values[inside] = "nonsense"
    assert probe(other)["predicted"].iloc[inside[0]] == probe(features)["predicted"].iloc[inside[0]]
    rest = np.flatnonzero(features["fold"] != 3)
    assert (probe(other)["predicted"].iloc[rest] == "nonsense").any()


def test_folds_to_hold_out_while_all_others_train(features, fits):
    whole = probe(features)
    fits.clear()
    for folds in ([2], [1, 4], [4, 1]):
        table = probe(features, folds=folds, cache=False)
        pd.testing.assert_frame_equal(table, whole[whole["fold"].isin(folds)])
    assert fits == [96] * 5


def test_a_fold_named_twice_is_held_out_once(features):
    pd.testing.assert_frame_equal(probe(features, folds=[2, 2], cache=False), probe(features, folds=[2]))
    assert list(probe_grid(features, Cs=[0.1], folds=[2, 2]).columns) == [2]


def test_C_by_fold(features):
    strengths = {1: 1e-4, 2: 0.1, 3: 1e-3, 4: 0.1, 5: 10.0}
    table = probe(features, C=strengths)
    for fold, C in strengths.items():
        own = table[table["fold"] == fold]
        pd.testing.assert_frame_equal(own, probe(features, C=C, folds=[fold]))
    assert (table["predicted"] != probe(features)["predicted"]).any()


def test_C_that_lacks_a_fold(features):
    with pytest.raises(MissingDataError, match=r"C is given for folds \[1, 2\]; \[3, 4, 5\] are held out too"):
        probe(features, C={1: 0.1, 2: 0.1})
    assert set(probe(features, C={1: 0.1, 2: 0.1}, folds=[1, 2])["fold"]) == {1, 2}


def test_clips_are_ordered_by_their_index(rng, features):
    named = features.assign_coords(clip=rng.permutation(1_000)[:120])
    table = probe(named)
    assert table.index.is_monotonic_increasing and set(table.index) == set(named["clip"].values)
    expected = dict(zip(named["clip"].values, probe_by_hand(named, 0.1), strict=True))
    assert table["predicted"].to_dict() == expected
    assert table["label"].to_dict() == dict(zip(named["clip"].values, named["label"].values, strict=True))
    assert table["fold"].to_dict() == dict(zip(named["clip"].values, named["fold"].values, strict=True))


def test_a_class_of_one_fold_only_cannot_be_predicted_there(features):
    single = features.copy()
    single["label"].values[features["fold"] == 2] = "aaa"  # first in the alphabet, unknown to the probe that is tested
    table = probe(single)
    assert not (table["predicted"][table["fold"] == 2] == "aaa").any()
    assert list(table["predicted"]) == list(probe_by_hand(single, 0.1))


def test_a_neuron_that_never_changes(features):
    dead = features.copy()
    dead[:, 2] = 0
    assert list(probe(dead)["predicted"]) == list(probe_by_hand(dead, 0.1))


def test_the_seed_decides_where_the_solver_draws_numbers(features):
    def hasty(seed):
        return probe(features, C=10.0, max_iter=3, seed=seed)["predicted"]

    expected = [
        predicted_by_hand(features, 10.0, *(features["fold"].values != 1, features["fold"].values == 1), **options)
        for options in ({"max_iter": 3, "seed": 4}, {"max_iter": 3, "seed": 5})
    ]
    assert list(hasty(4)[features["fold"].values == 1]) == list(expected[0])
    assert list(hasty(4)) != list(hasty(5))


def test_the_same_in_processes_of_their_own(features):
    with joblib.parallel_config(backend="loky", n_jobs=2):
        strengths = chosen_C(features, Cs=Cs, cache=False, progress=False)
        table = probe(features, C=strengths, cache=False)
    assert strengths == chosen_C(features, Cs=Cs, progress=False)
    pd.testing.assert_frame_equal(table, probe(features, C=strengths))


CALLS = {
    "probe": (lambda features, **options: probe(features, **options), 5),
    "probe_grid": (
        lambda features, C=0.1, **options: probe_grid(features, Cs=(1e-3, C), progress=False, **options),
        10,
    ),
    "chosen_C": (lambda features, C=0.1, **options: chosen_C(features, Cs=(1e-3, C), progress=False, **options), 20),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_second_call_comes_from_the_cache_and_other_input_does_not(features, fits, name, own_cache):
    call, number = CALLS[name]
    first = call(features)
    assert len(fits) == number
    fits.clear()
    again = call(features.assign_coords(clip=np.arange(120) + 7)) if name != "probe" else call(features.copy())
    assert fits == [] and (again == first if name == "chosen_C" else again.equals(first))
    one_value, one_label, other_fold = features.copy(), features.copy(), features.copy()
    one_value[0, 0] += 1e-3
    one_label["label"].values[0] = "sea" if features["label"].values[0] == "rain" else "rain"
    other_fold["fold"].values[:] = features["fold"].values % 5 + 1
    for changed in (one_value, one_label, other_fold):
        fits.clear()
        call(changed)
        assert len(fits) == number
    for options in ({"C": 0.2}, {"max_iter": 2_000}, {"seed": 1}, {"folds": [1, 2]}, {"cache": False}):
        fits.clear()
        call(features, **options)
        assert len(fits) > 0, options
    kept = list((own_cache / "probes").iterdir())
    call(features.isel(neuron=slice(5)), cache=False)
    assert list((own_cache / "probes").iterdir()) == kept


def test_one_fold_of_a_dictionary_of_C_is_not_another(features, fits):
    probe(features, C={1: 0.1, 2: 0.1}, folds=[1, 2])
    probe(features, C={1: 0.1, 2: 0.2}, folds=[1, 2])
    probe(features, C=0.1, folds=[1, 2])  # the same as the first
    assert len(fits) == 4


def test_grid_is_the_accuracy_of_each_probe(features):
    grid = probe_grid(features, Cs=(1e-4, 0.1, 10.0), progress=False)
    assert list(grid.index) == [1e-4, 0.1, 10.0] and list(grid.columns) == FOLDS
    assert (grid.index.name, grid.columns.name) == ("C", "fold")
    for C in grid.index:
        table = probe(features, C=C)
        right = (table["predicted"] == table["label"]).groupby(table["fold"]).mean()
        np.testing.assert_allclose(grid.loc[C], right, atol=1e-12)
    assert grid.stack().nunique() > 5
    part = probe_grid(features, Cs=(0.1, 1e-4), folds=[5, 2], progress=False)
    pd.testing.assert_frame_equal(part, grid.loc[[0.1, 1e-4], [5, 2]])


def chosen_by_hand(features, Cs):
    fold, chosen, means = features["fold"].values, {}, {}
    for outer in np.unique(fold):
        best = -1
        for C in sorted(Cs):
            shares = []
            for inner in np.unique(fold[fold != outer]):
                train, test = (fold != outer) & (fold != inner), fold == inner
                predicted = predicted_by_hand(features, C, train, test, max_iter=1_000)  # enough to choose
                shares.append(np.mean(predicted == features["label"].values[test]))
            means[outer, C] = np.mean(shares)
            if means[outer, C] > best + 1e-9:
                best, chosen[int(outer)] = means[outer, C], C
    return chosen


@pytest.mark.parametrize("seed", range(4))
def test_chosen_C_is_a_nested_double_loop(seed):
    features = made(np.random.default_rng(seed), n=100 + seed, neurons=20)  # folds of unequal size
    expected = chosen_by_hand(features, Cs)
    assert chosen_C(features, Cs=Cs, progress=False) == expected
    assert chosen_C(features, Cs=Cs, folds=[4, 2], progress=False) == {fold: expected[fold] for fold in (4, 2)}


def test_the_loops_above_choose_different_values():
    """Otherwise agreeing with them would show little."""
    found = [chosen_by_hand(made(np.random.default_rng(s), n=100 + s, neurons=20), Cs).values() for s in range(4)]
    assert len({C for chosen in found for C in chosen}) == 3 and any(len(set(chosen)) > 1 for chosen in found)


@pytest.mark.parametrize("order", [Cs, Cs[::-1], (1e-2, 1e-1, 1e-3)])
def test_of_equals_the_smallest_C(rng, order):
    label = np.arange(60) % 4
    clear = layer(np.eye(4)[label] + rng.normal(0, 0.01, (60, 4)), NAMES[label], np.arange(60) // 12 + 1)
    assert (probe_grid(clear, Cs=order, progress=False) == 1).all(axis=None)
    assert chosen_C(clear, Cs=order, progress=False) == dict.fromkeys(FOLDS, 1e-3)


RIGHT = {0.01: (3, 2, 1, 5), 0.1: (1, 2, 3, 5)}  # clips of 10, by C and fold; 0.3 + 0.2 + 0.1 < 0.1 + 0.2 + 0.3


class Told(sklearn.base.ClassifierMixin, sklearn.base.BaseEstimator):
    """In place of the SVM: right for as many clips of each fold as `RIGHT` says."""

    def __init__(self, C, dual, max_iter, random_state):
        self.C = C

    def __sklearn_is_fitted__(self):
        return True

    def fit(self, X, y):
        return self

    def predict(self, X):
        target, fold, number = X.T.round().astype(int)
        return np.where(number < np.array(RIGHT[self.C])[fold - 1], target, 1 - target)


def test_equal_but_for_rounding_are_equals(monkeypatch):
    monkeypatch.setattr(sklearn.svm, "LinearSVC", Told)
    monkeypatch.setattr(sklearn.preprocessing, "StandardScaler", sklearn.preprocessing.FunctionTransformer)
    target, fold, number = np.arange(40) % 2, np.arange(40) // 10 + 1, np.arange(40) % 10
    told = layer(np.stack([target, fold, number], axis=1), NAMES[target], fold)
    grid = probe_grid(told, Cs=RIGHT, progress=False)
    np.testing.assert_allclose(grid, [[0.3, 0.2, 0.1, 0.5], [0.1, 0.2, 0.3, 0.5]])
    assert chosen_C(told, Cs=(0.01, 0.1), folds=[4], progress=False) == {4: 0.01}
    assert chosen_C(told, Cs=(0.01, 0.1), progress=False) == {1: 0.1, 2: 0.01, 3: 0.01, 4: 0.01}


@pytest.mark.parametrize("fold", FOLDS)
def test_the_choice_does_not_look_at_the_fold_held_out(rng, fold):
    features = made(rng, n=100, neurons=20)
    before = chosen_C(features, Cs=Cs, progress=False)
    nonsense, inside = features.copy(), (features["fold"] == fold).values
    nonsense["label"].values[inside] = np.roll(NAMES, 1)[np.searchsorted(NAMES, features["label"].values[inside])]
    nonsense[inside] = 100 * np.eye(20)[np.searchsorted(NAMES, features["label"].values[inside])]
    after = chosen_C(nonsense, Cs=Cs, progress=False)
    assert after[fold] == before[fold]
    assert after != before  # the others do look at it
    nonsense["label"].values[inside] = "zebra"
    assert chosen_C(nonsense, Cs=Cs, folds=[fold], progress=False) == {fold: before[fold]}


def test_fewer_than_three_folds_leave_none_to_choose_on(features):
    two = features[features["fold"].values < 3]
    with pytest.raises(MissingDataError, match=r"fewer than 3 folds.*Name C"):
        chosen_C(two, Cs=Cs)
    assert len(probe(two)) == two.sizes["clip"]


def test_chosen_C_can_be_given_to_the_probe(features):
    strengths = chosen_C(features, Cs=Cs, progress=False)
    assert list(strengths) == FOLDS and all(type(key) is int for key in strengths)
    table = probe(features, C=strengths)
    for fold, C in strengths.items():
        test = features["fold"].values == fold
        assert list(table["predicted"][test]) == list(predicted_by_hand(features, C, ~test, test))


def wilson(right, n, z=1.959963984540054):
    p, middle = right / n, 1 + z**2 / n
    half = z / middle * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return (p + z**2 / (2 * n)) / middle - half, (p + z**2 / (2 * n)) / middle + half


def test_layers_with_interval_folds_and_spread(rng, features):
    shallow = made(rng, n=90, neurons=3, noise=4)
    table = probe_layers({"conv1": shallow, "conv5": features}, progress=False)
    assert list(table.index) == ["conv1", "conv5"] and table.index.name == "layer"
    assert list(table.columns) == ["accuracy", "low", "high", "spread", "folds", "n", "neurons"]
    assert list(table["n"]) == [90, 120] and list(table["neurons"]) == [3, 8]
    for name, own in (("conv1", shallow), ("conv5", features)):
        right = probe_by_hand(own, 0.1) == own["label"].values
        by_fold = [right[own["fold"].values == fold].mean() for fold in FOLDS]
        row = table.loc[name]
        assert row["accuracy"] == pytest.approx(right.mean())
        assert (row["low"], row["high"]) == pytest.approx(wilson(right.sum(), len(right)))
        assert row["folds"] == pytest.approx(by_fold)
        assert row["spread"] == pytest.approx(np.sqrt(np.mean((np.array(by_fold) - np.mean(by_fold)) ** 2)))
        assert row["spread"] > 0
    assert [table[column].dtype.kind for column in ("accuracy", "low", "high", "spread", "n", "neurons")] == [*"ffffii"]


def test_layers_take_the_settings_of_the_probe(features):
    table = probe_layers({"conv5": features}, C=1e-4, folds=[2], progress=False)
    expected = probe(features, C=1e-4, folds=[2])
    assert table.loc["conv5", "accuracy"] == (expected["predicted"] == expected["label"]).mean()
    assert table.loc["conv5", "n"] == 24 and len(table.loc["conv5", "folds"]) == 1
    assert np.isnan(table.loc["conv5", "spread"])  # one fold has none


EVERY = [
    probe,
    lambda features, **options: probe_grid(features, Cs=Cs, **options),
    lambda features, **options: chosen_C(features, Cs=Cs, **options),
    lambda features, **options: probe_layers({"conv5": features}, **options),
]


@pytest.mark.parametrize("call", EVERY)
def test_what_a_probe_cannot_do_without(features, call):
    for lacking in ("label", "fold"):
        with pytest.raises(UnknownLabelError, match=f"layer conv5 have no {lacking}"):
            call(features.drop_vars(lacking))
    with pytest.raises(MissingDataError, match=r"fold \[4\] only: a probe is tested on a fold it was not trained on"):
        call(features[features["fold"].values == 4])
    for value in (np.nan, np.inf):
        broken = features.copy()
        broken[3, 1] = value
        with pytest.raises(MissingDataError, match="layer conv5 hold NaN or infinite"):
            call(broken)
    with pytest.raises(MissingDataError, match=r"folds \[6, 9\] have no clips; there are \[1, 2, 3, 4, 5\]"):
        call(features, folds=[6, 2, 9])


@pytest.mark.realdata
@pytest.mark.slow
def test_published_accuracies(real_data):
    X, y = np.load(f"{real_data}/soundnet/X.npy"), np.load(f"{real_data}/soundnet/y.npy")
    label = np.array(ESC50_LABELS, dtype=object)[y]
    conv5 = layer(X, label, np.arange(2_000) // 400 + 1)
    with joblib.parallel_config(backend="loky"):
        table = probe(conv5)
        grid = probe_grid(conv5, Cs=(1e-4, 1e-3, 1e-2), progress=False)
    by_fold = (table["predicted"] == table["label"]).groupby(table["fold"]).mean()
    assert by_fold.to_dict() == dict(zip(FOLDS, [0.7325, 0.7, 0.725, 0.7275, 0.7125], strict=True))
    np.testing.assert_allclose(grid.mean(axis=1), [0.57, 0.641, 0.711], atol=0.004)
