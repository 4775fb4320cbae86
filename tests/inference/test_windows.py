from itertools import pairwise, product

import numpy as np
import pytest

from medseg.inference.windows import batched, window_boxes, window_starts

OVERLAPS = [0.0, 0.25, 0.5, 0.8, 0.9]


@pytest.mark.parametrize("overlap", OVERLAPS)
def test_windows_cover_an_axis_and_overlap_enough(overlap):
    for length, window in product(range(1, 41), range(1, 13)):
        starts = window_starts(max(length, window), window, overlap)
        assert starts[0] == 0
        assert starts[-1] + window == max(length, window)
        for one, two in pairwise(starts):
            assert one < two
            # As near as whole voxels allow, a window never standing still.
            assert one + window - two >= min(overlap * window - 1e-6, window - 1)


@pytest.mark.parametrize(
    ("length", "window", "overlap", "starts"),
    [
        (16, 16, 0.5, [0]),
        (17, 16, 0.5, [0, 1]),
        (32, 16, 0.5, [0, 8, 16]),
        (32, 16, 0.0, [0, 16]),
        (30, 10, 0.8, [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20]),
    ],
)
def test_there_are_no_more_windows_than_needed(length, window, overlap, starts):
    assert window_starts(length, window, overlap) == starts


def test_boxes_cover_the_volume():
    size, window = (11, 8, 5), (4, 8, 1)
    seen = np.zeros(size, dtype=int)
    for box in window_boxes(size, window, 0.5):
        assert seen[box].shape == window
        seen[box] += 1
    assert seen.min() == 1


def test_groups_keep_the_order():
    boxes = window_boxes((9, 4, 4), (4, 4, 4), 0.5)
    groups = list(batched(boxes, 2))
    assert [len(group) for group in groups] == [2] * (len(boxes) // 2) + [1] * (len(boxes) % 2)
    assert [box for group in groups for box in group] == boxes
