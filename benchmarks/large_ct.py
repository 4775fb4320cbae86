"""Large abdominal CTs with organ labels, made from one small example and a seed.

    python benchmarks/large_ct.py --example FOLDER --output FOLDER

FOLDER of the example holds `ct.nii.gz` and `organs.nii.gz`. Each case bends the example's organs
smoothly, makes them larger or smaller, places and crops the body anew, continues it above and below
and fills it with intensities of its own: neighbours of like HU, twins on both sides, hollow organs
with gas, contrast agent in some, noise. Neither HU nor position tells the organs apart, context
does. Three of four cases go to `train/`, the fourth to `test/`.

What exists is kept, so that the command can be repeated after a kill, or with more `--cases`. For
trials of speed: `--size 512 512 600 --spacing-mm 0.75 --cases 4`.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from body import AIR, BONE, FAT, SOFT, Array, Body, read_body, sample
from scipy import ndimage
from scipy.stats import norm
from torch import Tensor

from medseg.console import Terminal
from medseg.errors import MedsegError
from medseg.files import write_text
from medseg.geometry import Geometry
from medseg.progress import Progress
from medseg.scans.write import write_image, write_label_map

FIELD_MM = ((330, 400), (275, 330), (90, 200))
"""Extent of a scan per axis, where `--size` does not say."""
SLAB, HALO, TILE = 32, 4, 64
"""Voxels: a slab is made at once, with as much on both sides as blur reaches; tissues by tiles."""
COARSE_MM, FINE_MM = 5.0, 1.5
"""Steps of the grids that random fields live on."""
BENDS = ((45.0, 8.0), (15.0, 2.5))
"""Smoothness and standard deviation of the deformation, mm."""
ENHANCEMENT = {
    "aorta": 160, "kidney": 110, "portal": 100, "vena_cava": 70, "spleen": 60, "liver": 45,
    "pancreas": 45, "adrenal": 40, "stomach": 15, "bowel": 25, "duodenum": 25,
}  # fmt: skip
"""HU that a full dose of contrast agent adds, by a part of the organ's name."""
CONTINUES = (
    "vertebrae",
    "cord",
    "aorta",
    "vena_cava",
    "autochthon",
    "rib",
    "lung",
    "psoas",
    "cost",
)
CONTINUES_BELOW = ("colon", "bowel")
"""Parts of names: what goes on where the example ends. Other organs taper off."""
TAPER_MM = 40.0
"""How far beyond the example an organ of 40 mm radius ends."""
VERTEBRA_MM, DISC_MM = 34.0, 6.0
"""Of the spine beyond the example, whose vertebrae have no label."""


class Wish(NamedTuple):
    """What is asked for: the same wish gives the same voxels."""

    seed: int
    spacing_mm: float
    size: tuple[int, int, int] | None
    organs: int


class Draw(NamedTuple):
    """All that is random in a case but the noise.

    Attributes:
        size: Voxels.
        matrix: (3, 3), mm in the scan, from its centre, to mm in the example.
        centre_mm: (3,), the point of the example that is the scan's centre.
        coarse: (5, *grid): a displacement in mm, shading, blobs of 12 mm.
        fine: (2, *grid): texture of 2.5 and of 6 mm.
        growth_mm: (tissues,), how much larger each tissue's radius is.
        hu: (tissues,).
        gas: (tissues,), above which value of the blobs a hollow organ is filled with gas.
        blur_mm: Standard deviation of the scanner's blur.
        noise_hu: Standard deviation.
    """

    size: tuple[int, int, int]
    matrix: Array
    centre_mm: Array
    coarse: Tensor
    fine: Tensor
    growth_mm: Tensor
    hu: Tensor
    gas: Tensor
    blur_mm: float
    noise_hu: float


