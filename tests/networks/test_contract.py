"""What every method gives for networks as people build them: what the direct formula gives, or an error that says why.

Each network comes with its two halves, layers called one after another: `head` from an input to the last feature maps,
`tail` from there to the logits. All that is expected here is computed from these, in plain Keras, TensorFlow and NumPy.
"""

import traceback
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from keras import layers, ops
from scipy import ndimage

import audiointerp as ai
from audiointerp.errors import AudioInterpError
from audiointerp.maps.deconvolution import deconvolve
from audiointerp.maps.rise import smooth_masks
from audiointerp.networks import add_head
from audiointerp.training import embed

SHAPE = (16, 12)
FRONTEND = ai.FrontEnd(frames=16, mels=12)
SAME = {"padding": "same"}


@dataclass
class Built:
    """A network and how to come to its logits without it."""

    network: keras.Model
    head: object = None
    tail: object = None
    dense: object = None  # the layer behind global average pooling
    conv: str = "last"
    pooled: object = None  # what the pool takes, where that is not the last feature maps
    twin: keras.Model = None  # the same in float32, if the network is of another policy
    first: tuple = ()  # the first convolution and what follows it, if it is not called so
    front: tuple = ()  # what stands before the first convolution
    shape: tuple = SHAPE
    tolerance: float = 1e-4  # of the largest value


@keras.saving.register_keras_serializable("contract")
class Doubled(layers.Layer):
    """A layer of one's own, known to Keras."""

    def __init__(self, factor=2.0, **options):
        super().__init__(**options)
        self.factor = factor

    def call(self, x):
        return self.factor * x

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


@keras.saving.register_keras_serializable("contract")
class Raised(layers.Layer):
    """A layer of one's own that does not tell its config."""

    def __init__(self, step, **options):
        super().__init__(**options)
        self.step = step

    def call(self, x):
        return x + self.step


def run(steps, x):
    for step in steps:
        x = step(x)
    return x


def linear(dense, x):
    return ops.cast(ops.matmul(x, ops.cast(dense.kernel, x.dtype)), x.dtype) + ops.cast(dense.bias, x.dtype)


def chain(front=(), end=None, *, units=3, between=None, pool=layers.GlobalAveragePooling2D, dtype=None, last=None):
    """A functional network: front, two convolutions, what comes between, a pool, dense layer and the end behind it."""
    end = (layers.Softmax(),) if end is None else end
    body = [*front, layers.Conv2D(4, 3, activation="relu", name="first", dtype=dtype, **SAME)]
    body += [layers.MaxPooling2D(2, dtype=dtype)]
    body += [last or layers.Conv2D(5, 3, activation="relu", name="last", dtype=dtype, **SAME)]
    middle = [*(between or []), pool(dtype=dtype)] if pool else list(between)
    dense = end[0] if isinstance(end[0], layers.Dense) else layers.Dense(units, dtype=dtype)
    end = end[1:] if isinstance(end[0], layers.Dense) else end
    inputs = keras.Input((*SHAPE, 1))
    network = keras.Model(inputs, run([*body, *middle, dense, *end], inputs), name="chain")
    found = Built(network, partial(run, body), lambda grid: linear(dense, run(middle, grid)))
    found.dense = dense if pool is layers.GlobalAveragePooling2D and not between else None
    found.front = tuple(front)
    return found


def lively(built):
    """The same with weights that make maps of every kind: none of the last filters or logits is zero."""
    rng = np.random.default_rng(7)
    for weight in built.network.weights:
        if weight.path.endswith(("kernel", "bias")):
            fan = np.prod(weight.shape[:2] if weight.shape[-1] == 1 else weight.shape[:-1])
            weight.assign(rng.normal(0, 0.2 if weight.path.endswith("bias") else 1.5 / np.sqrt(fan), weight.shape))
    return built


