"""Which stray pieces and holes of predicted masks are worth mending: learned from validation."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from medseg.inference.cleanup import Cleanup, cleaned

Mask = npt.NDArray[np.bool_]
SHARES = (0.01, 0.03, 0.1)
"""Smallest pieces that are tried: of the median volume of the class."""
LEAST_GAIN = 0.001
"""Mean Dice that a rule must add to be adopted; less is chance."""


class Found(NamedTuple):
    """One class of one case.

    Attributes:
        prediction: (*size), within any box that holds both masks.
        reference: The same.
        voxel_mm3: Volume of a voxel; 1 for files without a world frame.
    """

    prediction: Mask
    reference: Mask
    voxel_mm3: float


class Tidying(NamedTuple):
    """What was learned of a class.

    Attributes:
        rule: What to do; None: nothing helps.
        before: Mean Dice as predicted; a class that neither mask holds counts 1.
        after: The same under the rule.
    """

    rule: Cleanup | None
    before: float
    after: float


def learn_tidying(cases: Sequence[Found]) -> Tidying:
    """Find the rule under which the masks of a class agree best with the true ones.

    It is adopted where it adds `LEAST_GAIN` to the mean Dice and helps no fewer cases than it
    harms. Of rules that are as good the simplest is taken.
    """
    before = np.array([_dice(case.prediction, case.reference) for case in cases])
    best = Tidying(None, float(before.mean()), float(before.mean()))
    for rule in _candidates(cases):
        after = np.array(
            [_dice(cleaned(c.prediction, rule, c.voxel_mm3), c.reference) for c in cases]
        )
        helped, harmed = int((after > before).sum()), int((after < before).sum())
        if after.mean() > best.after + LEAST_GAIN and helped >= harmed:
            best = Tidying(rule, best.before, float(after.mean()))
    return best


def _candidates(cases: Sequence[Found]) -> list[Cleanup]:
    """The simplest first."""
    volumes = [c.reference.sum() * c.voxel_mm3 for c in cases if c.reference.any()]
    sizes = [float(np.median(volumes)) * share for share in SHARES] if volumes else []
    strays = [Cleanup(largest=True), *(Cleanup(least_mm3=size) for size in sizes)]
    filled = [rule.model_copy(update={"fill": True}) for rule in (Cleanup(), *strays)]
    return [*strays, *filled]


def _dice(prediction: Mask, reference: Mask) -> float:
    total = np.count_nonzero(prediction) + np.count_nonzero(reference)
    return 2 * np.count_nonzero(prediction & reference) / total if total else 1.0
