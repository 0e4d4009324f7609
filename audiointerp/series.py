"""Running the notebooks: scripts → executed notebooks, headless, with a profile's parameters."""

import ast
import base64
import json
import os
import re
import tempfile
import time
from pathlib import Path

import pandas as pd

from .errors import MissingDataError
from .storage.folders import data_folder

PROFILES = {
    # Small networks from random weights on sounds made on the spot: no downloads.
    "demo": {
        "DATA": "synthetic",
        "VGGISH": "random",
        "YAMNET": "random",
        "WIDTH": 0.125,
        "FOLDS": [4, 5],
        "PATCHES": [100, 240, 380],
        "SAMPLES": 256,
        "KNOWN": 8,
        "JUDGED": {"YAMNet": 6, "VGGish": 6},
        "EVERY": 16,
        "TEACHER": "vggish",
        "SOUNDNET": "student",
        "FEATURES": "own",
        "EPOCHS": 2,
        "BATCH": 32,
        "GENRES": "synthetic_music",
        "FASTER": 3,
        "EVERY_WAY": ["plain CNN"],
        "MERGED": {"loud": ["chiptune", "metal"]},
    },
    # Real data and weights from AUDIOINTERP_DATA; where it lacks a file, `profile_parameters` says what is done.
    "recorded": {
        "DATA": "esc10",
        "VGGISH": "audioset",
        "YAMNET": "audioset",
        "WIDTH": 1.0,
        "TRUE": "chainsaw",
        "PREDICTED": "helicopter",
        "SOUNDNET": "official",
        "FEATURES": "published",
        "GENRES": "gtzan",
        "HELD_OUT": [1, 2, 3, 4, 5],
        "JUDGED": {"YAMNet": 200, "VGGish": 24},
    },
    # Everything official, downloaded.
    "full": {
        "DATA": "esc10",
        "VGGISH": "audioset",
        "YAMNET": "audioset",
        "WIDTH": 1.0,
        "SOUNDNET": "official",
        "FEATURES": "published",
        "GENRES": "gtzan",
        "IMAGENET": "imagenet",
    },
}


def profile_parameters(profile):
    """Parameters that a profile puts into the notebooks.

    A MissingDataError if there is no such profile, or `recorded` is asked for without ``AUDIOINTERP_DATA``.
    """
    if profile not in PROFILES:
        raise MissingDataError(f"profile {profile!r}: expected one of {', '.join(PROFILES)}.")
    parameters = dict(PROFILES[profile])
    if profile == "recorded":
        if not os.environ.get("AUDIOINTERP_DATA"):
            raise MissingDataError(
                "profile 'recorded' reads real data from the folder in AUDIOINTERP_DATA, which is not set. "
                "Set it, or use --profile full to download, or --profile demo for synthetic sounds."
            )
        weights, features = data_folder() / "weights", data_folder() / "soundnet"
        if not (weights / "vggish_model.ckpt").is_file():
            parameters["VGGISH"] = "random"
        if (weights / "soundnet_pruned.npz").is_file():
            parameters["BESIDE" if (weights / "sound8.npy").is_file() else "SOUNDNET"] = "pruned"
        if (features / "X.npy").is_file() and not (features / "X_out_7.npy").is_file():
            parameters["LAYERS"] = [f"conv{number}" for number in range(1, 7)]
        if (data_folder() / "gtzan" / "features_30_sec.csv").is_file():
            parameters["PUBLISHED"] = True
    return parameters


REPOSITORY = "https://github.com/audiointerp/audiointerp"
BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
SETUP = f"""import importlib.util

if importlib.util.find_spec("audiointerp") is None:  # on Colab: install it first
    get_ipython().system('pip install -q "git+{REPOSITORY}"')
"""
SCRIPTS = Path(__file__).resolve().parent.parent / "notebooks" / "scripts"
LOG = "run.log"
NOISE = re.compile(r"^(?:[IWEF]\d{4} \d\d:\d\d|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|WARNING: All log messages|\s*$)")
# A step up to an outer progress bar, what a terminal would have overwritten, and a bar that is left.
BAR = re.compile(r"\x1b\[A|[^\r\n]*\r|[^\r\n|]*\d+%\|[^|\n]*\|[^\[\n]*\[[^\]\n]*\]")
# The folder in front of "cell.py:3: UserWarning: …".
FOLDER = re.compile(r"^\S*[/\\](?=[^/\\\s]+\.py:\d+: \w*Warning)")


