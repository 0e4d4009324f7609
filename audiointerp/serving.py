"""The page served on this computer alone, by Voilà."""

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from .errors import MissingDataError

IDLE_SECONDS = 600  # until a visitor who has gone is forgotten
TITLE = "# What does a network hear in your sound?"


def serve(*, network=None, data="synthetic", weights="random", port=8866):
    """Serve the controls of notebook 11 at http://127.0.0.1:PORT until it is interrupted.

    Each visitor has a process of their own, in which their sound stays. It ends when they leave.

    Parameters
    ----------
    network : path, optional
        A saved network; YAMNet is trained on the data otherwise, before the first visitor comes.
    data : str or path
        See `load`; its clips are the examples.
    weights : str or path
        That YAMNet starts from; from random ones a narrow network is trained.
    port : int

    Returns
    -------
    int
        The exit code of Voilà.

    Raises
    ------
    MissingDataError
        If Voilà is not installed.
    AudioInterpError
        If the network cannot be loaded or trained.
    """
    if importlib.util.find_spec("voila") is None:
        raise MissingDataError('the page needs Voilà, which is not installed: pip install "audiointerp[page]".')
    parameters = page_parameters(network, data, weights)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.ipynb"
        write_page(path, parameters)
        print(f"The page is at http://127.0.0.1:{port}/ in a few seconds; end it with Ctrl-C.", flush=True)
        try:
            return subprocess.run(_voila(path, port), env={"TF_CPP_MIN_LOG_LEVEL": "2"} | os.environ).returncode
        except KeyboardInterrupt:
            return 0


def page_parameters(network, data, weights):
    """Parameters of notebook 11 for the page; its network is loaded or trained once, so that visitors do not wait."""
    from .networks.saving import load_network
    from .training.study import prepare

    width, folder = 0.125 if weights == "random" else 1.0, Path(data).expanduser()
    data = str(folder.resolve()) if folder.is_dir() else str(data)
    if network is None:
        prepare(data, "yamnet", weights=weights, width=width)
    else:
        network = Path(network).resolve()
        load_network(network)
    return {"NETWORK": str(network or ""), "DATA": data, "YAMNET": str(weights), "WIDTH": width}


def write_page(path, parameters):
    """Write the cells of notebook 11 that carry the tag ``page``, below a title, as a notebook."""
    import nbformat

    from . import series

    (script,) = series.find_scripts(["11"])
    notebook = series.notebook_of(script, parameters)
    shown = [cell for cell in notebook.cells if {"page", "parameters"} & set(cell.metadata.get("tags", []))]
    notebook.cells = [nbformat.v4.new_markdown_cell(TITLE), *shown]
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, path)


def _voila(path, port):
    return [
        *(sys.executable, "-m", "voila", str(path), "--no-browser", f"--port={port}", "--Voila.ip=127.0.0.1"),
        *("--theme=light", f"--MappingKernelManager.cull_idle_timeout={IDLE_SECONDS}"),
        "--MappingKernelManager.cull_interval=60",
    ]
