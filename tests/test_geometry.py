import numpy as np
import pytest

from medseg.geometry import Geometry
from tests.grids import ORIENTATIONS, TILTS, grid, random_label


@pytest.mark.parametrize("tilt", TILTS)
def test_affine_round_trip_with_shear(tilt: str):
    geometry = grid(tilt=tilt, shear=0.4)
    again = Geometry.from_affine(geometry.size, geometry.affine)
    np.testing.assert_allclose(again.affine, geometry.affine, rtol=1e-14, atol=1e-14)
    directions = np.array(again.direction)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=0), 1)
    assert abs(directions[:, 0] @ directions[:, 1]) > 0.1, "the shear is part of the direction"


@pytest.mark.parametrize("tilt", TILTS)
@pytest.mark.parametrize("orientation", ORIENTATIONS, ids=str)
def test_reorienting_moves_no_voxel_in_the_world(orientation, tilt):
    start = grid(tilt=tilt)
    label = random_label(start.size)
    moved = start.reoriented(orientation)
    voxels = np.argwhere(np.ones(moved.size, dtype=bool))
    there = np.rint(start.to_voxel(moved.to_world(voxels))).astype(int)
    np.testing.assert_array_equal(orientation.apply(label)[tuple(voxels.T)], label[tuple(there.T)])
    np.testing.assert_array_equal(orientation.undo(orientation.apply(label)), label)


@pytest.mark.parametrize("orientation", ORIENTATIONS, ids=str)
def test_canonical_undoes_any_orientation(orientation):
    start = grid(tilt="oblique")
    assert start.codes == "RAS"
    moved = start.reoriented(orientation)
    back = moved.reoriented(moved.to_canonical())
    assert back.codes == "RAS"
    assert back.size == start.size
    np.testing.assert_allclose(back.affine, start.affine, atol=1e-9)


def test_codes_name_where_axes_point():
    assert grid(ORIENTATIONS[0]).codes == "RAS"
    assert Geometry((1, 1, 1), direction=((-1, 0, 0), (0, -1, 0), (0, 0, 1))).codes == "LPS"
    assert Geometry((1, 1, 1), direction=((0, 0, 1), (1, 0, 0), (0, -1, 0))).codes == "AIR"
    assert len({grid(orientation, "oblique").codes for orientation in ORIENTATIONS}) == 48


def test_a_file_without_world_frame_keeps_its_pixel_order():
    flipped = Geometry((3, 2, 1), direction=((-1, 0, 0), (0, 0, 1), (0, 1, 0)), world=False)
    image = random_label(flipped.size)
    assert flipped.to_canonical().apply(image).tolist() == image.tolist()


def test_cropping_keeps_places():
    start = grid(tilt="oblique")
    box = start.cropped((2, 1, 1), (2, 3, 1))
    np.testing.assert_allclose(box.to_world([1, 2, 0]), start.to_world([3, 3, 1]))


@pytest.mark.parametrize("size", [(10, 2, 9), (1, 1, 1), (7, 4, 3)])
def test_resizing_keeps_the_field_of_view(size):
    start = grid(tilt="oblique")
    other = start.resized(size)
    for edge in (0.0, 1.0):
        np.testing.assert_allclose(
            other.to_world(edge * np.array(other.size) - 0.5),
            start.to_world(edge * np.array(start.size) - 0.5),
        )


def test_same_grid_is_about_places_of_voxels():
    start = grid(tilt="oblique")
    assert start.same_grid(start)
    shift = start.to_world([0.04, 0, 0])
    assert start.same_grid(Geometry(start.size, start.spacing_mm, tuple(shift), start.direction))
    shift = start.to_world([0.06, 0, 0])
    assert not start.same_grid(
        Geometry(start.size, start.spacing_mm, tuple(shift), start.direction)
    )
    assert not start.same_grid(start.cropped((0, 0, 0), (5, 4, 2)))
    assert not start.same_grid(Geometry(start.size))
    assert start.same_grid(Geometry(start.size, world=False)), "only the size can be compared"


def test_itk_sees_both_first_axes_turned():
    geometry = Geometry((1, 1, 1), origin=(1.0, 2.0, 3.0))
    assert geometry.lps_origin == (-1.0, -2.0, 3.0)
    assert geometry.lps_direction == ((-1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0))


@pytest.mark.parametrize(
    "broken", [np.zeros((4, 4)), np.diag([1, 1, 0, 1]), np.full((4, 4), np.nan)]
)
def test_an_affine_that_is_no_grid_is_refused(broken):
    with pytest.raises(ValueError, match="finite and invertible"):
        Geometry.from_affine((1, 1, 1), broken)


def test_parallel_axes_are_refused_and_nanometre_voxels_are_not():
    for between in (0.0, 1e-8):
        parallel = np.eye(4)
        parallel[:2, 1] = 1.0, between
        with pytest.raises(ValueError, match="invertible"):
            Geometry.from_affine((1, 1, 1), parallel)
    assert Geometry.from_affine((1, 1, 1), np.diag([1e-6, 1e-6, 1e-6, 1])).spacing_mm[0] == 1e-6


def test_the_affine_cannot_be_changed_by_accident():
    with pytest.raises(ValueError, match="read-only"):
        grid().affine[0, 0] = 5
