"""Whether the masks of a case are classes, or one thing as several people drew it.

Names such as case_AB and case_CD do not tell. What the masks hold does: those of raters mark nearly
the same in every case, each with voxels that the other leaves out. Classes share little, and of
regions within each other one lies wholly within the other.
"""

from collections.abc import Sequence

import numpy as np

from medseg.measure.facts import CaseFacts

_ALIKE = 0.4
"""Share of all marked voxels that every mask marks, in the median case: a Dice of 0.57."""
_NEVER_LESS = 0.2
"""And in every case."""
_WITHIN = 0.02
"""Share of the smallest mask outside of the others, up to which it lies within them."""


def rater_doubts(cases: Sequence[CaseFacts], names: Sequence[str] = ()) -> list[str]:
    """One line where the masks of the cases may be opinions; nothing where they are classes.

    Args:
        cases: All that are used.
        names: Of the masks, in their order, where they are known.
    """
    full = [case for case in cases if len(case.label_values) > 1 and all(_counts(case))]
    if not full or 2 * len(full) < len(cases):
        return []
    shares = [case.common / case.marked for case in full]
    outside = [1 - case.common / min(_counts(case)) for case in full]
    same = min(shares) == 1
    if not same and (
        np.median(shares) < _ALIKE or min(shares) < _NEVER_LESS or np.median(outside) <= _WITHIN
    ):
        return []
    case, known = full[0], len(names) == len(_counts(full[0]))
    masks = f"the masks {', '.join(names)}" if known else "the masks"
    drawn = "the same" if same else "nearly the same"
    sizes = " and ".join(map(str, _counts(case)))
    return [
        f"{masks} mark {drawn} in {len(full)} of {len(cases)} cases (in {case.name} {sizes} voxels,"
        f" {case.common} of them in all): if they are of several raters or times they are no "
        f"classes; keep one, as with --pattern '*|*{names[0] if known else 'NAME'}*'"
    ]


def _counts(case: CaseFacts) -> list[int]:
    """Marked voxels of each layer."""
    return [sum(n for value, n in values.items() if value) for values in case.label_values]
