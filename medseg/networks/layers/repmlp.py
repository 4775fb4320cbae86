"""RepMLP over any number of spatial axes. Ding et al. 2021, arXiv:2105.01883.

Differs: partitions have a fixed size, and the global perceptron sees a fixed number of them, so
that maps may have any size: two along each axis that a partition extends over.
"""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medseg.networks.layers.batch_norm import BatchNorm, NormLinear
from medseg.networks.layers.folding import convolution_matrix, local_widths, random_kernel
from medseg.networks.layers.windows import in_windows, join_windows, split_windows
from medseg.types import Images

_LOCAL_KERNELS = (1, 3, 5)
_PARTITIONS = 2
_CONVOLVE = {2: F.conv2d, 3: F.conv3d}


class GlobalPerceptron(nn.Module):
    """What each partition learns of the others in its group, from their means.

    Args:
        channels: Input and output channels.
        partitions: In a group.
    Shape:
        x: (groups, partitions, tokens, channels) -> (groups, partitions, 1, channels).
    """

    def __init__(self, channels: int, partitions: int) -> None:
        super().__init__()
        self.squeeze = NormLinear(channels, partitions)
        self.excite = nn.Linear(channels * partitions, channels * partitions)

    def forward(self, x: Tensor) -> Tensor:
        """Compute what is added to every token of a partition."""
        means = x.mean(2, keepdim=True)
        return self.excite(F.relu(self.squeeze(means.flatten(1)))).view(means.shape)


class PartitionPerceptron(nn.Module):
    """One linear layer over all tokens and channels of a partition, and convolutions beside it.

    Args:
        in_channels: Of the input; divisible by `groups`.
        out_channels: Of the output; divisible by `groups`.
        window: Tokens of a partition per axis.
        groups: Parts of the channels that do not see each other.
    Shape:
        x: (partitions, tokens, in_channels) -> (partitions, tokens, out_channels).
    """

    def __init__(
        self, in_channels: int, out_channels: int, window: Sequence[int], groups: int
    ) -> None:
        super().__init__()
        self.window = tuple(window)
        self.groups = groups
        tokens, each_in = prod(window), in_channels // groups
        bound = (each_in * tokens) ** -0.5
        shape = (groups, out_channels // groups * tokens, each_in * tokens)
        self.weight = nn.Parameter(torch.empty(*shape).uniform_(-bound, bound))
        self.norm = BatchNorm(out_channels * tokens)
        self.kernels = nn.ParameterList(
            random_kernel((out_channels, each_in, *local_widths(width, window)))
            for width in _LOCAL_KERNELS
        )
        self.local_norms = nn.ModuleList(BatchNorm(out_channels) for _ in _LOCAL_KERNELS)

    def forward(self, x: Tensor) -> Tensor:
        """Transform."""
        x = x.transpose(1, 2)  # (partitions, channels, tokens)
        out = self.norm(_grouped(x, self.weight)).view(len(x), -1, x.shape[2])
        image = x.reshape(*x.shape[:2], *self.window)
        for kernel, norm in zip(self.kernels, self.local_norms, strict=True):
            padding = [width // 2 for width in kernel.shape[2:]]
            convolve = _CONVOLVE[len(self.window)]
            out = out + norm(
                convolve(image, kernel, padding=padding, groups=self.groups).flatten(2)
            )
        return out.transpose(1, 2)

    def folded(self) -> nn.Module:
        """One linear layer."""
        tokens = prod(self.window)
        scale, bias = self.norm.scale_and_shift()
        weight = self.weight * scale.view(self.groups, -1, 1)
        for kernel, norm in zip(self.kernels, self.local_norms, strict=True):
            assert isinstance(norm, BatchNorm)
            local_scale, local_shift = norm.scale_and_shift()
            matrix = convolution_matrix(kernel, self.window) * local_scale.view(-1, 1, 1, 1)
            weight = weight + matrix.reshape(weight.shape)
            bias = bias + local_shift.repeat_interleave(tokens)
        return FoldedPartitionPerceptron(weight, bias)


class FoldedPartitionPerceptron(nn.Module):
    """A partition perceptron as one grouped linear layer.

    Args:
        weight: (groups, out_channels / groups * tokens, in_channels / groups * tokens).
        bias: (out_channels * tokens).
    Shape:
        x: (partitions, tokens, in_channels) -> (partitions, tokens, out_channels).
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        """Transform."""
        out = _grouped(x.transpose(1, 2), self.weight) + self.bias
        return out.view(len(x), -1, x.shape[1]).transpose(1, 2)


def _grouped(x: Tensor, weight: Tensor) -> Tensor:
    """(partitions, channels, tokens) -> (partitions, out_channels * tokens)."""
    grouped = x.reshape(len(x), len(weight), -1).transpose(0, 1)
    return (grouped @ weight.transpose(1, 2)).transpose(0, 1).flatten(1)


class RepMLP(nn.Module):
    """Global perceptron, then partition and local perceptrons.

    Args:
        channels: Input and output channels; divisible by `groups`.
        window: Tokens of a partition per axis.
        groups: Of the partition perceptron.
    Shape:
        x: (batch, channels, *spatial) -> the same.
    """

    def __init__(self, channels: int, window: Sequence[int], groups: int) -> None:
        super().__init__()
        self.window = tuple(window)
        self.reach = tuple(_PARTITIONS * width if width > 1 else 1 for width in window)
        self.glance = GlobalPerceptron(channels, prod(self.reach) // prod(self.window))
        self.partition = PartitionPerceptron(channels, channels, window, groups)

    def forward(self, x: Images) -> Images:
        """Transform."""
        return in_windows(x.movedim(1, -1), self.reach, self._mix).movedim(-1, 1)

    def _mix(self, groups: Tensor) -> Tensor:
        """(batch, groups of partitions, tokens, channels) -> the same."""
        x = groups.flatten(0, 1).unflatten(1, self.reach)
        parts = split_windows(x, self.window)
        parts = parts + self.glance(parts)
        mixed = self.partition(parts.flatten(0, 1)).view(parts.shape)
        return join_windows(mixed, self.window, self.reach).view(groups.shape)
