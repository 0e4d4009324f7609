"""Waveforms of unequal length through a network together, each with the result it would have alone."""

import keras
import numpy as np
from tqdm import tqdm

from .errors import MissingDataError, PatchShapeError
from .networks.heads import ScaleWaveform

BATCH_SAMPLES = 3_000_000  # of a batch of waveforms: SoundNet's first layer then takes about 100 MB
FLAT = 2**28  # numbers that a flattened layer may have for all waveforms: 1 GB


def run_waveforms(network, waveforms, outputs, *, over_time="mean", progress=True):
    """Outputs of a network on waveforms, several of unequal length at a time.

    What lies behind the end of a shorter waveform is put to zero before every convolution, which is what the
    convolution's own zero padding would have put there.

    Parameters
    ----------
    network : keras.Model [(n, samples, 1) -> ...]
        Zero padding, convolutions and pools without padding of their own, batch norm and ReLU, as in `soundnet`.
    waveforms : sequence of numpy.ndarray [samples]
    outputs : dict of keras.KerasTensor [n, positions, filters]
        Those wanted, by name; see `layer_outputs`.
    over_time : {"mean", "flatten"}
        Average over the positions, or keep all: filter by filter at the first position, then at the next, 0 behind a
        waveform's end.
    progress : bool
        Show a bar when it takes longer than two seconds.

    Returns
    -------
    numpy.ndarray [waveforms, numbers of all outputs], float32

    Raises
    ------
    PatchShapeError
        If the network has other layers, or a waveform is too short.
    MissingDataError
        If flattened outputs would be too large.
    """
    path = _path_to(network, list(outputs.values()))
    samples = [len(waveform) for waveform in waveforms]
    shortest, longest = min(samples), max(samples)
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
    run = _compile(path, list(outputs.values()), over_time)
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


def _compile(path, tensors, over_time):
    """Function from waveforms (n, samples, 1) and their lengths to the numbers of all outputs, (n, numbers)."""
    import tensorflow as tf

    wanted = {id(tensor) for tensor in tensors}

    def cut(x, length):
        return x * tf.cast(tf.sequence_mask(length, tf.shape(x)[1]), x.dtype)[..., None]

    def run(x, length):
        values, found = {id(path[0].input): (x, length)}, {}
        for layer in path:
            x, length = values[id(layer.input)]
            x = cut(x, length) if isinstance(layer, keras.layers.ZeroPadding1D) else x
            x, length = layer(x, training=False), _length_after(layer, length)
            values[id(layer.output)] = x, length
            if id(layer.output) in wanted:
                kept = cut(x, length)
                mean = tf.reduce_sum(kept, axis=1) / tf.cast(length, x.dtype)[:, None]
                found[id(layer.output)] = mean if over_time == "mean" else tf.reshape(kept, [tf.shape(x)[0], -1])
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
    lengths = {id(path[0].input): samples}
    for layer in path:
        before = lengths[id(layer.input)]
        lengths[id(layer.output)] = _length_after(layer, before) if before > 0 else 0
    return lengths[id(tensor)]


def _path_to(network, tensors):
    """Layers of a network that are needed for some tensors, without the input."""
    layers = keras.layers
    known = (ScaleWaveform, layers.ZeroPadding1D, layers.Conv1D, layers.MaxPooling1D, layers.BatchNormalization)
    path = keras.Model(network.input, tensors).layers
    path = [layer for layer in path if not isinstance(layer, layers.InputLayer)]
    for layer in path:
        padded = isinstance(layer, (layers.Conv1D, layers.MaxPooling1D)) and layer.padding != "valid"
        dilated = isinstance(layer, layers.Conv1D) and layer.dilation_rate != (1,)
        if padded or dilated or not isinstance(layer, (*known, layers.ReLU, layers.Activation)):
            raise PatchShapeError(
                f"layer '{layer.name}' of '{network.name}' is not one of SoundNet's kinds (zero padding, convolutions "
                "and pools without padding or dilation, batch norm, ReLU): unequal waveforms cannot share a batch."
            )
    return path
