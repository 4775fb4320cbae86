"""Several opinions on one thing are told from classes by what the masks hold."""

import numpy as np
import pytest

from medseg.geometry import Geometry
from medseg.measure.facts import case_facts
from medseg.plan.doubts import doubts
from medseg.plan.raters import rater_doubts
from medseg.scans.case import Subject

SIZE = (20, 18, 16)


def ball(centre, radius):
    grid = np.indices(SIZE)
    distance = sum((axis - at) ** 2 for axis, at in zip(grid, centre, strict=True))
    return (distance <= radius**2).astype(np.uint8)


def facts(name, *masks):
    image = np.random.default_rng(0).normal(100, 10, (1, *SIZE)).astype(np.float32)
    return case_facts(Subject(name, image, np.stack(masks), Geometry(SIZE)))


def opinions(index, raters=2):
    """Each draws it a little larger or smaller, and a voxel away."""
    return [ball((9 + index % 2 + n, 9, 8 - n), 5 + 0.3 * n) for n in range(raters)]


def test_voxels_of_all_masks_are_counted():
    masks = opinions(0, 3)
    found = facts("a", *masks)
    assert found.common == np.count_nonzero(masks[0] & masks[1] & masks[2]) > 0
    assert found.marked == np.count_nonzero(masks[0] | masks[1] | masks[2])
    assert facts("a", masks[0]).common == facts("a", masks[0]).marked == masks[0].sum()


@pytest.mark.parametrize("raters", [2, 3])
def test_masks_that_mark_nearly_the_same_are_doubted(raters):
    cases = [facts(f"c{n}", *opinions(n, raters)) for n in range(4)]
    names = ("ab", "cd", "ef")[:raters]
    (line,) = (line for line in doubts(cases, names) if "raters" in line)
    assert ", ".join(names) in line
    assert f"{cases[0].common} of them in all" in line
    assert "--pattern" in line
    assert "\n" not in line


def test_an_empty_opinion_of_one_case_hides_nothing():
    cases = [facts(f"c{n}", *opinions(n)) for n in range(4)]
    empty = facts("e", opinions(0)[0], np.zeros(SIZE, np.uint8))
    assert rater_doubts([*cases, empty])


def test_the_same_mask_twice_is_doubted():
    cases = [facts(f"c{n}", ball((9, 9, 8), 4 + n), ball((9, 9, 8), 4 + n)) for n in range(3)]
    assert "mark the same in 3 of 3 cases" in rater_doubts(cases)[0]


@pytest.mark.parametrize(
    "masks",
    {
        "apart": (ball((5, 9, 8), 4), ball((14, 9, 8), 4)),
        "touching": (ball((7, 9, 8), 4), ball((11, 9, 8), 4)),
        "within": (ball((9, 9, 8), 6), ball((9, 9, 8), 5)),
        "almost wholly within": (ball((9, 9, 8), 6), ball((9, 9, 8), 5.5)),
        "one map": (ball((9, 9, 8), 6),),
        "one empty": (ball((9, 9, 8), 6), np.zeros(SIZE, np.uint8)),
        "two alike and one elsewhere": (*opinions(0), ball((3, 3, 3), 2)),
    }.items(),
    ids=lambda item: item[0],
)
def test_classes_are_not(masks):
    assert rater_doubts([facts(f"c{n}", *masks[1]) for n in range(3)]) == []
