import numpy as np
import pytest

from audiointerp.maps.perturbation import Versions, fill_values


def test_versions_are_made_across_patches():
    """Versions come patch by patch, whatever the batch, each with its own cells hidden."""
    data = np.arange(3, dtype=np.float32)[:, None, None] * 100 + np.zeros((3, 2, 2), np.float32)
    hidden = np.arange(5)[:, None, None] > np.arange(4).reshape(2, 2)
    versions = Versions(data, lambda patch, rows: hidden[rows], 5, np.array([1, 2, 3], np.float32))
    assert len(versions) == 15
    for batch in (1, 2, 4, 7, 100):
        parts = [versions[start : start + batch] for start in range(0, 15, batch)]
        assert [len(part) for part in parts[:-1]] == [batch] * (len(parts) - 1)
        sums = np.concatenate(parts).sum(axis=(1, 2)).reshape(3, 5)
        for p in range(3):
            np.testing.assert_array_equal(sums[p], [(4 - v) * 100 * p + v * (p + 1) for v in range(5)])


def test_what_hidden_cells_become(patches_of):
    patches = patches_of()
    np.testing.assert_allclose(fill_values(patches, "mean"), patches.data.reshape(3, -1).mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(fill_values(patches, "silence"), np.log(0.01), rtol=1e-6)
    np.testing.assert_array_equal(fill_values(patches, -1.5), [-1.5] * 3)
    for fill in ("loud", np.nan, None):
        with pytest.raises(ValueError, match=r"fill=.*'mean', 'silence'"):
            fill_values(patches, fill)
