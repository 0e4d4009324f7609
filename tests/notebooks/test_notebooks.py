"""The series: shape of the scripts, the committed notebooks made from them, and one run from end to end."""

import ast
import re
import statistics
import subprocess
import sys
from pathlib import Path

import jupytext
import nbformat
import pytest

from audiointerp import series

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted((ROOT / "notebooks" / "scripts").glob("*.py"))
BUDGET = 15_000_000  # bytes of all notebooks together


def cells_of(notebook, kind):
    return [cell for cell in notebook.cells if cell.cell_type == kind]


def parameters_of_cell(cell):
    values = {}
    exec(cell.source, {}, values)
    return values


def committed(script):
    return nbformat.read(ROOT / "notebooks" / f"{script.stem}.ipynb", as_version=4)


def test_there_are_notebooks_in_reading_order():
    assert [script.name[:2] for script in SCRIPTS] == [f"{n:02d}" for n in range(1, len(SCRIPTS) + 1)]
    assert len(SCRIPTS) >= 5


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
class TestScript:
    def test_opens_in_the_fixed_order(self, script):
        notebook = jupytext.read(script)
        first = notebook.cells[0].source
        assert first.startswith(f"# {script.name[:2]} · ")
        assert all(word in first for word in ("**What you will see.**", "**Time.**", "**Follows**"))
        code = cells_of(notebook, "code")
        assert "parameters" in code[0].metadata["tags"]
        assert code[1].source.startswith("import audiointerp as ai\n")

    def test_code_cells_are_short_and_introduced_by_prose(self, script):
        notebook = jupytext.read(script)
        lengths = [len(cell.source.splitlines()) for cell in cells_of(notebook, "code")]
        assert max(lengths) <= 15
        assert statistics.median(lengths) <= 5
        kinds = "".join(cell.cell_type[0] for cell in notebook.cells)
        assert "ccccc" not in kinds

    def test_ends_with_a_recap_and_exercises_with_folded_solutions(self, script):
        last = jupytext.read(script).cells[-1].source
        assert "## What we saw" in last
        exercises, solutions = len(re.findall(r"^\*\*\d\.\*\*", last, re.M)), last.count("<details><summary>Solution")
        assert 2 <= exercises == solutions == last.count("</details>")

    def test_reader_is_asked_to_predict(self, script):
        text = "\n".join(cell.source for cell in cells_of(jupytext.read(script), "markdown"))
        assert text.lower().count("predict**") >= 2 or text.lower().count("**predict") >= 2


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
class TestCommitted:
    def test_is_made_from_the_script(self, script):
        notebook = committed(script)
        values = parameters_of_cell(cells_of(notebook, "code")[0])
        assert list(values) == list(series.parameters_of(script))
        made = series.notebook_of(script, values)
        assert [cell.source for cell in notebook.cells] == [cell.source for cell in made.cells]

    def test_opens_in_colab_where_it_installs_itself(self, script):
        first, *_ = committed(script).cells
        page = series.REPOSITORY.removeprefix("https://github.com")
        link = f"(https://colab.research.google.com/github{page}/blob/main/notebooks/{script.stem}.ipynb)"
        assert link in first.source and (ROOT / "notebooks" / f"{script.stem}.ipynb").is_file()
        setup = cells_of(committed(script), "code")[1].source
        assert f'pip install -q "git+{series.REPOSITORY}"' in setup
        assert setup.index("find_spec") < setup.index("import audiointerp as ai")

    def test_the_address_stands_in_one_place(self, script):
        assert series.REPOSITORY not in script.read_text(encoding="utf-8")

    def test_ran_to_its_end_in_order(self, script):
        code = cells_of(committed(script), "code")
        assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
        assert not [output for cell in code for output in cell.outputs if output.output_type == "error"]

    def test_carries_no_sound_and_no_path_of_a_machine(self, script):
        text = str([cell.outputs for cell in cells_of(committed(script), "code")])
        # Found words, not the text: a failed comparison of megabytes would be explained for hours.
        assert re.findall(r"<audio|data:audio|/(?:work|tmp|root|home|Users)/", text) == []

    def test_was_run_on_real_data(self, script):
        values = parameters_of_cell(cells_of(committed(script), "code")[0])
        assert values.get("DATA", values.get("GENRES")) in ("esc10", "gtzan")

    def test_what_a_reader_changes_stays_changed(self, script):
        first, *rest = cells_of(committed(script), "code")
        own = set(parameters_of_cell(first))
        for cell in rest:
            names = {
                node.id
                for node in ast.walk(ast.parse(cell.source))
                if isinstance(getattr(node, "ctx", 0), ast.Store) and isinstance(node, ast.Name)
            }
            assert not names & own, cell.source
            assert not {"parameters", "injected-parameters"} & set(cell.metadata.get("tags", []))


def test_committed_notebooks_are_small():
    assert sum(path.stat().st_size for path in (ROOT / "notebooks").glob("*.ipynb")) < BUDGET


def test_figures_of_the_readme_exist():
    named = re.findall(r"\((figures/[^)]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert named
    assert [name for name in named if not (ROOT / name).is_file()] == []


@pytest.mark.slow
def test_first_notebook_runs_on_synthetic_sounds(tmp_path, monkeypatch):
    monkeypatch.delenv("AUDIOINTERP_DATA", raising=False)
    table = series.run_series("demo", tmp_path, only=["01"])
    assert table["error"].tolist() == [""]
    notebook = nbformat.read(tmp_path / "01_data.ipynb", as_version=4)
    pictures = [o for cell in cells_of(notebook, "code") for o in cell.outputs if "image/png" in o.get("data", {})]
    assert len(pictures) == 4
    assert str(notebook).count("<audio") > 0


@pytest.mark.slow
@pytest.mark.parametrize("number", ["01", "04"])
def test_runs_through_nbconvert(number, tmp_path, monkeypatch):
    """Without papermill, in a kernel as a reader starts it, with the IPython and the widgets that are installed."""
    monkeypatch.delenv("AUDIOINTERP_DATA", raising=False)
    (script,) = series.find_scripts([number])
    notebook = series.notebook_of(script, series.profile_parameters("demo"))
    nbformat.write(notebook, tmp_path / "given.ipynb")
    options = ["--execute", "--to", "notebook", "--output", "run.ipynb"]
    command = [sys.executable, "-m", "jupyter", "nbconvert", *options, str(tmp_path / "given.ipynb")]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-3000:]
    code = cells_of(nbformat.read(tmp_path / "run.ipynb", as_version=4), "code")
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not [output for cell in code for output in cell.outputs if output.output_type == "error"]
    assert len([o for cell in code for o in cell.outputs if "image/png" in o.get("data", {})]) >= 4
