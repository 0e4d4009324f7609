import numpy as np
import pytest

from audiointerp.datasets.synthetic.evidence import clean_boxes, evidence_mask


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AUDIOINTERP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


# Boxes


def test_mask_marks_the_cells_of_a_box():
    mask = evidence_mask([(0.2, 0.4, 100, 300)], [0.1, 0.2, 0.3, 0.5], [50, 200, 300, 400, 800])
    expected = np.zeros((4, 5), dtype=bool)
    expected[1:3, 1:3] = True
    np.testing.assert_array_equal(mask, expected)


def test_mask_keeps_a_click_between_two_frames_and_drops_what_lies_beyond():
    axes = [0.1, 0.2, 0.3], [100.0, 1000.0]
    np.testing.assert_array_equal(evidence_mask([(0.17, 0.18, 50, 2000)], *axes), [[0, 0], [1, 1], [0, 0]])
    assert not evidence_mask([(0.5, 0.6, 50, 2000), (0.1, 0.3, 2000, 3000)], *axes).any()
    assert evidence_mask([], *axes).shape == (3, 2)


def test_boxes_of_one_band_merge_and_inner_ones_go():
    boxes = [(1.0, 1.5, 100, 200), (1.4, 2.0, 100, 200), (1.1, 1.2, 120, 180), (4.9, 6.0, 300, 400), (7, 8, 1, 2)]
    assert clean_boxes(boxes, 5.0) == [(0.99, 2.01, 100.0, 200.0), (4.89, 5.0, 300.0, 400.0)]
