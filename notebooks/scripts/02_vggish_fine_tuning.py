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
# # 02 · Fine-tuning: VGGish by the recipe, YAMNet by its head
#
# **What you will see.** Two networks learn the ten classes. VGGish is trained as in the MathWorks example: all of it,
# five epochs, Adam, a learning rate halved every two epochs, with the progress table printed as it goes. YAMNet keeps
# what it learned from two million YouTube clips; only a new last layer is trained, which takes seconds.
#
# **Time.** Two minutes with the demo's small networks. With real recordings and no GPU, VGGish takes 8 to 40 minutes
# the first time; afterwards it comes from the cache.
#
# **Follows** steps 3, 5 and 6 of the MathWorks example.

# %% [markdown]
# ### Parameters
#
# `VGGISH` and `YAMNET` say which weights to start from: `"audioset"` (the official ones, found under
# `AUDIOINTERP_DATA` or downloaded) or `"random"`. VGGish's file is 288 MB. `WIDTH` below 1 makes random networks
# narrower and faster. To run without any download: `DATA = "synthetic"`, both weights `"random"`, `WIDTH = 0.125`.

# %% tags=["parameters"]
DATA = "esc10"
VGGISH = "audioset"
YAMNET = "audioset"
WIDTH = 1.0
SEED = 0

# %%
import audiointerp as ai
import pandas as pd

# %% [markdown]
# ## From clips to patches
#
# Fold 5 is held out. Silent patches carry a label but no sound (notebook 01), so they train nothing.

# %%
clips = ai.load(DATA)
train_clips, validation_clips = ai.split(clips, "fold", fold=5)
train, validation = ai.make_patches(train_clips), ai.make_patches(validation_clips)
train, validation = train[~train.silent], validation[~validation.silent]
print(f"{len(train)} patches train, {len(validation)} validate")

# %% [markdown]
# ## VGGish with a new head
#
# VGGish was made to tell 3,087 kinds of video sound apart. Its output layer is dropped; behind its last layer, the
# ReLU `EmbeddingBatch` with 128 numbers, come a new dense layer `FCFinal` with one output per class, and a softmax.
# **Predict:** where do most of its parameters sit, in the convolutions or in the dense layers?

# %%
labels = sorted(clips["label"].unique())
vggish = ai.vggish(labels, weights=VGGISH, width=WIDTH, seed=SEED)
layers = pd.DataFrame(
    [(layer.name, type(layer).__name__, str(layer.output.shape[1:]), layer.count_params()) for layer in vggish.layers],
    columns=["layer", "kind", "output", "parameters"],
)
layers

# %%
total, dense = layers["parameters"].sum(), layers.loc[layers["kind"] == "Dense", "parameters"].sum()
print(f"VGGish starts from {VGGISH} weights; {total:,} parameters, {dense / total:.0%} of them in dense layers")

# %% [markdown]
# If the line above says *random*, the checkpoint was not at hand, or the profile does without it: the network then
# learns everything from these clips alone, which is much harder. The recipe below is MathWorks'; only from random
# weights at full width its learning rate is ten times smaller, since 0.001 does not converge there.

# %%
recipe = ai.training.default_recipe("vggish", VGGISH, width=WIDTH, seed=SEED)
recipe

# %% [markdown]
# ## Training, with the progress table
#
# **Predict:** how far will validation accuracy stay behind the accuracy on the batches?

# %%
vggish, history = ai.fine_tune(vggish, train, validation, recipe)

# %% tags=["figure:training_curves"]
ai.plots.training_curves(history);

# %% [markdown]
# The dark line is the mean over neighbouring batches, the pale one each batch. When the batches go on improving and
# the validation does not, the network is learning the training recordings by heart.

# %%
last = history.iloc[-1]
print(f"{last.iteration:.0f} iterations in {last.elapsed:.0f} s; last batch {last.batch_accuracy:.1%}, "
      f"validation {last.validation_accuracy:.1%} of patches")

