import keras
import numpy as np
import pytest
import soundfile

from audiointerp.datasets import load
from audiointerp.errors import MissingDataError, WeightsError
from audiointerp.networks.build import build_network as build
from audiointerp.networks.head import frontend_of, labels_of
from audiointerp.sound.frontend import MUSIC, VGGISH, YAMNET
from audiointerp.sound.patches import make_patches
from audiointerp.training import study
from audiointerp.training.augmentation import Augmentation
from audiointerp.training.cross_validation import cross_validate
from audiointerp.training.recipes import Recipe, default_augmentation
from audiointerp.training.study import prepare

RECIPE = Recipe(epochs=3, batch_size=8, learning_rate=3e-3, validate_every=10)


@pytest.fixture
def sounds(tmp_path, rng):
    """Two classes that the ear tells apart at once, ten clips each, two a fold; one ends in silence."""
    t = np.arange(24_000) / 16_000
    for label, frequencies in (("flute", (900, 1_100)), ("drum", (180, 260))):
        (tmp_path / "sounds" / label).mkdir(parents=True)
        for number in range(10):
            tone = 0.5 * np.sin(2 * np.pi * rng.uniform(*frequencies) * t) + rng.normal(0, 0.01, len(t))
            if (label, number) == ("drum", 0):
                tone = np.concatenate([tone, np.zeros(32_000)])
            name = f"{number // 2 + 1}-{100 + number}-A.wav"
            soundfile.write(tmp_path / "sounds" / label / name, tone, 16_000)
    return tmp_path / "sounds"


def small_study(sounds, network="vggish", **options):
    options = {"weights": "random", "width": 0.05, "recipe": RECIPE, "progress": False, **options}
    return prepare(sounds, network, **options)


def test_from_a_folder_to_a_trained_network(sounds):
    result = small_study(sounds)
    assert len(result.clips) == 20 and labels_of(result.network) == ["drum", "flute"]
    assert result.network.name == "vggish" and result.network.get_layer("conv1").filters == 3
    for part, folds in ((result.train, {1, 2, 3, 4}), (result.validation, {5})):
        assert set(part.table["fold"]) == folds and part.frontend == VGGISH
        assert set(part.clip) == set(result.clips.index[result.clips["fold"].isin(folds)])
    assert len(result.validation) == 4 * 3  # 1.5 s give three patches
    assert result.history["validation_accuracy"].iloc[-1] > 0.9


def test_silent_patches_are_kept_but_not_trained_on(sounds, monkeypatch):
    given = {}
    original = study.fine_tune

    def noted(network, train, validation, *rest, **options):
        given.update(train=train, validation=validation)
        return original(network, train, validation, *rest, **options)

    monkeypatch.setattr(study, "fine_tune", noted)
    result = small_study(sounds)
    assert result.train.silent.sum() > 0
    assert len(given["train"]) == (~result.train.silent).sum() and not given["train"].silent.any()
    assert len(given["validation"]) == len(result.validation)


