"""U-Net over any number of spatial axes, plain and residual.

Ronneberger et al. 2015, arXiv:1505.04597; in 3D Cicek et al. 2016, arXiv:1606.06650; residual
Lee et al. 2017, arXiv:1706.00120. Differs: convolutions keep the size, as is usual by now.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from medseg.networks.layers.nd import CONVOLUTIONS
from medseg.networks.layers.repmlp_block import conv_norm
from medseg.networks.reference.parts import POOLS, TRANSPOSED
from medseg.types import Images, Logits, Maps


class DoubleConv(nn.Module):
    """Two convolutions of width 3, each with batch normalisation and ReLU.

    Shape:
        x: (batch, in_channels, *spatial) -> (batch, out_channels, *spatial).
    """

    def __init__(self, in_channels: int, out_channels: int, dim: int) -> None:
        super().__init__()
        self.first = conv_norm(in_channels, out_channels, [3] * dim)
        self.second = conv_norm(out_channels, out_channels, [3] * dim)

    def forward(self, x: Images) -> Maps:
        """Convolve."""
        return F.relu(self.second(F.relu(self.first(x))))


class ResidualConv(nn.Module):
    """Three convolutions of width 3; the first one's output is added to the last one's.

    Shape:
        x: (batch, in_channels, *spatial) -> (batch, out_channels, *spatial).
    """

    def __init__(self, in_channels: int, out_channels: int, dim: int) -> None:
        super().__init__()
        self.first = conv_norm(in_channels, out_channels, [3] * dim)
        self.second = conv_norm(out_channels, out_channels, [3] * dim)
        self.third = conv_norm(out_channels, out_channels, [3] * dim)

    def forward(self, x: Images) -> Maps:
        """Convolve."""
        x = F.elu(self.first(x))
        return F.elu(x + self.third(F.elu(self.second(x))))


class UNet(nn.Module):
    """Down by maxima, up by transposed convolutions, with every level handed across.

    The plain one concatenates what is handed across, the residual one adds it.

    Args:
        dim: Spatial axes.
        in_channels: Of the image.
        num_outputs: Classes.
        channels: Of each level, finest first.
        residual: Which of the two.
    Shape:
        x: (batch, in_channels, *spatial), axes divisible by 2 ** (levels - 1)
        -> (batch, num_outputs, *spatial).
    """

    def __init__(
        self,
        dim: int,
        in_channels: int,
        num_outputs: int,
        channels: Sequence[int] = (32, 64, 128, 256, 512),
        *,
        residual: bool = False,
    ) -> None:
        super().__init__()
        block = ResidualConv if residual else DoubleConv
        self.residual = residual
        self.down = nn.ModuleList(
            block(before, after, dim) for before, after in pairwise((in_channels, *channels))
        )
        self.pool = POOLS[dim](2)
        steps = list(pairwise(reversed(channels)))
        self.grow = nn.ModuleList(
            TRANSPOSED[dim](coarse, fine, 2, stride=2) for coarse, fine in steps
        )
        self.up = nn.ModuleList(
            block(fine if residual else 2 * fine, fine, dim) for _, fine in steps
        )
        self.last = CONVOLUTIONS[dim](channels[0], num_outputs, 1)

    def forward(self, x: Images) -> Logits:
        """Segment."""
        across: list[Maps] = []
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else self.pool(x))
            across.append(x)
        for grow, block, fine in zip(self.grow, self.up, reversed(across[:-1]), strict=True):
            x = grow(x)
            x = block(x + fine if self.residual else torch.cat([fine, x], 1))
        return self.last(x)
