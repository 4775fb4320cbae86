"""Brings voxels of one grid onto another, by where they are in the world.

What is known exactly is moved exactly; what is in doubt is refused with both grids in the message,
never guessed.
"""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from medseg.errors import ScanError
from medseg.geometry import Geometry, Orientation, Size
from medseg.scans.decode import Voxels
from medseg.scans.notes import Note
from medseg.scans.overlap import Overlap, check_overlap, is_twin, measure_overlap, two_grids
from medseg.scans.votes import resample_label

_TIE = 1e-6
"""Positions move by this share of a voxel: ties between two voxels all fall to the same side."""
_SAME_PLACE = 0.05
"""Voxels this near to each other, in voxels, are at the same place (`Geometry.same_grid`)."""
_SAME_SPACING = 0.01
_ALL = 0.99

FIRST_IMAGE = "the first image"


def align(
    name: str, voxels: Voxels, target: Geometry, order: Literal[0, 1], of: str = FIRST_IMAGE
) -> tuple[npt.NDArray[Any], list[Note]]:
    """The values on `target`'s grid: as they are, moved voxel by voxel, or else resampled.

    Args:
        name: The file's name, for messages.
        voxels: Values (channels, *size) and their grid.
        target: The grid to bring them to.
        order: 0 for labels (`resample_label`; 0 outside), 1 linear (images; their minimum outside).
        of: What has that grid, for messages.

    Returns:
        (channels, *target size), and what the user should know.

    Raises:
        ScanError: If the grids hardly overlap, or their position is not known and they differ.
    """
    values, source = voxels.values, voxels.geometry
    if not (_stated(source) and _stated(target)):
        return values, _by_index(name, source, target, of)
    if target.same_grid(source):
        return values, []
    overlap = measure_overlap(values if order == 0 else None, source, target)
    check_overlap(name, source, target, of, overlap)
    steps = _whole_steps(source, target)
    if steps is None:
        moved = _resample(values, source, target, order)
        how = "nearest neighbour" if order == 0 else "linear"
        what = f"on another grid than {of}, resampled ({how})"
    else:
        moved = _moved(values, target.size, *steps, order)
        turned = steps[0] != _AS_IT_IS
        what = f"its axes are turned against {of}'s" if turned else f"on a part of {of}'s grid"
        what += ", put in its place exactly"
    notes = [Note(name, what, _grids_and_cover(source, target, overlap))]
    if order == 0 and overlap.covered < _ALL and is_twin(source, target):
        what = f"has the size and spacing of {of}, but another position, and was moved by it"
        notes = [
            Note(
                name,
                f"{what}; if it was drawn on it, copy its header",
                two_grids(source, target, of),
            )
        ]
    if overlap.lost:
        lost = f"{overlap.lost} of {overlap.marked} marked voxels"
        notes.append(Note(name, f"label voxels outside {of} are cut off", lost))
    return moved, notes


def label_on(
    name: str, label: npt.NDArray[Any], grid: Geometry, target: Geometry, of: str = FIRST_IMAGE
) -> tuple[npt.NDArray[Any], list[Note]]:
    """`align` for one label map, (*size): what training does, for whoever compares labels.

    Raises:
        ScanError: As `align`.
    """
    moved, notes = align(name, Voxels(label[None], grid), target, 0, of)
    return moved[0], notes


_AS_IT_IS = Orientation((0, 1, 2), (False, False, False))


def _stated(grid: Geometry) -> bool:
    return grid.world and grid.placed


