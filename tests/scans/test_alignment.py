"""Position: exact where it is known, by index where one side has none, refused where in doubt."""

from dataclasses import replace

import numpy as np
import pytest

from medseg.errors import ScanError
from medseg.geometry import Geometry, Orientation
from medseg.scans.alignment import align, label_on
from medseg.scans.decode import Voxels
from tests.grids import SOME_ORIENTATIONS, grid

IMAGE = Geometry((24, 26, 20), (1.0, 1.2, 1.5), (-12.0, 20.0, -7.0))


def ball(size=IMAGE.size, centre=(9, 10, 8), radius=5.0) -> np.ndarray:
    places = np.moveaxis(np.indices(size), 0, -1) - np.array(centre)
    return ((places**2).sum(-1) < radius**2).astype(np.uint8) * 2


def refused(label: np.ndarray, source: Geometry, target: Geometry = IMAGE) -> str:
    with pytest.raises(ScanError) as caught:
        label_on("l.nii", label, source, target)
    assert caught.value.subject == "l.nii"
    assert caught.value.remedy
    return str(caught.value)


def test_a_shift_below_a_twentieth_of_a_voxel_is_nothing():
    near = replace(IMAGE, origin=(-12.001, 20.001, -7.0))
    label = ball()
    found, notes = label_on("l", label, near, IMAGE)
    assert found.base is label
    assert not notes


@pytest.mark.parametrize("orientation", SOME_ORIENTATIONS, ids=str)
@pytest.mark.parametrize("tilt", ["straight", "oblique"])
def test_a_crop_in_any_orientation_goes_exactly_to_its_place(orientation, tilt):
    target = grid(tilt=tilt, size=(12, 9, 7))
    whole = np.random.default_rng(0).integers(0, 90, target.size).astype(np.uint8)
    start, size = (2, 3, 1), (6, 5, 4)
    box = tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))
    part = target.cropped(start, size).reoriented(orientation)
    found, notes = label_on("l", orientation.apply(whole[box]), part, target)
    expected = np.zeros_like(whole)
    expected[box] = whole[box]
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.uint8
    assert "put in its place exactly" in notes[0].what


def test_what_a_larger_label_has_outside_is_cut_off_and_counted():
    label = np.ones((30, 26, 20), np.uint8)
    wider = replace(IMAGE, size=label.shape, origin=(-18.0, 20.0, -7.0))
    found, notes = label_on("l", label, wider, IMAGE)
    assert (found == 1).all()
    lost = 6 * 26 * 20
    assert notes[1].detail == f"{lost} of {label.size} marked voxels"


def test_a_label_cropped_to_what_it_marks_may_cover_little():
    small = IMAGE.cropped((5, 6, 4), (3, 3, 3))
    found, notes = label_on("l", np.full((3, 3, 3), 2, np.uint8), small, IMAGE)
    assert found.sum() == 54
    assert found[5:8, 6:9, 4:7].sum() == 54
    assert "covers 0%" in notes[0].detail


def test_a_label_of_the_whole_body_may_lie_outside_a_cropped_image():
    image = IMAGE.cropped((2, 2, 2), (6, 6, 6))
    found, notes = label_on("l", np.ones(IMAGE.size, np.uint8), IMAGE, image)
    assert (found == 1).all()
    assert len(notes) == 2


@pytest.mark.parametrize("silent", ["label", "image"])
def test_one_side_without_a_position_is_taken_by_index_and_said(silent):
    # Another frame on the side that states none: it is no more than a program's invention.
    unplaced = replace(IMAGE, origin=(0.0, 0.0, 0.0), direction=((-1, 0, 0), (0, 1, 0), (0, 0, 1)))
    unplaced = replace(unplaced, placed=False)
    label = ball()
    source, target = (unplaced, IMAGE) if silent == "label" else (IMAGE, unplaced)
    found, notes = label_on("l", label, source, target)
    np.testing.assert_array_equal(found, label)
    assert [note.what for note in notes] == [
        f"voxels are taken by index: {'it' if silent == 'label' else 'the first image'} "
        "states no position"
    ]
    assert label_on("l", label, unplaced, unplaced)[1] == []


