"""What the readers of all formats give, and what they check before anything is allocated."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from medseg.errors import ScanError
from medseg.geometry import Geometry, Size

MAX_VALUES = 2**31
"""Voxels x channels that a header may announce: 8 GiB as float32, four whole-body CT scans.
More is refused before anything is allocated."""


class Voxels(NamedTuple):
    """What a file holds: values (channels, *size) in a type that keeps them exact; their grid."""

    values: npt.NDArray[Any]
    geometry: Geometry


class Header(NamedTuple):
    """What a file announces before a voxel is read.

    Attributes:
        geometry: The grid.
        channels: Values per voxel; 3 for a palette, which may turn out to be gray.
        plane: Whether it holds a plane, rather than a volume of one slice.
    """

    geometry: Geometry
    channels: int = 1
    plane: bool = False


class Segment(NamedTuple):
    """One class that a label file names itself.

    Attributes:
        name: What the file calls it.
        value: The value that its voxels have.
        layer: In which layer of the file.
    """

    name: str
    value: int
    layer: int = 0


def check_announced(name: str, shape: Sequence[int]) -> None:
    """Refuse what no scan can be. Python integers cannot overflow, whatever the header says.

    Raises:
        ScanError: If `shape` is of no values, or of more than `MAX_VALUES`.
    """
    count = 1
    for length in shape:
        count *= int(length)
    if min(shape, default=0) < 1 or count > MAX_VALUES:
        raise ScanError(
            name,
            f"its header announces {'x'.join(str(int(length)) for length in shape)} values, "
            f"between 1 and {MAX_VALUES} can be read",
            "export it again, or crop it",
        )


def placed_grid(
    name: str, size: Sequence[int], affine: npt.NDArray[np.float64], *, placed: bool = True
) -> Geometry:
    """The grid of a file that states a voxel-to-RAS matrix, in mm.

    Raises:
        ScanError: If the matrix puts voxels nowhere.
    """
    i, j, k = (int(length) for length in size)
    grid: Size = (i, j, k)
    try:
        return Geometry.from_affine(grid, affine, placed=placed)
    except ValueError as error:
        what = f"its header does not say where it lies ({error})"
        raise ScanError(name, what, "export it again") from error


def lps_grid(
    name: str,
    size: Sequence[int],
    axes: npt.NDArray[np.float64],
    origin: Sequence[float],
    *,
    placed: bool = True,
) -> Geometry:
    """The grid of a file that speaks of LPS, as ITK does, in mm; a plane gets a third axis.

    Args:
        name: The file's name, for messages.
        size: Two or three lengths.
        axes: Steps from voxel to voxel, one row per axis, of two or three coordinates.
        origin: Centre of the first voxel, in as many coordinates.
        placed: Whether the file states a position.

    Raises:
        ScanError: If voxels lie nowhere.
    """
    affine = np.eye(4)
    number, coordinates = axes.shape
    affine[:coordinates, :number] = axes.T
    affine[:coordinates, 3] = origin
    if number == 2 and coordinates == 3:
        normal = np.cross(axes[0], axes[1])
        length = float(np.linalg.norm(normal))
        affine[:3, 2] = normal / length if length else normal
    affine[:2] *= -1
    return placed_grid(name, (*size, 1)[:3], affine, placed=placed)
