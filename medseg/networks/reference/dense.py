"""Two networks of dense blocks over any number of spatial axes.

DenseVoxelNet: Yu et al. 2017, arXiv:1708.00573. Skip-connected DenseNet: Bui et al. 2017,
arXiv:1709.03199. Dense blocks: Huang et al. 2017, arXiv:1608.06993. Both without the auxiliary
losses that the papers add in training.
"""

import torch
from torch import nn
from torch.nn import functional as F

from medseg.networks.layers.batch_norm import TokenBatchNorm
from medseg.networks.layers.nd import CONVOLUTIONS
from medseg.networks.reference.parts import POOLS, TRANSPOSED
from medseg.sampling import upsample
from medseg.types import Images, Logits, Maps


class NormReLU(nn.Module):
    """Batch normalisation of a map's channels, and ReLU.

    Shape:
        x: (batch, channels, *spatial) -> the same.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = TokenBatchNorm(channels)

    def forward(self, x: Maps) -> Maps:
        """Normalise."""
        return F.relu(self.norm(x.movedim(1, -1).contiguous())).movedim(-1, 1)


class DenseBlock(nn.Module):
    """Each layer reads everything before it and adds `growth` channels.

    Args:
        in_channels: Of the input.
        layers: How many.
        growth: Channels that each adds.
        dim: Spatial axes.
        squeeze: Whether a pointwise convolution to four times `growth` comes first in each layer.
    Shape:
        x: (batch, in_channels, *spatial) -> (batch, in_channels + layers * growth, *spatial).
    """

    def __init__(
        self, in_channels: int, layers: int, growth: int, dim: int, *, squeeze: bool
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for index in range(layers):
            width = in_channels + index * growth
            parts: list[nn.Module] = []
            if squeeze:
                parts += [NormReLU(width), CONVOLUTIONS[dim](width, 4 * growth, 1, bias=False)]
                width = 4 * growth
            parts += [
                NormReLU(width),
                CONVOLUTIONS[dim](width, growth, 3, padding=1, bias=False),
            ]
            self.layers.append(nn.Sequential(*parts))
        self.out_channels = in_channels + layers * growth

    def forward(self, x: Images) -> Maps:
        """Grow."""
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        return x


class DenseVoxelNet(nn.Module):
    """Two dense blocks of twelve layers at strides 2 and 4, and transposed convolutions back.

    Args:
        dim: Spatial axes.
        in_channels: Of the image.
        num_outputs: Classes.
        growth: Channels that each layer adds.
    Shape:
        x: (batch, in_channels, *spatial), axes divisible by 4 -> (batch, num_outputs, *spatial).
    """

    def __init__(self, dim: int, in_channels: int, num_outputs: int, growth: int = 12) -> None:
        super().__init__()
        self.first = CONVOLUTIONS[dim](in_channels, 16, 3, stride=2, padding=1, bias=False)
        self.fine = DenseBlock(16, 12, growth, dim, squeeze=False)
        width = self.fine.out_channels
        self.transition = nn.Sequential(
            NormReLU(width), CONVOLUTIONS[dim](width, width, 1, bias=False), POOLS[dim](2)
        )
        self.coarse = DenseBlock(width, 12, growth, dim, squeeze=False)
        width = self.coarse.out_channels
        self.last = nn.Sequential(
            NormReLU(width),
            CONVOLUTIONS[dim](width, width, 1, bias=False),
            TRANSPOSED[dim](width, 128, 2, stride=2, bias=False),
            TRANSPOSED[dim](128, 64, 2, stride=2, bias=False),
            CONVOLUTIONS[dim](64, num_outputs, 1),
        )

    def forward(self, x: Images) -> Logits:
        """Segment."""
        return self.last(self.coarse(self.transition(self.fine(self.first(x)))))


class SkipDenseNet(nn.Module):
    """Four dense blocks, each at half the resolution of the last; all are read at the end.

    Args:
        dim: Spatial axes.
        in_channels: Of the image.
        num_outputs: Classes.
        growth: Channels that each layer adds.
    Shape:
        x: (batch, in_channels, *spatial), axes divisible by 16 -> (batch, num_outputs, *spatial).
    """

    def __init__(self, dim: int, in_channels: int, num_outputs: int, growth: int = 16) -> None:
        super().__init__()
        convolution = CONVOLUTIONS[dim]
        self.dim = dim
        self.first = nn.Sequential(
            convolution(in_channels, 32, 3, padding=1, bias=False),
            NormReLU(32),
            convolution(32, 32, 3, padding=1, bias=False),
            NormReLU(32),
            convolution(32, 32, 3, padding=1, bias=False),
        )
        self.transitions, self.blocks = nn.ModuleList(), nn.ModuleList()
        self.reductions = nn.ModuleList()
        width = 32
        for number in range(4):
            narrow = width if number == 0 else width // 2
            self.transitions.append(
                nn.Sequential(
                    NormReLU(width),
                    convolution(width, narrow, 2, stride=2, bias=False),
                )
            )
            block = DenseBlock(narrow, 4, growth, dim, squeeze=True)
            width = block.out_channels
            self.blocks.append(block)
            self.reductions.append(
                nn.Sequential(NormReLU(width), convolution(width, growth, 1, bias=False))
            )
        self.last = nn.Sequential(
            NormReLU(32 + 4 * growth), convolution(32 + 4 * growth, num_outputs, 1)
        )

    def forward(self, x: Images) -> Logits:
        """Segment."""
        x = self.first(x)
        read = [x]
        parts = zip(self.transitions, self.blocks, self.reductions, strict=True)
        for number, (transition, block, reduce) in enumerate(parts, start=1):
            x = block(transition(x))
            read.append(upsample(reduce(x), [2**number] * self.dim))
        return self.last(torch.cat(read, 1))
