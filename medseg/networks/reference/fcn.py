"""Two networks on VGG's convolutions over any number of spatial axes: FCN-8s and SegNet.

FCN: Long et al. 2015, arXiv:1411.4038. SegNet: Badrinarayanan et al. 2017, arXiv:1511.00561.
VGG-16: Simonyan and Zisserman 2015, arXiv:1409.1556. Differs: batch normalisation throughout.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from medseg.networks.layers.nd import CONVOLUTIONS
from medseg.networks.layers.repmlp_block import conv_norm
from medseg.networks.reference.parts import POOLS, UNPOOLS
from medseg.sampling import upsample
from medseg.types import Images, Logits, Maps

_VGG16 = (2, 2, 3, 3, 3)
"""Convolutions per stage."""
_CHANNELS = (64, 128, 256, 512, 512)


def _stage(in_channels: int, out_channels: int, dim: int, depth: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for index in range(depth):
        before = in_channels if index == 0 else out_channels
        layers += [conv_norm(before, out_channels, [3] * dim), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class FCN(nn.Module):
    """Classes are scored at strides 8, 16 and 32; the scores are upsampled and summed.

    Args:
        dim: Spatial axes.
        in_channels: Of the image.
        num_outputs: Classes.
        channels: Of each of the five stages.
    Shape:
        x: (batch, in_channels, *spatial), axes divisible by 32 -> (batch, num_outputs, *spatial).
    """

    def __init__(
        self, dim: int, in_channels: int, num_outputs: int, channels: Sequence[int] = _CHANNELS
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            _stage(before, after, dim, depth)
            for (before, after), depth in zip(
                pairwise((in_channels, *channels)), _VGG16, strict=True
            )
        )
        self.pool = POOLS[dim](2)
        self.scores = nn.ModuleList(
            CONVOLUTIONS[dim](width, num_outputs, 1) for width in channels[2:]
        )
        self.dim = dim

    def forward(self, x: Images) -> Logits:
        """Segment."""
        maps: list[Maps] = []
        for stage in self.stages:
            x = self.pool(stage(x))
            maps.append(x)
        eighth, sixteenth, last = (
            score(found) for score, found in zip(self.scores, maps[2:], strict=True)
        )
        twice = [2] * self.dim
        return upsample(eighth + upsample(sixteenth + upsample(last, twice), twice), [8] * self.dim)


class SegNet(nn.Module):
    """A mirrored VGG that puts values back where the maxima were.

    Args:
        dim: Spatial axes.
        in_channels: Of the image.
        num_outputs: Classes.
        channels: Of each of the five stages.
    Shape:
        x: (batch, in_channels, *spatial), axes divisible by 32 -> (batch, num_outputs, *spatial).
    """

    def __init__(
        self, dim: int, in_channels: int, num_outputs: int, channels: Sequence[int] = _CHANNELS
    ) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            _stage(before, after, dim, depth)
            for (before, after), depth in zip(
                pairwise((in_channels, *channels)), _VGG16, strict=True
            )
        )
        self.pool = POOLS[dim](2, return_indices=True)
        self.unpool = UNPOOLS[dim](2)
        finer = (channels[0], *channels[:-1])
        self.up = nn.ModuleList(
            _stage(channels[level], finer[level], dim, _VGG16[level])
            for level in reversed(range(len(channels)))
        )
        self.last = CONVOLUTIONS[dim](channels[0], num_outputs, 1)

    def forward(self, x: Images) -> Logits:
        """Segment."""
        places: list[Maps] = []
        for stage in self.down:
            x, where = self.pool(stage(x))
            places.append(where)
        for stage, where in zip(self.up, reversed(places), strict=True):
            x = stage(self.unpool(x, where))
        return self.last(x)
