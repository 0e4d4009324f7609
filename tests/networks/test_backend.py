import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import audiointerp as ai

NAMES = ["ai.vggish", "ai.explain", "ai.layer_features", "ai.fine_tune", "ai.load_network"]


def in_a_fresh_process(code, **environment):
    environment = {**os.environ, "PYTHONPATH": str(Path(ai.__file__).parents[1]), **environment}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)


def imported(name, before=""):
    return (
        "import sys, audiointerp as ai\n"
        f"ai.datasets.count_labels, ai.VGGISH, ai.layers.__all__\n{before}\n"
        f"try:\n    {name}\nexcept ImportError as error:\n    print(error)"
    )


@pytest.mark.parametrize("where", ["environment", "keras.json"])
def test_a_backend_that_is_not_there_is_said_at_the_first_use_of_keras(where, tmp_path):
    if where == "environment":
        environment, name = {"KERAS_BACKEND": "torch"}, NAMES[0]
    else:
        (tmp_path / "keras.json").write_text(json.dumps({"backend": "torch"}))
        environment, name = {"KERAS_HOME": str(tmp_path)}, NAMES[1]
    found = in_a_fresh_process(imported(name, "sys.modules['torch'] = None"), **environment)
    assert found.returncode == 0, found.stderr
    assert "Keras cannot be imported on its backend" in found.stdout and "torch" in found.stdout
    assert "runs Keras on TensorFlow" in found.stdout and "os.environ['KERAS_BACKEND']" in found.stdout


def test_a_backend_that_is_there_is_said_too():
    """Keras stands in for one that runs on JAX by what it answers; each name is the first to use it in turn."""
    code = "import keras; keras.config.backend = lambda: 'jax'"
    for name in NAMES:
        code += f"\ntry:\n    {name}\nexcept ImportError as error:\n    print(error)"
    found = in_a_fresh_process(f"import audiointerp as ai\n{code}")
    assert found.returncode == 0, found.stderr
    said = "Keras runs on the backend 'jax' in this process. audiointerp runs Keras on TensorFlow"
    assert found.stdout.count(said) == len(NAMES)


def test_importing_the_package_sets_no_backend():
    found = in_a_fresh_process(
        "import os, audiointerp as ai; ai.VGGISH; print(os.environ['KERAS_BACKEND'])", KERAS_BACKEND="jax"
    )
    assert found.stdout.strip() == "jax", found.stderr


def test_no_other_file_imports_keras_itself():
    lines = (
        (path.name, line) for path in Path(ai.__file__).parent.rglob("*.py") for line in path.open(encoding="utf-8")
    )
    assert {name for name, line in lines if re.match(r"\s*(import|from) keras\b", line)} == {"backend.py"}
