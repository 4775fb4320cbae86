"""RepMLPNet over any number of spatial axes. Ding et al. 2022, arXiv:2112.11081.

Differs: partitions are windows of fixed size, alternately of neighbours and dilated, so that maps
may have any size. The mini size is ours.
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import nn

from medseg.networks.encoders.pyramid import Levels, Pyramid, Savers, drop_path_rates
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


def repmlpnet(
    in_channels: int,
    size: RepMLPNetSize,
    levels: Levels,
    drop_path: float = 0.0,
    savers: Savers = Savers(),
) -> Pyramid:
    """Build a RepMLPNet.

    Args:
        in_channels: Channels of the image.
        size: Depths and widths; stages beyond the plan's are left away.
        levels: Strides and windows.
        drop_path: Rate of the last block; it grows linearly from 0 over the blocks.
        savers: Ways to train in less memory.
    """
    channels = tuple(size.channels * 2**stage for stage in range(len(levels.steps)))
    rates = drop_path_rates(size.depths[: len(channels)], drop_path)

    def stage(
        width: int, window: Sequence[int], sets: int, drop_paths: Sequence[float]
    ) -> list[nn.Module]:
        return [
            RepMLPNetUnit(width, window, sets, dilated=index % 2 == 1, drop_path=rate)
            for index, rate in enumerate(drop_paths)
        ]

    stem, *merges = map(_embedding, (in_channels, *channels), channels, levels.steps)
    return Pyramid(
        stem,
        merges,
        map(stage, channels, levels.mixers, size.sets, rates),
        channels,
        levels.strides,
        checkpointing=savers.checkpointing,
    )


def _embedding(before: int, after: int, step: Sequence[int]) -> nn.Module:
    return nn.Sequential(
        ConvNorm(patch_convolution(before, after, step, bias=False)), nn.ReLU(inplace=True)
    )
