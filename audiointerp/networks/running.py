"""Running a network: every batched forward pass is here."""

import logging
import math
from contextlib import contextmanager

import joblib
import numpy as np
from tqdm import tqdm

from ..errors import MissingDataError, PatchShapeError, WeightsError
from .backend import in_float32, keras
from .custom_layers import ScaleWaveform
from .fingerprints import kept_with
from .graph import calls, logits_of, probabilities_of
from .precision import as_precision, float32_of, is_reduced

UNITS = {"probability": "probability", "logit": "logit"}
ACTIVATION_BYTES = 128e6  # largest activation of a batch: beyond it, forward passes get slower on processors
LARGEST_BATCH = 1024
BATCH_ANY = 64
BATCH_SAMPLES = 3_000_000  # of a batch of waveforms: SoundNet's first layer then takes about 100 MB
FLAT = 2**28  # numbers that a flattened layer may have for all waveforms: 1 GB


def in_batches(function, data, *, batch_size, title, progress=True):
    """What a function of batches gives for all of the data; a list if it gives several arrays in a tuple.

    The data is whatever has a length and gives an array [batch, ...] when it is sliced. The bar counts patches.
    """
    bar = tqdm(total=len(data), desc=title, unit="patch", delay=2, leave=False, disable=not progress)
    parts = []
    with bar, quiet_retracing():
        for start in range(0, len(data), batch_size):
            part = data[start : start + batch_size]
            parts.append(function(part))
            _check_finite(part, parts[-1], start)
            bar.update(len(part))
    if isinstance(parts[0], tuple):
        return [np.concatenate(each) for each in zip(*parts, strict=True)]
    return np.concatenate(parts)


