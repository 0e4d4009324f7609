import numpy as np
import pandas as pd

from audiointerp.datasets.feature_arrays import as_features


def table(labels):
    n = len(labels)
    columns = {"label": labels, "fold": np.arange(n) % 5 + 1, "path": [f"{i}.wav" for i in range(n)]}
    return pd.DataFrame(columns, index=np.arange(n) * 10)


def test_what_is_known_of_the_clips_stands_along_them():
    values = np.arange(6, dtype=np.float32).reshape(3, 2)
    found = as_features(values, table(["a", "b", "a"]), "conv1")
    assert found.dims == ("clip", "neuron") and found.name == "conv1"
    np.testing.assert_array_equal(found.values, values)
    assert found["clip"].values.tolist() == [0, 10, 20] and found["neuron"].values.tolist() == [0, 1]
    assert found["label"].values.tolist() == found["group"].values.tolist() == ["a", "b", "a"]
    assert found["fold"].values.tolist() == [1, 2, 3] and found["path"].values.tolist()[1] == "1.wav"
    assert "source" not in found.coords


def test_groups_are_those_of_esc50_if_all_labels_are():
    found = as_features(np.zeros((2, 1), np.float32), table(["dog", "rain"]), "conv1")
    assert found["group"].values.tolist() == ["animals", "natural soundscapes and water"]
    mixed = as_features(np.zeros((2, 1), np.float32), table(["dog", "spoon"]), "conv1")
    assert mixed["group"].values.tolist() == ["dog", "spoon"]


def test_clips_without_labels():
    found = as_features(np.zeros((2, 1), np.float32), table(["a", "b"])[["path"]], "conv1")
    assert set(found.coords) == {"path", "clip", "neuron"}
