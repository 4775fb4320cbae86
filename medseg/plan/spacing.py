"""Which spacing the cases get, and their size at it. Axes are volume axes; none is special."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from medseg.geometry import Size, Vector
from medseg.measure.facts import CaseFacts

AXES = "xyz"
"""Volume axes as the user writes them: left-right, back-front, down-up; of images across, down."""
THICK = 3.0
"""An axis is thick when its spacing is over so many times the others' (nnU-Net's figure)."""


def slice_axis(cases: Sequence[CaseFacts]) -> tuple[Literal[0, 1, 2], str]:
    """The axis that a 2D network walks: of one voxel, else the coarsest; if equal the last."""
    if all(case.flat for case in cases):
        return 2, "the cases are 2D images"
    sizes = np.median([case.size for case in cases], axis=0)
    spacing = np.median([case.spacing_mm for case in cases], axis=0)
    if (sizes == 1).any():
        return _axis(np.flatnonzero(sizes == 1)[-1]), "most cases have a single slice across it"
    coarsest = np.flatnonzero(spacing > 0.99 * spacing.max())
    reason = "its median spacing is the coarsest"
    if len(coarsest) > 1:
        shared = ", ".join(AXES[axis] for axis in coarsest)
        reason = f"axes {shared} share the coarsest median spacing; the last is taken"
    return _axis(coarsest[-1]), reason


def target_spacing(
    cases: Sequence[CaseFacts], asked: Vector | None, walked: int | None
) -> tuple[Vector, str]:
    """Target spacing per axis, in mm.

    The median; for a thick axis with few voxels the 10th percentile, but no finer than the others,
    so that thin-sliced cases keep what they have (nnU-Net, Isensee et al. 2021). Along the walked
    axis nothing is resampled: its median is only stated.
    """
    spacings = np.array([case.spacing_mm for case in cases])
    sizes = np.median([case.box_size for case in cases], axis=0)
    target = np.median(spacings, axis=0)
    reason = "median over the cases"
    coarsest = int(target.argmax())
    others = np.delete(target, coarsest)
    few = sizes[coarsest] < np.delete(sizes, coarsest).min() / 3
    if asked is not None:
        target, reason = np.array(asked), "set by you"
        if walked is not None:
            target[walked] = np.median(spacings[:, walked])
    elif target[coarsest] > THICK * others.max() and few and coarsest != walked:
        target[coarsest] = max(float(np.percentile(spacings[:, coarsest], 10)), others.max())
        reason += f"; axis {AXES[coarsest]} is thick and has few voxels: its 10th percentile"
    if walked is not None:
        reason += f"; axis {AXES[walked]} is walked slice by slice and keeps each case's spacing"
    first, second, third = (float(value) for value in target)
    return (first, second, third), reason


def image_orders(spacing_mm: Vector, walked: int | None) -> tuple[Size, str]:
    """Interpolation order per axis for images: cubic, linear across thick slices, 0 where walked.

    nnU-Net takes the nearest slice across thick ones, which duplicates them; cubic rings there.
    """
    orders = [3, 3, 3]
    reason = "cubic"
    for axis, spacing in enumerate(spacing_mm):
        if axis == walked:
            orders[axis] = 0
            reason += f"; axis {AXES[axis]} is not resampled"
        elif spacing > THICK * min(spacing_mm):
            orders[axis] = 1
            reason += f"; axis {AXES[axis]} is thick: linear; cubic rings, nearest duplicates"
    return (orders[0], orders[1], orders[2]), reason


def median_size(cases: Sequence[CaseFacts], spacing_mm: Vector, walked: int | None) -> Size:
    """Voxels per axis that the median case's content has at the target spacing."""
    sizes = np.array([case.box_size for case in cases], dtype=float)
    scales = np.array([case.spacing_mm for case in cases]) / np.array(spacing_mm)
    if walked is not None:
        scales[:, walked] = 1
    first, second, third = np.maximum(1, np.rint(np.median(np.rint(sizes * scales), axis=0)))
    return int(first), int(second), int(third)


def _axis(index: np.integer) -> Literal[0, 1, 2]:
    return (0, 1, 2)[int(index)]
