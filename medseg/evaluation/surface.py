"""How far apart the surfaces of two masks are, in the unit of the spacing.

A surface voxel is one that face-connected erosion removes; what lies beyond the image counts as
outside. An axis of length 1 is not eroded along: a 2D image has an outline, not a front and a back.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

from medseg.evaluation.overlap import Mask

# Spacings come from 32-bit headers: a surface one tolerance away must not fail by the last bit.
_SLACK = 1 + 1e-5


class SurfaceScore(NamedTuple):
    """Distance between two surfaces.

    Attributes:
        hd95: The larger of the two directed 95th percentiles.
        surface_dice: Share of both surfaces that lies within the tolerance of the other, in [0, 1].
    """

    hd95: float
    surface_dice: float


class Part(NamedTuple):
    """A box of an image: its first voxel, and the size of the whole image."""

    start: tuple[int, ...]
    size: tuple[int, ...]


def surface_score(
    prediction: Mask,
    reference: Mask,
    spacing: Sequence[float],
    tolerance: float,
    part: Part | None = None,
) -> SurfaceScore | None:
    """Compare two surfaces.

    Args:
        prediction: Boolean, (*size).
        reference: Boolean, (*size).
        spacing: Distance between voxel centres per axis; both results are in its unit.
        tolerance: How far a surface voxel may be from the other surface and still count as right.
        part: Where the masks lie, if they are a box of an image that holds nothing outside of it
            and nothing on those of the box's sides that are not the image's.

    Returns:
        None where both masks are empty; where one is, the image's diagonal and 0.
    """
    start, size = part or Part((0,) * prediction.ndim, prediction.shape)
    here, there = prediction.any(), reference.any()
    if not here and not there:
        return None
    if not (here and there):
        return SurfaceScore(diagonal(size, spacing), 0.0)
    first = _positions(prediction, start, spacing)
    second = _positions(reference, start, spacing)
    # A tree costs memory by the surface, a distance map by the volume; and it is faster.
    to_reference = np.asarray(KDTree(second).query(first)[0])
    to_prediction = np.asarray(KDTree(first).query(second)[0])
    within = sum(
        int(np.count_nonzero(distances <= tolerance * _SLACK))
        for distances in (to_reference, to_prediction)
    )
    return SurfaceScore(
        hd95=float(max(np.percentile(to_reference, 95), np.percentile(to_prediction, 95))),
        surface_dice=within / (len(first) + len(second)),
    )


def surface(mask: Mask) -> Mask:
    """The voxels of `mask`, (*size), that face-connected erosion removes."""
    inner = mask.copy()
    axes = [axis for axis, length in enumerate(mask.shape) if length > 1]
    for axis in axes or range(mask.ndim):
        source, target = np.moveaxis(mask, axis, 0), np.moveaxis(inner, axis, 0)
        target[1:] &= source[:-1]
        target[:-1] &= source[1:]
        target[[0, -1]] = False
    return mask & ~inner


def diagonal(size: Sequence[int], spacing: Sequence[float]) -> float:
    """From corner to corner of the image; an axis of length 1 adds nothing."""
    edges = [n * step for n, step in zip(size, spacing, strict=True) if n > 1]
    return float(np.linalg.norm(edges))


def _positions(
    mask: Mask, start: Sequence[int], spacing: Sequence[float]
) -> npt.NDArray[np.float64]:
    return (np.argwhere(surface(mask)) + start) * np.asarray(spacing, dtype=np.float64)
