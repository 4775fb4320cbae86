"""The RepMLPNet unit over any number of spatial axes. Ding et al. 2022, arXiv:2112.11081.

Differs: partitions are windows of fixed size, alternately of neighbours and dilated; one that
covers the map is the paper's. Channels that share weights are neighbours; in the authors' code they
lie a number of sets apart, which is the same but for the order of channels.
"""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medseg.networks.layers.batch_norm import BatchNorm, LinearNorm, TokenBatchNorm
from medseg.networks.layers.drop_path import DropPath
from medseg.networks.layers.feed_forward import feed_forward
from medseg.networks.layers.folding import convolution_matrix, local_widths, random_kernel
from medseg.networks.layers.token_mixing import TokenMixing
from medseg.networks.layers.windows import in_windows
from medseg.types import Images

_EXPANSION = 4
_REDUCTION = 4
_LOCAL_KERNELS = (1, 3)


class SetMixing(nn.Module):
    """Tokens of a partition, mixed by a linear layer and by local convolutions beside it.

    Channels of one set share their weights. Inside a partition a convolution is a linear layer
    whose weights repeat, and is computed as one; each of the three has its batch normalisation.

    Args:
        window: Tokens of a partition per axis.
        sets: Parts of the channels.
        dilated: As in `TokenMixing`.
    Shape:
        x: (batch, *spatial, channels) -> the same.
    """

    def __init__(self, window: Sequence[int], sets: int, *, dilated: bool) -> None:
        super().__init__()
        self.window = tuple(window)
        self.dilated = dilated
        tokens = prod(window)
        bound = tokens**-0.5
        self.weight = nn.Parameter(torch.empty(sets, tokens, tokens).uniform_(-bound, bound))
        self.kernels = nn.ParameterList(
            random_kernel((sets, 1, *local_widths(width, window))) for width in _LOCAL_KERNELS
        )
        self.norms = nn.ModuleList(BatchNorm(sets) for _ in range(1 + len(_LOCAL_KERNELS)))

    def forward(self, x: Tensor) -> Tensor:
        """Mix."""
        return in_windows(x, self.window, self._mix, dilated=self.dilated)

    def _matrices(self) -> list[Tensor]:
        """Each way to mix, as a linear layer of all tokens: (sets, tokens, tokens)."""
        local = (convolution_matrix(kernel, self.window).squeeze(2) for kernel in self.kernels)
        return [self.weight, *local]

    def _mix(self, windows: Tensor) -> Tensor:
        """(batch, windows, tokens, channels) -> the same."""
        sets = len(self.weight)
        x = windows.flatten(0, 1).unflatten(-1, (sets, -1)).permute(2, 1, 0, 3)
        flat = x.flatten(2)
        mixed = sum(
            norm((matrix @ flat).transpose(0, 1))
            for norm, matrix in zip(self.norms, self._matrices(), strict=True)
        )
        assert isinstance(mixed, Tensor)
        return mixed.transpose(0, 1).reshape(x.shape).permute(2, 1, 0, 3).reshape(windows.shape)

    def folded(self) -> nn.Module:
        """One linear layer."""
        mixing = TokenMixing(self.window, len(self.weight), dilated=self.dilated)
        weight, bias = torch.zeros_like(self.weight), torch.zeros_like(self.weight[..., 0])
        for norm, matrix in zip(self.norms, self._matrices(), strict=True):
            assert isinstance(norm, BatchNorm)
            scale, shift = norm.scale_and_shift()
            weight = weight + scale[:, None, None] * matrix
            bias = bias + shift[:, None]
        mixing.weight, mixing.bias = nn.Parameter(weight), nn.Parameter(bias)
        return mixing


class RepMLPNetUnit(nn.Module):
    """Tokens are mixed and gated by the whole map's mean, then channels; each after a batch norm.

    Args:
        channels: Input and output channels; divisible by `sets`.
        window: Tokens of a partition per axis.
        sets: Parts of the channels that share their token weights.
        dilated: Whether partitions span the map instead of covering neighbours.
        drop_path: Share of items whose branches are dropped in training.
    Shape:
        x: (batch, channels, *spatial) -> the same.
    """

    def __init__(
        self,
        channels: int,
        window: Sequence[int],
        sets: int,
        *,
        dilated: bool = False,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.mixing_norm = TokenBatchNorm(channels)
        self.squeeze = nn.Linear(channels, channels // _REDUCTION)
        self.excite = nn.Linear(channels // _REDUCTION, channels)
        self.mixing = SetMixing(window, sets, dilated=dilated)
        self.mlp_norm = TokenBatchNorm(channels)
        self.expand = LinearNorm(channels, _EXPANSION * channels)
        self.project = LinearNorm(_EXPANSION * channels, channels)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Images) -> Images:
        """Transform."""
        tokens = x.movedim(1, -1)
        normed = self.mixing_norm(tokens)
        mixed = self.mixing(normed) * self._gate(normed)
        tokens = tokens + self.drop_path(mixed)
        mlp = feed_forward(self.mlp_norm(tokens), self.expand, self.project)
        return (tokens + self.drop_path(mlp)).movedim(-1, 1)

    def _gate(self, tokens: Tensor) -> Tensor:
        """One factor per item and channel, from the mean over the map."""
        mean = tokens.flatten(1, -2).mean(1)
        gate = torch.sigmoid(self.excite(F.relu(self.squeeze(mean))))
        return gate.view(len(gate), *([1] * (tokens.ndim - 2)), -1)
