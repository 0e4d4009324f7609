"""Networks side by side, and what the way of dividing does to their accuracy."""

import matplotlib.pyplot as plt
import numpy as np

from . import drawing

COLUMNS = ["network", "split", *(f"{of}{end}" for of in ("segments", "tracks") for end in ("", "_low", "_high"))]
PANELS = {"segments": "Segments right", "tracks": "Tracks right, by vote of their segments"}
MARKERS = "osD^v"


def network_comparison(table, *, chance=None, title=None):
    """Draw accuracy by segment and by track, a row a network, a colour and marker a way of dividing.

    Parameters
    ----------
    table : pandas.DataFrame
        From `compare_networks`.
    chance : float, optional
        Accuracy of guessing, as a share.
    title : str, optional

    Returns
    -------
    numpy.ndarray [2] of matplotlib.axes.Axes
        Segments and tracks.

    Raises
    ------
    ValueError
        If the table is not as `compare_networks` gives it.
    """
    drawing.check_columns(table, COLUMNS, "compare_networks()")
    networks, splits = (list(dict.fromkeys(table[column])) for column in ("network", "split"))
    height = 0.32 * len(networks) * max(len(splits), 1) + 1.7
    figure, axes = plt.subplots(1, 2, figsize=(10, height), sharey=True, layout="constrained")
    step = 0.7 / max(len(splits), 1)
    for ax, (column, name) in zip(axes, PANELS.items(), strict=True):
        for number, split in enumerate(splits):
            rows = table[table["split"] == split]
            places = np.array([networks.index(network) for network in rows["network"]])
            places = places + (number - (len(splits) - 1) / 2) * step
            value, low, high = (100 * rows[f"{column}{end}"].to_numpy(float) for end in ("", "_low", "_high"))
            style = {"color": drawing.COLOURS[number % 6], "marker": MARKERS[number % 5], "label": split}
            ax.errorbar(value, places, xerr=[value - low, high - value], linestyle="none", capsize=3, **style)
            for x, y, right in zip(value, places, high, strict=True):
                ax.annotate(f"{x:.0f}", (right, y), (5, 0), textcoords="offset points", va="center", size=drawing.SMALL)
        if chance is not None:
            ax.axvline(100 * chance, color="0.5", linestyle=":")
            ax.annotate("chance", (100 * chance, 1), (3, -2), xycoords=("data", "axes fraction"), va="top",
                        textcoords="offset points", size=drawing.SMALL, color="0.4")  # fmt: skip
        ax.set(xlim=(0, 108), xlabel="Accuracy (%), with its 95% interval", title=name)
        ax.set_xticks(range(0, 101, 20))
        ax.spines[["top", "right"]].set_visible(False)
        for place in range(1, len(networks)):
            ax.axhline(place - 0.5, color="0.9", linewidth=0.8, zorder=0)
    axes[0].set_yticks(range(len(networks)), networks)
    axes[0].set_ylim(len(networks) - 0.5, -0.5)
    if len(splits) > 1:
        handles = axes[0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside lower center", ncols=len(splits), frameon=False)
    if title:
        figure.suptitle(title)
    return axes
