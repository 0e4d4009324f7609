"""UMAP pictures and the numbers beside them: against brute force, and what labels may and may not do to a picture."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.manifold import trustworthiness

from audiointerp.errors import MissingDataError, UnknownLabelError
from audiointerp.layers.projections import neighbour_agreement, project, projection_quality

NAMES = np.array(["axe", "cow", "dog", "rain", "sea"], dtype=object)
GROUP = {"axe": "tools", "cow": "animals", "dog": "animals", "rain": "water", "sea": "water"}


def layer(values, label, fold, *, clip=None):
    label = np.asarray(label, dtype=object)
    coords = {"clip": np.arange(len(label)) if clip is None else clip, "label": ("clip", label)}
    coords |= {"fold": ("clip", np.asarray(fold)), "source": ("clip", np.array([f"s{i}" for i in range(len(label))]))}
    coords |= {"group": ("clip", np.array([GROUP.get(name, name) for name in label], dtype=object))}
    return xr.DataArray(np.asarray(values, np.float32), coords, ("clip", "neuron"), "conv5")


@pytest.fixture
def noise(rng):
    """Features that know nothing of the label."""
    number = np.arange(110)
    return layer(rng.normal(size=(110, 10)), NAMES[rng.permutation(number % 5)], number % 5 + 1)


@pytest.fixture
def clusters(rng):
    """Features that know it well, but not always."""
    number = rng.permutation(100) % 5
    return layer(2 * np.eye(5)[number] + 0.8 * rng.normal(size=(100, 5)), NAMES[number], np.arange(100) % 5 + 1)


@pytest.fixture
def made(monkeypatch):
    """Counts the pictures that are computed, by the clips that they are made from."""
    import umap

    taken, original = [], umap.UMAP.fit_transform

    def counted(self, X, y=None, **options):
        taken.append(len(X))
        return original(self, X, y, **options)

    monkeypatch.setattr(umap.UMAP, "fit_transform", counted)
    return taken


def places(table):
    return table[["x", "y"]].to_numpy()


def distances(one, two, metric):
    found = np.empty((len(one), len(two)))
    for i, a in enumerate(np.asarray(one, float)):
        for j, b in enumerate(np.asarray(two, float)):
            cosine = 1 - (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())
            found[i, j] = cosine if metric == "cosine" else np.sqrt(((a - b) ** 2).sum())
    return found


def alike_by_hand(values, labels, asked=None, asked_labels=None, metric="euclidean"):
    """Share whose nearest neighbour has the same label; each is compared with all others, one by one."""
    between = distances(values if asked is None else asked, values, metric)
    if asked is None:
        np.fill_diagonal(between, np.inf)
        asked_labels = labels
    return np.mean([labels[row.argmin()] == own for row, own in zip(between, asked_labels, strict=True)])


def test_umap_is_imported_only_when_it_is_used():
    code = "import sys, audiointerp, audiointerp.layers.projections; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    loaded = ran.stdout.split()
    assert "audiointerp.layers.projections" in loaded
    assert not {"umap", "numba", "tensorflow", "sklearn"} & set(loaded)


def test_a_picture_of_clips(clusters):
    named = clusters.assign_coords(clip=np.arange(100)[::-1] * 3)
    table = project(named, neighbours=10)
    assert list(table.columns) == ["x", "y", "label", "fold", "group", "source"]
    assert list(table.index) == list(named["clip"].values) and table.index.name == "clip"
    for column in ("label", "fold", "group", "source"):
        assert list(table[column]) == list(named[column].values)
    assert table.attrs == {"layer": "conv5", "supervised": False, "fit_on": None}
    assert np.isfinite(places(table)).all() and (places(table).std(axis=0) > 0.1).all()
    bare = project(clusters.drop_vars(["label", "fold", "group", "source"]), neighbours=10)
    assert list(bare.columns) == ["x", "y"]
    np.testing.assert_array_equal(places(bare), places(table))


def test_the_seed_decides(clusters):
    one, same, other = (project(clusters, neighbours=10, seed=seed, cache=False) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(one, same)
    assert not np.allclose(places(one), places(other), atol=1e-2)


def test_distance_is_the_cosine(clusters, rng):
    """The length of a clip's features does not matter."""
    scaled = clusters * 2.0 ** rng.integers(-3, 4, (100, 1))
    np.testing.assert_allclose(
        places(project(scaled, neighbours=10)), places(project(clusters, neighbours=10)), atol=1e-3
    )


