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
# # 03 · The confusion chart: who is taken for whom
#
# **What you will see.** Patches vote and a clip gets one prediction. Accuracy comes with an interval, because 80 clips
# are few. The confusion chart shows which classes are mistaken for which; nine patches show what that looks like; and
# a decision from notebook 01, to let silent patches not vote, is measured.
#
# **Time.** Half a minute when the networks of notebook 02 are in the cache; otherwise they are trained first.
#
# **Follows** steps 7 to 9 of the MathWorks example.

# %% [markdown]
# ### Parameters
#
# As in notebook 02; `FOLDS` are the folds held out in turn near the end. Without any download:
# `DATA = "synthetic"`, both weights `"random"`, `WIDTH = 0.125`, `FOLDS = [4, 5]`.

# %% tags=["parameters"]
DATA = "esc10"
VGGISH = "audioset"
YAMNET = "audioset"
WIDTH = 1.0
FOLDS = [1, 2, 3, 4, 5]
SEED = 0

# %%
import audiointerp as ai
import numpy as np
import pandas as pd

# %% [markdown]
# ## The two networks of notebook 02
#
# From the cache, or trained now.

# %%
vggish = ai.prepare(DATA, "vggish", weights=VGGISH, width=WIDTH, seed=SEED)

# %%
yamnet = ai.prepare(DATA, "yamnet", weights=YAMNET, width=WIDTH, seed=SEED, progress=False)

# %% [markdown]
# ## A score for every patch of the held-out fold

# %%
predictions = {name: ai.predict(study.network, study.validation)
               for name, study in {"VGGish": vggish, "YAMNet": yamnet}.items()}
predictions["VGGish"].drop(columns="path").sample(4, random_state=SEED).round(2)

# %% [markdown]
# ## Patches vote
#
# Each patch votes for its best class, the majority wins, and a tie goes to the class with the higher summed score.
# **Predict:** is the share of clips right higher or lower than the share of patches right?

# %%
votes = {name: ai.vote(table) for name, table in predictions.items()}
rows = {(name, unit): ai.accuracy(table)
        for unit, tables in (("patches", predictions), ("clips", votes)) for name, table in tables.items()}
results = pd.DataFrame(rows).T.rename_axis(["network", "of"])
results.style.format({"accuracy": "{:.1%}", "low": "{:.1%}", "high": "{:.1%}", "right": "{:.0f}", "n": "{:.0f}"})

# %% [markdown]
# A vote forgives: a clip is right as soon as most of its patches are. In the recorded run that is worth ten points for
# VGGish and eleven for YAMNet (the patches counted here include the silent ones). `low` and `high` bound the Wilson
# 95 % interval. It holds for independent trials, which clips nearly are; overlapping patches are not, so only read it
# for clips.
#
# ## Should silence vote?
#
# Silent patches (notebook 01) were left out of the training. **Predict:** what happens to accuracy if they vote?

# %%
silence = pd.DataFrame(
    {name: {"silent patches do not vote": ai.accuracy(ai.vote(table))["accuracy"],
            "every patch votes": ai.accuracy(ai.vote(table, silent=True))["accuracy"]}
     for name, table in predictions.items()})
silence.style.format("{:.1%}")

# %%
quiet = predictions["YAMNet"].query("silent")
print(f"YAMNet takes {len(quiet)} silent patches for:", quiet["predicted"].value_counts().to_dict())

# %% [markdown]
# All silent patches look the same, so the network gives all of them the same class. Whatever that class is, it wins
# short clips that are mostly padding. In the recorded run this costs VGGish two clips and YAMNet one, although neither
# was trained on silence.
#
# ## The chart
#
# Rows are true classes, columns predicted ones. To the right: how much of each true class was recognised. Below: how
# much of what was given a name deserves it. **Predict:** which two classes will VGGish confuse?

# %% tags=["figure:confusion_chart"]
counts = ai.confusion(votes["VGGish"])
ai.plots.confusion_chart(counts, title="VGGish");

# %%
ai.plots.confusion_chart(ai.confusion(votes["YAMNet"]), title="YAMNet");

