"""RepMLPNet over any number of spatial axes. Ding et al. 2022, arXiv:2112.11081.

Differs: partitions are windows of fixed size, alternately of neighbours and dilated, so that maps
may have any size. The mini size is ours.
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import nn

from medseg.networks.encoders.builder import Builder, Stage
from medseg.networks.layers.batch_norm import ConvNorm
from medseg.networks.layers.nd import patch_convolution
from medseg.networks.layers.repmlpnet_unit import RepMLPNetUnit


class RepMLPNetSize(NamedTuple):
    """What tells one RepMLPNet from another.

    Attributes:
        depths: Blocks per stage.
        channels: Channels of the first stage; each stage doubles them.
        sets: Parts of the channels that share token weights, per stage.
    """

    depths: tuple[int, ...]
    channels: int
    sets: tuple[int, ...]


SIZES = {
    "repmlpnet_mini": RepMLPNetSize((2, 2, 2, 2), 48, (1, 4, 8, 16)),
    "repmlpnet_t": RepMLPNetSize((2, 2, 6, 2), 64, (1, 4, 16, 128)),
    "repmlpnet_d": RepMLPNetSize((2, 2, 18, 2), 80, (1, 4, 16, 128)),
    "repmlpnet_b": RepMLPNetSize((2, 2, 12, 2), 96, (1, 4, 32, 128)),
    "repmlpnet_l": RepMLPNetSize((2, 2, 18, 2), 96, (1, 4, 32, 256)),
}


def _steps(in_channels: int, stages: Sequence[Stage]) -> tuple[nn.Module, list[nn.Module]]:
    before = (in_channels, *(stage.channels for stage in stages))
    stem, *merges = map(_embedding, before, stages)
    return stem, merges


def _embedding(before: int, stage: Stage) -> nn.Module:
    convolution = patch_convolution(before, stage.channels, stage.step, bias=False)
    return nn.Sequential(ConvNorm(convolution), nn.ReLU(inplace=True))


def _blocks(size: RepMLPNetSize, stage: Stage) -> list[nn.Module]:
    sets = size.sets[stage.number]
    return [
        RepMLPNetUnit(stage.channels, stage.mixer, sets, dilated=index % 2 == 1, drop_path=rate)
        for index, rate in enumerate(stage.drop_paths)
    ]


repmlpnet = Builder(_steps, _blocks)
