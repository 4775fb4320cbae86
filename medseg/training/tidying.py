"""Which stray pieces and holes of predicted masks are worth mending: learned from validation."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from medseg.prepare.cleanup import Cleanup, Mask, filled, pieces_of

SHARES = (0.01, 0.03, 0.1)
"""Smallest pieces that are tried: of the median volume of the class."""
LEAST_GAIN = 0.001
"""Mean Dice that a rule must add to be adopted; less is chance."""
LEAST_CASES = 5
"""Of fewer cases nothing is learned."""


class Counts(NamedTuple):
    """Voxels of a mask: how many, and how many of them are true."""

    voxels: int
    true: int


class Pieces(NamedTuple):
    """One class of one predicted case, in so few numbers that every rule's Dice follows from them.

    Attributes:
        voxels: Of each piece.
        true: Those of them that the reference has too.
        filled: The whole mask, its holes filled.
        largest_filled: The largest piece, its holes filled.
        reference: Voxels of the reference.
        voxel_mm3: Volume of a voxel; 1 for files without a world frame.
    """

    voxels: npt.NDArray[np.integer]
    true: npt.NDArray[np.integer]
    filled: Counts
    largest_filled: Counts
    reference: int
    voxel_mm3: float

    def dice(self, rule: Cleanup) -> float:
        """Under a rule that is one of `candidates`; 1 where neither mask has a voxel."""
        kept = self.voxels * self.voxel_mm3 >= rule.least_mm3
        if rule.largest and len(kept):
            kept = np.arange(len(kept)) == self.voxels.argmax()
        counts = Counts(int(self.voxels[kept].sum()), int(self.true[kept].sum()))
        if rule.fill:
            counts = self.largest_filled if rule.largest else self.filled
        total = counts.voxels + self.reference
        return 2 * counts.true / total if total else 1.0


def pieces(prediction: Mask, reference: Mask, voxel_mm3: float) -> Pieces:
    """Count one class of one case; both masks (*size)."""

    def counted(mask: Mask) -> Counts:
        return Counts(int(mask.sum()), int((mask & reference).sum()))

    numbers, voxels = pieces_of(prediction)
    true = np.bincount(numbers[reference], minlength=len(voxels) + 1)[1:]
    largest = numbers == 1 + voxels.argmax() if len(voxels) else prediction
    none = Counts(0, 0)
    return Pieces(
        voxels,
        true,
        counted(filled(prediction)) if len(voxels) else none,
        counted(filled(largest)) if len(voxels) else none,
        int(reference.sum()),
        voxel_mm3,
    )


class Tidying(NamedTuple):
    """What was learned of a class.

    Attributes:
        rule: What to do.
        before: Mean Dice as predicted; a class that neither mask holds counts 1.
        after: The same under the rule.
    """

    rule: Cleanup
    before: float
    after: float


def learn_tidying(cases: Sequence[Pieces]) -> Tidying | None:
    """Find the rule under which the masks of a class agree best with the true ones.

    It is adopted where it adds `LEAST_GAIN` to the mean Dice and helps more cases than it harms. Of
    rules that are as good the simplest is taken. None: nothing helps, or there are too few cases.
    """
    if len(cases) < LEAST_CASES:
        return None
    before = np.array([case.dice(Cleanup()) for case in cases])
    best, found = float(before.mean()), None
    for rule in candidates(cases):
        after = np.array([case.dice(rule) for case in cases])
        helped, harmed = int((after > before).sum()), int((after < before).sum())
        if after.mean() > best + LEAST_GAIN and helped > harmed:
            best = float(after.mean())
            found = Tidying(rule, float(before.mean()), best)
    return found


def candidates(cases: Sequence[Pieces]) -> tuple[Cleanup, ...]:
    """The simplest first."""
    volumes = [case.reference * case.voxel_mm3 for case in cases if case.reference]
    sizes = [float(np.median(volumes)) * share for share in SHARES] if volumes else []
    return (
        Cleanup(largest=True),
        *(Cleanup(least_mm3=size) for size in sizes),
        Cleanup(fill=True),
        Cleanup(largest=True, fill=True),
    )