def test_a_picture_comes_from_the_cache_and_another_does_not(clusters, made):
    first = project(clusters, neighbours=10)
    assert made == [100]
    again = project(clusters.assign_coords(label=("clip", clusters["label"].values[::-1])), neighbours=10)
    assert made == [100]  # labels are not used, so they do not matter
    np.testing.assert_array_equal(places(again), places(first))
    assert list(again["label"]) == list(clusters["label"].values[::-1])
    changed = clusters.copy()
    changed[0, 0] += 1
    project(changed, neighbours=10)
    for options in ({"seed": 1}, {"neighbours": 9}, {"min_dist": 0.3}, {"fit_on": [1, 2, 3]}, {"cache": False}):
        project(clusters, **{"neighbours": 10, **options})
    assert made == [100] * 5 + [60, 100]
    project(clusters, neighbours=10, supervised=True)
    project(clusters, neighbours=10, supervised=True, by="group")
    project(clusters.assign_coords(label=("clip", clusters["label"].values[::-1])), neighbours=10, supervised=True)
    assert made[7:] == [100] * 3
    project(clusters, neighbours=10, supervised=True)
    assert len(made) == 10


@pytest.mark.parametrize("progress", [True, False])
def test_the_bar_comes_late_or_not_at_all_and_changes_nothing(clusters, monkeypatch, progress):
    import umap.layouts

    bars, tqdm = [], umap.layouts.tqdm

    def seen(*args, **options):
        bars.append(options)
        return tqdm(*args, **options)

    monkeypatch.setattr(umap.layouts, "tqdm", seen)
    shown = project(clusters, neighbours=10, cache=False, progress=progress)
    assert [(bar["disable"], bar["delay"]) for bar in bars] == [(not progress, 2)]
    np.testing.assert_array_equal(places(shown), places(project(clusters, neighbours=10, progress=False)))


def test_labels_change_a_supervised_picture_only(noise):
    other = noise.assign_coords(label=("clip", np.roll(noise["label"].values, 3)))
    plain = [places(project(features, neighbours=10, cache=False)) for features in (noise, other)]
    np.testing.assert_array_equal(*plain)
    told = [places(project(features, neighbours=10, supervised=True)) for features in (noise, other)]
    assert np.abs(told[0] - told[1]).max() > 0.5 and np.abs(told[0] - plain[0]).max() > 0.5


@pytest.mark.parametrize("supervised", [False, True])
def test_clips_put_in_afterwards_do_not_change_the_picture(noise, supervised):
    """Neither their labels nor their features."""
    options = {"fit_on": [1, 2, 3, 5], "supervised": supervised, "neighbours": 10, "cache": False}
    first, inside = project(noise, **options), (noise["fold"] == 4).values
    assert first.attrs["fit_on"] == [1, 2, 3, 5]
    other = noise.copy()
    other["label"].values[inside] = "aaa"  # the first of the alphabet, so that every class gets another number
    np.testing.assert_array_equal(places(project(other, **options)), places(first))
    other[inside] = -noise[inside]
    moved = places(project(other, **options))
    np.testing.assert_array_equal(moved[~inside], places(first)[~inside])
    assert np.abs(moved[inside] - places(first)[inside]).max() > 0.1
    alone = project(noise[~inside], supervised=supervised, neighbours=10)
    np.testing.assert_array_equal(places(alone), places(first)[~inside])


def test_a_picture_told_the_labels_shows_what_is_not_there(noise):
    """Random features, random labels: classes stand apart in the picture, and new clips know nothing of it."""
    told = projection_quality(noise, supervised=True, neighbours=10)
    plain = projection_quality(noise, neighbours=10)
    assert told["seen"] > 0.65 and plain["seen"] < 0.4
    for quality in (told, plain):
        assert quality["chance"] == pytest.approx(0.2, abs=0.01)
        assert quality["agreement"] < 0.45 and quality["original"] < 0.45  # of 22 clips; 0.45 by chance: 1 %
    assert told["trustworthiness"] < plain["trustworthiness"]


