"""The house: what importing does, which names are public, who imports whom, and a test file beside every module."""

import ast
import importlib
import inspect
import json
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import audiointerp as ai

ROOT = Path(ai.__file__).parent
TESTS = Path(__file__).parent
MODULES = sorted(path for path in ROOT.rglob("*.py"))
TOP = {"__init__", "errors", "cli", "series", "listening", "downloads", "reports", "serving"}
HEAVY = {
    *("tensorflow", "keras", "librosa", "matplotlib", "seaborn", "sklearn", "scipy", "numpy", "pandas", "xarray"),
    *("soundfile", "joblib", "pooch", "requests", "h5py", "lime", "umap", "jupytext", "papermill"),
}
# Same option, same default, wherever a public function has it.
SHARED = {"progress": True, "batch_size": None, "precision": "auto", "seed": 0, "cache": True}


def in_a_fresh_process(code, **environment):
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | environment)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def name_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path):
    """Modules of this package that a module imports, at its top or later."""
    package = ("audiointerp", *path.relative_to(ROOT).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            for alias in node.names:
                target = ".".join([*base, *([node.module] if node.module else [])])
                inner = f"{target}.{alias.name}"
                yield inner if ROOT.joinpath(*inner.split(".")[1:]).with_suffix(".py").is_file() else target
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("audiointerp"))


def public():
    """Every public function and class, by room."""
    for room in ("", *ai.ROOMS):
        module = getattr(ai, room) if room else ai
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.isfunction(thing) or inspect.isclass(thing):
                yield f"{room or 'top'}.{name}", thing


# Importing


def test_importing_the_package_loads_nothing_heavy():
    loaded = in_a_fresh_process("import sys, audiointerp; print(*sys.modules)").split()
    assert "audiointerp" in loaded
    assert sorted(HEAVY & set(loaded)) == []


def test_importing_the_package_changes_nothing():
    code = """
import json, logging, os, sys, warnings
def state():
    loggers = {name: (each.level, len(each.filters), len(each.handlers)) for name, each in
               logging.Logger.manager.loggerDict.items() if isinstance(each, logging.Logger)}
    return [dict(os.environ), loggers, [str(each) for each in warnings.filters], logging.root.level, os.getcwd()]
before = state()
import audiointerp
print(json.dumps(before == state()))
"""
    assert json.loads(in_a_fresh_process(code)) is True


def test_using_it_changes_neither_the_environment_nor_what_is_logged():
    """A network is built, run and explained: nothing of this package stays behind in the process."""
    code = """
import logging, os, sys, warnings
import keras, tensorflow, tf_keras_vis
logger = logging.getLogger("tensorflow")
before = dict(os.environ), list(logger.filters), list(warnings.filters), "scipy.ndimage.interpolation" in sys.modules
import numpy as np, pandas as pd
import audiointerp as ai
frontend = ai.FrontEnd(frames=32, mels=16)
network = ai.vggish(["a", "b"], weights="random", width=0.02, frontend=frontend)
data = np.random.default_rng(0).normal(size=(2, 32, 16)).astype("float32")
table = pd.DataFrame({"clip": [0, 1], "start": 0.0, "label": ["a", "b"], "silent": False})
patches = ai.Patches(data, table, frontend)
ai.fine_tune(network, patches, patches, ai.Recipe(epochs=1), cache=False, progress=False)
for method in ("gradcam", "gradcam++", "scorecam", "occlusion"):
    ai.explain(network, patches, method, cache=False)
after = dict(os.environ), list(logger.filters), list(warnings.filters), "scipy.ndimage.interpolation" in sys.modules
print(before == after or [(one, two) for one, two in zip(before, after) if one != two])
"""
    assert in_a_fresh_process(code).strip() == "True"


def test_cheap_names_do_not_load_a_network_library():
    loaded = in_a_fresh_process(
        "import sys, audiointerp as ai; ai.errors.CacheError; ai.series.PROFILES; ai.VGGISH; ai.read_audio; "
        "ai.layers.__all__; ai.plots.__all__; print(*sys.modules)"
    ).split()
    assert sorted({"tensorflow", "keras", "librosa", "matplotlib"} & set(loaded)) == []


def test_tables_are_voted_on_and_drawn_without_a_network_library():
    loaded = in_a_fresh_process(
        "import sys, audiointerp as ai; ai.vote; ai.accuracy; ai.plots.label_counts; ai.plots.accuracy_bars; "
        "ai.plots.confusion_chart; print(*sys.modules)"
    ).split()
    assert sorted({"tensorflow", "keras"} & set(loaded)) == []


