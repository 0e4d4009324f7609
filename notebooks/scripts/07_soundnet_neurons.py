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
# # 07 · SoundNet: what its neurons are on for
#
# **What you will see.** Single neurons: which clips switch them on, which classes these clips are of, and whether a
# neuron belongs to a class more than chance would have it. A published claim says that neurons belong to a class
# *less*, the deeper the layer. It is put to the test against shuffled labels, on equal clips, in several networks.
#
# **Time.** Half a minute when the features of notebook 06 are in the cache; otherwise they are computed first.
#
# **Follows** items 7 and 8 of the SoundNet study by J. Plumail and M. Rakotoarivony (github.com/jplumail/SoundNet).

# %% [markdown]
# ### Parameters
#
# As in notebook 06; `BESIDE` is a second SoundNet to compare with at the end. `NEURON` is the first neuron to look at
# (counted from 0), `SHUFFLES` how often labels are shuffled. Without any download: `DATA = "synthetic"`, both weights
# `"random"`, `TEACHER = "vggish"`, `WIDTH = 0.125`, `SOUNDNET = "student"`, `FEATURES = "own"`.

# %% tags=["parameters"]
DATA = "esc10"
SOUNDNET = "official"
BESIDE = None
FEATURES = "published"
LAYERS = ["conv1", "conv2", "conv3", "conv4", "conv5", "conv6", "conv7"]
VGGISH = "audioset"
YAMNET = "audioset"
TEACHER = "yamnet"
WIDTH = 1.0
EPOCHS = 12
BATCH = 128
NEURON = 0
SHUFFLES = 1000
SEED = 0

# %%
import audiointerp as ai
import numpy as np
import pandas as pd
from dataclasses import replace
from IPython.display import Audio, display

# %% [markdown]
# ## SoundNet and the features of its layers
#
# The network of notebook 06, at the rate that it was trained at for our own clips; and the features to study, one
# number a clip and neuron.

# %%
clips = ai.load(DATA)
if SOUNDNET == "student":
    weights = {"vggish": VGGISH, "yamnet": YAMNET}[TEACHER]
    teacher = ai.prepare(DATA, TEACHER, weights=weights, width=WIDTH, seed=SEED, progress=False)
    sounding = [patches[~patches.silent] for patches in (teacher.train, teacher.validation)]
    student = ai.training.student_for(teacher.network, width=WIDTH, seed=SEED)
    recipe = replace(ai.training.student_recipe(SEED), epochs=EPOCHS, batch_size=BATCH)
    soundnet, _ = ai.training.distill(student, teacher.network, *sounding, recipe, progress=False)
else:
    at_own_rate = replace(ai.SOUNDNET, sample_rate=22_050)
    soundnet = ai.soundnet(weights=SOUNDNET, frontend=at_own_rate)

# %%
def convolutions(network):
    layers = ai.layer_features(network, clips)
    return {name: layer for name, layer in layers.items() if not name.startswith("conv8")}  # without the heads

own = convolutions(soundnet)
features = ai.datasets.load_soundnet_features(layers=LAYERS) if FEATURES == "published" else own
pd.DataFrame({name: {"clips": len(layer), "neurons": layer.sizes["neuron"]} for name, layer in features.items()}).T

# %% [markdown]
# ## One neuron
#
# A neuron's activation for every clip, the strongest first. It counts as **on** for the clips above its own 95th
# percentile: one clip in twenty. **Predict:** are these clips of one class?

# %%
conv5 = features["conv5"]
ai.plots.activation_curve(conv5, NEURON);

# %%
matrix = ai.layers.neuron_class_matrix(conv5)
ai.plots.neuron_classes(matrix, NEURON);

# %%
strongest = matrix.loc[NEURON].sort_values(ascending=False)
print(f"neuron {NEURON} is on for {strongest.sum()} clips of {(strongest > 0).sum()} classes; the first four: "
      + ", ".join(f"{label} {count}" for label, count in strongest.head(4).items()))

# %% [markdown]
# In the recorded run engines and helicopters make 29 of its 100 clips, as the study says ("about 30"). But pigs and
# toilet flushes stand between the two: a neuron with a taste rather than one of a class.
#
# The clips of ours that a neuron likes most can be heard. Here the three strongest for the neuron of our own conv5 that
# belongs to a class most. **Predict** from the sounds what it listens to.

