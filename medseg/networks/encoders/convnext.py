"""ConvNeXt over any number of spatial axes. Liu et al. 2022, arXiv:2201.03545.

Differs: strides and kernels are set per axis, so that thin axes keep their few voxels. The small
sizes are ours: their layer scale starts at 1, because they are shallow and trained for minutes.
"""

from collections.abc import Sequence
from itertools import accumulate
from operator import mul
from typing import NamedTuple

from torch import nn

from medseg.networks.layers.convnext_block import ConvNeXtBlock
from medseg.networks.layers.nd import channels_last, patch_convolution
from medseg.networks.layers.norm import ChannelNorm
from medseg.types import Images, Maps


class ConvNeXtSize(NamedTuple):
    """What tells one ConvNeXt from another.

    Attributes:
        depths: Blocks per stage.
        channels: Channels of the first stage; each stage doubles them.
        expansion: Hidden channels of a block's pointwise layers, in multiples of its channels.
        scale: Start of the layer scale.
    """

    depths: tuple[int, ...]
    channels: int
    expansion: int = 4
    scale: float = 1e-6


SIZES = {
    "convnext_micro": ConvNeXtSize((1, 1, 2, 1), 32, expansion=2, scale=1.0),
    "convnext_mini": ConvNeXtSize((2, 2, 2, 2), 48, expansion=4, scale=1.0),
    "convnext_tiny": ConvNeXtSize((3, 3, 9, 3), 96),
    "convnext_small": ConvNeXtSize((3, 3, 27, 3), 96),
    "convnext_base": ConvNeXtSize((3, 3, 27, 3), 128),
    "convnext_large": ConvNeXtSize((3, 3, 27, 3), 192),
    "convnext_xlarge": ConvNeXtSize((3, 3, 27, 3), 256),
}


class ConvNeXt(nn.Module):
    """Image -> feature maps, finest first.

    Args:
        in_channels: Channels of the image.
        size: Depths and widths; stages beyond the plan's are left away.
        stem_strides: Stride of the stem per axis.
        stage_strides: Stride before each later stage, per axis.
        kernels: Depthwise kernel of each stage, per axis.
        drop_path: Rate of the last block; it grows linearly from 0 over the blocks.
    Shape:
        x: (batch, in_channels, *spatial), each axis divisible by its total stride
        -> per stage (batch, out_channels[stage], *spatial / strides[stage]).
    """

    def __init__(
        self,
        in_channels: int,
        size: ConvNeXtSize,
        stem_strides: Sequence[int],
        stage_strides: Sequence[Sequence[int]],
        kernels: Sequence[Sequence[int]],
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        steps = [tuple(stem_strides), *(tuple(strides) for strides in stage_strides)]
        self.strides = tuple(accumulate(steps, lambda a, b: tuple(map(mul, a, b))))
        self.out_channels = tuple(size.channels * 2**stage for stage in range(len(steps)))
        depths = size.depths[: len(steps)]
        last = max(sum(depths) - 1, 1)
        rates = iter(drop_path * block / last for block in range(sum(depths)))
        self.stem = nn.Sequential(
            patch_convolution(in_channels, size.channels, stem_strides), ChannelNorm(size.channels)
        )
        self.merges = nn.ModuleList(
            nn.Sequential(ChannelNorm(before), patch_convolution(before, after, strides))
            for before, after, strides in zip(
                self.out_channels[:-1], self.out_channels[1:], steps[1:], strict=True
            )
        )
        self.stages = nn.ModuleList(
            nn.Sequential(
                *(
                    ConvNeXtBlock(channels, kernel, next(rates), size.expansion, size.scale)
                    for _ in range(depth)
                )
            )
            for channels, kernel, depth in zip(self.out_channels, kernels, depths, strict=True)
        )

    def forward(self, x: Images) -> list[Maps]:
        """Encode."""
        x = self.stages[0](self.stem(channels_last(x)))
        maps = [x]
        for merge, stage in zip(self.merges, self.stages[1:], strict=True):
            x = stage(merge(x))
            maps.append(x)
        return maps
