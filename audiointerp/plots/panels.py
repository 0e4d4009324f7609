"""One map, drawn as a panel; how methods are called, and which have a sign."""

from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize

from . import drawing

NAMES = {
    "gradcam": "Grad-CAM",
    "gradcam++": "Grad-CAM++",
    "gradcam_keras_vis": "Grad-CAM (tf-keras-vis)",
    "scorecam": "Score-CAM",
    "saliency": "Saliency",
    "lime": "LIME",
    "occlusion": "Occlusion",
    "cam": "CAM",
    "crm": "CRM",
    "deconvolution": "Deconvolution",
}
SIGNED = {"lime", "occlusion", "cam"}  # drawn with a sign even where no value happens to be negative
RELATIVE = {
    "panel": "Relative to panel's largest value",
    "row": "Relative to row's largest value",
    "method": "Relative to method's largest value",
}


@dataclass(frozen=True)
class Look:
    """How the maps of one method are drawn: signed on a scale centred at zero, or not; alone or over a spectrogram."""

    signed: bool
    overlay: bool = False

    @property
    def cmap(self):
        """Colour map; over a spectrogram, the smaller a value the more transparent it is."""
        if not self.overlay:
            return matplotlib.colormaps["RdBu_r" if self.signed else "magma"]
        shade = np.linspace(-1 if self.signed else 0, 1, 256)
        colours = matplotlib.colormaps["RdBu_r" if self.signed else "YlOrRd"](np.linspace(0, 1, 256))
        colours[:, 3] = np.abs(shade) ** 0.75
        return ListedColormap(colours)

    @property
    def norm(self):
        """From -1 to 1, or from 0 to 1."""
        return Normalize(-1 if self.signed else 0, 1)

    def colorbar(self, figure, axes, label):
        """The colour bar of this look, below the axes."""
        bar = figure.colorbar(
            ScalarMappable(self.norm, self.cmap), ax=axes, location="bottom", aspect=18 * np.shape(axes)[-1], pad=0.02
        )
        bar.set_label(label, size=drawing.SMALL)
        bar.ax.tick_params(labelsize=drawing.SMALL)
        bar.set_ticks([-1, 0, 1] if self.signed else [0, 0.5, 1])
        return bar


def title_of(method):
    """A method's name as titles write it; unknown ones as they are."""
    return NAMES.get(method, str(method))


def look_of(method, maps, overlay=False):
    """How to draw these maps: with a sign if their method has one, or if a value is negative."""
    return Look(maps.attrs.get("method", method) in SIGNED or bool((maps < 0).any()), overlay)


def peak_of(values):
    """Largest distance from zero; 0 if no value is finite."""
    finite = np.abs(np.asarray(values, dtype=float))
    return float(finite[np.isfinite(finite)].max(initial=0))


def draw_map(ax, panel, patch, look, *, relative_to, title, narrow=False):
    """Draw one map over the extent of its patch.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    panel : xarray.DataArray [time, frequency]
        On the patch's cells, or on fewer.
    patch : Patches [1]
    look : Look
    relative_to : float
        Value that gets the strongest colour.
    title : str
        The panel's own largest value is added.
    narrow : bool
        Whether the panel is too narrow for long lines.

    Returns
    -------
    matplotlib.collections.QuadMesh
    """
    values = panel.transpose("time", "frequency").to_numpy().astype(float)
    within = (patch.time, patch.frequency)
    if look.overlay:
        pale = ListedColormap(matplotlib.colormaps["gray_r"](np.linspace(0, 0.55, 256)))
        drawing.draw_cells(ax, patch.data[0], *within, cmap=pale)
    mesh = drawing.draw_cells(
        ax,
        values / (relative_to or 1),
        panel["time"].to_numpy(),
        panel["frequency"].to_numpy(),
        within=within,
        cmap=look.cmap,
        norm=look.norm,
    )
    strongest = values.ravel()[np.nanargmax(np.abs(values))] if np.isfinite(values).any() else np.nan
    text = "no values" if np.isnan(strongest) else f"peak {strongest:.2g}".replace("-", "−")
    gap = "\n" if narrow or len(title.splitlines()[-1]) > 20 else ", "
    ax.set_title(f"{title}{gap}{text}", size=drawing.SMALL - 1 if narrow else drawing.NORMAL - 1)
    return mesh