def sequential():
    network = keras.Sequential(
        [
            keras.Input((*SHAPE, 1)),
            layers.Conv2D(4, 3, activation="relu", name="first"),
            layers.Conv2D(5, 3, name="last"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(6, activation="relu"),
            layers.Dense(3, activation="softmax"),
        ]
    )
    body, dense = network.layers[:-1], network.layers[-1]
    return Built(network, partial(run, body[:4]), lambda grid: linear(dense, run(body[4:], grid)))


def nested(inside):
    """A Sequential in a functional network: convolutions alone, or the head too."""
    inner = [layers.Conv2D(5, 3, activation="relu", name="last"), layers.GlobalAveragePooling2D()]
    dense = layers.Dense(3, activation="softmax")
    inputs = keras.Input((*SHAPE, 1))
    block = keras.Sequential([keras.Input((*SHAPE, 1)), *inner, *([dense] if inside else [])], name="block")
    found = block(inputs) if inside else dense(block(inputs))
    network = keras.Model(inputs, found, name="nested")
    return Built(network, inner[0], lambda grid: linear(dense, inner[1](grid)))


def head_inside():
    """Convolutions of its own, and a nested functional network that holds the head."""
    given = keras.Input((5,))
    dense = layers.Dense(3, activation="softmax")
    hidden = layers.Dense(6, activation="relu")
    inner = keras.Model(given, dense(hidden(given)), name="inner")
    built = chain(end=(layers.Dense(5, name="unused"),))
    pooled = built.network.layers[-2].output
    network = keras.Model(built.network.inputs, inner(pooled), name="outer")
    pool = built.network.layers[-2]
    return Built(network, built.head, lambda grid: linear(dense, hidden(pool(grid))))


def residual():
    """One ReLU for the whole network."""
    relu = layers.ReLU()
    first, second = layers.Conv2D(4, 3, name="first", **SAME), layers.Conv2D(4, 3, name="last", **SAME)
    pool, dense = layers.GlobalAveragePooling2D(), layers.Dense(3, activation="softmax")

    def head(x):
        return relu(second(relu(first(x))))

    inputs = keras.Input((*SHAPE, 1))
    before = relu(first(inputs))
    after = relu(second(before))
    network = keras.Model(inputs, dense(pool(relu(layers.Add()([before, after])))), name="residual")
    # The way around the last convolution takes part in the logits, and is no part of its map.
    found = Built(network, lambda x: (head(x), relu(first(x))))
    found.dense, found.pooled = dense, lambda grid: relu(grid[0] + grid[1])
    found.tail = lambda grid: linear(dense, pool(found.pooled(grid)))
    return found


def adapted():
    layer = layers.Normalization(axis=None)
    layer.adapt(np.random.default_rng(3).normal(-3, 2, (20, *SHAPE, 1)).astype(np.float32))
    return chain([layer])


def recurrent():
    between = [layers.Reshape((8, 30)), layers.GRU(4)]
    return chain(between=between, pool=None)


def mobilenet():
    network = keras.applications.MobileNet((64, 64, 1), alpha=0.25, weights=None, classes=3, dropout=0.0)
    number = [layer.name for layer in network.layers].index("conv_pw_13_relu") + 1
    built = Built(network, partial(run, network.layers[1:number]), conv="conv_pw_13", shape=(64, 64))
    built.tail, built.first = partial(run, network.layers[number:-1]), ("conv1", "conv1_bn", "conv1_relu")
    return built


def one_dimension():
    steps = [
        layers.Reshape(SHAPE),
        layers.Conv1D(5, 3, activation="relu", name="last"),
        layers.GlobalAveragePooling1D(),
    ]
    dense, inputs = layers.Dense(3, activation="softmax"), keras.Input((*SHAPE, 1))
    network = keras.Model(inputs, dense(run(steps, inputs)), name="one_dimension")
    return Built(network, partial(run, steps[:2]), lambda grid: linear(dense, steps[2](grid)))


def of_shape(shape):
    inputs = keras.Input(shape)
    x = layers.Reshape((*shape[:2], -1))(inputs)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(3, 3, name="last")(x))
    return Built(keras.Model(inputs, layers.Dense(3, activation="softmax")(x), name="shaped"))


def two_outputs():
    inputs = keras.Input((*SHAPE, 1))
    conv = layers.Conv2D(3, 3, name="last")
    x = layers.GlobalAveragePooling2D()(conv(inputs))
    outputs = [layers.Dense(3, activation="softmax", name=name)(x) for name in "ab"]
    return Built(keras.Model(inputs, outputs, name="two"), conv)


def with_head():
    built = chain()
    body = keras.Model(built.network.inputs, built.network.layers[-3].output, name="body")
    network = add_head(body, ["0", "1", "2"], FRONTEND, seed=1)
    pool, dense = body.layers[-1], network.get_layer("FCFinal")
    return Built(network, built.head, lambda grid: linear(dense, pool(grid)), dense)


