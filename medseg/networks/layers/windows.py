"""Cutting a grid of tokens into windows of one size, and putting it together again."""

from collections.abc import Callable, Sequence
from math import prod

import torch
from torch import Tensor
from torch.nn import functional as F


def pad_tokens(x: Tensor, window: Sequence[int]) -> Tensor:
    """Append zeros until every axis is a multiple of the window.

    Shape:
        x: (batch, *spatial, channels) -> the same, at least as large.
    """
    size = x.shape[1:-1]
    missing = [-length % width for length, width in zip(size, window, strict=True)]
    if not any(missing):
        return x
    return F.pad(x, [0, 0, *(pad for extra in reversed(missing) for pad in (0, extra))])


def crop_tokens(x: Tensor, size: Sequence[int]) -> Tensor:
    """The first `size` tokens of every axis: the inverse of `pad_tokens`.

    Shape:
        x: (batch, *spatial, channels) -> (batch, *size, channels).
    """
    return x[(slice(None), *(slice(length) for length in size))]


def split_windows(x: Tensor, window: Sequence[int], *, dilated: bool = False) -> Tensor:
    """Tokens of each window side by side.

    Args:
        x: Tokens; every axis is a multiple of the window.
        window: Tokens per axis.
        dilated: A window takes every (length / width)-th token of an axis, and so spans the grid,
            instead of neighbours.

    Shape:
        x: (batch, *spatial, channels) -> (batch, windows, prod(window), channels).
    """
    dim = len(window)
    batch, *size, channels = x.shape
    counts = [length // width for length, width in zip(size, window, strict=True)]
    outer, inner = _axes(dim, dilated=dilated)
    x = x.reshape(batch, *_pairs(counts, window, dilated=dilated), channels)
    x = x.permute(0, *outer, *inner, 2 * dim + 1)
    return x.reshape(batch, prod(counts), prod(window), channels)


def join_windows(
    windows: Tensor, window: Sequence[int], size: Sequence[int], *, dilated: bool = False
) -> Tensor:
    """The inverse of `split_windows`.

    Shape:
        windows: (batch, windows, prod(window), channels) -> (batch, *size, channels).
    """
    dim = len(window)
    batch, channels = windows.shape[0], windows.shape[-1]
    counts = [length // width for length, width in zip(size, window, strict=True)]
    outer, inner = _axes(dim, dilated=dilated)
    order = [0, *outer, *inner, 2 * dim + 1]
    x = windows.reshape(batch, *counts, *window, channels)
    x = x.permute([order.index(axis) for axis in range(2 * dim + 2)])
    return x.reshape(batch, *size, channels)


def _pairs(counts: Sequence[int], window: Sequence[int], *, dilated: bool) -> list[int]:
    """Each axis as two: which window, and where in it; the other way round if dilated."""
    pairs = zip(window, counts, strict=True) if dilated else zip(counts, window, strict=True)
    return [length for pair in pairs for length in pair]


def _axes(dim: int, *, dilated: bool) -> tuple[list[int], list[int]]:
    """Positions of the axes that count windows, and of those within them."""
    even, odd = [1 + 2 * axis for axis in range(dim)], [2 + 2 * axis for axis in range(dim)]
    return (odd, even) if dilated else (even, odd)


def in_windows(
    x: Tensor,
    window: Sequence[int],
    transform: Callable[[Tensor], Tensor],
    *,
    dilated: bool = False,
) -> Tensor:
    """Transform tokens window by window; zeros fill up the last windows and are cut off after.

    Args:
        x: (batch, *spatial, channels).
        window: Tokens per axis.
        transform: Maps (batch, windows, prod(window), channels) to the same but for the channels.
        dilated: As in `split_windows`.
    """
    size = x.shape[1:-1]
    x = pad_tokens(x, window)
    out = transform(split_windows(x, window, dilated=dilated))
    return crop_tokens(join_windows(out, window, x.shape[1:-1], dilated=dilated), size)


def pair_offsets(window: Sequence[int], device: torch.device) -> Tensor:
    """Which of all offsets there are between two tokens of a window.

    Returns:
        (tokens, tokens, axes): the place of the first token minus that of the second.
    """
    axes = torch.meshgrid(*(torch.arange(width, device=device) for width in window), indexing="ij")
    places = torch.stack(axes, -1).flatten(0, -2)
    return places[:, None] - places


def merge_neighbours(x: Tensor, strides: Sequence[int]) -> Tensor:
    """Tokens of boxes of `strides` as one token with all their channels.

    Within a box the first axis changes fastest, as in the Swin papers' code: in 2D the order is
    (0, 0), (1, 0), (0, 1), (1, 1).

    Shape:
        x: (batch, *spatial, channels) -> (batch, *spatial / strides, prod(strides) * channels).
    """
    dim = len(strides)
    batch, *size, channels = x.shape
    counts = [length // stride for length, stride in zip(size, strides, strict=True)]
    x = x.reshape(batch, *_pairs(counts, strides, dilated=False), channels)
    outer, inner = _axes(dim, dilated=False)
    x = x.permute(0, *outer, *reversed(inner), 2 * dim + 1)
    return x.reshape(batch, *counts, prod(strides) * channels)
