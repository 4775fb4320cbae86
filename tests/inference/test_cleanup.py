"""Stray pieces go, holes close, and other classes stay as they are."""

import numpy as np
import pytest

from medseg.inference.cleanup import Cleanup, clean_labels, clean_layers, cleaned


def mask(*boxes, size=(12, 10, 8)):
    out = np.zeros(size, dtype=bool)
    for box in boxes:
        out[box] = True
    return out


LARGE = (slice(1, 6), slice(1, 6), slice(1, 6))
SMALL = (slice(8, 10), slice(7, 9), slice(6, 8))
DOT = (slice(11, 12), slice(0, 1), slice(0, 1))


def test_the_largest_piece_stays_alone():
    found = cleaned(mask(LARGE, SMALL, DOT), Cleanup(largest=True), 1)
    np.testing.assert_array_equal(found, mask(LARGE))


@pytest.mark.parametrize(
    ("least", "kept"), [(2, (LARGE, SMALL)), (8, (LARGE, SMALL)), (9, (LARGE,))]
)
def test_small_pieces_go_by_their_volume(least, kept):
    for voxel_mm3 in (1.0, 0.25):
        rule = Cleanup(least_mm3=least * voxel_mm3)
        np.testing.assert_array_equal(
            cleaned(mask(LARGE, SMALL, DOT), rule, voxel_mm3), mask(*kept)
        )


def test_pieces_that_share_a_corner_are_one():
    first, second = (slice(0, 2),) * 3, (slice(2, 3),) * 3
    whole = mask(first, second)
    np.testing.assert_array_equal(cleaned(whole, Cleanup(largest=True), 1), whole)


def test_an_empty_mask_stays_empty():
    for rule in (Cleanup(largest=True), Cleanup(least_mm3=3), Cleanup(fill=True)):
        assert not cleaned(mask(), rule, 1).any()


def test_holes_are_filled_where_there_was_background():
    label = np.zeros((9, 9, 9), dtype=np.int32)
    label[1:8, 1:8, 1:8] = 300
    label[3, 3, 3] = 0
    label[5, 5, 5] = 2
    clean_labels(label, 0, {300: Cleanup(fill=True)}, 1)
    assert label[3, 3, 3] == 300
    assert label[5, 5, 5] == 2


def test_what_leaves_a_class_becomes_background():
    label = np.full((12, 10, 8), 7, dtype=np.int32)
    label[LARGE], label[SMALL], label[DOT] = 70000, 70000, 5
    clean_labels(label, 7, {70000: Cleanup(largest=True), 9: Cleanup(largest=True)}, 1)
    assert (label[LARGE] == 70000).all()
    assert (label[SMALL] == 7).all()
    assert (label[DOT] == 5).all()


def test_planes_have_pieces_too():
    flat = mask((slice(0, 3), slice(0, 3)), (slice(6, 7), slice(6, 7)), size=(8, 8, 1))
    found = cleaned(flat, Cleanup(largest=True), 1)
    assert found.sum() == 9


def test_layers_are_mended_each_by_its_own_rule():
    layers = np.stack([mask(LARGE, SMALL), mask(LARGE, SMALL)]).astype(np.int32)
    clean_layers(layers, {1: Cleanup(largest=True)}, 1)
    np.testing.assert_array_equal(layers[0], mask(LARGE, SMALL))
    np.testing.assert_array_equal(layers[1], mask(LARGE))


def test_rules_read_as_words():
    assert str(Cleanup(largest=True, fill=True)) == "largest piece, holes filled"
    assert str(Cleanup(least_mm3=12.5)) == "pieces from 12.5 mm3"
    assert str(Cleanup()) == "as it is"
