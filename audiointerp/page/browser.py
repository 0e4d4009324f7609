"""Controls for maps: classes, a method and a patch are chosen, and figures and sounds follow."""

import numpy as np

from ..errors import MissingDataError
from ..listening import listen, players
from ..plots import compare_labels, frequency_profile
from ..plots.maps import by_method, title_of
from ..sound.patches import class_names
from ..sound.reading import short


def map_browser(patches, maps, *, predictions=None, sound=True):
    """Choose two classes, a method and a patch: their maps, their profiles and what the map marks follow.

    Parameters
    ----------
    patches : Patches [n]
    maps : xarray.DataArray [n, label, time, frequency] or dict of them by method
        From `explain` or `explain_to_file`, of these patches or more; of a file only what is shown is read.
    predictions : pandas.DataFrame [n], optional
        From `predict`: the scores stand above the maps.
    sound : bool
        Let the patch be heard, what the map of the first class keeps of it, and what it leaves out. The clips' files
        are read.

    Returns
    -------
    ipywidgets.VBox
        The controls, and below them what they show; its controls are named in ``children``.

    Raises
    ------
    ValueError
        If there are no patches, fewer than two classes have maps, or the maps are not of these patches.
    MissingDataError
        If sound is asked for and the patches do not know their clips' files.

    Examples
    --------
    >>> map_browser(patches, {"occlusion": maps}, predictions=predict(network, patches))  # doctest: +SKIP
    """
    import ipywidgets
    import matplotlib.pyplot as plt
    from IPython.display import display

    if not len(patches):
        raise ValueError("no patches to choose from.")
    if not patches.table.index.is_unique:
        raise ValueError("a patch is there twice: expected each patch once.")
    maps = {
        name: each.assign_coords(label=class_names(each["label"].values), patch=patches.table.index.to_numpy())
        for name, each in by_method(maps, patches).items()
    }
    shared = set.intersection(*({*each["label"].values} for each in maps.values()))
    labels = [str(label) for label in next(iter(maps.values()))["label"].values if label in shared]
    if len(labels) < 2:
        raise ValueError(f"maps of {', '.join(labels) or 'no class'}: expected those of two classes or more.")
    if sound and "path" not in patches.table:
        raise MissingDataError("patches without the path of their clips: make them with make_patches, or sound=False.")
    known = "label" in patches.table

    def rows_of(label):
        rows = np.flatnonzero(patches.label == label) if known else np.arange(0)
        return rows if len(rows) else np.arange(len(patches))

    def choices(label):
        return [(_name(patches, row), int(row)) for row in rows_of(label)]

    first = ipywidgets.Dropdown(options=labels, value=labels[0], description="Class")
    second = ipywidgets.Dropdown(options=labels, value=labels[1], description="beside")
    method = ipywidgets.Dropdown(options=[(title_of(name), name) for name in maps], description="Method")
    patch = ipywidgets.Dropdown(options=choices(labels[0]), description="Patch")
    controls, shown = (first, second, method, patch), ipywidgets.Output()

    def follow(change):
        """Draw what is chosen, once for each choice, however many controls it changes."""
        for control in controls:
            control.unobserve(follow, "value")
        if change["owner"] is first:
            patch.options = choices(first.value)
        if first.value == second.value:
            second.value = next(label for label in labels if label != first.value)
        for control in controls:
            control.observe(follow, "value")
        with shown:
            shown.clear_output(wait=True)
            draw()

    def draw():
        pair, one, own = (first.value, second.value), patches[[patch.value]], maps[method.value]
        axes = compare_labels(one, {method.value: own}, pair, predictions=predictions)
        profile = frequency_profile(own, list(pair), own="true" in own.coords and {*pair} <= {*own["true"].values})
        for figure in (np.ravel(axes)[0].figure, profile.figure):
            display(figure)
            plt.close(figure)
        if sound:
            map_ = own.sel(patch=one.table.index[0], label=first.value)
            heard = listen(one.table["path"].iloc[0], map_, frontend=patches.frontend)
            display(players(heard, title=f"{title_of(method.value)} for {first.value}"))

    for control in controls:
        control.observe(follow, "value")
    follow({"owner": second})
    return ipywidgets.VBox([ipywidgets.HBox(controls), shown])


def _name(patches, row):
    """A patch in a list: its class, its file, and when it begins."""
    table = patches.table.iloc[row]
    label = f"{table['label']}, " if "label" in patches.table else ""
    where = short(table["path"]) if "path" in patches.table else f"clip {table['clip']}"
    return f"{label}{where}, {table['start']:.2f} s"