def main() -> None:
    """Read the arguments, make what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--example", type=Path, required=True, help="ct.nii.gz and organs.nii.gz")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--cases", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--spacing-mm", type=float, default=1.0)
    parser.add_argument("--size", type=int, nargs=3, help="voxels; default: differs by case")
    parser.add_argument("--organs", type=int, default=15, help="the largest keep their labels")
    given = parser.parse_args()
    size = tuple(given.size) if given.size else None
    wish = Wish(given.seed, given.spacing_mm, size, given.organs)
    try:
        make(given.example, given.output, given.cases, wish, Terminal())
    except MedsegError as error:
        sys.exit(str(error))


def make(example: Path, output: Path, cases: int, wish: Wish, progress: Progress) -> None:
    """Write `train/` and `test/`, each with images, labels and a dataset.json.

    Raises:
        MedsegError: If a wish cannot be met, or the folder holds cases of another one.
    """
    body = read_body(example)
    labelled = _labelled(body, wish)
    _remember(output, wish)
    names = {body.tissues[tissue].name: value for tissue, value in labelled.items()}
    description = json.dumps({"labels": {"background": 0, **names}}, indent=2)
    for part in ("train", "test"):
        for kind in ("images", "labels"):
            (output / part / kind).mkdir(parents=True, exist_ok=True)
        write_text(output / part / "dataset.json", description)
    values = torch.zeros(len(body.tissues), dtype=torch.uint8)
    values[list(labelled)] = torch.tensor(list(labelled.values()), dtype=torch.uint8)
    for index in progress.track(range(cases), "cases", cases):
        folder, name = output / ("test" if index % 4 == 3 else "train"), f"ct_{index:03d}.nii.gz"
        if (folder / "labels" / name).exists():  # it is written last
            continue
        hu, label, geometry = make_case(body, values, wish, index, progress)
        write_image(hu[None], geometry, folder / "images" / name)
        write_label_map(label, geometry, folder / "labels" / name)


def _labelled(body: Body, wish: Wish) -> dict[int, int]:
    """Tissue -> value, in the example's order, from 1."""
    organs = [number for number, tissue in enumerate(body.tissues) if tissue.voxels]
    if not 1 <= wish.organs <= len(organs):
        raise MedsegError(f"--organs {wish.organs}", f"must be 1 to {len(organs)}", "change it")
    if wish.spacing_mm <= 0 or min(wish.size or (2,)) < 2:
        raise MedsegError("--spacing-mm, --size", "must be above 0 and 1", "change them")
    largest = sorted(organs, key=lambda number: -body.tissues[number].voxels)[: wish.organs]
    return {number: value for value, number in enumerate(sorted(largest), start=1)}


def _remember(output: Path, wish: Wish) -> None:
    """Cases of two wishes in one folder would be one dataset to whoever reads it."""
    file, text = output / "made.json", json.dumps(wish._asdict())
    output.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        write_text(file, text)
    elif file.read_text(encoding="utf-8") != text:
        raise MedsegError(
            str(output), "holds cases made otherwise (made.json)", "name a new folder"
        )


def make_case(
    body: Body, values: Tensor, wish: Wish, index: int, progress: Progress
) -> tuple[Array, Array, Geometry]:
    """One scan, slab by slab.

    Args:
        body: The example.
        values: (tissues,), the label of each.
        wish: What is asked for.
        index: Which case.
        progress: Told about the slabs.

    Returns:
        HU as int16 and labels as uint8, (*size), and their grid.
    """
    draw = draw_case(body, wish, np.random.default_rng([wish.seed, index]))
    hu, label = np.empty(draw.size, np.int16), np.empty(draw.size, np.uint8)
    slices = draw.size[2]
    for first in progress.track(range(0, slices, SLAB), f"slabs of case {index}"):
        last = min(first + SLAB, slices)
        made = range(max(first - HALO, 0), min(last + HALO, slices))
        kept = slice(first - made.start, last - made.start)
        position = _position_mm(draw, wish.spacing_mm, made)
        coarse = sample(draw.coarse, position / COARSE_MM)
        source, beyond = _source(body, draw, wish.spacing_mm, position, coarse[:3])
        tissue, depth = tissues_at(body, draw, source, beyond)
        label[..., first:last] = values[tissue[..., kept]].numpy()
        skin = sample(body.depth_mm[[body.number(AIR)]], source)[0] > -2.5
        clean = intensities(body, draw, (tissue, depth, skin), coarse[3:], position)
        seed = (wish.seed, index)
        hu[..., first:last] = _scanned(clean, draw, wish.spacing_mm, made, seed)[..., kept]
    origin = np.random.default_rng([wish.seed, index, 1]).uniform(-300, 0, 3).round(1)
    affine = np.diag([*(wish.spacing_mm,) * 3, 1.0])
    affine[:3, 3] = origin
    return hu, label, Geometry.from_affine(draw.size, affine)


