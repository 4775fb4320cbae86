"""How an encoder steps down the scales, axis by axis: strides, kernels and windows.

A thin axis is a value here, never a case.

Resolution is halved in rounds: the first ones make up the stem, each later one a stage. In each
round an axis is halved if its voxels are not much coarser than the round's scale and enough remain.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import ceil, prod
from typing import NamedTuple

from medseg.families import Recipe, family_of

_MIXED_TOKENS = 64
COARSE = 2.5
"""An axis waits while its voxels are over so many times coarser than the round's scale."""


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


REFERENCE = Recipe(0, 4, 6, 3, min_tokens=4)
"""What networks of others want, if they can be told: nnU-Net's levels, from full resolution on."""


def recipe(encoder: str, *, pretrained: bool = False) -> Recipe:
    """What the encoder of that name wants.

    Pretrained weights expect the strides they were trained with, so small maps do not end those.
    """
    family = family_of(encoder)
    if encoder in family.small:
        return family.ours
    return family.papers._replace(min_tokens=1) if pretrained else family.papers


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


def attention_window(size: Sequence[int], kernel: Sequence[int]) -> tuple[int, ...]:
    """As wide as the kernels, in 2D the papers' 8 for their 7; and such that little is padded.

    Args:
        size: Tokens of the stage's map per axis, for a patch.
        kernel: Of the stage; an axis with 1 is kept to itself.
    """
    wider = int(len(size) == 2)
    return tuple(
        _window(length, width if width == 1 else width + wider)
        for length, width in zip(size, kernel, strict=True)
    )


def _window(length: int, most: int) -> int:
    """The width up to `most` that covers an axis with the least padding."""
    if length <= most:
        return length
    widths = range(most, most // 2, -1)
    return min(widths, key=lambda width: -(-length // width) * width)


def mixing_window(kernel: Sequence[int]) -> tuple[int, ...]:
    """64 tokens, shared out over the axes that mix at all: 8x8, 4x4x4, 1x8x8."""
    mixing = sum(width > 1 for width in kernel)
    side = round(_MIXED_TOKENS ** (1 / max(mixing, 1)))
    return tuple(side if width > 1 else 1 for width in kernel)
