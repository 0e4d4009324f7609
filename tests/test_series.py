import os
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from audiointerp import series
from audiointerp.errors import MissingDataError
from audiointerp.series import PROFILES, execute, find_scripts, profile_parameters, run_series, tidy, with_parameters

WIDTH = PROFILES["demo"]["WIDTH"]

GOOD = """
# %% [markdown]
# # A title
# %% tags=["parameters"]
WIDTH = 1.0
NAME = "own"
# %%
print(WIDTH, NAME, "DATA" in globals())
# %%
import sys, warnings
sys.stderr.write("\\r 50%|#####     | 1/2 [00:01<00:01,  1.00it/s]\\n")
warnings.warn("look here")
"""

FAILING = """
# %% tags=["parameters"]
WIDTH = 1.0
# %%
print("so far")
# %%
raise ValueError("the reason")
# %%
print("never")
"""


def write_scripts(folder, **texts):
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name.removeprefix('nb')}.py").write_text(text, encoding="utf-8")
    return folder


def texts_of(notebook):
    return [output["text"] for cell in notebook.cells for output in cell.get("outputs", []) if "text" in output]


# Scripts to run


def test_scripts_are_found_in_reading_order(tmp_path):
    write_scripts(tmp_path, nb02_b="", nb01_a="", nb10_c="", helper="", nb3_d="")
    (tmp_path / "04_notes.txt").touch()
    assert [path.name for path in find_scripts(scripts=tmp_path)] == ["01_a.py", "02_b.py", "10_c.py"]
    assert [path.name for path in find_scripts(["10", "01"], tmp_path)] == ["01_a.py", "10_c.py"]
    assert [path.name for path in find_scripts(["b"], tmp_path)] == ["02_b.py"]
    assert [path.name for path in find_scripts(["2"], tmp_path)] == ["02_b.py"]
    assert [path.name for path in find_scripts(["02_b"], tmp_path)] == ["02_b.py"]


@pytest.mark.parametrize("only", [["07"], ["01", "07"], ["01", "data"], ["0"], ["01", ""], ["_"]])
def test_a_notebook_that_is_not_there_is_named(tmp_path, only):
    write_scripts(tmp_path, nb01_a="", nb02_b="")
    with pytest.raises(MissingDataError, match=rf"--only {only[-1]}: no such notebook. There are 01_a, 02_b"):
        find_scripts(only, tmp_path)


def test_no_scripts_at_all(tmp_path):
    for folder in (tmp_path, tmp_path / "gone"):
        with pytest.raises(MissingDataError, match=r"no notebooks there.*--scripts"):
            find_scripts(scripts=folder)


def test_the_series_of_the_repository_is_found():
    folder = Path(__file__).parents[1] / "notebooks" / "scripts"
    assert find_scripts() == sorted(folder.glob("[0-9]*.py")) and len(find_scripts()) >= 9


