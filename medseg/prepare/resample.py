"""From a scan's spacing to the plan's."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from medseg.geometry import Size, Vector
from medseg.plan.plan import Normalisation
from medseg.prepare.intensity import Channel, Scaling, scaling
from medseg.sampling import resize_labels, resize_parts
from medseg.types import IGNORED

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


def normalised_slabs(
    channel: Channel, rule: Normalisation, size: Size, order: Size
) -> Iterator[tuple[slice, Channel]]:
    """Normalise one channel, (*spatial), then resize it against aliasing; slab by slab.

    In this order outliers are clipped before they can ring, and the background is still one value.

    Yields:
        Rows of the first axis, in order, and what lies there: (rows, *size[1:]).
    """
    read = partial(_normalised, channel, scaling(channel, rule))
    for rows, slab in resize_parts(read, (1, *channel.shape), size, order):
        yield rows, slab[0].numpy()


def _normalised(channel: Channel, rule: Scaling, rows: slice) -> torch.Tensor:
    """Rows of one channel; copied, since torch knows no reversed axes."""
    return rule.apply(torch.from_numpy(channel[rows].copy())[None])


def resample_layer(layer: npt.NDArray[np.uint8], size: Size, num_classes: int) -> npt.NDArray[Any]:
    """Resize class indices (*spatial); `IGNORED` is one like any other."""
    if layer.shape == size or not (layer == IGNORED).any():
        return resize_labels(torch.from_numpy(layer[None]), size, num_classes)[0].numpy()
    numbered = np.where(layer == IGNORED, num_classes, layer).astype(np.uint8)
    resized = resize_labels(torch.from_numpy(numbered[None]), size, num_classes + 1)[0].numpy()
    return np.where(resized == num_classes, IGNORED, resized).astype(np.uint8)
