"""What the layers of a network give for each clip: one number a neuron, or one a neuron and position.

Layer features are `xarray.DataArray` objects with the dimensions clip and neuron, one a layer, in a dictionary from the
first layer to the last. Along the clips stand `label`, `fold` and `group`, and where they are known `path` and
`source`.
"""

import warnings
from functools import partial

import numpy as np
import pandas as pd

from ..datasets.feature_arrays import as_features
from ..errors import AudioRepairWarning, MissingDataError, PatchShapeError, UnreadableAudioError
from ..networks.backend import in_float32, keras
from ..networks.fingerprints import digest
from ..networks.graph import layer_outputs
from ..networks.head import check_kinds, check_network, check_patches, frontend_of
from ..networks.precision import float32_of
from ..networks.running import outputs_of, run_waveforms, shared_out
from ..networks.soundnet import HEADS, TRAINED_AT
from ..sound.reading import LONGEST, file_digest, numbered, report_unreadable
from ..sound.waveforms import try_waveforms
from ..storage.cache import cached


def layer_table(network):
    """What each layer of a network on waveforms has and hears.

    Parameters
    ----------
    network : keras.Model [(n, samples, 1) -> ...]

    Returns
    -------
    pandas.DataFrame [layer]
        `filters`, `taps`, `step` (samples from one position to the next), `field` (samples that one position hears),
        and both in ms: at the front end's sample rate, or at SoundNet's own where it takes any.

    Raises
    ------
    PatchShapeError
        If the network takes something else.
    """
    _check_waveforms(network)
    rows, step, field = {}, 1, 1
    rate = frontend_of(network).sample_rate or TRAINED_AT
    ends = {id(tensor): name for name, tensor in layer_outputs(network).items()}
    for layer in network.layers:
        if isinstance(layer, keras.layers.Conv1D):
            size, stride = layer.kernel_size[0], layer.strides[0]
            row = {"filters": layer.filters, "taps": size}
        elif isinstance(layer, keras.layers.MaxPooling1D):
            size, stride = layer.pool_size[0], layer.strides[0]
        else:
            size, stride = 1, 1
        if layer.name in HEADS:  # both stand on conv7
            step_here, field_here = step * stride, field + (size - 1) * step
        else:
            field, step = field + (size - 1) * step, step * stride
            step_here, field_here = step, field
        if name := ends.get(id(layer.output)):
            rows[name] = row | {"step": step_here, "field": field_here}
    table = pd.DataFrame(rows).T.rename_axis("layer")
    return table.assign(**{f"{column} (ms)": 1000 * table[column] / rate for column in ("step", "field")})


def layer_features(
    network,
    data,
    *,
    layers=None,
    over_time="mean",
    on_error="raise",
    max_seconds=LONGEST,
    batch_size=None,
    cache=True,
    progress=True,
):
    """What the layers of a network give for each clip.

    A network on patches is shown the sounding patches of each clip; every layer is averaged over the positions of a
    patch, then over the patches. A network on waveforms is shown whole clips; every layer is averaged over time. Clips
    of unequal length share a batch: what lies behind the end of the shorter ones is put to zero before every
    convolution, so that each gets what it would get alone. Inside ``joblib.parallel_config(backend="dask")`` the
    workers of a cluster share the clips.

    Parameters
    ----------
    network : keras.Model
        On log-mel patches, or a sequence of layers on waveforms as `soundnet` makes.
    data : Patches or pandas.DataFrame
        Patches for the one, clip table for the other.
    layers : sequence of str, optional
        Names as `layer_outputs` gives; all of them by default.
    over_time : {"mean", "flatten"}
        "flatten", for waveforms only, keeps every position: neuron by neuron at the first position, then at the next;
        positions behind a clip's end are 0.
    on_error : {"raise", "skip"}
        What to do with clips of a table that cannot be read: stop and list them, or leave them out with a warning.
    max_seconds : float
        Longest clip of a table that is accepted.
    batch_size : int, optional
        Patches a forward pass; chosen for the network by default. Waveforms are batched by their length.
    cache, progress : bool

    Returns
    -------
    dict of xarray.DataArray [clip, neuron], float32

    Raises
    ------
    ValueError
        If a layer or a way of treating time is unknown.
    PatchShapeError
        If network and data do not fit each other, or a clip is too short for a layer.
    MissingDataError
        If there are no clips or only silent ones, or flattened layers would be too large.
    UnreadableAudioError
        If clips cannot be read (all of them are named at once).

    Examples
    --------
    >>> layers = layer_features(network, make_patches(clips, frontend_of(network)))  # doctest: +SKIP
    >>> layers["conv1"].groupby("label").mean()  # doctest: +SKIP
    """
    check_network(network, one_output=False)
    if not isinstance(data, pd.DataFrame):
        check_kinds(network, data)
    network = float32_of(network)
    known = list(layer_outputs(network))
    layers = known if layers is None else list(layers)
    unknown = [name for name in layers if name not in known]
    if unknown or not layers:
        known = ", ".join(known) or "no layer with a kernel of its own: those of a network inside it are not seen"
        raise ValueError(f"layers {unknown}: the network '{network.name}' has {known}.")
    layers = [name for name in known if name in layers]
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error={on_error!r}: expected 'raise' or 'skip'.")
    if over_time not in ("mean", "flatten"):
        raise ValueError(f"over_time={over_time!r}: expected 'mean' or 'flatten'.")
    if len(data) == 0:
        raise MissingDataError("no clips: the table is empty. Check the folder, labels or split it came from.")
    if over_time == "flatten" and len(layers) > 1:  # how wide each is depends on the longest clip
        options = {"over_time": over_time, "on_error": on_error, "max_seconds": max_seconds}
        options |= {"cache": cache, "progress": progress}
        return {name: layer_features(network, data, layers=[name], **options)[name] for name in layers}
    if isinstance(data, pd.DataFrame):
        clips = numbered(data)
        _check_waveforms(network)
        key = [digest(network), *map(_digest_or_error, clips["path"]), on_error, max_seconds]
        chosen = layers, over_time, on_error, max_seconds, progress
        values, there, failures = _of_clips(key, network, clips, *chosen, cache=cache)
        if len(there) < len(clips):
            report_unreadable(failures, len(clips), on_error)
        clips = clips.iloc[there]
    elif over_time == "mean":
        sounding = _sounding(network, data)
        clips = sounding.table.groupby("clip", sort=False).first()
        key = [digest(network), sounding.digest, sounding.clip]
        values = _of_patches(key, network, sounding, layers, batch_size, progress, cache=cache)
    else:
        raise ValueError("over_time='flatten': only for networks on waveforms; patches are averaged.")
    if over_time == "flatten":
        return {layers[0]: as_features(values, clips, layers[0])}
    widths = [layer_outputs(network)[name].shape[-1] for name in layers]
    parts = np.split(values, np.cumsum(widths)[:-1], axis=1)
    return {name: as_features(part, clips, name) for name, part in zip(layers, parts, strict=True)}


