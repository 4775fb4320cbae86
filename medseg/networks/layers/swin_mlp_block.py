"""The Swin MLP block over any number of spatial axes: Swin with a linear layer for attention.

Liu et al., Swin-Transformer repository, models/swin_mlp.py.
"""

from collections.abc import Sequence

from torch import nn

from medseg.networks.layers.drop_path import DropPath
from medseg.networks.layers.feed_forward import expand_and_project, feed_forward
from medseg.networks.layers.token_mixing import TokenMixing
from medseg.types import Images


class SwinMLPBlock(nn.Module):
    """Tokens of a window are mixed head by head, then channels; both branches begin with a norm.

    Args:
        channels: Input and output channels; divisible by `heads`.
        heads: Parts of the channels with token weights of their own.
        window: Tokens per axis.
        shifted: Whether windows are shifted by half.
        drop_path: Share of items whose branches are dropped in training.
    Shape:
        x: (batch, channels, *spatial) -> the same.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        window: Sequence[int],
        *,
        shifted: bool,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.mixing_norm = nn.LayerNorm(channels)
        self.mixing = TokenMixing(window, heads, shifted=shifted)
        self.mlp_norm = nn.LayerNorm(channels)
        self.expand, self.project = expand_and_project(channels)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Images) -> Images:
        """Transform."""
        tokens = x.movedim(1, -1)
        tokens = tokens + self.drop_path(self.mixing(self.mixing_norm(tokens)))
        mlp = feed_forward(self.mlp_norm(tokens), self.expand, self.project)
        return (tokens + self.drop_path(mlp)).movedim(-1, 1)
