import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from audiointerp.evaluation.predictions import predict
from audiointerp.layers.features import layer_features
from audiointerp.layers.filters import feature_maps
from audiointerp.maps import explain
from audiointerp.maps.deconvolution import deconvolve
from audiointerp.maps.methods import METHODS
from audiointerp.networks import precision
from audiointerp.networks.genre import cam_cnn
from audiointerp.networks.head import add_head
from audiointerp.networks.precision import as_precision, gains_from_bfloat16
from audiointerp.networks.soundnet import soundnet
from audiointerp.networks.vggish import vggish
from audiointerp.networks.yamnet import yamnet
from audiointerp.sound.frontend import VGGISH, FrontEnd
from audiointerp.sound.patches import Patches
from audiointerp.training.fine_tuning import embed, fine_tune
from audiointerp.training.recipes import Recipe

LABELS = ["tone", "click", "hiss"]


def sounds(n, frontend, seed=0):
    """Patches of faint noise with tones (lines in time), clicks (lines in frequency) or hiss (a coarse surface)."""
    rng = np.random.default_rng(seed)
    kind = np.arange(n) % 3
    data = rng.normal(-3, 0.3, (n, 96, 64)).astype(np.float32)
    for patch, k in zip(data, kind, strict=True):
        if k == 0:
            patch[:, rng.integers(0, 64, 4)] += 3
        elif k == 1:
            patch[rng.integers(0, 96, 6)] += 3
        else:
            patch[rng.integers(0, 48) :][:48] += rng.exponential(1, (48, 64))
    table = pd.DataFrame({"clip": range(n), "start": 0.0, "label": np.array(LABELS)[kind]})
    return Patches(data, table, frontend)


def normalised(frontend):
    """Convolutions, some of them depthwise, with batch norm after each: YAMNet in small."""
    layers = keras.layers
    x = inputs = keras.Input((96, 64, 1))
    for number, (kind, options) in enumerate(
        [
            (layers.Conv2D, {"filters": 16}),
            (layers.DepthwiseConv2D, {}),
            (layers.Conv2D, {"filters": 32}),
            (layers.Conv2D, {"filters": 64}),
        ]
    ):
        x = kind(kernel_size=3, strides=2, padding="same", use_bias=False, name=f"layer{number}", **options)(x)
        x = layers.BatchNormalization(momentum=0)(x)
        x = layers.ReLU()(x)
    return add_head(keras.Model(inputs, layers.GlobalAveragePooling2D()(x)), LABELS, frontend)


@pytest.fixture(scope="module", params=["vggish", "normalised"])
def fitted(request):
    """A small network of random filters whose head was fitted to the sounds, and patches it has not seen."""
    keras.utils.set_random_seed(0)
    network = vggish(LABELS, weights="random", width=0.125) if request.param == "vggish" else normalised(VGGISH)
    patches, unseen = sounds(90, VGGISH), sounds(9, VGGISH, seed=1)
    network(patches.data, training=True)  # batch norm takes these patches' statistics
    head = network.get_layer("FCFinal")
    features = keras.Model(network.inputs[0], head.input)(patches.data, training=False).numpy()
    scale = features.std(axis=0) + 1e-3
    fit = LogisticRegression(max_iter=1000).fit(features / scale, [LABELS.index(label) for label in patches.label])
    head.set_weights([fit.coef_.T / scale[:, None], fit.intercept_])
    scores = network(unseen.data, training=False).numpy()
    assert (scores.argmax(axis=1) == np.arange(9) % 3).mean() > 0.7
    network.compile("adam", "sparse_categorical_crossentropy")
    return network, unseen


def logits(network, patches):
    """Each class against the first, before the softmax."""
    scores = np.log(network.predict(patches.data, verbose=0))
    return scores - scores[:, :1]


def test_same_predictions(fitted):
    network, patches = fitted
    reduced = as_precision(network, "bfloat16")
    assert reduced.predict(patches.data, verbose=0).dtype == np.float32
    one, two = logits(reduced, patches), logits(network, patches)
    np.testing.assert_array_equal(one.argmax(axis=1), two.argmax(axis=1))
    # Every layer with a kernel rounds its weights and its output to 8 bits.
    steps = sum(len(layer.weights) > 0 for layer in network.layers)
    np.testing.assert_allclose(one, two, atol=steps * 2**-8 * np.abs(two).max())


