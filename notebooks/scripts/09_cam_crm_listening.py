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
# # 09 · CAM, relevance and listening
#
# **What you will see.** What in a track makes a network name its genre: class activation maps that add up to the score
# exactly, relevance over all classes, the filters behind it, and filters sent back to the input. And you will hear
# each of them: the clip, what a map keeps of it, and what it leaves out. At the end the filters are put to the test on
# music whose evidence is known.
#
# **Time.** A minute and a half the first time, if notebook 08 has run; then 40 seconds.
#
# **Follows** items 4, 6, 7 and 10 of the student project on interpretable genre networks.

# %% [markdown]
# ### Parameters
#
# `GENRES` and `FASTER` as in notebook 08; `LABEL` is the genre to look at. `TRACK` may name a sound file of your own.

# %% tags=["parameters"]
GENRES = "gtzan"
LABEL = "metal"
TRACK = ""
FASTER = 1
SEED = 0

# %%
import audiointerp as ai
import numpy as np
import pandas as pd
import tempfile
from dataclasses import replace
from IPython.display import display

# %% [markdown]
# ## The network that can be read
#
# It is the one of notebook 08 that ends in an average, trained without the last block of each genre's tracks.

# %%
recipe = ai.training.default_recipe("cam_cnn", seed=SEED)
recipe = replace(recipe, epochs=recipe.epochs // FASTER, drop_period=max(1, recipe.drop_period // FASTER))
clips = ai.datasets.with_folds(ai.load(GENRES))
study = ai.prepare(clips, "cam_cnn", fold=5, recipe=recipe, seed=SEED, progress=False)
network, validation, labels = study.network, study.validation, ai.labels_of(study.network)
predictions = ai.predict(network, validation)
ai.accuracy(ai.vote(predictions)).to_frame("held-out tracks").T.round(3)

# %% [markdown]
# ## Class activation maps
#
# The patch of `LABEL` that the network is surest of, and the genre it thought of next. **Predict:** do the two
# genres rest on the same stretches of time, or on the same frequencies?

# %%
of_label = ai.datasets.select_labels(predictions, LABEL)
surest = of_label[LABEL].idxmax()
patch = validation[[validation.table.index.get_loc(surest)]]
second = predictions.loc[surest, labels].astype(float).drop(LABEL).idxmax()
predictions.loc[[surest], [LABEL, second]].round(3)

# %% tags=["figure:cam"]
maps = ai.explain(network, patch, "cam")
ai.plots.compare_labels(patch, {"cam": maps}, (LABEL, second));

# %% [markdown]
# Red speaks for the genre, blue against it. Grad-CAM would have to cut the blue away; here nothing is lost: the
# average of a map, plus one number a genre, *is* the score before the softmax. To check it:

# %%
exact = ai.explain(network, patch, "cam", upsample=None, details=True).squeeze("patch", drop=True)
sums = exact["map"].mean(exact["map"].dims[1:]) + exact["bias"]
pd.DataFrame({"average of the map + bias": sums, "score of the network": exact["logit"]}, labels).T.round(4)

# %% [markdown]
# ## Relevance over all classes
#
# Class-selective relevance asks another question: how much would the scores change if one place was taken away? It
# squares the change, so it knows no for and against; and it can be summed over all genres. **Predict:** is what
# matters for the choice between all ten the same as what speaks for one?

# %%
relevance = ai.explain(network, patch, "crm", labels=[LABEL, "all classes"])
ai.plots.compare_labels(patch, {"crm": relevance}, (LABEL, "all classes"), difference=False);

# %% [markdown]
# In the recorded run metal rests on the middle of the spectrum, pop on its top. Summed over all genres, the top matters
# most: not what speaks for metal there, but what decides between the others.
#
# ## What speaks for each genre, on average
#
# The maps of all held-out patches, averaged within each genre.

# %% tags=["figure:genre_profile"]
all_maps = ai.explain(network, validation, "cam")
ai.plots.frequency_profile(all_maps);

# %%
ai.plots.label_average(all_maps, LABEL);

# %% [markdown]
# Each genre has a profile of its own. In the recorded run metal rests on 1 to 4 kHz and pop and reggae on what lies
# above 5 kHz; low notes say next to nothing for metal and speak against rock. A profile says where the network looks,
# not that the genre is there: the production of a few albums may be enough to tell these tracks apart.
#
# ## The filters behind it
#
# Each row is one of the filters of the last convolution, each column a genre; the colour is the mean activation.
# **Predict:** does a genre have filters of its own?

# %%
feature_maps = ai.layers.feature_maps(network, validation, "conv4")
table = ai.layers.label_statistics(feature_maps)
ai.plots.filter_label_matrix(table);

# %% [markdown]
# What a filter gives to the score of a genre is its mean activation times one weight. For `LABEL`, these give most:

# %%
weights = network.get_layer("FCFinal").get_weights()[0][:, labels.index(LABEL)]
given = pd.DataFrame({"mean activation": table["mean"].xs(LABEL, level="label"), "weight": weights})
given["given to the score"] = given.prod(axis=1)
given["share of patches"] = table["active"].xs(LABEL, level="label")
top = given.nlargest(3, "given to the score")
top.round(3)

# %% [markdown]
# The patches that these filters answer to most, one a track, with what is active outlined. Below each, the strongest
# activation is sent back through the network to the input (deconvolution): what did the filter see?

# %% tags=["figure:deconvolved"]
chosen = list(top.index[:2])
back = {number: ai.maps.deconvolve(network, validation, "conv4", number, keep=5) for number in chosen}
ai.plots.filter_grid(validation, feature_maps, chosen, examples=3, deconvolved=back);

# %% [markdown]
# Filters of the first layers are simpler. Two of the second:

# %%
edges = ai.layers.feature_maps(network, validation, "conv2")
busy = edges.mean(["patch", "time", "frequency"]).to_series().nlargest(2).index
early = {number: ai.maps.deconvolve(network, validation, "conv2", number, keep=20) for number in busy}
ai.plots.filter_grid(validation, edges, list(busy), examples=3, deconvolved=early);

# %% [markdown]
# In the recorded run the two filters of the last layer see low notes and a wide band of overtones; both answer to
# several genres, so neither is metal's own. What comes back of the second layer is smaller and simpler: a few
# neighbouring tones, a short stretch of time. Deconvolution shows what drove an activation, with the signs of the
# weights on the way, not a sound that would please an ear.
#
# ## Listening
#
# A map in seconds and hertz can be made a filter: it is laid over the clip's own spectrum, and the sound is what is
# left. The three sounds are equally loud, so that the ear compares what they hold. **Predict:** what will be kept?

# %%
path = patch.table["path"].iloc[0]
heard = {"CAM": ai.listen(path, maps.sel(label=LABEL), frontend=ai.MUSIC)}
ai.players(heard["CAM"], f"CAM for {LABEL}")

# %% [markdown]
# The same for the genre that came second, for the relevance over all genres, and for one filter:

# %%
heard[f"CAM, {second}"] = ai.listen(path, maps.sel(label=second), frontend=ai.MUSIC)
heard["CRM, all classes"] = ai.listen(path, relevance.sel(label="all classes"), frontend=ai.MUSIC)
example = back[chosen[0]].sortby("activation").isel(patch=[-1])
track = validation.table.loc[example["patch"].values[0], "path"]
heard[f"filter {chosen[0]}"] = ai.listen(track, example, frontend=ai.MUSIC)
display(*(ai.players(sound, name) for name, sound in list(heard.items())[1:]))

# %% [markdown]
# Or draw a region by hand, here everything below 250 Hz and the second half of the rest:

# %%
half = ai.MUSIC.patch_seconds / 2
by_hand = ai.listening.region([(0, 9, 0, 250), (half, 9, 250, 11_000)], ai.MUSIC)
heard["by hand"] = ai.listen(path, by_hand, frontend=ai.MUSIC, start=float(patch.start[0]))
ai.players(heard["by hand"], "by hand")

# %% [markdown]
# In numbers, for those who cannot listen just now: the share of the clip's energy that is kept, by how many decibels
# it was raised to be as loud as the clip, and the frequency at the centre of its spectrum.

# %%
def centre(samples):
    power = np.abs(np.fft.rfft(samples)) ** 2
    return (np.fft.rfftfreq(len(samples), 1 / 22_050) * power).sum() / max(power.sum(), 1e-12)

rows = {name: {"energy kept": sound.energy_kept, "raised by (dB)": sound.gain_db["kept"] - sound.gain_db["clip"],
               "centre of the clip (Hz)": centre(sound.clip), "of what is kept": centre(sound.kept),
               "of what is left out": centre(sound.left_out)} for name, sound in heard.items()}
pd.DataFrame(rows).T.round(2)

# %% [markdown]
# In the recorded run the map for metal keeps the middle of the clip; the one for pop keeps a few percent of its energy,
# all of it high, and leaves the rest out. The filter lets only the low notes of its clip pass.
#
# To keep the sounds, write them to files:

# %%
with tempfile.TemporaryDirectory() as folder:  # name a folder of your own instead
    print([file.name for file in ai.listening.write(heard["CAM"], folder).values()])

# %% [markdown]
# ## The test: music whose evidence is known
#
# Whether a map points at what makes metal metal, nobody can say for sure. So the same network learns five genres that
# are made by code. All share the same kind of band; what tells a genre is a signature whose place in time and
# frequency is known: a drum pattern, a swung cymbal, distorted chords, an arpeggio, an oom-pah-pah. **Predict:** how
# much of the maps' mass will lie inside?

# %%
known = ai.prepare("synthetic_music", "cam_cnn", fold=5, recipe=recipe, seed=SEED, progress=False)
held_out = known.validation
sure = ai.predict(known.network, held_out)
ai.accuracy(ai.vote(sure)).to_frame("held-out pieces").T.round(3)

# %% tags=["figure:evidence"]
right = sure[sure["predicted"] == sure["label"]].groupby("label")["score"].idxmax()
pieces = held_out[held_out.table.index.get_indexer(right)]
panels = ai.plots.map_grid(pieces, {"cam": ai.explain(known.network, pieces, "cam")}, predictions=sure)
for row, clip, start in zip(panels, pieces.clip, pieces.start):
    boxes = [(a - start, b - start, *band) for a, b, *band in known.clips.at[clip, "evidence"]]
    ai.plots.outline(row[1], [box for box in boxes if box[1] > 0 and box[0] < ai.MUSIC.patch_seconds])

# %% [markdown]
# Outlined is the evidence. The share of each map that lies in the evidence of its own genre (`mass`), and whether its
# strongest cell does (`hit`); `area` is what a map that knows nothing would have.

# %%
scores = {}
for method in ("cam", "crm", "gradcam"):
    own = ai.trust.evidence_score(ai.explain(known.network, held_out, method), known.clips).reset_index("label")
    own = own[own["label"] == held_out.table["label"].reindex(own.index)]
    scores[method] = own.groupby("label").mean()
pd.concat(scores, axis=1).round(2)

# %% [markdown]
# And the filters: the strongest activation of each, sent back to the input.

# %%
by_filter = ai.trust.filter_evidence(known.network, held_out, known.clips, "conv4")
above = (by_filter["mass"] > by_filter["area"]).sum()
print(f"{above} of {by_filter['mass'].count()} filters see more of the evidence than chance.")
by_filter[["hit", "mass", "area"]].describe().loc[["mean", "50%"]].round(3)

# %% [markdown]
# In the recorded run the maps of every genre hold more of its evidence than chance, but far from all of it. Their peak
# always hits the arpeggios of chiptune and the cymbal and bass of jazz. In the picture, the map for metal lies on the
# overtones above the boxes, and that for the waltz on the chords rather than the bass note. The maps are coarse, too: a
# cell of the last layer is a fifth of a second long. CAM and Grad-CAM agree, as they must for this kind of network:
# they differ only in what Grad-CAM cuts away. Of the filters, most see the evidence more than chance would.
#
# ## A track of your own
#
# Name a file in `TRACK`. Each of its patches is classified; the map of the surest is heard.

# %%
if TRACK:
    own_track = ai.make_patches(pd.DataFrame({"path": [TRACK]}), ai.MUSIC, overlap=0)
    scores_of_track = ai.predict(network, own_track)
    best = scores_of_track["score"].idxmax()
    named = scores_of_track.loc[best, "predicted"]
    display(scores_of_track[labels].mean().sort_values(ascending=False).round(3).to_frame("mean score").T)
    own_map = ai.explain(network, own_track[[best]], "cam", labels=[named])
    display(ai.players(ai.listen(TRACK, own_map, frontend=ai.MUSIC), f"CAM for {named}"))

# %% [markdown]
# ## What we saw
#
# - In a network that ends in an average, a map adds up to the score: nothing is hidden.
# - CAM says what speaks for and against a genre, CRM what matters for the choice.
# - A map can be heard, and hearing it tells more about music than a picture of it.
# - Where the evidence is known, the maps point at it more often than chance, and not always.
#
# ## Exercises
#
# **1.** Compare CAM with LIME and occlusion on the same patch. Do they agree?
#
# <details><summary>Solution</summary>
#
# `methods = {name: ai.explain(network, patch, name) for name in ("cam", "lime", "occlusion")}`, then
# `ai.trust.map_agreement(methods, [LABEL])`.
# </details>
#
# **2.** Hear what speaks *against* the genre that came second.
#
# <details><summary>Solution</summary>
#
# `ai.players(ai.listen(path, maps.sel(label=second), frontend=ai.MUSIC, sign="negative"))`.
# </details>
#
# **3.** Do interpretable filters lie in the evidence more often?
#
# <details><summary>Solution</summary>
#
# `other = ai.prepare("synthetic_music", "interpretable_cnn", fold=5, seed=SEED)`, then
# `ai.trust.filter_evidence(other.network, other.validation, other.clips, "conv4")`.
# </details>