# %%
own_table = ai.layers.selectivity(ai.layers.neuron_class_matrix(own["conv5"]))
favourite = own_table.loc[own_table["active"] == own_table["active"].max(), "share"].idxmax()
order = own["conv5"].sel(neuron=favourite).to_series().sort_values(ascending=False)
print(f"neuron {favourite}: {own_table['share'][favourite]:.0%} of its clips are {own_table['label'][favourite]}; "
      f"its strongest three are {', '.join(clips.loc[order.index[:3], 'label'])}")

# %%
for clip in order.index[:3]:
    display(Audio(ai.read_audio(clips.loc[clip, "path"]), rate=16_000))

# %% [markdown]
# ## All neurons of the layer
#
# The neuron × class matrix counts, for every neuron, the clips of each class that it is on for. Neurons are sorted by
# their most represented class. **Predict:** if every neuron had one class, what would the picture look like?

# %% tags=["figure:neuron_class_matrix"]
ai.plots.neuron_class_matrix(matrix, groups=ai.datasets.ESC50_GROUPS);

# %% [markdown]
# For each neuron, the share of its most represented class. A share needs something to be compared with: labels are
# shuffled over the clips, and the same is counted again. That is what a layer that knows nothing would show.
# **Predict:** how large is the share by chance, with 50 classes (10 in the demo)?

# %%
table = ai.layers.selectivity(matrix)
shuffled = ai.layers.shuffled_shares(conv5, shuffles=SHUFFLES, seed=SEED)
ai.plots.selectivity_curve(table, shuffled);

# %%
fraction = pd.Series({f"over {share:.0%}": (table["share"] > share).sum() for share in (0.1, 0.2, 0.3)}, name="neurons")
chance = pd.Series({f"over {share:.0%}": float((shuffled > share).sum("rank").mean()) for share in (0.1, 0.2, 0.3)})
pd.DataFrame({"neurons": fraction, "by chance": chance.round(1), "of": len(table)})

# %% [markdown]
# Nearly every neuron stands far above chance, and yet hardly any belongs to a class: to be on for a class more often
# than chance is little, to be on for nothing else would be much. (The study counts about 50 neurons over 20 %; these
# same rows give 83 in the recorded run. What it did otherwise is not known.)
#
# ## Which classes own neurons?
#
# Classes that are the most represented one of more than five neurons. Before you believe that a class has many neurons
# to itself, look at its rows in the matrix above: are they different neurons, or copies of one?

# %%
ai.plots.class_owners(ai.layers.owners(table, more_than=5), more_than=5);

# %%
counted = table["label"].value_counts()
its = table.index[table["label"] == counted.index[0]]
alike = pd.DataFrame(conv5.values, columns=conv5["neuron"].values)[its].corr().abs().to_numpy()
pairs = alike[np.triu_indices_from(alike, 1)]
print(f"{counted.index[0]} owns {counted.iloc[0]} neurons; two of them correlate at {np.median(pairs):.2f} (median), "
      f"{(pairs > 0.9).mean():.0%} of the pairs above 0.9")

# %% [markdown]
# The study counts 12 such classes and about 40 neurons of the cat; in the recorded run these rows give 10, and 44. And
# they are copies: 87 % of their pairs correlate above 0.9. What looks like many neurons for a class is nearly one
# answer, given many times.
#
# ## The neurons nearest to a class
#
# Those whose most represented class has more than 30 % of their clips; neurons that are on for fewer than ten clips are
# left out, since one clip in three is 33 % too.

# %%
ai.plots.selective_neurons(matrix, over=0.3, fewest=10);

# %%
last = list(features)[-1]
last_matrix = ai.layers.neuron_class_matrix(features[last])
last_table = ai.layers.selectivity(last_matrix)
ai.layers.selective(last_table, 0.3, fewest=10).head(8).style.format({"share": "{:.0%}"})

# %% [markdown]
# That was the last layer of `features`. Its most selective neuron:

# %%
steady = last_table[last_table["active"] >= 10]
ai.plots.neuron_classes(last_matrix, steady["share"].idxmax());

# %% [markdown]
# The study went to conv7, the last of all, found its neurons "more abstract" and showed neuron 636, which was on for
# keyboards and mouse clicks. On our own clips conv7 is at hand whatever was published. **Predict:** which of the ten
# sounds of ESC-10 would switch on a neuron for keyboards?

# %%
deepest = "conv7"
own_matrices = {name: ai.layers.neuron_class_matrix(layer) for name, layer in own.items()}
clicks = min(636, len(own_matrices[deepest]) - 1)
ai.plots.neuron_classes(own_matrices[deepest], clicks);