@pytest.mark.parametrize(("method", "options"), [("occlusion", {}), ("lime", {"samples": 150}), ("gradcam", {})])
def test_same_maps(fitted, method, options):
    network, patches = fitted
    labels = LABELS[:2]
    full, reduced = (
        explain(network, patches[:2], method, labels=labels, precision=p, cache=False, **options)
        for p in ("float32", "bfloat16")
    )
    # A map is a difference of two scores or a mean of such: it cannot be noisier than they are.
    scores = [as_precision(network, p).predict(patches.data, verbose=0) for p in ("float32", "bfloat16")]
    noise, signal = 2 * np.var(scores[1] - scores[0]), full.values.var()
    expected = 1 / np.sqrt(1 + noise / signal) if method != "gradcam" else 0.99
    assert np.corrcoef(full.values.ravel(), reduced.values.ravel())[0, 1] > min(expected, 0.99)
    assert expected > 0.8


def test_copy(fitted):
    network, _ = fitted
    weights = network.get_weights()
    copy = as_precision(network, "bfloat16")
    assert copy is not network
    assert not copy.compiled
    assert [layer.name for layer in copy.layers[1:]] == [layer.name for layer in network.layers[1:]]
    head = ("FCFinal", "scores")
    for layer in copy.layers[1:]:
        normalises = isinstance(layer, keras.layers.BatchNormalization)
        assert layer.compute_dtype == ("float32" if layer.name in head else "bfloat16")
        assert layer.variable_dtype == ("float32" if layer.name in head or normalises else "bfloat16")
    for new, old, then in zip(copy.variables, network.variables, weights, strict=True):
        np.testing.assert_array_equal(old, then)
        np.testing.assert_allclose(np.asarray(keras.ops.cast(new, "float32")), then, rtol=2**-8)
    assert {layer.compute_dtype for layer in network.layers} == {"float32"}


def test_copy_has_the_weights_of_now(fitted):
    network, patches = fitted
    changed = keras.models.clone_model(network)
    changed.set_weights(network.get_weights())
    before = as_precision(changed, "bfloat16").predict(patches.data, verbose=0)
    kernel, bias = changed.get_layer("FCFinal").get_weights()
    changed.get_layer("FCFinal").set_weights([kernel[:, ::-1], bias[::-1]])
    after = as_precision(changed, "bfloat16").predict(patches.data, verbose=0)
    np.testing.assert_allclose(after, before[:, ::-1], atol=1e-3)
    kept = as_precision(changed, "bfloat16")
    assert as_precision(changed, "bfloat16") is kept  # no copy without a change
    changed.get_layer("FCFinal").activation = keras.activations.tanh
    assert as_precision(changed, "bfloat16").get_layer("FCFinal").activation is keras.activations.tanh


def test_nested_networks():
    inner = vggish(["a", "b"], weights="random", width=0.02)
    outer = keras.Sequential([keras.Input((96, 64, 1)), inner, keras.layers.Dense(2, activation="softmax")])
    reduced = as_precision(outer, "bfloat16")
    data = np.random.default_rng(0).normal(size=(2, 96, 64, 1)).astype(np.float32)
    assert reduced.layers[1].get_layer("conv1").compute_dtype == "bfloat16"
    np.testing.assert_allclose(reduced.predict(data, verbose=0), outer.predict(data, verbose=0), atol=0.02)


def test_float32_is_the_network_itself(fitted):
    assert as_precision(fitted[0], "float32") is fitted[0]


def test_unknown_precision(fitted):
    with pytest.raises(ValueError, match=r"precision='half'.*'bfloat16'"):
        as_precision(fitted[0], "half")


@pytest.fixture
def timed(monkeypatch):
    """The clock's part: how much faster bfloat16 is on a machine named by the test, and how often that was asked."""
    asked = []

    def build(times, machine="a processor"):
        def seconds():
            asked.append(machine)
            return {"float32": 0.02 * times, "bfloat16": 0.02}

        monkeypatch.setattr(precision, "hardware", lambda: (machine, "timed at", times))
        monkeypatch.setattr(precision, "convolution_seconds", seconds)

    precision.measured.cache_clear()
    build.asked = asked
    yield build
    precision.measured.cache_clear()


@pytest.mark.parametrize(("times", "gains"), [(6.0, True), (1.6, True), (1.2, False), (1.0, False), (0.8, False)])
def test_auto_is_what_the_clock_says(times, gains, timed, fitted):
    timed(times)
    assert gains_from_bfloat16() is gains
    assert (as_precision(fitted[0], "auto") is fitted[0]) is not gains


