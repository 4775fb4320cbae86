"""How much each voxel of a window counts where windows overlap.

Most in its middle, where the context is whole.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

_SIGMA = 1 / 8
_FLOOR = 1e-3


def blend_weights(window: Sequence[int]) -> Tensor:
    """A separable Gaussian of sigma = window / 8 per axis (as nnU-Net's), never 0.

    Returns:
        float32 of shape `window`.
    """
    weights = torch.ones(())
    for length in window:
        offsets = torch.arange(length) - (length - 1) / 2
        axis = torch.exp(-0.5 * (offsets / (_SIGMA * length)) ** 2)
        weights = weights[..., None] * axis
    return weights.clamp(min=_FLOOR)