def test_a_picture_of_what_is_there(clusters):
    for supervised in (False, True):
        quality = projection_quality(clusters, supervised=supervised, neighbours=10)
        assert quality[["seen", "agreement", "original"]].min() > 0.6


def test_supervised_by_group_draws_groups_together(noise):
    table = project(noise, supervised=True, by="group", neighbours=10)
    groups, labels = noise["group"].values, noise["label"].values
    assert alike_by_hand(places(table), groups) > 0.8
    assert alike_by_hand(places(table), labels) < 0.75  # two labels of a group lie together
    quality = projection_quality(noise, supervised=True, by="group", neighbours=10)
    assert quality["seen"] == pytest.approx(alike_by_hand(places(table), labels))


@pytest.mark.parametrize(("supervised", "held_out"), [(False, None), (False, 2), (True, 1)])
def test_quality_is_what_counting_gives(clusters, supervised, held_out):
    settings = {"supervised": supervised, "neighbours": 10, "seed": 3}
    quality = projection_quality(clusters, held_out=held_out, **settings)
    assert list(quality.index) == ["trustworthiness", "seen", "agreement", "original", "chance"]
    assert quality.name == "conv5"
    fold, labels, values = clusters["fold"].values, clusters["label"].values, clusters.values
    test = fold == (5 if held_out is None else held_out)
    whole = places(project(clusters, **settings))
    parted = places(project(clusters, fit_on=np.unique(fold[~test]).tolist(), **settings))
    assert quality["trustworthiness"] == trustworthiness(values, whole, n_neighbors=10, metric="cosine")
    assert quality["trustworthiness"] == pytest.approx(trusted_by_hand(values, whole, 10))
    assert quality["seen"] == pytest.approx(alike_by_hand(whole, labels))
    expected = alike_by_hand(parted[~test], labels[~test], parted[test], labels[test])
    assert quality["agreement"] == pytest.approx(expected)
    expected = alike_by_hand(values[~test], labels[~test], values[test], labels[test], "cosine")
    assert quality["original"] == pytest.approx(expected) and 0.5 < expected < 1


def trusted_by_hand(values, picture, k):
    """Venna and Kaski's formula, by the cosine in the layer and straight distances in the picture."""
    n, lost = len(values), 0
    original, drawn = distances(values, values, "cosine"), distances(picture, picture, "euclidean")
    for i in range(n):
        ranks = np.argsort([np.inf if j == i else original[i, j] for j in range(n)], kind="stable")
        near = np.argsort([np.inf if j == i else drawn[i, j] for j in range(n)], kind="stable")[:k]
        lost += sum(max(0, list(ranks).index(j) + 1 - k) for j in near)
    return 1 - 2 / (n * k * (2 * n - 3 * k - 1)) * lost


def test_chance_of_unbalanced_labels():
    """Clips of the fold held out: 6 axe, 3 dog, 1 sea; of the others: 20 axe, 10 dog, 10 rain."""
    label = ["axe"] * 20 + ["dog"] * 10 + ["rain"] * 10 + ["axe"] * 6 + ["dog"] * 3 + ["sea"]
    values = np.random.default_rng(4).normal(size=(50, 4))
    quality = projection_quality(layer(values, label, [1, 2] * 20 + [3] * 10), neighbours=8)
    assert quality["chance"] == pytest.approx((6 * 0.5 + 3 * 0.25 + 1 * 0.0) / 10)


def picture(xy, labels):
    return pd.DataFrame(xy, columns=["x", "y"]).assign(label=labels)


def test_agreement_of_each_class(rng):
    number = rng.integers(0, 5, 80)
    table = picture(np.stack([number, number], 1) + 1.2 * rng.normal(size=(80, 2)), NAMES[number])
    table.index = rng.permutation(80)
    found = neighbour_agreement(table)
    assert found.is_monotonic_decreasing and set(found.index) == set(NAMES) and found.index.name == "label"
    between = distances(places(table), places(table), "euclidean")
    np.fill_diagonal(between, np.inf)
    same = NAMES[number][between.argmin(axis=1)] == NAMES[number]
    for name in NAMES:
        assert found[name] == pytest.approx(same[NAMES[number] == name].mean())
    assert found.nunique() > 2


