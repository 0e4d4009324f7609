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
# # 04 · Maps: which part of the sound speaks for the class
#
# **What you will see.** Three methods, Grad-CAM, LIME and occlusion, mark on a spectrogram what a network used. For
# three chosen patches and then for one class over many, with axes in seconds and hertz; every class from one run; and
# three claims from the MathWorks example, put to the test with numbers.
#
# **Time.** Half a minute to two minutes when the network of notebook 02 is in the cache; otherwise it is trained
# first.
#
# **Follows** steps 10 and 11 of the MathWorks example.

# %% [markdown]
# ### Parameters
#
# `PATCHES` are numbers in the validation set, as in the MathWorks example; `LABEL` is the class looked at in the
# second half; `SAMPLES`, how many versions of a patch LIME looks at. Without any download: `DATA = "synthetic"`,
# `VGGISH = "random"`, `WIDTH = 0.125`.

# %% tags=["parameters"]
DATA = "esc10"
VGGISH = "audioset"
WIDTH = 1.0
PATCHES = [250, 500, 750]
LABEL = "helicopter"
SAMPLES = 2048
SEED = 0

# %%
import audiointerp as ai
import pandas as pd

# %%
study = ai.prepare(DATA, "vggish", weights=VGGISH, width=WIDTH, seed=SEED)
network, validation = study.network, study.validation
predictions = ai.predict(network, validation)

# %% [markdown]
# ## Three patches
#
# **Predict**, before looking further down: if you had to hide one part of each picture to make the class
# unrecognisable, which part would it be?

# %%
chosen = validation[PATCHES]
ai.plots.patch_grid(chosen, predictions=predictions);

# %% [markdown]
# ## Three methods
#
# - **Grad-CAM** asks the network: it weights the feature maps of the last convolution by the gradient of the class
#   score. One backward pass. It sees 12 × 8 cells.
# - **LIME** asks by experiment: it hides about half of 49 regions at random, 2,048 times, and fits a linear model of
#   the score on what was left.
# - **Occlusion** asks one question at a time: hide a rectangle, see how much the score falls, move on.
#
# LIME and occlusion never look inside the network. One run of each answers for every class.

# %%
methods = {"gradcam": {}, "lime": {"samples": SAMPLES}, "occlusion": {}}

def by_method(patches, **common):
    return {method: ai.explain(network, patches, method, seed=SEED, **options, **common)
            for method, options in methods.items()}

maps = by_method(chosen, upsample="nearest")
maps["lime"].sizes

# %% [markdown]
# A map is an `xarray.DataArray`: its dimensions have names, its coordinates are class names, seconds and hertz.
# Colours say how much each place supports the **predicted** class. Red is for, blue against; Grad-CAM only shows what
# is for.

# %% tags=["figure:map_grid"]
ai.plots.map_grid(chosen, maps, predictions=predictions);

# %% [markdown]
# ### Do the methods agree?
#
# **Predict** from the picture for which patch they agree most. Two measures: the rank correlation over all cells (1 is
# the same order, 0 none), and which share of the strongest tenth of cells two maps have in common (0.1 is chance).

# %%
predicted = predictions.loc[PATCHES, "predicted"].tolist()
ai.trust.map_agreement(maps, predicted).unstack("methods").round(2)

# %% [markdown]
# The MathWorks example finds that all three methods agree on the tick of a clock and on the bottom of a helicopter's
# spectrogram, and disagree on a crying baby. In the recorded run:
#
# - *Patch 250, a clock*: all three mark the tick at about 0.9 s, but at different frequencies, so the overlap of
#   Grad-CAM with the others is small. And the network takes the tick for a dog: pointing at the right moment is not
#   the same as being right.
# - *Patch 500, a crying baby*: here Grad-CAM agrees with the other two, and by rank it does so for no other patch. That
#   is the opposite of the claim.
# - *Patch 750, a helicopter*: all are strongest low down, Grad-CAM around 500 Hz, LIME and occlusion below that. These
#   two also mark a weaker band near 4 kHz where Grad-CAM has nothing, and by rank it has nothing in common with them.
#
# LIME and occlusion, which both hide and look, agree with each other far more than Grad-CAM with either. Where two
# methods agree, they may also share a weakness.
#
# ### How fine do they see?
#
# Before it is painted over the patch, Grad-CAM's map has few cells. `upsample=None` returns it as it is, and
# `details=True` also what LIME fitted: how much of the score its linear model explains (R²).

# %%
grid = ai.explain(network, chosen, "gradcam", upsample=None)
print("Grad-CAM:", grid.sizes["time"], "x", grid.sizes["frequency"], "cells, each",
      f"{float(grid.time.diff('time')[0]):.2f} s wide")
details = ai.explain(network, chosen, "lime", samples=SAMPLES, seed=SEED, details=True)
details["r2"].to_pandas().round(2)

# %% [markdown]
# Where R² is small, a sum of regions does not describe the network's decision, and the map says little, however
# convincing it looks.
#
# ### LIME draws at random
#
# The same seed gives the same map. **Predict:** how different is the map of another seed, with as many samples
# (2,048, unless you took fewer), and with only 128?

