import zlib

import numpy as np

from audiointerp.datasets.synthetic import clips as synthetic
from audiointerp.datasets.synthetic.background import background
from audiointerp.datasets.synthetic.sounds import LABELS, SAMPLE_RATE, synthesize


def _background_generators(seed):
    return [np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key)) for key in [(0,), (1, 0)]]


def test_background_does_not_know_the_class():
    for seed in range(3):
        first, *others = [synthesize(label, seed=seed) for label in LABELS]
        assert all(np.array_equal(first.background, other.background) for other in others)


def test_background_level_of_the_set_gives_no_class_away(power):
    """Level and brightness of the backgrounds explain no more of the classes than shuffled labels do."""
    rows = synthetic.plan(10)
    names = np.array([row["label"] for row in rows])
    seeds = [(0, zlib.crc32(row["label"].encode()), int(row["source"]) % 100000) for row in rows]
    stems = [background(*_background_generators(seed), 5.0, SAMPLE_RATE)[0] for seed in seeds]
    spectra = np.array([np.log(power(stem)[0].mean(0) + 1e-9) for stem in stems])
    features = np.column_stack([spectra.mean(1), spectra @ np.linspace(-1, 1, spectra.shape[1])])

    def explained(labels):
        between = sum(((features[labels == x].mean(0) - features.mean(0)) ** 2) * (labels == x).sum() for x in LABELS)
        return (between / ((features - features.mean(0)) ** 2).sum(0)).max()

    rng = np.random.default_rng(0)
    shuffled = [explained(rng.permutation(names)) for _ in range(200)]
    assert explained(names) < np.quantile(shuffled, 0.99)