class Subclassed(keras.Model):
    """A network whose layers only its own code knows."""

    def __init__(self):
        super().__init__(name="subclassed")
        self.layer = layers.Dense(3)

    def call(self, x):
        return self.layer(ops.mean(x, axis=(1, 2)))


NETWORKS = {
    "sequential": sequential,
    "nested convolutions": lambda: nested(False),
    "all nested": lambda: nested(True),
    "nested head": head_inside,
    "residual, one ReLU": residual,
    "adapted Normalization": adapted,
    "Rescaling": lambda: chain([layers.Rescaling(0.25, offset=0.5)]),
    "GRU": recurrent,
    "MobileNet": mobilenet,
    "activation='softmax'": lambda: chain(end=(layers.Dense(3, activation="softmax"),)),
    "Activation layer": lambda: chain(end=(layers.Activation("softmax"),)),
    "Softmax layer": chain,
    "keras.ops.softmax": lambda: chain(end=(lambda x: ops.softmax(x),)),
    "Lambda of tf.nn.softmax": lambda: chain(end=(layers.Lambda(lambda x: tf.nn.softmax(x)),)),
    "logits": lambda: chain(end=(layers.Activation("linear"),)),
    "one sigmoid": lambda: chain(end=(layers.Dense(1, activation="sigmoid"),)),
    "dropout, cast, reshape": lambda: chain(
        end=(
            layers.Softmax(),
            layers.Dropout(0.2),
            lambda x: ops.cast(x, "float32"),
            layers.Reshape((3,)),
        )
    ),
    "mixed_bfloat16": lambda: chain(dtype="mixed_bfloat16"),
    "mixed_float16": lambda: chain(dtype="mixed_float16"),
    "float64": lambda: chain(dtype="float64"),
    "own layer": lambda: chain([Doubled(0.5)]),
    "own layer without config": lambda: chain([Raised(np.float32(0.5))]),
    "channel by channel": lambda: chain(last=layers.DepthwiseConv2D(3, activation="relu", name="last")),
    "separable": lambda: chain(last=layers.SeparableConv2D(5, 3, activation="relu", name="last")),
    "one dimension": one_dimension,
    "head of ours": with_head,
    "three channels": lambda: of_shape((*SHAPE, 3)),
    "no channel axis": lambda: of_shape(SHAPE),
    "two outputs": two_outputs,
    "subclassed": lambda: Built(Subclassed()),
    "not built": lambda: Built(keras.Sequential([layers.Conv2D(3, 3), layers.GlobalAveragePooling2D()])),
}


@lru_cache(maxsize=1)
def built(name):
    keras.utils.set_random_seed(1)
    found = NETWORKS[name]()
    if found.network.weights:
        lively(found)
    if name in ("mixed_bfloat16", "mixed_float16", "float64"):  # results are float32's whatever the policy
        twin = lively(chain())
        found.head, found.tail, found.dense, found.twin = twin.head, twin.tail, twin.dense, twin.network
    return found


