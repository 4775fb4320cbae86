"""SwinV2 over any number of spatial axes. Liu et al. 2022, arXiv:2111.09883.

Differs: windows, shifts and strides are set per axis. The head counts of huge and giant, which the
paper does not give, are chosen for 32 channels a head. The published configuration of giant has
2.6 billion parameters, not the 3.0 billion that the paper quotes. The mini size is ours.
"""

from functools import partial
from typing import NamedTuple

from torch import nn

from medseg.networks.encoders.builder import Builder, Stage
from medseg.networks.encoders.steps import merging_steps
from medseg.networks.layers.norm import ChannelNorm
from medseg.networks.layers.swinv2_block import SwinV2Block

_BLOCKS_PER_NORM = 6


class SwinV2Size(NamedTuple):
    """What tells one SwinV2 from another.

    Attributes:
        depths: Blocks per stage.
        channels: Channels of the first stage; each stage doubles them.
        channels_per_head: Of attention.
        main_norms: Whether the main branch is normalised after every 6 blocks of a stage.
        scale: Start of the norms that end each branch.
    """

    depths: tuple[int, ...]
    channels: int
    channels_per_head: int = 32
    main_norms: bool = False
    scale: float = 0.0


SIZES = {
    "swinv2_mini": SwinV2Size((2, 2, 2, 2), 48, channels_per_head=16, scale=1.0),
    "swinv2_tiny": SwinV2Size((2, 2, 6, 2), 96),
    "swinv2_small": SwinV2Size((2, 2, 18, 2), 96),
    "swinv2_base": SwinV2Size((2, 2, 18, 2), 128),
    "swinv2_large": SwinV2Size((2, 2, 18, 2), 192),
    "swinv2_huge": SwinV2Size((2, 2, 18, 2), 352, main_norms=True),
    "swinv2_giant": SwinV2Size((2, 2, 42, 2), 512, main_norms=True),
}


def _blocks(size: SwinV2Size, stage: Stage) -> list[nn.Module]:
    blocks: list[nn.Module] = []
    for index, rate in enumerate(stage.drop_paths):
        block = SwinV2Block(
            stage.channels,
            max(stage.channels // size.channels_per_head, 1),
            stage.window,
            shifted=index % 2 == 1,
            drop_path=rate,
            chunks=stage.attention_chunks,
            scale=size.scale,
        )
        blocks.append(block)
        if size.main_norms and (index + 1) % _BLOCKS_PER_NORM == 0:
            blocks.append(ChannelNorm(stage.channels, eps=1e-5))
    return blocks


swinv2 = Builder(partial(merging_steps, norm_first=False), _blocks)
