"""Clips in two parts, in three, and in folds."""

import numpy as np
import pandas as pd
import pytest

from audiointerp import datasets
from audiointerp.datasets.splits import clip_folds, partition, patch_folds, shared_sources, split, with_folds
from audiointerp.errors import MissingDataError


def table(counts, per_source=1, **columns):
    """A clip table with so many clips per label, so many clips cut from each source."""
    labels = np.repeat(list(counts), list(counts.values()))
    number = np.concatenate([np.arange(count) for count in counts.values()]) // per_source
    source = [f"{label}.{one:05d}" for label, one in zip(labels, number, strict=True)]
    paths = [f"/sounds/{i}.wav" for i in range(len(labels))]
    return pd.DataFrame({"path": paths, "label": labels, "fold": 0, "source": source}).assign(**columns)


def sizes(parts):
    return [part["label"].value_counts().to_dict() for part in parts]


# Two parts


# 15 clips at 70 % give MATLAB's splitEachLabel 11, 38 at 80 % give it 30.
@pytest.mark.parametrize(("count", "fraction", "trained"), [(40, 0.8, 32), (38, 0.8, 30), (15, 0.7, 11), (3, 0.5, 2)])
def test_split_by_order_takes_the_first_of_each_label(count, fraction, trained):
    clips = table({"dog": count, "rain": 40}).sample(frac=1, random_state=1)
    train, validation = split(clips, "order", fraction=fraction)
    dogs = clips.index[clips["label"] == "dog"].tolist()
    assert train.index[train["label"] == "dog"].tolist() == dogs[:trained]
    assert validation.index[validation["label"] == "dog"].tolist() == dogs[trained:]


@pytest.mark.parametrize("by", ["order", "random", "source", "fold"])
def test_split_parts_clips_without_loss(by):
    clips = table({"dog": 10, "rain": 15}, fold=np.arange(25) % 5 + 1).assign(evidence="tone")
    train, validation = split(clips, by)
    pd.testing.assert_frame_equal(pd.concat([train, validation]).sort_index(), clips)
    assert train.index.is_monotonic_increasing
    assert validation.index.is_monotonic_increasing
    assert validation["label"].value_counts().to_dict() == {"dog": 2, "rain": 3}


