"""Inference in bfloat16, where the hardware gains from it."""

import functools
import os
import platform
import time
from pathlib import Path

from ..storage.cache import cached
from .backend import keras
from .saving import finalised

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
    """A network for inference in the wanted precision: itself for float32, otherwise a copy with its present weights.

    In bfloat16 (8 bits of exponent as float32, 8 of mantissa instead of 24) weights and activations take half the
    memory. Batch norm keeps its statistics in float32; the last layer with weights and what follows it stay float32
    altogether, so that scores keep their digits. "auto" is bfloat16 where `gains_from_bfloat16`.
    """
    check_precision(precision)
    return _reduced_copy(network) if is_reduced(precision) else network


def _reduced_copy(network):
    plain = keras.Model(network.inputs, network.outputs, name=network.name)  # without optimizer, which clones too
    weighted = [number for number, layer in enumerate(plain.layers) if layer.weights]
    kept = {layer.name for layer in plain.layers[max(weighted, default=0) :]}
    copy = keras.models.clone_model(plain, clone_function=lambda layer: _reduced(layer, kept))
    for new, old in zip(copy.variables, plain.variables, strict=True):
        new.assign(keras.ops.cast(old, new.dtype))
    return finalised(copy)


def _reduced(layer, kept=()):
    """A bfloat16 copy of a layer, its weights still empty; those named in `kept` stay as they are."""
    if isinstance(layer, keras.Model):
        return keras.models.clone_model(layer, clone_function=_reduced)
    config = layer.get_config()
    if "dtype" in config and layer.name not in kept and not isinstance(layer, keras.layers.InputLayer):
        normalises = isinstance(layer, keras.layers.BatchNormalization)
        config["dtype"] = keras.DTypePolicy("mixed_bfloat16" if normalises else "bfloat16")
    zeros = {key: "zeros" for key in config if key.endswith("_initializer")}
    return type(layer).from_config({**config, **zeros})
