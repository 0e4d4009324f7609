"""CAM and CRM: what each position of the last feature maps gives to the logits, read off the dense layer."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from ..networks.backend import keras
from ..networks.fingerprints import kept_with
from ..networks.graph import pooled_head
from ..networks.head import asked_labels, labels_of
from ..networks.precision import as_precision
from ..networks.running import batch_size_for, in_batches
from .arrays import request

VERSION = 1
ALL_CLASSES = "all classes"  # label of the CRM that is summed over every class of the network


def cam(
    network, patches, *, labels=None, upsample="linear", details=False, precision="auto", batch_size=None, progress=True
):
    """Class activation maps: the dense layer's weights laid over the last feature maps.

    For class c with weights w_cf and bias b_c, and the last feature maps A (filters f over a coarse grid of N cells):
    M_c = Σ_f w_cf A_f. The network averages A over the grid, so the mean of M_c over the grid plus b_c is the logit,
    exactly: a cell's value is the logit that the class would have, without its bias, if the whole patch looked like
    that cell. Upsampling keeps the mean where the grid divides the patch's sides evenly.

    Parameters
    ----------
    network : keras.Model [(n, frames, mels, 1) -> (n, classes)]
        Must end in global average pooling and one dense layer, as YAMNet does.
    patches : Patches [n]
    labels : sequence of str, optional
        Classes to explain; all by default.
    upsample : {"linear", "nearest", None}
        How the grid is brought to the size of the patch; None returns the grid.
    details : bool
        Return a Dataset with `map`, `grid`, `share` (patch, label, filter: what each filter gives to the logit),
        `bias` (label) and `logit` (patch, label). Shares and bias add up to the logit.
    precision : {"auto", "float32", "bfloat16"}
        Of the layers that give A; "auto" is float32 here. Average and weights are float32 always.
    batch_size : int, optional
    progress : bool

    Returns
    -------
    xarray.DataArray [patch, label, time (s), frequency (Hz)] or xarray.Dataset
        In units of the logit; positive where the features speak for the class, negative where against it.

    Raises
    ------
    ValueError
        If the network does not end so, or an option is unknown.
    PatchShapeError, UnknownLabelError, MissingDataError

    See Also
    --------
    audiointerp.maps.gradcam.gradcam : For any convolutional network; with this ending, ReLU(M_c) / N.

    References
    ----------
    Zhou et al., Learning deep features for discriminative localization, CVPR 2016.
    """
    asked = request(network, patches, labels, upsample, details)
    precision = "float32" if precision == "auto" else precision
    grids, means, head = _evidence(network, patches, asked.classes, precision, batch_size, progress, "CAM")
    settings = {"pool": head.pool, "upsample": upsample}
    maps = asked.maps(grids, method="cam", settings=settings, units="logit", precision=precision)
    if not details:
        return maps
    share = means[:, None, :] * head.kernel[:, asked.classes].T
    bias = head.bias[asked.classes]
    found = maps.assign(share=asked.each(share, "filter"), bias=("label", bias), logit=asked.each(share.sum(2) + bias))
    return found.assign_coords(filter=np.arange(share.shape[2]))


def crm(
    network, patches, *, labels=None, upsample="linear", details=False, precision="auto", batch_size=None, progress=True
):
    """Class-selective relevance maps: how much the logits change when a position of the last feature maps is removed.

    With S_c the logit of class c and S_c(i,j) the logit with all features of position (i,j) set to zero, the map is
    R(i,j) = Σ_c (S_c − S_c(i,j))². The average over N positions makes that Σ_c ((1/N) Σ_f w_cf A_f(i,j))²; the bias
    drops out. R is one map for all classes: large where a position tells classes apart, whichever it speaks for.

    Here each class has its own term of the sum, (S_c − S_c(i,j))². The label "all classes", if it is asked for, is R,
    summed over all classes of the network; so is ``maps.sum("label")`` of the maps of all classes.

    Parameters
    ----------
    network : keras.Model [(n, frames, mels, 1) -> (n, classes)]
        Must end in global average pooling and one dense layer, as YAMNet does.
    patches : Patches [n]
    labels : sequence of str, optional
        Classes whose terms to return, and "all classes" for R; each class, without R, by default.
    upsample : {"linear", "nearest", None}
        How the grid is brought to the size of the patch; None returns the grid.
    details : bool
        Return a Dataset with `map`, `grid` and `lost` (patch, class, grid_time, grid_frequency): the change
        S_c − S_c(i,j) with its sign, for every class of the network.
    precision : {"auto", "float32", "bfloat16"}
        Of the layers that give A; "auto" is float32 here. Average and weights are float32 always.
    batch_size : int, optional
    progress : bool

    Returns
    -------
    xarray.DataArray [patch, label, time (s), frequency (Hz)] or xarray.Dataset
        Squared logits, at least 0. A position that speaks against a class counts as much as one that speaks for it.

    Raises
    ------
    ValueError
        If the network does not end so, or an option is unknown.
    PatchShapeError, UnknownLabelError, MissingDataError

    References
    ----------
    Kim, Rajaraman & Antani, Visual interpretation of convolutional neural network predictions in classifying medical
    image modalities, Diagnostics 9(2), 2019.
    """
    every = labels_of(network)
    several = isinstance(labels, Iterable) and not isinstance(labels, str)
    listed = list(labels) if several else [labels] if labels == ALL_CLASSES else asked_labels(network, labels)
    asked = [name if name == ALL_CLASSES else asked_labels(network, [name])[0] for name in listed]
    own = [name for name in asked if name != ALL_CLASSES or name in every]
    checked = request(network, patches, own or (None if asked else asked), upsample, details)
    names = list(dict.fromkeys(asked))
    precision = "float32" if precision == "auto" else precision
    grids, _, head = _evidence(network, patches, list(range(len(every))), precision, batch_size, progress, "CRM")
    lost = grids / (grids.shape[2] * grids.shape[3])
    terms = [lost[:, every.index(name)] ** 2 if name in own else (lost**2).sum(axis=1) for name in names]
    settings = {"pool": head.pool, "upsample": upsample}
    about = {"method": "crm", "settings": settings, "units": "logit²", "precision": precision}
    maps = replace(checked, labels=names).maps(np.stack(terms, axis=1), **about)
    if not details:
        return maps
    return maps.assign(lost=replace(checked, labels=every).grid(lost, checked.tiles(lost)).rename(label="class"))


def _evidence(network, patches, classes, precision, batch_size, progress, title):
    """Σ_f w_cf A_f [n, classes, time, frequency], the maps' averages [n, filters], and the head of all classes."""
    import tensorflow as tf

    batch = batch_size_for(network, batch_size)
    head = pooled_head(network)
    network = as_precision(network, precision)
    kernel = head.kernel[:, classes]

    def traced():
        model = keras.Model(network.inputs[0], pooled_head(network).features)

        @tf.function(input_signature=[tf.TensorSpec([None, *model.input_shape[1:3]], tf.float32)])
        def evidence(batch):
            features = tf.cast(model(batch[..., None], training=False), tf.float32)
            return tf.einsum("ntmf,fc->nctm", features, kernel), tf.reduce_mean(features, axis=(1, 2))

        return evidence

    evidence = kept_with(network, ("cam", tuple(classes)), traced)
    grids, means = in_batches(evidence, patches.data, batch_size=batch, title=title, progress=progress)
    return grids, means, head
