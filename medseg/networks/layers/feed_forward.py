"""Expand, activate, project: what a block does to the channels of each token by itself.

The two layers are parts of the block, as `expand` and `project`: so their weights are named in
model files.
"""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F


def expand_and_project(channels: int, expansion: int = 4) -> tuple[nn.Linear, nn.Linear]:
    """The two layers; `expansion` is the hidden channels in multiples of `channels`."""
    hidden = expansion * channels
    return nn.Linear(channels, hidden), nn.Linear(hidden, channels)


def feed_forward(
    tokens: Tensor,
    expand: Callable[[Tensor], Tensor],
    project: Callable[[Tensor], Tensor],
    scale: Tensor | None = None,
) -> Tensor:
    """Transform tokens, (..., channels); `scale` is the layer scale, (channels)."""
    out = project(F.gelu(expand(tokens)))
    return out if scale is None else out * scale
