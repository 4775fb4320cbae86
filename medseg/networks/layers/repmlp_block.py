"""ResNet's bottleneck blocks, plain and with a RepMLP inside.

He et al. 2016, arXiv:1512.03385; Ding et al. 2021, arXiv:2105.01883.
"""

from collections.abc import Sequence

from torch import nn
from torch.nn import functional as F

from medseg.networks.layers.batch_norm import ConvNorm
from medseg.networks.layers.drop_path import DropPath
from medseg.networks.layers.nd import CONVOLUTIONS
from medseg.networks.layers.repmlp import RepMLP
from medseg.types import Images, Maps

_EXPANSION = 4
_LIGHT_REDUCTION = 8


def conv_norm(
    in_channels: int, out_channels: int, kernel: Sequence[int], strides: Sequence[int] | None = None
) -> ConvNorm:
    """A convolution that keeps the size but for its strides, and batch normalisation."""
    convolution = CONVOLUTIONS[len(kernel)](
        in_channels,
        out_channels,
        tuple(kernel),
        stride=tuple(strides or [1] * len(kernel)),
        padding=tuple(width // 2 for width in kernel),
        bias=False,
    )
    return ConvNorm(convolution)


class Residual(nn.Module):
    """A branch, added to the input or to a projection of it, and ReLU.

    Args:
        branch: Of convolutions.
        shortcut: Brings the input to the branch's shape; None: it has that.
        drop_path: Share of items whose branch is dropped in training.
    Shape:
        x: (batch, channels, *spatial) -> as the branch.
    """

    def __init__(
        self, branch: nn.Module, shortcut: nn.Module | None = None, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Images) -> Maps:
        """Transform."""
        same = x if self.shortcut is None else self.shortcut(x)
        return F.relu(same + self.drop_path(self.branch(x)))


def bottleneck(
    in_channels: int,
    out_channels: int,
    kernel: Sequence[int],
    strides: Sequence[int] | None = None,
    drop_path: float = 0.0,
) -> Residual:
    """ResNet's block: 1x1 to a quarter, 3x3, 1x1 back; with strides, a projection beside it."""
    pointwise = [1] * len(kernel)
    width = out_channels // _EXPANSION
    branch = nn.Sequential(
        conv_norm(in_channels, width, pointwise),
        nn.ReLU(),
        conv_norm(width, width, kernel, strides),
        nn.ReLU(),
        conv_norm(width, out_channels, pointwise),
    )
    projection = None
    if strides is not None:
        projection = conv_norm(in_channels, out_channels, pointwise, strides)
    return Residual(branch, projection, drop_path)


def repmlp_bottleneck(
    channels: int,
    reduction: int,
    kernel: Sequence[int],
    window: Sequence[int],
    groups: int,
    drop_path: float = 0.0,
) -> Residual:
    """1x1 to a quarter, 3x3 to that by `reduction`, RepMLP, 3x3 and 1x1 back."""
    pointwise = [1] * len(kernel)
    width = channels // _EXPANSION
    narrow = width // reduction
    branch = nn.Sequential(
        conv_norm(channels, width, pointwise),
        nn.ReLU(),
        conv_norm(width, narrow, kernel),
        nn.ReLU(),
        RepMLP(narrow, window, min(groups, narrow)),
        nn.ReLU(),
        conv_norm(narrow, width, kernel),
        nn.ReLU(),
        conv_norm(width, channels, pointwise),
    )
    return Residual(branch, drop_path=drop_path)


def repmlp_light(
    channels: int, window: Sequence[int], groups: int, drop_path: float = 0.0
) -> Residual:
    """1x1 to an eighth, RepMLP, 1x1 back."""
    pointwise = [1] * len(window)
    narrow = channels // _LIGHT_REDUCTION
    branch = nn.Sequential(
        conv_norm(channels, narrow, pointwise),
        nn.ReLU(),
        RepMLP(narrow, window, min(groups, narrow)),
        nn.ReLU(),
        conv_norm(narrow, channels, pointwise),
    )
    return Residual(branch, drop_path=drop_path)