def test_the_second_time_comes_from_the_cache(sounds, monkeypatch):
    first = small_study(sounds)
    monkeypatch.setattr(keras.Model, "train_on_batch", None)
    monkeypatch.setattr("audiointerp.sound.patches.read_with_notes", None)
    second = small_study(sounds)
    np.testing.assert_array_equal(first.train.data, second.train.data)
    for one, two in zip(first.network.get_weights(), second.network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    with pytest.raises(TypeError):
        small_study(sounds, seed=1)


def test_yamnet_has_its_own_front_end(sounds, monkeypatch):
    monkeypatch.setattr(study, "fine_tune", lambda network, *_, **__: (network, None))
    result = small_study(sounds, "yamnet")
    assert result.network.name == "yamnet"
    assert result.train.frontend == frontend_of(result.network) == YAMNET


@pytest.mark.parametrize(("by", "fold", "n"), [("order", None, 4), ("fold", 2, 4), ("source", None, 4)])
def test_the_held_out_part_is_chosen_as_asked(sounds, monkeypatch, by, fold, n):
    monkeypatch.setattr(study, "fine_tune", lambda network, *_, **__: (network, None))
    result = small_study(sounds, by=by, fold=fold)
    held_out = result.clips.loc[sorted(set(result.validation.clip))]
    assert len(held_out) == n and set(held_out["label"]) == {"drum", "flute"}
    if by == "fold":
        assert set(held_out["fold"]) == {fold}
    assert not set(result.train.clip) & set(result.validation.clip)


def test_the_seed_reaches_the_weights_and_the_recipe(sounds, monkeypatch):
    recipes = []
    monkeypatch.setattr(
        study, "fine_tune", lambda network, train, validation, recipe, **_: recipes.append(recipe) or (network, None)
    )
    kernels = [
        small_study(sounds, seed=seed, recipe=None).network.get_layer("conv1").get_weights()[0] for seed in (4, 4, 5)
    ]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert not np.allclose(kernels[0], kernels[2])
    assert [recipe.seed for recipe in recipes] == [4, 4, 5]


def test_sounds_that_are_all_silent_are_an_error(tmp_path):
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for fold in (1, 5):
            soundfile.write(tmp_path / label / f"{fold}-10{fold}-A.wav", np.zeros(24_000), 16_000)
    with pytest.warns(UserWarning, match="silent"), pytest.raises(MissingDataError, match="no patches to train on"):
        small_study(tmp_path)


def test_errors_of_the_steps_come_through(sounds, tmp_path):
    with pytest.raises(ValueError, match="network='resnet': expected one of vggish, yamnet"):
        build("resnet", ["a", "b"])
    with pytest.raises(ValueError, match="resnet"):
        prepare(sounds, "resnet")
    with pytest.raises(MissingDataError, match="neither a folder nor a data set"):
        prepare(tmp_path / "gone")
    with pytest.raises(WeightsError, match="width 1 only"):
        prepare(sounds, "vggish", width=0.5)


@pytest.mark.parametrize("network", ["plain_cnn", "cam_cnn", "interpretable_cnn"])
def test_networks_for_music_learn_from_segments_that_do_not_overlap(sounds, network, monkeypatch):
    given = {}
    original = study.fine_tune

    def noted(network, train, validation, *rest, **options):
        given.update(options)
        return original(network, train, validation, *rest, **options)

    monkeypatch.setattr(study, "fine_tune", noted)
    recipe = Recipe(epochs=1, batch_size=8)
    result = prepare(sounds, network, width=0.1, recipe=recipe, progress=False)
    assert result.network.name == network
    assert result.train.frontend == MUSIC
    assert len(result.train) == 16 and (result.train.start == 0).all()  # one segment a clip
    assert given["augmentation"] == (None if network == "plain_cnn" else Augmentation())


def test_cross_validation_finds_the_fold_that_prepare_trained(sounds, monkeypatch):
    """Notebook 08 trains fold 5 in the open and all folds later: the fifth comes from the cache."""
    recipe = Recipe(epochs=1, batch_size=8)
    result = prepare(sounds, "cam_cnn", width=0.1, recipe=recipe, progress=False)
    steps = []
    original = keras.Model.train_on_batch
    monkeypatch.setattr(keras.Model, "train_on_batch", lambda *a, **o: steps.append(1) or original(*a, **o))
    segments = make_patches(result.clips, MUSIC, overlap=0)
    untrained = build("cam_cnn", ["drum", "flute"], width=0.1)
    options = {"only": [5], "augmentation": default_augmentation("cam_cnn"), "progress": False}
    found = cross_validate(untrained, segments, recipe, **options)
    assert not steps
    for one, two in zip(found.networks[5].get_weights(), result.network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_clip_table_instead_of_a_name(sounds):
    clips = load(sounds)
    by_table, by_name = (small_study(data, "plain_cnn", recipe=Recipe(epochs=1)) for data in (clips, sounds))
    assert by_table.clips is clips
    for one, two in zip(by_table.network.get_weights(), by_name.network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