def find_scripts(only=(), scripts=SCRIPTS):
    """Paths of the notebooks' scripts in reading order: those of some numbers (``"04"``) or names, or all of them.

    A MissingDataError if the folder or a notebook is not there.
    """
    found = sorted(Path(scripts).glob("[0-9][0-9]_*.py"))
    if not found:
        raise MissingDataError(
            f"{scripts}: no notebooks there. They come with the repository, not with an installed package: "
            "clone it and run this command inside, or name their folder with --scripts."
        )
    chosen = []
    for name in only:
        fitting = [
            path for path in found if str(name) in (path.stem, path.stem[3:], path.stem[:2], path.stem[:2].lstrip("0"))
        ]
        if not fitting:
            raise MissingDataError(f"--only {name}: no such notebook. There are {', '.join(p.stem for p in found)}.")
        chosen += fitting
    return [path for path in found if path in chosen] if only else found


def run_series(profile, output, *, only=(), scripts=SCRIPTS, html=False, figures=None, parameters=None):
    """Execute the notebooks and write them to a folder, with a log of what kernels and libraries had to say.

    Each replaces its predecessor only when it is complete. `only` are numbers or names of notebooks, all if empty;
    `html` asks for a web page beside each; `figures` is a folder for the pictures of cells that carry a tag
    ``figure:NAME``; `parameters` are put in beside the profile's. Given back is a table of `notebook`, `seconds` and
    `error` (empty if it ran to its end). A MissingDataError if no notebook has one of the parameters.
    """
    chosen, parameters = find_scripts(only, scripts), parameters or {}
    known = {name for script in chosen for name in parameters_of(script)}
    if unknown := sorted(set(parameters) - known):
        raise MissingDataError(
            f"no parameter {', '.join(unknown)} in {', '.join(script.stem for script in chosen)}. "
            f"There are {', '.join(sorted(known))}."
        )
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    rows = []
    for script in chosen:
        started = time.perf_counter()
        notebook, error = execute(script, profile_parameters(profile) | parameters, output / LOG)
        tidy(notebook, keep_sound=profile != "recorded")
        rows.append({"notebook": script.stem, "seconds": time.perf_counter() - started, "error": error})
        name = f"{script.stem}.failed.ipynb" if error else f"{script.stem}.ipynb"
        _write(notebook, output / name, html)
        if not error:
            for suffix in ("ipynb", "html"):
                (output / f"{script.stem}.failed.{suffix}").unlink(missing_ok=True)
            if figures:
                save_figures(notebook, Path(figures))
        print(f"{script.stem}: {rows[-1]['seconds']:.0f} s {error or ''}", flush=True)
    return pd.DataFrame(rows)


def execute(script, parameters, log=os.devnull):
    """Run one script as a notebook: what it became, as far as it ran, and its error, empty if it ran to its end.

    Parameters are written into its own parameters cell, where a reader changes them; those that it does not have are
    left out. The log gets at its end what the kernel writes to the terminal.
    """
    import nbformat
    import papermill
    from nbclient.exceptions import DeadKernelError

    with tempfile.TemporaryDirectory() as folder, open(log, "a", encoding="utf-8") as file:
        file.write(f"--- {Path(script).stem}\n")
        file.flush()
        source, target = Path(folder) / "in.ipynb", Path(folder) / "out.ipynb"
        notebook = notebook_of(script, parameters)
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, source)
        error = ""
        try:
            bar = {"desc": Path(script).stem, "leave": False}
            kernels = _kernels_that_log_to(file)
            papermill.execute_notebook(source, target, cwd=folder, progress_bar=bar, kernel_manager_class=kernels)
        except papermill.PapermillExecutionError as failure:
            error = f"cell {failure.exec_count}: {failure.ename}: {failure.evalue}"
        except DeadKernelError:
            error = "the kernel died: the system ended it, perhaps for want of memory"
        return nbformat.read(target, as_version=4), error


def notebook_of(script, parameters):
    """The notebook that a script becomes: with values of parameters, and one of ours with what it needs in Colab.

    Parameters
    ----------
    script : path
    parameters : dict
        Names that the script does not have are left out.

    Returns
    -------
    nbformat.NotebookNode
    """
    import jupytext

    script = Path(script).resolve()
    notebook = with_parameters(jupytext.read(script), parameters)
    if script.parent != SCRIPTS:
        return notebook
    title, rest = notebook.cells[0].source.split("\n", 1)
    page = f"{REPOSITORY.replace('github.com', 'colab.research.google.com/github')}/blob/main/notebooks"
    notebook.cells[0].source = f"{title}\n\n[![Open in Colab]({BADGE})]({page}/{script.stem}.ipynb)\n{rest}"
    setup = next(cell for cell in notebook.cells if cell.source.startswith("import audiointerp as ai\n"))
    setup.source = SETUP + setup.source
    return notebook


