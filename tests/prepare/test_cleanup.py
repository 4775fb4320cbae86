"""Stray pieces go, holes close, and other classes stay as they are."""

from dataclasses import replace

import numpy as np
import pytest
from plans import plan_for_tests

from medseg.geometry import Geometry
from medseg.prepare.cleanup import Cleanup, agreed, cleaned, filled, mend

LARGE = (slice(1, 6), slice(1, 6), slice(1, 6))
SMALL = (slice(8, 10), slice(7, 9), slice(6, 8))
DOT = (slice(11, 12), slice(0, 1), slice(0, 1))
SIZE = (12, 10, 8)
GRID = Geometry(SIZE)


def mask(*boxes, size=SIZE):
    out = np.zeros(size, dtype=bool)
    for box in boxes:
        out[box] = True
    return out


def mended(label, rules, geometry=GRID, **plan):
    label = label.copy()
    mend(label, plan_for_tests(**plan), rules, geometry)
    return label


def test_the_largest_piece_stays_alone():
    found = cleaned(mask(LARGE, SMALL, DOT), Cleanup(largest=True), 1)
    np.testing.assert_array_equal(found, mask(LARGE))


@pytest.mark.parametrize(
    ("least", "kept"), [(2, (LARGE, SMALL)), (8, (LARGE, SMALL)), (9, (LARGE,))]
)
def test_small_pieces_go_by_their_volume(least, kept):
    for voxel in (1.0, 0.25):
        found = cleaned(mask(LARGE, SMALL, DOT), Cleanup(least_mm3=least * voxel), voxel)
        np.testing.assert_array_equal(found, mask(*kept))


def test_pieces_that_share_a_corner_are_one():
    whole = mask((slice(0, 2),) * 3, (slice(2, 3),) * 3)
    np.testing.assert_array_equal(cleaned(whole, Cleanup(largest=True), 1), whole)


@pytest.mark.parametrize(
    "rule", [Cleanup(largest=True), Cleanup(least_mm3=3), Cleanup(fill=True), Cleanup()]
)
def test_an_empty_mask_stays_empty_and_a_full_one_full(rule):
    assert not cleaned(mask(), rule, 1).any()
    for size in (SIZE, (5, 4, 1), (1, 1, 4)):
        assert cleaned(np.ones(size, dtype=bool), rule, 1).all()


def test_holes_of_planes_are_filled_in_the_plane():
    ring = np.zeros((7, 7, 1), dtype=bool)
    ring[1:6, 1:6] = True
    ring[3, 3] = False
    whole = ring.copy()
    whole[3, 3] = True
    np.testing.assert_array_equal(filled(ring), whole)
    notch = ring.copy()
    notch[3, 3:] = False  # open to the side: no hole
    np.testing.assert_array_equal(filled(notch), notch)


def test_holes_are_filled_where_there_was_background():
    label = np.zeros((9, 9, 9), dtype=np.int32)
    label[1:8, 1:8, 1:8] = 300
    label[3, 3, 3] = 0
    label[5, 5, 5] = 2
    rules = {"organ": Cleanup(fill=True)}
    found = mended(label, rules, Geometry(label.shape), label_values=(0, 300, 2))
    assert found[3, 3, 3] == 300
    assert found[5, 5, 5] == 2


def test_what_leaves_a_class_becomes_background():
    label = np.full(SIZE, 7, dtype=np.int32)
    label[LARGE], label[SMALL], label[DOT] = 70000, 70000, 5
    rules = {"organ": Cleanup(largest=True)}
    found = mended(label, rules, label_values=(7, 70000, 5))
    assert (found[LARGE] == 70000).all()
    assert (found[SMALL] == 7).all()
    assert (found[DOT] == 5).all()


def test_sizes_are_in_millimetres_where_there_are_any():
    label = mask(LARGE, SMALL).astype(np.int32)
    rules = {"organ": Cleanup(least_mm3=9)}
    assert mended(label, rules)[SMALL].sum() == 0
    coarse = replace(GRID, spacing_mm=(2.0, 1.0, 1.0))
    assert mended(label, rules, coarse)[SMALL].sum() == 8
    assert mended(label, rules, replace(coarse, world=False))[SMALL].sum() == 0


def test_layers_are_mended_each_by_its_own_rule():
    layers = np.stack([mask(LARGE, SMALL), mask(LARGE, SMALL)]).astype(np.int32)
    found = mended(layers, {"lesion": Cleanup(largest=True)}, task="multilabel")
    np.testing.assert_array_equal(found[0], mask(LARGE, SMALL))
    np.testing.assert_array_equal(found[1], mask(LARGE))


def test_a_first_class_that_has_a_name_takes_no_voxels():
    label = mask(LARGE, SMALL).astype(np.int32)
    rules = {"organ": Cleanup(largest=True)}
    named = mended(label, rules, class_names=("membrane", "organ", "lesion"))
    np.testing.assert_array_equal(named, label)


def test_several_models_do_what_most_have_learned():
    one = {"a": Cleanup(largest=True), "b": Cleanup(least_mm3=4)}
    two = {"a": Cleanup(largest=True, fill=True), "b": Cleanup(least_mm3=6)}
    assert agreed([one]) == one
    assert agreed([one, two, {}]) == {"a": Cleanup(largest=True), "b": Cleanup(least_mm3=4)}
    assert agreed([one, {}, {}]) == {}


def test_rules_read_as_words():
    assert str(Cleanup(largest=True, fill=True)) == "largest piece, holes filled"
    assert str(Cleanup(least_mm3=12.5)) == "pieces from 12.5 mm3"
    assert str(Cleanup()) == "as it is"
