# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 11 · Your own sounds
#
# **What you will see.** A sound that nobody has trained on, what a network takes it for, and why: which part of it the
# answer rests on, to see and to hear. Bring a recording, or take one of the examples.
#
# **Time.** A minute, if notebook 02 has run before; otherwise three.
#
# **Follows** the wish of the student project on genre networks for a demonstration that listens to any sound.

# %% [markdown]
# ### Parameters
#
# `NETWORK` is a network of yours, `"my.keras"` as `audiointerp train my_sounds --out my.keras` writes it. Left empty,
# `BACKBONE` is trained on `DATA` as in notebook 02. `SOUND` and `OTHER` are two files of yours; left empty, two of the
# clips that the network has not heard. `METHOD` makes the maps. Without downloads: `DATA = "synthetic"`,
# `YAMNET = "random"`, `WIDTH = 0.125`.

# %% tags=["parameters"]
NETWORK = ""
DATA = "esc10"
YAMNET = "audioset"
WIDTH = 1.0
SOUND = ""
OTHER = ""
METHOD = "occlusion"
SEED = 0

# %% tags=["page"]
import audiointerp as ai
import pandas as pd

# %% [markdown]
# ## A network and some sounds

# %% tags=["page"]
clips = ai.load(DATA)
if NETWORK:
    network = ai.load_network(NETWORK)
else:
    network = ai.prepare(clips, "yamnet", weights=YAMNET, width=WIDTH, seed=SEED, progress=False).network
unheard = clips[clips["fold"] == 5].drop_duplicates("label")
examples = {f"{label} ({path.split('/')[-1]})": path for label, path in zip(unheard["label"], unheard["path"])}
print(f"{network.name} knows {', '.join(ai.labels_of(network))}")

# %% [markdown]
# ## Try it
#
# Upload a sound, or choose an example. It is read, cut into patches that overlap by half, and scored. The answer is the
# vote of its patches. The map says which places the class rests on; what it keeps of the sound, and what it leaves
# out, can be heard. Nothing is kept when you leave. **Predict** before you look: which part of your sound will matter?

# %% tags=["page"]
ai.sound_explorer(network, examples)

# %% [markdown]
# ## The same, step by step
#
# What the controls do takes a few lines. First the answer: how the patches vote, and each class's mean score.

# %%
first = ai.page.analyse_clip(network, SOUND or unheard["path"].iloc[0])
print(f"{first.name}: {first.answer['predicted']}, {first.answer['score']:.0%} of {first.answer['patches']} patches")
first.ranking.head(3).round(2)

# %%
ai.plots.scores_over_time(first.predictions, log_mel=first.clip.data[0], frontend=first.patches.frontend);

# %% [markdown]
# A score says nothing of sounds that the network was never taught: it must choose one of its classes. A high score for
# your voice does not make it a crying baby. **Predict:** if the loudest second were cut out, would the answer change?
#
# Next the map over the whole sound, for the two classes with the highest scores. Maps of patches are averaged where the
# patches overlap.

# %%
pair = [first.answer["predicted"], next(label for label in first.ranking.index if label != first.answer["predicted"])]
maps = first.maps(METHOD, progress=False)
ai.plots.compare_labels(first.clip, {METHOD: maps}, pair);

# %% [markdown]
# Hear what the map keeps of it, and what it leaves out:

# %%
ai.players(ai.listen(first.waveform, maps.sel(label=pair[0]), frontend=first.patches.frontend, start=0.0))

# %% [markdown]
# ## Take it away
#
# A map is a hypothesis. The experiment: hide the fifth of the sound's time that the map marks most, then the fifth that
# it marks least, and ask again.

# %%
marked = maps.sel(label=pair[0]).clip(min=0).sum("frequency")[0].to_series()
asked = {"as it is": first.waveform}
for name, part in (("without what the map marks most", marked.nlargest(len(marked) // 5)),
                   ("without what it marks least", marked.nsmallest(len(marked) // 5))):
    asked[name] = ai.page.silenced(first.waveform, part.index, first.patches.frontend)
again = {name: ai.page.analyse_clip(network, ai.page.wav_bytes(one, first.patches.frontend.sample_rate), name=name)
         for name, one in asked.items()}
rows = {name: {pair[0]: one.ranking[pair[0]], "answer": one.answer["predicted"]} for name, one in again.items()}
pd.DataFrame(rows).T

# %% [markdown]
# If the map is right, the second row has the lowest score: in the recorded run it falls from 0.70 to 0.46, and what the
# map marks least is not missed (0.70). One sound is one sound: notebook 10 asks many.
#
# ## Two sounds side by side

# %%
second = ai.page.analyse_clip(network, OTHER or unheard["path"].iloc[1])
scores = pd.DataFrame({one.name: one.ranking for one in (first, second)}).round(2)
scores.loc[scores.max(axis=1).sort_values(ascending=False).index].head(5)

# %% [markdown]
# ## What we saw
#
# - A sound from elsewhere gets an answer in a second, and a map over all of it.
# - An answer is a choice among the classes that were taught. The map and the ear say whether it rests on what you
#   would call the sound.
#
# ## Exercises
#
# **1.** Say a class's name into the microphone of your computer, save it as wav, and upload it. What does the network
# answer, and what does its map mark?
#
# <details><summary>Solution</summary>
#
# There is no class for speech. The answer is the class whose sounds are nearest to your voice for this network, often
# with a middling score; the map marks the vowels. Nothing in the score says 'none of these'.
# </details>
#
# **2.** Teach it your own classes: a folder with one folder of sounds a class, `audiointerp train my_sounds`, and this
# notebook with `NETWORK = "my_sounds.keras"`. Record five sounds a class: how many held-out clips are right?
#
# <details><summary>Solution</summary>
#
# The command says it, with an interval: of ten clips nine right may be anything from 60 to 98 %. The clips that it
# names as doubtful are worth hearing again.
# </details>