# %% [markdown]
# With eight clips a class (four in the demo), one clip is 12.5 % (25 %) of a row. The pairs that were mistaken most
# often, first for clips, then for the patches they consist of:

# %%
ai.confused_pairs(counts).head(5).style.format({"share": "{:.0%}"})

# %%
sounding = predictions["VGGish"].query("not silent")
ai.plots.confused_pairs(ai.confused_pairs(ai.confusion(sounding)), most=10);

# %% [markdown]
# ## Nine validation patches
#
# Wrong predictions are framed. **Predict** the class before you read the title.

# %%
patches = vggish.validation[~vggish.validation.silent]
chosen = np.random.default_rng(SEED).choice(len(patches), 9, replace=False)
ai.plots.patch_grid(patches[chosen], predictions=predictions["VGGish"]);

# %% [markdown]
# ## One fold is one throw of the dice
#
# A fold has few clips and gives a wide interval. Holding out each fold in turn tests on every clip once, and shows how
# much the result depends on the fold. YAMNet's head is quick to train, so it is done for YAMNet.

# %%
def votes_of_fold(fold):
    study = ai.prepare(DATA, "yamnet", weights=YAMNET, width=WIDTH, fold=fold, seed=SEED, progress=False)
    return ai.vote(ai.predict(study.network, study.validation))

fold_votes = pd.concat([votes["YAMNet"] if fold == 5 else votes_of_fold(fold) for fold in FOLDS])

# %%
right = fold_votes["predicted"] == fold_votes["label"]
print("by fold:", right.groupby(fold_votes["fold"]).mean().round(4).to_dict())
print(f"over {len(FOLDS)} folds: {right.mean():.2%} of {len(right)} clips")

# %% [markdown]
# ## Against the published figure
#
# The MathWorks example reports 92.5 % of files: VGGish from AudioSet weights, one split, 80 files.

# %%
bars = pd.DataFrame({
    f"VGGish ({VGGISH} weights), fold 5": ai.accuracy(votes["VGGish"]),
    f"YAMNet ({YAMNET} weights), fold 5": ai.accuracy(votes["YAMNet"]),
    f"YAMNet ({YAMNET} weights), {len(FOLDS)} folds": ai.accuracy(fold_votes),
}).T
ai.plots.accuracy_bars(bars, reference=ai.plots.charts.MATHWORKS_ACCURACY if DATA == "esc10" else None);

# %% [markdown]
# The published figure has an interval too: 74 of 80 files right.

# %%
published = pd.DataFrame({"label": ["right"] * 80, "predicted": ["right"] * 74 + ["wrong"] * 6})
ai.accuracy(published).round(3).to_dict()

# %% [markdown]
# ## What we saw
#
# - A vote turns many uncertain patches into a better decision for the clip.
# - Whether silence votes is a small choice with a measurable effect.
# - Eighty clips leave an interval of ten points or more: two networks a few points apart are not told apart by it.
#
# ## Exercises
#
# **1.** Decide clips by the highest mean score instead of the vote. What changes?
#
# <details><summary>Solution</summary>
#
# `labels = ai.labels_of(vggish.network); mean = votes["VGGish"][labels].idxmax(axis=1)`, then
# `(mean == votes["VGGish"]["label"]).mean()`. Usually a clip or two: the mean also counts how sure the patches are.
# </details>
#
# **2.** Draw the chart of YAMNet over all folds. Which classes are left with mistakes?
#
# <details><summary>Solution</summary>
#
# `ai.plots.confusion_chart(ai.confusion(fold_votes, ai.labels_of(yamnet.network)), sort=True)`.
# </details>
#
# **3.** Use `ai.prepare(..., by="random")` for YAMNet, which leaks recordings (notebook 01). Is it better than fold 5,
# and is the difference larger than the interval?
#
# <details><summary>Solution</summary>
#
# `leaky = ai.prepare(DATA, "yamnet", weights=YAMNET, width=WIDTH, by="random", seed=SEED)`, then
# `ai.accuracy(ai.vote(ai.predict(leaky.network, leaky.validation)))`.
# </details>
