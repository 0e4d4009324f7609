import unicodedata
from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest

from audiointerp.errors import MissingDataError, PatchShapeError, UnknownLabelError, WeightsError
from audiointerp.evaluation.metrics import accuracy, confusion
from audiointerp.evaluation.predictions import predict
from audiointerp.layers.features import layer_features
from audiointerp.layers.filters import feature_maps
from audiointerp.maps.deconvolution import deconvolve
from audiointerp.maps.methods import METHODS, explain
from audiointerp.networks.head import add_head, check_patches, frontend_of, label_index, labels_of, scaled
from audiointerp.sound.frontend import VGGISH, YAMNET, WaveformFrontEnd
from audiointerp.sound.patches import Patches
from audiointerp.training.fine_tuning import embed, fine_tune
from audiointerp.training.recipes import Recipe

LABELS = ["dog", "crying baby", "Türklingel"]


@pytest.fixture
def network(body, small):
    return add_head(body(), LABELS, small, seed=1)


def foreign(shape=(32, 16, 1)):
    """A network made without this package."""
    return keras.Sequential([keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(3, "softmax")])


def test_scores_are_the_softmax_of_a_dense_layer_on_the_embedding(network, rng):
    x = rng.normal(size=(5, 32, 16, 1)).astype(np.float32)
    embedding = keras.Model(network.input, network.get_layer("embedding").output).predict(x, verbose=0)
    kernel, bias = network.get_layer("FCFinal").get_weights()
    raised = np.exp(embedding.astype(np.float64) @ kernel + bias)
    expected = raised / raised.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(network.predict(x, verbose=0), expected, atol=1e-6)


def test_head_is_new_and_follows_its_seed(body, network, small):
    tiny = body()
    kernels = [add_head(tiny, LABELS, small, seed=s).get_layer("FCFinal").get_weights()[0] for s in (1, 1, 2)]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert not np.allclose(kernels[0], kernels[2])
    assert kernels[0].shape == (3, len(LABELS))


@pytest.mark.parametrize("labels", [[], ["dog"], ["dog", "cat", "dog"]])
def test_head_needs_two_different_labels(body, labels):
    with pytest.raises(UnknownLabelError, match="at least two class names"):
        add_head(body(), labels)


def test_labels_and_front_end_travel_with_the_network(network, small):
    assert labels_of(network) == LABELS
    assert frontend_of(network) == small
    clone = keras.models.clone_model(network)
    assert labels_of(clone) == LABELS and frontend_of(clone) == small


def test_networks_made_elsewhere_have_numbers_and_no_front_end():
    assert labels_of(foreign()) == ["0", "1", "2"]
    with pytest.raises(WeightsError, match="does not say which front end"):
        frontend_of(foreign())


def test_label_index(network):
    assert [label_index(network, label) for label in LABELS] == [0, 1, 2]
    with pytest.raises(UnknownLabelError, match=r"'cat'.*'tiny' knows dog, crying baby, Türklingel"):
        label_index(network, "cat")


def test_patches_that_fit_pass(body, network, toy):
    check_patches(network, toy(2))
    check_patches(foreign(), toy(2))
    check_patches(body((None, None, 1)), toy(2))


@pytest.mark.parametrize("shape", [(16, 32, 1), (32, 16, 3), (32, 16), (16_000, 1), (16_000,)])
def test_networks_whose_input_is_not_a_patch_are_refused(toy, shape):
    with pytest.raises(PatchShapeError, match=r"Expected \(frames, mels, 1\)"):
        check_patches(foreign(shape), toy(2))


def test_networks_with_two_inputs_are_refused(toy):
    two = [keras.Input((32, 16, 1)), keras.Input((32, 16, 1))]
    with pytest.raises(TypeError, match="has 2 inputs and 1 outputs"):
        check_patches(keras.Model(two, keras.layers.Add()(two)), toy(2))


def test_patches_of_another_front_end_are_refused(body):
    network = add_head(body((96, 64, 1)), LABELS, VGGISH)
    data, table = np.zeros((1, 96, 64), np.float32), pd.DataFrame({"clip": [0]})
    check_patches(network, Patches(data, table, VGGISH))
    for other in (YAMNET, replace(VGGISH, high=7_000.0)):
        with pytest.raises(PatchShapeError, match=r"make_patches\(clips, frontend_of\(network\)\)"):
            check_patches(network, Patches(data, table, other))


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


def two_outputs():
    inputs = keras.Input((8, 4, 1))
    return keras.Model(inputs, [keras.layers.Flatten()(inputs), inputs], name="two")


@pytest.mark.parametrize(
    ("made", "match"),
    [
        (lambda: "network.keras", r"found str where a Keras network is expected.*load_network"),
        (lambda: keras.layers.Dense(3), "found Dense where a Keras network"),
        (Subclassed, r"subclassed, or not built yet.*keras\.Input"),
        (lambda: keras.Sequential([keras.layers.Dense(3)]), "subclassed, or not built yet"),
        (two_outputs, r"'two' has 1 inputs and 2 outputs.*network\.outputs\[0\]"),
    ],
    ids=["path", "layer", "subclassed", "unbuilt", "two outputs"],
)
def test_what_is_no_network_of_known_layers_is_refused(made, match):
    with pytest.raises(TypeError, match=match):
        labels_of(made())


