"""Sanity: maps of a network whose layers are randomised must fall apart."""

import numpy as np
import pandas as pd

from ..networks.backend import keras
from ..networks.copying import copy_of, finalised
from ..networks.graph import calls
from .methods import explain_each, explain_own, named_methods, own_labels, rank_correlation

DEPTHWISE = keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D


def parameter_randomization(
    network,
    patches,
    methods,
    *,
    labels=None,
    maps=None,
    depths=4,
    precision="auto",
    seed=0,
    batch_size=None,
    cache=True,
    progress=True,
):
    """Rank correlation of maps with those of the same network, its layers randomised from the top down.

    A map that stays as it was does not show what the network has learned. Layers are randomised by `randomized`, one
    after another from the one nearest to the output; maps are made at a few depths, evenly spread from that layer alone
    to all of them, of the class that the whole network is asked for.

    Parameters
    ----------
    network : keras.Model [(n, frames, mels, 1) -> (n, classes)]
    patches : Patches [n]
    methods : sequence of str or (str, dict)
        Names of methods, or pairs of a name and its options, as ``("occlusion", {"fill": "silence"})``.
    labels : sequence of str [n] or str, optional
        The class of each patch; by default the one that the network predicts.
    maps : dict of xarray.DataArray [n, (label,) time, frequency], optional
        Maps by the methods' names (as the table has them) of patches and network as they are, if they are there; those
        that are not are made.
    depths : int
        1 for full randomisation only; at most one for each layer with weights.
    precision : {"auto", "float32", "bfloat16"}
    seed : int
        For the layers, and methods that draw random numbers.
    batch_size : int, optional
    cache, progress : bool

    Returns
    -------
    pandas.DataFrame [methods * depths * n]
        `method`, `layers` (how many are randomised), `layer` (the lowest of them), `patch`, `clip`, `label`,
        `rank_correlation` (Spearman's, over all cells; NaN where a map is the same everywhere).

    Raises
    ------
    ValueError
        If `depths` is out of range or there are no methods.
    PatchShapeError, UnknownLabelError, MissingDataError

    References
    ----------
    Adebayo et al., Sanity checks for saliency maps, NeurIPS 2018 (cascading randomisation).
    """
    layers = _weighted(network)
    if not layers:
        raise ValueError(f"network '{network.name}' has no layer with weights to randomise.")
    if depths < 1:
        raise ValueError(f"depths={depths!r}: expected at least 1, for full randomisation only.")
    methods = named_methods(methods)
    run = {"precision": precision, "batch_size": batch_size, "progress": progress}
    labels = own_labels(network, patches, labels, **run)
    run |= {"seed": seed, "cache": cache}
    whole = explain_each(network, patches, methods, labels, maps, **run)
    tables = []
    for count in np.unique(np.round(np.linspace(len(layers), 1, depths)).astype(int)):
        changed = randomized(network, int(count), seed=seed)
        for name, method in methods.items():
            own = explain_own(changed, patches, *method, labels, **run)
            about = {"method": name, "layers": count, "layer": layers[count - 1].name, "patch": patches.table.index}
            about |= {"clip": patches.clip, "label": labels}
            cells = (each.reshape(len(patches), -1) for each in (whole[name], own.values))
            tables.append(pd.DataFrame(about | {"rank_correlation": rank_correlation(*cells)}))
    return pd.concat(tables, ignore_index=True)


def randomized(network, layers=None, *, seed=0):
    """A copy of a network whose last layers with weights begin anew.

    Kernels are drawn as He et al. draw them, around 0 and so wide that signals pass ReLU layers as strong as they were;
    biases become 0, batch norm does nothing. Values that are only shuffled keep their mean: of a pretrained YAMNet they
    leave layers that are silent, and maps that are flat rather than wrong. A layer's values are the same however many
    layers are randomised. What was adapted to the data (`keras.layers.Normalization`) stays.

    Parameters
    ----------
    network : keras.Model
        Left as it is.
    layers : int, optional
        How many, from the output on; all by default. A network inside the network is one layer.
    seed : int

    Returns
    -------
    keras.Model

    Raises
    ------
    ValueError
        If there are fewer layers with weights.

    References
    ----------
    He et al., Delving deep into rectifiers, ICCV 2015.
    """
    copy = copy_of(network)
    weighted = _weighted(copy)
    layers = len(weighted) if layers is None else layers
    if not 0 <= layers <= len(weighted):
        raise ValueError(f"layers={layers!r}: network '{network.name}' has {len(weighted)} layers with weights.")
    rng = np.random.default_rng(seed)
    for layer in weighted[:layers]:
        _begin_anew(layer, rng)
    return finalised(copy)


def _begin_anew(layer, rng):
    """Give the weights of a layer, or of the layers of a network, the values of one that has learned nothing."""
    if isinstance(layer, keras.Model):
        for inner in layer.layers:
            _begin_anew(inner, rng)
    elif not isinstance(layer, keras.layers.Normalization):
        for weight in layer.weights:
            shape = tuple(weight.shape)
            if len(shape) < 2:
                weight.assign(np.full(shape, float(weight.name in ("gamma", "moving_variance"))))
            else:
                depthwise = isinstance(layer, DEPTHWISE) or weight.name == "depthwise_kernel"
                inputs = np.prod(shape[:-2] if depthwise else shape[:-1])
                weight.assign(rng.normal(0, np.sqrt(2 / inputs), shape))


def _weighted(network):
    """Layers with weights, the one nearest to the output first; a layer that is called twice stands where it ends."""
    layers = {id(call.layer): call.layer for call in reversed(calls(network)) if call.layer.weights}
    return [layer for layer in layers.values() if not isinstance(layer, keras.layers.Normalization)]
