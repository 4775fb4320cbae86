"""MiniSeg over any number of spatial axes: under 100,000 parameters in 2D.

Qiu et al. 2021, arXiv:2004.09750. Without the auxiliary losses that the paper adds in training.
"""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from medseg.networks.layers.batch_norm import ConvNorm
from medseg.networks.layers.nd import CONVOLUTIONS
from medseg.networks.layers.repmlp_block import conv_norm
from medseg.sampling import upsample
from medseg.types import Images, Logits, Maps

_CHANNELS = (8, 24, 32, 64)
_DEPTHS = (2, 3, 8, 6)
_DILATIONS = (1, 2, 4, 8)


def _depthwise(
    channels: int, dim: int, kernel: int, stride: int = 1, dilation: int = 1
) -> nn.Conv2d | nn.Conv3d:
    return CONVOLUTIONS[dim](
        channels,
        channels,
        kernel,
        stride=stride,
        padding=dilation * (kernel // 2),
        dilation=dilation,
        groups=channels,
        bias=False,
    )


class Plain(nn.Sequential):
    """A convolution of width 3, batch normalisation, PReLU."""

    def __init__(self, in_channels: int, out_channels: int, dim: int, stride: int = 1) -> None:
        super().__init__(
            conv_norm(in_channels, out_channels, [3] * dim, [stride] * dim),
            nn.PReLU(out_channels),
        )


class Shortcut(nn.Sequential):
    """The light path that runs beside: a pointwise convolution and a depthwise one of width 5."""

    def __init__(self, in_channels: int, out_channels: int, dim: int, stride: int = 1) -> None:
        super().__init__(
            CONVOLUTIONS[dim](in_channels, out_channels, 1, bias=False),
            ConvNorm(_depthwise(out_channels, dim, 5, stride)),
            nn.PReLU(out_channels),
        )


class SpatialPyramid(nn.Module):
    """Attentive hierarchical spatial pyramid: four dilations, each on top of the finer ones.

    Args:
        in_channels: Of the input.
        out_channels: Of the output; divisible by 4.
        dim: Spatial axes.
        stride: Of the output.
    Shape:
        x: (batch, in_channels, *spatial) -> (batch, out_channels, *spatial / stride).
    """

    def __init__(self, in_channels: int, out_channels: int, dim: int, stride: int = 1) -> None:
        super().__init__()
        branches = len(_DILATIONS)
        width = out_channels // branches
        self.reduce = CONVOLUTIONS[dim](in_channels, width, 1, bias=False)
        self.branches = nn.ModuleList(
            _depthwise(width, dim, 3, stride, dilation) for dilation in _DILATIONS
        )
        self.pool = {2: nn.AvgPool2d, 3: nn.AvgPool3d}[dim](3, stride=stride)
        self.attention = CONVOLUTIONS[dim](out_channels, branches, 1, groups=branches, bias=False)
        self.fuse = ConvNorm(
            CONVOLUTIONS[dim](out_channels, out_channels, 1, groups=branches, bias=False)
        )
        self.activation = nn.PReLU(out_channels)

    def forward(self, x: Images) -> Maps:
        """Transform."""
        x = self.reduce(x)
        total = self.pool(F.pad(x, [1, 1] * (x.ndim - 2)))
        scales: list[Maps] = []
        for branch in self.branches:
            total = total + branch(x)
            scales.append(total)
        joined = torch.cat(scales, 1)
        weights = torch.sigmoid(self.attention(joined))
        weighted = joined.unflatten(1, (len(scales), -1)) * (1 + weights.unsqueeze(2))
        return self.activation(self.fuse(weighted.flatten(1, 2)))


class Level(nn.Module):
    """Blocks at one resolution, and a light path beside the first half of them.

    Args:
        in_channels: Of the level before.
        channels: Of this one.
        depth: Blocks after the one that halves the resolution.
        dim: Spatial axes.
        plain: Whether blocks are plain convolutions, as in the first level.
    Shape:
        x, beside: (batch, in_channels, *spatial) -> both (batch, channels, *spatial / 2).
    """

    def __init__(
        self, in_channels: int, channels: int, depth: int, dim: int, *, plain: bool
    ) -> None:
        super().__init__()
        block = Plain if plain else SpatialPyramid
        self.down = block(in_channels, channels, dim, stride=2)
        self.down_beside = Shortcut(in_channels, channels, dim, stride=2)
        self.blocks = nn.ModuleList(block(channels, channels, dim) for _ in range(depth))
        self.beside = nn.ModuleList(Shortcut(channels, channels, dim) for _ in range(depth // 2))

    def forward(self, x: Maps, beside: Maps) -> tuple[Maps, Maps]:
        """Transform both paths."""
        x, beside = self.down(x), self.down_beside(beside)
        for index, block in enumerate(self.blocks):
            both = x + beside
            x = block(both) + x
            if index < len(self.beside):
                beside = self.beside[index](both) + beside
        return x, beside


class Rise(nn.Module):
    """A coarser map, upsampled, joined with a finer one.

    Shape:
        coarse: (batch, coarse_channels, *spatial / 2), fine: (batch, channels, *spatial)
        -> as `fine`.
    """

    def __init__(self, coarse_channels: int, channels: int, dim: int) -> None:
        super().__init__()
        self.dim = dim
        pointwise = [1] * dim
        self.reduce = CONVOLUTIONS[dim](coarse_channels, channels, 1, bias=False)
        self.near = _depthwise(channels, dim, 3)
        self.far = _depthwise(channels, dim, 3, dilation=2)
        self.across = conv_norm(channels, channels, pointwise)
        self.activation = nn.PReLU(channels)

    def forward(self, coarse: Maps, fine: Maps) -> Maps:
        """Join."""
        x = self.reduce(upsample(coarse, [2] * self.dim))
        return self.activation(self.near(x) + self.far(x) + self.across(fine))


class MiniSeg(nn.Module):
    """Four levels down, with light paths beside them, and as many steps up.

    Args:
        dim: Spatial axes.
        in_channels: Of the image.
        num_outputs: Classes.
    Shape:
        x: (batch, in_channels, *spatial), axes divisible by 16 -> (batch, num_outputs, *spatial).
    """

    def __init__(self, dim: int, in_channels: int, num_outputs: int) -> None:
        super().__init__()
        self.dim = dim
        pointwise = [1] * dim
        self.levels = nn.ModuleList(
            Level(before, after, depth, dim, plain=before == in_channels and after == _CHANNELS[0])
            for (before, after), depth in zip(
                pairwise((in_channels, *_CHANNELS)), _DEPTHS, strict=True
            )
        )
        self.joins = nn.ModuleList(
            conv_norm(2 * width, 2 * width, pointwise) for width in _CHANNELS[:-1]
        )
        self.top = nn.Sequential(
            conv_norm(_CHANNELS[-1], _CHANNELS[-1], pointwise), nn.PReLU(_CHANNELS[-1])
        )
        self.rises = nn.ModuleList(
            Rise(coarse, fine, dim) for coarse, fine in pairwise(reversed(_CHANNELS))
        )
        self.last = CONVOLUTIONS[dim](_CHANNELS[0], num_outputs, 1)

    def forward(self, x: Images) -> Logits:
        """Segment."""
        beside = x
        maps: list[Maps] = []
        for number, level in enumerate(self.levels):
            if number:
                joined = self.joins[number - 1](torch.cat([beside, x], 1))
                left, right = joined.chunk(2, dim=1)
                beside, x = left + beside, right + x
            x, beside = level(x, beside)
            maps.append(x)
        x = self.top(x)
        for rise, fine in zip(self.rises, reversed(maps[:-1]), strict=True):
            x = rise(x, fine)
        return upsample(self.last(x), [2] * self.dim)