def patches_for(shape, n=3):
    data = np.random.default_rng(5).normal(-2, 2, (n, *shape)).astype(np.float32)
    table = {"clip": np.arange(n) // 2, "start": 0.0, "label": [str(i % 2) for i in range(n)], "silent": False}
    return ai.Patches(data, pd.DataFrame(table), ai.FrontEnd(frames=shape[0], mels=shape[1]))


# The direct formulas


def both(logits):
    """One unit tells two classes."""
    logits = tf.cast(logits, tf.float32)
    return tf.concat([-logits, logits], axis=-1) if logits.shape[-1] == 1 else logits


def logits_of(this, data):
    return both(this.tail(this.head(tf.constant(data[..., None])))).numpy()


def probabilities(this, data):
    logits = logits_of(this, data).astype(np.float64)
    if this.network.output_shape[-1] == 1:
        return 1 / (1 + np.exp(-logits))
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def slopes(this, data):
    """Last feature maps, and the gradient of each logit there [class, n, time, frequency, filter]."""
    with tf.GradientTape(persistent=True) as tape:
        x = tf.constant(data[..., None])
        tape.watch(x)
        grid = this.head(x)
        watched = grid[0] if isinstance(grid, tuple) else grid
        tape.watch(watched)
        logits = both(this.tail(grid))
        scores = tf.unstack(logits, axis=1)
    found = [tape.gradient(score, watched) for score in scores]
    inputs = [tape.gradient(score, x) for score in scores]
    kinds = [watched], found, inputs
    return tuple(np.stack([tf.cast(each, tf.float32).numpy() for each in kind]) for kind in kinds)


def gradcam(this, data):
    (grid,), found, _ = slopes(this, data)
    return np.maximum(np.einsum("ntmf,cnf->nctm", grid, found.mean(axis=(2, 3))), 0)


def gradcam_plus_plus(this, data):
    (grid,), g, _ = slopes(this, data)
    below = 2 * g**2 + g**3 * grid.sum(axis=(1, 2), keepdims=True)
    alpha = np.divide(g**2, below, out=np.zeros_like(g), where=g != 0)
    total = alpha.sum(axis=(2, 3), keepdims=True)
    alpha = alpha / np.where(total == 0, 1, total)
    return np.maximum(np.einsum("ntmf,cnf->nctm", grid, (np.maximum(g, 0) * alpha).sum(axis=(2, 3))), 0)


def saliency(this, data):
    return np.abs(slopes(this, data)[2][..., 0]).swapaxes(0, 1)


def scorecam(this, data):
    (grid,), _, _ = slopes(this, data)
    maps = []
    for patch, activation in zip(data, grid, strict=True):
        factors = np.array(patch.shape) / activation.shape[:2]
        masks = [ndimage.zoom(each, factors, order=1, mode="nearest") for each in np.moveaxis(activation, -1, 0)]
        masks = np.stack([(mask - mask.min()) / (np.ptp(mask) + 1e-7) for mask in masks])
        logits = logits_of(this, (patch * masks).astype(np.float32))
        weights = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        maps.append(np.maximum(np.einsum("tmf,fc->ctm", activation, weights), 0))
    return np.stack(maps)


def occlusion(this, data):
    """Masks of 6 × 5 cells in steps of 5 × 4, their centres from border to border; of 24 × 20 in larger patches."""
    times = data.shape[1] // 16
    whole, rows = probabilities(this, data), []
    for row in (-3, 2, 7, 12) if times == 1 else (-20, 0, 20, 40, 60):
        columns = []
        for column in (-2, 2, 6, 10) if times == 1 else (-10, 6, 22, 38, 54):
            hidden = data.copy()
            part = np.s_[:, max(0, row) : row + 6 * times, max(0, column) : column + 5 * times]
            hidden[part] = data.mean(axis=(1, 2), keepdims=True)
            columns.append(whole - probabilities(this, hidden))
        rows.append(np.stack(columns, axis=-1))
    return np.stack(rows, axis=-2)


def integrated_gradients(this, data):
    even, total = data.mean(axis=(1, 2), keepdims=True), 0
    for step in range(3):
        total = total + slopes(this, even + (step + 0.5) / 3 * (data - even))[2][..., 0].swapaxes(0, 1)
    return total / 3 * (data - even)[:, None]


def rise(this, data):
    masks, even = smooth_masks(12, data.shape[1:], (4, 4), 0.5, 0), data.mean(axis=(1, 2), keepdims=True)
    scores = np.stack([probabilities(this, data * mask + even * (1 - mask)) for mask in masks], axis=-1)
    kept, away = (np.einsum("ncs,sfm->ncfm", scores, each) / each.sum(axis=0) for each in (masks, 1 - masks))
    return kept - away


def cam(this, data):
    grid = this.head(tf.constant(data[..., None]))
    grid = tf.cast(this.pooled(grid) if this.pooled else grid, tf.float32).numpy()
    kernel = np.asarray(this.dense.kernel, np.float32)
    kernel = np.concatenate([-kernel, kernel], axis=1) if kernel.shape[1] == 1 else kernel
    return np.einsum("ntmf,fc->nctm", grid, kernel)


def crm(this, data):
    maps = cam(this, data)
    return (maps / maps[0, 0].size) ** 2


# What the package gives

QUIET = {"cache": False, "progress": False}
FORMULAS = {
    "gradcam": gradcam,
    "gradcam_keras_vis": gradcam,
    "gradcam++": gradcam_plus_plus,
    "scorecam": scorecam,
    "saliency": saliency,
    "integrated_gradients": integrated_gradients,
    "rise": rise,
    "occlusion": occlusion,
    "cam": cam,
    "crm": crm,
}
PRECISE = ("scorecam", "occlusion", "lime", "rise")


def close(found, expected, tolerance, slack=0.0):
    assert found.shape == expected.shape
    assert found.dtype == np.float32 or found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max() + slack)
    assert np.ptp(expected) > 0


