import csv
from dataclasses import replace
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from audiointerp import datasets
from audiointerp.errors import MissingDataError, WeightsError
from audiointerp.networks import yamnet as module
from audiointerp.networks.head import frontend_of, labels_of
from audiointerp.networks.yamnet import load_weights, yamnet
from audiointerp.sound.frontend import YAMNET
from audiointerp.sound.patches import make_patches
from audiointerp.training.fine_tuning import fine_tune
from audiointerp.training.recipes import Recipe

LABELS = ["high", "low"]

# Filters and strides of MobileNet v1, as published.
FILTERS = [32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024]
STRIDES = [2, 1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1]


def layers(filters=FILTERS):
    """(address in the file, array's name, shape) of everything but the logits."""
    for number, (before, own) in enumerate(zip([1, *filters], filters, strict=False), 1):
        parts = [("conv", "kernel", (3, 3, before, own))]
        if number > 1:
            parts = [
                ("depthwise_conv", "depthwise_kernel", (3, 3, before, 1)),
                ("pointwise_conv", "kernel", (1, 1, before, own)),
            ]
        for part, name, shape in parts:
            yield f"layer{number}/{part}", name, shape
            channels = before if part == "depthwise_conv" else own
            for statistic in ("beta", "moving_mean", "moving_variance"):
                yield f"layer{number}/{part}/bn", statistic, (channels,)


def random_arrays(filters=FILTERS, seed=8):
    rng = np.random.default_rng(seed)
    arrays = {}
    for layer, name, shape in layers(filters):
        if "kernel" in name:
            inputs = 9 if "depthwise" in name else np.prod(shape[:-1])
            value = rng.normal(0, np.sqrt(2 / inputs), shape)
        else:
            value = rng.uniform(0.5, 1.5, shape) if name == "moving_variance" else rng.normal(0, 0.2, shape)
        arrays[f"{layer}/{layer}/{name}:0"] = value.astype(np.float32)
    return arrays


def write(path, arrays):
    """Legacy Keras HDF5, as the published yamnet.h5: a group a layer, its name inside it once more."""
    with h5py.File(path, "w") as file:
        for address, value in arrays.items():
            file[address] = value
        file["logits/logits/kernel:0"] = np.zeros((1024, 521), np.float32)
        file["logits/logits/bias:0"] = np.zeros(521, np.float32)
        file.attrs["backend"] = b"tensorflow"
    return path


def own_name(address):
    """Our layer's name: layer2/depthwise_conv/bn/layer2/… is layer2_depthwise_conv_bn."""
    group = address.split("/")[: address.split("/")[1:].index(address.split("/")[0]) + 1]
    return "_".join(group)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    arrays = random_arrays()
    return write(tmp_path_factory.mktemp("yamnet") / "yamnet.h5", arrays), arrays


NARROW = [max(1, round(filters / 16)) for filters in FILTERS]


@pytest.fixture
def narrow(small):
    return yamnet(LABELS, weights="random", width=1 / 16, frontend=replace(small, log_offset=0.001))


def test_every_array_of_the_file_lands_in_its_layer(whole, small):
    path, arrays = whole
    network = yamnet(LABELS, weights=path, frontend=small)
    seen = 0
    for address, value in arrays.items():
        layer = network.get_layer(own_name(address))
        names = [weight.name for weight in layer.weights]
        name = address.rsplit("/", 1)[-1].removesuffix(":0")
        position = names.index(name) if name in names else names.index("kernel")
        np.testing.assert_array_equal(layer.get_weights()[position], value, err_msg=address)
        seen += 1
    assert seen == 27 * 4 == sum(len(layer.weights) for layer in network.layers) - 2
    assert sum(value.size for value in arrays.values()) == 3_751_369 - 1024 * 521 - 521


def test_embedding_equals_a_numpy_forward_pass(narrow, tmp_path, rng, convolve, convolve_each):
    arrays = random_arrays(NARROW)
    load_weights(narrow, write(tmp_path / "narrow.h5", arrays))
    x = rng.normal(-1, 2, (3, 32, 16, 1)).astype(np.float32)

    def normalised(x, layer):
        beta, mean, variance = (
            arrays[f"{layer}/bn/{layer}/bn/{name}:0"].astype(np.float64)
            for name in ("beta", "moving_mean", "moving_variance")
        )
        return np.maximum((x - mean) / np.sqrt(variance + 1e-4) + beta, 0)

    expected = x.astype(np.float64)
    for number, stride in enumerate(STRIDES, 1):
        if number == 1:
            kernel = arrays["layer1/conv/layer1/conv/kernel:0"]
            expected = normalised(convolve(expected, kernel, stride), "layer1/conv")
            continue
        layer = f"layer{number}/depthwise_conv"
        kernel = arrays[f"{layer}/{layer}/depthwise_kernel:0"]
        expected = normalised(convolve_each(expected, kernel, stride), layer)
        layer = f"layer{number}/pointwise_conv"
        expected = normalised(convolve(expected, arrays[f"{layer}/{layer}/kernel:0"]), layer)
    expected = expected.mean(axis=(1, 2))
    embedding = keras.Model(narrow.input, narrow.get_layer("FCFinal").input).predict(x, verbose=0)
    assert expected.std() > 0.1
    np.testing.assert_allclose(embedding, expected, atol=1e-4)


def refused(network, path, match):
    before = network.get_weights()
    with pytest.raises(WeightsError, match=match):
        load_weights(network, path)
    for old, new in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(
    "address",
    [
        "layer1/conv/layer1/conv/kernel:0",
        "layer14/pointwise_conv/bn/layer14/pointwise_conv/bn/moving_variance:0",
        "layer7/depthwise_conv/layer7/depthwise_conv/depthwise_kernel:0",
    ],
)
def test_a_missing_or_misshaped_array_is_named(narrow, tmp_path, address):
    arrays = random_arrays(NARROW)
    value = arrays.pop(address)
    refused(narrow, write(tmp_path / "a.h5", arrays), f"array '{address}' is missing, expected")
    arrays[address] = value[..., None]
    refused(narrow, write(tmp_path / "b.h5", arrays), f"array '{address}' has shape .*, expected")


