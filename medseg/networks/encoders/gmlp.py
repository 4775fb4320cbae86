"""gMLP and aMLP over any number of spatial axes. Liu et al. 2021, arXiv:2105.08050.

Differs: a pyramid of four stages instead of one resolution, and tokens are mixed within windows,
alternately of neighbours and dilated, so that maps may have any size. The paper's 30 blocks of d
channels become 2, 2, 24 and 2 of d/4, d/2, d and 2d. The mini sizes are ours.
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import nn

from medseg.networks.encoders.pyramid import (
    Levels,
    Pyramid,
    Savers,
    convolutional_steps,
    drop_path_rates,
)
from medseg.networks.layers.gmlp_block import GMLPBlock


class GMLPSize(NamedTuple):
    """What tells one gMLP from another.

    Attributes:
        depths: Blocks per stage.
        channels: Channels of the first stage; each stage doubles them.
        attention: Whether gates see a little attention: aMLP.
    """

    depths: tuple[int, ...]
    channels: int
    attention: bool = False


_GMLP = {
    "mini": GMLPSize((2, 2, 2, 2), 40),
    "tiny": GMLPSize((2, 2, 24, 2), 32),
    "small": GMLPSize((2, 2, 24, 2), 64),
    "base": GMLPSize((2, 2, 24, 2), 128),
}
SIZES = {
    **{f"gmlp_{name}": size for name, size in _GMLP.items()},
    **{f"amlp_{name}": size._replace(attention=True) for name, size in _GMLP.items()},
}


def gmlp(
    in_channels: int,
    size: GMLPSize,
    levels: Levels,
    drop_path: float = 0.0,
    savers: Savers = Savers(),
) -> Pyramid:
    """Build a gMLP or aMLP.

    Args:
        in_channels: Channels of the image.
        size: Depths and widths; stages beyond the plan's are left away.
        levels: Strides and windows.
        drop_path: Rate of the last block; it grows linearly from 0 over the blocks.
        savers: Ways to train in less memory.
    """
    channels = tuple(size.channels * 2**stage for stage in range(len(levels.steps)))
    rates = drop_path_rates(size.depths[: len(channels)], drop_path)
    stem, merges = convolutional_steps(in_channels, channels, levels.steps)

    def stage(width: int, window: Sequence[int], drop_paths: Sequence[float]) -> list[nn.Module]:
        return [
            GMLPBlock(
                width, window, dilated=index % 2 == 1, attention=size.attention, drop_path=rate
            )
            for index, rate in enumerate(drop_paths)
        ]

    return Pyramid(
        stem,
        merges,
        map(stage, channels, levels.mixers, rates),
        channels,
        levels.strides,
        checkpointing=savers.checkpointing,
    )