@pytest.mark.parametrize("by", ["random", "source"])
def test_seed_decides_the_split(by):
    clips = table({"dog": 30, "rain": 30})
    first, again, other = (split(clips, by, seed=seed)[1].index.tolist() for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_split_by_fold():
    clips = table({"dog": 4, "rain": 4}, fold=[1, 2, 3, 1, 1, 2, 3, 3])
    train, validation = split(clips, "fold", fold=3)
    assert validation.index.tolist() == [2, 6, 7]
    assert set(train["fold"]) == {1, 2}


def test_split_by_source_keeps_sources_whole():
    rng = np.random.default_rng(5)
    sources = [f"d{i}" for i in rng.integers(0, 15, 40)] + [f"r{i}" for i in rng.integers(0, 4, 40)]
    clips = table({"dog": 40, "rain": 40}, source=sources)
    for seed in range(20):
        train, validation = split(clips, "source", seed=seed)
        assert not set(train["source"]) & set(validation["source"])
        largest = clips["source"].value_counts().groupby(lambda source: source[0]).max()
        for label in ("dog", "rain"):
            assert abs((train["label"] == label).sum() - 32) <= largest[label[0]] / 2


def test_split_by_source_when_one_source_dwarfs_the_others():
    clips = table({"dog": 40, "rain": 10}, source=["big"] * 35 + ["small"] * 5 + [f"r{i}" for i in range(10)])
    train, _ = split(clips, "source")
    assert (train["label"] == "dog").sum() == 35


def test_split_by_source_leaves_no_side_empty():
    clips = table({"dog": 40, "rain": 40}, source=["d1", "d2"] * 20 + ["r1"] * 38 + ["r2"] * 2)
    for fraction in (0.01, 0.8, 0.99):
        train, validation = split(clips, "source", fraction=fraction)
        assert (train["label"] == "dog").sum() == (validation["label"] == "dog").sum() == 20
        assert (train["label"] == "rain").sum() == (38 if fraction > 0.5 else 2)


def test_split_by_source_with_a_source_of_two_labels():
    sources = ["both", "d1", "d2", "d3", "d4", "both", "r1", "r2", "r3", "r4"]
    for seed in range(20):
        train, validation = split(table({"dog": 5, "rain": 5}, source=sources), "source", seed=seed)
        assert shared_sources(train, validation).empty
        assert train["label"].value_counts().to_dict() == {"dog": 4, "rain": 4}


def test_random_split_leaks_sources_and_says_which():
    clips = table({"dog": 20, "rain": 20}, source=[str(i // 4) for i in range(40)])
    train, validation = split(clips, "random")
    shared = shared_sources(train, validation)
    assert set(shared.index) == set(train["source"]) & set(validation["source"])
    assert (shared.sum(axis=1) == 4).all()
    assert shared["train"].tolist() == [(train["source"] == source).sum() for source in shared.index]


def test_nothing_shared_is_an_empty_table():
    shared = shared_sources(*split(table({"dog": 5, "rain": 5})))
    assert shared.empty
    assert list(shared.columns) == ["train", "validation"]


@pytest.mark.parametrize("fraction", [0, 1, -0.2, 80, float("nan")])
def test_fraction_out_of_range(fraction):
    with pytest.raises(ValueError, match="between 0 and 1"):
        split(table({"dog": 5, "rain": 5}), fraction=fraction)


def test_unknown_way_to_split():
    with pytest.raises(ValueError, match="'order', 'fold', 'source' or 'random'"):
        split(table({"dog": 5, "rain": 5}), "speaker")


def test_fold_that_does_not_exist():
    clips = table({"dog": 2, "rain": 2}, fold=[1, 2, 1, 2])
    with pytest.raises(MissingDataError, match=r"fold 5; the folds are \[1, 2\]"):
        split(clips, "fold")
    with pytest.raises(MissingDataError, match="unknown"):
        split(table({"dog": 2, "rain": 2}), "fold")


@pytest.mark.parametrize(
    ("clips", "by", "side"),
    [
        (table({"dog": 1, "rain": 9}), "order", "validation"),
        (table({"dog": 1, "rain": 9}), "random", "validation"),
        (table({"dog": 5, "rain": 5}, source=["1"] * 5 + list("23456")), "source", "(validation|training)"),
        (table({"dog": 2, "rain": 2}, fold=[1, 1, 1, 5]), "fold", "validation"),
        (table({"dog": 2, "rain": 2}, fold=[5, 5, 1, 5]), "fold", "training"),
    ],
)
def test_label_missing_on_one_side(clips, by, side):
    with pytest.raises(MissingDataError, match=f"no {side} clip of dog"):
        split(clips, by)


# Three parts


GENRES = {"jazz": 100, "rock": 100, "pop": 40}


@pytest.mark.parametrize("by", ["source", "random"])
@pytest.mark.parametrize(
    ("counts", "shares", "expected"),
    [
        (GENRES, (0.70, 0.15, 0.15), [(70, 15, 15), (70, 15, 15), (28, 6, 6)]),
        (GENRES, (0.5, 0.2, 0.3), [(50, 20, 30), (50, 20, 30), (20, 8, 12)]),
        ({"jazz": 10, "rock": 20}, (0.70, 0.15, 0.15), [(7, 2, 1), (14, 3, 3)]),
        ({"jazz": 3, "rock": 4}, (0.70, 0.15, 0.15), [(1, 1, 1), (2, 1, 1)]),
        ({"jazz": 7, "rock": 7}, (1 / 3, 1 / 3, 1 / 3), [(3, 2, 2), (3, 2, 2)]),
    ],
)
def test_shares_of_each_label(by, counts, shares, expected):
    got = sizes(partition(table(counts), by, shares=shares))
    assert [tuple(part[label] for part in got) for label in counts] == expected


@pytest.mark.parametrize("by", ["source", "random", "filtered"])
def test_nothing_is_lost_or_changed(by):
    clips = table({"jazz": 30, "rock": 30}, evidence="tone", filtered=["train", "valid", "test"] * 20)
    clips = clips.sample(frac=1, random_state=1)
    clips.index += 500
    parts = partition(clips, by)
    assert len(parts) == 3
    joined = pd.concat(parts)
    assert sorted(joined.index) == sorted(clips.index)
    pd.testing.assert_frame_equal(joined.loc[clips.index], clips)
    place = {number: i for i, number in enumerate(clips.index)}
    for part in parts:
        places = [place[number] for number in part.index]
        assert places == sorted(places)


def test_rows_with_one_index_are_told_apart():
    clips = table({"jazz": 20, "rock": 20}).set_index(pd.Index([0] * 40))
    parts = partition(clips)
    assert sorted(pd.concat(parts)["path"]) == sorted(clips["path"])


@pytest.mark.parametrize("seed", range(5))
def test_sources_stay_whole(seed):
    rng = np.random.default_rng(seed)
    clips = table({"jazz": 60, "rock": 80}).assign(source=lambda t: t["label"] + rng.integers(0, 15, 140).astype(str))
    train, validation, test = partition(clips, "source", seed=seed)
    for one, two in ((train, validation), (train, test), (validation, test)):
        assert shared_sources(one, two).empty
    largest = clips["source"].value_counts().max()
    for label, count in (("jazz", 60), ("rock", 80)):
        for part, share in ((train, 0.7), (validation, 0.15), (test, 0.15)):
            assert abs((part["label"] == label).sum() - share * count) <= largest


def test_random_leaks_sources_and_says_which():
    clips = table({"jazz": 60, "rock": 60}, per_source=6)
    train, validation, test = partition(clips, "random")
    for one, two in ((train, validation), (train, test), (validation, test)):
        assert set(shared_sources(one, two).index) == set(one["source"]) & set(two["source"])
        assert not shared_sources(one, two).empty


def test_random_is_within_labels_and_even():
    """Over many seeds each clip is tested about as often as any other."""
    clips = table({"jazz": 20, "rock": 20})
    tested = sum(clips.index.isin(partition(clips, "random", seed=seed)[2].index).astype(int) for seed in range(100))
    assert tested.sum() == 100 * 6
    assert abs(tested / 100 - 0.15).max() < 4 * np.sqrt(0.15 * 0.85 / 100)


@pytest.mark.parametrize("by", ["source", "random"])
def test_seed_decides(by):
    clips = table({"jazz": 40, "rock": 40})
    one, again, other = ([part.index.tolist() for part in partition(clips, by, seed=seed)] for seed in (3, 3, 4))
    assert one == again
    assert all(a != b for a, b in zip(one, other, strict=True))


def test_filtered_follows_the_column():
    column = ["train", "", "valid", "test", "train", "valid", "test", ""]
    clips = table({"jazz": 4, "rock": 4}, filtered=column)
    train, validation, test = partition(clips, "filtered")
    assert train.index.tolist() == [0, 4]
    assert validation.index.tolist() == [2, 5]
    assert test.index.tolist() == [3, 6]


@pytest.mark.parametrize("by", ["random", "filtered"])
def test_track_features_need_no_path(by):
    features = pd.DataFrame({"label": ["jazz", "rock"] * 10, "filtered": "train", "mfcc1_mean": 1.0})
    features.loc[[2, 3], "filtered"] = "valid"
    features.loc[[6, 7], "filtered"] = "test"
    train, _, test = partition(features, by)
    assert list(train.columns) == list(features.columns)
    assert set(test["label"]) == {"jazz", "rock"}


@pytest.mark.parametrize(
    "shares", [(0.7, 0.3), (0.7, 0.15, 0.15, 0.0), (0.8, 0.2, 0.0), (1.1, -0.2, 0.1), (70, 15, 15), (np.nan,) * 3, ()]
)
def test_shares_that_are_none(shares):
    with pytest.raises(ValueError, match="three shares above 0 that add up to 1"):
        partition(table(GENRES), shares=shares)


def test_unknown_way():
    with pytest.raises(ValueError, match="by='artist': expected 'source', 'random' or 'filtered'"):
        partition(table(GENRES), "artist")


@pytest.mark.parametrize(("by", "column"), [("source", "source"), ("random", "label"), ("filtered", "filtered")])
def test_column_that_is_not_there(by, column):
    clips = table(GENRES, filtered="train")
    with pytest.raises(MissingDataError, match=f"Partition by {by}: the columns {column} are missing"):
        partition(clips.drop(columns=column), by)
    with pytest.raises(MissingDataError, match="the table is empty"):
        partition(clips.iloc[:0], by)


@pytest.mark.parametrize(
    ("clips", "by", "fewest"),
    [
        (table({"jazz": 30, "rock": 2}), "source", "sources: rock, 2"),
        (table({"jazz": 30, "rock": 2}), "random", "clips: rock, 2"),
        (table({"jazz": 30, "rock": 60}, per_source=30), "source", "sources: jazz, 1"),
    ],
)
def test_label_that_would_be_missing(clips, by, fewest):
    with pytest.raises(MissingDataError, match=f"Partition by {by} in the shares .*Fewest {fewest}.*change the shares"):
        partition(clips, by)


def test_lists_that_leave_a_label_out():
    clips = table({"jazz": 3, "rock": 3}, filtered=["train", "valid", "test", "train", "train", "valid"])
    with pytest.raises(MissingDataError, match=r"no test clip of rock\. The lists need all 1,000 tracks.*by='source'"):
        partition(clips, "filtered")
    with pytest.raises(MissingDataError, match=r"no clip is in a list\. 'audiointerp download gtzan'"):
        partition(clips.assign(filtered=""), "filtered")
    with pytest.raises(MissingDataError, match="found 'validation'; expected"):
        partition(clips.assign(filtered=["train", "validation", "test"] * 2), "filtered")


@pytest.mark.realdata
def test_real_tracks_in_three_parts(real_data):
    clips = datasets.load("gtzan", download=False)
    parts = partition(clips)
    for part in parts:
        assert set(part["label"]) == set(clips["label"])
    assert shared_sources(parts[0], parts[2]).empty
    features = datasets.gtzan.load_gtzan_features()
    assert [len(part) for part in partition(features, "filtered")] == [443, 197, 290]
    assert [len(part) for part in partition(features, "random")] == [700, 150, 150]


# Folds


class TestWithFolds:
    def test_blocks_of_neighbours(self):
        found = with_folds(table({"a": 10, "b": 7}))
        assert found.query("label == 'a'")["fold"].tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
        assert found.query("label == 'b'")["fold"].tolist() == [1, 1, 2, 3, 3, 4, 5]

    def test_clips_of_a_source_stay_together(self):
        found = with_folds(table({"a": 20, "b": 20}, per_source=4))
        assert (found.groupby("source")["fold"].nunique() == 1).all()
        assert sorted(set(found["fold"])) == [1, 2, 3, 4, 5]

    def test_known_folds_are_kept(self):
        clips = table({"a": 5, "b": 5}).assign(fold=3)
        assert with_folds(clips) is clips

    def test_table_given_is_left_as_it_is(self):
        clips = table({"a": 5, "b": 5})
        with_folds(clips, count=2)
        assert (clips["fold"] == 0).all()

    def test_too_few_sources(self):
        with pytest.raises(MissingDataError, match="b: 4 clips from different sources, for 5 folds"):
            with_folds(table({"a": 9, "b": 4}))
        with pytest.raises(ValueError, match="count=1"):
            with_folds(table({"a": 9}), count=1)


class TestPatchFolds:
    def test_every_label_is_spread_evenly(self, toy):
        patches = toy(60, per_clip=3)
        counts = pd.crosstab(patches.label, patch_folds(patches.table))
        assert counts.columns.tolist() == [1, 2, 3, 4, 5]
        assert (counts == 6).all(axis=None)

    def test_clips_stand_on_both_sides(self, toy):
        patches = toy(60, per_clip=3)
        by_clip = pd.Series(patch_folds(patches.table)).groupby(patches.clip).nunique()
        assert (by_clip > 1).mean() > 0.7

    def test_seed(self, toy):
        patches = toy(60, per_clip=3)
        one, two, other = (patch_folds(patches.table, seed=seed) for seed in (3, 3, 4))
        assert (one == two).all() and (one != other).any()

    @pytest.mark.parametrize("count", [1, 61])
    def test_impossible_counts(self, toy, count):
        with pytest.raises(ValueError, match=f"count={count}"):
            patch_folds(toy(60).table, count=count)


class TestClipFolds:
    def test_clips_stand_on_one_side_and_labels_are_spread(self, toy):
        patches = toy(60, per_clip=3)
        folds = clip_folds(patches.table)
        assert (pd.Series(folds).groupby(patches.clip).nunique() == 1).all()
        assert (pd.crosstab(patches.label, folds) == 6).all(axis=None)
        assert not np.array_equal(folds, clip_folds(patches.table, seed=1))

    def test_clip_may_stand_in_the_index(self, toy):
        table = toy(60, per_clip=3).table
        assert (clip_folds(table.set_index(["clip", "start"])) == clip_folds(table)).all()

    def test_more_folds_than_clips(self, toy):
        with pytest.raises(ValueError, match="number of clips, 20"):
            clip_folds(toy(60, per_clip=3).table, count=21)


# Labels that would be missing, and folds by source


def test_a_label_of_one_source_is_left_out_if_one_says_so():
    clips = table({"cat": 3, "dog": 4, "rain": 4}, source=["a", "a", "a", *"bcde", *"fghi"])
    with pytest.raises(MissingDataError, match=r"no training clip of cat.*on_missing='skip' leaves such labels out"):
        split(clips, "source")
    with pytest.warns(UserWarning, match=r"no training clip of cat; left out, as on_missing='skip' says"):
        train, validation = split(clips, "source", on_missing="skip")
    expected = split(clips[clips["label"] != "cat"], "source")
    assert set(train["label"]) == set(validation["label"]) == {"dog", "rain"}
    assert len(train) + len(validation) == 8 and [len(part) for part in expected] == [len(train), len(validation)]
    with pytest.raises(ValueError, match="on_missing='drop'"):
        split(clips, "source", on_missing="drop")


def test_fewer_than_two_labels_left_is_an_error_all_the_same():
    clips = table({"cat": 3, "dog": 4}, source=["a", "a", "a", *"bcde"])
    with pytest.raises(MissingDataError, match=r"no training clip of cat(?!.*on_missing)"):
        split(clips, "source", on_missing="skip")


@pytest.mark.parametrize("seed", [0, 1])
def test_folds_by_source_keep_the_labels_in_proportion(seed):
    """Ten speakers, each of whom says all words, some more often than others."""
    speakers = [f"s{number}" for number in range(10)]
    rows = [(word, s) for s in speakers for word, times in (("one", 4), ("two", 2)) for _ in range(times)]
    clips = pd.DataFrame(rows, columns=["label", "source"]).assign(path="x", fold=0)
    found = with_folds(clips, by="source", seed=seed)
    assert (found.groupby("source")["fold"].nunique() == 1).all() and sorted(found["fold"].unique()) == [1, 2, 3, 4, 5]
    shares = pd.crosstab(found["fold"], found["label"], normalize="index")
    assert (shares["one"] - 2 / 3).abs().max() < 1e-9 and (found["fold"].value_counts() == 12).all()
    pd.testing.assert_frame_equal(found, with_folds(clips, by="source", seed=seed))


def test_folds_by_source_of_too_few_sources():
    clips = table({"dog": 4, "cat": 9}, source=list("abca") + list("defghijkl"))
    with pytest.raises(MissingDataError, match="dog: clips from 3 sources, for 5 folds"):
        with_folds(clips, by="source")
    assert with_folds(clips, by="source", count=3)["fold"].nunique() == 3
    with pytest.raises(ValueError, match="by='speaker'"):
        with_folds(clips, by="speaker")
