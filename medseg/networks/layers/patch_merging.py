"""Patch merging of the Swin families: Liu et al. 2021, arXiv:2103.14030, and 2022, 2111.09883."""

from collections.abc import Sequence
from math import prod

from torch import nn

from medseg.networks.layers.windows import merge_neighbours
from medseg.types import Maps


class PatchMerging(nn.Module):
    """Neighbours become one token of twice the channels: concatenated, reduced, normalised.

    Args:
        channels: Of the input.
        strides: Neighbours per axis.
        norm_first: Whether the norm comes before the reduction, as in Swin, or after, as in SwinV2.
    Shape:
        x: (batch, channels, *spatial) -> (batch, 2 * channels, *spatial / strides).
    """

    def __init__(self, channels: int, strides: Sequence[int], *, norm_first: bool) -> None:
        super().__init__()
        self.strides = tuple(strides)
        self.norm_first = norm_first
        concatenated = prod(strides) * channels
        self.reduction = nn.Linear(concatenated, 2 * channels, bias=False)
        self.norm = nn.LayerNorm(concatenated if norm_first else 2 * channels)

    def forward(self, x: Maps) -> Maps:
        """Merge."""
        tokens = merge_neighbours(x.movedim(1, -1), self.strides)
        if self.norm_first:
            tokens = self.reduction(self.norm(tokens))
        else:
            tokens = self.norm(self.reduction(tokens))
        return tokens.movedim(-1, 1)
