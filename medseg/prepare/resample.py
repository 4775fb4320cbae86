"""From a scan's spacing to the plan's."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from medseg.geometry import Size, Vector
from medseg.sampling import resize, resize_labels

_SAME_SPACING = 0.01


def resampled_size(
    size: Size, spacing_mm: Vector, target_mm: Vector, slice_axis: int | None
) -> Size:
    """Voxels that cover the same field of view at the target spacing; at least one per axis.

    Spacings within 1 % of each other are the same: interpolating would only blur. Slices are never
    invented or merged: the slice axis keeps its size.
    """
    lengths = [
        length
        if axis == slice_axis or abs(spacing / target - 1) < _SAME_SPACING
        else max(1, round(length * spacing / target))
        for axis, (length, spacing, target) in enumerate(
            zip(size, spacing_mm, target_mm, strict=True)
        )
    ]
    return lengths[0], lengths[1], lengths[2]


def resample_image(
    image: npt.NDArray[np.float32], size: Size, orders: Size
) -> npt.NDArray[np.float32]:
    """Resize (channels, *spatial), against aliasing where it shrinks."""
    return resize(torch.from_numpy(image), size, orders).numpy()


def resample_label(label: npt.NDArray[np.uint8], size: Size, num_classes: int) -> npt.NDArray[Any]:
    """Resize class indices (layers, *spatial)."""
    return resize_labels(torch.from_numpy(label), size, num_classes).numpy()
