"""The genre networks: their shapes, their ends, and that they learn."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from audiointerp.evaluation.metrics import accuracy
from audiointerp.evaluation.predictions import predict
from audiointerp.maps import explain
from audiointerp.networks.genre import PEAK, WEIGHT, cam_cnn, interpretable_cnn, plain_cnn
from audiointerp.networks.head import frontend_of, labels_of
from audiointerp.networks.interpretable_filters import InterpretableFilters
from audiointerp.networks.saving import load_network, save_network
from audiointerp.sound.frontend import MUSIC
from audiointerp.training.augmentation import Augmentation
from audiointerp.training.fine_tuning import fine_tune
from audiointerp.training.recipes import Recipe

LABELS = ["high", "low"]
KINDS = {
    "plain": plain_cnn,
    "cam": cam_cnn,
    "interpretable": interpretable_cnn,
}


@pytest.mark.parametrize("kind", KINDS)
class TestAll:
    def test_takes_its_front_ends_patches(self, kind, small):
        for frontend in (MUSIC, small):
            network = KINDS[kind](LABELS, frontend=frontend, width=0.25)
            assert network.input_shape == (None, frontend.frames, frontend.mels, 1)
            assert network.output_shape == (None, 2)
            assert frontend_of(network) == frontend
            assert labels_of(network) == LABELS

    def test_seed_decides_the_weights(self, kind, small):
        one, two, other = (KINDS[kind](LABELS, frontend=small, seed=seed).get_weights() for seed in (1, 1, 2))
        assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
        assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))

    def test_width_scales_the_filters(self, kind, small):
        network = KINDS[kind](LABELS, frontend=small, width=0.5)
        assert network.get_layer("conv1").filters == 8
        assert network.get_layer("conv3").filters == 32

    def test_layers_of_one_network_start_differently(self, kind, small):
        network = KINDS[kind](LABELS, frontend=small)
        kernels = [layer.get_weights()[0] for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
        shared = [kernel[:, :, 0, 0].ravel() for kernel in kernels]
        assert np.abs(np.corrcoef(shared) - np.eye(len(shared))).max() < 0.95

    def test_learns_and_comes_back_from_a_file(self, kind, toy, small, tmp_path):
        network = KINDS[kind](LABELS, frontend=small, width=0.25)
        recipe = Recipe(epochs=6, batch_size=16, learning_rate=3e-3, drop_period=4)
        trained, _ = fine_tune(network, toy(64), toy(16), recipe, cache=False, progress=False)
        held_out = toy(16)
        predictions = predict(trained, held_out, cache=False)
        assert accuracy(predictions)["accuracy"] == 1
        again = load_network(save_network(trained, tmp_path / "network.keras"))
        np.testing.assert_allclose(predict(again, held_out, cache=False)[LABELS], predictions[LABELS], atol=1e-6)


def test_saved_network_is_loaded_where_nothing_else_was_imported(small, tmp_path):
    path = save_network(interpretable_cnn(LABELS, frontend=small, width=0.25), tmp_path / "network.keras")
    code = f"import audiointerp as ai; print(ai.labels_of(ai.load_network({str(path)!r})))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == str(LABELS)


def test_plain_network_has_three_blocks_and_no_average():
    kinds = [type(layer).__name__ for layer in plain_cnn(LABELS).layers]
    assert kinds.count("Conv2D") == kinds.count("MaxPooling2D") == 3
    assert "GlobalAveragePooling2D" not in kinds


@pytest.mark.parametrize("kind", ["cam", "interpretable"])
@pytest.mark.parametrize("method", ["cam", "crm", "gradcam"])
def test_ends_in_an_average_that_maps_read(kind, method, toy, small):
    network = KINDS[kind](LABELS, frontend=small, width=0.25)
    maps = explain(network, toy(3), method, cache=False)
    assert maps.shape == (3, 2, 32, 16)


def test_cam_adds_up_to_the_logits(toy, small):
    network = KINDS["interpretable"](LABELS, frontend=small, width=0.25)
    patches = toy(5)
    found = explain(network, patches, "cam", upsample=None, details=True, cache=False)
    logits = keras.Model(network.input, network.get_layer("FCFinal").output).predict(patches.data[..., None], verbose=0)
    np.testing.assert_allclose(found["map"].mean(("time", "frequency")) + found["bias"], logits, atol=1e-5)


def test_interpretable_twin_differs_in_one_layer_without_weights(small):
    plain, interpretable = (make(LABELS, frontend=small) for make in (cam_cnn, interpretable_cnn))
    assert all(np.array_equal(a, b) for a, b in zip(plain.get_weights(), interpretable.get_weights(), strict=True))
    own = [layer for layer in interpretable.layers if isinstance(layer, InterpretableFilters)]
    assert len(own) == 1
    assert (own[0].weight, own[0].tau, own[0].peak) == (WEIGHT, 1.0, PEAK)
    assert interpretable_cnn(LABELS, weight=0.5, frontend=small).get_layer("interpretable").weight == 0.5


def test_levels_of_the_bands_do_not_matter_once_learned(toy, small):
    """Batch norm by band: another level of each band leaves what a fresh network is trained on as it was."""
    network = cam_cnn(LABELS, frontend=small, width=0.25)
    data = toy(32).data[..., None]
    shifted = data * np.linspace(0.5, 2, small.mels)[:, None] + np.linspace(-3, 3, small.mels)[:, None]
    body = keras.Model(network.input, network.get_layer("bands").output)
    np.testing.assert_allclose(body(data, training=True), body(shifted, training=True), atol=2e-2)


def test_augmented_training_mixes_labels_and_learns(toy, small, monkeypatch):
    given = []
    original = keras.Model.train_on_batch

    def seen(self, x, y, *rest, **options):
        given.append(np.array(y))
        return original(self, x, y, *rest, **options)

    monkeypatch.setattr(keras.Model, "train_on_batch", seen)
    recipe = Recipe(epochs=6, batch_size=16, learning_rate=3e-3, drop_period=4)
    augmentation = Augmentation(crop=False, mixup=0.5)
    network = cam_cnn(LABELS, frontend=small, width=0.25)
    options = {"augmentation": augmentation, "cache": False, "progress": False}
    trained, _ = fine_tune(network, toy(64), toy(16), recipe, **options)
    assert all(y.shape == (16, 2) for y in given)
    assert any(((y > 0.05) & (y < 0.95)).any() for y in given)
    assert accuracy(predict(trained, toy(16), cache=False))["accuracy"] == 1


def test_augmentation_is_repeatable_and_part_of_the_cache_key(toy, small):
    train, validation = toy(32), toy(16)
    network = cam_cnn(LABELS, frontend=small, width=0.25)
    recipe = Recipe(epochs=2, batch_size=16)

    def weights(augmentation, **options):
        return fine_tune(network, train, validation, recipe, augmentation=augmentation, progress=False, **options)[0]

    one, two = (weights(Augmentation(crop=False), cache=False).get_weights() for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    kept = weights(Augmentation(crop=False)).get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(one, kept, strict=True))
    other = weights(Augmentation(crop=False, mixup=0)).get_weights()
    assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_head_alone_is_not_augmented(toy, small):
    network = cam_cnn(LABELS, frontend=small, width=0.25)
    with pytest.raises(ValueError, match="nothing to augment"):
        fine_tune(network, toy(8), toy(8), Recipe(trainable="head"), augmentation=Augmentation(crop=False))
