from dataclasses import replace

import numpy as np
import pytest

from audiointerp.networks.build import NETWORKS
from audiointerp.training.recipes import Recipe, default_augmentation, default_recipe, student_recipe


def test_default_recipes():
    assert default_recipe("vggish") == Recipe()
    assert default_recipe("vggish", "random").learning_rate == 1e-4
    assert default_recipe("vggish", "random", width=0.25).learning_rate == 1e-3
    assert default_recipe("yamnet").trainable == "head"
    assert default_recipe("yamnet", "random").trainable == "all"
    assert {default_recipe(name, weights, seed=7).seed for name in NETWORKS for weights in ("audioset", "random")} == {
        7
    }


def test_narrow_networks_see_small_batches():
    for name in ("vggish", "yamnet"):
        assert default_recipe(name, "random", width=0.5).batch_size == 32
        assert default_recipe(name, "random", width=0.51).batch_size == default_recipe(name, "random").batch_size == 128


def test_recipes_of_the_networks_for_music():
    assert default_recipe("plain_cnn", seed=3) == Recipe(epochs=10, batch_size=32, drop_period=4, seed=3)
    augmented = {default_recipe(network, seed=3) for network in ("cam_cnn", "interpretable_cnn")}
    assert len(augmented) == 1
    assert augmented.pop().epochs > default_recipe("plain_cnn").epochs
    assert default_augmentation("vggish") is None


def test_default_recipe_is_that_of_the_published_example():
    assert vars(Recipe()) == {
        **{"epochs": 5, "batch_size": 128, "learning_rate": 1e-3, "drop_factor": 0.5, "drop_period": 2},
        **{"validate_every": 50, "trainable": "all", "seed": 0},
    }


def test_recipe_of_a_student():
    assert (student_recipe().learning_rate, student_recipe().trainable, student_recipe().seed) == (1e-3, "all", 0)
    assert student_recipe(7) == replace(student_recipe(), seed=7)


@pytest.mark.parametrize(
    "wrong",
    [
        *(
            {name: value}
            for name in ("epochs", "batch_size", "drop_period", "validate_every")
            for value in (0, -1, 1.5)
        ),
        *({name: value} for name in ("learning_rate", "drop_factor") for value in (0, -1e-3, np.inf, np.nan)),
        {"trainable": "body"},
        {"seed": -1},
    ],
)
def test_a_recipe_that_cannot_be_followed_is_an_error(wrong):
    name = next(iter(wrong))
    with pytest.raises(ValueError, match=rf"{name}=.*expected"):
        Recipe(**wrong)


def test_numbers_of_numpy_are_numbers():
    assert Recipe(epochs=np.int64(3), learning_rate=np.float32(0.5), seed=np.int64(2)).epochs == 3