def explained(this, patches, method, **options):
    options |= {"precision": "float32"} if method in PRECISE else {}
    return ai.explain(this.network, patches, method, **QUIET, **options)


def check_map(method, this, patches, tmp_path):
    times = this.shape[0] // 16
    options = {
        "occlusion": {"mask": (6 * times, 5 * times), "stride": (5 * times, 4 * times)},
        "integrated_gradients": {"steps": 3},
        "rise": {"samples": 12, "grid": (4, 4)},
    }.get(method, {})
    grid = explained(this, patches, method, upsample=None, **options)
    assert list(grid["label"].values) == [str(number) for number in range(max(2, this.network.output_shape[-1]))]
    slack = 1e-6 if method in ("occlusion", "rise") else 0  # of differences of probabilities
    close(grid.values, FORMULAS[method](this, patches.data), this.tolerance, slack)


def check_lime(this, patches, tmp_path):
    one, two = (explained(this, patches, "lime", samples=60, count=12, details=True) for _ in range(2))
    for values in one:  # to the rounding of sums that are shared out among cores
        np.testing.assert_allclose(one[values], two[values], rtol=1e-5, atol=1e-6)
    assert one["map"].shape == (len(patches), len(one["label"]), *this.shape)
    close(one["score"].values, probabilities(this, patches.data), this.tolerance)
    # Probabilities add up to 1 whatever is left out: what one class gains, the others lose.
    np.testing.assert_allclose(one["coefficients"].sum("label"), 0, atol=max(1e-5, 0.1 * this.tolerance))
    assert np.abs(one["coefficients"]).max() > 0


def check_predict(this, patches, tmp_path):
    table = ai.predict(this.network, patches, precision="float32", **QUIET)
    expected = probabilities(this, patches.data)
    close(table[table.attrs["labels"]].to_numpy(), expected, this.tolerance)
    assert list(table["predicted"]) == [str(number) for number in expected.argmax(axis=1)]


def check_embed(this, patches, tmp_path):
    found = embed(this.network, patches, **QUIET)
    close(found, slopes(this, patches.data)[0][0].mean(axis=(1, 2)), this.tolerance)


def check_layer_features(this, patches, tmp_path):
    found = ai.layer_features(this.network, patches, layers=[this.conv], **QUIET)
    grid = this.head(tf.constant(patches.data[..., None]))
    grid = np.asarray(tf.cast(grid[0] if isinstance(grid, tuple) else grid, tf.float32))
    means = pd.DataFrame(grid.mean(axis=(1, 2)) if grid.ndim == 4 else grid.mean(axis=1))
    expected = means.groupby(patches.clip).mean().to_numpy()
    close(found[this.conv].values, expected, this.tolerance)


def check_deconvolve(this, patches, tmp_path):
    """From the first convolution: its positive activation, sent back by its transposed weights."""
    name = "first" if any(layer.name == "first" for layer in this.network.layers) else this.conv
    found = deconvolve(this.network, patches, this.first[0] if this.first else name, 1, progress=False)
    layer, *after = [(this.twin or this.network).get_layer(each) for each in this.first or (name,)]
    x = tf.constant(patches.data[..., None])
    with tf.GradientTape() as tape:
        tape.watch(x)
        given = run(this.front, x)
    activation = np.maximum(tf.cast(run(after, layer(given)), tf.float32), 0) * (np.arange(layer.filters) == 1)
    if after:  # batch norm, by its factor
        activation *= (after[0].gamma / np.sqrt(after[0].moving_variance + after[0].epsilon)).numpy()
    kernel, padding = tf.cast(layer.kernel, tf.float32), layer.padding.upper()
    back = tf.nn.conv2d_transpose(activation, kernel, x.shape, layer.strides, padding)
    expected = (tape.gradient(given, x, output_gradients=back) if this.front else back)[..., 0].numpy()
    close(found.values, expected, this.tolerance)


