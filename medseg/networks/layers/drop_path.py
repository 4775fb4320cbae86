"""Stochastic depth: Huang et al. 2016, arXiv:1603.09382."""

from torch import Tensor, nn


class DropPath(nn.Module):
    """Drops a residual branch for whole items of the batch, and scales the rest up.

    Args:
        rate: Share of items dropped, in [0, 1).
    Shape:
        x: (batch, ...) -> the same.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Drop, in training only."""
        if not self.training or self.rate == 0:
            return x
        keep = x.new_empty(x.shape[0], *([1] * (x.ndim - 1))).bernoulli_(1 - self.rate)
        return x * (keep / (1 - self.rate))
