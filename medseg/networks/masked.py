"""An encoder that learns from scans alone: it sees them with parts masked, and restores those.

SimMIM, Xie et al. 2022, arXiv:2111.09886. Differs: any number of axes; the voxels themselves are
masked too, since the detail stem would otherwise look a voxel far into what is masked.
"""

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medseg.networks.encoders.pyramid import Pyramid
from medseg.networks.layers.nd import CONVOLUTIONS, channels_last
from medseg.networks.layers.windows import join_windows
from medseg.types import Images

MASK_RATIO = 0.6
_FEWEST_UNITS = 4


class Reconstruction(NamedTuple):
    """What a masked image was made into.

    Attributes:
        image: Restored, (batch, channels, *spatial).
        mask: (batch, 1, *spatial), true where the network did not see the image.
        target: The image itself.
    """

    image: Images
    mask: Tensor
    target: Images


def mask_unit(
    patch_size: Sequence[int], stem: Sequence[int], strides: Sequence[int]
) -> tuple[int, ...]:
    """Voxels of a masked box: the encoder's largest stride, less where few would fit an axis.

    Args:
        patch_size: Voxels per axis.
        stem: Stride of the encoder's first map, below which nothing can be masked.
        strides: Its largest stride per axis.
    """
    units: list[int] = []
    for length, least, unit in zip(patch_size, stem, strides, strict=True):
        while unit > least and length < _FEWEST_UNITS * unit:
            unit //= 2
        units.append(unit)
    return tuple(units)


class MaskedAutoencoder(nn.Module):
    """Detail stem and encoder of a segmenter, a mask token, and one layer back to voxels.

    Args:
        detail: The detail stem if the encoder reads it, else None.
        encoder: To be trained.
        channels: Of the image.
        unit: Voxels of a masked box per axis.
    Shape:
        image: (batch, channels, *spatial), axes divisible by the encoder's strides.
    """

    def __init__(
        self, detail: nn.Module | None, encoder: Pyramid, channels: int, unit: Sequence[int]
    ) -> None:
        super().__init__()
        self.detail = detail
        self.encoder = encoder
        self.unit = tuple(unit)
        self.box = encoder.strides[-1]
        self.token = nn.Parameter(torch.empty(encoder.out_channels[0]))
        nn.init.normal_(self.token, std=0.02)
        self.restore = CONVOLUTIONS[len(self.box)](
            encoder.out_channels[-1], channels * prod(self.box), 1
        )

    def training_output(self, x: Images) -> Reconstruction:
        """Mask at random, and restore."""
        return self(x, random_mask(x, self.unit))

    def forward(self, x: Images, mask: Tensor) -> Reconstruction:
        """Restore what a mask hides; mask: (batch, 1, *spatial)."""
        seen = channels_last(torch.where(mask, torch.zeros((), device=x.device, dtype=x.dtype), x))
        if self.detail is not None:
            seen = self.detail(seen)
        tokens = self.encoder.stem(seen)
        hidden = F.interpolate(mask.to(tokens.dtype), tokens.shape[2:], mode="nearest")
        token = self.token.view(-1, *([1] * (x.ndim - 2)))
        last = self.encoder.from_stem(tokens + hidden * (token - tokens))[-1]
        boxes = self.restore(last).movedim(1, -1).flatten(1, -2)
        boxes = boxes.unflatten(-1, (-1, prod(self.box))).transpose(-1, -2)
        image = join_windows(boxes, self.box, x.shape[2:]).movedim(-1, 1)
        return Reconstruction(image, mask, x)


def random_mask(x: Images, unit: Sequence[int]) -> Tensor:
    """Hide a share `MASK_RATIO` of the boxes of each item.

    Args:
        x: (batch, channels, *spatial).
        unit: Voxels of a box per axis.

    Returns:
        (batch, 1, *spatial), true where hidden.
    """
    counts = [-(-length // width) for length, width in zip(x.shape[2:], unit, strict=True)]
    hidden = round(MASK_RATIO * prod(counts))
    order = torch.rand(len(x), prod(counts), device=x.device).argsort(1)
    mask = (order < hidden).view(len(x), 1, *counts)
    for axis, width in enumerate(unit, start=2):
        mask = mask.repeat_interleave(width, axis)
    return mask[(..., *(slice(length) for length in x.shape[2:]))]


def masked_l1(output: Reconstruction) -> Tensor:
    """Mean absolute difference over the hidden voxels and channels."""
    difference = (output.image.float() - output.target.float()).abs() * output.mask
    return difference.sum() / (output.mask.sum() * output.target.shape[1])