def check_fine_tune(this, patches, tmp_path):
    """One step over all patches is a step of Adam by Keras."""
    recipe = ai.Recipe(epochs=1, batch_size=len(patches), learning_rate=0.01)
    before = this.network.get_weights()
    trained, _ = ai.fine_tune(this.network, patches, patches, recipe, **QUIET)
    found = ai.predict(trained, patches, precision="float32", **QUIET)
    for one, two in zip(this.network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, two)
    if any(isinstance(layer, layers.Dropout) for layer in this.network.layers):
        return  # each draws its own numbers
    network = this.twin or this.network
    network.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", run_eagerly=True)
    network.train_on_batch(patches.data[..., None], patches.label.astype(int))
    expected = network(patches.data[..., None], training=False)
    network.set_weights(before)
    np.testing.assert_allclose(found[found.attrs["labels"]], expected, atol=max(2e-4, this.tolerance))


def check_save_and_load(this, patches, tmp_path):
    loaded = ai.load_network(ai.save_network(this.network, tmp_path / "network.keras"))
    x = np.random.default_rng(0).normal(size=(2, *this.network.input_shape[1:])).astype(np.float32)
    for one, two in zip(*(keras.tree.flatten(each(x, training=False)) for each in (loaded, this.network)), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)


CHECKS = {
    **{method: partial(check_map, method) for method in FORMULAS},
    "lime": check_lime,
    "predict": check_predict,
    "embed": check_embed,
    "layer_features": check_layer_features,
    "deconvolve": check_deconvolve,
    "fine_tune": check_fine_tune,
    "save and load": check_save_and_load,
}

NO_GRID = "has no convolution over time and frequency among its own layers. Grad-CAM needs one; use 'lime'"
NO_POOL = "CAM and CRM need global average pooling .* Use 'gradcam'"
GRADIENTS = ("gradcam", "gradcam_keras_vis", "gradcam++", "scorecam")
POOLED = ("cam", "crm")
ON_THE_WAY = "on the way to the input. .* use 'saliency' or 'gradcam' instead"
CONFIG = "A layer of your own is made again from its config: give it a get_config"
OF_PATCHES = [method for method in CHECKS if method != "save and load"]


def refused(names, methods, match):
    return {(name, method): match for name in names for method in methods}


# What is refused, and with which words; all else is what the direct formula gives.
REFUSED = {
    **refused([name for name in NETWORKS if name != "head of ours"], ["embed"], "no head of this package.*add_head"),
    **refused(["nested convolutions", "all nested", "one dimension"], GRADIENTS, NO_GRID),
    **refused(["sequential", "nested convolutions", "all nested", "nested head", "GRU", "MobileNet"], POOLED, NO_POOL),
    **refused(["one dimension"], POOLED, NO_POOL),
    **refused(["nested convolutions", "all nested", "one dimension"], ["deconvolve"], "has no such convolution"),
    **refused(["adapted Normalization", "own layer", "own layer without config"], ["deconvolve"], ON_THE_WAY),
    **refused(["nested convolutions"], ["layer_features"], r"layers \['last'\]: the network 'nested' has dense"),
    **refused(["all nested"], ["layer_features"], "has no layer with a kernel of its own"),
    **refused(["channel by channel"], ["layer_features"], r"layers \['.*'\]: the network"),
    **refused(["logits", "one sigmoid"], ["fine_tune"], "Give it a head of its own: add_head"),
    **refused(["own layer without config"], ["fine_tune", "save and load"], CONFIG),
    **refused(["Lambda of tf.nn.softmax"], ["save and load"], "Lambda .*If you trust it"),
    **refused(
        ["three channels", "no channel axis"], OF_PATCHES, r"takes inputs of shape .*Expected \(frames, mels, 1\)"
    ),
    **refused(["two outputs"], OF_PATCHES, "1 inputs and 2 outputs; expected one of each. Take one, as in keras.Model"),
    **refused(["subclassed", "not built"], OF_PATCHES, "is subclassed, or not built yet.*Make it with keras.Model"),
    **refused(["not built", "subclassed"], ["save and load"], "cannot be saved"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("method", CHECKS)
@pytest.mark.parametrize("name", NETWORKS)
def test_direct_formula_or_a_clear_error(name, method, tmp_path):
    this = built(name)
    patches, match = patches_for(this.shape), REFUSED.get((name, method))
    check = partial(CHECKS[method], this, patches, tmp_path)
    if match is None:
        check()
        return
    with pytest.raises((AudioInterpError, ValueError, TypeError), match=match) as caught:
        check()
    raised_in = Path(traceback.extract_tb(caught.tb)[-1].filename)
    assert Path(ai.__file__).parent in raised_in.parents, raised_in
