"""Networks by their names."""

from .genre import cam_cnn, interpretable_cnn, plain_cnn
from .vggish import vggish
from .yamnet import yamnet

PRETRAINED = {"vggish": vggish, "yamnet": yamnet}
GENRE = {"plain_cnn": plain_cnn, "cam_cnn": cam_cnn, "interpretable_cnn": interpretable_cnn}
NETWORKS = PRETRAINED | GENRE


def build_network(network, labels, *, weights="audioset", width=1.0, seed=0):
    """A network by its name, with a new head for `labels`.

    Parameters
    ----------
    network : {"vggish", "yamnet", "plain_cnn", "cam_cnn", "interpretable_cnn"}
    labels : sequence of str
        Class names.
    weights : {"audioset", "random"} or path
        To start from; the networks for music start from random ones in any case.
    width : float
        Factor on the number of filters; below 1 only with random weights.
    seed : int
        For random weights.

    Returns
    -------
    keras.Model [(n, frames, mels, 1) -> (n, classes)]

    Raises
    ------
    ValueError
        If there is no such network.
    """
    if network not in NETWORKS:
        raise ValueError(f"network={network!r}: expected one of {', '.join(NETWORKS)}.")
    if network in GENRE:
        return GENRE[network](labels, width=width, seed=seed)
    return PRETRAINED[network](labels, weights=weights, width=width, seed=seed)
