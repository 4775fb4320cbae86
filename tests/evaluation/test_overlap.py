import numpy as np
import pytest

from medseg.evaluation.overlap import dice, iou


@pytest.mark.parametrize("size", [(7, 5), (4, 5, 6)])
def test_overlap_equals_sets_of_voxels(size):
    random = np.random.default_rng(0)
    prediction, reference = random.random((2, *size)) > 0.6
    first = {tuple(voxel) for voxel in np.argwhere(prediction)}
    second = {tuple(voxel) for voxel in np.argwhere(reference)}

    assert dice(prediction, reference) == 2 * len(first & second) / (len(first) + len(second))
    assert iou(prediction, reference) == len(first & second) / len(first | second)


def test_empty_masks():
    empty, full = np.zeros((3, 3), bool), np.ones((3, 3), bool)

    assert dice(empty, empty) is None
    assert iou(empty, empty) is None
    assert dice(empty, full) == iou(full, empty) == 0
    assert dice(full, full) == iou(full, full) == 1
