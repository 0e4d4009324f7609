"""Interpretable filters: a loss that makes each filter answer to one part of a sound, and what it buys.

A filter's map x should fit one template at a time: T_μ, positive around one position μ, or T⁻, negative everywhere.
The loss is minus the mutual information between the maps of a batch and the templates; it needs no labels of parts.

Maps may have unequal sides, height × width. The n² of the paper is then the number of positions height · width, and
‖p − μ‖₁ / n, the distance in sides of the map, is |rows apart| / height + |columns apart| / width. For height = width
= n both are the paper's. A template is positive within a diamond that reaches 1/β of each side from its centre.

References
----------
Zhang, Wu & Zhu, Interpretable Convolutional Neural Networks, CVPR 2018.
"""

import numpy as np
import pandas as pd
import xarray as xr

from .backend import keras

ops = keras.ops
BETA = 4.0


def filter_templates(height, width, *, tau=None, beta=BETA):
    """The templates that a map is compared with [height · width + 1, height · width], float32.

    Row μ is T_μ, τ · max(1 − β · distance, −1), with positions row by row; the last row is T⁻, −τ everywhere. By
    default τ is 0.5 / (height · width). A ValueError if there are fewer than two positions, or τ or β is not above 0.
    """
    if min(height, width) < 1 or height * width < 2:
        raise ValueError(
            f"maps of {height} x {width}: expected at least two positions, or there is no place to choose. "
            "Put the layer before the pooling that leaves one."
        )
    tau = 0.5 / (height * width) if tau is None else tau
    _check_above_zero(tau=tau, beta=beta)
    placed = tau * np.maximum(1 - beta * _distances(height, width), -1)
    return np.concatenate([placed, np.full((1, height * width), -tau)]).astype(np.float32)


def filter_loss(maps, *, tau=None, beta=BETA):
    """Minus the mutual information between a batch of maps and the templates, for each filter.

    It is at least −log(n) and −log(height · width + 1), and 0 where all maps of a filter are alike, as in a batch of
    one and for a dead filter. It compares the clips of a batch with each other: batches of other sizes give other
    values.

    Parameters
    ----------
    maps : array or tensor [n, height, width, filters]
        After a ReLU.
    tau, beta : float
        See `filter_templates`.

    Returns
    -------
    tensor [filters], float32
        Differentiable with respect to the maps.

    Raises
    ------
    ValueError
        If there are not four axes, or as `filter_templates`.
    """
    maps = ops.convert_to_tensor(maps)
    height, width = _sides(maps.shape)
    return _loss(maps, filter_templates(height, width, tau=tau, beta=beta))


@keras.saving.register_keras_serializable("audiointerp")
class InterpretableFilters(keras.layers.Layer):
    """Masks each map around its strongest position, and adds the filter loss while training.

    Belongs after the ReLU of a convolution, on maps of fixed sides of up to some 1,000 positions (it holds a matrix of
    positions × positions). It has no weights. The output is ReLU(x ∘ T_μ̂), μ̂ the strongest position, the first row by
    row of equals; no gradient flows through the choice of μ̂. The loss is added only in training, never in `evaluate`.

    By default tau, beta and peak are the paper's; that tau suits maps with values in the hundreds. On smaller ones
    the loss hardly acts, and it is lowered most easily by making the maps larger instead of more concentrated. So
    put batch norm between convolution and ReLU, and for maps with values of about 1 to 10 take tau=1 and peak=1.

    Parameters
    ----------
    weight : float
        Factor on the loss, which is summed over filters; 0 leaves the mask alone.
    tau : float, optional
        Largest entry of the templates; 0.5 / (height · width) by default. The loss depends on tau · maps alone.
    beta : float
        How steeply templates fall with the distance from their centre.
    peak : float, optional
        What the mask multiplies the strongest position by. By default tau, as printed: maps leave the layer some
        hundred times smaller, so that batch norm or a larger learning rate should follow. 1 passes the strongest
        position unchanged, as the authors' own code does.

    Raises
    ------
    ValueError
        If a number is out of range, or the maps do not have four axes, fixed sides and at least two positions.

    References
    ----------
    Zhang, Wu & Zhu, Interpretable Convolutional Neural Networks, CVPR 2018.
    """

    def __init__(self, weight=0.1, tau=None, beta=BETA, *, peak=None, **kwargs):
        super().__init__(**kwargs)
        if not (np.isfinite(weight) and weight >= 0):
            raise ValueError(f"weight={weight}: expected a number from 0.")
        given = {"tau": tau, "beta": beta, "peak": peak}
        _check_above_zero(**{name: value for name, value in given.items() if value is not None})
        self.weight, self.tau, self.beta, self.peak = weight, tau, beta, peak

    def build(self, input_shape):
        height, width = _sides(input_shape)
        self._templates = filter_templates(height, width, tau=self.tau, beta=self.beta)
        self._masks = self._templates if self.peak is None else self._templates / self._templates.max() * self.peak
        self.input_spec = keras.layers.InputSpec(ndim=4, axes={1: height, 2: width})

    def call(self, maps, training=None):
        if training and self.weight:
            self.add_loss(self.weight * ops.sum(_loss(maps, self._templates)))
        flat = _flattened(maps)
        strongest = ops.argmax(flat, axis=1)
        masks = ops.take(ops.cast(self._masks, maps.dtype), strongest, axis=0)
        return ops.relu(maps * ops.reshape(ops.transpose(masks, (0, 2, 1)), ops.shape(maps)))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        own = {"weight": self.weight, "tau": self.tau, "beta": self.beta, "peak": self.peak}
        return {**super().get_config(), **own}