# %%
import xarray as xr

def seeds_correlate(samples):
    one, two = (ai.explain(network, chosen, "lime", samples=samples, seed=seed) for seed in (SEED, SEED + 1))
    table = xr.corr(one, two, ["time", "frequency"]).to_pandas()
    return [table.loc[patch, label] for patch, label in zip(PATCHES, predicted)]

pd.DataFrame({samples: seeds_correlate(samples) for samples in (128, SAMPLES)}, index=PATCHES).round(2)

# %% [markdown]
# Each column is a number of samples, each row a patch, each entry the correlation of the two seeds' maps. A map that
# changes with the seed shows the draw, not the network.
#
# ## One class, many patches
#
# Now the class in `LABEL`. First the patches 25, 50 and 100 of that class in the whole data set, as in the MathWorks
# example (most of them were trained on).

# %%
everything = ai.make_patches(study.clips)
of_class = everything[(everything.label == LABEL) & ~everything.silent]
three = of_class[[n for n in (25, 50, 100) if n < len(of_class)]]
class_maps = by_method(three, upsample="nearest")

# %%
ai.plots.map_grid(three, class_maps, label=LABEL);

# %% [markdown]
# Three patches are an anecdote. Next, all held-out patches of the class, averaged. **Predict** which frequencies will
# stand out.

# %%
held_out = validation[(validation.label == LABEL) & ~validation.silent]
average = ai.explain(network, held_out[::4], "occlusion")
ai.plots.label_average(average, LABEL);

# %% [markdown]
# The curve on the right is the mean over time: how much of the score is lost when these frequencies are hidden.
#
# ## The claim: low frequencies make a helicopter
#
# The example concludes that loud low frequencies matter to the network and the repeating sound of the blades at high
# frequencies does not. Two tests. First: which share of the support (the positive part of the maps) lies below
# 500 Hz, compared with the share of the picture that lies there?

# %%
def share_below(one, hz=500.0):
    support = one.sel(label=LABEL).clip(min=0)
    return float(support.sel(frequency=slice(0, hz)).sum() / support.sum())

many = by_method(held_out[::8], labels=[LABEL])
area = float((many["occlusion"].frequency < 500).mean())
pd.Series({"of the picture": area} | {method: share_below(one) for method, one in many.items()}).round(2)

# %% [markdown]
# Second, the stronger test, which needs no map: take the band away and see whether the network still knows the class.
# **Predict** both numbers.

# %%
def recognised(low, high, fill):
    table = ai.predict(network, held_out.without_band(low, high, fill=fill))
    return (table["predicted"] == LABEL).mean()

bands = {"untouched": (0, 0), "without all below 500 Hz": (0, 500), "without 500 Hz to 2 kHz": (500, 2000),
         "without all above 2 kHz": (2000, 8000)}
pd.DataFrame({f"filled with {fill}": {name: recognised(*band, fill) for name, band in bands.items()}
              for fill in ("mean", "silence")}).round(2)

# %% [markdown]
# Nothing can be taken away without putting something in its place: the patch's mean level, or silence. A finding that
# holds for both is safer.
#
# In the recorded run one finding survives both: without what lies below 500 Hz, not one patch is taken for a
# helicopter. So the first half of the claim stands for this network. What the rest of the spectrum does depends on
# the filling: the mean puts *sound* into a quiet band, and half the helicopters are lost; silence above 2 kHz loses
# none, but silence from 500 Hz to 2 kHz loses all. The high blade sound is not needed, then, but the network does
# notice what happens up there.
#
# Where the maps and this test do not agree, believe the test: a map is a hypothesis about what matters, taking it
# away is the experiment. (A patch with a band missing is also unlike anything the network was trained on, so the
# experiment is not perfect either.)
#
# ## What we saw
#
# - Three methods, one call, maps in seconds and hertz, all classes from one run.
# - Agreement and fit (rank correlation, R², two seeds) say how much a map can be worth; the picture alone does not.
# - A claim about frequencies can be tested on many patches, and by removing them.
#
# ## Exercises
#
# **1.** Change `LABEL` to another class and run from *One class, many patches* on. Which band does it need?
#
# <details><summary>Solution</summary>
#
# For short broadband sounds such as `clock_tick`, losing one band usually hurts little: the others carry the event
# too. Compare the last table.
# </details>
#
# **2.** `maps["lime"]` holds all ten classes. Draw the maps for the class with the second highest score.
#
# <details><summary>Solution</summary>
#
# `scores = predictions.loc[chosen.table.index, ai.labels_of(network)]`, then `second = scores.apply(lambda row:
# row.nlargest(2).index[1], axis=1).tolist()` and `ai.plots.map_grid(chosen, maps, label=second)`.
# </details>
#
# **3.** Make the occlusion mask smaller: `ai.explain(network, chosen, "occlusion", mask=(9, 7), stride=(5, 4))`. What
# is gained, what is lost?
#
# <details><summary>Solution</summary>
#
# The map is finer, but a small mask hides too little to move the score: the values shrink and noise stands out.
# </details>
