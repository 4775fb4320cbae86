"""Whether voxels are those of a scan or of a label map, whatever the file's name says."""

from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

FEW_VALUES = 20
"""A label map may hold any number of values; up to so many, an image cannot be told from one."""
_MOST_VALUES = 1000
_SAME_NEIGHBOUR = 0.5
"""Share of voxels that equal their neighbour, the background apart: labels are of one piece."""
_SAMPLE = 1 << 22


def looks_like_image(values: npt.NDArray[Any]) -> bool:
    """Whether values are plainly intensities: many, and different from voxel to voxel.

    An atlas of hundreds of regions is a label map, since its regions are of one piece.

    Args:
        values: (*size), whole numbers or floats.
    """
    part = _middle(values)
    found, counts = np.unique(part, return_counts=True)
    if len(found) <= FEW_VALUES:
        return False
    if len(found) > _MOST_VALUES or (found != np.rint(found)).any():
        return True
    background = found[counts.argmax()]
    same, pairs = 0, 0
    for axis in range(part.ndim):
        length = part.shape[axis]
        one, other = (part.take(range(start, length - 1 + start), axis=axis) for start in (0, 1))
        counted = (one != background) | (other != background)
        same += int(np.count_nonzero((one == other) & counted))
        pairs += int(np.count_nonzero(counted))
    return same < _SAME_NEIGHBOUR * pairs


def looks_like_mask(values: npt.NDArray[Any], most: int = 8) -> bool:
    """Whether a scan's values are but a few whole numbers from 0 up, as those of a mask.

    Args:
        values: (*size).
        most: How many values a mask may have.
    """
    part = _middle(values)
    if part.min() != 0 or part.max() > np.iinfo(np.int32).max:
        return False
    found = np.unique(part)
    return 1 < len(found) <= most and bool((found == np.rint(found)).all())


def _middle(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """All of it, or as many slices about the middle as tell enough."""
    most = max(1, _SAMPLE // max(1, prod(values.shape[:-1])))
    start = max(0, (values.shape[-1] - most) // 2)
    return values[..., start : start + most]