# %%
chance = 1 / clips["label"].nunique()
for name in ("conv5", "conv6", "conv7"):
    table_here = ai.layers.selectivity(own_matrices[name]).query("active >= 5")
    print(f"{name}: mean share {table_here['share'].mean():.0%}, largest {table_here['share'].max():.0%}; "
          f"of the {len(table_here)} neurons, {(table_here['share'] > 0.5).mean():.0%} have more than half of their "
          f"clips in one class (a class is {chance:.0%} of all clips)")

# %% [markdown]
# In the recorded run neuron 636 of conv7 is on for 20 clips, and 18 of them are a crackling fire: clicks again, of
# another kind. conv7 belongs less to classes than the layers before it: the mean share is 42 %, against 53 % (conv5)
# and 49 % (conv6), and 19 % of its neurons, against 46 and 38 %, have more than half of their clips in one class. If
# "more abstract" means spread over classes, it holds here; what such a neuron is on for instead, these counts do not
# say.
#
# ## Is it true that deeper neurons belong less to a class?
#
# The study drew the sorted shares of every layer into one figure and concluded: the deeper the layer, the less its
# neurons belong to one class. Three things must be equal before layers can be compared: the clips (conv5 was published
# for 2,000, the others for 1,200), the number of neurons that one draws from, and what chance gives. First the
# published figure, then each layer beside its own chance. **Predict:** will the order of the layers stay?

# %% tags=["figure:neuron_selectivity"]
same_clips = ai.layers.common_clips(features)
tables = {name: ai.layers.selectivity(ai.layers.neuron_class_matrix(layer)) for name, layer in same_clips.items()}
by_chance = {name: ai.layers.shuffled_shares(layer, shuffles=SHUFFLES, seed=SEED) for name, layer in same_clips.items()}
ai.plots.selectivity_by_layer(tables, by_chance);

# %%
compared = ai.layers.compare_layers(same_clips, shuffles=SHUFFLES, seed=SEED)
compared.style.format(precision=3)

# %%
ai.plots.layers_against_chance(compared);

# %% [markdown]
# `above` is the mean share less what chance gives. `largest` is that of a single neuron, and it shows why chance is
# needed: a neuron that is on for one clip has a share of 100 %, and the deeper layers have such neurons. The mean does
# not depend on how many neurons a layer has, the largest does. So sixteen neurons are drawn from every layer, many
# times:

# %%
rng = np.random.default_rng(SEED)
def sixteen(table):
    steady = table[table["active"] >= 10]
    draws = [steady.iloc[rng.choice(len(steady), min(16, len(steady)), replace=False)] for _ in range(200)]
    return {"mean share": np.mean([draw["share"].mean() for draw in draws]),
            "largest share": np.mean([draw["share"].max() for draw in draws]),
            "different classes": np.mean([draw["label"].nunique() for draw in draws])}

pd.DataFrame({name: sixteen(table) for name, table in tables.items()}).T.round(3)

# %%
depth = np.arange(len(compared))
trend = compared[["share", "above"]].corrwith(pd.Series(depth, compared.index), method="spearman")
print(f"rank correlation with depth: share {trend['share']:.2f}, share above chance {trend['above']:.2f}")

# %% [markdown]
# In the recorded run the shares fall from the first layer to the fourth and are smallest in the last, as published; but
# conv5 breaks the order. And the sixteen neurons of the first layer have two classes between them, while sixteen of a
# deeper layer are spread over ten or more. How firm is the order? The same with other percentiles, and in one fold:

