"""Evidence: the boxes in time and frequency that make a synthetic sound what it is."""

import numpy as np

MARGIN_S = 0.01


def evidence_mask(evidence, time_s, frequency_hz):
    """Cells [time, frequency], bool, of a spectrogram or a map whose centres (s, Hz, ascending) lie in a box.

    Boxes are ``(start_s, stop_s, low_hz, high_hz)``. One that falls between two centres takes the nearer one, so that a
    click does not vanish from a coarse map; boxes beyond the axes leave no trace.
    """
    time_s, frequency_hz = np.asarray(time_s, dtype=float), np.asarray(frequency_hz, dtype=float)
    mask = np.zeros((len(time_s), len(frequency_hz)), dtype=bool)
    for start, stop, low, high in evidence:
        mask |= np.outer(_cells(time_s, start, stop), _cells(frequency_hz, low, high))
    return mask


def clean_boxes(boxes, seconds):
    """Boxes widened, cut to the clip, merged and sorted.

    Each box grows by 10 ms at both ends, which is how far a 25 ms Hann window smears a sound; boxes of the same band
    that overlap become one; boxes inside another one are dropped.
    """
    cut = []
    for start, stop, low, high in boxes:
        start, stop = max(0.0, start - MARGIN_S), min(float(seconds), stop + MARGIN_S)
        if stop > start and high > low:
            cut.append((round(float(low), 1), round(float(high), 1), round(start, 4), round(stop, 4)))
    merged = []
    for low, high, start, stop in sorted(cut):
        if merged and merged[-1][:2] == [low, high] and start <= merged[-1][3]:
            merged[-1][3] = max(stop, merged[-1][3])
        else:
            merged.append([low, high, start, stop])
    boxes = sorted((start, stop, low, high) for low, high, start, stop in merged)
    return [box for box in boxes if not any(_within(box, other) for other in boxes if other is not box)]


def inside(axis, spans):
    """Which points of an axis lie in any of the spans (low, high), their ends included."""
    found = np.zeros(len(axis), dtype=bool)
    for low, high in spans:
        found |= (axis >= low) & (axis <= high)
    return found


def _cells(axis, low, high):
    found = inside(axis, [(low, high)])
    if not found.any() and len(axis) and axis[0] <= high and low <= axis[-1]:
        found[np.abs(axis - (low + high) / 2).argmin()] = True
    return found


def _within(box, other):
    return other[0] <= box[0] and box[1] <= other[1] and other[2] <= box[2] and box[3] <= other[3]
