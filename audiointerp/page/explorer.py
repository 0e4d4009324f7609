"""The controls of the page: a sound comes in, and what the network says and hears of it follows."""

import base64
import io
from html import escape

import numpy as np

from ..errors import AudioInterpError
from ..listening import listen, players
from ..networks.head import labels_of
from ..plots import compare_labels, scores_over_time
from ..plots.drawing import VERMILION
from ..plots.maps import title_of
from .analysis import MAX_BYTES, MAX_SECONDS, analyse_clip, wav_bytes

METHODS = ("gradcam", "occlusion", "lime")
OPTIONS = {"lime": {"samples": 512}}
ACCEPT = ".wav,.ogg,.oga,.opus,.flac,.mp3,.aif,.aiff,audio/*"
SURE, UNSURE = 0.8, 0.5  # share of the patches' votes


def sound_explorer(network, examples=None, *, methods=METHODS, max_seconds=MAX_SECONDS, max_bytes=MAX_BYTES):
    """Bring a sound, see and hear why a network takes it for what it does.

    A sound is uploaded or an example chosen; its spectrogram with a playhead, the scores over time and the answer
    follow, then a map of the chosen method for two classes over the whole sound, and what the map keeps and leaves out
    of it, to hear and to save. A sound is kept in memory alone, until the next one.

    Parameters
    ----------
    network : keras.Model [(n, frames, mels, 1) -> (n, classes)]
        Of two classes or more.
    examples : dict of str to path, optional
        Sounds to choose, by the names to show.
    methods : sequence of str
        To choose from, of `METHODS`; the first one is shown at first.
    max_seconds, max_bytes
        As for `analyse_clip`.

    Returns
    -------
    ipywidgets.VBox
        With the attribute `show(sound, name)`, which does what an upload does.

    Raises
    ------
    ValueError
        If the network knows fewer than two classes, or there is no method.

    Examples
    --------
    >>> sound_explorer(load_network("my.keras"), {"a dog": "dog.ogg"})  # doctest: +SKIP
    """
    import ipywidgets

    labels, state = labels_of(network), {}
    if len(labels) < 2 or not methods:
        raise ValueError(
            f"{len(labels)} classes, {len(methods)} methods: expected two classes and one method at least."
        )
    wide, named = {"width": "100%"}, {"description_width": "5em"}
    upload = ipywidgets.FileUpload(accept=ACCEPT, multiple=False, description="Your sound")
    example = ipywidgets.Dropdown(options=["", *(examples or {})], description="Example", style=named)
    method = ipywidgets.Dropdown(options=[(title_of(name), name) for name in methods], description="Map", style=named)
    first = ipywidgets.Dropdown(options=labels, description="for", style=named)
    second = ipywidgets.Dropdown(options=labels, value=labels[1], description="beside", style=named)
    status = ipywidgets.HTML(layout={"min_height": "3.5em", **wide})
    # What comes is shown in place: nothing below it moves.
    overview, explained, heard = (
        ipywidgets.HTML(layout={"min_height": height, **wide}) for height in ("30em", "22em", "8em")
    )
    chosen = method, first, second

    def say(text, kind="status"):
        colour = "#fbe9e2" if kind == "alert" else "#eef3f7"
        style = f"background:{colour};padding:.6em 1em;font-size:1.15em;line-height:1.4"
        status.value = f'<div role="{kind}" aria-live="polite" style="{style}">{text}</div>'

    def attempt(step, busy):
        """Run a step with the controls locked; what goes wrong is said in a sentence."""
        for control in (upload, example, *chosen):
            control.disabled = True
        say(busy)
        try:
            step()
        except AudioInterpError as error:
            say(escape(str(error)), "alert")
        except Exception as error:  # nobody sees a traceback here, and what is busy must end
            say(escape(f"This did not work ({type(error).__name__}: {error}). Try another sound."), "alert")
        finally:
            for control in (upload, example, *chosen):
                control.disabled = False

    def show(sound, name):
        def step():
            for area in (overview, explained, heard):
                area.value = ""
            state.clear()
            state["sound"] = found = analyse_clip(
                network, sound, name=name, max_seconds=max_seconds, max_bytes=max_bytes
            )
            overview.value = _overview(found)
            ranking = found.ranking.index
            for control, value in ((first, found.answer["predicted"]), (second, None)):
                control.unobserve(follow, "value")
                control.value = value or next(label for label in ranking if label != first.value)
                control.observe(follow, "value")
            explain()

        attempt(step, f"Listening to {escape(str(name))} …")

    def explain():
        found = state["sound"]
        pair = first.value, second.value
        maps = found.maps(method.value, progress=False, **OPTIONS.get(method.value, {}))
        axes = compare_labels(found.clip, {method.value: maps}, pair)
        explained.value = _picture(np.ravel(axes)[0].figure, f"{title_of(method.value)} for {pair[0]} and {pair[1]}")
        kept = listen(found.waveform, maps.sel(label=pair[0]), frontend=found.patches.frontend, start=0.0)
        heard.value = players(kept, title=f"{title_of(method.value)} for {pair[0]}").data
        say(_answer(found))

    def follow(change):
        if first.value == second.value:  # they change places
            other = second if change["owner"] is first else first
            other.unobserve(follow, "value")
            other.value = change["old"]
            other.observe(follow, "value")
        if "sound" in state:
            attempt(explain, f"Making the map of {title_of(method.value)} …")

    def uploaded(change):
        if found := _upload(change["new"]):
            example.value = ""
            show(found[1], found[0])

    def picked(change):
        if change["new"]:
            show(examples[change["new"]], change["new"])

    upload.observe(uploaded, "value")
    example.observe(picked, "value")
    for control in chosen:
        control.observe(follow, "value")
    say(f"Choose a sound of at most {max_seconds:.0f} seconds and {max_bytes / 1e6:.0f} MB: wav, ogg, flac or mp3.")
    box = ipywidgets.VBox(
        [
            _row(ipywidgets, upload, example),
            status,
            overview,
            _row(ipywidgets, *chosen),
            explained,
            heard,
        ],
        layout={"max_width": "1100px", **wide},
    )
    box.show = show
    return box