def parameters_of(script):
    """Names and values of a script's parameters; none if it has no cell tagged ``parameters``."""
    import jupytext

    values = {}
    for cell in _parameter_cells(jupytext.read(script)):
        values |= {name: ast.literal_eval(node.value) for name, node in _assignments(cell).items()}
    return values


def with_parameters(notebook, parameters):
    """The notebook with values written into its parameters cell; names that are not there are left out."""
    for cell in _parameter_cells(notebook):
        lines = cell.source.split("\n")
        for name, node in reversed(_assignments(cell).items()):
            if name in parameters:
                lines[node.lineno - 1 : node.end_lineno] = [f"{name} = {_literal(parameters[name])}"]
        cell.source = "\n".join(lines)
    return notebook


def _parameter_cells(notebook):
    return [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]


def _assignments(cell):
    """Names that a cell assigns to, each alone, and the syntax nodes that do it, in their order."""
    return {node.targets[0].id: node for node in ast.parse(cell.source).body if isinstance(node, ast.Assign)}


def _literal(value):
    """A value as the scripts write it, text in double quotes."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_literal(name)}: {_literal(part)}" for name, part in value.items()) + "}"
    return f"[{', '.join(map(_literal, value))}]" if isinstance(value, list) else repr(value)


def _kernels_that_log_to(file):
    """A class of kernel managers whose kernels write to a file instead of the terminal."""
    from jupyter_client.manager import AsyncKernelManager

    # Notebooks run in a folder of their own.
    given = {name: os.environ.get(name) for name in ("AUDIOINTERP_DATA", "AUDIOINTERP_CACHE")}
    own = {name: os.path.abspath(os.path.expanduser(folder)) for name, folder in given.items() if folder}

    class Kernels(AsyncKernelManager):
        async def start_kernel(self, **options):
            env = {"TF_CPP_MIN_LOG_LEVEL": "2"} | (options.pop("env", None) or os.environ) | own
            return await super().start_kernel(env=env, stdout=file, stderr=file, **options)

    return Kernels


def tidy(notebook, *, keep_sound):
    """Remove in place what does not belong in a notebook that is shown: log lines, run data, and sound if wanted."""
    for metadata in (notebook.metadata, *(cell.metadata for cell in notebook.cells)):
        metadata.pop("papermill", None)
        metadata.pop("execution", None)
        metadata.pop("widgets", None)
    notebook.metadata.pop("jupytext", None)
    from .plots.interactive import without_sound

    for cell in notebook.cells:
        outputs = []
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":
                lines = [FOLDER.sub("", line) for line in BAR.sub("", output.text).split("\n") if not NOISE.match(line)]
                output.text = "\n".join(lines)
                if not output.text.strip():
                    continue
            if "application/vnd.jupyter.widget-view+json" in output.get("data", {}):  # its state lives in the kernel
                output.data = {"text/plain": "(controls: run this cell to use them)"}
            html = output.get("data", {}).get("text/html", "")
            if "<audio" in html and not keep_sound:
                output.data = {"text/plain": "(sound: run this cell to listen)"}
            elif "data:audio/" in html and not keep_sound:
                output.data["text/html"] = without_sound(html)
            outputs.append(output)
        if "outputs" in cell:
            cell.outputs = outputs


def save_figures(notebook, folder):
    """Write the picture of each cell tagged ``figure:NAME`` to ``NAME.png``."""
    folder.mkdir(parents=True, exist_ok=True)
    for cell in notebook.cells:
        for tag in cell.metadata.get("tags", []):
            pictures = [o["data"]["image/png"] for o in cell.get("outputs", []) if "image/png" in o.get("data", {})]
            if tag.startswith("figure:") and pictures:
                (folder / f"{tag.removeprefix('figure:')}.png").write_bytes(base64.b64decode(pictures[0]))


def _write(notebook, path, html):
    import nbformat

    temporary = path.with_name(f".{path.name}.part")
    nbformat.write(notebook, temporary)
    temporary.replace(path)
    if html:
        from nbconvert import HTMLExporter

        page, _ = HTMLExporter(embed_images=True).from_notebook_node(notebook)
        path.with_suffix(".html").write_text(page, encoding="utf-8")