def test_a_clip_is_not_its_own_neighbour_where_points_coincide():
    pairs = picture(
        [[0, 0], [0, 0], [5, 5], [5, 5], [9, 0], [9, 0], [9, 0]], ["dog", "sea", "cow", "cow", *["axe"] * 3]
    )
    assert neighbour_agreement(pairs).to_dict() == {"axe": 1, "cow": 1, "dog": 0, "sea": 0}
    assert neighbour_agreement(picture([[0, 0], [0, 0], [1, 0]], ["dog", "dog", "sea"])).to_dict() == {
        "dog": 1,
        "sea": 0,
    }


def test_clips_that_are_the_same(clusters):
    """Every clip is there twice: each finds its twin, in the layer and in the picture."""
    twice = xr.concat([clusters[:50], clusters[:50]], "clip").assign_coords(clip=np.arange(100))
    twice["fold"].values[:] = np.arange(100) // 50 + 1
    quality = projection_quality(twice, neighbours=10)
    assert quality["original"] == 1 and quality["agreement"] == 1


@pytest.mark.parametrize("supervised", [False, True])
def test_umap_places_four_clips_and_no_fewer(clusters, supervised):
    for count in (1, 2, 3):
        with pytest.raises(MissingDataError, match=f"{count} clips: a picture needs at least 4"):
            project(clusters[:count], neighbours=2, supervised=supervised)
    for neighbours in (2, 3):
        assert np.isfinite(places(project(clusters[:4], neighbours=neighbours, supervised=supervised))).all()


@pytest.mark.parametrize("neighbours", [-1, 0, 1, 2.5, "15"])
def test_neighbours_are_a_whole_number_from_2_on(clusters, neighbours):
    with pytest.raises(ValueError, match=r"neighbours=.*expected a whole number from 2 on"):
        project(clusters, neighbours=neighbours)


def test_too_few_clips(clusters):
    with pytest.raises(MissingDataError, match="10 clips for 10 neighbours: more clips or fewer"):
        project(clusters[:10], neighbours=10)
    assert len(project(clusters[:11], neighbours=10)) == 11
    with pytest.raises(MissingDataError, match="20 clips for 20 neighbours"):
        project(clusters, neighbours=20, fit_on=[3])
    with pytest.raises(MissingDataError, match="20 clips: more than twice 10 neighbours"):
        projection_quality(clusters[:20], neighbours=10)
    assert projection_quality(clusters[:21], neighbours=10)["trustworthiness"] > 0


@pytest.mark.parametrize("call", [project, projection_quality])
def test_values_that_are_not_numbers(clusters, call):
    for value in (np.nan, -np.inf):
        broken = clusters.copy()
        broken[7, 2] = value
        with pytest.raises(MissingDataError, match="layer conv5 hold NaN or infinite"):
            call(broken)


def test_what_is_not_known_of_the_clips(clusters):
    with pytest.raises(UnknownLabelError, match="conv5 have no label along the clips to be supervised"):
        project(clusters.drop_vars("label"), supervised=True)
    with pytest.raises(UnknownLabelError, match="conv5 have no group"):
        project(clusters.drop_vars("group"), supervised=True, by="group")
    with pytest.raises(UnknownLabelError, match="conv5 have no fold"):
        project(clusters.drop_vars("fold"), fit_on=[1])
    for lacking in ("label", "fold"):
        with pytest.raises(UnknownLabelError, match="need label and fold"):
            projection_quality(clusters.drop_vars(lacking))
    with pytest.raises(UnknownLabelError, match="without labels"):
        neighbour_agreement(picture([[0, 0], [1, 1]], ["a", "b"]).drop(columns="label"))


def test_folds_that_are_not_there(clusters):
    with pytest.raises(MissingDataError, match=r"folds \[7\] have no clips; there are \[1, 2, 3, 4, 5\]"):
        project(clusters, fit_on=[1, 2, 7])
    with pytest.raises(MissingDataError, match=r"folds \[\] have no clips"):
        project(clusters, fit_on=[])
    with pytest.raises(
        MissingDataError, match=r"fold 6 cannot be held out: there are clips of folds \[1, 2, 3, 4, 5\]"
    ):
        projection_quality(clusters, held_out=6)
    with pytest.raises(MissingDataError, match=r"fold 2 cannot be held out: there are clips of folds \[2\]"):
        projection_quality(clusters[clusters["fold"].values == 2])
