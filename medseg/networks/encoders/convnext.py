"""ConvNeXt over any number of spatial axes. Liu et al. 2022, arXiv:2201.03545.

Differs: strides and kernels are set per axis, so that thin axes keep their few voxels. The small
sizes are ours: their layer scale starts at 1, because they are shallow and trained for minutes.
"""

from typing import NamedTuple

from torch import nn

from medseg.networks.encoders.builder import Builder, Stage
from medseg.networks.encoders.steps import convolutional_steps
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


def _blocks(size: ConvNeXtSize, stage: Stage) -> list[nn.Module]:
    return [
        ConvNeXtBlock(stage.channels, stage.kernel, rate, size.expansion, size.scale)
        for rate in stage.drop_paths
    ]


convnext = Builder(convolutional_steps, _blocks)
