"""Cut a volume down to the box that holds anything."""

from typing import Any

import numpy.typing as npt

from medseg.geometry import Size


def crop(array: npt.NDArray[Any], start: Size, size: Size) -> npt.NDArray[Any]:
    """The box of `size` voxels from voxel `start` of the last three axes (a view)."""
    i, j, k = (slice(first, first + length) for first, length in zip(start, size, strict=True))
    return array[..., i, j, k]
