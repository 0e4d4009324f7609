import importlib.util
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import nbformat
import numpy as np
import pytest
import soundfile

from audiointerp import serving
from audiointerp.errors import MissingDataError, WeightsError
from audiointerp.networks.saving import save_network
from audiointerp.serving import page_parameters, serve, write_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
browser = pytest.mark.skipif(
    not (CHROMIUM and importlib.util.find_spec("playwright") and importlib.util.find_spec("voila")),
    reason="needs Chromium, playwright and voila",
)


@pytest.fixture
def saved(network_of, tmp_path):
    return save_network(network_of((96, 64)), tmp_path / "small.keras")


@pytest.fixture
def sounds(tmp_path):
    for label, frequency in (("drum", 200), ("flute", 1_000)):
        (tmp_path / "sounds" / label).mkdir(parents=True)
        for number in (1, 5):
            tone = 0.3 * np.sin(2 * np.pi * frequency * np.arange(32_000) / 16_000)
            soundfile.write(tmp_path / "sounds" / label / f"{number}-{100 + number}-A.wav", tone, 16_000)
    return tmp_path / "sounds"


def test_the_page_holds_the_controls_and_what_they_need(tmp_path, saved, sounds):
    write_page(tmp_path / "page.ipynb", page_parameters(saved, sounds, "random"))
    notebook = nbformat.read(tmp_path / "page.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert [cell.cell_type for cell in notebook.cells] == ["markdown", *["code"] * 4]
    code = "\n".join(cell.source for cell in notebook.cells[1:])
    assert f'NETWORK = "{saved}"' in code and f'DATA = "{sounds}"' in code
    assert code.rstrip().endswith("ai.sound_explorer(network, examples)")


def test_a_missing_network_is_said_before_anything_is_served(tmp_path, monkeypatch):
    monkeypatch.setattr(serving.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDataError, match=r'pip install "audiointerp\[page\]"'):
        serve()
    with pytest.raises(WeightsError, match="no such file"):
        page_parameters(tmp_path / "none.keras", "synthetic", "random")


def test_voila_listens_to_this_computer_alone(tmp_path):
    command = serving._voila(tmp_path / "page.ipynb", 8123)
    assert "--Voila.ip=127.0.0.1" in command and "--port=8123" in command


@pytest.fixture
def page(saved, sounds, own_cache):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = ["page", "--network", str(saved), "--data", str(sounds), "--port", str(port)]
    process = subprocess.Popen([sys.executable, "-m", "audiointerp.cli", *arguments], start_new_session=True)
    address = f"http://127.0.0.1:{port}/"
    for _ in range(120):
        time.sleep(1)
        try:
            with urllib.request.urlopen(f"{address}voila/static/voila.js", timeout=5):
                break
        except OSError:
            assert process.poll() is None
    yield address
    process.send_signal(signal.SIGINT)
    process.wait(30)


@browser
@pytest.mark.browser
@pytest.mark.slow
def test_a_visitor_brings_a_sound(page, sounds, tmp_path):
    from playwright.sync_api import sync_playwright

    (tmp_path / "broken.wav").write_bytes(b"RIFF and no more")
    soundfile.write(tmp_path / "long.flac", np.zeros(600 * 16_000), 16_000)
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for width in (1280, 800):
            visitor = chromium.new_page(viewport={"width": width, "height": 1000})
            visitor.goto(page, timeout=120_000)
            visitor.get_by_role("button", name="Your sound").wait_for(timeout=120_000)

            def bring(path, text, visitor=visitor):
                with visitor.expect_file_chooser() as chooser:
                    visitor.get_by_role("button", name="Your sound").click()
                chooser.value.set_files(path)
                visitor.wait_for_selector(f"text={text}", timeout=60_000)

            bring(sounds / "drum" / "1-101-A.wav", "Mean scores")
            assert visitor.locator("audio").count() == 4
            before = visitor.locator("img[alt*='Grad-CAM']").get_attribute("src")
            visitor.get_by_label("Map").select_option("Occlusion")
            visitor.wait_for_selector("img[alt*='Occlusion']", timeout=60_000)
            assert visitor.locator("img[alt*='Occlusion']").get_attribute("src") != before
            moved = "document.querySelector('.head').style.left"
            start = visitor.evaluate(moved)
            visitor.evaluate("var a = document.querySelector('audio'); a.currentTime = 1.0; a.ontimeupdate()")
            assert float(visitor.evaluate(moved)[:-1]) > float(start[:-1]) + 20
            bring(tmp_path / "broken.wav", "broken.wav")
            assert visitor.locator("[role=alert]").count() == 1 and visitor.locator("audio").count() == 0
            bring(tmp_path / "long.flac", "at most 1.0 minutes")
            assert "Traceback" not in visitor.content()
            across = "document.documentElement.scrollWidth <= window.innerWidth + 1"
            assert visitor.evaluate(across)  # nothing lies beyond the right border
            visitor.close()
        chromium.close()
