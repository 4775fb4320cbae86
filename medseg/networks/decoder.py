"""Feature maps of any encoder -> one map at the stride of its stem."""

from collections.abc import Sequence

from torch import nn

from medseg.networks.layers.convnext_block import ConvNeXtBlock
from medseg.networks.layers.nd import CONVOLUTIONS
from medseg.networks.layers.norm import ChannelNorm
from medseg.sampling import upsample
from medseg.types import Maps


class FirstMap(nn.Module):
    """Hands on the finest map: for networks that have a decoder of their own."""

    def forward(self, maps: Sequence[Maps]) -> Maps:
        """Choose."""
        return maps[0]


class Decoder(nn.Module):
    """Walks from the coarsest map to the finest; each level adds what it knows, a block mixes it.

    Light on purpose: the point head restores what is finer than the stem's stride.

    Args:
        channels: Channels of the encoder's maps, finest first.
        strides: Their cumulative strides per axis.
        kernels: Depthwise kernel per level and axis.
    Shape:
        maps: (batch, channels[level], *spatial / strides[level]) each
        -> (batch, channels[0], *spatial / strides[0]).
    """

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[Sequence[int]],
        kernels: Sequence[Sequence[int]],
    ) -> None:
        super().__init__()
        convolution = CONVOLUTIONS[len(strides[0])]
        levels = range(len(channels) - 1)
        self.factors = [
            tuple(coarse // fine for fine, coarse in zip(strides[i], strides[i + 1], strict=True))
            for i in levels
        ]
        self.reduce = nn.ModuleList(convolution(channels[i + 1], channels[i], 1) for i in levels)
        self.norms = nn.ModuleList(ChannelNorm(channels[i]) for i in levels)
        self.blocks = nn.ModuleList(
            ConvNeXtBlock(channels[i], kernels[i], expansion=2, scale=1.0) for i in levels
        )

    def forward(self, maps: Sequence[Maps]) -> Maps:
        """Decode."""
        x = maps[-1]
        for i in reversed(range(len(maps) - 1)):
            coarse = upsample(self.reduce[i](x), self.factors[i])
            x = self.blocks[i](self.norms[i](maps[i] + coarse))
        return x
