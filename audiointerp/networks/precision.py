"""Inference in bfloat16, where the hardware gains from it."""

import os
from pathlib import Path

from .backend import keras
from .saving import finalised

PRECISIONS = ("auto", "float32", "bfloat16")
FAST_FLAGS = {"amx_bf16"}  # processor flags of matrix units that take bfloat16
FAST_CAPABILITY = (8, 0)  # compute capability of the first NVIDIA GPUs (Ampere) that do
CPUINFO = Path("/proc/cpuinfo")


def gains_from_bfloat16():
    """Whether networks run faster in bfloat16 here: told from what the hardware is, not measured.

    True on NVIDIA GPUs from Ampere on and, without a GPU, on processors with bf16 matrix units (Intel AMX).
    """
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
        return all(tuple(found.get("compute_capability") or (0, 0)) >= FAST_CAPABILITY for found in details)
    if os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "0" or not CPUINFO.is_file():
        return False
    lines = CPUINFO.read_text(errors="replace").splitlines()
    flags = next((line for line in lines if line.startswith("flags")), "")
    return bool(FAST_FLAGS & set(flags.split()))


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
