from dataclasses import replace
from functools import cache

import h5py
import keras
import numpy as np
import pytest

from audiointerp.errors import ChecksumError, MissingDataError, PatchShapeError, UnknownLabelError, WeightsError
from audiointerp.maps import explain
from audiointerp.networks import efficientnet as module
from audiointerp.networks.efficientnet import efficientnet_b0 as imagenet
from audiointerp.networks.graph import grid_of
from audiointerp.networks.head import frontend_of, labels_of
from audiointerp.networks.precision import as_precision
from audiointerp.networks.saving import load_network, save_network
from audiointerp.sound.frontend import MUSIC
from audiointerp.storage.remote import checksum

LABELS = ["high", "low", "middle"]
FRONTEND = replace(MUSIC, frames=64, mels=32)

# Repeats, filters, expansion and kernel of EfficientNet-B0's stages, as published (table 1 of the paper).
STAGES = [(1, 16, 1, 3), (2, 24, 6, 3), (2, 40, 6, 5), (3, 80, 6, 3), (3, 112, 6, 5), (4, 192, 6, 5), (1, 320, 6, 3)]


def layers():
    """(layer, {variable: shape}) of everything but the logits, in the order of the official file."""

    def norm(channels):
        return {name: (channels,) for name in ("gamma", "beta", "moving_mean", "moving_variance")}

    yield "input_1", {}
    yield "rescaling", {}
    yield "normalization", {"mean": (3,), "variance": (3,), "count": ()}
    yield "stem_conv", {"kernel": (3, 3, 3, 32)}
    yield "stem_bn", norm(32)
    before = 32
    for stage, (repeats, filters, expansion, size) in enumerate(STAGES, 1):
        for letter in "abcd"[:repeats]:
            block, wide, narrow = f"block{stage}{letter}", before * expansion, max(1, before // 4)
            if expansion > 1:
                yield f"{block}_expand_conv", {"kernel": (1, 1, before, wide)}
                yield f"{block}_expand_bn", norm(wide)
            yield f"{block}_dwconv", {"depthwise_kernel": (size, size, wide, 1)}
            yield f"{block}_bn", norm(wide)
            yield f"{block}_se_reduce", {"kernel": (1, 1, wide, narrow), "bias": (narrow,)}
            yield f"{block}_se_expand", {"kernel": (1, 1, narrow, wide), "bias": (wide,)}
            yield f"{block}_project_conv", {"kernel": (1, 1, wide, filters)}
            yield f"{block}_project_bn", norm(filters)
            before = filters
    yield "top_conv", {"kernel": (1, 1, before, 1280)}
    yield "top_bn", norm(1280)
    yield "top_activation", {}


def random_arrays(seed=8):
    rng = np.random.default_rng(seed)

    def numbers(name, shape):
        if "kernel" in name:
            return rng.normal(0, np.sqrt(2 / np.prod(shape[:2] if "depthwise" in name else shape[:-1])), shape)
        return rng.uniform(0.5, 1.5, shape) if name in ("gamma", "moving_variance") else rng.normal(0, 0.2, shape)

    arrays = {layer: {name: numbers(name, shape) for name, shape in own.items()} for layer, own in layers()}
    arrays["normalization"] = {"mean": np.array(module.MEAN), "variance": np.array([0.2, 0.3, 0.4]), "count": 0}
    return {layer: {name: np.asarray(x, np.float32) for name, x in own.items()} for layer, own in arrays.items()}


def write(path, arrays):
    """Legacy Keras HDF5: a group a layer, which lists the addresses of its arrays; the layers listed in order."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.encode() for layer in arrays]
        file.attrs["backend"], file.attrs["keras_version"] = b"tensorflow", b"2.4.0"
        for layer, own in arrays.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = [f"{layer}/{name}:0".encode() for name in own]
            for name, value in own.items():
                group[f"{layer}/{name}:0"] = value
    return path


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    arrays = random_arrays()
    return write(tmp_path_factory.mktemp("imagenet") / "efficientnetb0_notop.h5", arrays), arrays


@pytest.fixture(scope="module")
def network(official):
    return imagenet(LABELS, weights=official[0], frontend=FRONTEND)


@pytest.fixture(scope="module")
def random():
    return imagenet(LABELS, weights="random", seed=3, frontend=FRONTEND)


@pytest.fixture
def built_once(monkeypatch):
    """The body is not built again for each file that is refused: nothing is put into it."""
    monkeypatch.setattr(module, "_body", BODY)


BODY = cache(module._body)


def log_mel(rng, n=3):
    return rng.uniform(-4.6, 6, (n, 64, 32)).astype(np.float32)


def features(network, patches):
    embedding = keras.Model(network.inputs[0], network.get_layer("embedding").output)
    return embedding(patches[..., None], training=False).numpy()


def test_features_are_those_of_keras_own_network_with_the_same_file(network, official, rng, monkeypatch):
    """Keras divides by the root of the deviation twice, but only where it has downloaded the file itself."""
    asked = {}

    def get_file(name, url, **options):
        asked.update(options, name=name, url=url)
        return str(official[0])

    monkeypatch.setattr("keras.src.applications.efficientnet.file_utils.get_file", get_file)
    theirs = keras.applications.EfficientNetB0(include_top=False, input_shape=(64, 32, 3), pooling="avg")
    assert (asked["name"], asked["url"]) == (module.WEIGHTS.filename, module.WEIGHTS.urls[0])
    assert asked["file_hash"] == module.WEIGHTS.md5
    patches = log_mel(rng)
    silence = np.log(FRONTEND.log_offset)
    pixels = 255 * (patches - silence) / (5 - silence)
    expected = theirs(np.repeat(pixels[..., None], 3, axis=-1), training=False).numpy()
    assert expected.shape == (3, 1280) and expected.std(axis=0).mean() > 0.01
    np.testing.assert_allclose(features(network, patches), expected, atol=1e-4 * np.abs(expected).max())


def test_every_array_of_the_file_lands_in_its_layer(network, official):
    _, arrays = official
    seen = set()
    for layer in network.layers:
        if layer.weights and layer.name != "FCFinal":
            for value, expected in zip(layer.get_weights(), arrays[layer.name].values(), strict=True):
                np.testing.assert_array_equal(value, expected, err_msg=layer.name)
            seen.add(layer.name)
    assert seen == {name for name, own in arrays.items() if own} - {"normalization"}
    body = network.count_params() - (1280 + 1) * len(LABELS)
    assert body + 7 == 4_049_571  # of Keras' EfficientNetB0; its normalization has 7 of them


def test_picture_is_black_at_silence_and_white_at_five(network):
    silence = np.log(FRONTEND.log_offset)
    ramp = np.tile(np.linspace(silence, 5, 32, dtype=np.float32), (64, 1))[None, ..., None]
    pixels = keras.Model(network.input, network.get_layer("grey").output)(ramp).numpy()
    np.testing.assert_allclose(pixels[0, 0, :, 0], np.linspace(0, 255, 32), atol=1e-3)
    assert (pixels == pixels[..., :1]).all() and pixels.shape == (1, 64, 32, 3)
    random = BODY(FRONTEND, 0, module.MEAN, module.DEVIATION)
    normal = keras.Model(random.input, random.get_layer("colours").output)(ramp).numpy()
    np.testing.assert_allclose(normal[0, 0, 0], [-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225], rtol=1e-4)
    np.testing.assert_allclose(normal[0, 0, -1], [0.515 / 0.229, 0.544 / 0.224, 0.594 / 0.225], rtol=1e-4)


def test_batch_norm_stays_as_it_is_where_the_body_is_pretrained(network, random):
    norms = [
        [layer for layer in each.layers if isinstance(layer, keras.layers.BatchNormalization)]
        for each in (network, random)
    ]
    assert len(norms[0]) == 49 and not any(layer.trainable for layer in norms[0])
    assert all(layer.trainable and layer.momentum == 0.9 for layer in norms[1])
    assert network.get_layer("stem_conv").trainable and network.get_layer("FCFinal").trainable


def test_one_seed_gives_one_network(random):
    keras.utils.set_random_seed(1)
    again, other = (imagenet(LABELS, weights="random", seed=seed, frontend=FRONTEND) for seed in (3, 4))
    for one, two in zip(random.variables, again.variables, strict=True):  # what dropout draws from too
        np.testing.assert_array_equal(one.numpy(), two.numpy(), err_msg=one.path)
    kernels = [one for one in random.variables if one.path.endswith("kernel")]
    assert len(kernels) == 82
    others = [one for one in other.variables if one.path.endswith("kernel")]
    assert all((one.numpy() != two.numpy()).any() for one, two in zip(kernels, others, strict=True))


def test_network_says_its_labels_and_front_end_and_is_the_same_after_saving(network, rng, tmp_path):
    assert labels_of(network) == LABELS and frontend_of(network) == FRONTEND
    assert network.input_shape == (None, 64, 32, 1) and network.output_shape == (None, 3)
    loaded = load_network(save_network(network, tmp_path / "network.keras"))
    patches = log_mel(rng)
    np.testing.assert_array_equal(features(loaded, patches), features(network, patches))
    reduced = as_precision(network, "bfloat16")
    close = np.corrcoef(features(reduced, patches).ravel(), features(network, patches).ravel())[0, 1]
    assert close > 0.99


def test_maps_stand_on_the_last_feature_maps(network, toy):
    assert grid_of(network).name == "top_activation"
    patches = toy(2, labels=LABELS, frontend=FRONTEND)
    maps = explain(network, patches, "cam", upsample=None, details=True, cache=False)
    assert maps["map"].shape == (2, 3, 2, 1)
    whole = keras.Model(network.input, network.layers[-1].input)
    logits = whole(patches.data[..., None], training=False).numpy()
    found = maps["map"].mean(["time", "frequency"]) + maps["bias"]
    np.testing.assert_allclose(found, logits, atol=1e-4 * np.abs(logits).max())


def test_patches_and_labels_that_do_not_fit_are_errors(small):
    with pytest.raises(PatchShapeError, match=r"patches of 32 frames x 16 mel bands: .* at least 32 x 32"):
        imagenet(LABELS, weights="random", frontend=small)
    with pytest.raises(UnknownLabelError, match="at least two class names"):
        imagenet(["one"], weights="random", frontend=FRONTEND)


@pytest.mark.usefixtures("built_once")
@pytest.mark.parametrize(
    ("layer", "name"),
    [("normalization", "variance"), ("stem_conv", "kernel"), ("block4c_dwconv", "depthwise_kernel"),
     ("block6d_se_expand", "bias"), ("top_bn", "moving_variance")],
)  # fmt: skip
def test_a_missing_or_misshaped_array_is_named(official, tmp_path, layer, name):
    arrays = {key: dict(own) for key, own in official[1].items()}
    value = arrays[layer].pop(name)
    with pytest.raises(WeightsError, match=rf"a\.h5: array '{layer}/{name}:0' is missing, expected \("):
        imagenet(LABELS, weights=write(tmp_path / "a.h5", arrays), frontend=FRONTEND)
    arrays[layer][name] = value[..., None]
    with pytest.raises(WeightsError, match=rf"array '{layer}/{name}:0' has shape .*, expected .*notop.h5: get it"):
        imagenet(LABELS, weights=write(tmp_path / "b.h5", arrays), frontend=FRONTEND)


@pytest.mark.usefixtures("built_once")
def test_a_larger_network_of_the_family_is_refused(official, tmp_path):
    """EfficientNetB1 has every layer of B0, with the same shapes, and some more."""
    more = {"block1b_dwconv": official[1]["block1a_dwconv"], "block1b_bn": official[1]["block1a_bn"]}
    path = write(tmp_path / "b1.h5", official[1] | more)
    with pytest.raises(WeightsError, match="layer 'block1b_dwconv' and 1 more are not in the network"):
        imagenet(LABELS, weights=path, frontend=FRONTEND)


def test_what_is_not_such_a_file_is_an_error(official, tmp_path):
    (tmp_path / "text.h5").write_text("not HDF5")
    with h5py.File(tmp_path / "empty.h5", "w") as file:
        file["kernel"] = np.zeros(3)
    (tmp_path / "half.h5").write_bytes(official[0].read_bytes()[:100_000])
    for name, problem in (
        ("text.h5", "not an HDF5 file"),
        ("half.h5", "not an HDF5 file"),
        ("gone.h5", "not an HDF5 file .*No such file"),
        ("empty.h5", "not a legacy Keras HDF5 file .*layer_names"),
    ):
        with pytest.raises(WeightsError, match=rf"(?s){name}: {problem}.*Expected EfficientNetB0's"):
            imagenet(LABELS, weights=tmp_path / name, frontend=FRONTEND)


def test_official_weights_come_from_the_data_folder_or_the_internet(official, monkeypatch, tmp_path, server):
    path, arrays = official
    monkeypatch.setenv("AUDIOINTERP_DATA", str(tmp_path))
    server.pages["weights.h5"] = path.read_bytes()
    remote = replace(module.WEIGHTS, urls=(server.url("weights.h5"),), md5=checksum(path, "md5"))
    monkeypatch.setattr(module, "WEIGHTS", remote)
    monkeypatch.setattr(module, "_body", BODY)
    for _ in range(2):
        network = imagenet(LABELS, frontend=FRONTEND)
        kernel = network.get_layer("top_conv").get_weights()[0]
        np.testing.assert_array_equal(kernel, arrays["top_conv"]["kernel"])
    assert server.hits["weights.h5"] == 1 and (tmp_path / "weights" / "efficientnetb0_notop.h5").is_file()
    BODY.cache_clear()


def test_another_file_is_not_taken_for_the_official_one(monkeypatch, tmp_path, server):
    monkeypatch.setenv("AUDIOINTERP_DATA", str(tmp_path))
    server.pages["weights.h5"] = b"another file"
    monkeypatch.setattr(module, "WEIGHTS", replace(module.WEIGHTS, urls=(server.url("weights.h5"),)))
    with pytest.raises(ChecksumError, match="expected md5 50bc09e76180e00e4465e1a485ddc09d"):
        imagenet(LABELS)


def test_random_weights_are_never_put_in_the_place_of_missing_ones(monkeypatch, tmp_path):
    monkeypatch.setenv("AUDIOINTERP_DATA", str(tmp_path))
    monkeypatch.setattr(module, "WEIGHTS", replace(module.WEIGHTS, urls=("http://127.0.0.1:9/weights.h5",)))
    monkeypatch.setattr("audiointerp.storage.remote.time.sleep", lambda seconds: None)
    with pytest.raises(MissingDataError, match=r"(?s)ImageNet weights could not be downloaded.*weights='random'"):
        imagenet(LABELS)
