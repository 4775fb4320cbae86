"""Log-spaced continuous position bias. SwinV2, Liu et al. 2022, arXiv:2111.09883, section 3.3."""

from collections.abc import Sequence
from math import log2

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medseg.networks.layers.nd import full_precision
from medseg.networks.layers.windows import pair_offsets

_HIDDEN = 512
_LARGEST = 16.0
_SPREAD = 8.0


class PositionBias(nn.Module):
    """What attention adds for the offset between two tokens: a small network of that offset.

    Offsets are measured in windows of `pretrained_window` tokens and taken to a logarithmic scale,
    so that one set of weights serves windows of another size. It is state beside the weights: it
    belongs to them, and no average over training steps may touch it.

    Args:
        window: Tokens per axis; its length is the number of axes.
        heads: Attention heads.
    Shape:
        window -> (heads, prod(window), prod(window)), between 0 and 16.
    """

    def __init__(self, window: Sequence[int], heads: int) -> None:
        super().__init__()
        self.pretrained_window = tuple(window)
        self.hidden = nn.Linear(len(self.pretrained_window), _HIDDEN)
        self.out = nn.Linear(_HIDDEN, heads, bias=False)

    def forward(self, window: Sequence[int]) -> Tensor:
        """The bias of a window of any size."""
        weight = self.hidden.weight
        # Half precision would merge far offsets.
        with full_precision(weight.device):
            offsets = self._offsets(window, weight)
            table = _LARGEST * torch.sigmoid(self.out(F.relu(self.hidden(offsets))))
        return table.transpose(0, 1)[:, _offset_index(window, weight.device)]

    def _offsets(self, window: Sequence[int], like: Tensor) -> Tensor:
        """All offsets between two tokens, (prod(2 * window - 1), dim), on the logarithmic scale."""
        axes = [
            torch.arange(1 - width, width, device=like.device, dtype=like.dtype)
            * (_SPREAD / max(pretrained - 1, 1))
            for width, pretrained in zip(window, self.pretrained_window, strict=True)
        ]
        grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).flatten(0, -2)
        return grid.sign() * torch.log2(1 + grid.abs()) / log2(_SPREAD)

    def get_extra_state(self) -> Tensor:
        """The window that the weights were trained with, beside them."""
        return torch.tensor(self.pretrained_window)

    def set_extra_state(self, state: Tensor) -> None:
        """Take it over."""
        self.pretrained_window = tuple(int(width) for width in state.tolist())


def _offset_index(window: Sequence[int], device: torch.device) -> Tensor:
    """Row of each pair's offset in the list of all offsets: (tokens, tokens)."""
    index = torch.zeros((), dtype=torch.long, device=device)
    for along, width in zip(pair_offsets(window, device).unbind(-1), window, strict=True):
        index = index * (2 * width - 1) + along + width - 1
    return index
