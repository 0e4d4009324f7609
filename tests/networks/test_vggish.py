import hashlib
import os
from dataclasses import replace

import keras
import numpy as np
import pytest

from audiointerp.errors import ChecksumError, MissingDataError, WeightsError
from audiointerp.networks import vggish as module
from audiointerp.networks.head import frontend_of, labels_of
from audiointerp.networks.vggish import load_checkpoint, vggish
from audiointerp.sound.frontend import VGGISH

LABELS = ["dog", "rain", "sea"]

# The published checkpoint: (name, shape of its weights).
PUBLISHED = {
    "vggish/conv1": (3, 3, 1, 64),
    "vggish/conv2": (3, 3, 64, 128),
    "vggish/conv3/conv3_1": (3, 3, 128, 256),
    "vggish/conv3/conv3_2": (3, 3, 256, 256),
    "vggish/conv4/conv4_1": (3, 3, 256, 512),
    "vggish/conv4/conv4_2": (3, 3, 512, 512),
    "vggish/fc1/fc1_1": (12_288, 4_096),
    "vggish/fc1/fc1_2": (4_096, 4_096),
    "vggish/fc2": (4_096, 128),
}


def random_variables(rng, shapes):
    variables = {}
    for scope, shape in shapes.items():
        weights = rng.standard_normal(shape, dtype=np.float32)
        weights *= np.float32(np.sqrt(2 / np.prod(shape[:-1])))
        variables[f"{scope}/weights"] = weights
        variables[f"{scope}/biases"] = rng.uniform(-0.05, 0.05, shape[-1]).astype(np.float32)
    return variables


def write_v1(path, variables):
    """A checkpoint in TensorFlow's V1 format, one file, as the published one."""
    import tensorflow as tf
    from tensorflow.core.protobuf import saver_pb2

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        for name, value in variables.items():
            v1.get_variable(name, value.shape, use_resource=False).load(value, session)
        saver = v1.train.Saver(write_version=saver_pb2.SaverDef.V1)
        saver.save(session, str(path), write_meta_graph=False, write_state=False)
    return path


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def forward(x, variables, convolve, halve):
    """VGGish up to its embedding, in float64."""

    def get(scope):
        return (variables[f"{scope}/{part}"].astype(np.float64) for part in ("weights", "biases"))

    for scope in list(PUBLISHED)[:6]:
        weights, biases = get(scope)
        x = np.maximum(convolve(x, weights) + biases, 0)
        if scope.endswith(("conv1", "conv2", "conv3_2", "conv4_2")):
            x = halve(x)
    # height (time), then width (mel), then channel
    x = np.stack([[value for row in one for cell in row for value in cell] for one in x])
    for scope in list(PUBLISHED)[6:]:
        weights, biases = get(scope)
        x = np.maximum(x @ weights + biases, 0)
    return x


def embedding_of(network, x):
    return keras.Model(network.input, network.get_layer("FCFinal").input).predict(x, verbose=0)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A checkpoint of full size in the published layout, and what is in it."""
    variables = random_variables(np.random.default_rng(5), PUBLISHED)
    assert sum(value.size for value in variables.values()) == 72_141_184
    path = write_v1(tmp_path_factory.mktemp("vggish") / "vggish_model.ckpt", variables)
    yield path, variables
    path.unlink(missing_ok=True)


def test_checkpoint_gives_the_embedding_of_a_numpy_forward_pass(published, rng, convolve, halve):
    path, variables = published
    assert path.is_file() and path.stat().st_size > 288_000_000
    network = vggish(LABELS, weights=path, sha256=sha256(path))
    x = rng.normal(-1, 2, (2, 96, 64, 1)).astype(np.float32)
    expected = forward(x.astype(np.float64), variables, convolve, halve)
    assert 0.1 < (expected > 0).mean() < 0.9 and expected.std() > 0.1
    np.testing.assert_allclose(embedding_of(network, x), expected, atol=1e-4)


def test_one_flipped_byte_is_refused(published):
    path, _ = published
    own = sha256(path)
    with open(path, "r+b") as file:
        file.seek(path.stat().st_size // 3)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))
    with pytest.raises(ChecksumError, match="expected sha256"):
        load_checkpoint(vggish(LABELS, weights="random", width=0.05), path, sha256=own)


NARROW = 0.05


@pytest.fixture(scope="module")
def narrow():
    """A narrow network and a checkpoint's variables that fit it."""
    network = vggish(LABELS, weights="random", width=NARROW)
    shapes = {scope: network.get_layer(scope.split("/")[-1]).get_weights()[0].shape for scope in PUBLISHED}
    return network, random_variables(np.random.default_rng(6), shapes)


