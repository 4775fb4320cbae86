"""Scaled cosine attention in windows. SwinV2, Liu et al. 2022, arXiv:2111.09883.

Differs: any number of axes, a window and a shift per axis, and tokens that only fill up the last
window are masked out.
"""

from collections.abc import Iterator, Sequence
from math import log, prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from medseg.networks.layers.biased_attention import EdgeMask, attend
from medseg.networks.layers.position_bias import PositionBias
from medseg.networks.layers.windows import crop_tokens, join_windows, pad_tokens, split_windows

_FIRST_SCALE = log(10)
_LARGEST_SCALE = log(100)


class WindowAttention(nn.Module):
    """Attention among the tokens of each window.

    Args:
        channels: Input and output channels; divisible by `heads`.
        heads: Attention heads.
        window: Tokens per axis; clipped to the map.
        shifted: Whether windows lie half a window further, on axes of more than one window.
        chunks: Parts that the windows are worked off in, one after the other.
    Shape:
        x: (batch, *spatial, channels) -> the same.
    """

    def __init__(
        self, channels: int, heads: int, window: Sequence[int], *, shifted: bool, chunks: int = 1
    ) -> None:
        super().__init__()
        self.heads = heads
        self.window = tuple(window)
        self.shifted = shifted
        self.chunks = chunks
        self.qkv = nn.Linear(channels, 3 * channels, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(channels))
        self.v_bias = nn.Parameter(torch.zeros(channels))
        self.logit_scale = nn.Parameter(torch.full((heads, 1, 1), _FIRST_SCALE))
        self.bias = PositionBias(window, heads)
        self.project = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Attend."""
        size = x.shape[1:-1]
        window = [min(width, length) for width, length in zip(self.window, size, strict=True)]
        shifts = [
            width // 2 if self.shifted and length > width else 0
            for width, length in zip(window, size, strict=True)
        ]
        axes = tuple(range(1, x.ndim - 1))
        x = pad_tokens(x, window)
        padded = x.shape[1:-1]
        if any(shifts):
            x = x.roll([-shift for shift in shifts], axes)
        counts = [length // width for length, width in zip(padded, window, strict=True)]
        masks = list(edge_masks(size, window, shifts, x.device))
        windows = split_windows(x, window).unflatten(1, counts)
        windows = self._attend_in_chunks(windows, self.bias(window), masks).flatten(1, -3)
        x = join_windows(windows, window, padded)
        if any(shifts):
            x = x.roll(shifts, axes)
        return crop_tokens(x, size)

    def _attend_in_chunks(self, x: Tensor, bias: Tensor, masks: Sequence[EdgeMask]) -> Tensor:
        """All windows, or part after part along the longest axis of windows, or of the batch.

        Shape:
            x: (batch, *counts, tokens, channels) -> the same.
        """
        if self.chunks == 1:
            return self._attend(x, bias, masks)
        axis = max(range(x.ndim - 2), key=lambda axis: x.shape[axis])
        parts: list[Tensor] = []
        first = 0
        for part in x.chunk(self.chunks, axis):
            length = part.shape[axis]
            own = [
                mask._replace(place=mask.place - first) if 1 + mask.axis == axis else mask
                for mask in masks
                if 1 + mask.axis != axis or first <= mask.place < first + length
            ]
            if self.training and torch.is_grad_enabled():
                # Otherwise the backward pass would keep what attention needs of every part.
                parts.append(checkpoint(self._attend, part, bias, own, use_reentrant=False))
            else:
                parts.append(self._attend(part, bias, own))
            first += length
        return torch.cat(parts, axis)

    def _attend(self, x: Tensor, bias: Tensor, masks: Sequence[EdgeMask]) -> Tensor:
        *windows, tokens, channels = x.shape
        no_bias = torch.zeros_like(self.q_bias)
        qkv = F.linear(x, self.qkv.weight, torch.cat([self.q_bias, no_bias, self.v_bias]))
        qkv = qkv.reshape(-1, tokens, 3, self.heads, channels // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).contiguous().unflatten(1, windows).unbind(0)
        scale = self.logit_scale.clamp(max=_LARGEST_SCALE).exp()
        q, k = F.normalize(q.float(), dim=-1) * scale, F.normalize(k.float(), dim=-1)
        out = attend(q, k, v, bias, masks)
        return self.project(out.transpose(-2, -3).flatten(-2))


def edge_masks(
    size: Sequence[int], window: Sequence[int], shifts: Sequence[int], device: torch.device
) -> Iterator[EdgeMask]:
    """What tells apart, axis by axis, tokens that came into one window by shifting or padding.

    The cyclic shift brings the map's first tokens behind its last ones; padding fills the last
    window. Both are facts of an axis, and so only windows at the ends of axes need a mask.

    Args:
        size: Tokens of the map per axis, padding left out.
        window: Tokens of a window per axis.
        shifts: Tokens that the map was rolled back by, per axis.
        device: Where masks are needed.
    """
    for axis, (length, width, shift) in enumerate(zip(size, window, shifts, strict=True)):
        padded = -(-length // width) * width
        if padded == length and not shift:
            continue
        places = (torch.arange(padded, device=device) + shift) % padded
        # Tokens that came round the end are another region. Padding sees everything: nothing is
        # read from it, and a row of minus infinities would have no softmax.
        came_round = torch.arange(padded, device=device) >= padded - shift
        is_padding = places >= length
        apart = (came_round[:, None] != came_round) | is_padding[None]
        apart = apart & ~is_padding[:, None]
        for place in range(padded // width):
            if (place + 1) * width <= length - shift:
                continue  # neither padding nor the seam comes so early
            own = slice(place * width, (place + 1) * width)
            yield EdgeMask(axis, place, _spread(apart[own, own], window, axis))


def _spread(apart: Tensor, window: Sequence[int], axis: int) -> Tensor:
    """A mask of pairs along one axis, as one of all pairs of tokens of a window."""
    before, after = prod(window[:axis]), prod(window[axis + 1 :])
    width = window[axis]
    mask = torch.zeros(width, width, device=apart.device).masked_fill_(apart, float("-inf"))
    mask = mask[None, :, None, None, :, None].expand(before, -1, after, before, -1, after)
    return mask.reshape(before * width * after, before * width * after)
