import numpy as np
import pytest
from plans import plan_for_tests

from medseg.prepare.foreground import foreground
from medseg.types import IGNORED


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_foreground_rows_lie_in_their_class(task):
    random = np.random.default_rng(0)
    layers, high = (1, 3) if task == "multiclass" else (2, 2)
    label = random.integers(0, high, size=(layers, 20, 25, 30)).astype(np.uint8)
    rows, ends, _ = foreground(label, plan_for_tests(task=task))
    assert rows.dtype == np.int32
    assert len(rows) == 2 * 4000
    assert ends == ((0, 4000, 8000) if task == "multiclass" else (4000, 8000))
    index, voxel = np.repeat((1, 2) if task == "multiclass" else (0, 1), 4000), rows.T
    found = label[0][tuple(voxel)] if task == "multiclass" else label[(index, *voxel)]
    np.testing.assert_array_equal(found, index if task == "multiclass" else 1)
    for one in (rows[:4000], rows[4000:]):
        assert len(np.unique(one, axis=0)) == len(one)
    np.testing.assert_array_equal(rows, foreground(label, plan_for_tests(task=task)).rows)


def test_a_rare_class_has_all_its_voxels():
    label = np.zeros((1, 4, 4, 4), dtype=np.uint8)
    label[0, 1, 2, 3] = label[0, 3, 0, 0] = 2
    found = foreground(label, plan_for_tests())
    assert found.rows.tolist() == [[1, 2, 3], [3, 0, 0]]
    assert found.ends == (0, 0, 2)
    assert found.voxels == (62, 0, 2)


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_where_most_is_ignored_the_last_rows_tell_what_is_annotated(task):
    label = np.full((1 if task == "multiclass" else 2, 6, 8, 10), IGNORED, dtype=np.uint8)
    label[:, 2] = 0
    label[0, 2, 3, 4] = 1
    found = foreground(label, plan_for_tests(task=task))
    assert found.ends == ((0, 1, 1) if task == "multiclass" else (1, 1))
    assert found.voxels == ((79, 1, 0) if task == "multiclass" else (1, 0))
    assert found.rows[0].tolist() == [2, 3, 4]
    annotated = found.rows[1:]
    assert len(np.unique(annotated, axis=0)) == 80
    assert (annotated[:, 0] == 2).all()
