"""Pictures for notebook cells that answer to the mouse: clips to see by hovering and to hear by clicking.

Everything a picture needs is inside it: it works without a kernel and without the internet, also in a saved page.
"""

import base64
import io
import json
import re
import warnings
from html import escape
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import soundfile

from ..errors import AudioRepairWarning, UnreadableAudioError
from ..sound.frontend import VGGISH
from ..sound.reading import file_digest, read_each, read_with_notes, short
from ..storage.cache import cached
from .projections import categories, looks

MOST_MEGABYTES = 20  # of sounds and spectrograms in one picture
SHAPES = {"o": "circle", "^": "triangle", "s": "square", "v": "inverted_triangle", "D": "diamond"}
SHAPES |= {"P": "plus", "<": "hex", "X": "square_pin", "p": "triangle_pin", "*": "star"}
SOUND_URI = re.compile(r"data:audio/[\w.+-]+;base64,[A-Za-z0-9+/=]*")

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Clips</title><style>
body {margin: 4px; background: white; color: #222; font: 13px sans-serif}
#hint {margin: 2px 0 6px 4px}
#tip {position: fixed; display: none; pointer-events: none; z-index: 99; padding: 5px 8px; background: white;
  border: 1px solid #888; border-radius: 4px; box-shadow: 1px 1px 4px #0004; max-width: 220px; overflow-wrap: anywhere}
#note, #tip div:first-child {font-weight: bold}
#tip img {display: block; margin-top: 4px; width: 180px; height: 96px}
</style></head><body>
<p id="hint">%(hint)s <span id="note" role="status"></span></p>
<div id="picture"></div><div id="tip"></div>
<script type="application/json" id="clips">%(clips)s</script>
<script type="application/json" id="plot">%(plot)s</script>
%(bokeh)s
<script>
const stored = name => JSON.parse(document.getElementById(name).textContent);
const clips = stored("clips"), tip = document.getElementById("tip"), note = document.getElementById("note");
let mouse = [0, 0], player = null, heard = -1;
for (const kind of ["pointermove", "pointerdown"])
  document.addEventListener(kind, event => { mouse = [event.clientX, event.clientY]; }, true);

function nearest(event, plot, shapes) {  // number of the visible clip within 10 pixels, or -1
  const {x_range, y_range} = plot;
  if (event.x < x_range.start || event.x > x_range.end || event.y < y_range.start || event.y > y_range.end) return -1;
  const across = plot.inner_width / (x_range.end - x_range.start);
  const up = plot.inner_height / (y_range.end - y_range.start);
  let found = -1, least = 100;
  clips.forEach(({x, y, kind}, number) => {
    const distance = ((x - event.x) * across) ** 2 + ((y - event.y) * up) ** 2;
    if (distance <= least && shapes[kind].visible) [found, least] = [number, distance];
  });
  return found;
}

function mark(ring, {x, y} = {}) { ring.data = x === undefined ? {x: [], y: []} : {x: [x], y: [y]}; }

function see(number, ring) {
  tip.style.display = number < 0 ? "none" : "block";
  if (tip.dataset.clip !== String(number)) {
    tip.dataset.clip = number;
    mark(ring, clips[number]);
    const {lines = [], sound, picture} = clips[number] || {};
    tip.textContent = "";
    for (const line of sound === null ? [...lines, "no sound at hand"] : lines)
      tip.appendChild(document.createElement("div")).textContent = line;
    if (picture) tip.appendChild(new Image()).src = picture;
  }
  const {width, height} = tip.getBoundingClientRect();
  const right = mouse[0] + 16 + width > window.innerWidth;
  tip.style.left = Math.max(0, right ? mouse[0] - 16 - width : mouse[0] + 16) + "px";
  tip.style.top = Math.max(0, Math.min(mouse[1] - height / 2, window.innerHeight - height - 4)) + "px";
}

function hear(number, ring) {
  const {lines, sound} = clips[number] || {};
  if (player) player.pause();
  heard = sound === undefined || number === heard ? -1 : number;
  note.textContent = "";
  mark(ring, clips[heard]);
  if (heard < 0) return;
  const missing = sound === null ? "no sound at hand" : "sound: run this cell to listen";
  note.textContent = sound ? "playing: " + lines[0] : missing;
  if (!sound) return;
  player = player || new Audio();
  player.src = sound;
  player.onended = () => hear(-1, ring);
  player.play().catch(() => { if (heard === number) note.textContent = "this browser cannot play the sound"; });
}

Bokeh.embed.embed_item(stored("plot"));
</script></body></html>"""


def clickable(table, *, by="label", sound=True, seconds=5.0, size=(640, 480), picture=True, most=500, progress=True):
    """A projection whose points show their clip under the mouse and play it when clicked.

    Parameters
    ----------
    table : pandas.DataFrame [clips]
        `x`, `y` and the column named by `by`; shown where it has them: `label`, `fold`, `group`, `path`.
        Clips without a path are silent.
    by : str
        Column that colours the points, of at most 60 different values.
    sound : bool
        Put the sounds inside (about 19 KB each of 5 s).
    seconds : float
        How much of each clip is kept.
    size : (int, int)
        Width and height in pixels, without legend.
    picture : bool
        Put a small log-mel spectrogram of each clip inside (about 3 KB).
    most : int
        Most sounds that are accepted.
    progress : bool

    Returns
    -------
    IPython.display.HTML

    Raises
    ------
    ValueError
        If the table is not a projection, or there would be more than `most` sounds or 20 MB.

    Warns
    -----
    UserWarning
        If sound files cannot be read: their clips are silent.
    AudioRepairWarning
    """
    from IPython.display import HTML

    names = categories([table], by)
    if not seconds > 0 or min(size) < 100:
        raise ValueError(f"seconds={seconds}, size={size}: expected more than 0 seconds, and at least 100 pixels.")
    paths = table["path"] if "path" in table else [None] * len(table)
    paths = [None if pd.isna(path) or path == "" else str(path) for path in paths]
    count = sum(path is not None for path in paths)
    if sound and count > most:
        advice = "Choose clips, as in table.sample(300, random_state=0), or leave the sounds out with sound=False"
        raise ValueError(f"{count} sounds; at most {most} are put into one picture. {advice}.")
    media = _read_all(paths, seconds, sound, picture, progress)
    megabytes = sum(len(uri or "") for one in media for uri in one.values()) / 1e6
    if megabytes > MOST_MEGABYTES:
        found = f"{megabytes:.0f} MB of sounds and spectrograms; at most {MOST_MEGABYTES} MB are put into one picture"
        raise ValueError(f"{found}. Choose clips, fewer seconds, sound=False or picture=False.")
    place = zip(table["x"].astype(float), table["y"].astype(float), table[by].astype(str), strict=True)
    clips = [
        {"x": x, "y": y, "kind": names.index(name), "lines": lines, **one}
        for (x, y, name), lines, one in zip(place, _lines(table, by, paths), media, strict=True)
    ]
    hint = f"hover to see{', click to hear' if sound and count else ''}; click a name to hide it"
    return HTML(_page(clips, names, size, hint))


def without_sound(html):
    """The HTML of a picture, or the text of a notebook with some, without their sounds.

    Parameters
    ----------
    html : str

    Returns
    -------
    str
        In it, a click says that the cell must be run to listen.
    """
    return SOUND_URI.sub("", html)


def _lines(table, by, paths):
    """What is said of each clip; the first line is its title."""
    first = "label" if "label" in table else by
    for index, row, path in zip(table.index, table.to_dict("records"), paths, strict=True):
        facts = [f"fold {row['fold']}".removesuffix(".0")] if "fold" in table and pd.notna(row["fold"]) else []
        facts += [str(row["group"])] if "group" in table and row["group"] != row[first] else []
        facts += [f"{by}: {row[by]}"] if by not in (first, "fold", "group") else []
        yield [str(row[first]), *facts, f"clip {index}" if path is None else Path(path).name]


def _read_all(paths, seconds, sound, picture, progress):
    """For each path a dict of `sound` and `picture` as data URIs; warns of files that cannot be read."""
    wanted = dict.fromkeys(path for path in paths if path is not None and (sound or picture))

    def read_one(path):
        return _media(file_digest(path), path, seconds, sound, picture)

    read = dict(zip(wanted, read_each(read_one, wanted, title="sounds", progress=progress), strict=True))
    bad = [str(result) for result in read.values() if isinstance(result, UnreadableAudioError)]
    read = {path: result for path, result in read.items() if isinstance(result, tuple)}
    repairs = [f"{short(path)}: {note}" for path, (_, notes) in read.items() for note in notes]
    if bad:
        text = f"{len(bad)} of {len(wanted)} sound files cannot be read; their clips are silent. The first: {bad[0]}"
        warnings.warn(text, UserWarning, stacklevel=3)
    if repairs:
        warnings.warn(f"{len(repairs)} repairs, the first: {repairs[0]}", AudioRepairWarning, stacklevel=3)
    silent = ({"sound": None} if sound else {}, [])
    return [read.get(path, silent)[0] for path in paths]


@cached("clickable", version=2, ignore=("path",))
def _media(digest, path, seconds, sound, picture):
    """Sound and picture of a file (kept under the fingerprint of its bytes), and what was repaired."""
    waveform, notes = read_with_notes(path, VGGISH.sample_rate)
    waveform = waveform[: max(1, round(seconds * VGGISH.sample_rate))]
    media = {"sound": _sound(waveform)} if sound else {}
    return media | ({"picture": _picture(waveform)} if picture else {}), notes


def _sound(waveform):
    """A waveform as a data URI of an mp3 file, or of an ogg file where libsndfile has no mp3."""
    kind, style, file = "ogg", {"format": "OGG", "subtype": "VORBIS"}, io.BytesIO()
    if "MP3" in soundfile.available_formats():
        kind, style = "mpeg", {"format": "MP3", "bitrate_mode": "VARIABLE", "compression_level": 0.9}
    soundfile.write(file, waveform / max(1.0, np.abs(waveform).max()), VGGISH.sample_rate, **style)
    return f"data:audio/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"


def _picture(waveform):
    """The log-mel spectrogram of a waveform as a data URI of a small picture, high frequencies up."""
    from PIL import Image

    log_mel = VGGISH.log_mel(waveform)
    low = np.log(VGGISH.log_offset)
    level = (log_mel - low) / max(log_mel.max() - low, 2)
    edges = np.linspace(0, len(level), min(120, len(level)) + 1).astype(int)
    columns = np.add.reduceat(level, edges[:-1]) / np.diff(edges)[:, None]
    colours = matplotlib.colormaps["viridis"](columns.T[::-1], bytes=True)[:, :, :3]
    file = io.BytesIO()
    Image.fromarray(colours).resize((120, 64)).save(file, "JPEG", quality=75)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def _page(clips, names, size, hint):
    """The picture as HTML: a page of its own inside a frame."""
    from bokeh.embed import json_item
    from bokeh.resources import Resources

    plot, legend_width = _plot(clips, names, size)
    parts = {"clips": clips, "plot": json_item(plot, "picture")}
    parts = {name: json.dumps(part, separators=(",", ":")).replace("<", r"\u003c") for name, part in parts.items()}
    page = PAGE % {"hint": hint, "bokeh": Resources(mode="inline", components=["bokeh"]).render_js(), **parts}
    width, height = size[0] + legend_width + 80, size[1] + 64
    source = page.replace("&", "&amp;").replace('"', "&quot;")
    style = f"width: {width}px; max-width: 100%; height: {height}px; border: 0"
    return f'<div><iframe title="{escape(hint)}" style="{style}" srcdoc="{source}"></iframe></div>'


def _plot(clips, names, size):
    """Bokeh's figure of the points, and the width of its legend in pixels."""
    from bokeh.core.properties import value
    from bokeh.events import MouseLeave, MouseMove, Tap
    from bokeh.models import ColumnDataSource, CustomJS, Legend, LegendItem
    from bokeh.plotting import figure

    x, y, kind = (np.array([clip[key] for clip in clips]) for key in ("x", "y", "kind"))
    scale = 1.08 * max(np.ptp(x) / size[0], np.ptp(y) / size[1]) or 1 / min(size)  # of the data per pixel
    middle = (x.min() + x.max()) / 2, (y.min() + y.max()) / 2
    style = {"x_range": tuple(middle[0] + scale * size[0] * np.array([-0.5, 0.5])), "frame_width": size[0]}
    style |= {"y_range": tuple(middle[1] + scale * size[1] * np.array([-0.5, 0.5])), "frame_height": size[1]}
    plot = figure(tools="pan,wheel_zoom,box_zoom,reset", toolbar_location="left", **style)
    plot.axis.visible = plot.grid.visible = False
    plot.toolbar.logo = None
    shapes = []
    for number, (colour, marker) in enumerate(looks(names).values()):
        pixels = (9 if len(clips) < 500 else 7) * (1.4 if marker in "D*p" else 1)
        style = {"size": pixels, "alpha": 0.75, "line_color": None, "fill_color": colour}
        shapes.append(plot.scatter(x[kind == number], y[kind == number], marker=SHAPES[marker], **style))
    seen, heard = (ColumnDataSource({"x": [], "y": []}) for _ in range(2))
    for ring, width in ((seen, 1), (heard, 3)):
        plot.scatter("x", "y", source=ring, size=16, fill_color=None, line_color="black", line_width=width)
    things = {"plot": plot, "shapes": shapes, "seen": seen, "heard": heard}
    found = "const clip = nearest(cb_obj, plot, shapes); see(clip, seen);"
    for event, code in ((MouseMove, found), (MouseLeave, "see(-1, seen)"), (Tap, found + "hear(clip, heard)")):
        plot.js_on_event(event, CustomJS(args=things, code=code))
    columns = -(-len(names) // max(1, size[1] // 20))
    items = [LegendItem(label=value(name), renderers=[shape]) for name, shape in zip(names, shapes, strict=True)]
    style = {"ncols": columns, "spacing": 0, "padding": 4, "border_line_color": None, "label_text_font_size": "9pt"}
    plot.add_layout(Legend(items=items, click_policy="hide", glyph_height=18, label_height=18, **style), "right")
    return plot, columns * (40 + round(7.2 * max(map(len, names))))
