"""Where a scan's voxels are in the world: the only place that knows RAS from LPS.

World positions are millimetres in RAS (x to the patient's right, y to the front, z up), as in
NIfTI; `lps_*` give ITK's view of the same grid. Voxel positions are indices, whole at voxel
centres.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import permutations
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
AnyArray = TypeVar("AnyArray")
Size = tuple[int, int, int]
Vector = tuple[float, float, float]
Matrix = tuple[Vector, Vector, Vector]

_LETTERS = (("L", "R"), ("P", "A"), ("I", "S"))
_LPS = np.diag([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Orientation:
    """A rearrangement of the three spatial axes.

    New axis `a` is old axis `order[a]`, reversed where `flips[a]`.
    """

    order: Size
    flips: tuple[bool, bool, bool]

    def apply(self, array: Array) -> Array:
        """Rearrange the last three axes (a view)."""
        lead = array.ndim - 3
        moved = array.transpose(*range(lead), *(lead + axis for axis in self.order))
        return moved[(..., *(slice(None, None, -1 if flip else None) for flip in self.flips))]

    def undo(self, array: Array) -> Array:
        """The inverse of `apply` (a view)."""
        lead = array.ndim - 3
        moved = array[(..., *(slice(None, None, -1 if flip else None) for flip in self.flips))]
        return moved.transpose(*range(lead), *(lead + int(axis) for axis in np.argsort(self.order)))


@dataclass(frozen=True)
class Geometry:
    """The grid of a scan. A 2D image is a grid of one slice.

    Attributes:
        size: Voxels per axis.
        spacing_mm: Distance between voxel centres per axis; 1 where the file has no unit.
        origin: World position (RAS, mm) of the centre of voxel (0, 0, 0).
        direction: Rows of the 3x3 matrix whose columns are the axes' unit directions in RAS.
        world: False for files without a world frame (PNG, JPEG, TIFF).
        placed: False where a file of a format with a world frame does not state its position (a
            NIfTI with both codes 0, Analyze): sizes and spacing hold, origin and direction are no
            more than what ITK makes of it, and voxels of an equal grid belong together by index.
    """

    size: Size
    spacing_mm: Vector = (1.0, 1.0, 1.0)
    origin: Vector = (0.0, 0.0, 0.0)
    direction: Matrix = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    world: bool = True
    placed: bool = True

    @classmethod
    def from_affine(
        cls, size: Size, affine: Array, *, world: bool = True, placed: bool = True
    ) -> "Geometry":
        """From a 4x4 voxel-to-RAS matrix.

        Raises:
            ValueError: If the matrix is singular or not finite.
        """
        matrix = np.asarray(affine, dtype=np.float64)
        spacing = np.linalg.norm(matrix[:3, :3], axis=0)
        if np.isfinite(matrix).all() and spacing.all():
            direction = matrix[:3, :3] / spacing
            # Of the unit directions, not of the matrix: micrometre voxels are tiny, not singular.
            if abs(np.linalg.det(direction)) > 1e-6:
                origin = _vector(matrix[:3, 3])
                return cls(size, _vector(spacing), origin, _matrix(direction), world, placed)
        raise ValueError(f"affine must be finite and invertible, got {matrix.tolist()}")

    @classmethod
    def from_lps(cls, size: Size, affine: Array) -> "Geometry":
        """From a 4x4 voxel-to-LPS matrix, as DICOM and ITK have it.

        Raises:
            ValueError: If the matrix is singular or not finite.
        """
        return cls.from_affine(size, np.diag([*np.diag(_LPS), 1.0]) @ np.asarray(affine))

    @cached_property
    def affine(self) -> npt.NDArray[np.float64]:
        """The 4x4 voxel-to-RAS matrix."""
        affine = np.eye(4)
        affine[:3, :3] = np.array(self.direction) * np.array(self.spacing_mm)
        affine[:3, 3] = self.origin
        affine.flags.writeable = False  # it is computed once and shared
        return affine

    @property
    def lps_origin(self) -> Vector:
        """Origin as ITK has it."""
        return _vector(_LPS @ np.array(self.origin))

    @property
    def lps_direction(self) -> Matrix:
        """Direction as ITK has it."""
        return _matrix(_LPS @ np.array(self.direction))

    @property
    def codes(self) -> str:
        """Where each axis points to, such as 'RAS'."""
        letters = ["", "", ""]
        for axis, world_axis in enumerate(_nearest_axes(np.array(self.direction))):
            letters[axis] = _LETTERS[world_axis][int(self.direction[world_axis][axis] > 0)]
        return "".join(letters)

    def to_world(self, voxels: Array) -> npt.NDArray[np.float64]:
        """Voxel positions (..., 3) to RAS mm."""
        return np.asarray(voxels) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def to_voxel(self, points: Array) -> npt.NDArray[np.float64]:
        """RAS mm positions (..., 3) to voxel positions."""
        return (np.asarray(points) - self.affine[:3, 3]) @ np.linalg.inv(self.affine[:3, :3]).T

    def to_canonical(self) -> Orientation:
        """What brings the axes closest to RAS; nothing for a file without a world frame."""
        if not self.world:
            return Orientation((0, 1, 2), (False, False, False))
        world_axes = _nearest_axes(np.array(self.direction))
        order = tuple(int(axis) for axis in np.argsort(world_axes))
        flips = tuple(bool(self.direction[world][axis] < 0) for world, axis in enumerate(order))
        return Orientation((order[0], order[1], order[2]), (flips[0], flips[1], flips[2]))

    def reoriented(self, orientation: Orientation) -> "Geometry":
        """The grid after `orientation.apply`: the same voxels at the same places."""
        order = list(orientation.order)
        flips = np.array(orientation.flips)
        size = np.array(self.size)[order]
        corner = np.zeros(3)
        corner[order] = np.where(flips, size - 1, 0)
        direction = np.array(self.direction)[:, order] * np.where(flips, -1.0, 1.0)
        spacing = np.array(self.spacing_mm)[order]
        return Geometry(
            _size(size),
            _vector(spacing),
            _vector(self.to_world(corner)),
            _matrix(direction),
            self.world,
            self.placed,
        )

    def cropped(self, start: Size, size: Size) -> "Geometry":
        """The grid of a box that starts at voxel `start`."""
        origin = _vector(self.to_world(np.array(start)))
        return replace(self, size=size, origin=origin)

    def resized(self, size: Size) -> "Geometry":
        """The same field of view, edge to edge, in another number of voxels."""
        spacing = np.array(self.spacing_mm) * np.array(self.size) / np.array(size)
        first = (np.array(self.size) / np.array(size) - 1) / 2
        origin = _vector(self.to_world(first))
        return replace(self, size=size, spacing_mm=_vector(spacing), origin=origin)

    def same_grid(self, other: "Geometry", tolerance_voxels: float = 0.05) -> bool:
        """Whether both put every voxel at the same place, up to a share of a voxel.

        Without a world frame on either side, a place is a voxel's index: equal sizes are enough.
        """
        if self.size != other.size:
            return False
        if not (self.world and other.world):
            return True
        corners = np.array(np.meshgrid(*[(0, length - 1) for length in self.size])).reshape(3, -1).T
        shift = other.to_voxel(self.to_world(corners)) - corners
        return bool(np.abs(shift).max() <= tolerance_voxels)


def _nearest_axes(direction: Array) -> Size:
    """For each axis, the world axis it runs along: the assignment of largest total |cosine|."""
    cosines = np.abs(direction)
    best = max(
        permutations(range(3)),
        key=lambda p: sum(cosines[world, axis] for axis, world in enumerate(p)),
    )
    return _size(np.array(best))


def _size(values: Array) -> Size:
    a, b, c = (int(value) for value in values)
    return a, b, c


def _vector(values: Array) -> Vector:
    a, b, c = (float(value) for value in values)
    return a, b, c


def _matrix(values: Array) -> Matrix:
    a, b, c = (_vector(row) for row in values)
    return a, b, c
