"""How large a patch is, and how many make a batch."""

from collections.abc import Callable, Sequence
from math import ceil, prod
from typing import NamedTuple

from medseg.errors import MedsegError
from medseg.plan.topology import Recipe, Topology, topology

CPU_VOXELS = {2: 2**16, 3: 2**17}
"""Network's dimensions -> largest patch, in voxels, that trains at a bearable pace on a CPU."""
GPU_VOXELS = {2: 2**18, 3: 2**21}
"""The same on a GPU."""
BATCH_VOXELS = 2**17
"""Voxels that a batch may have, as long as it is of `FEWEST` to `MOST` patches."""
FEWEST, MOST = 2, 16
BATCH_RULE = f"{FEWEST} to {MOST} patches, as {BATCH_VOXELS} voxels hold"
SMALLEST_SIDE = 32
"""Patches are not shrunk below so many voxels of the finest axis: too little context."""


def by(values: Sequence[float]) -> str:
    """Values per axis in words, such as '40x56x40'."""
    return "x".join(f"{value:g}" for value in values)


class Candidate(NamedTuple):
    """What decides how much memory a training step takes."""

    patch_size: tuple[int, ...]
    batch_size: int
    stem_strides: tuple[int, ...]
    stage_strides: tuple[tuple[int, ...], ...]
    kernels: tuple[tuple[int, ...], ...]
    channels: int
    num_outputs: int
    multilabel: bool


class Shape(NamedTuple):
    """A patch and the topology made for it."""

    patch_size: tuple[int, ...]
    topology: Topology


class Limits(NamedTuple):
    """What the machine allows.

    Attributes:
        voxels: Largest patch; None: `CPU_VOXELS`.
        memory: Bytes that a training step may take; None: no limit.
    """

    voxels: int | None = None
    memory: int | None = None


def shape_for(size: Sequence[int], spacing_mm: Sequence[float], wants: Recipe) -> Shape:
    """The smallest patch of at least `size` that the topology for it divides."""
    made = topology(size, spacing_mm, wants)
    strides = made.total_strides
    return Shape(tuple(ceil(n / t) * t for n, t in zip(size, strides, strict=True)), made)


def shapes(
    size: Sequence[int], spacing_mm: Sequence[float], wants: Recipe, most_voxels: int
) -> list[Shape]:
    """All patches to choose from, largest first: cubes in mm, cut off where the median case ends.

    Args:
        size: Voxels of the median prepared case per network axis, at `spacing_mm`.
        spacing_mm: Per network axis.
        wants: What the encoder wants.
        most_voxels: Larger patches are left out, unless none is smaller.
    """
    long_axes = [s for n, s in zip(size, spacing_mm, strict=True) if n > 1]
    finest = min(long_axes or spacing_mm)
    longest = ceil(max(n * s for n, s in zip(size, spacing_mm, strict=True)) / finest)
    found: dict[tuple[int, ...], Shape] = {}
    for side in range(longest, min(longest, SMALLEST_SIDE) - 1, -1):
        cut = [
            max(1, min(n, round(side * finest / s))) for n, s in zip(size, spacing_mm, strict=True)
        ]
        shape = shape_for(cut, spacing_mm, wants)
        found.setdefault(shape.patch_size, shape)
    ordered = sorted(found.values(), key=lambda shape: -prod(shape.patch_size))
    return [shape for shape in ordered if prod(shape.patch_size) <= most_voxels] or ordered[-1:]


def choose_batch(patch_size: Sequence[int]) -> int:
    """The largest power of two of patches that stays under `BATCH_VOXELS`, but 2 to 16."""
    batch = MOST
    while batch > FEWEST and batch * prod(patch_size) > BATCH_VOXELS:
        batch //= 2
    return batch


def fit(
    choices: Sequence[Shape],
    batches: Sequence[int],
    step_bytes: Callable[[Shape, int], int],
    memory: int | None,
) -> tuple[Shape, int]:
    """The largest patch that fits into memory; if none does, the smallest in a smaller batch.

    Args:
        choices: Patches, largest first.
        batches: Batch sizes, largest first.
        step_bytes: Memory of a training step, in bytes.
        memory: Bytes there are; None: enough.

    Raises:
        MedsegError: If even the smallest step is too large.
    """
    if memory is None:
        return choices[0], batches[0]
    pairs = [(shape, batches[0]) for shape in choices]
    pairs += [(choices[-1], batch) for batch in batches[1:]]
    need = 0
    for shape, batch in pairs:
        need = step_bytes(shape, batch)
        if need <= memory:
            return shape, batch
    shape, batch = pairs[-1]
    raise MedsegError(
        f"max_memory = {memory / 1e9:.2g} GB",
        f"a step of {batch} patches of {by(shape.patch_size)} takes {need / 1e9:.2g} GB",
        "raise it, or set a smaller encoder, patch_size or batch_size",
    )
