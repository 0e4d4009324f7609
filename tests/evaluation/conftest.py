"""What the tests of predictions share."""

import numpy as np
import pandas as pd
import pytest

LABELS = ["dog", "rain", "sea"]


@pytest.fixture(scope="session")
def scored():
    def scored(rows, labels=LABELS):
        """A prediction table from (clip, true label, silent, scores)."""
        table = pd.DataFrame([row[:3] for row in rows], columns=["clip", "label", "silent"])
        scores = np.array([row[3] for row in rows], dtype=float)
        table["predicted"] = [labels[i] for i in scores.argmax(axis=1)]
        table["score"] = scores.max(axis=1)
        table[labels] = scores
        table.attrs["labels"] = list(labels)
        return table

    return scored


@pytest.fixture(scope="session")
def random_table():
    def random_table(rng, n=300):
        table = pd.DataFrame({"label": rng.choice(LABELS, n), "predicted": rng.choice(LABELS, n, p=[0.5, 0.3, 0.2])})
        table[LABELS] = 0.0
        table.attrs["labels"] = list(LABELS)
        return table

    return random_table