def _row(ipywidgets, *controls):
    return ipywidgets.HBox(controls, layout={"flex_flow": "row wrap"})


def _upload(value):
    """Name and content of what was uploaded, as ipywidgets 7 (a dict by name) and 8 (a tuple) tell it; None if none."""
    if not value:
        return None
    if isinstance(value, dict):
        name, file = next(iter(value.items()))
        return name, bytes(file["content"])
    return value[0]["name"], bytes(value[0]["content"])


def _answer(found):
    """The answer in a sentence, with how sure it is."""
    answer, repaired = found.answer, "".join(f"<br><small>{escape(note)}.</small>" for note in found.notes)
    if found.silent:
        return f"<b>{escape(found.name)}</b> is silent to this network: its answer means nothing.{repaired}"
    share, label = answer["score"], answer["predicted"]
    sure = "clearly" if share >= SURE else "probably" if share > UNSURE else "perhaps"
    others = ", ".join(f"{escape(name)} {score:.0%}" for name, score in found.ranking.head(3).items())
    return (
        f"{escape(found.name)}: {sure} <b>{escape(label)}</b>, says {share:.0%} of {int(answer['patches'])} patches. "
        f"<small>Mean scores: {others}. It can only say what it was taught.</small>{repaired}"
    )


def _overview(found):
    """Spectrogram and scores over time, with a playhead that follows the player."""
    frontend = found.patches.frontend
    axes = scores_over_time(found.predictions, log_mel=found.clip.data[0], frontend=frontend)
    figure = axes[0].figure
    figure.canvas.draw()
    box = axes[0].get_position()
    low, high = axes[0].get_xlim()
    picture = _picture(figure, f"Spectrogram and scores of {found.name}", wrap=False)
    seconds = f"(this.currentTime - {low:.6f}) / {high - low:.6f}"
    # The head is moved by the player alone, so that the page needs no kernel to play.
    moved = f"var h = this.parentElement.querySelector('.head'); h.style.left = {100 * box.x0:.4f} + {100 * box.width:.4f} * Math.min(1, Math.max(0, {seconds})) + '%';"  # noqa: E501
    head = f'<div class="head" style="position:absolute;top:2%;height:88%;width:2px;left:{100 * box.x0:.4f}%;background:{VERMILION}"></div>'  # noqa: E501
    sound = base64.b64encode(wav_bytes(found.waveform, frontend.sample_rate)).decode()
    return (
        f'<div style="max-width:900px"><div style="position:relative">{picture}{head}</div>'
        f'<audio controls style="width:100%" aria-label="{escape(found.name)}" ontimeupdate="{escape(moved)}" '
        f'src="data:audio/wav;base64,{sound}"></audio></div>'
    )


def _picture(figure, text, wrap=True):
    """A figure as an image that can be saved by a click."""
    import matplotlib.pyplot as plt

    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110)
    plt.close(figure)
    data = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
    image = f'<img alt="{escape(text)}" style="width:100%;max-width:1100px" src="{data}">'
    return f'{image}<br><a download="map.png" href="{data}">Save this picture</a>' if wrap else image