# Running them


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A good and a failing script, run for real with the parameters of the demo."""
    folder = tmp_path_factory.mktemp("series")
    scripts = write_scripts(folder / "scripts", nb01_good=GOOD, nb02_failing=FAILING)
    table = run_series("demo", folder / "out", scripts=scripts, html=True)
    return folder / "out", table.set_index("notebook")


def test_parameters_are_put_in_and_unknown_ones_left_out(ran):
    notebook = nbformat.read(ran[0] / "01_good.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert f"{WIDTH} own False\n" in texts_of(notebook)
    parameters = [cell.source for cell in notebook.cells if "parameters" in str(cell.metadata.get("tags", []))]
    assert parameters == [f'WIDTH = {WIDTH}\nNAME = "own"']


def test_parameters_are_written_as_a_reader_would():
    lines = ['DATA = "esc10"', "PAIRS = {", '    "a": ["b"],', "}  # merged", "FOLDS = [5]", "SEED = 0  # any"]
    notebook = notebook_with(tags=["parameters"])
    notebook.cells[0].source = "\n".join(lines)
    given = {"DATA": 'my "own" Bär', "PAIRS": {"loud": ["x", "y"]}, "FOLDS": [1, 2], "OTHER": 1}
    source = with_parameters(notebook, given).cells[0].source
    assert source.splitlines() == [
        *('DATA = "my \\"own\\" Bär"', 'PAIRS = {"loud": ["x", "y"]}', "FOLDS = [1, 2]", "SEED = 0  # any")
    ]
    values = {}
    exec(source, values)
    assert {name: values[name] for name in given if name != "OTHER"} == {n: v for n, v in given.items() if n != "OTHER"}


def test_parameters_of_ones_own(tmp_path):
    scripts = write_scripts(tmp_path / "scripts", nb01_good=GOOD, nb02_other="# %%\n1\n")
    table = run_series("demo", tmp_path, only=["01"], scripts=scripts, parameters={"NAME": "mine", "WIDTH": 2.0})
    assert table["error"].tolist() == [""]
    assert "2.0 mine False\n" in texts_of(nbformat.read(tmp_path / "01_good.ipynb", as_version=4))
    with pytest.raises(MissingDataError, match=r"no parameter WIDHT in 01_good, 02_other. There are NAME, WIDTH"):
        run_series("demo", tmp_path, scripts=scripts, parameters={"WIDHT": 2.0})


def test_noise_goes_and_warnings_stay(ran):
    texts = "".join(texts_of(nbformat.read(ran[0] / "01_good.ipynb", as_version=4)))
    assert "UserWarning: look here" in texts
    assert "it/s]" not in texts and "\r" not in texts and "ipykernel_" not in texts


def test_a_failing_cell_is_reported_with_its_error(ran):
    folder, table = ran
    assert table.loc["01_good", "error"] == ""
    assert table.loc["02_failing", "error"].endswith("ValueError: the reason")
    notebook = nbformat.read(folder / "02_failing.failed.ipynb", as_version=4)
    assert "so far\n" in texts_of(notebook) and "never\n" not in texts_of(notebook)
    assert any(output.get("ename") == "ValueError" for cell in notebook.cells for output in cell.get("outputs", []))
    assert (table["seconds"] > 0).all()


def test_what_is_written(ran):
    names = {path.name for path in ran[0].iterdir()}
    assert names == {"01_good.ipynb", "01_good.html", "02_failing.failed.ipynb", "02_failing.failed.html", "run.log"}
    assert "<h1" in (ran[0] / "01_good.html").read_text(encoding="utf-8")


def test_a_kernel_that_dies_is_an_error_of_that_notebook(tmp_path):
    scripts = write_scripts(tmp_path, nb01_dead="# %%\nprint(1)\n# %%\nimport os\nos._exit(1)\n")
    _, error = execute(scripts / "01_dead.py", {"WIDTH": 0.25})
    assert "kernel died" in error


# Writing them, without a kernel


def notebook_with(*outputs, tags=()):
    cell = nbformat.v4.new_code_cell("1", outputs=list(outputs))
    cell.metadata["tags"] = list(tags)
    return nbformat.v4.new_notebook(cells=[cell])


def sound():
    data = {"text/html": "<audio controls src='data:audio/wav;base64,UklGR'></audio>", "text/plain": "<Audio object>"}
    return nbformat.v4.new_output("display_data", data=data)


def stderr(text):
    return nbformat.v4.new_output("stream", name="stderr", text=text)


@pytest.fixture
def pretend(monkeypatch, tmp_path):
    """Runs without a kernel: what `execute` gives is given here."""

    def run(notebook, error="", profile="demo", **options):
        monkeypatch.setattr(series, "execute", lambda *_: (notebook, error))
        scripts = write_scripts(tmp_path / "scripts", nb01_a="")
        run_series(profile, tmp_path / "out", scripts=scripts, **options)
        return tmp_path / "out"

    return run


def test_a_failure_leaves_the_last_complete_notebook(pretend):
    out = pretend(notebook_with(stderr("first")), html=True)
    pretend(notebook_with(stderr("second")), error="cell 3: it failed", html=True)
    assert texts_of(nbformat.read(out / "01_a.ipynb", as_version=4)) == ["first"]
    assert texts_of(nbformat.read(out / "01_a.failed.ipynb", as_version=4)) == ["second"]
    pretend(notebook_with(stderr("third")), html=True)
    assert texts_of(nbformat.read(out / "01_a.ipynb", as_version=4)) == ["third"]
    assert {path.name for path in out.iterdir()} == {"01_a.ipynb", "01_a.html"}


def test_an_interrupted_writing_leaves_the_last_complete_notebook(pretend, monkeypatch):
    out = pretend(notebook_with(stderr("first")))

    def half(notebook, path, **_):
        path.write_text("{")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(nbformat, "write", half)
    with pytest.raises(OSError, match="No space"):
        pretend(notebook_with(stderr("second")))
    assert texts_of(nbformat.read(out / "01_a.ipynb", as_version=4)) == ["first"]


def test_recorded_notebooks_hold_no_sound(pretend, monkeypatch, tmp_path):
    monkeypatch.setenv("AUDIOINTERP_DATA", str(tmp_path))
    out = pretend(notebook_with(sound(), stderr("kept")), profile="recorded")
    text = (out / "01_a.ipynb").read_text(encoding="utf-8")
    assert "audio/wav" not in text and "run this cell to listen" in text and "kept" in text
    out = pretend(notebook_with(sound()), profile="demo")
    assert "audio/wav" in (out / "01_a.ipynb").read_text(encoding="utf-8")


def test_recorded_without_data_is_an_error_before_anything_runs(pretend, monkeypatch):
    monkeypatch.delenv("AUDIOINTERP_DATA", raising=False)
    with pytest.raises(MissingDataError, match="AUDIOINTERP_DATA"):
        pretend(notebook_with(), profile="recorded")


SAYING = """
# %%
import os
print(os.environ["AUDIOINTERP_CACHE"], os.environ["AUDIOINTERP_DATA"])
os.write(2, b"from the depths\\n")
"""


def test_the_terminal_stays_clean_and_relative_folders_hold_for_kernels(monkeypatch, tmp_path, capfd):
    monkeypatch.chdir(tmp_path)
    for name in ("AUDIOINTERP_DATA", "AUDIOINTERP_CACHE"):
        monkeypatch.setenv(name, name.lower())
    before = dict(os.environ)
    run_series("demo", tmp_path / "out", scripts=write_scripts(tmp_path / "scripts", nb01_a=SAYING))
    assert dict(os.environ) == before
    texts = texts_of(nbformat.read(tmp_path / "out" / "01_a.ipynb", as_version=4))
    assert f"{tmp_path}/audiointerp_cache {tmp_path}/audiointerp_data\n" in texts
    log = (tmp_path / "out" / "run.log").read_text()
    assert log.startswith("--- 01_a\n") and "from the depths" in log + "".join(texts)
    out, err = capfd.readouterr()
    assert out.startswith("01_a: ") and out.count("\n") == 1
    assert "depths" not in out + err and err.count("\n") <= 1


def test_pictures_of_tagged_cells_become_figures(pretend, tmp_path):
    picture = nbformat.v4.new_output("display_data", data={"image/png": "iVBORw0KGgo="})
    pretend(notebook_with(picture, tags=["figure:maps"]), figures=tmp_path / "figures")
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["maps.png"]
    assert (tmp_path / "figures" / "maps.png").read_bytes() == b"\x89PNG\r\n\x1a\n"


BAR = "training:  40%|████      | 2/5 [00:01<00:02,  1.4batch/s]"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"\r{BAR}", ""),
        (f"\r{BAR}\n", ""),
        (f"\x1b[A\r{BAR}\x1b[A", ""),
        ("\r" + " " * 40 + "\r", ""),
        ("2024-02-29 10:00:00.123456: I tensorflow/core/util.cc:1] oneDNN\n", ""),
        ("WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n", ""),
        ("I0000 00:00:1709200000.0 1 cuda.cc:1] x\nE0229 10:00:00.1 1 y.cc:2] z\n", ""),
        ("\n  \n", ""),
        ("/tmp/ipykernel_1/27.py:4: UserWarning: a.wav: silent\n", "27.py:4: UserWarning: a.wav: silent"),
        (f"\r{BAR}/x/27.py:4: AudioRepairWarning: a\n", "27.py:4: AudioRepairWarning: a"),
        ("\r     \r/x/27.py:4: UserWarning: after the bar\n", "27.py:4: UserWarning: after the bar"),
        (f"first\n\r{BAR}\nsecond\n", "first\nsecond"),
        ("Warning: 50% of the clips | all of [them]\n", "Warning: 50% of the clips | all of [them]"),
    ],
)
def test_what_of_the_log_stays(text, kept):
    notebook = notebook_with(stderr(text))
    tidy(notebook, keep_sound=True)
    assert texts_of(notebook) == ([kept] if kept else [])


def test_what_is_printed_is_not_touched():
    text = f"\n{BAR}\r2024-02-29 10:00:00\n"
    notebook = notebook_with(nbformat.v4.new_output("stream", name="stdout", text=text))
    tidy(notebook, keep_sound=True)
    assert texts_of(notebook) == [text]


def test_data_of_the_run_is_removed():
    notebook = notebook_with()
    notebook.metadata.update(
        papermill={"duration": 1}, widgets={"state": {}}, jupytext={"formats": "py"}, kernelspec={}
    )
    notebook.cells[0].metadata.update(papermill={"duration": 1}, execution={"iopub": "now"}, collapsed=True)
    tidy(notebook, keep_sound=True)
    assert set(notebook.metadata) == {"kernelspec"}
    assert set(notebook.cells[0].metadata) == {"tags", "collapsed"}


def test_controls_whose_kernel_is_gone_are_a_line():
    data = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "VBox(children=(Dropdown(…"}
    notebook = notebook_with(nbformat.v4.new_output("display_data", data))
    tidy(notebook, keep_sound=True)
    assert notebook.cells[0].outputs[0].data == {"text/plain": "(controls: run this cell to use them)"}


def test_the_table_has_a_row_a_notebook(monkeypatch, tmp_path):
    monkeypatch.setattr(series, "execute", lambda script, *_: (notebook_with(), "" if "a" in script.stem else "x"))
    table = run_series("demo", tmp_path / "out", scripts=write_scripts(tmp_path / "s", nb01_a="", nb02_b=""))
    assert isinstance(table, pd.DataFrame) and list(table.columns) == ["notebook", "seconds", "error"]
    assert table[["notebook", "error"]].to_numpy().tolist() == [["01_a", ""], ["02_b", "x"]]


# Profiles


def test_demo_needs_neither_data_nor_weights(monkeypatch):
    monkeypatch.delenv("AUDIOINTERP_DATA", raising=False)
    parameters = profile_parameters("demo")
    assert (parameters["DATA"], parameters["VGGISH"], parameters["YAMNET"]) == ("synthetic", "random", "random")
    assert parameters["WIDTH"] < 1


def test_recorded_needs_a_data_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("AUDIOINTERP_DATA", raising=False)
    with pytest.raises(MissingDataError, match="AUDIOINTERP_DATA, which is not set"):
        profile_parameters("recorded")
    monkeypatch.setenv("AUDIOINTERP_DATA", str(tmp_path / "gone"))
    with pytest.raises(MissingDataError, match="no such folder"):
        profile_parameters("recorded")


def test_recorded_trains_vggish_from_random_weights_only_where_its_checkpoint_is_absent(monkeypatch, tmp_path):
    monkeypatch.setenv("AUDIOINTERP_DATA", str(tmp_path))
    assert profile_parameters("recorded") == {**PROFILES["recorded"], "VGGISH": "random"}
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "vggish_model.ckpt").touch()
    assert profile_parameters("recorded") == PROFILES["recorded"]
    assert PROFILES["recorded"]["VGGISH"] == "audioset"


def test_recorded_takes_the_pruned_soundnet_only_where_it_is_the_one_at_hand(monkeypatch, tmp_path):
    monkeypatch.setenv("AUDIOINTERP_DATA", str(tmp_path))
    (tmp_path / "weights").mkdir()
    assert profile_parameters("recorded")["SOUNDNET"] == "official"
    (tmp_path / "weights" / "soundnet_pruned.npz").touch()
    assert profile_parameters("recorded")["SOUNDNET"] == "pruned"
    assert "BESIDE" not in profile_parameters("recorded")
    (tmp_path / "weights" / "sound8.npy").touch()
    parameters = profile_parameters("recorded")
    assert (parameters["SOUNDNET"], parameters["BESIDE"]) == ("official", "pruned")


def test_recorded_leaves_conv7_out_only_where_the_other_published_features_are_at_hand(monkeypatch, tmp_path):
    monkeypatch.setenv("AUDIOINTERP_DATA", str(tmp_path))
    assert "LAYERS" not in profile_parameters("recorded")
    (tmp_path / "soundnet").mkdir()
    (tmp_path / "soundnet" / "X.npy").touch()
    assert profile_parameters("recorded")["LAYERS"] == ["conv1", "conv2", "conv3", "conv4", "conv5", "conv6"]
    (tmp_path / "soundnet" / "X_out_7.npy").touch()
    assert "LAYERS" not in profile_parameters("recorded")


def test_an_unknown_profile_names_those_there_are():
    with pytest.raises(MissingDataError, match="'quick': expected one of demo, recorded, full"):
        profile_parameters("quick")


def test_recorded_compares_song_features_only_where_the_published_table_is_at_hand(monkeypatch, tmp_path):
    monkeypatch.setenv("AUDIOINTERP_DATA", str(tmp_path))
    assert "PUBLISHED" not in profile_parameters("recorded")
    (tmp_path / "gtzan").mkdir()
    (tmp_path / "gtzan" / "features_30_sec.csv").touch()
    assert profile_parameters("recorded")["PUBLISHED"] is True
    assert "PUBLISHED" not in PROFILES["recorded"]
