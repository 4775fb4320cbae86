"""The gMLP block, and aMLP's with a little attention. Liu et al. 2021, arXiv:2105.08050."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medseg.networks.layers.drop_path import DropPath
from medseg.networks.layers.feed_forward import feed_forward
from medseg.networks.layers.token_mixing import TokenMixing
from medseg.networks.layers.windows import in_windows, pad_tokens, split_windows
from medseg.types import Images

_EXPANSION = 6
_HEAD_CHANNELS = 64


class SpatialGate(nn.Module):
    """One half of the channels, multiplied by the other half after it is mixed over tokens.

    At its start the gate is open: it multiplies by one.

    Args:
        channels: Of the input; even.
        window: Tokens per axis within which they are mixed.
        dilated: As in `TokenMixing`.
    Shape:
        x: (batch, *spatial, channels), added to the gate: (batch, *spatial, channels / 2)
        -> (batch, *spatial, channels / 2).
    """

    def __init__(self, channels: int, window: Sequence[int], *, dilated: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels // 2)
        self.mixing = TokenMixing(window, dilated=dilated)
        nn.init.normal_(self.mixing.weight, std=1e-6)
        nn.init.ones_(self.mixing.bias)

    def forward(self, x: Tensor, added: Tensor | None) -> Tensor:
        """Gate."""
        passed, gate = x.chunk(2, dim=-1)
        gate = self.mixing(self.norm(gate))
        return passed * (gate if added is None else gate + added)


class TinyAttention(nn.Module):
    """Attention with one head, within windows; tokens that fill up a window are masked out.

    Args:
        in_channels: Of the input.
        out_channels: Of the output.
        window: Tokens per axis.
        dilated: As in `TokenMixing`.
    Shape:
        x: (batch, *spatial, in_channels) -> (batch, *spatial, out_channels).
    """

    def __init__(
        self, in_channels: int, out_channels: int, window: Sequence[int], *, dilated: bool
    ) -> None:
        super().__init__()
        self.window = tuple(window)
        self.dilated = dilated
        self.qkv = nn.Linear(in_channels, 3 * _HEAD_CHANNELS)
        self.project = nn.Linear(_HEAD_CHANNELS, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Attend."""
        mask = self._mask(x)

        def among(windows: Tensor) -> Tensor:
            q, k, v = windows.chunk(3, dim=-1)
            return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)

        return self.project(in_windows(self.qkv(x), self.window, among, dilated=self.dilated))

    def _mask(self, x: Tensor) -> Tensor | None:
        """Which keys are tokens of the map: (1, windows, 1, tokens), broadcast over queries."""
        real = x.new_ones(1, *x.shape[1:-1], 1, dtype=torch.bool)
        padded = pad_tokens(real, self.window)
        if padded.shape == real.shape:
            return None
        return split_windows(padded, self.window, dilated=self.dilated).transpose(-1, -2)


class GMLPBlock(nn.Module):
    """Norm, expansion, spatial gate, projection, residual.

    Args:
        channels: Input and output channels.
        window: Tokens per axis within which they are mixed; one that covers the map is the paper's.
        dilated: Whether windows span the map instead of covering neighbours.
        attention: Whether a little attention is added to the gate: aMLP.
        drop_path: Share of items whose branch is dropped in training.
    Shape:
        x: (batch, channels, *spatial) -> the same.
    """

    def __init__(
        self,
        channels: int,
        window: Sequence[int],
        *,
        dilated: bool = False,
        attention: bool = False,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        hidden = _EXPANSION * channels
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.expand = nn.Linear(channels, hidden)
        self.gate = SpatialGate(hidden, window, dilated=dilated)
        self.attention = (
            TinyAttention(channels, hidden // 2, window, dilated=dilated) if attention else None
        )
        self.project = nn.Linear(hidden // 2, channels)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Images) -> Images:
        """Transform."""
        tokens = self.norm(x.movedim(1, -1))
        added = None if self.attention is None else self.attention(tokens)
        gated = feed_forward(
            tokens, self.expand, lambda hidden: self.project(self.gate(hidden, added))
        )
        return x + self.drop_path(gated).movedim(-1, 1)
