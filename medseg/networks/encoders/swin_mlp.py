"""Swin MLP over any number of spatial axes: the Swin pyramid without attention.

Liu et al., Swin-Transformer repository, models/swin_mlp.py. Differs: windows, shifts and strides
are set per axis. The mini size is ours.
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import nn

from medseg.networks.encoders.pyramid import Levels, Pyramid, Savers, drop_path_rates
from medseg.networks.layers.nd import patch_convolution
from medseg.networks.layers.norm import ChannelNorm
from medseg.networks.layers.patch_merging import PatchMerging
from medseg.networks.layers.swin_mlp_block import SwinMLPBlock


class SwinMLPSize(NamedTuple):
    """What tells one Swin MLP from another.

    Attributes:
        depths: Blocks per stage.
        channels: Channels of the first stage; each stage doubles them.
        channels_per_head: Channels that share their token weights.
    """

    depths: tuple[int, ...]
    channels: int
    channels_per_head: int


SIZES = {
    "swin_mlp_mini": SwinMLPSize((2, 2, 2, 2), 48, 16),
    "swin_mlp_tiny_c24": SwinMLPSize((2, 2, 6, 2), 96, 24),
    "swin_mlp_tiny_c12": SwinMLPSize((2, 2, 6, 2), 96, 12),
    "swin_mlp_tiny_c6": SwinMLPSize((2, 2, 6, 2), 96, 6),
    "swin_mlp_base": SwinMLPSize((2, 2, 18, 2), 128, 32),
}


def swin_mlp(
    in_channels: int,
    size: SwinMLPSize,
    levels: Levels,
    drop_path: float = 0.0,
    savers: Savers = Savers(),
) -> Pyramid:
    """Build a Swin MLP.

    Args:
        in_channels: Channels of the image.
        size: Depths and widths; stages beyond the plan's are left away.
        levels: Strides and windows.
        drop_path: Rate of the last block; it grows linearly from 0 over the blocks.
        savers: Ways to train in less memory.
    """
    channels = tuple(size.channels * 2**stage for stage in range(len(levels.steps)))
    rates = drop_path_rates(size.depths[: len(channels)], drop_path)
    first, *steps = levels.steps
    stem = nn.Sequential(
        patch_convolution(in_channels, channels[0], first), ChannelNorm(channels[0], eps=1e-5)
    )
    first_heads = max(size.channels // size.channels_per_head, 1)

    def stage(width: int, window: Sequence[int], drop_paths: Sequence[float]) -> list[nn.Module]:
        heads = first_heads * (width // size.channels)
        return [
            SwinMLPBlock(width, heads, window, shifted=index % 2 == 1, drop_path=rate)
            for index, rate in enumerate(drop_paths)
        ]

    return Pyramid(
        stem,
        (
            PatchMerging(before, step, norm_first=True)
            for before, step in zip(channels[:-1], steps, strict=True)
        ),
        map(stage, channels, levels.mixers, rates),
        channels,
        levels.strides,
        checkpointing=savers.checkpointing,
    )
