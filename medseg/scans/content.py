"""The box of a scan that matters: what its constant border surrounds."""

from typing import Any

import numpy as np
import numpy.typing as npt

from medseg.geometry import Size


def content_box(image: npt.NDArray[Any]) -> tuple[Size, Size]:
    """Find the box inside a border of exactly one value (padding, a masked-out outside).

    The border's value is what most corners of the scan hold, per channel. Only exact equality
    counts, so noise is never taken for padding. A scan that is constant throughout is all content.
    Plane by plane: nothing of the scan's size is made.

    Args:
        image: (channels, *size), three spatial axes.

    Returns:
        First voxel and size of the box, in array axes.
    """
    shape = image.shape[1:]
    corners = image[np.ix_(range(len(image)), *[(0, length - 1) for length in shape])]
    values, counts = np.unique(corners.reshape(len(image), -1), axis=1, return_counts=True)
    border = values[:, counts.argmax()]
    filled = tuple(np.zeros(length, dtype=bool) for length in shape)
    for channel, value in zip(image, border, strict=True):
        for index, plane in enumerate(channel):
            content = plane != value
            rows = content.any(axis=1)
            filled[0][index] |= rows.any()
            filled[1][...] |= rows
            filled[2][...] |= content.any(axis=0)
    if not filled[0].any():
        return (0, 0, 0), (shape[0], shape[1], shape[2])
    ends = [np.flatnonzero(axis)[[0, -1]].tolist() for axis in filled]
    (i, i_last), (j, j_last), (k, k_last) = ends
    return (i, j, k), (i_last - i + 1, j_last - j + 1, k_last - k + 1)
