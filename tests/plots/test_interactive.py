"""Clickable pictures: what is inside them, that it survives the frame, and in a browser that points show and play."""

import base64
import io
import json
import re
import shutil
import subprocess
import sys
import time
import warnings
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import soundfile

from audiointerp.errors import AudioRepairWarning
from audiointerp.plots import interactive
from audiointerp.plots.interactive import clickable, without_sound

RATE = 16_000
AUDIO = r"data:audio/[\w.+-]+;base64,[A-Za-z0-9+/=]*"


class Tags(HTMLParser):
    """Tags of a page with their attributes, and the text inside each element that has an id."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.tags, self.text, self.inside = [], {}, None
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside = dict(attrs).get("id", self.inside if tag == "span" else None)

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, data):
        if self.inside:
            self.text[self.inside] = self.text.get(self.inside, "") + data


def page_of(html):
    """The page inside the frame, which must be all there is."""
    (outer, _), (tag, attributes) = Tags(html).tags
    assert (outer, tag) == ("div", "iframe")
    return attributes["srcdoc"]


def clips_of(html):
    return json.loads(Tags(page_of(html)).text["clips"])


def decoded(uri):
    return io.BytesIO(base64.b64decode(uri.partition(";base64,")[2], validate=True))


def tone(frequency, seconds):
    time = np.arange(round(seconds * RATE)) / RATE
    return 0.5 * np.sin(2 * np.pi * frequency * time) * np.minimum(1, 20 * time)


@pytest.fixture
def table(tmp_path):
    """Three clips: a low tone of 2 s, a high one of 1 s, and one that is not at hand."""
    for name, frequency, seconds in (("low.wav", 300, 2), ("high.wav", 4000, 1)):
        soundfile.write(tmp_path / name, tone(frequency, seconds), RATE)
    columns = {"x": [0.0, 4.0, 2.0], "y": [0.0, 1.0, 3.0], "label": ["low", "high", "low"], "fold": [1, 2, 3]}
    paths = [str(tmp_path / "low.wav"), str(tmp_path / "high.wav"), None]
    return pd.DataFrame(columns | {"group": ["tones"] * 3, "path": paths}, index=[7, 8, 9])


def test_each_clip_says_what_is_known_of_it(table):
    low, high, absent = clips_of(clickable(table).data)
    assert (low["x"], low["y"], high["x"], high["y"]) == (0, 0, 4, 1)
    assert low["lines"] == ["low", "fold 1", "tones", "low.wav"]
    assert high["lines"] == ["high", "fold 2", "tones", "high.wav"]
    assert absent["lines"] == ["low", "fold 3", "tones", "clip 9"] and absent["sound"] is None
    assert [clip["kind"] for clip in (low, high, absent)] == [1, 0, 1]  # high, low: sorted
    by_fold = clips_of(clickable(table.drop(columns=["label", "group", "path"]), by="fold").data)
    assert [clip["lines"] for clip in by_fold] == [[str(n), f"fold {n}", f"clip {n + 6}"] for n in (1, 2, 3)]


def test_the_sound_inside_is_the_clip(table):
    html = clickable(table, seconds=1.5).data
    found = re.findall(AUDIO, page_of(html))
    assert len(found) == len(re.findall(AUDIO, html)) == 2
    assert [clip["sound"] for clip in clips_of(html)] == [*found, None]
    for uri, frequency, seconds in zip(found, (300, 4000), (1.5, 1), strict=True):
        heard, rate = soundfile.read(decoded(uri))
        assert rate == RATE and heard.shape == (seconds * RATE,)
        assert np.corrcoef(heard, tone(frequency, seconds))[0, 1] > 0.98
        assert np.abs(heard).max() == pytest.approx(0.5, abs=0.1)
        assert len(uri) < 12_000


def test_without_mp3_sounds_are_ogg(table, monkeypatch):
    formats = {name: text for name, text in soundfile.available_formats().items() if name != "MP3"}
    monkeypatch.setattr(soundfile, "available_formats", lambda: formats)
    uri = clips_of(clickable(table, seconds=1).data)[0]["sound"]
    assert uri.startswith("data:audio/ogg;base64,")
    heard, _ = soundfile.read(decoded(uri))
    assert np.corrcoef(heard, tone(300, 1))[0, 1] > 0.98


def test_a_loud_sound_is_scaled_not_clipped(table, tmp_path):
    soundfile.write(tmp_path / "low.wav", 6 * tone(300, 2), RATE, subtype="FLOAT")
    heard, _ = soundfile.read(decoded(clips_of(clickable(table).data)[0]["sound"]))
    assert np.corrcoef(heard, tone(300, 2))[0, 1] > 0.98


def test_pictures_have_low_frequencies_below(table):
    from PIL import Image

    low, high, absent = clips_of(clickable(table).data)
    rows = []
    for clip in (low, high):
        assert len(clip["picture"]) < 5_000
        pixels = np.asarray(Image.open(decoded(clip["picture"])), dtype=float)
        assert pixels.shape == (64, 120, 3)
        rows.append(pixels[:, 60, 1].argmax())  # viridis is the greener the louder
    assert rows[0] > 45 and rows[1] < 20
    assert "picture" not in absent and "picture" not in clips_of(clickable(table, picture=False).data)[0]


@pytest.mark.parametrize("absent", [None, np.nan, pd.NA, ""])
def test_clips_without_a_path_are_silent(table, absent):
    table["path"] = [absent, table["path"].iloc[1], absent]
    html = clickable(table).data
    assert [clip["sound"] is None for clip in clips_of(html)] == [True, False, True]
    assert Tags(page_of(html)).text["hint"].strip() == "hover to see, click to hear; click a name to hide it"
    html = clickable(table.drop(columns="path")).data
    assert [clip["sound"] for clip in clips_of(html)] == [None] * 3
    assert Tags(page_of(html)).text["hint"].strip() == "hover to see; click a name to hide it"


def test_files_that_cannot_be_read_count_as_silent_in_one_warning(table, tmp_path):
    (tmp_path / "low.wav").write_bytes(b"not a sound")
    table.loc[9, "path"] = str(tmp_path / "gone.wav")
    with pytest.warns(UserWarning, match=r"^2 of 3 sound files cannot be read; .*low\.wav: not readable") as caught:
        html = clickable(table).data
    assert len(caught) == 1 and caught[0].filename == __file__
    assert [clip["sound"] is None for clip in clips_of(html)] == [True, False, True]
    assert clips_of(html)[0]["lines"] == ["low", "fold 1", "tones", "low.wav"]


def test_repairs_are_said_once(table, tmp_path):
    broken = tone(300, 2)
    broken[5] = np.nan
    soundfile.write(tmp_path / "low.wav", broken, RATE, subtype="FLOAT")
    with pytest.warns(AudioRepairWarning, match=r"^1 repairs, the first: .*low\.wav: 1 samples are NaN") as caught:
        assert clips_of(clickable(table).data)[0]["sound"] is not None
    assert len(caught) == 1


def test_sounds_can_be_left_out(table):
    html = clickable(table, sound=False).data
    assert not re.search(AUDIO, html) and "click to hear" not in html
    clips = clips_of(html)
    assert not any("sound" in clip for clip in clips) and ["picture" in clip for clip in clips] == [True, True, False]


def test_files_are_read_once(table, monkeypatch):
    first = clips_of(clickable(table).data)
    monkeypatch.setattr(interactive, "read_with_notes", lambda *_: pytest.fail("the file was read again"))
    assert clips_of(clickable(table).data) == first
    with pytest.raises(pytest.fail.Exception, match="read again"):
        clickable(table, seconds=0.5)


def test_too_much_is_refused_and_says_what_to_do(table, monkeypatch):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        many = pd.concat([table.assign(path="gone.wav")] * 200)
        with pytest.raises(ValueError, match=r"600 sounds; at most 500 .* table\.sample.* sound=False"):
            clickable(many)
    with pytest.raises(ValueError, match="2 sounds; at most 1 "):
        clickable(table, most=1)
    assert len(clips_of(clickable(table, most=2).data)) == 3
    size = sum(
        len(clip[key] or "") for clip in clips_of(clickable(table).data) for key in ("sound", "picture") if key in clip
    )
    monkeypatch.setattr(interactive, "MOST_MEGABYTES", (size - 1) / 1e6)
    with pytest.raises(ValueError, match=r"MB of sounds and spectrograms; at most .*sound=False or picture=False"):
        clickable(table)
    monkeypatch.setattr(interactive, "MOST_MEGABYTES", size / 1e6)
    assert len(clips_of(clickable(table).data)) == 3


def test_names_cannot_break_out_of_the_page(table):
    names = [
        "</script><script>alert(1)</script>",
        "\"><img src=x onerror='alert(2)'>",
        "&quot; &amp; é \u2028 %(hint)s",
    ]
    plain = Tags(page_of(clickable(table).data))
    odd = Tags(page_of(clickable(table.assign(label=names, group=names)).data))
    assert [tag for tag, _ in odd.tags] == [tag for tag, _ in plain.tags]
    assert [clip["lines"][0] for clip in json.loads(odd.text["clips"])] == names
    legend = [value for value in strings(json.loads(odd.text["plot"])) if value in names]
    assert sorted(legend) == sorted(names)


def strings(tree):
    if isinstance(tree, dict):
        tree = list(tree.values())
    return (
        [tree]
        if isinstance(tree, str)
        else [s for part in tree for s in strings(part)]
        if isinstance(tree, list)
        else []
    )


def test_the_page_needs_nothing_from_elsewhere(table):
    page = page_of(clickable(table).data)
    for _, attributes in Tags(page).tags:
        assert not {"src", "href", "data", "action"} & set(attributes)
    assert "<audio" not in page.lower() and len(clickable(table, sound=False, picture=False).data) < 1.5e6


def test_without_sound_empties_only_the_sounds(table):
    html = clickable(table).data
    silent = without_sound(html)
    assert silent == re.sub(AUDIO, "", html) != html
    assert [clip["sound"] for clip in clips_of(silent)] == ["", "", None]
    assert [clip.get("picture") for clip in clips_of(silent)] == [clip.get("picture") for clip in clips_of(html)]
    notebook = json.dumps({"outputs": [{"data": {"text/html": html.splitlines(keepends=True)}}]})
    assert "".join(json.loads(without_sound(notebook))["outputs"][0]["data"]["text/html"]) == silent
    assert without_sound(silent) == silent and without_sound("no sound") == "no sound"


def test_both_axes_have_one_scale_and_every_point_is_inside(table):
    for points in (table, table.iloc[:1], table.assign(x=1.0)):
        plot = json.loads(Tags(page_of(clickable(points, size=(500, 300), sound=False).data)).text["plot"])
        (root,) = plot["doc"]["roots"]
        ranges = {axis: root["attributes"][f"{axis}_range"]["attributes"] for axis in "xy"}
        span = {axis: ends["end"] - ends["start"] for axis, ends in ranges.items()}
        assert span["x"] / 500 == pytest.approx(span["y"] / 300) and span["y"] > 0
        for axis, ends in ranges.items():
            assert ends["start"] < points[axis].min() <= points[axis].max() < ends["end"]


def test_other_tables_are_refused(table):
    with pytest.raises(ValueError, match="no rows"):
        clickable(table.iloc[:0])
    for column in ("x", "y", "label"):
        with pytest.raises(ValueError, match=f"no column {column} "):
            clickable(table.drop(columns=column))
    with pytest.raises(ValueError, match="no column genre "):
        clickable(table, by="genre")
    with pytest.raises(ValueError, match="1 of 3 clips, the first 8"):
        clickable(table.assign(x=[0, np.inf, 1]))
    many = pd.DataFrame({"x": np.arange(61.0), "y": 0.0, "label": [f"class {n}" for n in range(61)]})
    with pytest.raises(ValueError, match="61 different values of 'label'"):
        clickable(many)
    for bad in ({"seconds": 0}, {"seconds": np.nan}, {"size": (640, 50)}):
        with pytest.raises(ValueError, match="expected more than 0 seconds, and at least 100 pixels"):
            clickable(table, **bad)


def test_importing_it_does_not_load_bokeh():
    code = "import sys, audiointerp.plots.interactive; print({'bokeh', 'tensorflow', 'keras'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


@pytest.fixture
def browser(tmp_path):
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: pip install selenium")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("needs a browser: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    switches = "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking"
    switches += f" disable-component-update disable-sync window-size=1100,800 user-data-dir={tmp_path / 'profile'}"
    for switch in switches.split():
        options.add_argument(f"--{switch}")
    running = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield running
    running.quit()


class Opened:
    """A picture in a browser, and a mouse on it."""

    def __init__(self, browser, html, folder):
        path = folder / "page.html"
        path.write_text(f"<!DOCTYPE html><html><body><p>A cell</p>{html}</body></html>", encoding="utf-8")
        browser.get(path.as_uri())
        browser.switch_to.frame(browser.find_element("tag name", "iframe"))
        self.browser = browser
        self.wait("Boolean(window.Bokeh && Bokeh.documents.length && Bokeh.documents[0].is_idle)")
        self.run("""window.started = [];
            const Real = window.Audio;
            window.Audio = function() { const audio = new Real(); started.push(audio); return audio; };""")

    def run(self, code, *arguments):
        return self.browser.execute_script(code, *arguments)

    def wait(self, condition, seconds=20):
        stop = time.monotonic() + seconds
        while not (value := self.run(f"return {condition}")):
            assert time.monotonic() < stop, f"still not so: {condition}; note: {self.run('return note.innerText')!r}"
            time.sleep(0.05)
        return value

    def mouse(self):
        from selenium.webdriver import ActionChains

        return ActionChains(self.browser, duration=50)

    def move(self, x, y):
        """Mouse to a place in the frame, in pixels."""
        body = self.browser.find_element("tag name", "body")
        left, top, width, height = self.run("const r = document.body.getBoundingClientRect();"
                                            "return [r.x, r.y, r.width, r.height]")  # fmt: skip
        self.mouse().move_to_element_with_offset(
            body, round(x - left - width / 2), round(y - top - height / 2)
        ).perform()

    def frame(self):
        """Left, top, width and height of the plotting area."""
        return self.run("""const view = Bokeh.index[Object.keys(Bokeh.index)[0]] || [...Bokeh.index][0];
            const at = view.el.getBoundingClientRect(), box = view.frame.bbox;
            return [at.x + box.x, at.y + box.y, box.width, box.height];""")

    def go(self, number, aside=(0, 0)):
        """Mouse to a clip, or so many pixels beside it."""
        left, top, width, height = self.frame()
        x, y = self.run("""const {x_range, y_range} = Bokeh.documents[0].roots()[0], {x, y} = clips[arguments[0]];
            return [(x - x_range.start) / (x_range.end - x_range.start),
                    (y_range.end - y) / (y_range.end - y_range.start)];""", number)  # fmt: skip
        self.move(left + x * width + aside[0], top + y * height + aside[1])

    def click(self):
        time.sleep(0.4)  # two clicks at once would be a double click
        self.mouse().click().perform()


@pytest.mark.browser
def test_in_a_browser_points_show_their_clip_and_play_it(table, browser, tmp_path):
    opened = Opened(browser, clickable(table).data, tmp_path)
    assert opened.run("return tip.style.display") != "block"
    opened.go(0)
    opened.wait("tip.style.display === 'block'")
    assert opened.run("return tip.innerText").splitlines() == ["low", "fold 1", "tones", "low.wav"]
    assert opened.wait("tip.querySelector('img').naturalWidth") == 120
    opened.click()
    opened.wait("started.length === 1 && started[0].currentTime > 0 && !started[0].paused")
    assert opened.run("return started[0].src") == clips_of(clickable(table).data)[0]["sound"]
    assert opened.run("return [started[0].duration, note.innerText]") == [pytest.approx(2, abs=0.1), "playing: low"]
    opened.click()
    opened.wait("started[0].paused && !started[0].ended && note.innerText === ''")
    for aside in ((14, 0), (0, -14)):
        opened.go(0, aside)
        opened.wait("tip.style.display === 'none'")
        opened.go(0, np.divide(aside, 2))
        opened.wait("tip.style.display === 'block'")
    opened.go(1)
    opened.wait("tip.innerText.startsWith('high')")
    opened.click()
    opened.wait("started[0].src === clips[1].sound")
    opened.wait("started[0].ended && note.innerText === ''")
    opened.go(2)
    opened.wait("tip.innerText.endsWith('no sound at hand')")
    opened.click()
    opened.wait("note.innerText === 'no sound at hand'")
    assert opened.run("return started.length") == 1


@pytest.mark.browser
def test_in_a_browser_a_name_hides_its_points(table, browser, tmp_path):
    opened = Opened(browser, clickable(table).data, tmp_path)
    left, top, width, _ = opened.frame()
    opened.move(left + width + 40, top + 18)  # the first name, "high"
    opened.click()
    opened.wait("Bokeh.documents[0].roots()[0].renderers.map(one => one.visible).join() === 'false,true,true,true'")
    opened.go(0)
    opened.wait("tip.innerText.startsWith('low')")
    opened.go(1)
    opened.wait("tip.style.display === 'none'")
    opened.click()
    time.sleep(0.5)
    assert opened.run("return [started.length, note.innerText]") == [0, ""]


@pytest.mark.browser
def test_in_a_browser_a_page_without_its_sounds_says_so(table, browser, tmp_path):
    opened = Opened(browser, without_sound(clickable(table).data), tmp_path)
    opened.go(0)
    opened.click()
    opened.wait("note.innerText === 'sound: run this cell to listen'")
    assert opened.run("return started.length") == 0
    severe = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert severe == []