# %% [markdown]
# The published run, from AudioSet weights: 210 iterations, 38 s on a GPU, last batch 93.75 %, validation 86.03 % of
# patches. (It has more iterations because it trains on the silent patches too.) The recorded run starts from random
# weights: the last batches look as good as the published ones, the validation is nine points lower. What AudioSet
# taught the published network shows on new recordings, not on the batches.
#
# ## YAMNet: train the head alone
#
# YAMNet is a MobileNet. It turns a patch into 1,024 numbers that already tell 521 kinds of sound apart. They are
# computed once and kept; then a dense layer is trained on them, a logistic regression: it has one best solution, and
# is trained until it is there. Its front end adds 0.001 instead of 0.01 before the
# logarithm, so it gets patches of its own: a network carries its front end with it. (In the demo, where YAMNet starts
# from random numbers, all of it is trained.)

# %%
yamnet = ai.yamnet(labels, weights=YAMNET, width=WIDTH, seed=SEED)
train, validation = (ai.make_patches(part, ai.frontend_of(yamnet)) for part in (train_clips, validation_clips))
train, validation = train[~train.silent], validation[~validation.silent]
recipe = ai.training.default_recipe("yamnet", YAMNET, width=WIDTH, seed=SEED)
recipe

# %%
yamnet, yamnet_history = ai.fine_tune(yamnet, train, validation, recipe)

# %%
ai.plots.training_curves(yamnet_history);

# %% [markdown]
# ## Side by side

# %%
pd.DataFrame(
    {"weights": [VGGISH, YAMNET],
     "parameters": [vggish.count_params(), yamnet.count_params()],
     "seconds": [history["elapsed"].max(), yamnet_history["elapsed"].max()],
     "patches right": [table["validation_accuracy"].iloc[-1] for table in (history, yamnet_history)]},
    index=["VGGish", "YAMNet"],
).style.format({"parameters": "{:,}", "seconds": "{:.0f}", "patches right": "{:.1%}"})

# %% [markdown]
# *Seconds* are those of the training itself; YAMNet's embeddings were computed before, in less than a minute. Patches
# are not clips: the patches of a clip overlap, and a clip is decided by a vote of its patches. Notebook 03 counts
# clips.
#
# ## One file that can classify alone
#
# The saved network carries its class names and front end. Nothing else is needed to classify a sound.

# %%
import tempfile
from pathlib import Path

with tempfile.TemporaryDirectory() as folder:
    file = ai.save_network(yamnet, Path(folder) / "yamnet.keras")
    loaded = ai.load_network(file)
    print(f"{file.stat().st_size / 1e6:.0f} MB; it knows {', '.join(ai.labels_of(loaded))}")

# %%
one = validation_clips.sample(1, random_state=SEED)
votes = ai.vote(ai.predict(loaded, ai.make_patches(one, ai.frontend_of(loaded))))
votes[["label", "predicted", "score", "patches"]]

# %% [markdown]
# `score` is the share of the clip's sounding patches that voted for the predicted class.
#
# ## What we saw
#
# - A fine-tuning run as a table and as curves; batch accuracy runs ahead of validation accuracy.
# - What a network learned elsewhere is worth more than its size: compare weights, parameters and patches right above.
# - A saved network that knows its classes and its front end.
#
# ## Exercises
#
# **1.** Train VGGish with another seed (`SEED = 1`). How much does the validation accuracy move? What does that say
# about a difference of one per cent between two networks?
#
# <details><summary>Solution</summary>
#
# Change `SEED` in the parameters cell and run all cells. A spread of a few per cent between seeds is usual with so few
# validation recordings: differences below that are noise.
# </details>
#
# **2.** Train YAMNet's head on three clips a class instead: `few = train[np.isin(train.clip, train_clips.groupby(
# "label").head(3).index)]` (with `import numpy as np`), then `ai.fine_tune(ai.yamnet(labels, weights=YAMNET), few,
# validation, recipe)`. What is lost?
#
# <details><summary>Solution</summary>
#
# Less than one might think: what YAMNet's layers tell apart they have learned before. A network from random weights
# would have nothing to go by.
# </details>
#
# **3.** Stop the VGGish cell in the middle (the square button) and run it again. What does it say?
#
# <details><summary>Solution</summary>
#
# If an epoch was finished: *Interrupted before; going on after epoch n.* Each finished epoch is kept in the cache.
# </details>
