"""Networks away from their start, where they are nearly the identity and comparisons prove little.

Filled from a seed: weights of variance 1 / fan-in, norm and scale weights 1 +- 0.2, biases and
running means of variance 0.1, running variances between 0.5 and 1.5.
"""

import zlib
from contextlib import contextmanager

import torch
from torch import nn


def fill(module: nn.Module, seed: int = 0) -> nn.Module:
    """Fill every parameter and buffer; what a tensor gets depends on its name and shape alone."""
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if tensor.is_floating_point():
            fill_tensor(name, tensor, seed)
    return module


@torch.no_grad()
def fill_tensor(name: str, tensor: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """Fill one, in place."""
    random = torch.Generator().manual_seed(seed + zlib.crc32(name.encode()))
    if name.endswith("running_var"):
        return tensor.uniform_(0.5, 1.5, generator=random)
    if name.endswith(("bias", "running_mean")):
        return tensor.normal_(0, 0.1**0.5, generator=random)
    if tensor.ndim > 1 and not name.endswith("scale"):
        matrix = tensor[0, 0] if tensor.ndim == 3 else tensor[0]  # 3: one matrix per group
        return tensor.normal_(0, matrix.numel() ** -0.5, generator=random)
    return tensor.uniform_(0.8, 1.2, generator=random)


@contextmanager
def changed(module: nn.Module, name: str, share: float = 0.1):
    """Within, the parameter `name` is larger by a tenth: what a comparison must notice."""
    weight = module.get_parameter(name)
    before = weight.detach().clone()
    with torch.no_grad():
        weight.mul_(1 + share)
        yield
        weight.copy_(before)


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    """The largest difference, in units of the largest value of `b`."""
    return ((a - b).abs().max() / b.abs().max()).item()
