"""How much longer a training step takes with interpretable filters than without.

    python tests/benchmarks/bench_filterloss.py [--batch 64] [--steps 10] [--rounds 5]

Three convolution blocks on patches of 96 × 64, 64 filters in the last one, whose maps are 12 × 8 or 24 × 16. The same
network is trained with nothing after its last ReLU, with the mask alone, and with mask and loss. The ways take turns,
because other work on the machine disturbs wall time; the least of the rounds counts, and processor time (all threads)
stands beside it.
"""

import argparse
import time

import keras
import numpy as np
import pandas as pd

from audiointerp.networks.interpretable_filters import InterpretableFilters

STRIDES = {(12, 8): (2, 2, 2), (24, 16): (2, 2, 1)}
FILTERS = (16, 32, 64)


def network(strides, filters_layer):
    x = inputs = keras.Input((96, 64, 1))
    for filters, stride in zip(FILTERS, strides, strict=True):
        x = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.ReLU()(x)
        x = keras.layers.MaxPooling2D(stride)(x) if stride > 1 else x
    x = filters_layer(x) if filters_layer else x
    x = keras.layers.GlobalAveragePooling2D()(x)
    result = keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(x))
    result.compile(keras.optimizers.Adam(1e-4), "sparse_categorical_crossentropy")
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=10, help="training steps a round")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    patches = rng.normal(size=(args.batch, 96, 64, 1)).astype(np.float32)
    labels = rng.integers(0, 10, args.batch)

    for sides, strides in STRIDES.items():
        networks = {
            "without": network(strides, None),
            "mask": network(strides, InterpretableFilters(0)),
            "mask and loss": network(strides, InterpretableFilters(1)),
        }
        for each in networks.values():
            each.train_on_batch(patches, labels)  # compiles
        times = {name: [] for name in networks}
        for _ in range(args.rounds):
            for name, each in networks.items():
                wall, cpu = time.perf_counter(), time.process_time()
                for _ in range(args.steps):
                    each.train_on_batch(patches, labels)
                times[name].append((time.perf_counter() - wall, time.process_time() - cpu))
        least = {name: np.min(rows, axis=0) * 1000 / args.steps for name, rows in times.items()}
        table = pd.DataFrame(least, index=["wall (ms)", "cpu (ms)"]).T
        for column in ("wall", "cpu"):
            table[f"{column} / without"] = table[f"{column} (ms)"] / table.loc["without", f"{column} (ms)"]
        print(f"{args.batch} patches a step, {FILTERS[-1]} maps of {sides[0]} x {sides[1]}")
        print(table.to_string(float_format="{:.2f}".format))


if __name__ == "__main__":
    main()
