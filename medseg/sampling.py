"""N-d resampling and point sampling of tensors: every room that interpolates does it here.

Sizes change edge to edge: the new voxels cover the same field of view (`align_corners=False`).
Resizing is separable: one matrix of weights per axis. The matrix is banded, so it is made and
applied in blocks of rows that touch only the voxels near them, and any part of a result can be had
by itself.
"""

from collections.abc import Callable, Iterator, Sequence
from math import ceil, floor, prod
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from medseg.types import Images, Labels, Maps, PointFeatures, PointLabels, Points

_RADIUS = {0: 0.5, 1: 1.0, 3: 2.0}
_BLOCK_ROWS = 64
_SLAB_ELEMENTS = 1 << 19
# Shares closer than this are ties: the same label on every machine, however its matmul rounds.
_TIE = 1e-6


def resize(x: Tensor, size: Sequence[int], orders: Sequence[int], antialias: bool = True) -> Tensor:
    """Resize each spatial axis by its own interpolation; one that keeps its length is untouched.

    Cubic is Keys' kernel with a = -0.5 (Catmull-Rom). At the borders, the weights that fall inside
    are scaled to sum to one. Nearest takes the voxel that holds the new centre.

    Args:
        x: Any floating dtype; its own voxels are returned when no axis changes.
        size: New length per spatial axis.
        orders: Per spatial axis: 0 nearest, 1 linear, 3 cubic.
        antialias: Whether shrinking widens the kernel to the new spacing (nearest never does).

    Shape:
        x: (channels, *spatial) -> (channels, *size).

    Raises:
        ValueError: If an order is unknown.
    """
    lengths = x.shape[1:]
    axes = [axis for axis, (n, m) in enumerate(zip(lengths, size, strict=True)) if n != m]
    if not axes:
        return x
    axes.sort(key=lambda axis: size[axis] / lengths[axis])  # what shrinks first is cheaper after
    out = x.new_empty(x.shape[0], *size)
    for channel, target in zip(x, out, strict=True):  # one at a time bounds the intermediates
        moved = channel
        for axis in axes:
            moved = _resize_axis(moved, axis, size[axis], orders[axis], antialias)
        target.copy_(moved)
    return out


def resize_slabs(
    x: Tensor, size: Sequence[int], orders: Sequence[int], antialias: bool = True
) -> Iterator[tuple[slice, Tensor]]:
    """`resize` in parts along the first spatial axis, so that the whole never has to exist.

    Half precision, slow and coarse to interpolate in, comes out as float32.

    Yields:
        Rows of the first axis, and (channels, rows, *size[1:]): what `resize` has there. Together
        they are the whole, in order.
    """
    for rows in slab_rows(x.shape, size):
        yield rows, resize_rows(x, rows, size, orders, antialias)


def resize_parts(
    read: Callable[[slice], Tensor],
    shape: Sequence[int],
    size: Sequence[int],
    orders: Sequence[int],
    antialias: bool = True,
) -> Iterator[tuple[slice, Tensor]]:
    """`resize_slabs` of what is only read part by part, such as what has to be computed first.

    Args:
        read: Rows of the first spatial axis -> (channels, rows, *spatial[1:]), floating.
        shape: Of the whole: (channels, *spatial).
        size: New length per spatial axis.
        orders: As in `resize`.
        antialias: As in `resize`.

    Yields:
        As `resize_slabs`.
    """
    for rows in slab_rows(shape, size):
        yield rows, _resize_rows(read, rows, shape, size, orders, antialias)


def slab_rows(shape: Sequence[int], size: Sequence[int]) -> Iterator[slice]:
    """Rows of the first axis of `size` that are made at a time from what has `shape`."""
    return _slabs(size[0], shape[0] * max(prod(size[1:]), prod(shape[2:])))


def resize_rows(
    x: Tensor, rows: slice, size: Sequence[int], orders: Sequence[int], antialias: bool = True
) -> Tensor:
    """Rows of the first spatial axis of what `resize` gives: (channels, rows, *size[1:])."""
    dtype = torch.promote_types(x.dtype, torch.float32)
    return _resize_rows(lambda part: x[:, part].to(dtype), rows, x.shape, size, orders, antialias)


def _resize_rows(
    read: Callable[[slice], Tensor],
    rows: slice,
    shape: Sequence[int],
    size: Sequence[int],
    orders: Sequence[int],
    antialias: bool,
) -> Tensor:
    band = _band(shape[1], size[0], rows, orders[0], antialias)
    near = _weigh(read(band.source), band.weights)
    return resize(near, (rows.stop - rows.start, *size[1:]), orders, antialias)


def resize_labels(label: Tensor, size: Sequence[int], num_classes: int) -> Tensor:
    """Resize class indices: linear on the one-hot of each class, then the largest share.

    Ties go to the lower index. Memory stays bounded: slab by slab, class by class.

    Args:
        label: Integers in [0, num_classes), layers independent of each other.
        size: New length per spatial axis.
        num_classes: Classes in every layer; 2 for layers of 0 and 1.

    Shape:
        label: (layers, *spatial) -> (layers, *size).
    """
    if tuple(label.shape[1:]) == tuple(size):
        return label
    out = label.new_zeros(label.shape[0], *size)
    for layer, target in zip(label, out, strict=True):
        for rows in _slabs(size[0], prod(size[1:])):
            band = _band(layer.shape[0], size[0], rows, order=1, antialias=False)
            target[rows] = _largest_share(
                layer[band.source], band.weights, target[rows].shape, num_classes
            )
    return out