def draw_case(body: Body, wish: Wish, random: np.random.Generator) -> Draw:
    """All that is random in a case but its noise."""
    wide = np.array([random.uniform(*span) for span in FIELD_MM])
    size = np.array(wish.size) if wish.size else np.rint(wide / wish.spacing_mm).astype(int)
    field_mm = size * wish.spacing_mm
    scale = random.uniform(0.85, 1.15) * random.uniform(0.93, 1.07, 3)
    scale[2] = random.uniform(0.9, 1.25)
    slack = field_mm[2] - scale[2] * body.length_mm[2]
    shift = random.uniform(-30, 30, 3)
    shift[2] = random.uniform(-0.4, 0.4) * abs(slack) + random.uniform(-15, 15)
    coarse = [
        sum(mm * _field(random, field_mm, COARSE_MM, smooth) for smooth, mm in BENDS)
        for _ in range(3)
    ]
    coarse += [_field(random, field_mm, COARSE_MM, smooth) for smooth in (60.0, 12.0)]
    radius = body.depth_mm.amax((1, 2, 3)).numpy().clip(0, 20)
    gas = random.uniform(0.6, 1.3) * np.array([tissue.gas for tissue in body.tissues])
    return Draw(
        size=(int(size[0]), int(size[1]), int(size[2])),
        matrix=np.diag(1 / scale) @ _rotation(np.radians(random.uniform(-1, 1, 3) * (4, 4, 10))),
        centre_mm=body.length_mm / 2 + shift / scale,
        coarse=torch.from_numpy(np.stack(coarse)),
        fine=torch.from_numpy(
            np.stack([_field(random, field_mm, FINE_MM, smooth) for smooth in (2.5, 6.0)])
        ),
        growth_mm=_tensor(0.1 * radius * random.uniform(-1, 1, len(radius))),
        hu=_tensor(_mean_hu(body, random)),
        gas=_tensor(norm.ppf(1 - gas.clip(1e-9, 0.9))),
        blur_mm=random.uniform(0.5, 0.9),
        noise_hu=random.uniform(8, 22),
    )


def _mean_hu(body: Body, random: np.random.Generator) -> Array:
    """Each organ's own, and contrast agent in half of the cases."""
    dose = max(random.uniform(-1, 1), 0)
    hu = np.array([tissue.hu for tissue in body.tissues])
    spread = np.array([6 if -200 < tissue.hu < 120 else 30 for tissue in body.tissues])
    hu += spread * random.normal(0, 1, len(hu))
    for number, tissue in enumerate(body.tissues):
        added = (gain for part, gain in ENHANCEMENT.items() if part in tissue.name)
        hu[number] += dose * random.uniform(0.7, 1.3) * next(added, 8)
        if tissue.name == AIR:
            hu[number] = -1000
    return hu


def _rotation(angles: Array) -> Array:
    """About x, then y, then z."""
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        one, other = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[[one, other], [one, other]] = np.cos(angle)
        turn[one, other], turn[other, one] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    return matrix


def _field(
    random: np.random.Generator, extent_mm: Array, step_mm: float, smooth_mm: float
) -> Array:
    """Smooth noise of unit variance that covers a scan."""
    shape = np.ceil(extent_mm / step_mm).astype(int) + 2
    noise = random.standard_normal(shape, dtype=np.float32)
    sigma = smooth_mm / step_mm
    smooth = ndimage.gaussian_filter(noise, sigma, mode="wrap")
    return smooth * float(2 * np.sqrt(np.pi) * sigma) ** 1.5


def _tensor(values: Array) -> Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float32))


def _position_mm(draw: Draw, spacing_mm: float, slices: range) -> Tensor:
    """(3, x, y, slices), from the first voxel."""
    axes = [torch.arange(n) for n in draw.size[:2]]
    axes.append(torch.arange(slices.start, slices.stop))
    return torch.stack(torch.meshgrid(*axes, indexing="ij")).float() * spacing_mm


def _source(
    body: Body, draw: Draw, spacing_mm: float, position_mm: Tensor, bend_mm: Tensor
) -> tuple[Tensor, Tensor]:
    """Where voxels come from.

    Returns:
        (3, ...), in voxels of the example; and how far below (negative) or above its ends, in mm of
        the scan.
    """
    middle = _tensor((np.array(draw.size) - 1) * spacing_mm / 2).view(3, 1, 1, 1)
    moved = torch.einsum("ab,b...->a...", _tensor(draw.matrix), position_mm - middle + bend_mm)
    source_mm = moved + _tensor(draw.centre_mm).view(3, 1, 1, 1)
    top = float(body.length_mm[2])
    beyond = (source_mm[2] - source_mm[2].clamp(0, top)) / float(draw.matrix[2, 2])
    return source_mm / body.spacing_mm, beyond