def _by_index(name: str, source: Geometry, target: Geometry, of: str) -> list[Note]:
    """Whether voxels may be taken index by index, where a position is not known.

    A spacing of 1 everywhere is what programs write that know none.
    """
    who = "neither states" if _stated(source) == _stated(target) else "only one states"
    if source.size != target.size:
        raise ScanError(
            name,
            f"size {_by(source.size)} is not {of}'s {_by(target.size)}, and {who} a position "
            f"that tells how they lie ({two_grids(source, target, of)})",
            "give both the same size, or save both as .nii.gz with their position",
        )
    if not (source.world and target.world):
        if source.world == target.world:
            return []
        return [Note(name, f"voxels are taken by index: {who} a position (it or {of})")]
    known = [grid for grid in (source, target) if grid.placed or set(grid.spacing_mm) != {1.0}]
    if len(known) == 2 and not np.allclose(
        source.spacing_mm, target.spacing_mm, rtol=_SAME_SPACING, atol=0
    ):
        raise ScanError(
            name,
            f"its spacing is not {of}'s, and {who} a position that tells how they lie "
            f"({two_grids(source, target, of)})",
            "copy the header of the one to the other, if they were drawn on each other",
        )
    if source.placed == target.placed:
        return []
    silent = "it" if target.placed else of
    return [Note(name, f"voxels are taken by index: {silent} states no position")]


def _whole_steps(source: Geometry, target: Geometry) -> tuple[Orientation, Size] | None:
    """The turn and the first voxel in the target, where every voxel falls upon one of its own."""
    matrix = np.linalg.inv(target.affine) @ source.affine  # source voxel -> target voxel
    whole = np.rint(matrix)
    turn = np.abs(whole[:3, :3])
    if not ((turn.sum(axis=0) == 1).all() and (turn.sum(axis=1) == 1).all()):
        return None
    ends = np.array(np.meshgrid(*[(0, length - 1) for length in source.size])).reshape(3, -1)
    off = (matrix - whole)[:3] @ np.vstack([ends, np.ones(ends.shape[1])])
    if np.abs(off).max() > _SAME_PLACE:
        return None
    axes = [int(axis) for axis in turn.argmax(axis=1)]  # target axis -> source axis
    flips = [bool(whole[axis, axes[axis]] < 0) for axis in range(3)]
    order = Orientation((axes[0], axes[1], axes[2]), (flips[0], flips[1], flips[2]))
    first = np.rint(target.to_voxel(source.reoriented(order).to_world(np.zeros(3))))
    return order, (int(first[0]), int(first[1]), int(first[2]))


def _moved(
    values: npt.NDArray[Any],
    size: Size,
    turn: Orientation,
    first: Size,
    order: Literal[0, 1],
) -> npt.NDArray[Any]:
    """Turn, then cut and pad; a view where only the axes differ."""
    turned = turn.apply(values)
    if turned.shape[1:] == size and first == (0, 0, 0):
        return turned
    out = np.empty((len(values), *size), dtype=values.dtype)
    here, there = [], []
    for start, length, own in zip(first, size, turned.shape[1:], strict=True):
        low, high = max(start, 0), min(start + own, length)
        there.append(slice(low, high))
        here.append(slice(low - start, high - start))
    for channel, result in zip(turned, out, strict=True):
        result[...] = _outside(channel, order)
        result[tuple(there)] = channel[tuple(here)]
    return out


def _resample(
    values: npt.NDArray[Any], source: Geometry, target: Geometry, order: Literal[0, 1]
) -> npt.NDArray[Any]:
    """For each target voxel the source at the same place, channel by channel."""
    matrix = np.linalg.inv(source.affine) @ target.affine
    if order == 0:
        layers = [resample_label(layer, matrix, target.size) for layer in values]
        return np.stack(layers) if len(layers) > 1 else layers[0][None]
    out = np.empty((len(values), *target.size), dtype=values.dtype)
    for channel, result in zip(values, out, strict=True):
        ndimage.affine_transform(
            channel,
            matrix[:3, :3],
            matrix[:3, 3] + _TIE,
            output_shape=target.size,
            output=result,
            order=order,
            mode="grid-constant",  # unlike "constant" it keeps the outer half of border voxels
            cval=_outside(channel, order),
        )
    return out


def _outside(channel: npt.NDArray[Any], order: Literal[0, 1]) -> float:
    return 0 if order == 0 else float(channel.min())


def _grids_and_cover(source: Geometry, target: Geometry, overlap: Overlap) -> str:
    return (
        f"{_by(source.size)} voxels, {source.codes}, against {_by(target.size)}, {target.codes}; "
        f"covers {overlap.covered:.0%} of it"
    )


def _by(size: tuple[int, ...]) -> str:
    return "x".join(map(str, size))
