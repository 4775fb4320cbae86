"""The ConvNeXt block over any number of spatial axes. Liu et al. 2022, arXiv:2201.03545."""

from collections.abc import Sequence

import torch
from torch import nn

from medseg.networks.layers.depthwise import DepthwiseConv
from medseg.networks.layers.drop_path import DropPath
from medseg.networks.layers.feed_forward import expand_and_project, feed_forward
from medseg.types import Images


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution, LayerNorm, pointwise, GELU, pointwise, layer scale, residual.

    Args:
        channels: Input and output channels.
        kernel: Odd width of the depthwise kernel per spatial axis.
        drop_path: Share of items whose branch is dropped in training.
        expansion: Hidden channels of the pointwise layers, in multiples of `channels`.
        scale: Start of the layer scale; the paper's 1e-6 suits deep networks and long trainings.
    Shape:
        x: (batch, channels, *spatial) -> the same.
    """

    def __init__(
        self,
        channels: int,
        kernel: Sequence[int],
        drop_path: float = 0.0,
        expansion: int = 4,
        scale: float = 1e-6,
    ) -> None:
        super().__init__()
        self.depthwise = DepthwiseConv(channels, kernel)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.expand, self.project = expand_and_project(channels, expansion)
        self.scale = nn.Parameter(torch.full((channels,), scale))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Images) -> Images:
        """Transform."""
        tokens = self.norm(self.depthwise(x).movedim(1, -1))
        tokens = feed_forward(tokens, self.expand, self.project, self.scale)
        return x + self.drop_path(tokens).movedim(-1, 1)
