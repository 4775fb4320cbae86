"""Changing intensities, in place, of the items whose parameter is not neutral.

Images are (batch, channels, *spatial) float32 and contiguous; parameters are one number per item,
or per item and channel.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from medseg.types import Images

Floats = npt.NDArray[np.float32]

_TINY = 1e-7


def add_noise_(image: Images, stds: Floats, seed: int) -> None:
    """White Gaussian noise of standard deviation (batch,); neutral 0. Each device has its own."""
    chosen = _chosen(stds, 0)
    if chosen:
        random = torch.Generator(image.device).manual_seed(seed)
        noise = torch.empty_like(image[0])
        for item in chosen:
            image[item].add_(noise.normal_(generator=random), alpha=float(stds[item]))


def blur_(image: Images, sigmas: Floats, axes: Sequence[int]) -> None:
    """Gaussian blur of width (batch,) voxels along spatial `axes`; neutral 0."""
    for item in _chosen(sigmas, 0):
        blurred = image[item]
        for axis in axes:
            blurred = _blur_axis(blurred, float(sigmas[item]), 1 + axis)
        image[item] = blurred


def scale_brightness_(image: Images, factors: Floats) -> None:
    """Multiply by (batch, channels); neutral 1."""
    for item in _chosen(factors, 1):
        _rows(image, item).mul_(_column(factors[item], image))


def scale_contrast_(image: Images, factors: Floats) -> None:
    """Multiply the distance to the mean by (batch, channels), within the old range; neutral 1."""
    for item in _chosen(factors, 1):
        rows = _rows(image, item)
        low, high = rows.amin(1, keepdim=True), rows.amax(1, keepdim=True)
        mean = rows.mean(1, keepdim=True)
        rows.sub_(mean).mul_(_column(factors[item], image)).add_(mean).clamp_(low, high)


def lower_resolution_(image: Images, zooms: Floats, axes: Sequence[int]) -> None:
    """Keep a share (batch,) of the voxels of each of `axes`, interpolate the rest; neutral 1."""
    size = image.shape[2:]
    linear = "bilinear" if len(size) == 2 else "trilinear"
    for item in _chosen(zooms, 1):
        zoom = float(zooms[item])
        small = [
            max(1, round(length * zoom)) if axis in axes else length
            for axis, length in enumerate(size)
        ]
        # Not `sampling.resize`: this need not be exact, and torch's own takes a third of the time.
        dropped = F.interpolate(image[item, None], small, mode="nearest-exact")
        image[item] = F.interpolate(dropped, size, mode=linear)[0]


def change_gamma_(image: Images, gammas: Floats, inverted: bool) -> None:
    """Raise intensities, scaled to [0, 1], to the power (batch, channels); neutral 1.

    Mean and standard deviation of each channel stay. Inverted: bright and dark exchange their
    parts.
    """
    for item in _chosen(gammas, 1):
        rows = _rows(image, item)
        if inverted:
            rows.neg_()
        mean = rows.mean(1, keepdim=True)
        norm = torch.linalg.vector_norm(rows.sub_(mean), dim=1, keepdim=True)
        low = rows.amin(1, keepdim=True)
        span = rows.amax(1, keepdim=True).sub_(low).clamp_(min=_TINY)
        # exp(gamma log x) takes half the time of a power; log 0 = -inf comes back as 0.
        rows.sub_(low).div_(span).log_().mul_(_column(gammas[item], image)).exp_()
        rows.sub_(rows.mean(1, keepdim=True))
        new_norm = torch.linalg.vector_norm(rows, dim=1, keepdim=True).clamp_(min=_TINY)
        rows.mul_(norm / new_norm).add_(mean)
        if inverted:
            rows.neg_()


def _chosen(values: Floats, neutral: float) -> list[int]:
    changed = (values != neutral).reshape(len(values), -1).any(axis=1)
    return np.flatnonzero(changed).tolist()


def _rows(image: Images, item: int) -> Tensor:
    """(channels, voxels): a view, so that it can be changed in place."""
    return image[item].view(image.shape[1], -1)


def _column(values: Floats, image: Images) -> Tensor:
    return torch.from_numpy(values).to(image.device).view(-1, 1)


def _blur_axis(x: Tensor, sigma: float, axis: int) -> Tensor:
    """Shifted adds: with so few weights, a third of a convolution's cost on a CPU."""
    length = x.shape[axis]
    total = x.clone()
    norm = torch.ones(length, device=x.device)
    for shift in range(1, min(math.ceil(3 * sigma), length - 1) + 1):
        weight = math.exp(-0.5 * (shift / sigma) ** 2)
        for here, there in ((0, shift), (shift, 0)):
            part = x.narrow(axis, there, length - shift)
            total.narrow(axis, here, length - shift).add_(part, alpha=weight)
            norm.narrow(0, here, length - shift).add_(weight)
    return total.div_(norm.view(-1, *(1 for _ in range(x.ndim - 1 - axis))))


def hide_channels_(image: Images, hidden: Tensor | None) -> None:
    """Set channels to the value that absent ones have once intensities are normalised.

    Args:
        image: (batch, channels, *spatial).
        hidden: (batch, channels) flags; None hides nothing.
    """
    if hidden is not None:
        image.masked_fill_(hidden.to(image.device)[(..., *(None,) * (image.ndim - 2))], 0.0)
