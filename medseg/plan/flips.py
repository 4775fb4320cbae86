"""Which axes are mirrored in training: those along which a mirror image is as likely as a case.

Bodies are mirrored from left to right at most: lesions may lie anywhere, but the body around them
has a front and a top. (nnU-Net mirrors every axis.)
Images without a world frame have no sides, and are mirrored along every axis.

Left to right, names and positions decide. Classes called left and right that lie side by side are
twins, and become each other. Of all other classes it is counted how often they are to the left and
to the right: of the middle of the scan, and of each other (`layout.tallies`).
"""

from collections.abc import Sequence
from math import hypot
from typing import NamedTuple

import numpy as np

from medseg.measure.facts import CaseFacts
from medseg.plan.classes import Classes
from medseg.plan.layout import Layout, Pairs, layout_of, tallies
from medseg.plan.sides import sided
from medseg.plan.spacing import AXES

FEWEST = 10
"""Cases that a class must be in to tell whether it lies to one side."""
_BESIDE = 0.577
"""The line between twins is within 30 degrees of left-right."""
_MOST_NAMED = 2
_ENDS = {"y": "a front", "z": "a top"}


class Flips(NamedTuple):
    """What is mirrored.

    Attributes:
        axes: Network axes.
        exchanged: Indices of classes that become each other where left-right is among the axes.
        reason: Why, in words.
    """

    axes: tuple[int, ...]
    exchanged: tuple[tuple[int, int], ...]
    reason: str


def choose_flips(
    cases: Sequence[CaseFacts],
    asked: Sequence[str] | None,
    classes: Classes,
    axes: Sequence[int],
) -> Flips:
    """Decide which axes are mirrored, where the user has not.

    Args:
        cases: With the places of their labels.
        asked: Axes that the user wants, by letter; None leaves it to the data.
        classes: Their names, and their values in the labels.
        axes: The volume axes that the network sees.
    """
    layout = layout_of(cases, classes)
    twins, obstacle = _twins(layout)
    letters = "".join(AXES[axis] for axis in axes)
    body = asked is None and cases[0].world
    if body:
        obstacle = obstacle or _one_sided(layout, twins)
    wanted, rule = _wanted(asked, letters, world=cases[0].world)
    if asked is None and obstacle:
        wanted = wanted.replace("x", "")
    mirrored = "x" in wanted
    reasons = [rule]
    sides = obstacle or _exchanged(layout.names, twins) or "no class lies to one side" * body
    if sides and (mirrored or (asked is None and "x" in letters)):
        reasons.insert(0, f"{'' if mirrored else 'not '}x: {sides}")
    flips = tuple(place for place, letter in enumerate(letters) if letter in wanted)
    return Flips(flips, twins if mirrored else (), "; ".join(reasons))


def _wanted(asked: Sequence[str] | None, letters: str, *, world: bool) -> tuple[str, str]:
    """The axes that may be mirrored, as far as classes allow it, and why."""
    if asked is not None:
        lost = ", ".join(letter for letter in asked if letter not in letters)
        wanted = "".join(letter for letter in letters if letter in asked)
        return wanted, "set by you" + f"; {lost} is the slice axis: left out" * bool(lost)
    if not world:
        return letters, "images without a world frame have no sides"
    ends = " and ".join(end for letter, end in _ENDS.items() if letter in letters)
    return "x" * ("x" in letters), f"not {', '.join(letters.strip('x'))}: a body has {ends}"


def _twins(layout: Layout) -> tuple[Pairs, str]:
    """Classes that become each other, and why names forbid to mirror left and right, if they do."""
    names = sided(layout.names)
    twins = tuple(pair for pair in names.pairs if _side_by_side(layout, pair))
    if names.alone:
        return twins, f"{layout.names[names.alone[0]]} has no twin on the other side"
    if len(twins) < len(names.pairs):
        one, other = next(pair for pair in names.pairs if pair not in twins)
        return twins, f"{layout.names[one]} and {layout.names[other]} do not lie side by side"
    return twins, ""


def _side_by_side(layout: Layout, pair: tuple[int, int]) -> bool:
    """Whether positions agree with names: the ventricles of a heart are no mirror images."""
    apart = layout.centres_mm[:, pair[0]] - layout.centres_mm[:, pair[1]]
    both = apart[~np.isnan(apart).any(axis=1)]
    if not len(both):
        return True
    across, *others = np.median(both, axis=0).tolist()
    return hypot(*others) <= _BESIDE * abs(across)


def _exchanged(names: Sequence[str], twins: Pairs) -> str:
    pairs = [f"{names[one]} and {names[other]}" for one, other in twins]
    more = len(pairs) - _MOST_NAMED
    shown = ", ".join(pairs[:_MOST_NAMED]) + f" and {more} more pairs" * (more > 0)
    return f"{shown} exchanged" if pairs else ""


def _one_sided(layout: Layout, twins: Pairs) -> str:
    """Why the mirror image of a case would be an unlikely one; nothing if it would not."""
    twin = {index for pair in twins for index in pair}
    if not (twins or any(layout.seen)):
        return "nothing is labelled"
    for index, (name, count) in enumerate(zip(layout.names, layout.seen, strict=True)):
        if index not in twin and 0 < count < FEWEST:
            of = f"{count} of {len(layout.centres_mm)} cases"
            return f"{name} is in {of}, too few to tell whether it lies to one side"
    found = [tally for tally in tallies(layout, twins) if tally.total >= FEWEST and tally.one_sided]
    strongest = max(found, key=lambda t: abs(t.right - t.left) / t.total, default="")
    return str(strongest)