def test_the_clock_is_asked_once_for_each_machine(timed):
    timed(6.0)
    assert gains_from_bfloat16() and gains_from_bfloat16()
    precision.measured.cache_clear()  # as in another process
    assert gains_from_bfloat16()
    timed(0.8, "another processor")
    assert not gains_from_bfloat16()
    assert timed.asked == ["a processor", "another processor"]


def test_machines_differ_by_what_changes_their_speed(monkeypatch):
    import tensorflow as tf

    here = precision.hardware()
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
    slower = precision.hardware()
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: ["gpu"])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: {"device_name": "any"})
    assert len({here, slower, precision.hardware()}) == 3
    assert precision.hardware() == precision.hardware()


def test_both_precisions_are_timed():
    seconds = precision.convolution_seconds()
    assert set(seconds) == {"float32", "bfloat16"}
    assert all(0 < each < 60 for each in seconds.values())


@pytest.fixture
def policy(request):
    """Keras' global policy or floatx, put back afterwards."""
    floatx, before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64" if request.param == "floatx" else floatx)
    keras.config.set_dtype_policy("float64" if request.param == "floatx" else request.param)
    yield request.param
    assert keras.config.floatx() == ("float64" if request.param == "floatx" else floatx)
    assert keras.config.dtype_policy().name == ("float64" if request.param == "floatx" else request.param)
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(before)


def pooled(weights=None):
    """A small network made as a user does it, in whatever policy is set."""
    layers = [keras.layers.Conv2D(6, 3, strides=2, name="conv"), keras.layers.BatchNormalization()]
    layers += [keras.layers.ReLU(), keras.layers.GlobalAveragePooling2D()]
    body = keras.Sequential([keras.Input((32, 16, 1)), *layers])
    network = add_head(body, ["high", "low"], FrontEnd(frames=32, mels=16), seed=5)
    network.set_weights(weights or network.get_weights())
    return network


def results(network, patches):
    """All that is asked of a network, as arrays by name."""
    quiet = {"progress": False}
    found = {"predict": predict(network, patches, **quiet)[["high", "low"]].to_numpy(np.float32)}
    found |= {"embed": embed(network, patches, **quiet), "maps": feature_maps(network, patches, "conv", **quiet).values}
    found |= {f"layer {name}": each.values for name, each in layer_features(network, patches, **quiet).items()}
    for method in METHODS:
        options = {"samples": 32} if method == "lime" else {}
        found[method] = explain(network, patches, method, precision="float32", **quiet, **options).values
    found["deconvolution"] = deconvolve(network, patches, "conv", 1, **quiet).values
    for recipe in (Recipe(trainable="head"), Recipe(epochs=2, batch_size=4, learning_rate=1e-3)):
        trained, history = fine_tune(network, patches, patches, recipe, **quiet)
        found[f"trained {recipe.trainable}"] = trained.predict(patches.data[..., None], verbose=0)
        found[f"loss {recipe.trainable}"] = history["batch_loss"].to_numpy(np.float32)
    return found


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float64", "floatx"], indirect=True)
def test_results_are_of_float32_whatever_policy_a_network_was_made_in(policy, toy):
    patches = toy(6)
    network = pooled()
    assert network.get_layer("conv").compute_dtype == policy.removeprefix("mixed_").replace("floatx", "float64")
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    plain = pooled([np.asarray(weight, np.float32) for weight in network.get_weights()])
    expected = results(plain, patches)
    np.testing.assert_allclose(expected["predict"], plain.predict(patches.data[..., None], verbose=0), atol=1e-6)
    keras.config.set_floatx("float64" if policy == "floatx" else "float32")
    keras.config.set_dtype_policy("float64" if policy == "floatx" else policy)
    for again in (False, True):  # the second time from the cache
        for name, found in results(network, patches).items():
            assert found.dtype == np.float32, name
            scale = np.abs(expected[name]).max()
            np.testing.assert_allclose(found, expected[name], atol=1e-4 * scale, err_msg=f"{name} {policy} {again}")
    assert network.get_layer("conv").compute_dtype != "float32"


@pytest.mark.parametrize("policy", ["mixed_float16", "floatx"], indirect=True)
@pytest.mark.parametrize("build", [vggish, yamnet, cam_cnn, soundnet], ids=lambda build: build.__name__)
def test_networks_are_built_in_float32_whatever_policy_is_set(policy, build):
    options = {} if build is cam_cnn else {"weights": "random"}
    network = build(labels=LABELS, width=1 / 16, **options)
    assert {layer.compute_dtype for layer in network.layers[1:]} == {"float32"}
    assert {variable.dtype for variable in network.trainable_variables} == {network.inputs[0].dtype} == {"float32"}
