"""Keras, imported here alone: a backend that the package does not run on is said at its first use."""

import os
from contextlib import contextmanager

ADVICE = (
    "audiointerp runs Keras on TensorFlow. Take the variable KERAS_BACKEND out of the environment or set it to "
    "'tensorflow' before Python starts (in a notebook: os.environ['KERAS_BACKEND'] = 'tensorflow' in the first cell, "
    'after a restart), and have "backend": "tensorflow" in ~/.keras/keras.json if there is such a file.'
)

try:
    import keras
except (ImportError, ValueError) as error:
    asked = os.environ.get("KERAS_BACKEND", "the one in keras.json, or TensorFlow")
    raise ImportError(f"Keras cannot be imported on its backend ({asked}): {error}. {ADVICE}") from error

if keras.config.backend() != "tensorflow":
    raise ImportError(f"Keras runs on the backend '{keras.config.backend()}' in this process. {ADVICE}")


@contextmanager
def in_float32():
    """Layers that are made while this lasts are of float32, whatever floatx and policy are set; also a decorator."""
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)
