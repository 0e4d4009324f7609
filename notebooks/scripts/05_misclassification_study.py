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
# # 05 · A study of the mistakes
#
# **What you will see.** One confusion, looked at closely: a clip of one class that the network takes for another. Its
# scores over time, the maps for the true and for the predicted class side by side, and an experiment that tells
# whether the maps point at the cause.
#
# **Time.** Half a minute to a minute when the network of notebook 02 is in the cache; otherwise it is trained first.
#
# **Follows** step 12 of the MathWorks example, where a chainsaw is taken for a helicopter.

# %% [markdown]
# ### Parameters
#
# `TRUE` and `PREDICTED` name the confusion to study; empty, it is the one that most clips fall to. Without downloads:
# `DATA = "synthetic"`, `VGGISH = "random"`, `WIDTH = 0.125`.

# %% tags=["parameters"]
DATA = "esc10"
VGGISH = "audioset"
WIDTH = 1.0
TRUE = ""
PREDICTED = ""
SEED = 0

# %%
import audiointerp as ai
import pandas as pd
from IPython.display import Audio

# %%
study = ai.prepare(DATA, "vggish", weights=VGGISH, width=WIDTH, seed=SEED)
network, validation = study.network, study.validation
predictions = ai.predict(network, validation)

# %% [markdown]
# ## Which mistakes are there?
#
# Counted in patches that are not silent, since clips are few.

# %%
sounding = predictions.query("not silent")
pairs = ai.confused_pairs(ai.confusion(sounding, ai.labels_of(network)))
ai.plots.confused_pairs(pairs, most=8);

# %% [markdown]
# **Predict:** is every one of these patches really a sound of its class? `peak` is the level of the loudest cell of
# the patch, as the median over the patches of a pair; the last row is for all patches that are right.

# %%
loudest = pd.Series(validation.data.max(axis=(1, 2)), validation.table.index, name="peak")
right = sounding["label"] == sounding["predicted"]
levels = sounding[~right].join(loudest).groupby(["label", "predicted"])["peak"].agg(["size", "median"])
levels = levels.sort_values("size", ascending=False).head(8)
levels.loc[("all that are right", ""), :] = [right.sum(), loudest[sounding.index[right]].median()]
levels.round(1)

# %% [markdown]
# A pair with a much lower peak than the last row is made of patches that hardly hold any sound: the clip has its
# class, the patch has not. There the label is wrong rather than the network.
#
# Now one confusion closely: the one named in the parameters, or the one that most clips fall to.

# %%
wrong = ai.mistakes(predictions, TRUE, PREDICTED)
true, predicted = wrong.iloc[0][["label", "predicted"]]
print(f"{true} taken for {predicted}: {len(wrong)} patches of {wrong['clip'].nunique()} clips")

# %% [markdown]
# ## The clip, over its time
#
# The clip with the most such patches. Listen first, and **predict** when the network is misled.

# %%
clip = study.clips.loc[wrong["clip"].mode()[0]]
sound = ai.read_audio(clip["path"])
Audio(sound, rate=16_000)

# %%
its_patches = predictions[predictions["clip"] == clip.name]
ai.plots.scores_over_time(its_patches, log_mel=ai.VGGISH.log_mel(sound));

# %% [markdown]
# Each point is the score of a patch of 0.96 s. Where the curves cross, the network changes its mind.
#
# ## The patch, for both classes
#
# The patch on which the network is surest of the wrong class. LIME and occlusion answer for every class from one run,
# so the true class costs nothing more.

# %%
worst = wrong.index[wrong["clip"] == clip.name][0]
patch = validation[[worst]]
maps = {method: ai.explain(network, patch, method, seed=SEED) for method in ("gradcam", "lime", "occlusion")}
predictions.loc[[worst], [true, predicted]].round(3)

# %% [markdown]
# Left the patch, then what speaks for the true class, for the predicted one, and the difference. **Predict:** do the
# two classes rest on the same place, or on different ones?

# %% tags=["figure:two_classes"]
ai.plots.compare_labels(patch, maps, (true, predicted));

# %% [markdown]
# Red in the last column speaks for the true class rather than the predicted one, blue the other way round. In the
# recorded run LIME and occlusion put the strongest support for *helicopter* at the very top of the spectrogram, where
# the clip is quiet; the MathWorks example expects it at the bottom.
#
# ## Which frequencies does each class rest on?
#
# Not one patch but all that are confused this way (at most sixteen).

