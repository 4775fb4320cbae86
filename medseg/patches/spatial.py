"""Moving voxels: one grid for rotation, scale and elastic deformation, and exact mirroring.

Positions are normalised as in `torch.nn.functional.grid_sample` without aligned corners: -1 and 1
are the outer faces of the patch on every axis, in the order of its spatial axes.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from medseg.sampling import resize
from medseg.types import IGNORED, Images, Labels

Floats = npt.NDArray[np.float32]

MOST_UNEQUAL = 3.0
"""Axes that differ by more, in spacing or in length, are not mixed (nnU-Net's threshold)."""


def free_axes(patch_size: Sequence[int], spacing_mm: Sequence[float]) -> tuple[int, ...]:
    """Axes that may be deformed, blurred and coarsened: neither coarse nor thin beside others."""
    finest, longest = min(spacing_mm), max(patch_size)
    return tuple(
        axis
        for axis, (spacing, length) in enumerate(zip(spacing_mm, patch_size, strict=True))
        if spacing <= MOST_UNEQUAL * finest and longest <= MOST_UNEQUAL * length
    )


def affine_matrices(
    angles: Floats,
    scales: Floats,
    axes: Sequence[int],
    extent_mm: Sequence[float],
) -> Floats:
    """Matrices from a position in the new patch to the position it is taken from, rigid in mm.

    Args:
        angles: (batch, planes) radians, a plane being a pair of `axes` in `itertools.combinations`
            order.
        scales: (batch,) field of view: above 1 things become smaller.
        axes: The axes that take part.
        extent_mm: Length of the patch per axis.

    Returns:
        (batch, dim, dim), exactly the identity where angles are 0 and the scale is 1.
    """
    dim = len(extent_mm)
    matrices = np.tile(np.eye(dim), (len(scales), 1, 1))
    for angle, (a, b) in zip(angles.T, combinations(axes, 2), strict=True):
        turn = np.tile(np.eye(dim), (len(scales), 1, 1))
        turn[:, a, a] = turn[:, b, b] = np.cos(angle)
        turn[:, b, a] = np.sin(angle)
        turn[:, a, b] = -turn[:, b, a]
        matrices = matrices @ turn
    matrices[:, :, list(axes)] *= scales[:, None, None]
    ratio = np.array(extent_mm)[None, :] / np.array(extent_mm)[:, None]
    return (matrices * ratio).astype(np.float32)


def warp(
    image: Images, label: Labels, matrices: Floats, displacements: Floats, patch_size: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Resample the items that are moved; cut the middle out of the others, bit by bit.

    What comes from outside is 0 in the image and `IGNORED` in the label, as in the sampler.

    Args:
        image: (batch, channels, *box) float32; interpolated linearly.
        label: (batch, layers, *box) uint8; nearest.
        matrices: (batch, dim, dim), from the new patch to the patch in the middle of the box.
        displacements: (batch, dim, *points), added to that on a grid of control points; 0 for none.
        patch_size: Voxels of the result per axis, at most the box's and of equal parity.

    Returns:
        New tensors, of the size of the patch.
    """
    box = image.shape[2:]
    margins = [(whole - length) // 2 for whole, length in zip(box, patch_size, strict=True)]
    middle = tuple(slice(m, m + length) for m, length in zip(margins, patch_size, strict=True))
    new_image, new_label = image[(..., *middle)].clone(), label[(..., *middle)].clone()
    turned = (matrices != np.eye(len(box), dtype=np.float32)).any(axis=(1, 2))
    moved = np.flatnonzero(turned | _bent(displacements))
    if len(moved):
        shares = (np.array(patch_size) / np.array(box)).astype(np.float32)
        grid = _grid(
            matrices[moved] * shares[:, None],
            displacements[moved] * shares.reshape(-1, *(1 for _ in box)),
            patch_size,
            image.device,
        )
        items = torch.from_numpy(moved).to(image.device)
        values = F.grid_sample(image.index_select(0, items), grid, align_corners=False)
        new_image.index_copy_(0, items, values)
        # grid_sample fills with 0, and a byte's 255 + 1 is 0: counted from `IGNORED`, that is it.
        classes = (label.index_select(0, items) - IGNORED).float()
        classes = F.grid_sample(classes, grid, mode="nearest", align_corners=False)
        new_label.index_copy_(0, items, classes.to(label.dtype) + IGNORED)
    return new_image, new_label


def mirror_(image: Images, label: Labels, flips: npt.NDArray[np.bool_]) -> None:
    """Reverse axes in place: (batch, dim) flags. Exact, and far cheaper than resampling."""
    for item in np.flatnonzero(flips.any(axis=1)):
        axes = [1 + int(axis) for axis in np.flatnonzero(flips[item])]
        for tensor in (image[item], label[item]):
            tensor.copy_(tensor.flip(axes))


def _bent(displacements: Floats) -> npt.NDArray[np.bool_]:
    return np.any(displacements.reshape(len(displacements), -1), axis=1)


def _grid(
    matrices: Floats, displacements: Floats, size: Sequence[int], device: torch.device
) -> Tensor:
    """(batch, *size, dim) for `grid_sample`, whose last axis counts spatial axes backwards.

    Built one coordinate after the other from lines that broadcast: a sixth of the cost of
    `affine_grid` on small patches, less on large ones.
    """
    dim = len(size)
    weights = torch.from_numpy(matrices).to(device)
    lines = [
        ((torch.arange(length, device=device) + 0.5) * (2 / length) - 1).view(
            -1, *(1 for _ in range(dim - 1 - axis))
        )
        for axis, length in enumerate(size)
    ]
    grid = torch.empty((len(matrices), dim, *size), device=device)
    for axis in range(dim):
        terms = [
            weights[:, axis, other].view(-1, *(1 for _ in range(dim))) * line
            for other, line in enumerate(lines)
        ]
        torch.add(sum(terms[1:-1], terms[0]), terms[-1], out=grid[:, dim - 1 - axis])
    for item in np.flatnonzero(_bent(displacements)):
        coarse = torch.from_numpy(displacements[item]).to(device)
        grid[item].add_(_spread(coarse, size).flip(0))
    return grid.movedim(1, -1)


def _spread(coarse: Tensor, size: Sequence[int]) -> Tensor:
    """Cubic interpolation of (dim, *points) to (dim, *size): `resize`, all channels at once."""
    for axis, length in enumerate(size, start=1):
        points = coarse.shape[axis]
        # Resizing unit vectors gives its weights, (length, points).
        weights = resize(torch.eye(points)[None], (length, points), (3, 3))[0].to(coarse)
        coarse = (coarse.movedim(axis, -1) @ weights.T).movedim(-1, axis)
    return coarse
