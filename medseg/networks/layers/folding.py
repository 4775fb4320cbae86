"""The form of a network that is fastest to run: what training needs apart is made one layer.

Structural re-parameterisation: Ding et al. 2021, arXiv:2101.03697 and 2105.01883. The result is the
same function, but for rounding.
"""

import copy
from collections.abc import Sequence
from math import prod
from typing import Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from medseg.networks.layers.windows import pair_offsets

Network = TypeVar("Network", bound=nn.Module)


@runtime_checkable
class Foldable(Protocol):
    """A module that has another form, equal in evaluation."""

    def folded(self) -> nn.Module:
        """That form; parts of it may be foldable themselves."""
        ...


@torch.no_grad()
def fold(network: Network) -> Network:
    """A copy whose parts are folded where they can be; the network itself stays as it is.

    Works on the meta device too, so that a file of folded weights finds its place.
    """
    folded = copy.deepcopy(network)
    _fold_parts(folded)
    return folded


def _fold_parts(module: nn.Module) -> None:
    for name, part in module.named_children():
        if isinstance(part, Foldable):
            # A new layer gets its weights from `part`: to draw others would cost time, and would
            # change the random numbers of a training that goes on.
            with torch.device("meta"):
                new = part.folded()
            new.train(part.training)
            setattr(module, name, new)
        _fold_parts(module.get_submodule(name))


def local_widths(width: int, window: Sequence[int]) -> list[int]:
    """A kernel of that odd width, but 1 along axes that a window does not extend over."""
    return [width if tokens > 1 else 1 for tokens in window]


def random_kernel(shape: Sequence[int]) -> nn.Parameter:
    """A kernel (out, in, *widths) to start from, as torch's convolutions do."""
    bound = prod(shape[1:]) ** -0.5
    return nn.Parameter(torch.empty(*shape).uniform_(-bound, bound))


def convolution_matrix(kernel: Tensor, window: Sequence[int]) -> Tensor:
    """A convolution inside a window, padded with zeros, as the linear layer that it is.

    Args:
        kernel: (out, in, *widths), odd.
        window: Tokens per axis.

    Returns:
        (out, tokens, in, tokens).
    """
    widths = kernel.shape[2:]
    tokens = prod(window)
    # Output token t reads input token u with the tap at u - t, counted from the centre.
    offsets = -pair_offsets(window, kernel.device)
    index = torch.zeros((), dtype=torch.long, device=kernel.device)
    reached = torch.ones((), dtype=torch.bool, device=kernel.device)
    for along, width in zip(offsets.unbind(-1), widths, strict=True):
        place = along + width // 2
        reached = reached & (place >= 0) & (place < width)
        index = index * width + place
    taps = torch.cat([kernel.flatten(2), kernel.new_zeros(*kernel.shape[:2], 1)], dim=2)
    index = torch.where(reached, index, taps.shape[2] - 1)
    matrix = taps[:, :, index.flatten()].unflatten(2, (tokens, tokens))
    return matrix.transpose(1, 2)
