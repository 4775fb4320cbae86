"""The ResMLP block over any number of spatial axes. Touvron et al. 2021, arXiv:2105.03404."""

from collections.abc import Sequence

import torch
from torch import nn

from medseg.networks.layers.affine import Affine
from medseg.networks.layers.drop_path import DropPath
from medseg.networks.layers.feed_forward import expand_and_project, feed_forward
from medseg.networks.layers.token_mixing import TokenMixing
from medseg.types import Images


class ResMLPBlock(nn.Module):
    """Tokens are mixed, then channels; each branch has an affine before and a layer scale after.

    Args:
        channels: Input and output channels.
        window: Tokens per axis within which they are mixed; one that covers the map is the paper's.
        dilated: Whether windows span the map instead of covering neighbours.
        scale: Start of the layer scales.
        drop_path: Share of items whose branches are dropped in training.
    Shape:
        x: (batch, channels, *spatial) -> the same.
    """

    def __init__(
        self,
        channels: int,
        window: Sequence[int],
        *,
        dilated: bool = False,
        scale: float = 0.1,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.mixing_affine = Affine(channels)
        self.mixing = TokenMixing(window, dilated=dilated)
        self.mixing_scale = nn.Parameter(torch.full((channels,), scale))
        self.mlp_affine = Affine(channels)
        self.expand, self.project = expand_and_project(channels)
        self.mlp_scale = nn.Parameter(torch.full((channels,), scale))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Images) -> Images:
        """Transform."""
        tokens = x.movedim(1, -1)
        mixed = self.mixing(self.mixing_affine(tokens)) * self.mixing_scale
        tokens = tokens + self.drop_path(mixed)
        mlp = feed_forward(self.mlp_affine(tokens), self.expand, self.project, self.mlp_scale)
        return (tokens + self.drop_path(mlp)).movedim(-1, 1)
