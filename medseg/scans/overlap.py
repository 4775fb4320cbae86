"""How much of one grid lies in another, and when that is too little to be believed."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from medseg.errors import ScanError
from medseg.geometry import Geometry
from medseg.scans.slabs import slabs

_ENOUGH = 0.5
"""Of the image's grid, or of what the label marks: one of the two must be shared so far. Of a
label with the image's size and spacing, which was drawn on it, the grid."""
_SAME_SPACING = 0.01
_ALL = 0.99
_SAMPLES = 40
"""Positions per axis: enough to tell a share to a few percent."""
_BORDER = 0.501
"""A grid ends half a voxel beyond its outermost centres."""


class Overlap(NamedTuple):
    """What one grid has of another.

    Attributes:
        covered: Share of the target's grid that the source covers.
        marked: Voxels of a label that are not 0; 0 for an image, which marks nothing.
        lost: Those of them that lie outside the target.
    """

    covered: float
    marked: int
    lost: int


def measure_overlap(label: npt.NDArray[Any] | None, source: Geometry, target: Geometry) -> Overlap:
    """Measure it.

    Args:
        label: Layers (layers, *source size); None for an image.
        source: The grid that is brought to the other.
        target: The other.
    """
    lines = [np.linspace(0, n - 1, min(n, _SAMPLES)) for n in target.size]
    points = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).reshape(-1, 3)
    covered = float(_within(source.to_voxel(target.to_world(points)), source).mean())
    if label is None:
        return Overlap(covered, 0, 0)
    ends = np.array(np.meshgrid(*[(0, length - 1) for length in source.size])).reshape(3, -1).T
    marked = int(np.count_nonzero(label))
    if marked == 0 or _within(target.to_voxel(source.to_world(ends)), target).all():
        return Overlap(covered, marked, 0)
    lost = 0
    for layer in label:
        for part in slabs(layer):
            first = [0 if axis.start is None else axis.start for axis in part]
            voxels = np.argwhere(layer[part]) + np.array(first)
            inside = _within(target.to_voxel(source.to_world(voxels)), target)
            lost += len(voxels) - int(np.count_nonzero(inside))
    return Overlap(covered, marked, lost)


def check_overlap(name: str, source: Geometry, target: Geometry, of: str, overlap: Overlap) -> None:
    """Refuse a label or a channel that can hardly belong to the image.

    A segmentation cropped to what it marks covers little of the image, but lies in it; one of a
    whole body covers a cropped image, but lies outside of it for the most part. Where neither holds
    one of the two states a wrong position.

    Raises:
        ScanError: With both grids.
    """
    covered, marked, lost = overlap
    inside = 1 - lost / marked if marked else 0.0
    grids = two_grids(source, target, of)
    if covered == 0 and inside == 0:
        what = f"does not overlap {of} in the world ({grids})"
    elif marked and max(covered, inside) < _ENOUGH:
        what = (
            f"hardly overlaps {of}: covers {covered:.0%} of it, and {lost} of {marked} marked "
            f"voxels lie outside ({grids})"
        )
    elif is_twin(source, target) and covered < _ENOUGH:
        what = (
            f"has {of}'s size and spacing, but another position: covers only {covered:.0%} of it "
            f"({grids})"
        )
    elif covered < _ALL and _without_a_header(source, target):
        what = f"has {of}'s size, but another position: covers {covered:.0%} of it ({grids})"
    else:
        return
    remedy = "check origin and direction of both"
    if _without_a_header(source, target):
        which, other = ("it", of) if _is_identity(source) else (of, "it")
        remedy = (
            f"{which} states no more than the identity: if both are one grid, copy the header of "
            f"{other}"
        )
    elif source.size == target.size:
        remedy += f"; if it was drawn on {of}, copy that header to it"
    raise ScanError(name, what, remedy)


def _without_a_header(source: Geometry, target: Geometry) -> bool:
    """Whether one of two equal sizes was saved by a program that was given no position."""
    return source.size == target.size and (_is_identity(source) or _is_identity(target))


def _is_identity(grid: Geometry) -> bool:
    return np.array_equal(np.abs(grid.affine), np.eye(4))


def two_grids(source: Geometry, target: Geometry, of: str) -> str:
    """Both grids, so that their difference shows."""
    turned = not np.allclose(source.direction, target.direction, atol=1e-3)
    in_full = turned and source.codes == target.codes
    return f"it: {_grid(source, in_full)}; {of}: {_grid(target, in_full)}"


def _grid(grid: Geometry, in_full: bool) -> str:
    size = "x".join(map(str, grid.size))
    if not grid.world:
        return f"{size} pixels without a position"
    spacing = "x".join(f"{step:.6g}" for step in grid.spacing_mm)
    if not grid.placed:
        return f"{size} voxels of {spacing} mm, no position stated"
    origin = ", ".join(f"{place + 0.0:.6g}" for place in grid.origin)
    rows = ", ".join("(" + ", ".join(f"{c:.3g}" for c in row) + ")" for row in grid.direction)
    axes = f"direction {rows}" if in_full else f"axes {grid.codes}"
    return f"{size} voxels of {spacing} mm, origin ({origin}), {axes}"


def is_twin(source: Geometry, target: Geometry) -> bool:
    """Whether both have the same size and spacing: turned axes have both in another order."""
    ours, theirs = (
        sorted(zip(grid.size, grid.spacing_mm, strict=True)) for grid in (source, target)
    )
    return [size for size, _ in ours] == [size for size, _ in theirs] and np.allclose(
        [mm for _, mm in ours], [mm for _, mm in theirs], rtol=_SAME_SPACING, atol=0
    )


def _within(voxels: npt.NDArray[np.float64], grid: Geometry) -> npt.NDArray[np.bool_]:
    """Which positions (points, 3) lie in the grid."""
    ends = np.array(grid.size) - 1 + _BORDER
    return np.all((voxels >= -_BORDER) & (voxels <= ends), axis=1)