# %%
def above(layers, **options):
    return ai.layers.compare_layers(layers, shuffles=SHUFFLES // 5, seed=SEED, **options)["above"]

variants = {f"percentile {p}": above(same_clips, percentile=p) for p in (90, 95, 98)}
known_folds = sorted(set(same_clips["conv5"]["fold"].values))[:3]
variants |= {f"fold {fold} alone": above({n: layer[layer["fold"].values == fold] for n, layer in same_clips.items()})
             for fold in known_folds}
pd.DataFrame(variants).style.format("{:.3f}").highlight_max(axis=0, color="#cfe8ff")

# %% [markdown]
# The largest value of each column is marked. In the recorded run a stricter percentile makes the fall steeper and a
# looser one flattens it; in two of three folds alone conv5 stands above the first layer. A tendency, not a law.
# (Chance takes clips to be independent. ESC-50 has several clips of some recordings, so true chance is a little
# higher.)
#
# How alike are the neurons of a layer? The mean absolute correlation between two of them, and beside it the probe of
# notebook 06:

# %%
def likeness(layer):
    values = layer.values[:, layer.values.std(axis=0) > 0]
    correlation = np.abs(np.corrcoef(values.T))
    return correlation[~np.eye(len(correlation), dtype=bool)].mean()

alike = pd.Series({name: likeness(layer) for name, layer in same_clips.items()}, name="mean correlation")
own_folds = [5] if SOUNDNET == "student" and FEATURES == "own" else None
probes = ai.layers.probe_layers(same_clips, folds=own_folds, seed=SEED)
pd.DataFrame({"mean correlation": alike, "share above chance": compared["above"], "probe": probes["accuracy"]}).round(3)

# %% [markdown]
# ## The same in other networks
#
# VGGish and YAMNet look at log-mel patches and were trained with labels. On the clips of `DATA`, with ten classes,
# chance is higher. **Predict:** do the neurons of a network that was trained to tell classes belong to one?

# %%
def compare(name, weights):
    if weights == "random":
        network = ai.prepare(DATA, name, weights=weights, width=WIDTH, seed=SEED, progress=False).network
    else:
        network = ai.networks.build_network(name, sorted(clips["label"].unique()), weights=weights)
    layers = ai.layer_features(network, ai.make_patches(clips, ai.frontend_of(network)))
    held_out = {n: layer[layer["fold"].values == 5] for n, layer in layers.items()} if weights == "random" else layers
    return ai.layers.compare_layers(held_out, shuffles=SHUFFLES // 5, seed=SEED)

networks = {f"SoundNet, {SOUNDNET}": ai.layers.compare_layers(own, shuffles=SHUFFLES // 5, seed=SEED)}
if BESIDE:
    beside = convolutions(ai.soundnet(weights=BESIDE, frontend=at_own_rate))
    networks[f"SoundNet, {BESIDE}"] = ai.layers.compare_layers(beside, shuffles=SHUFFLES // 5, seed=SEED)
networks |= {"vggish": compare("vggish", VGGISH), "yamnet": compare("yamnet", YAMNET)}

# %%
def at_depths(table, depths=(0, 0.25, 0.5, 0.75, 1)):
    rows = table.iloc[[round(depth * (len(table) - 1)) for depth in depths]]
    return pd.Series((rows["above"] / (1 - rows["chance"])).values, [f"depth {depth:.0%}" for depth in depths])

pd.DataFrame({name: at_depths(table) for name, table in networks.items()}).T.style.format("{:.2f}")

# %%
for name, table in networks.items():
    ai.plots.layers_against_chance(table, title=f"{name}, {table['clips'].iloc[0]} clips of {DATA}");

# %% [markdown]
# The table has the distance to chance, as a share of what there is above chance, at five depths of each network. A
# network that was trained here on folds 1 to 4 is judged on the clips of fold 5 alone. So few clips make a coarse
# measure: a neuron is on for four of them, and chance is high. Compare its rows with care.
#
# In the recorded run the official SoundNet, on ten classes, is level up to conv5 (50 to 53 %) and falls in its last two
# layers, to 42 %; the pruned one hardly falls (50 to 47 %). VGGish falls and rises again; and YAMNet is level but for a
# dip at layers 11 and 12 (56 to 46 %) and rises steeply in its last two, to 71 %. The published claim is not a law of
# depth.
#
# ## What we saw
#
# - Most neurons favour some classes more than chance; hardly any belongs to one.
# - A share alone means nothing: chance depends on the clips, the classes, and how many neurons one may choose from.
# - In SoundNet single neurons tend to say less about a class the deeper they lie, while all of them together say more.
#   In YAMNet the last neurons say most.
#
# ## Exercises
#
# **1.** Call a neuron on for the clips above its 90th percentile instead. Does the order of the layers change?
#
# <details><summary>Solution</summary>
#
# `ai.layers.compare_layers(same_clips, percentile=90, shuffles=200)`. Chance falls too, since more clips are counted.
# </details>
#
# **2.** Ask for groups instead of classes. Do deeper neurons belong to a group?
#
# <details><summary>Solution</summary>
#
# `ai.layers.compare_layers(same_clips, by="group", shuffles=200)`: with five groups chance is above 20 %.
# </details>
#
# **3.** Which neurons of the last layer are on for clips of a single class, however few? How many would chance give?
#
# <details><summary>Solution</summary>
#
# `(last_table["share"] == 1).sum()`, and `float((by_chance[last] == 1).sum("rank").mean())`.
# </details>
