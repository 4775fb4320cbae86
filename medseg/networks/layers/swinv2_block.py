"""The SwinV2 block over any number of spatial axes. Liu et al. 2022, arXiv:2111.09883."""

from collections.abc import Sequence

from torch import nn

from medseg.networks.layers.drop_path import DropPath
from medseg.networks.layers.feed_forward import expand_and_project, feed_forward
from medseg.networks.layers.window_attention import WindowAttention
from medseg.types import Images


class SwinV2Block(nn.Module):
    """Residual post-norm: each branch ends in a norm, and so cannot grow with depth.

    Args:
        channels: Input and output channels; divisible by `heads`.
        heads: Attention heads.
        window: Tokens per axis.
        shifted: Whether windows are shifted by half.
        drop_path: Share of items whose branches are dropped in training.
        chunks: Parts that attention is worked off in.
        scale: Start of the norms' weights; the paper's 0 suits deep networks and long trainings.
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
        chunks: int = 1,
        scale: float = 0.0,
    ) -> None:
        super().__init__()
        self.attention = WindowAttention(channels, heads, window, shifted=shifted, chunks=chunks)
        self.attention_norm = nn.LayerNorm(channels)
        self.expand, self.project = expand_and_project(channels)
        self.mlp_norm = nn.LayerNorm(channels)
        self.drop_path = DropPath(drop_path)
        for norm in (self.attention_norm, self.mlp_norm):
            nn.init.constant_(norm.weight, scale)

    def forward(self, x: Images) -> Images:
        """Transform."""
        tokens = x.movedim(1, -1)
        tokens = tokens + self.drop_path(self.attention_norm(self.attention(tokens)))
        mlp = feed_forward(tokens, self.expand, self.project)
        return (tokens + self.drop_path(self.mlp_norm(mlp))).movedim(-1, 1)
