"""How fast LIME and occlusion are: against the libraries' way, and against the forward passes that they need.

    python tests/benchmarks/bench_maps.py [--samples 2048] [--width 1.0]

The network is a VGGish of random filters whose head was fitted to synthetic patches, so that scores do move. Every
run computes: the cache of maps is left out. Other work on the machine disturbs wall time, so that runs and floors take
turns, and seconds of processor time (all threads) stand beside it. "first" is the first call, which compiles and
copies.
"""

import argparse
import time
from unittest import mock

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from lime.lime_image import LimeImageExplainer
from sklearn.linear_model import LogisticRegression

from audiointerp.maps import explain
from audiointerp.maps.regions import regions_of
from audiointerp.networks.precision import as_precision, gains_from_bfloat16
from audiointerp.networks.running import batch_size_for, scores_of
from audiointerp.networks.vggish import vggish
from audiointerp.sound.patches import Patches

LABELS = [f"band {i}" for i in range(10)]
BATCHES = (32, 64, 128, 256)
PEER_BATCHES = ((10, 10), (64, 64), (256, 64), (256, 256))  # lime's batch_size, and predict's


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=2048, help="versions of the patch for LIME")
    parser.add_argument("--width", type=float, default=1.0, help="factor on the number of filters")
    parser.add_argument("--repeats", type=int, default=2, help="times each is run; the least counts")
    args = parser.parse_args()

    network, patches = fitted_network(args.width)
    size = sum(weight.numpy().size for weight in network.weights) / 1e6
    print(f"VGGish, {size:.1f} M parameters, random filters, head fitted to synthetic patches")
    print(f"hardware gains from bfloat16: {gains_from_bfloat16()}\n")

    peer_lime, peer_coefficients = time_peer_lime(network, patches[0], args)
    peer_occlusion = time_peer_occlusion(network, patches[0])
    rows, maps = [], {}
    for precision in ("float32", "bfloat16"):
        for method, count, options, peer in (
            ("lime", args.samples, {"samples": args.samples}, peer_lime),
            ("occlusion", 133, {}, peer_occlusion),
        ):

            def run(method=method, precision=precision, options=options):
                options = {"precision": precision, "details": True, "progress": False, "cache": False, **options}
                return explain(network, patches[0], method, **options)

            fresh = timed(run)[0][0]
            bare = bare_passes(network, patches, count, precision)
            turns = [(timed(run), timed(bare)) for _ in range(args.repeats)]
            maps[method, precision] = turns[0][0][1]
            (wall, cpu), (floor, floor_cpu) = (np.min([turn[k][0] for turn in turns], axis=0) for k in (0, 1))
            made = count_passes(network, precision, run)
            if made != count:
                raise RuntimeError(f"{method} made {made} forward passes, expected {count}: its time means nothing.")
            row = {"method": method, "precision": precision, "passes": made, "first": fresh, "wall": wall, "cpu": cpu}
            row |= {"wall/floor": wall / floor, "cpu/floor": cpu / floor_cpu}
            rows.append(row | {"peer/wall": peer[0] / wall, "peer/cpu": peer[1] / cpu})
    print("\n", pd.DataFrame(rows).to_string(index=False, float_format="{:.2f}".format), "\n", sep="")

    for method in ("lime", "occlusion"):
        full, reduced = (maps[method, p]["map"].values.ravel() for p in ("float32", "bfloat16"))
        print(f"{method}: map correlation of bfloat16 with float32 {np.corrcoef(full, reduced)[0, 1]:.5f}")
    coefficients = maps["lime", "float32"]["coefficients"].values[0]
    print(
        f"lime: correlation with lime's coefficients {np.corrcoef(coefficients.ravel(), peer_coefficients)[0, 1]:.4f}"
    )
    full, reduced = (scores_of(network, patches.data, precision=p).argmax(1) for p in ("float32", "bfloat16"))
    print(f"predicted class the same for {(full == reduced).sum()} of {len(patches)} patches")


def fitted_network(width):
    """Network, and patches that its head was not fitted to: noise with one bright band, the class."""
    rng = np.random.default_rng(0)
    kind = np.arange(100) % 10
    data = rng.normal(-3, 0.5, (100, 96, 64)).astype(np.float32)
    for patch, k in zip(data, kind, strict=True):
        start = rng.integers(0, 48)
        patch[start : start + 48, 6 * k : 6 * k + 6] += 3
    network = vggish(LABELS, weights="random", width=width)
    head = network.get_layer("FCFinal")
    features = keras.Model(network.inputs[0], head.input).predict(data[..., None], verbose=0)
    scale = features.std(axis=0) + 1e-6
    fit = LogisticRegression(max_iter=2000).fit(features[:80] / scale, kind[:80])
    head.set_weights([fit.coef_.T / scale[:, None], fit.intercept_])
    return network, Patches(data[80:], pd.DataFrame({"clip": range(20), "label": np.array(LABELS)[kind[80:]]}))


def bare_passes(network, patches, count, precision):
    """Function that makes so many bare forward passes, at the batch size that is fastest."""
    reduced = as_precision(network, precision)
    forward = tf.function(lambda batch: reduced(batch[..., None], training=False), reduce_retracing=True)
    data = np.resize(patches.data, (count, 96, 64))

    def passes(batch, total=count):
        for start in range(0, total, batch):
            forward(data[start : min(start + batch, total)]).numpy()

    def trial(batch):
        passes(batch, batch)
        total = min(count, 256) // batch * batch
        return timed(lambda: passes(batch, total))[0][1] / total

    sizes = {*BATCHES, batch_size_for(network, precision=precision)}
    best = min((size for size in sizes if size <= count), key=trial)
    return lambda: passes(best)


def count_passes(network, precision, run):
    """Patches that really went through the network in one run."""
    made = []

    def counting(network, data, **options):
        made.append(len(data))
        return scores_of(network, data, **options)

    with mock.patch("audiointerp.maps.perturbation.scores_of", counting):
        run()
    return sum(made)


def time_peer_lime(network, patch, args):
    """Seconds of lime's LimeImageExplainer for all classes at its best batch size, and its coefficients."""
    segments = regions_of(patch)[0]

    def run(samples, batch, predict_batch):
        explanation = LimeImageExplainer(random_state=0).explain_instance(
            np.repeat(patch.data[0][..., None], 3, axis=2),
            lambda images: network.predict(images[..., :1], batch_size=predict_batch, verbose=0),
            labels=range(len(LABELS)),
            top_labels=None,
            hide_color=float(patch.data.mean()),
            num_samples=samples,
            batch_size=batch,
            segmentation_fn=lambda image: segments,
        )
        return np.array([[w for _, w in sorted(explanation.local_exp[c])] for c in range(len(LABELS))])

    trial = min(args.samples, 256)
    network.predict(patch.data[..., None], verbose=0)
    best = min(PEER_BATCHES, key=lambda sizes: timed(lambda: run(trial, *sizes))[0][0])
    print(f"lime is fastest with batch_size={best[0]}, predict in {best[1]}")
    seconds, coefficients = timed(lambda: run(args.samples, *best))
    return seconds, coefficients.ravel()


def time_peer_occlusion(network, patch):
    """Seconds for one `predict` per mask position."""
    return timed(lambda: [network.predict(patch.data[..., None], verbose=0) for _ in range(133)])[0]


def timed(work):
    """Seconds (wall, processor) of one run, and its result."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return (time.perf_counter() - wall, time.process_time() - cpu), result


if __name__ == "__main__":
    main()
