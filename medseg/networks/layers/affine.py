"""A scale and a shift per channel."""

import torch
from torch import Tensor, nn


class Affine(nn.Module):
    """A weight and a bias per channel, in place of a norm: no statistics.

    Shape:
        x: (..., channels) -> the same.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Scale and shift."""
        return torch.addcmul(self.bias, x, self.weight)
