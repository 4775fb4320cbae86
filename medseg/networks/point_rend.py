"""Segmentation as rendering: boundaries are refined at points.

PointRend, Kirillov et al. 2020, arXiv:1912.08193. Differs: any number of spatial axes; the number
of points follows the surface of the patch and not its volume.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medseg.sampling import sample_points, upsample
from medseg.types import Logits, Maps, PointFeatures, Points

_POINTS_PER_SURFACE = {2: 4.0, 3: 1.0}
_INFERENCE_FACTOR = 4
_OVERSAMPLING = 3
_IMPORTANT_SHARE = 0.75


class Features(NamedTuple):
    """What a head reads.

    Attributes:
        fine: Maps to sample points from, (batch, channels, *spatial) each, of any resolution.
        coarse: Logits at the decoder's resolution, (batch, classes, *spatial).
    """

    fine: tuple[Maps, ...]
    coarse: Logits


class HeadOutput(NamedTuple):
    """What a head gives the loss.

    Attributes:
        logits: (batch, classes, *patch).
        points: (batch, points, dim) in [0, 1], or None for a head without points.
        point_logits: (batch, classes, points), or None.
    """

    logits: Logits
    points: Points | None = None
    point_logits: PointFeatures | None = None


def num_points(size: Sequence[int]) -> int:
    """Points for a patch of `size` voxels in training: in proportion to its surface."""
    dim = len(size)
    return max(1, round(_POINTS_PER_SURFACE[dim] * prod(size) ** ((dim - 1) / dim)))


def uncertainty(logits: Logits, *, multilabel: bool) -> Tensor:
    """How undecided each position is; larger is less certain.

    Shape:
        logits: (batch, classes, *any) -> (batch, *any).
    """
    if multilabel:
        return -logits.abs().amin(dim=1)
    first, second = logits.topk(2, dim=1).values.unbind(1)
    return second - first


def training_points(coarse: Logits, count: int, *, multilabel: bool) -> Points:
    """Random points, three quarters of them where the coarse logits are least certain.

    Args:
        coarse: (batch, classes, *spatial); no gradient flows into the choice.
        count: Points per item.
        multilabel: Whether classes are independent.

    Returns:
        (batch, count, dim) in [0, 1].
    """
    batch, dim = coarse.shape[0], coarse.ndim - 2
    important = round(_IMPORTANT_SHARE * count)
    with torch.no_grad():
        drawn = torch.rand(batch, _OVERSAMPLING * count, dim, device=coarse.device)
        scores = uncertainty(sample_points(coarse.detach(), drawn), multilabel=multilabel)
        chosen = scores.topk(important, dim=1).indices
        kept = drawn.gather(1, chosen[..., None].expand(-1, -1, dim))
        uniform = torch.rand(batch, count - important, dim, device=coarse.device)
    return torch.cat([kept, uniform], dim=1)


class PointMLP(nn.Module):
    """The network that all points share; the coarse logits are appended again at every layer.

    Args:
        fine_channels: Channels of each fine map.
        num_outputs: Classes.
        hidden: Width of the hidden layers.
        layers: Number of hidden layers.
    Shape:
        features as in `Features`, points (batch, points, dim) -> (batch, classes, points).
    """

    def __init__(
        self, fine_channels: Sequence[int], num_outputs: int, hidden: int = 64, layers: int = 3
    ) -> None:
        super().__init__()
        widths = [sum(fine_channels), *[hidden] * layers]
        self.hidden = nn.ModuleList(
            nn.Linear(before + num_outputs, after) for before, after in pairwise(widths)
        )
        self.last = nn.Linear(hidden + num_outputs, num_outputs)

    def forward(self, features: Features, points: Points) -> PointFeatures:
        """Classify the points."""
        coarse = sample_points(features.coarse, points).transpose(1, 2)
        x = torch.cat([sample_points(fine, points) for fine in features.fine], 1).transpose(1, 2)
        for layer in self.hidden:
            x = F.gelu(layer(torch.cat([x, coarse], dim=-1)))
        # The head starts from what is known and learns to correct it.
        return (self.last(torch.cat([x, coarse], dim=-1)) + coarse).transpose(1, 2)


class PointRendHead(nn.Module):
    """Coarse logits, refined where they are uncertain.

    Args:
        fine_channels: Channels of each fine map.
        num_outputs: Classes.
        strides: Stride of the coarse logits per axis.
        multilabel: Whether classes are independent.
    Shape:
        features as in `Features` -> (batch, classes, *coarse size * strides).
    """

    def __init__(
        self,
        fine_channels: Sequence[int],
        num_outputs: int,
        strides: Sequence[int],
        *,
        multilabel: bool,
    ) -> None:
        super().__init__()
        self.strides = tuple(strides)
        self.multilabel = multilabel
        self.mlp = PointMLP(fine_channels, num_outputs)

    def training_output(self, features: Features) -> HeadOutput:
        """The coarse logits at the patch's resolution, and points with their logits."""
        logits = upsample(features.coarse, self.strides)
        count = num_points(logits.shape[2:])
        points = training_points(features.coarse, count, multilabel=self.multilabel)
        return HeadOutput(logits, points, self.mlp(features, points))

    def forward(self, features: Features) -> Logits:
        """Double the resolution, predict the least certain voxels again, repeat."""
        logits = features.coarse
        remaining = self.strides
        if all(stride == 1 for stride in remaining):
            return self._refine(features, logits)
        while any(stride > 1 for stride in remaining):
            factors = tuple(2 if stride % 2 == 0 else stride for stride in remaining)
            remaining = tuple(s // f for s, f in zip(remaining, factors, strict=True))
            logits = upsample(logits, factors)
            logits = self._refine(features, logits)
        return logits

    def _refine(self, features: Features, logits: Logits) -> Logits:
        size = logits.shape[2:]
        voxels = prod(size)
        count = min(voxels, _INFERENCE_FACTOR * num_points(size))
        chosen = uncertainty(logits, multilabel=self.multilabel).flatten(1).topk(count, 1).indices
        fine = self.mlp(features, voxel_centres(chosen, size))
        flat = logits.flatten(2).contiguous()
        index = chosen[:, None].expand(-1, flat.shape[1], -1)
        return flat.scatter(2, index, fine.to(flat.dtype)).reshape(logits.shape)


def voxel_centres(indices: Tensor, size: Sequence[int]) -> Points:
    """Flat voxel indices of a grid, (batch, points) -> positions of their centres."""
    axes: list[Tensor] = []
    for length in reversed(size):
        axes.append(((indices % length) + 0.5) / length)
        indices = indices // length
    return torch.stack(axes[::-1], dim=-1)
