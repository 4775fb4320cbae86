"""Stems, and the ways from one stage to the next, of more than one family."""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from medseg.networks.encoders.builder import Stage
from medseg.networks.layers.nd import patch_convolution
from medseg.networks.layers.norm import ChannelNorm
from medseg.networks.layers.patch_merging import PatchMerging


def convolutional_steps(
    in_channels: int, stages: Sequence[Stage]
) -> tuple[nn.Module, list[nn.Module]]:
    """ConvNeXt's."""
    first = stages[0]
    stem = nn.Sequential(
        patch_convolution(in_channels, first.channels, first.step), ChannelNorm(first.channels)
    )
    merges: list[nn.Module] = [
        nn.Sequential(
            ChannelNorm(before.channels),
            patch_convolution(before.channels, after.channels, after.step),
        )
        for before, after in pairwise(stages)
    ]
    return stem, merges


def merging_steps(
    in_channels: int, stages: Sequence[Stage], *, norm_first: bool
) -> tuple[nn.Module, list[nn.Module]]:
    """Those of the Swin families; `norm_first` as in `PatchMerging`."""
    first = stages[0]
    stem = nn.Sequential(
        patch_convolution(in_channels, first.channels, first.step),
        ChannelNorm(first.channels, eps=1e-5),
    )
    merges: list[nn.Module] = [
        PatchMerging(before.channels, after.step, norm_first=norm_first)
        for before, after in pairwise(stages)
    ]
    return stem, merges
