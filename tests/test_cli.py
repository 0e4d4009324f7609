import pkgutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import soundfile

from audiointerp import cli, series
from audiointerp.cli import main
from audiointerp.errors import ChecksumError


def run(capsys, *arguments):
    """Exit code and what was printed and complained; argparse's exits count as codes."""
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as stop:
        code = stop.code
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return code, captured.out, captured.err


@pytest.fixture
def filled(own_cache):
    for room, size in (("log_mel", 3_000_000), ("networks", 500_000), ("data", 1_000)):
        (own_cache / room / "deep").mkdir(parents=True)
        (own_cache / room / "deep" / "file.bin").write_bytes(bytes(size))
    (own_cache / "loose.txt").touch()
    return own_cache


def rooms(folder):
    return {path.name for path in folder.iterdir()}


def test_cache_shows_its_rooms_and_their_sizes(capsys, filled):
    code, out, _ = run(capsys, "cache")
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == [str(filled.resolve())]
    assert lines[1:] == [["data", "0.0", "MB"], ["log_mel", "3.0", "MB"], ["networks", "0.5", "MB"]]
    assert rooms(filled) == {"data", "log_mel", "networks", "loose.txt"}


def test_clearing_the_cache_keeps_what_was_downloaded(capsys, filled):
    code, out, _ = run(capsys, "cache", "--clear")
    assert code == 0 and rooms(filled) == {"data", "loose.txt"}
    assert "log_mel" in out and "networks" in out and "data" not in out.replace(str(filled.resolve()), "")


def test_clearing_one_room(capsys, filled):
    assert run(capsys, "cache", "--clear", "networks")[0] == 0
    assert rooms(filled) == {"data", "log_mel", "loose.txt"}
    assert run(capsys, "cache", "--clear", "data", "log_mel")[0] == 0
    assert rooms(filled) == {"loose.txt"}


@pytest.mark.parametrize("name", ["nets", "../outside", "loose.txt", "."])
def test_clearing_a_room_that_is_not_there_removes_nothing(capsys, filled, name):
    code, _, err = run(capsys, "cache", "--clear", "networks", name)
    assert code == 1 and f"audiointerp: no room {name} in" in err
    assert rooms(filled) == {"data", "log_mel", "networks", "loose.txt"}


def test_an_empty_cache(capsys, own_cache):
    assert run(capsys, "cache")[:2] == (0, f"{own_cache.resolve()}\n")
    assert run(capsys, "cache", "--clear")[:2] == (0, "")
    code, _, err = run(capsys, "cache", "--clear", "networks")
    assert code == 1 and "there is nothing" in err


def test_downloading_something_unknown(capsys):
    code, _, err = run(capsys, "download", "kinetics")
    assert code == 2 and "kinetics" in err
    for name in ("esc10", "esc50", "vggish", "yamnet"):
        assert name in err


