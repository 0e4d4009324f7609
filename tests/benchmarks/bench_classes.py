"""How long maps of a whole validation set take, how time and memory grow with it, and whether a stopped run goes on.

    AUDIOINTERP_DATA=... python tests/benchmarks/bench_classes.py [--methods gradcam occlusion] [--growth]

The set is fold 5 of ESC-10 with YAMNet, every class explained; synthetic clips without AUDIOINTERP_DATA. With --growth
a small network explains 100, 1,000 and 10,000 patches, written as they come, each number in a process of its own.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd

import audiointerp as ai
from audiointerp.networks.head import add_head

LABELS = [f"class {number}" for number in range(10)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="*", default=["gradcam", "occlusion"])
    parser.add_argument("--clips", type=int, help="the first clips alone")
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(*seconds_and_memory(args.one))
        return
    with tempfile.TemporaryDirectory() as folder:
        whole_set(args, Path(folder))
    if args.growth:
        growth()


def whole_set(args, folder):
    real = "AUDIOINTERP_DATA" in os.environ
    clips = ai.load("esc10" if real else "synthetic")
    clips = clips[clips["fold"] == 5].head(args.clips)
    network = ai.yamnet(sorted(set(clips["label"])), weights="audioset" if real else "random")
    patches = ai.make_patches(clips, ai.frontend_of(network), progress=False)
    for method in args.methods:
        wall, cpu = time.perf_counter(), time.process_time()
        maps = ai.maps.explain_to_file(network, patches, folder / f"{method}.nc", method)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(f"{method}: {maps.sizes['patch']} patches, {maps.sizes['label']} classes: {wall:.0f} s ({cpu:.0f} s cpu)")


def growth():
    rows = []
    for count in (100, 1_000, 10_000):
        command = [sys.executable, __file__, "--one", str(count)]
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
        rows.append([count, *map(float, ran.stdout.split()[-3:])])
    print(pd.DataFrame(rows, columns=["patches", "seconds", "peak GB", "file GB"]).to_string(index=False))


def seconds_and_memory(count):
    """Seconds, peak memory of the process and size of the file for Grad-CAM of so many patches, ten classes."""
    inputs = keras.Input((96, 64, 1))
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(inputs)
    x = keras.layers.Conv2D(16, 3, strides=2, padding="same", activation="relu")(x)
    network = add_head(keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x)), LABELS)
    data = np.random.default_rng(0).normal(-3, 1, (count, 96, 64)).astype(np.float32)
    data.flags.writeable = False
    table = pd.DataFrame({"clip": np.arange(count) // 17, "start": 0.0, "label": np.resize(LABELS, count)})
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        maps = ai.maps.explain_to_file(network, ai.Patches(data, table), Path(folder) / "maps.nc", progress=False)
        seconds = time.perf_counter() - start
        ai.maps.class_profile(maps)
        size = (Path(folder) / "maps.nc").stat().st_size
        maps.close()
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, size / 1e9


if __name__ == "__main__":
    main()