def test_an_unstated_spacing_of_one_is_no_contradiction_but_another_is():
    unplaced = replace(IMAGE, placed=False, spacing_mm=(1.0, 1.0, 1.0))
    assert (label_on("l", ball(), unplaced, IMAGE)[0] == ball()).all()
    said = refused(ball(), replace(unplaced, spacing_mm=(1.0, 2.0, 1.5)))
    assert "1x2x1.5 mm, no position stated" in said
    assert "1x1.2x1.5 mm, origin (-12, 20, -7), axes RAS" in said


def test_without_a_position_and_of_another_size_is_refused_with_both():
    label = ball((12, 13, 10))
    said = refused(label, replace(IMAGE, size=label.shape, placed=False))
    assert "size 12x13x10 is not the first image's 24x26x20" in said
    assert "no position stated" in said


def test_the_same_size_and_spacing_far_away_is_refused_with_both_origins():
    """The frame that one program makes up beside the one of another."""
    invented = Geometry(
        IMAGE.size, IMAGE.spacing_mm, (11.5, -15.0, -14.25), ((-1, 0, 0), (0, 1, 0), (0, 0, 1))
    )
    said = refused(ball(), replace(IMAGE, origin=(0.0, 0.0, 0.0)), invented)
    assert "has the first image's size and spacing, but another position" in said
    assert "origin (0, 0, 0), axes RAS" in said
    assert "origin (11.5, -15, -14.25), axes LAS" in said


def test_the_same_size_and_spacing_a_little_away_is_moved_and_said_with_both():
    near = replace(IMAGE, origin=(-9.0, 20.0, -7.0))
    found, notes = label_on("l", ball(), near, IMAGE)
    np.testing.assert_array_equal(found[3:], ball()[:-3])
    assert "another position, and was moved by it" in notes[0].what
    assert "origin (-9, 20, -7)" in notes[0].detail


def test_a_label_that_the_identity_places_is_told_to_take_the_image_s_header():
    image = Geometry(IMAGE.size, (0.8, 0.8, 2.0), (-120.0, -100.0, 300.0))
    said = refused(ball(), Geometry(IMAGE.size), image)
    assert "it states no more than the identity" in said


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.0, 1.2, 1.5)])
def test_a_size_shared_with_the_identity_is_no_position_however_much_it_covers(spacing):
    """A program that knew no position wrote one side: to move by it would shift the label."""
    one = replace(IMAGE, spacing_mm=spacing, origin=(2.0, -3.0, 1.0))
    identity = Geometry(IMAGE.size)
    said = refused(ball(), identity, one)
    assert "has the first image's size" in said
    assert "it states no more than the identity: if both are one grid, copy" in said
    assert "the first image states no more than the identity" in refused(ball(), one, identity)
    turned = identity.reoriented(Orientation((0, 1, 2), (True, True, False)))
    found, _ = label_on("l", ball(), turned, identity)
    np.testing.assert_array_equal(found, ball()[::-1, ::-1])


def test_marks_that_mostly_lie_outside_are_refused_with_their_count():
    label = np.zeros((24, 26, 20), np.uint8)
    label[:6, :6, :6] = 1
    away = Geometry(label.shape, (1.1, 1.2, 1.5), (-31.0, 20.0, -7.0))
    said = refused(label, away)
    assert "216 of 216 marked voxels lie outside" in said


def test_turned_grids_of_equal_axes_show_their_directions():
    turned = grid(tilt="oblique", size=(20, 20, 20))
    far = replace(grid(size=(20, 20, 20)), origin=(400.0, 0.0, 0.0))
    with pytest.raises(ScanError, match="direction"):
        align("l", Voxels(np.ones((1, 20, 20, 20), np.uint8), turned), far, 0)


def test_pictures_beside_volumes_are_said():
    picture = Geometry((24, 26, 1), world=False)
    volume = Geometry((24, 26, 1), (0.5, 0.5, 3.0))
    label = np.ones((24, 26, 1), np.uint8)
    assert len(label_on("l", label, picture, volume)[1]) == 1
    assert label_on("l", label, picture, picture)[1] == []


def test_evaluation_may_name_what_it_aligns_to():
    _, notes = label_on("l", ball()[:, :, :10], IMAGE.cropped((0, 0, 0), (24, 26, 10)), IMAGE, "A")
    assert notes[0].what == "on a part of A's grid, put in its place exactly"
