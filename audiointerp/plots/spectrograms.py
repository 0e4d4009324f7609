"""Sounds as waveforms and spectrograms."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import patheffects
from matplotlib.patches import Rectangle

from ..sound.frontend import VGGISH
from . import drawing


@drawing.literal
def waveform(samples, sample_rate=16_000, *, title=None, ax=None):
    """Draw a sound's waveform over time.

    Parameters
    ----------
    samples : numpy.ndarray [samples]
    sample_rate : int
        Hz.
    title : str, optional
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    samples = np.asarray(samples)
    if samples.ndim != 1 or not samples.size:
        raise ValueError(f"waveform of shape {samples.shape}: expected (samples,), one channel, as from read_audio().")
    ax = drawing.new_axes(ax, 8, 1.8)
    ax.plot(np.arange(samples.size) / sample_rate, samples, color=drawing.BLUE, linewidth=0.6)
    loudest = np.nanmax(np.abs(samples))
    ax.set_ylim(*(np.array([-1.1, 1.1]) * (loudest if loudest > 0 else 1)))
    ax.set_xlim(0, samples.size / sample_rate)
    ax.axhline(0, color="0.5", linewidth=0.5, zorder=0)
    ax.set(xlabel="Time (s)", ylabel="Amplitude", title=title or "")
    return ax


@drawing.literal
def spectrogram(log_mel, *, frontend=VGGISH, evidence=None, title=None, colorbar=True, ax=None):
    """Draw a log-mel spectrogram, of a whole clip or of one patch.

    Parameters
    ----------
    log_mel : numpy.ndarray [frames, mels]
    frontend : FrontEnd
        The one that made it; it knows the time of each frame and the frequency of each band.
    evidence : sequence of (start_s, stop_s, low_hz, high_hz), optional
        Regions to outline, as synthetic clips know them.
    title : str, optional
    colorbar : bool
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    PatchShapeError
        If the array is not (frames, mels) of this front end.
    """
    log_mel = drawing.check_log_mel(log_mel, frontend)
    ax = drawing.new_axes(ax, 8, 2.8)
    time = frontend.frame_times(len(log_mel))
    mesh = drawing.draw_cells(ax, log_mel, time, frontend.frequency, cmap="viridis")
    ax.set_title(title or "")
    if colorbar:
        ax.figure.colorbar(mesh, ax=ax, pad=0.02).set_label(drawing.level_label(frontend), size=drawing.SMALL)
    if evidence is not None:
        outline(ax, evidence)
    return ax


def outline(ax, boxes, *, color="white", label=None):
    """Outline regions of a spectrogram or a map.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    boxes : sequence of (start_s, stop_s, low_hz, high_hz)
        Cut off at the edges of the axes.
    color : str
    label : str, optional
        For a legend.

    Returns
    -------
    matplotlib.axes.Axes
    """
    (first, last), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    halo = [patheffects.withStroke(linewidth=3.5, foreground="black", alpha=0.7)]
    for number, box in enumerate(boxes):
        if len(box) != 4 or box[0] > box[1] or box[2] > box[3]:
            raise ValueError(f"box {tuple(box)}: expected (start_s, stop_s, low_hz, high_hz), each pair ascending.")
        start, stop = np.clip(box[:2], first, last)
        low, high = np.clip(box[2:], bottom, top)
        named = label if number == 0 else None
        style = {"fill": False, "color": color, "linewidth": 1.6, "label": named}
        rectangle = Rectangle((start, low), stop - start, high - low, **style)
        rectangle.set_path_effects(halo)
        ax.add_patch(rectangle)
    return ax


@drawing.literal
def patch_grid(patches, *, predictions=None, titles=None, columns=3):
    """Draw patches in a grid, all on one colour scale.

    Parameters
    ----------
    patches : Patches [n]
        At most 60.
    predictions : pandas.DataFrame, optional
        From `predict`; rows are found by the patches' index, so the table may hold more. Titles then say true and
        predicted class and score, and wrong predictions are marked.
    titles : sequence of str, optional
        Instead of the class names.
    columns : int

    Returns
    -------
    numpy.ndarray [n] of matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there are no patches or too many, or titles or predictions are not theirs.
    """
    drawing.check_count(patches, 60)
    if titles is not None and len(titles) != len(patches):
        raise ValueError(f"{len(titles)} titles for {len(patches)} patches: expected one a patch.")
    table = drawing.prediction_rows(predictions, patches)
    columns = min(columns, len(patches))
    rows = -(-len(patches) // columns)
    figure, axes = plt.subplots(rows, columns, sharex=True, sharey=True, squeeze=False, layout="constrained")
    figure.set_size_inches(min(10, 3.0 * columns + 1.2), 2.1 * rows + 0.5)
    scale = {"vmin": np.nanmin(patches.data), "vmax": np.nanmax(patches.data)}
    for number, ax in enumerate(axes.flat):
        if number >= len(patches):
            ax.set_axis_off()
            continue
        mesh = draw_patch(ax, patches[number], prediction=table[number], narrow=columns > 3, **scale)
        if titles is not None:
            ax.set_title(titles[number], size=drawing.NORMAL)
    drawing.label_outer(axes)
    bar = figure.colorbar(mesh, ax=axes, pad=0.02, aspect=30)
    bar.set_label(drawing.level_label(patches.frontend), size=drawing.SMALL)
    return axes.ravel()[: len(patches)]


def draw_patch(ax, patch, *, prediction=None, narrow=False, **style):
    """Draw one patch, titled with its class and its prediction (a row of the table), if any; give back its mesh."""
    mesh = drawing.draw_cells(ax, patch.data[0], patch.time, patch.frequency, **{"cmap": "viridis", **style})
    true = patch.label[0] if "label" in patch.table else None
    lines, wrong = [] if true is None else [str(true)], False
    if prediction is not None:
        predicted = prediction["predicted"]
        wrong = true is not None and predicted != true
        score = prediction.get("score", prediction.get(predicted))
        before, between = ("wrong\n", "\n") if narrow else ("wrong | ", " ")
        lines = [f"{before if wrong else ''}true: {line}" for line in lines]
        lines.append(f"predicted:{between}{predicted}" + ("" if score is None else f" {score:.2f}"))
    size = drawing.SMALL - 1 if narrow else drawing.NORMAL - 1
    ax.set_title("\n".join(lines), size=size, color=drawing.VERMILION if wrong else "black")
    if wrong:
        ax.spines[:].set(color=drawing.VERMILION, linewidth=2.5)
    return mesh
