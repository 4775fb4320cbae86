"""ConvNeXt over any number of spatial axes. Liu et al. 2022, arXiv:2201.03545.

Differs: strides and kernels are set per axis, so that thin axes keep their few voxels. The small
sizes are ours: their layer scale starts at 1, because they are shallow and trained for minutes.
"""

from typing import NamedTuple

from medseg.networks.encoders.pyramid import (
    Levels,
    Pyramid,
    Savers,
    convolutional_steps,
    drop_path_rates,
)
from medseg.networks.layers.convnext_block import ConvNeXtBlock


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


def convnext(
    in_channels: int,
    size: ConvNeXtSize,
    levels: Levels,
    drop_path: float = 0.0,
    savers: Savers = Savers(),
) -> Pyramid:
    """Build a ConvNeXt.

    Args:
        in_channels: Channels of the image.
        size: Depths and widths; stages beyond the plan's are left away.
        levels: Strides and kernels.
        drop_path: Rate of the last block; it grows linearly from 0 over the blocks.
        savers: Ways to train in less memory.
    """
    channels = tuple(size.channels * 2**stage for stage in range(len(levels.steps)))
    rates = drop_path_rates(size.depths[: len(channels)], drop_path)
    stem, merges = convolutional_steps(in_channels, channels, levels.steps)
    return Pyramid(
        stem,
        merges,
        (
            [ConvNeXtBlock(width, kernel, rate, size.expansion, size.scale) for rate in stage]
            for width, kernel, stage in zip(channels, levels.kernels, rates, strict=True)
        ),
        channels,
        levels.strides,
        checkpointing=savers.checkpointing,
    )