def test_a_download_says_where_it_lies_or_why_not(capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(cli.DOWNLOADS, "yamnet", f"{__name__}:found")
    code, out, _ = run(capsys, "download", "yamnet")
    assert (code, out) == (0, "/data/weights/yamnet.h5\n")
    monkeypatch.setitem(cli.DOWNLOADS, "yamnet", f"{__name__}:refused")
    code, out, err = run(capsys, "download", "yamnet")
    assert (code, out, err) == (1, "", "audiointerp: another file\n")


def found():
    return "/data/weights/yamnet.h5"


def refused():
    raise ChecksumError("another file")


def test_every_download_can_be_resolved():
    for name, address in cli.DOWNLOADS.items():
        assert callable(pkgutil.resolve_name(address)), name


@pytest.fixture
def pretend(monkeypatch):
    """Runs of the series without notebooks: their errors are given here, and the arguments noted."""
    noted = {}

    def prepare(*errors):
        def run_series(profile, output, **options):
            noted.update(options, profile=profile, output=output)
            table = {"notebook": [f"0{i}_x" for i in range(1, len(errors) + 1)], "seconds": 1.5, "error": errors}
            return pd.DataFrame(table)

        monkeypatch.setattr(series, "run_series", run_series)
        return noted

    return prepare


def test_parameters_are_read_as_python_writes_them(capsys, pretend, tmp_path):
    noted = pretend("")
    given = ["LABEL=dog", "FOLDS=[4, 5]", "WIDTH=0.5", "TRACK=", "NAME='5'", "TEXT=a=b"]
    assert run(capsys, "run", "--output", tmp_path, "--set", *given)[0] == 0
    values = {"LABEL": "dog", "FOLDS": [4, 5], "WIDTH": 0.5, "TRACK": "", "NAME": "5", "TEXT": "a=b"}
    assert noted["parameters"] == values
    code, _, err = run(capsys, "run", "--set", "LABEL")
    assert code == 1 and "--set LABEL: expected NAME=VALUE" in err


def test_run_says_what_ran_and_where_to_look(capsys, pretend, tmp_path):
    noted = pretend("", "")
    code, out, _ = run(capsys, "run", "--output", tmp_path / "out", "--only", "01", "02")
    assert code == 0
    assert "2 of 2 notebooks ran, 3 s in all" in out and f"Look in {tmp_path / 'out'}" in out
    assert (noted["profile"], noted["output"], noted["only"]) == ("demo", tmp_path / "out", ["01", "02"])
    assert noted["scripts"] == series.SCRIPTS and noted["html"]


def test_run_with_a_failing_notebook(capsys, pretend, tmp_path):
    pretend("", "cell 3: ValueError: the reason")
    code, out, _ = run(capsys, "run", "--output", tmp_path)
    assert code == 1
    assert "1 of 2 notebooks ran" in out
    assert f"02_x stopped at cell 3: ValueError: the reason; see {tmp_path / '02_x'}.failed.ipynb" in out


def test_the_folder_of_a_run_is_named_after_its_profile(capsys, pretend):
    noted = pretend("")
    run(capsys, "run", "--profile", "recorded")
    assert noted["output"].parts == ("runs", "recorded") and not noted["html"]


def test_run_with_wrong_arguments(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AUDIOINTERP_DATA", raising=False)
    assert run(capsys, "run", "--profile", "quick")[0] == 2
    code, _, err = run(capsys, "run", "--only", "99")
    assert code == 1 and err.startswith("audiointerp: --only 99: no such notebook")
    code, _, err = run(capsys, "run", "--scripts", tmp_path / "gone")
    assert code == 1 and "no notebooks there" in err
    code, _, err = run(capsys, "run", "--profile", "recorded", "--only", "01")
    assert code == 1 and "AUDIOINTERP_DATA, which is not set" in err
    (tmp_path / "file").touch()
    code, _, err = run(capsys, "run", "--output", tmp_path / "file")
    assert code == 1 and err.startswith("audiointerp: ") and "file" in err


def test_without_a_command_or_with_help(capsys):
    assert run(capsys)[0] == 2
    code, out, _ = run(capsys, "--help")
    assert code == 0 and all(command in out for command in ("run", "download", "cache"))


def test_as_a_program(own_cache):
    ran = subprocess.run([sys.executable, "-m", "audiointerp.cli", "cache"], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"{own_cache.resolve()}\n", "")
    ran = subprocess.run(
        [sys.executable, "-m", "audiointerp.cli", "cache", "--clear", "gone"], capture_output=True, text=True
    )
    assert ran.returncode == 1 and ran.stderr.startswith("audiointerp: no room gone") and "Traceback" not in ran.stderr


def test_train_on_a_folder(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    t = np.arange(16_000) / 16_000
    for label, frequency in (("drum", 200), ("flute", 1_000)):
        (tmp_path / "my sounds" / label).mkdir(parents=True)
        for number in range(3):
            soundfile.write(f"my sounds/{label}/{number}.wav", np.sin(2 * np.pi * (frequency + 9 * number) * t), 16_000)
    (tmp_path / "my sounds" / "drum" / "broken.wav").touch()
    small = ["--weights", "random", "--width", "0.05"]
    code, out, err = run(capsys, "train", "my sounds", *small)
    assert code == 0 and "6 clips of 2 classes" in out and " right, " in out
    assert "drum/broken.wav: cannot be read" in out and "note: " in err and "broken.wav" in err
    assert {path.name for path in tmp_path.iterdir()} == {
        f"my sounds{end}" for end in ("", ".keras", ".clips.csv", ".confusion.png")
    }
    wrongs = [(["nowhere"], "neither a folder"), (["my sounds", "--out", "net.h5"], "ends in .keras")]
    wrongs += [(["my sounds"], "there already"), (["my sounds", "--overwrite", "--folds", "1"], "folds=1")]
    for wrong, text in wrongs:
        code, out, err = run(capsys, "train", *wrong, *small)
        assert code == 1 and text in err and not out
    (tmp_path / "my sounds").rename(tmp_path / "esc10")  # a folder of mine goes before a data set of that name
    code, out, err = run(capsys, "train", "esc10", *small)
    assert code == 0 and "6 clips of 2 classes" in out