def test_every_variable_lands_in_its_layer_and_the_head_stays(narrow, tmp_path):
    network, variables = narrow
    head = network.get_layer("FCFinal").get_weights()
    load_checkpoint(network, write_v1(tmp_path / "a.ckpt", variables), sha256=None)
    for scope in PUBLISHED:
        weights, biases = network.get_layer(scope.split("/")[-1]).get_weights()
        np.testing.assert_array_equal(weights, variables[f"{scope}/weights"])
        np.testing.assert_array_equal(biases, variables[f"{scope}/biases"])
    for before, after in zip(head, network.get_layer("FCFinal").get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def refused(network, path, match, error=WeightsError, sha=None):
    before = network.get_weights()
    with pytest.raises(error, match=match):
        load_checkpoint(network, path, sha256=sha)
    for old, new in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("name", ["vggish/conv1/weights", "vggish/conv4/conv4_2/biases", "vggish/fc2/weights"])
def test_a_missing_variable_is_named(narrow, tmp_path, name):
    network, variables = narrow
    path = write_v1(tmp_path / "a.ckpt", {key: value for key, value in variables.items() if key != name})
    refused(network, path, f"a.ckpt: variable '{name}' is missing, expected")


def test_a_misshaped_variable_is_named(narrow, tmp_path):
    network, variables = narrow
    name = "vggish/conv3/conv3_1/weights"
    turned = variables[name].swapaxes(2, 3)
    path = write_v1(tmp_path / "a.ckpt", {**variables, name: turned})
    refused(network, path, rf"variable '{name}' has shape \({', '.join(map(str, turned.shape))}\), expected \(3, 3,")


def test_what_is_not_a_checkpoint_is_an_error(narrow, tmp_path):
    network, variables = narrow
    (tmp_path / "text.ckpt").write_text("This is not a checkpoint.\n" * 100)
    refused(network, tmp_path / "text.ckpt", r"text\.ckpt: not a TensorFlow checkpoint")
    (tmp_path / "empty.ckpt").touch()
    refused(network, tmp_path / "empty.ckpt", r"empty\.ckpt: not a TensorFlow checkpoint")
    path = write_v1(tmp_path / "half.ckpt", variables)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused(network, path, r"half\.ckpt: not a TensorFlow checkpoint")


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9])
def test_a_damaged_checkpoint_is_an_error_even_without_a_checksum(narrow, tmp_path, share):
    network, variables = narrow
    path = write_v1(tmp_path / "a.ckpt", variables)
    content = bytearray(path.read_bytes())
    content[int(len(content) * share)] ^= 255
    path.write_bytes(content)
    refused(network, path, r"a\.ckpt: not a TensorFlow checkpoint, or damaged")


@pytest.mark.parametrize("sha", ["0" * 64, None])
def test_a_checkpoint_that_is_not_there_is_an_error(narrow, tmp_path, sha):
    refused(
        narrow[0], tmp_path / "gone.ckpt", r"gone\.ckpt: not a TensorFlow checkpoint.*([Nn]o such|find any)", sha=sha
    )


def test_pretrained_weights_have_one_width(tmp_path):
    for weights in ("audioset", tmp_path / "a.ckpt"):
        with pytest.raises(WeightsError, match="width 1 only"):
            vggish(LABELS, weights=weights, width=0.5)


def test_random_weights_are_never_put_in_the_place_of_missing_ones(monkeypatch, tmp_path):
    monkeypatch.setenv("AUDIOINTERP_DATA", str(tmp_path))
    closed = replace(module.CHECKPOINT, urls=("http://127.0.0.1:9/vggish_model.ckpt",))
    monkeypatch.setattr(module, "CHECKPOINT", closed)
    monkeypatch.setattr("audiointerp.storage.remote.time.sleep", lambda seconds: None)
    monkeypatch.setattr(module, "_body", lambda frontend, width, seed: _small_body())
    assert not module.has_checkpoint()
    with pytest.raises(MissingDataError, match=r"(?s)VGGish checkpoint could not be downloaded.*weights='random'"):
        vggish(LABELS)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def _small_body():
    inputs = keras.Input((96, 64, 1))
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs), name="vggish")


def test_a_wrong_file_in_the_data_folder_is_not_used(monkeypatch, tmp_path):
    monkeypatch.setenv("AUDIOINTERP_DATA", str(tmp_path))
    path = tmp_path / "weights" / "vggish_model.ckpt"
    path.parent.mkdir()
    path.write_text("another")
    with pytest.raises(ChecksumError):
        load_checkpoint(_small_body(), path)


def test_shape_and_names():
    network = vggish(LABELS, weights="random", width=0.25)
    assert network.input_shape == (None, 96, 64, 1) and network.output_shape == (None, 3)
    assert labels_of(network) == LABELS and frontend_of(network) == VGGISH
    convolutions = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [layer.filters for layer in convolutions] == [16, 32, 64, 64, 128, 128]
    assert network.get_layer("conv4_2").output.shape[1:] == (12, 8, 128)
    assert network.get_layer("flatten").output.shape[1:] == (6 * 4 * 128,)
    assert [network.get_layer(name).units for name in ("fc1_1", "fc1_2", "fc2")] == [1024, 1024, 32]
    assert network.get_layer("EmbeddingBatch").output.shape[1:] == (32,)


def test_random_weights_follow_the_seed(small):
    one, same, other = (
        vggish(LABELS, weights="random", width=NARROW, seed=seed, frontend=small).get_weights() for seed in (3, 3, 4)
    )
    for a, b, c in zip(one, same, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not a.any() or not np.allclose(a, c)
    kernels = [weights for weights in one if weights.ndim > 1]
    assert len({kernel.ravel()[:3].tobytes() for kernel in kernels}) == len(kernels)
