"""How fast layer features of many clips are: against one `predict` a clip, and against the bare forward passes.

    python tests/benchmarks/bench_features.py [--clips 400] [--weights pruned]

The clips are ESC-10's, or the synthetic ones with --synthetic; the network is SoundNet. All three ways read the files.
Other work on the machine disturbs wall time, so that seconds of processor time (all threads) stand beside it.
"""

import argparse
import time
import warnings

import keras
import numpy as np
import pandas as pd

import audiointerp as ai
from audiointerp.errors import AudioRepairWarning
from audiointerp.networks.graph import layer_outputs
from audiointerp.sound.waveforms import read_waveforms


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=400, help="how many clips")
    parser.add_argument("--weights", default="pruned", help="SoundNet's weights: official, pruned or random")
    parser.add_argument("--synthetic", action="store_true", help="synthetic clips instead of ESC-10")
    args = parser.parse_args()
    warnings.simplefilter("ignore", AudioRepairWarning)

    network = ai.soundnet(weights=args.weights)
    clips = ai.load("synthetic" if args.synthetic else "esc10").head(args.clips)
    pooled = [keras.layers.GlobalAveragePooling1D()(output) for output in layer_outputs(network).values()]
    averaged = keras.Model(network.input, pooled)

    def ours():
        layers = ai.layer_features(network, clips, cache=False, progress=False)
        return np.concatenate([layer.values for layer in layers.values()], axis=1)

    def one_predict_a_clip():
        waveforms = read_waveforms(clips, ai.frontend_of(network), progress=False)
        rows = [averaged.predict(waveform[None, :, None], verbose=0) for waveform in waveforms]
        return np.stack([np.concatenate(row, axis=1)[0] for row in rows])

    def bare_passes():
        waveforms = read_waveforms(clips, ai.frontend_of(network), progress=False)
        return np.stack([np.concatenate(run(waveform[None, :, None]), axis=1)[0] for waveform in waveforms])

    import tensorflow as tf

    run = tf.function(averaged, input_signature=[tf.TensorSpec([None, None, 1])])
    bare_passes()  # compiles
    rows, values = {}, {}
    for way in (bare_passes, one_predict_a_clip, ours):
        wall, cpu = time.perf_counter(), time.process_time()
        values[way.__name__] = way()
        rows[way.__name__] = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    table = pd.DataFrame(rows).T
    for column in ("wall", "cpu"):
        table[f"{column} / ours"] = table[column] / table.loc["ours", column]
    print(f"{len(clips)} clips, {len(layer_outputs(network))} layers of SoundNet ({args.weights})")
    print(table.to_string(float_format="{:.2f}".format))
    gap = np.abs(values["ours"] - values["one_predict_a_clip"]).max()
    print(f"largest difference from one predict a clip: {gap:.1e}")


if __name__ == "__main__":
    main()