def peak_positions(maps):
    """Where each map [clips, height, width, filters], after a ReLU, is strongest: row and column [clip, filter, axis].

    From 0; the first row by row of equals; NaN where a map is zero everywhere. A ValueError if there are not four axes
    or no clips, or a value is negative or not finite.
    """
    flat, (_, width) = _checked(maps)
    strongest = np.stack(np.divmod(flat.argmax(axis=1), width), axis=-1)
    found = np.where(flat.max(axis=1)[..., None] > 0, strongest, np.nan)
    return xr.DataArray(found, dims=("clip", "filter", "axis"), coords={"axis": ["row", "column"]}, name="peak")


def filter_concentration(maps, *, beta=BETA):
    """How much of each filter's activation lies around its strongest position.

    Of maps [clips, height, width, filters] from before the mask of `InterpretableFilters`, its input: after it, all
    activation lies there, whatever the filter has learned. Around is where the template at the strongest position is
    positive: closer than 1 / beta.

    Returns
    -------
    pandas.DataFrame [filters]
        `share` of the activation around the strongest position, averaged over the clips with any activation; `area`,
        the share of the map's positions that lie there, which is what an even map would have; `clips` with any
        activation. A dead filter has no share and no area.
    """
    flat, (height, width) = _checked(maps)
    _check_above_zero(beta=beta)
    around = beta * _distances(height, width) < 1
    strongest, total = flat.argmax(axis=1), flat.sum(axis=1)
    inside = np.stack([(x * around[peak].T).sum(axis=0) for x, peak in zip(flat, strongest, strict=True)])
    alive = total > 0
    share = np.where(alive, inside / np.where(alive, total, 1), np.nan)
    area = np.where(alive, around.mean(axis=1)[strongest], np.nan)
    table = {"share": pd.DataFrame(share).mean(), "area": pd.DataFrame(area).mean(), "clips": alive.sum(axis=0)}
    return pd.DataFrame(table).rename_axis("filter")


def _loss(maps, templates):
    """Minus the mutual information of each filter, with an exact gradient.

    p(T) is the same for every template: α / n² = 1 − α = 1 / (1 + n²). Logarithms are taken relative to the even
    distribution over the batch, so that small maps do not drown in rounding.

    With d = log p(x|T) − log p(x), the gradient of Σ p(T) p(x|T) d through d is Σ_T p(T) Σ_x dp(x|T) − Σ_x dp(x), and
    both sums are of changes that add up to 0. So d may be held constant, and only p(x|T) differentiated.
    """
    fit = ops.matmul(templates, ops.cast(_flattened(maps), "float32"))  # [n, templates, filters]
    log_ratio = fit - _log_mean_exp(fit, axis=0)  # log p(x|T) + log n
    information = ops.stop_gradient(log_ratio - _log_mean_exp(log_ratio, axis=1))
    return -ops.mean(ops.exp(log_ratio) * information, axis=(0, 1))


def _log_mean_exp(values, axis):
    largest = ops.stop_gradient(ops.max(values, axis=axis, keepdims=True))
    return largest + ops.log1p(ops.mean(ops.expm1(values - largest), axis=axis, keepdims=True))


def _flattened(maps):
    height, width, filters = maps.shape[1:]
    return ops.reshape(maps, (-1, height * width, filters))


def _distances(height, width):
    """Distance between any two positions, row by row, in sides of the map; one division, so that ties stay ties."""
    row, column = np.divmod(np.arange(height * width), width)
    apart = np.abs(row[:, None] - row) * width + np.abs(column[:, None] - column) * height
    return apart / (height * width)


def _sides(shape):
    if len(shape) != 4 or None in shape[1:]:
        raise ValueError(
            f"maps of shape {tuple(shape)}: expected (n, height, width, filters) with fixed sides, as after a "
            "convolution on inputs of one size."
        )
    return tuple(shape[1:3])


def _checked(maps):
    """Maps as [clips, positions, filters] in float64, and their sides."""
    maps = np.asarray(maps, np.float64)
    if maps.ndim != 4 or maps.size == 0:
        raise ValueError(f"maps of shape {maps.shape}: expected (clips, height, width, filters), none of them 0.")
    if not (np.isfinite(maps).all() and maps.min() >= 0):
        raise ValueError("maps hold negative numbers or NaN: expected the output of a ReLU.")
    return maps.reshape(len(maps), -1, maps.shape[-1]), maps.shape[1:3]


def _check_above_zero(**numbers):
    for name, value in numbers.items():
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"{name}={value}: expected a number above 0.")
