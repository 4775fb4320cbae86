"""Which tissue is where in a made CT: the example's, bent, and continued beyond its ends."""

from collections.abc import Iterator

import numpy as np
import torch
from large_ct_body import BONE, FAT, SOFT, Body, Tissue, sample
from large_ct_draw import Draw, to_tensor
from torch import Tensor

TILE = 64
"""Voxels: tissues are told apart by squares, within which there are few."""
CONTINUES = (
    "vertebrae", "cord", "aorta", "vena_cava", "autochthon", "rib", "lung", "psoas", "cost",
)  # fmt: skip
CONTINUES_BELOW = ("colon", "bowel")
"""Parts of names: what goes on where the example ends. Other organs taper off."""
NEAR_MM, GAP_MM = 6.0, 2.0
"""A tile knows no tissue that is farther away. Gaps wider than this are filled by lungs and fat."""
LUNG_FIRST_MM = 15.0
"""Above the example lungs fill gaps, even if fat is so much nearer."""
TAPER_MM = 40.0
"""How far beyond the example an organ of 40 mm radius ends."""
VERTEBRA_MM, DISC_MM = 34.0, 6.0
"""Of the spine beyond the example, whose vertebrae have no label."""


def positions_mm(draw: Draw, spacing_mm: float, slices: range) -> Tensor:
    """(3, x, y, slices), from the first voxel."""
    axes = [torch.arange(n) for n in draw.size[:2]]
    axes.append(torch.arange(slices.start, slices.stop))
    return torch.stack(torch.meshgrid(*axes, indexing="ij")).float() * spacing_mm


def source_of(
    body: Body, draw: Draw, spacing_mm: float, position_mm: Tensor, bend_mm: Tensor
) -> tuple[Tensor, Tensor]:
    """Where voxels come from.

    Returns:
        (3, ...), in voxels of the example; and how far below (negative) or above its ends, in mm of
        the scan.
    """
    middle = to_tensor((np.array(draw.size) - 1) * spacing_mm / 2).view(3, 1, 1, 1)
    moved = torch.einsum("ab,b...->a...", to_tensor(draw.matrix), position_mm - middle + bend_mm)
    source_mm = moved + to_tensor(draw.centre_mm).view(3, 1, 1, 1)
    top = float(body.length_mm[2])
    beyond = (source_mm[2] - source_mm[2].clamp(0, top)) / float(draw.matrix[2, 2])
    return source_mm / body.spacing_mm, beyond


def tissues_at(body: Body, draw: Draw, source: Tensor, beyond_mm: Tensor) -> tuple[Tensor, Tensor]:
    """The tissue that is deepest at each voxel.

    Args:
        body: The example.
        draw: For how much tissues grow.
        source: (3, x, y, z), in voxels of the example.
        beyond_mm: (x, y, z), as `source_of` gives it.

    Returns:
        Index of the tissue and depth in mm, (x, y, z).
    """
    tissue = torch.empty(source.shape[1:], dtype=torch.long)
    depth = torch.empty(source.shape[1:])
    shrink = _shrink_mm(body, beyond_mm)
    fills = torch.tensor([kind.name == FAT or kind.is_lung for kind in body.tissues])
    for tile in _tiles(source.shape[1:3]):
        index = source[(slice(None), *tile)]
        box, first = _box(index, body.depth_mm.shape[1:])
        cut = body.depth_mm[(slice(None), *box)]
        near = torch.nonzero((cut.amax((1, 2, 3)) > -NEAR_MM) | fills)[:, 0]
        deep = sample(cut[near], index - first) + draw.growth_mm[near].view(-1, 1, 1, 1)
        for row, number in zip(deep, near.tolist(), strict=True):
            if number in shrink:
                row -= shrink[number][tile]
            if body.tissues[number].name == FAT:  # specks of it would cut the lungs to stripes
                row -= LUNG_FIRST_MM * ((row < -GAP_MM) & (beyond_mm[tile] > 0))
            elif not fills[number]:
                row.masked_fill_(row < -GAP_MM, -torch.inf)
        deepest = deep.max(0)
        tissue[tile], depth[tile] = near[deepest.indices], deepest.values
    return _with_spine(body, tissue, beyond_mm), depth


def _shrink_mm(body: Body, beyond_mm: Tensor) -> dict[int, Tensor]:
    """Tissue -> how much its radius is less at each voxel, for organs that taper off."""
    if not beyond_mm.any():
        return {}
    both_ends = beyond_mm.square() / TAPER_MM
    above = both_ends * (beyond_mm > 0)
    return {
        number: above if _is_one_of(kind, CONTINUES_BELOW) else both_ends
        for number, kind in enumerate(body.tissues)
        if kind.voxels and not _is_one_of(kind, CONTINUES)
    }


def _is_one_of(tissue: Tissue, parts: tuple[str, ...]) -> bool:
    return any(part in tissue.name for part in parts)


def _with_spine(body: Body, tissue: Tensor, beyond_mm: Tensor) -> Tensor:
    """Beyond the example the last vertebra ends; discs and vertebrae without a label follow."""
    spine = [n for n, kind in enumerate(body.tissues) if kind.name.startswith("vertebrae")]
    after = beyond_mm.abs() - VERTEBRA_MM / 3
    other = (after > 0) & torch.isin(tissue, torch.tensor(spine))
    disc = other & (after.remainder(VERTEBRA_MM) < DISC_MM)
    tissue[other], tissue[disc] = body.number(BONE), body.number(SOFT)
    return tissue


def _tiles(size: torch.Size) -> Iterator[tuple[slice, slice]]:
    for x in range(0, size[0], TILE):
        for y in range(0, size[1], TILE):
            yield slice(x, x + TILE), slice(y, y + TILE)


def _box(index: Tensor, size: torch.Size) -> tuple[tuple[slice, ...], Tensor]:
    """The part of the example that positions need, two voxels long or more, and its begin."""
    flat = index.flatten(1)
    limit = torch.tensor(size) - 2
    low = flat.amin(1).floor().long().clamp(torch.zeros(3, dtype=torch.long), limit)
    high = torch.maximum(flat.amax(1).ceil().long().clamp(max=limit + 1), low + 1)
    box = tuple(slice(int(a), int(b) + 1) for a, b in zip(low, high, strict=True))
    return box, low.view(3, 1, 1, 1).float()
