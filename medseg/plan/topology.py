"""How an encoder steps down the scales, axis by axis. A thin axis is a value here, never a case.

Resolution is halved in rounds: the first ones make up the stem, each later one a stage. In each
round an axis is halved if its voxels are not much coarser than the round's scale and enough remain.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import ceil, prod
from typing import NamedTuple

COARSE = 2.5
"""An axis waits while its voxels are over so many times coarser than the round's scale."""


class Recipe(NamedTuple):
    """What an encoder wants where every axis is alike.

    Attributes:
        stem_rounds: Halvings in the stem.
        min_stages: Stages it has at least, and `max_stages` where the patch is large enough.
        kernel: Width of the depthwise convolutions.
        min_tokens: Halving never leaves an axis fewer tokens, before the patch is padded to whole
            ones.
    """

    stem_rounds: int
    min_stages: int
    max_stages: int
    kernel: int
    min_tokens: float = 3.5


class Topology(NamedTuple):
    """Strides and kernels, as in `Plan`."""

    stem_strides: tuple[int, ...]
    stage_strides: tuple[tuple[int, ...], ...]
    kernels: tuple[tuple[int, ...], ...]

    @property
    def total_strides(self) -> tuple[int, ...]:
        """Product of all strides per axis: what a patch is a multiple of."""
        totals = list(self.stem_strides)
        for strides in self.stage_strides:
            totals = [total * stride for total, stride in zip(totals, strides, strict=True)]
        return tuple(totals)


def is_small(encoder: str) -> bool:
    """Whether an encoder of that name is one of ours, made for a CPU, and not of a paper."""
    return encoder.endswith(("_micro", "_mini"))


REFERENCE = Recipe(0, 4, 6, 3, min_tokens=4)
"""What networks of others want, if they can be told: nnU-Net's levels, from full resolution on."""


def recipe(encoder: str, *, pretrained: bool = False) -> Recipe:
    """What the encoder of that name wants: the paper's own values for the paper's sizes.

    Pretrained weights expect the strides they were trained with, so small maps do not end those.
    """
    if is_small(encoder):
        return Recipe(1, 3, 4, 5)
    return Recipe(2, 4, 4, 7, min_tokens=1) if pretrained else Recipe(2, 4, 4, 7)


def topology(size: Sequence[int], spacing_mm: Sequence[float], wants: Recipe) -> Topology:
    """Strides and kernels for patches of about `size` voxels, one value per network axis."""
    long_axes = [s for n, s in zip(size, spacing_mm, strict=True) if n >= 2 * wants.min_tokens]
    grid = _Grid(size, spacing_mm, min(long_axes or spacing_mm), wants.min_tokens)
    totals = [(1,) * len(size)]
    for number in range(wants.stem_rounds + wants.max_stages - 1):
        totals.append(grid.halve(totals[-1], number))
    stages = totals[wants.stem_rounds :]
    while len(stages) > wants.min_stages and prod(stages[-1]) < 4 * prod(stages[-2]):
        stages.pop()  # a further stage pays where at least two axes still have a scale to offer
    return Topology(
        stages[0],
        tuple(
            tuple(new // old for new, old in zip(coarse, fine, strict=True))
            for fine, coarse in pairwise(stages)
        ),
        tuple(
            grid.kernel(total, number, wants.kernel)
            for number, total in enumerate(stages, start=wants.stem_rounds)
        ),
    )


class _Grid(NamedTuple):
    """A patch, the spacing of the finest axis that is long enough to be halved, and how long."""

    size: Sequence[int]
    spacing_mm: Sequence[float]
    finest: float
    min_tokens: float

    def halve(self, totals: Sequence[int], number: int) -> tuple[int, ...]:
        """Total strides after round `number`."""
        scale = self.finest * 2**number
        return tuple(
            2 * total if n >= 2 * total * self.min_tokens and s * total <= COARSE * scale else total
            for n, s, total in zip(self.size, self.spacing_mm, totals, strict=True)
        )

    def kernel(self, totals: Sequence[int], number: int, width: int) -> tuple[int, ...]:
        """Odd widths that reach equally far in mm after `number` rounds, but not beyond the map."""
        scale = self.finest * 2**number
        widths: list[int] = []
        for n, s, total in zip(self.size, self.spacing_mm, totals, strict=True):
            reach = width / max(1.0, s * total / scale)
            odd = 2 * round((reach - 1) / 2) + 1
            widths.append(max(1, min(odd, 2 * ceil(n / total) - 1)))
        return tuple(widths)
