"""How fast Grad-CAM and occlusion are: against the bare work, tf-keras-vis, and Xplique where it is installed.

    python tests/benchmarks/bench_peers.py [--patches 256] [--width 0.25] [--repeats 3]

The network is a VGGish of random weights. Grad-CAM explains one class of many patches; the floor is a gradient written
by hand in one compiled function, at our batch size. Occlusion explains one patch and sixteen, on our default grid and
with masks side by side, which Xplique can be asked for too; the floor is the forward passes alone. Everything takes
turns, and the least time of each counts. Xplique needs an environment of its own: pip install xplique.
"""

import argparse
import importlib.util
import time

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from audiointerp.maps import explain
from audiointerp.maps.occlusion import covered
from audiointerp.networks.graph import grid_of, logits_of
from audiointerp.networks.precision import as_precision
from audiointerp.networks.running import batch_size_for
from audiointerp.networks.vggish import vggish
from audiointerp.sound.patches import Patches

LABELS = [f"class {number}" for number in range(10)]
ONE = {"labels": LABELS[:1], "cache": False, "progress": False}
SIDE = 12, 8  # frames and mels of masks that lie side by side


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patches", type=int, default=256)
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    network = vggish(LABELS, weights="random", width=args.width)
    data = np.random.default_rng(0).normal(-3, 1, (args.patches, 96, 64)).astype(np.float32)
    patches = Patches(data, pd.DataFrame({"clip": range(len(data)), "start": 0.0, "label": LABELS[0]}))
    rows = [
        *measured(f"Grad-CAM of {len(data)} patches", gradcams(network, patches), args.repeats),
        *measured("occlusion of 1 patch, float32", occlusions(network, patches[:1], "float32"), args.repeats),
        *measured("occlusion of 1 patch, bfloat16", occlusions(network, patches[:1], "bfloat16"), args.repeats),
        *measured("occlusion of 16 patches, float32", occlusions(network, patches[:16], "float32"), args.repeats),
        *measured("occlusion of 1 patch, masks side by side", side_by_side(network, patches[:1]), args.repeats),
        *measured("occlusion of 16 patches, masks side by side", side_by_side(network, patches[:16]), args.repeats),
    ]
    print(pd.DataFrame(rows).to_string(index=False, float_format="{:.3f}".format))


def measured(task, ways, repeats):
    """Least seconds of each way of a task, taking turns after a first run, and how many times ours that is."""
    for run in ways.values():
        run()
    seconds = {name: [] for name in ways}
    for _ in range(repeats):
        for name, run in ways.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    ours = min(seconds["ours"])
    return [{"task": task, "way": name, "seconds": min(s), "ours/it": ours / min(s)} for name, s in seconds.items()]


def gradcams(network, patches):
    target, batch = grid_of(network, None).tensor, batch_size_for(network)
    model = keras.Model(network.inputs[0], [target, logits_of(network)])

    @tf.function(input_signature=[tf.TensorSpec([None, 96, 64], tf.float32)])
    def by_hand(data):
        with tf.GradientTape() as tape:
            activation, logits = model(data[..., None], training=False)
            score = logits[:, 0]
        weights = tf.reduce_mean(tape.gradient(score, activation), axis=(1, 2))
        return tf.nn.relu(tf.einsum("ntmf,nf->ntm", activation, weights))

    def floor():
        return [by_hand(patches.data[start : start + batch]).numpy() for start in range(0, len(patches), batch)]

    ours = explain(network, patches, "gradcam", upsample=None, **ONE)
    np.testing.assert_allclose(ours[:, 0], np.concatenate(floor()), atol=1e-5)
    ways = {"ours": lambda: explain(network, patches, "gradcam", upsample=None, **ONE), "gradient by hand": floor}
    ways["tf-keras-vis"] = lambda: explain(network, patches, "gradcam_keras_vis", upsample=None, **ONE)
    if peer := xplique("GradCAM", network):
        inputs, targets = peer_inputs(patches)
        ways["Xplique"] = lambda: peer(inputs, targets)
    return ways


def occlusions(network, patches, precision):
    count = 1 + np.prod([len(covered(*sides)) for sides in ((96, 19, 10), (64, 13, 6))])
    return {
        "ours": lambda: explain(network, patches, "occlusion", precision=precision, **ONE),
        "forward passes": passes(network, patches, count, precision),
    }


def side_by_side(network, patches):
    options = {"mask": SIDE, "stride": SIDE, "precision": "float32"}
    count = 1 + np.prod([len(covered(side, mask, mask)) for side, mask in zip((96, 64), SIDE, strict=True)])
    ways = {"ours": lambda: explain(network, patches, "occlusion", **options, **ONE)}
    ways["forward passes"] = passes(network, patches, count, "float32")
    if peer := xplique("Occlusion", network, patch_size=SIDE, patch_stride=SIDE, occlusion_value=-3.0):
        inputs, targets = peer_inputs(patches)
        ways["Xplique"] = lambda: peer(inputs, targets)
    return ways


def passes(network, patches, count, precision):
    """So many bare forward passes for each patch, at our batch size."""
    reduced, batch = as_precision(network, precision), batch_size_for(network, precision=precision)
    forward = tf.function(lambda data: reduced(data[..., None], training=False), reduce_retracing=True)
    data = np.repeat(patches.data, count, axis=0)
    return lambda: [forward(data[start : start + batch]).numpy() for start in range(0, len(data), batch)]


def xplique(name, network, **options):
    """An explainer of Xplique, with our batch size; None where it is not installed."""
    if importlib.util.find_spec("xplique") is None:
        return None
    from xplique import attributions

    return getattr(attributions, name)(network, batch_size=batch_size_for(network), **options)


def peer_inputs(patches):
    return patches.data[..., None], keras.utils.to_categorical(np.zeros(len(patches), int), len(LABELS))


if __name__ == "__main__":
    main()
