"""The command ``audiointerp``: run the series, train on your own sounds, download, look after the cache."""

import argparse
import ast
import shutil
import sys
import warnings
from pathlib import Path

from . import series
from .downloads import DOWNLOADS, download
from .errors import AudioInterpError, MissingDataError
from .storage.folders import cache_folder


def main(arguments=None):
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser("audiointerp", description="See and hear what a sound classifier listens to.")
    commands = parser.add_subparsers(dest="command", required=True)

    run = commands.add_parser("run", help="run the notebooks headless")
    run.add_argument("--profile", choices=series.PROFILES, default="demo", help="data and weights (default: demo)")
    run.add_argument("--only", nargs="+", default=[], metavar="NN", help="numbers or names of notebooks")
    run.add_argument("--output", type=Path, help="folder for the executed notebooks (default: runs/PROFILE)")
    run.add_argument("--scripts", type=Path, default=series.SCRIPTS, help="folder of the notebooks' scripts")
    run.add_argument(
        "--set", nargs="+", default=[], metavar="NAME=VALUE", help="parameters of the notebooks, such as LABEL=dog"
    )
    run.add_argument("--figures", type=Path, help="folder for the pictures that the README shows")
    run.set_defaults(action=_run)

    train = commands.add_parser("train", help="train a network on a folder of class folders")
    train.add_argument("folder")
    train.add_argument(
        "--backbone", choices=["yamnet", "vggish"], default="yamnet", help="pretrained (default: yamnet)"
    )
    train.add_argument("--weights", default="audioset", help="audioset (default), random, or a file")
    train.add_argument("--width", type=float, default=1.0, help="share of the filters, with random weights")
    train.add_argument(
        "--out",
        type=Path,
        help="default: NAME OF THE FOLDER.keras; .clips.csv and .confusion.png beside it",
    )
    train.add_argument(
        "--folds", type=int, default=5, help="parts to test in turn where clips have no folds (default: 5)"
    )
    train.add_argument("--overwrite", action="store_true", help="replace what is there under these names")
    train.add_argument("--on-missing", choices=["raise", "skip"], default="raise", help="a class of a single source")
    train.add_argument("--seed", type=int, default=0)
    train.set_defaults(action=_train)

    page = commands.add_parser("page", help="serve notebook 11 as a page on this computer, for sounds of your own")
    page.add_argument("--network", type=Path, help="a network of yours, as 'train' writes it")
    page.add_argument("--data", default="synthetic", help="examples, and to train on (default: synthetic)")
    page.add_argument("--weights", default="random", help="to start from: random (default), audioset, or a file")
    page.add_argument("--port", type=int, default=8866)
    page.set_defaults(action=_page)

    get = commands.add_parser("download", help="download data or weights")
    get.add_argument("name", choices=DOWNLOADS)
    get.set_defaults(action=_download)

    cache = commands.add_parser("cache", help="show the cache, or clear it")
    cache.add_argument("--clear", nargs="*", metavar="ROOM", help="remove these rooms, or all results but the data")
    cache.set_defaults(action=_cache)

    chosen = parser.parse_args(arguments)
    try:
        return chosen.action(chosen)
    except (AudioInterpError, OSError, ValueError) as error:
        print(f"audiointerp: {error}", file=sys.stderr)
        return 1


def _run(chosen):
    output = chosen.output or Path("runs") / chosen.profile
    table = series.run_series(
        chosen.profile,
        output,
        only=chosen.only,
        scripts=chosen.scripts,
        html=chosen.profile != "recorded",
        figures=chosen.figures,
        parameters=dict(map(_parameter, chosen.set)),
    )
    failed = table[table["error"] != ""]
    print(f"\n{len(table) - len(failed)} of {len(table)} notebooks ran, {table['seconds'].sum():.0f} s in all.")
    for row in failed.itertuples():
        print(f"  {row.notebook} stopped at {row.error}; see {output / row.notebook}.failed.ipynb")
    print(f"Look in {output}/: open the .html files in a browser, or the notebooks with 'make lab'.")
    print(f"What TensorFlow and the kernels had to say is in {output / series.LOG}.")
    return int(len(failed) > 0)


def _parameter(text):
    """Name and value of NAME=VALUE; what Python cannot read as a value is text."""
    name, equals, value = text.partition("=")
    if not equals:
        raise MissingDataError(f"--set {text}: expected NAME=VALUE, such as LABEL=dog.")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def _train(chosen):
    from .reports import check_place, save_own_classes, summary
    from .training.own_classes import train_own_classes

    folder = Path(chosen.folder).expanduser()
    out = check_place((chosen.out or Path(f"{folder.resolve().name}.keras")).expanduser(), chosen.overwrite)
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *about, **options: print(f"note: {message}", file=sys.stderr)
        own = train_own_classes(
            folder.resolve() if folder.is_dir() else chosen.folder,  # a folder of mine called esc10 is that folder
            chosen.backbone,
            weights=chosen.weights,
            width=chosen.width,
            folds=chosen.folds,
            on_missing=chosen.on_missing,
            seed=chosen.seed,
        )
    print(summary(own))
    print("Written:", *save_own_classes(own, out))
    return 0


def _page(chosen):
    from .serving import serve

    return serve(network=chosen.network, data=chosen.data, weights=chosen.weights, port=chosen.port)


def _download(chosen):
    print(download(chosen.name))
    return 0


def _cache(chosen):
    folder = cache_folder()
    rooms = sorted(path for path in folder.iterdir() if path.is_dir())
    if chosen.clear is None:
        print(folder)
        for room in rooms:
            size = sum(path.stat().st_size for path in room.rglob("*") if path.is_file())
            print(f"  {room.name:12} {size / 1e6:10.1f} MB")
        return 0
    unknown = set(chosen.clear) - {room.name for room in rooms}
    if unknown:
        known = ", ".join(room.name for room in rooms) or "nothing"
        raise MissingDataError(f"no room {', '.join(sorted(unknown))} in {folder}; there is {known}.")
    for room in rooms:
        if room.name in chosen.clear or (not chosen.clear and room.name != "data"):
            shutil.rmtree(room)
            print(f"removed {room}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
