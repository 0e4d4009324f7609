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
# # 01 · The data: look and listen before you train
#
# **What you will see.** Ten kinds of everyday sounds, as waveforms and as the log-mel spectrograms that a network
# gets; four ways to hold clips out for testing, and which of them leak; and a fact about these recordings that
# costs accuracy later if nobody looks.
#
# **Time.** About half a minute.
#
# **Follows** the first steps of MathWorks' example *Investigate Audio Classifications Using Deep Learning
# Interpretability Techniques*.

# %% [markdown]
# ### Parameters
#
# `DATA` is `"esc10"` (real recordings, found under `AUDIOINTERP_DATA` or downloaded), `"synthetic"` (sounds made on
# the spot, no download) or a folder of yours that holds one folder of sounds per class.

# %% tags=["parameters"]
DATA = "esc10"
SEED = 0

# %%
import audiointerp as ai
import numpy as np
import pandas as pd
from IPython.display import Audio

# %% [markdown]
# ## One row a sound
#
# A *clip* is one sound file. The table says where it lies, its class (`label`), the *fold* its makers put it in, and
# its *source*: the long recording it was cut from.

# %%
clips = ai.load(DATA)
clips.drop(columns="path").sample(5, random_state=SEED).sort_index()

# %% [markdown]
# How many clips are there of each class, and from how many recordings? **Predict:** if every clip came from a
# recording of its own, the two bars of a class would be equally long.

# %%
counts = ai.count_labels(clips)
ai.plots.label_counts(counts);

# %%
print(f"{len(clips)} clips of {len(counts)} classes, cut from {counts['sources'].sum()} recordings;")
print(f"{counts['clips'].min()} to {counts['clips'].max()} clips a class, "
      f"{counts['sources'].min()} to {counts['sources'].max()} recordings a class")

# %% [markdown]
# Several clips share a recording. Keep that in mind: two clips of one recording are nearly the same sound. (The copy
# that MathWorks offers has 38 roosters instead of 40.)
#
# ## Hear and see one
#
# Choose a class, run the two cells, then change `LABEL` and run them again.

# %%
LABEL = clips["label"].unique()[0]
clip = clips[clips["label"] == LABEL].iloc[0]
sound = ai.read_audio(clip["path"])
Audio(sound, rate=16_000)

# %% [markdown]
# **Predict** before you look: where in time is the sound loud, and is it low or high?

# %%
ai.plots.waveform(sound, title=LABEL);

# %%
ai.plots.spectrogram(ai.VGGISH.log_mel(sound), title=LABEL);

# %% [markdown]
# The waveform says *when*; the log-mel spectrogram also says *at which frequencies*. Its 64 bands are equally high in
# the picture and equally wide in mel, a scale that follows hearing: the band at the bottom is a few tens of hertz
# wide, the one at the top several hundred. Colour is the natural logarithm of the magnitude, so halving a loud sound
# changes the picture only a little.
#
# ## Patches: what the network really gets
#
# A network does not get a clip. It gets *patches* of 96 frames (0.96 s) × 64 bands. Here neighbouring patches share
# three quarters, so a clip of exactly 5 s gives 17.

# %%
patches = ai.make_patches(clips)
per_clip = patches.table.groupby("clip").size()
print(f"{len(patches)} patches; {(per_clip == 17).sum()} of {len(clips)} clips give 17, "
      f"the others {per_clip.min()} to {per_clip.max()}")

# %% [markdown]
# ## Patches without any sound
#
# **Predict:** each patch carries the label of its clip. Is there always something of that class in it?

# %%
silent = patches.table.groupby("label")["silent"].agg(silent="sum", patches="size")
silent["share"] = silent["silent"] / silent["patches"]
silent.sort_values("silent", ascending=False).style.format({"share": "{:.1%}"})

# %%
print(f"{patches.silent.sum()} of {len(patches)} patches ({patches.silent.mean():.1%}) are silent")

# %% [markdown]
# In the recorded run more than a third of all *sneezing* patches are silent: short sounds were filled up with digital
# silence until the clip was long enough. A silent patch called *sneezing*
# teaches a network that silence is a sneeze, and when clips vote, such patches vote for nonsense. The MathWorks
# example keeps them. From here on they are left out of the training and of the votes; notebook 03 measures what that
# changes.
#
# ## Four ways to hold clips out
#
# *Order*: the first 80 % of each class train (the MathWorks example). *Fold*: one of the five official folds is held
# out. *Source*: whole recordings are held out. *Random*: clips are drawn. **Predict:** which of them put two clips of
# one recording on both sides?

# %%
def describe(by):
    train, validation = ai.split(clips, by, seed=SEED)
    leaked = ai.datasets.shared_sources(train, validation)
    return {"split": by, "train": len(train), "validation": len(validation), "shared sources": len(leaked),
            "validation clips heard before": int(leaked["validation"].sum())}

splits = pd.DataFrame([describe(by) for by in ("order", "fold", "source", "random")]).set_index("split")
splits

# %% [markdown]
# A split at random tests a network on recordings that it has heard: its accuracy then also says how well it remembers.
# Splits by fold and by source do not. The split by order does not look at sources at all, and yet, in ESC-10, none is
# on both sides. How does it compare with fold 5?

# %%
by_order, by_fold = ai.split(clips, "order")[1], ai.split(clips, "fold", fold=5)[1]
print(f"{len(by_order.index.intersection(by_fold.index))} of the {len(by_order)} clips held out by order "
      f"are also held out as fold 5 ({len(by_fold)} clips)")

# %% [markdown]
# In ESC-10 file names begin with the fold's number, so in alphabetical order the last fifth of each class *is* fold 5:
# the MathWorks example holds out an official fold without saying so. All notebooks of this series hold out fold 5.
#
# ## Nine of the training patches
#
# **Predict:** which classes could you tell from the picture alone?

# %% tags=["figure:patches"]
train = patches[(patches.table["fold"] != 5) & ~patches.silent]
chosen = np.random.default_rng(SEED).choice(len(train), 9, replace=False)
ai.plots.patch_grid(train[chosen]);

# %% [markdown]
# Time runs across, frequency up, one colour scale for all nine. Short broadband events stand as vertical lines,
# tones and voices as horizontal ones, wind, rain and engines fill whole areas.
#
# ## What we saw
#
# - Clips are cut from fewer recordings; a fair split keeps a recording on one side.
# - The network sees patches of 0.96 s, and not every patch holds the sound that its label promises.
# - The split by order of the MathWorks example is, on ESC-10, a split by official fold.
#
# ## Exercises
#
# **1.** Which class has the fewest recordings, and why does that matter for a test?
#
# <details><summary>Solution</summary>
#
# `counts.sort_values("sources").head(1)`. With few recordings the test set holds one or two of them: its accuracy for
# this class says little about other recordings.
# </details>
#
# **2.** How many patches does the same data give without overlap, and how many of a clip of 5 s?
#
# <details><summary>Solution</summary>
#
# `len(ai.make_patches(clips, overlap=0))`; a clip of 5 s has 498 frames, enough for 5 patches of 96.
# </details>
#
# **3.** Draw the spectrogram of a clip that has silent patches. Where does the sound end?
#
# <details><summary>Solution</summary>
#
# `clip = clips.loc[patches.clip[patches.silent][0]]`, then the three cells under *Hear and see one*.
# </details>
