"""The methods by their names, behind one call."""

import inspect
from importlib import import_module
from numbers import Integral

from ..networks.backend import in_float32
from ..networks.fingerprints import digest
from ..networks.head import check_kinds
from ..networks.precision import check_precision, is_reduced
from ..storage.cache import cached

# Each method's module has a VERSION, which goes up whenever the method gives other results than before.
METHODS = {
    "gradcam": "gradcam:gradcam",
    "lime": "lime:lime",
    "occlusion": "occlusion:occlusion",
    "gradcam++": "keras_vis:gradcam_plus_plus",
    "scorecam": "keras_vis:scorecam",
    "saliency": "keras_vis:saliency",
    "integrated_gradients": "integrated_gradients:integrated_gradients",
    "rise": "rise:rise",
    "gradcam_keras_vis": "keras_vis:gradcam_keras_vis",
    "cam": "cam:cam",
    "crm": "cam:crm",
}


@in_float32()
def explain(
    network,
    patches,
    method="gradcam",
    *,
    labels=None,
    upsample="linear",
    details=False,
    precision="auto",
    seed=0,
    batch_size=None,
    progress=True,
    cache=True,
    **options,
):
    """Maps of what a network listens to, by any method.

    Values are as the method defines them, in the units of its score, so that patches and classes can be compared;
    scaling to a colour range belongs to plots. One run serves every class.

    Parameters
    ----------
    network : keras.Model [(n, frames, mels, 1) -> (n, classes)]
    patches : Patches [n]
    method : str
        One of `METHODS`: "gradcam", "lime", "occlusion", "gradcam++", "scorecam", "saliency", "rise",
        "integrated_gradients", "gradcam_keras_vis";
        "cam" and "crm" for networks that end in global average pooling and one dense layer, as YAMNet does.
    labels : sequence of str, optional
        Classes to explain; all by default. "crm" knows "all classes", its sum over them, too.
    upsample : {"linear", "nearest", None}
        How a coarse grid is brought to the size of the patch. None gives the grid itself, whose coordinates are the
        centres of its cells. Methods that value every cell of the patch make no difference between the first two.
    details : bool
        Return a Dataset that holds, beside `map`, what the method knows more.
    precision : {"auto", "float32", "bfloat16"}
        Of the predictions that LIME, occlusion and Score-CAM need: "auto" is bfloat16 where the hardware gains from
        it. Gradients are computed in float32, except Grad-CAM's if "bfloat16" is asked for;
        so are the feature maps of CAM and CRM.
    seed : int
        For the methods that draw random numbers.
    batch_size : int, optional
        Patches a forward pass; chosen for the network by default. The result does not depend on it.
    progress : bool
        Show a bar when it takes longer than two seconds.
    cache : bool
        Keep the result in the cache, under the network's weights, the patches and all settings, and serve it from
        there.
    **options
        The method's own, such as ``samples=`` for LIME: see its function.

    Returns
    -------
    xarray.DataArray [patch, label, time (s), frequency (Hz)], float32
        With the coordinates `clip`, `start` and `true` (label) along `patch`, as far as the patches know them;
        `patch` counts as the set does that the patches were taken from. ``attrs`` name the method, its settings, the
        network and the units. With ``details=True`` an xarray.Dataset around it.

    Raises
    ------
    ValueError
        If the method, or the value of an option, is unknown.
    TypeError
        If the method has no such option.
    PatchShapeError
        If the network does not take these patches.
    UnknownLabelError
        If the network has no such class.
    MissingDataError
        If there are no patches.

    See Also
    --------
    audiointerp.maps.gradcam.gradcam, audiointerp.maps.lime.lime, audiointerp.maps.occlusion.occlusion
    audiointerp.maps.cam.cam, audiointerp.maps.cam.crm

    Examples
    --------
    >>> maps = explain(network, patches[[250, 500, 750]], "occlusion")  # doctest: +SKIP
    >>> maps.sel(label="helicopter").mean("patch").plot()  # doctest: +SKIP
    """
    common = {"labels": labels, "upsample": upsample, "details": details, "precision": precision, "seed": seed}
    common |= {"batch_size": batch_size, "progress": progress}
    function, chosen = method_call(method, common | options)
    if not isinstance(seed, Integral):
        raise ValueError(f"seed={seed!r}: expected a whole number: one seed gives one result.")
    check_kinds(network, patches)
    if not cache:
        return function(network, patches, **chosen)
    return _run(method, *maps_key(network, patches, function, chosen), function, network, patches, chosen)


def method_call(method, options):
    """A method's function, and which of `explain`'s options it takes: those given, and its defaults of the others."""
    if method not in METHODS:
        raise ValueError(f"method={method!r}: unknown. Choose one of {', '.join(METHODS)}.")
    module, name = METHODS[method].split(":")
    function = getattr(import_module(f".{module}", __package__), name)
    common = {
        name: each.default
        for name, each in inspect.signature(explain).parameters.items()
        if each.kind is each.KEYWORD_ONLY and name != "cache"
    }
    check_precision(options.get("precision", "auto"))
    accepted = list(inspect.signature(function).parameters)[2:]
    unknown = [option for option in options if option not in accepted and option not in common]
    if unknown:
        own = ", ".join(option for option in accepted if option not in common) or "none"
        raise TypeError(f"method '{method}' has no option {', '.join(unknown)}; its own are: {own}.")
    return function, {name: value for name, value in (common | options).items() if name in accepted}


def maps_key(network, patches, function, chosen):
    """What maps depend on: the settings, and fingerprints of everything else."""
    settings = {name: value for name, value in chosen.items() if name not in ("progress", "batch_size")}
    version = import_module(function.__module__).VERSION
    return settings, [version, digest(network), patches.digest, patches.table, is_reduced(chosen.get("precision"))]


@cached("maps", version=1, ignore=("function", "network", "patches", "chosen"))
def _run(method, settings, key, function, network, patches, chosen):
    return function(network, patches, **chosen)
