"""Regions, and the order in which one map of all is written."""

import numpy as np
import pytest

from medseg.scans.regions import misread_in, regions_of


def test_plain_classes_are_no_regions():
    assert regions_of({"a": 1, "b": 2}) is None


@pytest.mark.parametrize(
    "classes",
    [
        {"whole": (1, 2, 4), "core": (1, 4), "enhancing": 4},
        {"enhancing": 4, "core": (4, 1), "whole": (4, 2, 1)},
        {"left": (1, 3), "right": (2, 4), "all": (1, 2, 3, 4, 5)},
        {"background": 0, "any": (1, 2), "one": 1},
    ],
)
def test_a_map_written_in_order_tells_the_regions_apart(classes):
    """What each region is written as belongs to it, and to no region that was left below."""
    regions = regions_of(classes)
    assert regions is not None
    assert "background" not in regions.values
    largest = [len(values) for values in regions.values.values()]
    assert largest == sorted(largest, reverse=True)
    assert len(set(regions.order)) == len(regions.order) == len(regions.values)
    truth = np.array([0, *sorted({v for values in regions.values.values() for v in values})])
    written = np.zeros_like(truth)
    for values, as_value in zip(regions.values.values(), regions.order, strict=True):
        assert as_value in values
        written[np.isin(truth, values)] = as_value
    for values in regions.values.values():
        found, expected = np.isin(written, values), np.isin(truth, values)
        assert (found == expected).all()


def test_two_names_of_the_same_values_cannot_be_one_map():
    regions = regions_of({"a": (1, 2), "b": (2, 1)})
    assert regions is not None
    assert regions.order == ()


@pytest.mark.parametrize(
    "classes",
    [
        {"left": (1, 3), "right": (2, 3)},
        {"large": (1, 2, 3), "across": (3, 4)},
        {"outside": (0, 2), "inside": 1},
    ],
)
def test_regions_that_share_a_part_only_cannot_be_one_map(classes):
    """Any value of one would say that the other is there too; 0 is where nothing is written."""
    regions = regions_of(classes)
    assert regions is not None
    assert regions.order == ()


@pytest.mark.parametrize(
    ("regions", "order", "misread"),
    [
        ([(1, 2, 4), (1, 4), (4,)], [2, 1, 4], None),
        ([(1, 2, 4), (1, 4), (4,)], [4, 1, 2], 0),
        ([(4,), (1, 4), (1, 2, 4)], [4, 1, 2], 0),
        ([(1, 2), (1,)], [3, 1], 0),
        ([(1,), (2, 3)], [1, 2], None),
    ],
)
def test_an_order_is_read_back_as_it_was_written(regions, order, misread):
    assert misread_in(regions, order) == misread