def test_what_is_not_hdf5_is_an_error(narrow, tmp_path):
    (tmp_path / "text.h5").write_text("not HDF5")
    refused(narrow, tmp_path / "text.h5", r"text\.h5: not an HDF5 file.*audiointerp download yamnet")
    refused(narrow, tmp_path / "gone.h5", r"gone\.h5: .*No such file")
    path = write(tmp_path / "half.h5", random_arrays(NARROW))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused(narrow, path, r"half\.h5: not an HDF5 file")


def test_pretrained_weights_have_one_width(whole):
    for weights in ("audioset", whole[0]):
        with pytest.raises(WeightsError, match="width 1 only"):
            yamnet(LABELS, weights=weights, width=0.5)


def test_random_weights_are_never_put_in_the_place_of_missing_ones(monkeypatch, tmp_path, small):
    monkeypatch.setenv("AUDIOINTERP_DATA", str(tmp_path))
    monkeypatch.setattr(module, "WEIGHTS", replace(module.WEIGHTS, urls=("http://127.0.0.1:9/yamnet.h5",)))
    monkeypatch.setattr("audiointerp.storage.remote.time.sleep", lambda seconds: None)
    with pytest.raises(MissingDataError, match=r"(?s)YAMNet weights could not be downloaded.*weights='random'"):
        yamnet(LABELS, frontend=small)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_weights_in_the_data_folder_are_used_and_another_build_is_said(monkeypatch, tmp_path, whole, small, capsys):
    monkeypatch.setenv("AUDIOINTERP_DATA", str(tmp_path))
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "yamnet.h5").write_bytes(whole[0].read_bytes())
    network = yamnet(LABELS, frontend=small)
    kernel = network.get_layer("layer1_conv").get_weights()[0]
    np.testing.assert_array_equal(kernel, whole[1]["layer1/conv/layer1/conv/kernel:0"])
    assert "yamnet.h5: found in the data folder, not the official build" in capsys.readouterr().out


def test_batch_norm_stays_in_inference_mode_when_the_body_is_fine_tuned(whole, toy):
    train = toy(12)
    network = yamnet(LABELS, weights=whole[0], frontend=train.frontend)
    recipe = Recipe(epochs=1, batch_size=4, learning_rate=1e-4)
    trained, _ = fine_tune(network, train, train, recipe, progress=False)
    for before, after in zip(network.layers, trained.layers, strict=True):
        if isinstance(before, keras.layers.BatchNormalization):
            assert not after.trainable and not after.trainable_variables
            for old, new in zip(before.get_weights(), after.get_weights(), strict=True):
                np.testing.assert_array_equal(old, new, err_msg=before.name)
        elif "conv" in before.name and before.weights:
            assert not np.array_equal(before.get_weights()[0], after.get_weights()[0]), before.name
    x = train.data[..., None]
    np.testing.assert_allclose(trained(x, training=True), trained(x, training=False), atol=1e-6)


def test_random_weights_learn_a_toy_problem_in_inference_mode_too(toy, small):
    train, validation = (toy(n, frontend=replace(small, frames=64, mels=32)) for n in (192, 32))
    network = yamnet(LABELS, weights="random", width=0.1, frontend=train.frontend)
    recipe = Recipe(epochs=6, batch_size=16, learning_rate=3e-3, drop_period=100)
    _, history = fine_tune(network, train, validation, recipe, cache=False, progress=False)
    assert history["validation_accuracy"].iloc[-1] > 0.9


def test_shape_names_and_seed():
    networks = [yamnet(LABELS, weights="random", width=0.25, seed=seed) for seed in (1, 1, 2)]
    assert networks[0].input_shape == (None, 96, 64, 1) and networks[0].output_shape == (None, 2)
    assert labels_of(networks[0]) == LABELS and frontend_of(networks[0]) == YAMNET
    assert networks[0].get_layer("layer14_pointwise_conv").output.shape[1:] == (3, 2, 256)
    assert networks[0].get_layer("embedding").output.shape[1:] == (256,)
    one, same, other = (network.get_weights() for network in networks)
    for a, b, c in zip(one, same, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert np.ptp(a) == 0 or not np.allclose(a, c)


@pytest.mark.realdata
def test_real_weights_hear_the_dogs_of_esc10(real_data):
    """Shows that weights, strides and front end fit: AudioSet's own classes come out."""
    clips = datasets.load("esc10")
    patches = make_patches(clips[clips["label"] == "dog"], YAMNET, overlap=0)
    network = yamnet(LABELS)
    features = keras.Model(network.input, network.get_layer("embedding").output).predict(
        patches.data[..., None], verbose=0
    )
    with h5py.File(Path(real_data, "weights", "yamnet.h5")) as file:
        kernel, bias = (file[f"logits/logits/{name}:0"][()] for name in ("kernel", "bias"))
    with open(Path(real_data, "weights", "yamnet_class_map.csv"), newline="", encoding="utf-8") as file:
        names = [row["display_name"] for row in csv.DictReader(file)]
    scores = features @ kernel + bias
    sounding = ~patches.silent
    tops = [
        names[scores[(patches.clip == clip) & sounding].max(axis=0).argmax()]
        for clip in np.unique(patches.clip[sounding])
    ]
    assert len(tops) == 40
    assert sum(top in {"Dog", "Bark", "Animal"} for top in tops) >= 32, tops
