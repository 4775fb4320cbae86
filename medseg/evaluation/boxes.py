"""Where classes lie: what is scored of one class needs the voxels around it, not the whole scan."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Labels = npt.NDArray[np.integer]
Box = tuple[slice, ...]

_MOST_OBJECTS = 1 << 16  # finding objects takes a list this long


def class_boxes(label_maps: Sequence[Labels], values: Sequence[int]) -> list[Box]:
    """For each value the box around it in any of the maps, and one voxel more on each side.

    That voxel, where the image has one, keeps the surface inside the box what it is in the image.

    Args:
        label_maps: Of equal shape, (*size).
        values: Classes to look for.

    Returns:
        One slice per axis for each value; empty ones where no map holds it.
    """
    size = label_maps[0].shape
    plain = [value for value in values if 0 < value < _MOST_OBJECTS]
    found = [_objects(label_map, max(plain, default=1)) for label_map in label_maps]
    boxes: list[Box] = []
    for value in values:
        if 0 < value < _MOST_OBJECTS:
            ends = [objects[value - 1] for objects in found]
        else:
            masks = [(label_map == value).view(np.uint8) for label_map in label_maps]
            ends = [_objects(mask, 1)[0] for mask in masks]
        boxes.append(_around([box for box in ends if box is not None], size))
    return boxes


def mask_box(masks: Sequence[npt.NDArray[np.bool_]]) -> Box:
    """The same for masks of one class."""
    return class_boxes([mask.view(np.uint8) for mask in masks], (1,))[0]


def _objects(labels: Labels, largest: int) -> list[Box | None]:
    return list(ndimage.find_objects(labels, largest))


def _around(boxes: Sequence[Box], size: Sequence[int]) -> Box:
    if not boxes:
        return (slice(0, 0),) * len(size)
    return tuple(
        slice(max(min(part.start for part in parts) - 1, 0), max(part.stop for part in parts) + 1)
        for parts in zip(*boxes, strict=True)
    )
