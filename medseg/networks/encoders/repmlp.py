"""ResNet-50 with RepMLP over any number of spatial axes. Ding et al. 2021, arXiv:2105.01883.

RepMLP takes the place of the stride-1 blocks of the second and third stage. Differs: strides and
kernels are set per axis. The mini size is ours.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from torch import nn

from medseg.networks.encoders.builder import Builder, Stage
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


def _steps(in_channels: int, stages: Sequence[Stage]) -> tuple[nn.Module, list[nn.Module]]:
    """Into each stage its strided block; the first one keeps the stem's resolution, and widens."""
    width = stages[0].channels // _STEM_SHARE
    before = (width, *(stage.channels for stage in stages))
    starts: list[nn.Module] = [
        bottleneck(
            channels,
            stage.channels,
            _narrow(stage.kernel),
            stage.step if stage.number else [1] * len(stage.step),
            stage.drop_paths[0],
        )
        for channels, stage in zip(before, stages, strict=False)
    ]
    stem = _stem(in_channels, width, stages[0].step, stages[0].kernel)
    return nn.Sequential(*stem, starts[0]), starts[1:]


def _blocks(size: RepMLPSize, stage: Stage) -> list[nn.Module]:
    channels, kernel, window = stage.channels, _narrow(stage.kernel), stage.mixer
    rates = stage.drop_paths[1:]
    if stage.number not in _REDUCTIONS:
        return [bottleneck(channels, channels, kernel, drop_path=rate) for rate in rates]
    if size.kind == "light":
        return [repmlp_light(channels, window, size.groups, rate) for rate in rates]
    reduction = _REDUCTIONS[stage.number]
    return [
        repmlp_bottleneck(channels, reduction, kernel, window, size.groups, rate) for rate in rates
    ]


def _narrow(kernel: Sequence[int]) -> list[int]:
    return [min(width, 3) for width in kernel]


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


repmlp_resnet = Builder(_steps, _blocks)
