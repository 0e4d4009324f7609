import os
import subprocess
import sys
import threading

import joblib
import numpy as np
import pytest

from audiointerp.sound.frontend import VGGISH
from audiointerp.storage.cache import cached
from audiointerp.storage.fingerprints import Unknown, fingerprint

CODE = """
import functools
import numpy as np
import scales

FACTOR = 2.0
KNOWN = {"drum", "bell", "horn", "flute"}
TABLE = np.arange(3.0)

def helper(x):
    return np.exp(x) + FACTOR

def remembered(function):
    @functools.wraps(function)
    def run(*args):
        return function(*args)
    return run

@functools.lru_cache
def costly(x):
    return x + 7

class Base:
    offset = 1
    def shifted(self, x):
        return x + self.offset

class Thing(Base):
    def __init__(self, gain=3):
        self.gain = gain
    @property
    def twice(self):
        return 2 * self.gain
    @staticmethod
    def still(x):
        return x // 3
    @remembered
    def __call__(self, x, power=2, *, root=1):
        import scales as other
        inner = lambda y: helper(y) in {"a", "b", "c"} or 8 * y
        return inner(self.shifted(x)) ** power / root + scales.major(x) + other.minor(x) + costly(x) + TABLE

def make(step):
    return lambda x: x * step if x not in KNOWN else Thing
f = make(5)
p = functools.partial(helper, 6)
things = [f, p, Thing, Thing().__call__, Thing(4)]
"""
SCALES = """
from scales_steps import WHOLE
def major(x):
    return x * WHOLE
def minor(x):
    return x / 11
def unused(x):
    return x - 12
"""
CHANGES = {
    "body": ("8 * y", "9 * y"),
    "name of an operation": ("np.exp(x)", "np.sin(x)"),
    "global": ("FACTOR = 2.0", "FACTOR = 2.5"),
    "global set": ('"flute"}', '"oboe"}'),
    "global array": ("arange(3.0)", "arange(4.0)"),
    "constant set": ('"b", "c"}', '"b", "d"}'),
    "helper": ("+ FACTOR", "- FACTOR"),
    "helper behind lru_cache": ("x + 7", "x + 8"),
    "decorator": ("return function(*args)", "return -function(*args)"),
    "default": ("power=2", "power=3"),
    "default of a keyword": ("root=1", "root=2"),
    "closure": ("make(5)", "make(6)"),
    "argument of a partial function": ("helper, 6", "helper, 7"),
    "base class": ("x + self.offset", "x - self.offset"),
    "attribute of a class": ("offset = 1", "offset = 2"),
    "property": ("2 * self.gain", "4 * self.gain"),
    "static method": ("x // 3", "x // 4"),
    "attribute of an object": ("Thing(4)", "Thing(5)"),
    "function of a module": ("x * WHOLE", "x + WHOLE"),
    "function of a module imported late": ("x / 11", "x / 12"),
}


def written(folder, code=CODE, scales=SCALES, steps="WHOLE = 13"):
    folder.mkdir(exist_ok=True)
    (folder / "scales.py").write_text(scales)
    (folder / "scales_steps.py").write_text(steps)
    (folder / "main.py").write_text(code)
    return folder


@pytest.fixture
def found(tmp_path, monkeypatch):
    """Function from code to the fingerprint of what it makes."""

    def run(code=CODE, *modules):
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(written(tmp_path / f"code{len(list(tmp_path.iterdir()))}", code, *modules)))
            for name in ("scales", "scales_steps"):
                patch.delitem(sys.modules, name, raising=False)
            names = {"__name__": "own_notebook"}
            exec(compile(code, "main.py", "exec"), names)
            return fingerprint(names["things"])

    return run


def test_the_same_code_has_one_fingerprint_in_any_process(tmp_path, found):
    """Wherever it stands, and however texts are hashed there."""
    prints = []
    end = "\nfrom audiointerp.storage.fingerprints import fingerprint\nprint(fingerprint(things))"
    for seed, code in enumerate((CODE, "# a comment\n\n\n" + CODE, CODE)):
        folder = written(tmp_path / f"run{seed}", code + end)
        path = os.pathsep.join([str(folder), *sys.path])
        environment = {**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": path}
        for _ in range(2):  # modules are compiled, then read as they were compiled
            ran = subprocess.run(
                [sys.executable, "main.py"], cwd=folder, capture_output=True, text=True, env=environment
            )
            prints.append((ran.stdout.strip(), ran.stderr))
    assert len(set(prints)) == 1 and len(prints[0][0]) == 32, prints
    assert found() == found("# another comment\n" + CODE)


@pytest.mark.parametrize("change", CHANGES)
def test_changed_code_has_another_fingerprint(change, found):
    old, new = CHANGES[change]
    assert (CODE + SCALES).count(old) == 1
    assert found() != found(CODE.replace(old, new), SCALES.replace(old, new))


def test_what_is_not_reached_does_not_count(found):
    assert found() == found(CODE + "\nother = 1", SCALES.replace("x - 12", "x - 13"))


def test_a_module_in_a_module_counts(found):
    assert found() != found(CODE, SCALES, "WHOLE = 14")


def test_values_and_named_functions_have_the_fingerprints_of_joblib():
    thing = [np.arange(6.0)[::2], {"b": 1, "a": {"x", "y"}}, np.exp, np.mean, VGGISH, joblib.hash, len, float("nan")]
    assert fingerprint(thing) == joblib.hash(thing)


@pytest.mark.parametrize(
    "code, reason",
    [
        ("def f(x):\n    return eval('x + 1')", r"what function 'f' does cannot be told: it uses eval\(\)"),
        ("import threading\nlock = threading.Lock()\ndef f(x):\n    return lock", "cannot be told .*lock"),
        ("import scales\nf = [scales]", "all of module 'scales'"),
    ],
)
def test_what_cannot_be_told_has_no_fingerprint(code, reason, found):
    unknown = found(code + "\nthings = [f]")
    assert isinstance(unknown, Unknown)
    with pytest.raises(Unknown, match=reason):
        raise unknown
    assert isinstance(fingerprint({"key": [unknown]}), Unknown)


def test_a_result_that_depends_on_it_is_not_kept_and_said(own_cache):
    asked = []

    @cached("results", version=1)
    def applied(function):
        asked.append(function)
        return function(1)

    lock = threading.Lock()
    for _ in range(2):
        with pytest.warns(UserWarning, match="not kept in the cache, but computed anew each time: it depends on"):
            assert applied(lambda x: x + lock.locked()) == 1
    assert len(asked) == 2 and not (own_cache / "results").exists()


def test_results_of_a_function_are_kept_by_its_code(own_cache):
    asked = []

    @cached("results", version=1)
    def applied(function):
        asked.append(function)
        return function(1)

    def plus(step):
        return lambda x: x + step

    assert [applied(plus(step)) for step in (1, 1, 2)] == [2, 2, 3]
    assert len(asked) == 2
