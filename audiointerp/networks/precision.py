"""Networks in float32, whatever they were built in; inference in bfloat16, where the hardware gains from it."""

import functools
import os
import platform
import time
from pathlib import Path

from ..storage.cache import cached
from ..storage.fingerprints import Unknown
from .backend import in_float32, keras
from .copying import finalised, layer_like
from .fingerprints import digest, while_unchanged

PRECISIONS = ("auto", "float32", "bfloat16")
GAIN = 1.5  # so many times faster must bfloat16 be: less may be the clock's noise, and casts cost it again


def gains_from_bfloat16():
    """Whether networks run faster in bfloat16 here: a convolution is timed once in both precisions.

    The answer is kept in the cache for each hardware, version of TensorFlow and setting of oneDNN.
    """
    return measured(hardware())


def hardware():
    """What the speed of a convolution depends on: processor, GPUs, TensorFlow's version and oneDNN's settings."""
    import tensorflow as tf

    told = Path("/proc/cpuinfo").read_text(errors="replace") if Path("/proc/cpuinfo").is_file() else ""
    lines = {line for line in told.splitlines() if line.startswith(("model name", "flags", "Features"))}
    gpus = [str(tf.config.experimental.get_device_details(gpu)) for gpu in tf.config.list_physical_devices("GPU")]
    settings = sorted(f"{name}={value}" for name, value in os.environ.items() if "ONEDNN" in name)
    return (platform.machine(), platform.processor(), *sorted(lines), *gpus, tf.__version__, *settings)


def convolution_seconds():
    """Seconds that a convolution of VGGish's kind takes in each precision: the shortest of five rounds."""
    import tensorflow as tf

    run = tf.function(lambda x, kernel: tf.reduce_max(tf.nn.conv2d(x, kernel, 1, "SAME")))
    seconds = {}
    for number in range(6):
        for dtype in ("float32", "bfloat16"):
            x, kernel = tf.ones((4, 48, 32, 64), dtype), tf.ones((3, 3, 64, 128), dtype)
            start = time.perf_counter()
            run(x, kernel).numpy()
            if number:  # the first is built
                seconds[dtype] = min(seconds.get(dtype, float("inf")), time.perf_counter() - start)
    return seconds


@functools.cache
@cached("precision", version=1)
def measured(hardware):
    """Whether the hardware gains, kept under its name: in this process and in the cache."""
    seconds = convolution_seconds()
    return seconds["float32"] > GAIN * seconds["bfloat16"]


def check_precision(precision):
    """Raise a ValueError unless `precision` is known."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision={precision!r}: expected 'auto', 'float32' or 'bfloat16'.")


def chosen_precision(precision):
    """What a precision means here: "float32" or "bfloat16"."""
    return "bfloat16" if is_reduced(precision) else "float32"


def is_reduced(precision):
    """Whether a precision means bfloat16 here."""
    return precision == "bfloat16" or (precision == "auto" and gains_from_bfloat16())


def as_precision(network, precision="auto"):
    """A network in the wanted precision: itself for float32 if it is, otherwise a copy with its present weights.

    In bfloat16 (8 bits of exponent as float32, 8 of mantissa instead of 24) weights and activations take half the
    memory. Batch norm keeps its statistics in float32; the last layer with weights and what follows it stay float32
    altogether, so that scores keep their digits. The copy is kept until the network changes. "auto" is bfloat16 where
    `gains_from_bfloat16`.
    """
    check_precision(precision)
    if not is_reduced(precision):
        return float32_of(network)
    known = digest(network)
    if isinstance(known, Unknown):
        return _reduced_copy(float32_of(network))
    return while_unchanged(network, ("bfloat16", known), lambda: _reduced_copy(float32_of(network)))


def float32_of(network):
    """The network, or a copy in float32 if a layer is of another policy, such as mixed_bfloat16 or float64."""
    if all(name == "float32" for layer in _layers(network) for name in _floats(layer)):
        return network
    return _copied(network, lambda layer: "float32")


def _layers(network):
    """Every layer, those of networks inside a network too."""
    for layer in network.layers:
        yield from _layers(layer) if isinstance(layer, keras.Model) else [layer]


def _floats(layer):
    """Floating types that a layer computes in, keeps its weights in or takes."""
    names = [layer.dtype] if isinstance(layer, keras.layers.InputLayer) else [layer.compute_dtype, layer.variable_dtype]
    return [name for name in names if "float" in name]


def _plain(network):
    """The network without its optimizer, which would be cloned too; one input is no list of one: Keras 3.8 warns."""
    inputs, outputs = (each[0] if len(each) == 1 else each for each in (network.inputs, network.outputs))
    return keras.Model(inputs, outputs, name=network.name)


@in_float32()
def _copied(network, policy):
    """A copy with the same weights, each layer of the policy that a function of it names; None leaves it as it is."""
    plain = _plain(network)
    copy = _cloned(plain, policy)
    for new, old in zip(copy.variables, plain.variables, strict=True):
        new.assign(keras.ops.cast(old, new.dtype))
    return finalised(copy)


def _cloned(network, policy):
    """A copy of a network, its weights still empty."""

    def cloned(layer):
        if isinstance(layer, keras.Model):
            return _cloned(layer, policy)
        config, chosen = layer.get_config(), policy(layer)
        changes = {key: "zeros" for key in config if key.endswith("_initializer")}
        if "dtype" in config and chosen:  # what only casts, as Keras 3.8 puts it between layers, takes a name
            changes["dtype"] = keras.DTypePolicy(chosen) if isinstance(layer, keras.layers.Layer) else chosen
        return layer_like(layer, **changes)

    def given(tensor):
        dtype = "float32" if "float" in tensor.dtype else tensor.dtype
        return keras.Input(batch_shape=tensor.shape, dtype=dtype, name=tensor.name)

    inputs = network.inputs if isinstance(network, keras.Sequential) else network.input
    inputs = keras.tree.map_structure(given, inputs)
    return keras.models.clone_model(network, input_tensors=inputs, clone_function=cloned)


def _reduced_copy(network):
    """A bfloat16 copy; the last layer with weights and what follows it stay float32."""
    plain = _plain(network)
    weighted = [number for number, layer in enumerate(plain.layers) if layer.weights]
    kept = {layer.name for layer in plain.layers[max(weighted, default=0) :]}

    def policy(layer):
        if layer.name in kept:
            return None
        return "mixed_bfloat16" if isinstance(layer, keras.layers.BatchNormalization) else "bfloat16"

    return _copied(plain, policy)
