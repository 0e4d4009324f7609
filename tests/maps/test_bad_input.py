import keras
import numpy as np
import pytest

from audiointerp.errors import MissingDataError, PatchShapeError, UnknownLabelError
from audiointerp.maps import METHODS, explain

every_method = pytest.mark.parametrize("method", METHODS)


def test_unknown_method(network_of, patches_of):
    with pytest.raises(ValueError, match=r"method='guess'.*gradcam, lime, occlusion"):
        explain(network_of(), patches_of(), "guess")


def test_option_of_another_method(network_of, patches_of):
    with pytest.raises(TypeError, match=r"'gradcam' has no option samples; its own are: layer"):
        explain(network_of(), patches_of(), "gradcam", samples=10)


@every_method
def test_unknown_label(method, network_of, patches_of):
    with pytest.raises(UnknownLabelError, match=r"'dog'.*class0, class1, class2"):
        explain(network_of(), patches_of(), method, labels=["class1", "dog"])


@every_method
def test_no_labels(method, network_of, patches_of):
    with pytest.raises(ValueError, match="labels is empty"):
        explain(network_of(), patches_of(), method, labels=[])


@every_method
def test_no_patches(method, network_of, patches_of):
    with pytest.raises(MissingDataError, match="no patches"):
        explain(network_of(), patches_of()[[]], method)


@every_method
def test_patches_of_another_shape(method, network_of, patches_of):
    with pytest.raises(PatchShapeError, match=r"37, 23"):
        explain(network_of((37, 23)), patches_of((23, 37)), method)


@every_method
def test_network_on_waveforms(method, patches_of):
    inputs = keras.Input((100,))
    network = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(inputs))
    with pytest.raises(PatchShapeError):
        explain(network, patches_of(), method)


@every_method
@pytest.mark.parametrize(
    "option", [{"upsample": "cubic"}, {"batch_size": 0}, {"precision": "float16"}], ids=lambda o: next(iter(o))
)
def test_common_options(method, option, network_of, patches_of):
    with pytest.raises(ValueError, match=next(iter(option))):
        explain(network_of(), patches_of(), method, **option)


@pytest.mark.parametrize(
    ("method", "options", "match"),
    [
        ("gradcam", {"layer": "conv9"}, r"conv9.*first.*second.*norm.*rectified.*pool"),
        ("gradcam", {"layer": "FCFinal"}, "FCFinal"),
        ("scorecam", {"filters": 7}, r"filters=7.*has 6"),
        ("lime", {"samples": 1}, "samples=1"),
        ("lime", {"kernel_width": 0}, "kernel_width"),
        ("lime", {"fill": "noise"}, "'mean', 'silence'"),
        ("lime", {"fill": float("nan")}, "fill=nan"),
        ("lime", {"score": "loss"}, "'probability' or 'logit'"),
        ("lime", {"regions": "hexagons"}, "'grid', 'superpixels'"),
        ("lime", {"regions": np.zeros((3, 3), int)}, r"shape \(37, 23\)"),
        ("lime", {"regions": np.zeros((37, 23))}, "float64"),
        ("lime", {"regions": np.zeros((37, 23), int)}, "single region"),
        ("lime", {"count": 1}, "count=1"),
        ("lime", {"regions": "superpixels", "upsample": None}, "details=True"),
        ("occlusion", {"mask": (38, 4)}, r"\(37, 23\)"),
        ("occlusion", {"mask": (0, 4)}, "mask"),
        ("occlusion", {"mask": (4.5, 4)}, "whole numbers"),
        ("occlusion", {"mask": 4}, r"\(frames, mels\)"),
        ("occlusion", {"mask": (4, 4), "stride": (5, 2)}, "uncovered"),
        ("occlusion", {"fill": "noise"}, "'mean', 'silence'"),
        ("occlusion", {"score": "loss"}, "'probability' or 'logit'"),
    ],
)
def test_own_options(method, options, match, network_of, patches_of):
    with pytest.raises(ValueError, match=match):
        explain(network_of(), patches_of(), method, progress=False, **options)


def test_no_convolution(linear_of, patches_of):
    network = linear_of(np.ones((37, 23, 2)))
    with pytest.raises(ValueError, match=r"no convolution.*'lime' or 'occlusion'"):
        explain(network, patches_of(), "gradcam")