def tissues_at(body: Body, draw: Draw, source: Tensor, beyond_mm: Tensor) -> tuple[Tensor, Tensor]:
    """The tissue that is deepest at each voxel.

    Args:
        body: The example.
        draw: For how much tissues grow.
        source: (3, x, y, z), in voxels of the example.
        beyond_mm: (x, y, z), as `_source` gives it.

    Returns:
        Index of the tissue and depth in mm, (x, y, z).
    """
    tissue = torch.empty(source.shape[1:], dtype=torch.long)
    depth = torch.empty(source.shape[1:])
    shrink = _shrink_mm(body, beyond_mm)
    fills = torch.tensor(
        [(tissue.is_lung and tissue.voxels > 0) or tissue.name == FAT for tissue in body.tissues]
    )
    for tile in _tiles(source.shape[1:3]):
        index = source[(slice(None), *tile)]
        box, first = _box(index, body.depth_mm.shape[1:])
        cut = body.depth_mm[(slice(None), *box)]
        near = torch.nonzero((cut.amax((1, 2, 3)) > -6) | fills)[:, 0]
        score = sample(cut[near], index - first) + draw.growth_mm[near].view(-1, 1, 1, 1)
        for row, number in enumerate(near.tolist()):
            if number in shrink:
                score[row] -= shrink[number][tile]
            if not fills[number]:  # what tapers off leaves its place to lungs and fat
                score[row].masked_fill_(score[row] < -2, -1e3)
        deepest = score.max(0)
        tissue[tile], depth[tile] = near[deepest.indices], deepest.values
    return _with_spine(body, tissue, beyond_mm), depth


def _shrink_mm(body: Body, beyond_mm: Tensor) -> dict[int, Tensor]:
    """Tissue -> how much its radius is less at each voxel, for organs that taper off."""
    far = beyond_mm.square() / TAPER_MM
    above = torch.where(beyond_mm > 0, far, torch.zeros(()))
    shrink: dict[int, Tensor] = {}
    if not bool(beyond_mm.any()):
        return shrink
    for number, tissue in enumerate(body.tissues):
        if tissue.voxels and not any(part in tissue.name for part in CONTINUES):
            shrink[number] = above if any(p in tissue.name for p in CONTINUES_BELOW) else far
    return shrink


def _with_spine(body: Body, tissue: Tensor, beyond_mm: Tensor) -> Tensor:
    """Beyond the example the last vertebra ends; discs and vertebrae without a label follow."""
    spine = [n for n, kind in enumerate(body.tissues) if kind.name.startswith("vertebrae")]
    if not spine:
        return tissue
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


def intensities(
    body: Body,
    draw: Draw,
    found: tuple[Tensor, Tensor, Tensor],
    shading: Tensor,
    position_mm: Tensor,
) -> Tensor:
    """HU before blur and noise.

    Args:
        body: The example.
        draw: The case's HU and textures.
        found: Tissue, depth in mm, and whether the skin is near, (x, y, z) each.
        shading: (2, x, y, z): shading and blobs.
        position_mm: (3, x, y, z).

    Returns:
        (x, y, z).
    """
    tissue, depth, skin = found
    fine, medium = sample(draw.fine, position_mm / FINE_MM)
    shade, blobs = shading
    air = body.number(AIR)

    def of(*names: str) -> Tensor:
        return torch.tensor([t.name in names for t in body.tissues])[tissue]

    lung = torch.tensor([t.is_lung for t in body.tissues])[tissue]
    bone = torch.tensor([t.is_bone for t in body.tissues])[tissue]
    hollow = torch.tensor([t.gas > 0 for t in body.tissues])[tissue]
    hu = draw.hu[tissue]
    outside = tissue == air
    hu += torch.where(outside, 0.0, 4 * shade + 5 * fine + 6 * medium)
    hu += torch.where(of(FAT), 40 * (fine - 1.2).clamp(min=0), 0.0)  # vessels
    hu += torch.where(lung, 350 * (medium + 0.6 * fine - 1.5).clamp(0, 2) + 20 * medium, 0.0)
    hu += torch.where(bone, 300 * torch.exp(-depth.clamp(min=0) / 1.5) - 60 + 40 * fine, 0.0)
    hu -= torch.where((blobs > 2.4) & (depth > 4) & ~(lung | bone), 22.0, 0.0)  # cysts
    gas = hollow & (depth > 2.5) & (blobs + 0.25 * medium > draw.gas[tissue])
    hu = torch.where(gas, -920 + 30 * medium, hu)
    return torch.where(skin & ~outside, draw.hu[body.number(SOFT)] - 20, hu)


def _scanned(
    clean: Tensor, draw: Draw, spacing_mm: float, slices: range, seed: tuple[int, int]
) -> Array:
    """Blur, noise that is the same however slabs are cut, and the scanner's range."""
    noise = np.stack(
        [
            np.random.default_rng([*seed, 2, number]).standard_normal(draw.size[:2], np.float32)
            for number in slices
        ],
        axis=-1,
    )
    grain = ndimage.gaussian_filter(noise, 0.7, truncate=3.0)
    blurred = ndimage.gaussian_filter(clean.numpy(), draw.blur_mm / spacing_mm, truncate=3.0)
    hu = blurred + draw.noise_hu * (2 * np.sqrt(np.pi) * 0.7) ** 1.5 * grain
    return np.rint(hu.clip(-1024, 3071)).astype(np.int16)


if __name__ == "__main__":
    main()
