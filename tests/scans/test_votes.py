import numpy as np
import pytest
from subjects import ellipsoids, oblique

from medseg.evaluation.overlap import dice
from medseg.geometry import Geometry
from medseg.scans.alignment import align
from medseg.scans.decode import Voxels
from medseg.scans.votes import resample_label

SIZE = (33, 30, 27)


def centre(mask):
    return np.argwhere(mask).mean(0)


@pytest.mark.parametrize(("step", "share"), [(2, 0.93), (3, 0.85)])
def test_less_resolution_moves_no_edge(step, share):
    """Taking the nearest, ties to one side, moved every label of half size by half a voxel."""
    label = ellipsoids(SIZE, (1.0, 1.0, 1.0))
    coarse = label[::step, ::step, ::step]
    source = Geometry(coarse.shape, (float(step),) * 3)
    (found,), _ = align("l", Voxels(coarse[None], source), Geometry(SIZE), order=0)
    for value in (1, 2):
        assert dice(found == value, label == value) > share
        np.testing.assert_allclose(centre(found == value), centre(label == value), atol=0.1 * step)


def test_the_same_grid_turned_is_exact():
    label = ellipsoids(SIZE, (1.0, 1.0, 1.0)) * 300
    turned = oblique(SIZE)
    flipped = Geometry.from_affine(SIZE, turned.affine @ np.diag([-1, 1, 1, 1]))
    matrix = np.linalg.inv(flipped.affine) @ turned.affine
    found = resample_label(label, matrix, SIZE)
    moved = np.zeros_like(label)
    moved[0] = label[0]
    np.testing.assert_array_equal(found, moved)  # they share but the plane they turn about


@pytest.mark.parametrize("shift", [(0.0, 0.0, 0.0), (2.0, -3.0, 1.0), (0.4, 0.0, -0.4)])
def test_a_shift_is_a_shift(shift):
    label = np.zeros(SIZE, np.int32)
    label[10:20, 8:19, 6:14] = np.arange(1, 3).repeat(5)[:, None, None]
    source = Geometry(SIZE, origin=(20.0, 30.0, 40.0))
    target = Geometry(SIZE, origin=tuple(np.add(source.origin, shift)))
    (found,), _ = align("l", Voxels(label[None], source), target, order=0)
    whole = [-round(step) for step in shift]
    np.testing.assert_array_equal(found, np.roll(label, whole, (0, 1, 2)))
