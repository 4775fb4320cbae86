"""Swin MLP over any number of spatial axes: the Swin pyramid without attention.

Liu et al., Swin-Transformer repository, models/swin_mlp.py. Differs: windows, shifts and strides
are set per axis. The mini size is ours.
"""

from functools import partial
from typing import NamedTuple

from torch import nn

from medseg.networks.encoders.builder import Builder, Stage
from medseg.networks.encoders.steps import merging_steps
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


def _blocks(size: SwinMLPSize, stage: Stage) -> list[nn.Module]:
    heads = max(size.channels // size.channels_per_head, 1) * 2**stage.number
    return [
        SwinMLPBlock(stage.channels, heads, stage.mixer, shifted=index % 2 == 1, drop_path=rate)
        for index, rate in enumerate(stage.drop_paths)
    ]


swin_mlp = Builder(partial(merging_steps, norm_first=True), _blocks)
