"""`import audiointerp` must be instant: nothing heavy before it is asked for."""

import subprocess
import sys

import audiointerp

HEAVY = {
    *("tensorflow", "keras", "librosa", "matplotlib", "seaborn", "sklearn", "scipy", "numpy", "pandas", "xarray"),
    *("soundfile", "joblib", "pooch", "requests", "h5py", "lime", "umap", "jupytext", "papermill"),
}


def in_a_fresh_process(code):
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()


def test_importing_the_package_loads_nothing_heavy():
    loaded = in_a_fresh_process("import sys, audiointerp; print(*sys.modules)")
    assert "audiointerp" in loaded
    assert sorted(HEAVY & set(loaded)) == []


def test_cheap_names_do_not_load_a_network_library():
    loaded = in_a_fresh_process(
        "import sys, audiointerp as ai; ai.errors.CacheError; ai.settings.PROFILES; ai.VGGISH; ai.read_audio; "
        "print(*sys.modules)"
    )
    assert sorted({"tensorflow", "keras", "librosa", "matplotlib"} & set(loaded)) == []


def test_every_public_name_can_be_had():
    for name in audiointerp.__all__:
        assert getattr(audiointerp, name) is not None, name
    assert set(audiointerp.__all__) <= set(dir(audiointerp))