def test_scaled():
    assert [scaled(64, w) for w in (1, 0.5, 0.1, 0.001)] == [64, 32, 6, 1]
    for width in (0, -1, 1.5):
        with pytest.raises(ValueError, match="factor above 0"):
            scaled(64, width)


# Networks on waveforms

HEARD = WaveformFrontEnd(sample_rate=22_050, scale=64.0, shortest=9_000, longest=None, channel=None)


def test_front_end_of_a_network_on_waveforms_with_and_without_a_head(listener):
    for network in (listener(), listener(head=False)):
        assert frontend_of(network) == HEARD
        clone = keras.models.clone_model(network)
        assert frontend_of(clone) == HEARD and isinstance(frontend_of(clone), WaveformFrontEnd)
    assert labels_of(listener()) == LABELS
    assert labels_of(listener(head=False)) == ["0", "1", "2"]


def test_patches_are_refused_by_networks_on_waveforms(toy, listener):
    for network in (listener(), listener(head=False)):
        with pytest.raises(PatchShapeError, match="network 'listener' takes inputs of shape"):
            check_patches(network, toy(2))


@pytest.mark.parametrize("thing", ["path.keras", 3, lambda x: x], ids=["path", "number", "function"])
@pytest.mark.parametrize("use", [predict, explain, layer_features, feature_maps, deconvolve, fine_tune, embed])
def test_what_is_no_network_or_no_patches_is_one_error_before_the_cache(use, thing, network, toy, own_cache):
    patches = toy(4, LABELS[:2])
    more = {feature_maps: ("conv",), deconvolve: ("conv", 0), fine_tune: (patches,)}.get(use, ())
    with pytest.raises(TypeError, match=r"found \w+ where a Keras network is expected"):
        use(thing, patches, *more)
    with pytest.raises(TypeError, match=r"found ndarray where patches are expected.*make_patches"):
        use(network, patches.data, *more)
    assert list(own_cache.rglob("*.*")) == []


@pytest.mark.parametrize("method", METHODS)
def test_labels_that_are_no_names_are_an_error(method, network, toy):
    for labels in (1, 2.5, ["cat"], [None]):
        with pytest.raises(UnknownLabelError, match=r"label.*knows dog, crying baby, Türklingel|class names in a list"):
            explain(network, toy(2, LABELS[:2]), method, labels=labels, progress=False)


def test_a_name_in_another_unicode_form_is_the_same_class(network, body, small, toy):
    typed = unicodedata.normalize("NFD", "Türklingel")
    assert typed != LABELS[2] and label_index(network, typed) == 2
    assert labels_of(add_head(body(), ["dog", typed], small)) == ["dog", "Türklingel"]
    patches = toy(4, ("dog", typed))
    assert set(patches.label) == {"dog", "Türklingel"}
    for method in ("gradcam", "crm"):
        found = explain(network, patches, method, labels=[typed], progress=False)
        assert found["label"].values.tolist() == ["Türklingel"] and set(found["true"].values) == {"dog", "Türklingel"}


@pytest.mark.parametrize("numbers", [[0, 1], [0.0, 1.0], list(np.arange(2)), pd.Categorical([0, 1])])
def test_labels_that_are_numbers_are_learned_and_recognised(numbers, body, small, toy):
    patches = toy(20, ("zero", "one"))
    labels = pd.Series(numbers)[np.arange(20) % 2].reset_index(drop=True)
    numbered = Patches(patches.data, patches.table.assign(label=labels), small)
    network = add_head(body(), sorted(set(numbers)), small, seed=1)
    assert labels_of(network) == ["0", "1"] and set(numbered.label) == {"0", "1"}
    trained, _ = fine_tune(network, numbered, numbered, Recipe(epochs=1), progress=False)
    predictions = predict(trained, numbered, progress=False)
    right = np.argmax(trained.predict(numbered.data[..., None], verbose=0), axis=1) == np.arange(20) % 2
    assert accuracy(predictions)["right"] == right.sum()
    counts = confusion(predictions.assign(label=labels.to_numpy()))  # the numbers put back into the table
    assert (
        np.trace(counts.to_numpy()) == right.sum()
        and accuracy(predictions.assign(label=labels))["right"] == right.sum()
    )


def test_missing_labels_are_said(network, toy):
    patches = toy(4, ("dog", None))
    assert list(patches.label) == ["dog", None, "dog", None]
    with pytest.raises(UnknownLabelError):
        fine_tune(network, patches, patches, progress=False)
    predictions = predict(network, patches, progress=False)
    for use in (accuracy, confusion):
        with pytest.raises(MissingDataError, match=r"2 of 4 predictions have no label"):
            use(predictions)
