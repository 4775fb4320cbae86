"""Labels on another grid: the nearest voxel, and a vote where several are equally near."""

from itertools import product
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from medseg.geometry import Size

_TIE = 1e-3
"""Positions this close to midway, as a share of a voxel, are midway: headers are rounded."""
_ALONG = 1e-4
"""Voxels that an axis may stray from the source's and still run along it."""


class _Steps(NamedTuple):
    """Along one axis of the source: the voxels on either side of each position, and where tied."""

    below: npt.NDArray[np.intp]
    above: npt.NDArray[np.intp]


def resample_label(
    label: npt.NDArray[Any], matrix: npt.NDArray[np.float64], size: Size
) -> npt.NDArray[Any]:
    """Sample a label map at the voxels of another grid; 0 outside.

    Between grids of which one is twice as fine, every other voxel lies midway between two. Always
    taking the same of them moves every edge by half a voxel. There the two, four or eight vote:
    for a class if half of them are of any, and then for the most frequent.

    Args:
        label: (*source size), whole numbers.
        matrix: 4x4, from voxels of the target to those of the source.
        size: Of the target.
    """
    turn = matrix[:3, :3]
    axes = np.abs(turn).argmax(1)
    others = np.abs(turn).sum(1) - np.abs(turn).max(1)
    if sorted(axes) != [0, 1, 2] or (others * max(size) > _ALONG).any():
        offset = matrix[:3, 3]
        return ndimage.affine_transform(
            label, turn, offset, output_shape=size, order=0, mode="grid-constant", cval=0
        )
    steps = [
        _steps(turn[axis, other] * np.arange(size[other]) + matrix[axis, 3])
        for axis, other in enumerate(axes)
    ]
    choices = [
        (step.above,) if np.array_equal(*step) else (step.above, step.below) for step in steps
    ]
    back = np.argsort(axes)
    first, *rest = product(*choices)
    found = np.ascontiguousarray(_at(label, first).transpose(back))
    differs = np.zeros(size, dtype=bool)
    for indices in rest:  # twice, as all of them at once would take eight times the memory
        differs |= _at(label, indices).transpose(back) != found
    if differs.any():
        votes = [_at(label, indices).transpose(back)[differs] for indices in (first, *rest)]
        found[differs] = _elected(np.stack(votes))
    return found


def _steps(positions: npt.NDArray[np.float64]) -> _Steps:
    above = np.floor(positions + 0.5 + _TIE).astype(np.intp)
    below = np.ceil(positions - 0.5 - _TIE).astype(np.intp)
    return _Steps(np.minimum(below, above), np.maximum(below, above))


def _at(label: npt.NDArray[Any], indices: tuple[npt.NDArray[np.intp], ...]) -> npt.NDArray[Any]:
    """Values at a grid of indices, 0 where one lies outside."""
    clipped = [
        index.clip(0, length - 1) for index, length in zip(indices, label.shape, strict=True)
    ]
    found = label[np.ix_(*clipped)]
    for axis, (index, kept) in enumerate(zip(indices, clipped, strict=True)):
        np.moveaxis(found, axis, 0)[index != kept] = 0
    return found


def _elected(votes: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The winner of each column of (votes, voxels)."""
    counts = np.stack([(votes == one).sum(0) * (one != 0) for one in votes])
    winners = votes[counts.argmax(0), np.arange(votes.shape[1])]
    return np.where(2 * (votes != 0).sum(0) >= len(votes), winners, np.zeros_like(winners))
