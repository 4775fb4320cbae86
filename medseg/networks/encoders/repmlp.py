"""ResNet-50 with RepMLP over any number of spatial axes. Ding et al. 2021, arXiv:2105.01883.

RepMLP takes the place of the stride-1 blocks of the second and third stage. Differs: strides and
kernels are set per axis. The mini size is ours.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from torch import nn

from medseg.networks.encoders.pyramid import Levels, Pyramid, Savers, drop_path_rates
from medseg.networks.layers.repmlp_block import (
    bottleneck,
    conv_norm,
    repmlp_bottleneck,
    repmlp_light,
)

_STEM_SHARE = 4
_REDUCTIONS = {1: 2, 2: 4}
"""Stages with RepMLP, and by how much their 3x3 convolutions narrow what it sees."""
_POOLS = {2: nn.MaxPool2d, 3: nn.MaxPool3d}


class RepMLPSize(NamedTuple):
    """What tells one RepMLP-ResNet from another.

    Attributes:
        depths: Blocks per stage, the strided one that begins it included.
        channels: Channels of the first stage; each stage doubles them.
        kind: How RepMLP is built in.
        groups: Of its partition perceptron.
    """

    depths: tuple[int, ...]
    channels: int
    kind: Literal["bottleneck", "light"]
    groups: int


SIZES = {
    "repmlp_mini": RepMLPSize((2, 2, 2, 2), 64, "bottleneck", 4),
    "repmlp_res50_bottleneck": RepMLPSize((3, 4, 6, 3), 256, "bottleneck", 8),
    "repmlp_res50_light": RepMLPSize((3, 4, 6, 3), 256, "light", 4),
}


def repmlp_resnet(
    in_channels: int,
    size: RepMLPSize,
    levels: Levels,
    drop_path: float = 0.0,
    savers: Savers = Savers(),
) -> Pyramid:
    """Build a ResNet with RepMLP.

    Args:
        in_channels: Channels of the image.
        size: Depths and widths; stages beyond the plan's are left away.
        levels: Strides, kernels and windows.
        drop_path: Rate of the last block; it grows linearly from 0 over the blocks.
        savers: Ways to train in less memory.
    """
    channels = tuple(size.channels * 2**stage for stage in range(len(levels.steps)))
    rates = drop_path_rates(size.depths[: len(channels)], drop_path)
    kernels = [[min(width, 3) for width in kernel] for kernel in levels.kernels]
    width = channels[0] // _STEM_SHARE
    # The first stage keeps the stem's resolution; its first block only widens.
    no_strides = [1] * len(levels.steps[0])
    starts = [
        bottleneck(before, after, kernel, step, drop_paths[0])
        for before, after, kernel, step, drop_paths in zip(
            (width, *channels),
            channels,
            kernels,
            (no_strides, *levels.steps[1:]),
            rates,
            strict=False,
        )
    ]

    def stage(number: int) -> list[nn.Module]:
        channel, kernel, window = channels[number], kernels[number], levels.mixers[number]
        later = rates[number][1:]
        if number not in _REDUCTIONS:
            return [bottleneck(channel, channel, kernel, drop_path=rate) for rate in later]
        if size.kind == "light":
            return [repmlp_light(channel, window, size.groups, rate) for rate in later]
        return [
            repmlp_bottleneck(channel, _REDUCTIONS[number], kernel, window, size.groups, rate)
            for rate in later
        ]

    return Pyramid(
        nn.Sequential(*_stem(in_channels, width, levels.steps[0], levels.kernels[0]), starts[0]),
        starts[1:],
        map(stage, range(len(channels))),
        channels,
        levels.strides,
        checkpointing=savers.checkpointing,
    )


def _stem(
    in_channels: int, channels: int, strides: Sequence[int], kernel: Sequence[int]
) -> list[nn.Module]:
    """A wide convolution of stride 2; a maximum does what the stem's stride has beyond that."""
    first = [min(stride, 2) for stride in strides]
    rest = [stride // own for stride, own in zip(strides, first, strict=True)]
    layers: list[nn.Module] = [conv_norm(in_channels, channels, kernel, first), nn.ReLU()]
    if any(stride > 1 for stride in rest):
        widths = tuple(stride + 1 - stride % 2 if stride > 1 else 1 for stride in rest)
        padding = tuple(width // 2 for width in widths)
        layers.append(_POOLS[len(rest)](widths, tuple(rest), padding))
    return layers
