"""A linear layer over the tokens of a window: what the vision MLPs have instead of attention.

Its weight is tied to a number of tokens. A window that covers the map is the papers' form; smaller
ones serve maps of any size, and windows that are dilated in every second block let the whole map
take part.
"""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medseg.networks.layers.windows import in_windows


class TokenMixing(nn.Module):
    """Each token of a window becomes a weighted sum of all its tokens, in every channel.

    Args:
        window: Tokens per axis.
        groups: Parts of the channels with weights of their own.
        dilated: As in `split_windows`.
        shifted: Whether windows lie half a window further, on axes of more than one window. Zeros
            fill the windows at the edges.
    Shape:
        x: (batch, *spatial, channels) -> the same.
    """

    def __init__(
        self,
        window: Sequence[int],
        groups: int = 1,
        *,
        dilated: bool = False,
        shifted: bool = False,
    ) -> None:
        super().__init__()
        self.window = tuple(window)
        self.dilated = dilated
        self.shifted = shifted
        tokens = prod(window)
        bound = tokens**-0.5
        self.weight = nn.Parameter(torch.empty(groups, tokens, tokens).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(groups, tokens))

    def forward(self, x: Tensor) -> Tensor:
        """Mix."""
        before = [
            -(width // 2) % width if self.shifted and length > width else 0
            for length, width in zip(x.shape[1:-1], self.window, strict=True)
        ]
        if any(before):
            x = F.pad(x, [0, 0, *(pad for first in reversed(before) for pad in (first, 0))])
        x = in_windows(x, self.window, self._mix, dilated=self.dilated)
        return x[(slice(None), *(slice(first, None) for first in before))]

    def _mix(self, windows: Tensor) -> Tensor:
        """(batch, windows, tokens, channels) -> the same."""
        groups = len(self.weight)
        x = windows.flatten(0, 1)
        if groups == 1:
            # One product per window takes a sixth less time than rearranging tokens for one.
            weight = self.weight.expand(len(x), -1, -1)
            return torch.baddbmm(self.bias[..., None], weight, x).view(windows.shape)
        # One large product per group instead of a small one per window: half the time.
        x = x.unflatten(-1, (groups, -1)).permute(2, 1, 0, 3)
        mixed = torch.baddbmm(self.bias[..., None], self.weight, x.flatten(2))
        return mixed.view(x.shape).permute(2, 1, 0, 3).reshape(windows.shape)
