"""The box of a scan that matters: what its constant border surrounds.

It is the same in training and in prediction, which has no label to go by: where a label reaches
into the border, the box does not grow, and the user is told how much of it cannot be learnt.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from medseg.geometry import Size
from medseg.scans.slabs import slabs


def content_box(image: npt.NDArray[Any]) -> tuple[Size, Size]:
    """Find the box inside a border of exactly one value (padding, a masked-out outside).

    The border's value is what most corners of the scan hold, per channel. Only exact equality
    counts, so noise is never taken for padding. A scan that is constant throughout is all content.

    Args:
        image: (channels, *size), three spatial axes.

    Returns:
        First voxel and size of the box, in array axes.
    """
    shape = image.shape[1:]
    corners = image[np.ix_(range(len(image)), *[(0, length - 1) for length in shape])]
    values, counts = np.unique(corners.reshape(len(image), -1), axis=1, return_counts=True)
    border = values[:, counts.argmax()]
    filled = [np.zeros(length, dtype=bool) for length in shape]
    for channel, value in zip(image, border, strict=True):
        for part in slabs(channel):
            content = channel[part] != value
            for axis in range(3):
                others = tuple(other for other in range(3) if other != axis)
                filled[axis][part[axis]] |= content.any(axis=others)
    if not filled[0].any():
        return (0, 0, 0), (shape[0], shape[1], shape[2])
    start, stop = [0, 0, 0], [0, 0, 0]
    for axis in range(3):
        found = np.flatnonzero(filled[axis])
        start[axis], stop[axis] = int(found[0]), int(found[-1]) + 1
    size = (stop[0] - start[0], stop[1] - start[1], stop[2] - start[2])
    return (start[0], start[1], start[2]), size
