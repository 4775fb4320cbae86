"""Whether all CT scans of a dataset count alike: their window is one for all of them."""

from collections.abc import Sequence

import numpy as np

from medseg.measure.facts import CaseFacts
from medseg.plan.words import counted

ONLY_AIR = -900.0
"""Hounsfield units below which there is nothing but air."""
_NO_AIR = -500.0
_OFFSET = 1024.0
"""What unsigned storage adds, and a rescale intercept takes away again."""
_SCALED = 10.0


def unit_doubts(cases: Sequence[CaseFacts]) -> tuple[str, ...]:
    """A line for the cases without air where others have it: other units, or cut to the body."""
    if not all(case.world and len(case.channels) == 1 for case in cases):
        return ()
    with_air = [case for case in cases if case.channels[0].minimum <= ONLY_AIR]
    without = [case for case in cases if case.channels[0].minimum > _NO_AIR]
    if not with_air or not without:
        return ()
    lowest = np.median([case.channels[0].minimum for case in with_air])
    usual = np.median([case.channels[0].percentiles for case in with_air], axis=0)
    shifted = [case for case in without if _is_shifted(case, usual)]
    scaled = [case for case in without if _range(case) <= _SCALED < _range(with_air[0])]
    rest = [case for case in without if case not in shifted and case not in scaled]
    groups = (
        (
            shifted,
            "they look like Hounsfield units + 1024, saved without their rescale intercept; "
            "subtract 1024 from them",
        ),
        (scaled, "their values are scaled; give all cases in Hounsfield units"),
        (
            rest,
            "other units, or cut to the body? Give all cases in Hounsfield units, since CT is "
            "normalised over the dataset",
        ),
    )
    return tuple(
        f"{counted([case.name for case in group], len(cases))} have no value below {_NO_AIR:g}, "
        f"where others reach {lowest:g}: {words}"
        for group, words in groups
        if group
    )


def _is_shifted(case: CaseFacts, usual: np.ndarray) -> bool:
    """Whether a case is nearer to the usual values after the offset is taken away."""
    channel = case.channels[0]
    if channel.minimum < -_OFFSET / 20 or _range(case) <= _SCALED:
        return False
    off = np.array(channel.percentiles) - usual
    return bool(np.abs(off - _OFFSET).sum() < np.abs(off).sum())


def _range(case: CaseFacts) -> float:
    return case.channels[0].maximum - case.channels[0].minimum
