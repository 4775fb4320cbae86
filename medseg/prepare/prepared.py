"""A case as the network sees it, and where it came from."""

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from medseg.geometry import Geometry, Orientation, Size


@dataclass(frozen=True)
class Placement:
    """How prepared voxels relate to the file's: orient, crop, resize.

    `restore.py` walks it backwards.

    Attributes:
        native: The file's grid.
        orientation: File's axes -> canonical axes.
        box_start: First voxel of the content box, in canonical axes.
        box_size: Voxels of the content box, in canonical axes at native spacing.
        size: Voxels of the prepared arrays.
    """

    native: Geometry
    orientation: Orientation
    box_start: Size
    box_size: Size
    size: Size


@dataclass(frozen=True)
class Prepared:
    """One normalised case.

    `image` is (channels, *size) float32, `label` (layers, *size) uint8 or None. Both may be
    memory-mapped and read-only.
    """

    name: str
    image: npt.NDArray[Any]
    label: npt.NDArray[Any] | None
    placement: Placement
