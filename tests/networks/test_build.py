import pytest

from audiointerp.networks.build import GENRE, NETWORKS, build_network
from audiointerp.networks.head import frontend_of, labels_of
from audiointerp.sound.frontend import MUSIC, VGGISH, YAMNET

LABELS = ["dog", "rain", "rooster"]


@pytest.mark.parametrize("name", NETWORKS)
def test_every_name_is_a_network_with_these_classes(name):
    network = build_network(name, LABELS, weights="random", width=0.125)
    assert labels_of(network) == LABELS and network.name == name
    assert frontend_of(network) == (MUSIC if name in GENRE else {"vggish": VGGISH, "yamnet": YAMNET}[name])
    wider = build_network(name, LABELS, weights="random", width=0.25)
    assert wider.count_params() > 2 * network.count_params()


def test_the_seed_reaches_the_weights():
    one, same, other = (build_network("cam_cnn", LABELS, width=0.125, seed=seed) for seed in (1, 1, 2))
    kernels = [network.get_layer("conv1").kernel.numpy() for network in (one, same, other)]
    assert (kernels[0] == kernels[1]).all() and (kernels[0] != kernels[2]).any()


def test_an_unknown_name_is_an_error_that_lists_the_known_ones():
    with pytest.raises(ValueError, match="network='resnet': expected one of vggish, yamnet, plain_cnn"):
        build_network("resnet", LABELS)