# Names


def test_every_public_name_can_be_had():
    for module in (ai, *(getattr(ai, room) for room in ai.ROOMS)):
        for name in module.__all__:
            assert getattr(module, name) is not None, name
        assert set(module.__all__) <= set(dir(module))


def test_few_names_stand_at_the_top():
    assert len(set(ai.__all__) - set(ai.ROOMS)) <= 40
    assert {path.stem for path in ROOT.glob("*.py")} == TOP


def test_no_name_hides_a_module():
    """`import audiointerp.datasets.splits as splits` is the module, whatever its room offers."""
    for path in MODULES:
        if path.stem != "__init__":
            name = f"audiointerp.{name_of(path)}"
            found = importlib.import_module(name)
            parent, _, leaf = name.rpartition(".")
            assert getattr(importlib.import_module(parent), leaf) is found, name


@pytest.mark.parametrize("name", sorted(set(ai.__all__) - {*ai.ROOMS, "errors", "series", "listening"}))
def test_names_at_the_top_are_described(name):
    thing = getattr(ai, name)
    described = thing if callable(thing) else type(thing)
    text = inspect.getdoc(described)
    assert "Parameters\n----------" in text and "Examples\n--------" in text
    if inspect.isfunction(described):
        assert "Returns\n-------" in text and ("Raises\n------" in text or "Warns\n-----" in text)
        parameters = text[text.index("Parameters\n") : text.index("Returns\n")]
        for parameter in inspect.signature(described).parameters:
            assert re.search(rf"\b{parameter}\b", parameters), parameter


def test_shared_options_are_the_same_everywhere():
    for name, thing in public():
        parameters = inspect.signature(thing).parameters
        assert "verbose" not in parameters, name
        for option, default in SHARED.items():
            if option in parameters and not inspect.isclass(thing):
                found = parameters[option]
                assert found.default == default or (option == "seed" and found.default is found.empty), (name, option)
                assert found.kind is found.KEYWORD_ONLY or len(parameters) == 1, (name, option)


# Rooms


def test_the_first_line_of_every_file_says_what_it_holds():
    for path in MODULES:
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        assert text and len(text.split("\n")[0]) > 20 and text.split("\n")[0].endswith((".", "?")), path


def test_no_room_imports_from_a_room_below_its_own():
    order = {room: number for number, room in enumerate(ai.ROOMS)}
    order["listening"] = order["sound"]  # it is built on that room alone
    for path in MODULES:
        room = path.relative_to(ROOT).parts[0]
        if room in order and path.parent != ROOT:
            for target in imports_of(path):
                other = target.split(".")[1]
                assert other == "errors" or order[other] <= order[room], f"{name_of(path)} imports {target}"


def test_no_circles():
    graph = {f"audiointerp.{name_of(path)}".rstrip("."): set(imports_of(path)) for path in MODULES}
    done = set()

    def walk(name, way):
        assert name not in way, " -> ".join([*way[way.index(name) :], name])
        if name not in done:
            for target in graph.get(name, ()):
                walk(target, [*way, name])
            done.add(name)

    for name in graph:
        walk(name, [])


def test_no_module_reads_private_names_of_another():
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                private = [
                    alias.name for alias in node.names if alias.name.startswith("_") and alias.name != "__version__"
                ]
                assert private == [], f"{name_of(path)} imports {private}"


def test_every_module_has_its_test_file():
    tested = [path for path in MODULES if path.stem != "__init__"]
    absent = [p for p in tested if not (TESTS / p.relative_to(ROOT).parent / f"test_{p.name}").is_file()]
    assert [str(path.relative_to(ROOT)) for path in absent] == []


def test_what_is_imported_is_declared():
    declared = {re.split(r"[><=\[;]", text)[0].strip().lower() for text in metadata.requires("audiointerp")
                if "extra" not in text}  # fmt: skip
    declared = {re.sub(r"[^a-z0-9]", "-", name) for name in declared}
    packages = metadata.packages_distributions()
    used = set()
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            for name in names:
                top = name.split(".")[0]
                if top not in sys.stdlib_module_names and top != "audiointerp":
                    used.add(
                        min(
                            re.sub(r"[^a-z0-9]", "-", each.lower())
                            for each in packages.get(top) or [{"skimage": "scikit-image"}.get(top, top)]
                        )
                    )
    assert sorted(used - declared) == []
    # Used without being imported: the notebooks' own tools, and what tests and benchmarks compare with.
    assert sorted(declared - used - {"jupyterlab", "lime", "umap-learn", "tf-keras-vis"}) == []