# %%
confused = validation[wrong.index[:: max(1, len(wrong) // 16)][:16]]
profiles = ai.explain(network, confused, "occlusion", labels=[true, predicted])
ai.plots.frequency_profile(profiles, own=False);

# %%
strongest = profiles.mean(["patch", "time"]).idxmax("frequency").to_pandas()
print(f"hiding sounds near {strongest[true]:.0f} Hz costs {true} most; near {strongest[predicted]:.0f} Hz, {predicted}")

# %% [markdown]
# ## The experiment
#
# If the network is misled by a part of the sound, taking that part away should bring the right class back. Here each
# band in turn is removed from the confused patches. **Predict** from the profile above which band it is.

# %%
edges = [125, 250, 500, 1000, 2000, 4000, 7500]

def after_removal(low, high):
    table = ai.predict(network, confused.without_band(low, high))
    return {"band (Hz)": f"{low} to {high}", f"score of {true}": table[true].mean(),
            f"score of {predicted}": table[predicted].mean(), "right": (table["predicted"] == true).mean()}

before = after_removal(0, 0) | {"band (Hz)": "none removed"}
removal = pd.DataFrame([before] + [after_removal(*band) for band in zip(edges, edges[1:])]).set_index("band (Hz)")
removal.style.format("{:.2f}")

# %%
gain = (removal[f"score of {true}"] - removal[f"score of {true}"].iloc[0]).iloc[1:]
print(f"{true} gains most without {gain.idxmax()} Hz ({gain.max():+.2f}); "
      f"{removal['right'][gain.idxmax()]:.0%} of these patches are then right")

# %% [markdown]
# If no band helps, the mistake does not hang on one band: the whole patch sounds like the other class to the network.
#
# Filling with the patch's mean is not neutral: where a band was quiet, it *adds* sound. The same with silence:

# %%
def score_without(low, high, fill):
    return ai.predict(network, confused.without_band(low, high, fill=fill))[predicted].mean()

pd.DataFrame({f"{predicted}, filled with {fill}": [score_without(*band, fill) for band in zip(edges, edges[1:])]
              for fill in ("mean", "silence")}, index=removal.index[1:]).round(2)

# %% [markdown]
# In the recorded run the two fillings contradict each other in the band from 4 to 7.5 kHz: with the patch's mean in it
# the helicopter disappears, with silence it becomes certain. So it is not a sound up there that speaks for
# *helicopter*, it is the **absence** of sound: a chainsaw recorded dully is what this network takes for a helicopter.
# The map showed the place, and the experiment what about it matters. (Silence in any lower band is a hole, and with it
# little or nothing is left of the score.)
#
# ## Was it a bad recording or a bad network?
#
# How do the true class's other clips fare, and how sure is the network when it is wrong?

# %%
votes = ai.vote(predictions)
votes.loc[votes["label"] == true, ["source", "predicted", "score", "patches"]]

# %%
surest = sounding.assign(right=sounding["predicted"] == sounding["label"]).groupby("right")["score"]
surest.describe()[["count", "25%", "50%", "75%"]].round(2)

# %% [markdown]
# The last table has the scores of wrong and of right predictions: half of each lies between the columns 25% and 75%.
# The network is less sure when it is wrong, but often sure enough to mislead.
#
# ## What we saw
#
# - A mistake has a place in time and in frequency, and maps for both classes help to find it.
# - Removing a band tests what the maps suggest; two ways of removing it tell sound from the absence of sound.
# - Some mistakes are the label's: a patch with hardly any sound in it cannot be right.
#
# ## Exercises
#
# **1.** Set `TRUE` and `PREDICTED` to another pair from the chart and run all cells.
#
# <details><summary>Solution</summary>
#
# Any pair of the first figure will do. For a pair that was never confused, `ai.mistakes` says which ones were.
# </details>
#
# **2.** The MathWorks example finds that for *helicopter* the network looks at low frequencies, even in a chainsaw.
# Which rows of the table under *The experiment* support this, and which do not?
#
# <details><summary>Solution</summary>
#
# If it is so, the score of helicopter falls most where a low band is removed, and hardly elsewhere. In the recorded run
# removing 125 to 250 Hz does lower it, but so do two other bands, one of them the highest: low frequencies are a part
# of the answer.
# </details>
#
# **3.** Run this notebook with YAMNet: replace `"vggish"` by `"yamnet"` and `ai.VGGISH` by `ai.YAMNET`. Why is its
# Grad-CAM so coarse?
#
# <details><summary>Solution</summary>
#
# YAMNet halves the picture five times: its last convolution sees 3 × 2 cells. An earlier layer sees more:
# `ai.explain(network, patch, "gradcam", layer="layer7_pointwise_conv_relu")`.
# </details>
