"""Places are the moments of voxels' positions, however the label lies in memory."""

import numpy as np
import pytest

from medseg.measure.places import places, together


def layer(dtype=np.uint8):
    random = np.random.default_rng(2)
    values = random.choice([0, 1, 3], (9, 11, 13), p=[0.6, 0.3, 0.1]).astype(dtype)
    values[2:5, 3:8, 1:4] = 1
    return values


def moments(mask):
    positions = np.argwhere(mask)
    covariance = np.cov(positions.T, bias=True)
    return positions.mean(axis=0), np.diag(covariance) + 1 / 12, covariance[0, 1:]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
def test_moments_of_each_value(dtype):
    values = layer(dtype)
    found = places(values, {1: 7, 3: -40})
    assert {*found} == {7, -40}
    for value, name in ((1, 7), (3, -40)):
        centre, variances, slants = moments(values == value)
        np.testing.assert_allclose(found[name].centre, centre, rtol=1e-6)
        np.testing.assert_allclose(found[name].variances, variances, rtol=1e-6)
        np.testing.assert_allclose(found[name].slants, slants, rtol=1e-4)


def test_strides_change_nothing():
    values = layer()
    turned = np.asfortranarray(values)
    assert places(values, {1: 1, 3: 3}) == places(turned, {1: 1, 3: 3})


def test_mirroring_the_first_axis_turns_slants_alone():
    values = layer()
    straight, mirrored = places(values, {1: 1, 3: 3})[1], places(values[::-1], {1: 1, 3: 3})[1]
    assert straight.centre[0] + mirrored.centre[0] == pytest.approx(len(values) - 1)
    assert mirrored.centre[1:] == pytest.approx(straight.centre[1:])
    assert mirrored.variances == pytest.approx(straight.variances)
    assert mirrored.slants == pytest.approx([-slant for slant in straight.slants], rel=1e-4)


def test_a_line_leans_by_one_and_a_voxel_has_a_width():
    values = np.zeros((40, 40, 3), dtype=np.uint8)
    values[range(40), range(40), 1] = 1
    values[0, 39, 0] = 2
    found = places(values, {1: 1, 2: 2})
    assert found[1].correlations == pytest.approx((1, 0), abs=0.01)
    assert found[2].spread == pytest.approx([12**-0.5] * 3)
    assert found[2].centre == (0, 39, 0)


def test_values_together_are_one_region():
    values = layer()
    found = places(values, {1: 1, 3: 3})
    counts = [int((values == value).sum()) for value in (1, 3)]
    both = together([found[1], found[3]], counts)
    centre, variances, slants = moments(values > 0)
    np.testing.assert_allclose(both.centre, centre, rtol=1e-6)
    np.testing.assert_allclose(both.variances, variances, rtol=1e-6)
    np.testing.assert_allclose(both.slants, slants, rtol=1e-3)
    assert together([found[1]], [counts[0]]) == found[1]


def test_nothing_has_no_place():
    assert places(np.zeros((2, 2, 2), dtype=np.uint8), {}) == {}