def shared_out(function, things):
    """What a function of several things gives for all of them [n, ...]: in one go here, in parts on a cluster.

    The workers that ``joblib.parallel_config`` names, as those of its backend "dask", each get some of the things; what
    a lost worker had is given to another.
    """
    jobs = joblib.effective_n_jobs(None)
    if jobs < 2 or not len(things):
        return function(things)
    size = -(-len(things) // (2 * jobs))
    parts = (joblib.delayed(function)(things[start : start + size]) for start in range(0, len(things), size))
    return np.concatenate(joblib.Parallel()(parts))


def _check_finite(given, found, start):
    """Raise a WeightsError if a batch, or what it gave, is not finite: a ReLU or a pool may hide what went in."""
    found = found if isinstance(found, tuple) else (found,)
    for values, what in ((given, "the patches are"), *((values, "the network gives") for values in found)):
        values = np.asarray(values)
        wrong = ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
        if wrong.any():
            raise WeightsError(
                f"{what} NaN or infinite for {wrong.sum()} of {len(wrong)} patches from patch {start} on. Look for "
                "broken values in the sounds, or for weights and inputs that are far too large."
            )


@in_float32()
def outputs_of(network, data, *, batch_size=None, precision="float32", title="scores", progress=True):
    """What a network gives for many patches [n, ...], float32; a channel axis is added to data that has none.

    It is traced once, and anew when a layer or a weight was changed: Keras would go on with what it has traced before.
    The data is whatever has a length and gives an array when it is sliced; the batch size is chosen for the network.
    """
    import tensorflow as tf

    size, shape = batch_size_for(network, batch_size, precision), network.input_shape

    def traced():
        ready = as_precision(network, precision)
        signature = [tf.TensorSpec(shape, tf.float32)]
        return tf.function(lambda batch: tf.cast(ready(batch, training=False), tf.float32), input_signature=signature)

    outputs = kept_with(network, ("outputs", is_reduced(precision)), traced)

    def run(part):
        part = np.asarray(part, np.float32)
        return outputs(part[..., None] if part.ndim < len(shape) else part).numpy()

    return in_batches(run, data, batch_size=size, title=title, progress=progress)


@in_float32()
def scores_of(network, data, *, score="probability", **options):
    """Scores [n, classes] of many patches as "probability" or "logit"; options of `outputs_of`."""
    check_score(score)
    network = float32_of(network)

    def scoring():
        scores = probabilities_of(network) if score == "probability" else logits_of(network)
        whole = scores is network.outputs[0]
        return network if whole else keras.Model(network.inputs[0], scores, name=network.name)

    return outputs_of(kept_with(network, ("scores", score), scoring), data, **options)


@contextmanager
def quiet_retracing():
    """Keep TensorFlow from warning that one network after another is traced, which is as it should be here."""
    logger = logging.getLogger("tensorflow")

    def fine(record):
        return "triggered tf.function retracing" not in record.getMessage()

    logger.addFilter(fine)
    try:
        yield
    finally:
        logger.removeFilter(fine)


def check_score(score):
    """Raise a ValueError unless `score` is known."""
    if score not in UNITS:
        raise ValueError(f"score={score!r}: expected 'probability' or 'logit'.")


def batch_size_for(network, given=None, precision="float32"):
    """Patches per forward pass: those given, or as many as keep the largest activation within `ACTIVATION_BYTES`.

    A network that takes inputs of any size gets `BATCH_ANY` of them.
    """
    if given is not None:
        if given < 1:
            raise ValueError(f"batch_size={given}: expected at least 1, or None to have it chosen.")
        return int(given)
    if None in network.input_shape[1:]:
        return BATCH_ANY
    width = 2 if is_reduced(precision) else 4
    largest = max(math.prod(size or 1 for size in tensor.shape) for call in calls(network) for tensor in call.outputs)
    fitting = max(1, int(ACTIVATION_BYTES / (width * largest)))
    return min(LARGEST_BATCH, 2 ** int(math.log2(fitting)))


def run_waveforms(network, waveforms, outputs, *, over_time="mean", longest=None, progress=True):
    """Outputs of a network on waveforms, several of unequal length at a time [waveforms, numbers of all outputs].

    What lies behind the end of a shorter waveform is put to zero before every convolution, which is what the
    convolution's own zero padding would have put there. The network is one as `soundnet` makes: zero padding,
    convolutions and pools without padding of their own, batch norm and ReLU. `outputs` are tensors [n, positions,
    filters] by name, see `layer_outputs`; "mean" averages over the positions, "flatten" keeps all: filter by filter at
    the first position, then at the next, 0 behind a waveform's end, up to where the `longest` ends (samples).

    Raises
    ------
    PatchShapeError
        If the network has other layers, or a waveform is too short.
    MissingDataError
        If flattened outputs would be too large.
    """
    path = _path_to(network, list(outputs.values()))
    samples = [len(waveform) for waveform in waveforms]
    shortest, longest = min(samples), longest or max(samples)
    for name, tensor in outputs.items():
        if _positions(path, tensor, shortest) < 1:
            raise PatchShapeError(
                f"a waveform of {shortest} samples is too short for layer {name} of '{network.name}'. "
                "Ask for earlier layers with layers=, or use longer clips."
            )
    numbers = sum(_positions(path, tensor, longest) * tensor.shape[-1] for tensor in outputs.values())
    if over_time == "flatten" and numbers * len(waveforms) > FLAT:
        raise MissingDataError(
            f"{', '.join(outputs)} flattened: {numbers:,} numbers a clip are too many for {len(waveforms)} clips. "
            "Ask for a later layer, or average over time."
        )
    run = _compile_waveforms(path, list(outputs.values()), over_time)
    order = np.argsort([-count for count in samples], kind="stable")
    results = [None] * len(waveforms)
    bar = tqdm(total=len(waveforms), desc="layers", unit="clip", leave=False, delay=2, disable=not progress)
    while len(order):
        length = longest if over_time == "flatten" else samples[order[0]]
        batch, order = np.split(order, [max(1, BATCH_SAMPLES // length)])
        padded = np.zeros((len(batch), length, 1), np.float32)
        for row, number in enumerate(batch):
            padded[row, : samples[number], 0] = waveforms[number]
        rows = run(padded, np.array([samples[number] for number in batch], np.int32)).numpy()
        for row, number in zip(rows, batch, strict=True):
            results[number] = row
        bar.update(len(batch))
    bar.close()
    return np.stack(results)


def _compile_waveforms(path, tensors, over_time):
    """Function from waveforms (n, samples, 1) and their lengths to the numbers of all outputs, (n, numbers)."""
    import tensorflow as tf

    wanted = {id(tensor) for tensor in tensors}

    def cut(x, length):
        return x * tf.cast(tf.sequence_mask(length, tf.shape(x)[1]), x.dtype)[..., None]

    def run(x, length):
        values, found = {id(path[0].inputs[0]): (x, length)}, {}
        for layer, (before,), (after,) in path:
            x, length = values[id(before)]
            x = cut(x, length) if isinstance(layer, keras.layers.ZeroPadding1D) else x
            x, length = layer(x, training=False), _length_after(layer, length)
            values[id(after)] = x, length
            if id(after) in wanted:
                kept = cut(x, length)
                mean = tf.reduce_sum(kept, axis=1) / tf.cast(length, x.dtype)[:, None]
                found[id(after)] = mean if over_time == "mean" else tf.reshape(kept, [tf.shape(x)[0], -1])
        return tf.concat([found[id(tensor)] for tensor in tensors], axis=1)

    shapes = tf.TensorSpec([None, None, 1], tf.float32), tf.TensorSpec([None], tf.int32)
    return tf.function(run, input_signature=shapes)


def _length_after(layer, length):
    """Positions behind a layer from those before it; numbers or tensors."""
    if isinstance(layer, keras.layers.ZeroPadding1D):
        return length + sum(layer.padding)
    if isinstance(layer, (keras.layers.Conv1D, keras.layers.MaxPooling1D)):
        size = layer.kernel_size[0] if isinstance(layer, keras.layers.Conv1D) else layer.pool_size[0]
        return (length - size) // layer.strides[0] + 1
    return length


def _positions(path, tensor, samples):
    """Positions of an output for a waveform of so many samples; 0 if a layer before it has none to pad."""
    lengths = {id(path[0].inputs[0]): samples}
    for layer, (given,), (made,) in path:
        before = lengths[id(given)]
        lengths[id(made)] = _length_after(layer, before) if before > 0 else 0
    return lengths[id(tensor)]


def _path_to(network, tensors):
    """Calls of a network's layers that are needed for some tensors, without the input."""
    layers = keras.layers
    known = (ScaleWaveform, layers.ZeroPadding1D, layers.Conv1D, layers.MaxPooling1D, layers.BatchNormalization)
    path = [call for call in calls(keras.Model(network.inputs[0], tensors)) if call.inputs]
    for layer, *_ in path:
        padded = isinstance(layer, (layers.Conv1D, layers.MaxPooling1D)) and layer.padding != "valid"
        dilated = isinstance(layer, layers.Conv1D) and layer.dilation_rate != (1,)
        if padded or dilated or not isinstance(layer, (*known, layers.ReLU, layers.Activation)):
            raise PatchShapeError(
                f"layer '{layer.name}' of '{network.name}' is not one of SoundNet's kinds (zero padding, convolutions "
                "and pools without padding or dilation, batch norm, ReLU): unequal waveforms cannot share a batch."
            )
    return path