def _sounding(network, patches):
    """The patches that a network is shown: those that sound."""
    check_patches(network, patches)
    sounding = patches[~patches.silent]
    if lost := set(patches.clip) - set(sounding.clip):
        warnings.warn(f"{len(lost)} clips are silent throughout and are left out.", AudioRepairWarning, stacklevel=3)
    if len(sounding) == 0:
        raise MissingDataError(f"no clips: all {len(lost)} are silent throughout. Check how they were recorded.")
    return sounding


@cached("features", version=1, ignore=("network", "patches", "batch_size", "progress"))
@in_float32()
def _of_patches(key, network, patches, layers, batch_size, progress):
    """Layers side by side, averaged over the patches of each clip [clips, neurons]."""
    outputs = [layer_outputs(network)[name] for name in layers]
    means = [keras.ops.mean(x, axis=tuple(range(1, len(x.shape) - 1))) if len(x.shape) > 2 else x for x in outputs]
    body = keras.Model(network.inputs[0], keras.layers.Concatenate()(means) if len(means) > 1 else means[0])
    run = partial(outputs_of, body, batch_size=batch_size, title="layer features", progress=progress)
    values = shared_out(run, patches.data)
    return pd.DataFrame(values).groupby(patches.clip, sort=False).mean().to_numpy(np.float32)


def _check_waveforms(network):
    if network.input_shape[2:] != (1,):
        raise PatchShapeError(
            f"network '{network.name}' takes inputs of shape {network.input_shape}, not waveforms. "
            "Pass patches: make_patches(clips, frontend_of(network))."
        )


def _digest_or_error(path):
    try:
        return file_digest(path)
    except UnreadableAudioError as error:
        return str(error)


@cached("features", version=2, ignore=("network", "clips", "progress"))
def _of_clips(key, network, clips, layers, over_time, on_error, max_seconds, progress):
    """As `_of_patches`, for a network on waveforms; with the rows of clips that could be read, and why others not."""
    waveforms, failures = try_waveforms(clips, frontend_of(network), max_seconds, progress=progress)
    there = [row for row, waveform in enumerate(waveforms) if waveform is not None]
    if failures and (on_error == "raise" or not there):
        report_unreadable(failures, len(clips), on_error)
    waveforms = [waveforms[row] for row in there]
    longest = max(map(len, waveforms))
    run = partial(_waveforms, network, layers=layers, over_time=over_time, longest=longest, progress=progress)
    return shared_out(run, waveforms), there, failures


def _waveforms(network, waveforms, *, layers, **options):
    return run_waveforms(network, waveforms, {name: layer_outputs(network)[name] for name in layers}, **options)