def sample_points(features: Images, points: Points) -> PointFeatures:
    """Bi- or trilinear values of maps at points, constant beyond the outermost voxel centres.

    Computed in float32 at least, since half precision cannot hold positions; returned in the maps'
    dtype.

    Shape:
        features: (batch, channels, *spatial).
        points: (batch, points, dim) in [0, 1], in the order of the spatial axes.
        returns: (batch, channels, points).
    """
    dim = points.shape[-1]
    dtype = torch.promote_types(features.dtype, torch.float32)
    # grid_sample names positions in reverse: the last axis first.
    grid = (2 * points.to(dtype) - 1).flip(-1).unflatten(1, (-1, *[1] * (dim - 1)))
    sampled = F.grid_sample(
        features.to(dtype), grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return sampled.flatten(2).to(features.dtype)


def labels_at(labels: Labels, points: Points) -> PointLabels:
    """The label of the voxel that holds each point: the nearest one.

    Shape:
        labels: (batch, layers, *spatial), integers.
        points: (batch, points, dim) in [0, 1], in the order of the spatial axes.
        returns: (batch, layers, points), of the labels' dtype.
    """
    flat = points.new_zeros(points.shape[:2], dtype=torch.long)
    for axis, length in enumerate(labels.shape[2:]):
        index = (points[..., axis] * length).floor().long().clamp(0, length - 1)
        flat = flat * length + index
    return labels.flatten(2).gather(2, flat[:, None].expand(-1, labels.shape[1], -1))


def upsample(x: Images, factors: Sequence[int]) -> Maps:
    """Linear upsampling by whole factors; an axis with factor 1 is untouched."""
    if all(factor == 1 for factor in factors):
        return x
    size = [length * factor for length, factor in zip(x.shape[2:], factors, strict=True)]
    mode = "bilinear" if len(size) == 2 else "trilinear"
    return F.interpolate(x, size=size, mode=mode, align_corners=False)


class _Band(NamedTuple):
    """Some rows of an axis' matrix: the voxels they read, and (rows, voxels).

    Without weights, the voxels are taken as they are.
    """

    source: slice
    weights: Tensor | None


def _band(length: int, new_length: int, rows: slice, order: int, antialias: bool) -> _Band:
    if length == new_length:
        return _Band(rows, None)
    if order not in _RADIUS:
        raise ValueError(f"order must be 0 (nearest), 1 (linear) or 3 (cubic), got {order}")
    step = length / new_length
    width = max(step, 1.0) if antialias and order else 1.0
    centres = (torch.arange(rows.start, rows.stop, dtype=torch.float64) + 0.5) * step - 0.5
    reach = _RADIUS[order] * width
    first = max(ceil(centres[0].item() - reach), 0)
    last = min(floor(centres[-1].item() + reach), length - 1)
    offsets = (torch.arange(first, last + 1, dtype=torch.float64) - centres[:, None]) / width
    weights = _kernel(offsets, order)
    return _Band(slice(first, last + 1), (weights / weights.sum(dim=1, keepdim=True)).float())


def _kernel(offsets: Tensor, order: int) -> Tensor:
    t = offsets.abs()
    if order == 0:
        return ((offsets > -0.5) & (offsets <= 0.5)).double()
    if order == 1:
        return (1 - t).clamp(min=0)
    near = (1.5 * t - 2.5) * t * t + 1
    far = ((-0.5 * t + 2.5) * t - 4) * t + 2
    return torch.where(t <= 1, near, torch.where(t < 2, far, 0.0))


def _resize_axis(x: Tensor, axis: int, new_length: int, order: int, antialias: bool) -> Tensor:
    """Resize one axis of (*spatial)."""
    length = x.shape[axis]
    flat = x.reshape(prod(x.shape[:axis]), length, -1)
    out = x.new_empty(flat.shape[0], new_length, flat.shape[2])
    for rows in _chunks(new_length, _BLOCK_ROWS):
        band = _band(length, new_length, rows, order, antialias)
        out[:, rows] = _weigh(flat[:, band.source], band.weights)
    return out.reshape(*x.shape[:axis], new_length, *x.shape[axis + 1 :])


def _weigh(x: Tensor, weights: Tensor | None) -> Tensor:
    """Apply (rows, length) to the second axis of (lead, length, *rest)."""
    if weights is None:
        return x
    matrix = weights.to(x)
    shape = (x.shape[0], matrix.shape[0], *x.shape[2:])
    flat = x.reshape(*x.shape[:2], -1)
    if flat.shape[2] == 1:
        return (flat[:, :, 0] @ matrix.T).reshape(shape)
    # A batched product takes the expanded matrix without copying it.
    return torch.bmm(matrix.expand(len(flat), -1, -1), flat).reshape(shape)


def _largest_share(
    near: Tensor, weights: Tensor | None, size: Sequence[int], num_classes: int
) -> Tensor:
    """The winning class in one slab, from the voxels (source rows, ...) that it reads."""
    present = torch.bincount(near.reshape(-1), minlength=num_classes).nonzero().flatten().tolist()
    winner = near.new_full(tuple(size), present[0])
    if len(present) == 1:
        return winner
    best = torch.zeros(tuple(size))
    for index in present:
        rows = _weigh((near == index).float()[None], weights)
        share = resize(rows, size, [1] * len(size), antialias=False)[0]
        wins = share > best + _TIE
        best = torch.where(wins, share, best)
        winner[wins] = index
    return winner


def _chunks(length: int, rows: int) -> Iterator[slice]:
    for start in range(0, length, rows):
        yield slice(start, min(start + rows, length))


def _slabs(length: int, elements_per_row: int) -> Iterator[slice]:
    return _chunks(length, max(1, _SLAB_ELEMENTS // elements_per_row))
