"""One made CT, slab by slab: tissues, their HU, the scanner's blur and noise."""

from collections.abc import Callable

import numpy as np
import torch
from large_ct_bend import positions_mm, source_of, tissues_at
from large_ct_body import AIR, FAT, SOFT, Array, Body, Tissue, sample
from large_ct_draw import COARSE_MM, FINE_MM, Draw, Wish, draw_case, unit_variance
from scipy import ndimage
from torch import Tensor

from medseg.geometry import Geometry
from medseg.progress import Progress

SLAB = 32
"""Slices that are made at once, beside those on both sides that blur reaches."""
GRAIN = 0.7
"""Smoothness of the noise, voxels."""
SKIN_MM, WALL_MM = 2.5, 2.5
"""Thickness of the skin, and of the wall of a hollow organ."""


def make_case(
    body: Body, values: Tensor, wish: Wish, index: int, progress: Progress
) -> tuple[Array, Array, Geometry]:
    """One scan.

    Args:
        body: The example.
        values: (tissues,), the label of each.
        wish: What is asked for.
        index: Which case.
        progress: Told about the slabs.

    Returns:
        HU as int16 and labels as uint8, (*size), and their grid.
    """
    seed = (wish.seed, index)
    draw = draw_case(body, wish, np.random.default_rng(seed))
    blur = draw.blur_mm / wish.spacing_mm
    halo = int(3 * max(blur, GRAIN) + 0.5)
    hu, label = np.empty(draw.size, np.int16), np.empty(draw.size, np.uint8)
    slices = draw.size[2]
    for first in progress.track(range(0, slices, SLAB), f"slabs of case {index}"):
        last = min(first + SLAB, slices)
        made = range(max(first - halo, 0), min(last + halo, slices))
        kept = slice(first - made.start, last - made.start)
        clean, tissue = _slab(body, draw, wish.spacing_mm, made)
        smooth = ndimage.gaussian_filter(clean.numpy(), blur, truncate=3.0)
        scanned = smooth + draw.noise_hu * _grain(seed, draw.size, made)
        hu[..., first:last] = np.rint(scanned[..., kept].clip(-1024, 3071))
        label[..., first:last] = values[tissue[..., kept]].numpy()
    affine = np.diag([wish.spacing_mm] * 3 + [1.0])
    affine[:3, 3] = np.random.default_rng((*seed, 1)).uniform(-300, 0, 3).round(1)
    return hu, label, Geometry.from_affine(draw.size, affine)


def _slab(body: Body, draw: Draw, spacing_mm: float, slices: range) -> tuple[Tensor, Tensor]:
    """HU before blur and noise, and the tissues, (x, y, slices) each."""
    position = positions_mm(draw, spacing_mm, slices)
    coarse = sample(draw.coarse, position / COARSE_MM)
    fine = sample(draw.fine, position / FINE_MM)
    source, beyond = source_of(body, draw, spacing_mm, position, coarse[:3])
    tissue, depth = tissues_at(body, draw, source, beyond)
    hu = intensities(body, draw, tissue, depth, torch.cat([coarse[3:], fine]))
    air = body.number(AIR)
    skin = sample(body.depth_mm[[air]], source)[0] > -SKIN_MM
    return torch.where(skin & (tissue != air), draw.hu[body.number(SOFT)] - 20, hu), tissue


def intensities(
    body: Body, draw: Draw, tissue: Tensor, depth_mm: Tensor, textures: Tensor
) -> Tensor:
    """HU of tissues: the organ's own, and what makes its texture.

    Args:
        body: The example.
        draw: The case's HU and share of gas.
        tissue: (x, y, z).
        depth_mm: (x, y, z), how deep in the tissue.
        textures: (4, x, y, z): shading, blobs of 12, texture of 2.5 and of 6 mm.

    Returns:
        (x, y, z).
    """
    shade, blobs, fine, medium = textures

    def within(is_meant: Callable[[Tissue], bool]) -> Tensor:
        return torch.tensor([is_meant(kind) for kind in body.tissues])[tissue]

    lung, bone = within(lambda kind: kind.is_lung), within(lambda kind: kind.is_bone)
    soft = ~(lung | bone | within(lambda kind: kind.name == AIR))
    hu = draw.hu[tissue]
    hu += soft * (4 * shade + 5 * fine + 6 * medium)
    hu += within(lambda kind: kind.name == FAT) * 40 * (fine - 1.2).clamp(min=0)  # vessels
    hu += lung * (20 * medium + 350 * (medium + 0.6 * fine - 1.5).clamp(0, 2))  # vessels
    hu += bone * (40 * fine - 60 + 300 * torch.exp(-depth_mm.clamp(min=0) / 1.5))  # cortex
    hu -= 22 * (soft & (blobs > 2.4) & (depth_mm > 4))  # cysts
    hollow = within(lambda kind: kind.gas > 0) & (depth_mm > WALL_MM)
    gas = hollow & (blobs + 0.25 * medium > draw.gas[tissue])
    return torch.where(gas, -920 + 30 * medium, hu)


def _grain(seed: tuple[int, int], size: tuple[int, int, int], slices: range) -> Array:
    """Noise of unit variance, drawn slice by slice: the same however slabs are cut."""
    noise = [
        np.random.default_rng((*seed, 2, number)).standard_normal(size[:2], np.float32)
        for number in slices
    ]
    grain = ndimage.gaussian_filter(np.stack(noise, axis=-1), GRAIN, truncate=3.0)
    return grain * unit_variance(GRAIN)
