"""What differs between 2D and 3D in torch's own layers, looked up once when a network is built."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medseg.types import Images

CONVOLUTIONS: dict[int, Callable[..., nn.Conv2d | nn.Conv3d]] = {2: nn.Conv2d, 3: nn.Conv3d}


def channels_last(x: Images) -> Images:
    """The same tensor with its channels contiguous in memory: (batch, channels, *spatial).

    Convolutions are several times faster so on a CPU, and a move of the channel axis to the end is
    free.
    """
    if x.ndim == 4:
        return x.contiguous(memory_format=torch.channels_last)
    return x.contiguous(memory_format=torch.channels_last_3d)


def pad_to_multiples(x: Tensor, multiples: Sequence[int]) -> Tensor:
    """Repeat the last voxels of each axis until its length is a multiple.

    Shape:
        x: (batch, channels, *spatial) -> the same, at least as large.
    """
    missing = [-length % n for length, n in zip(x.shape[2:], multiples, strict=True)]
    if not any(missing):
        return x
    pads = [pad for extra in reversed(missing) for pad in (0, extra)]
    return F.pad(x, pads, mode="replicate")


def patch_convolution(
    in_channels: int, out_channels: int, strides: Sequence[int], *, bias: bool = True
) -> nn.Conv2d | nn.Conv3d:
    """A convolution over non-overlapping boxes of `strides` voxels; one box becomes one voxel."""
    kernel = tuple(strides)
    return CONVOLUTIONS[len(kernel)](in_channels, out_channels, kernel, stride=kernel, bias=bias)


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """Within, mixed precision is off; the meta device has none."""
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)
