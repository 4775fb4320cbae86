"""The box of a scan that matters: what its constant border surrounds."""

from typing import Any

import numpy as np
import numpy.typing as npt

from medseg.geometry import Size


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
    content = np.zeros(shape, dtype=bool)
    for channel, value in zip(image, border, strict=True):
        content |= channel != value
    if not content.any():
        content[...] = True
    start, stop = [0, 0, 0], [0, 0, 0]
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        filled = np.flatnonzero(content.any(axis=others))
        start[axis], stop[axis] = int(filled[0]), int(filled[-1]) + 1
    size = (stop[0] - start[0], stop[1] - start[1], stop[2] - start[2])
    return (start[0], start[1], start[2]), size
