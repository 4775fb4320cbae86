"""Where classes lie from left to right in each case, and what of it a mirror would change."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr

from medseg.measure.facts import CaseFacts
from medseg.measure.places import Place, together
from medseg.plan.classes import Classes

Floats = npt.NDArray[np.float64]
Pairs = tuple[tuple[int, int], ...]

ASIDE = 0.2
"""It is on a side if it is off by this share of its spread, or leans with this correlation."""
OFTENER, OFTEN, CHANCE = 2.0, 1 / 3, 0.05
"""A class is one-sided if it is on one side this many times as often as on the other, in this
share of the cases or more, and if chance would do so with less than this probability (sign
test)."""


class Layout(NamedTuple):
    """Positions of classes in cases; NaN where a case lacks the class.

    Attributes:
        names: Of the classes.
        centres_mm: (cases, classes, 3), from the middle of the scan's content.
        spreads_mm: (cases, classes), standard deviation along the first axis.
        slants: (cases, classes, 2), correlation of the first axis with the second and the third.
    """

    names: tuple[str, ...]
    centres_mm: Floats
    spreads_mm: Floats
    slants: Floats

    @property
    def seen(self) -> list[int]:
        """In how many cases each class is."""
        return (~np.isnan(self.spreads_mm)).sum(axis=0).tolist()


class Tally(NamedTuple):
    """In how many cases a class is to the left, and to the right.

    Attributes:
        what: The class, and what it does.
        where: What it is seen from.
        left: Cases.
        right: Cases.
        total: Cases that tell, those included in which it is on neither side.
    """

    what: str
    where: str
    left: int
    right: int
    total: int

    @property
    def one_sided(self) -> bool:
        """Whether the mirror image of these cases would be an unlikely one."""
        less, more = sorted((self.left, self.right))
        often = more >= OFTENER * less and more >= OFTEN * self.total > 0
        return often and 2 * float(bdtr(less, less + more, 0.5)) < CHANCE

    def __str__(self) -> str:
        """In words, of the side on which it is more often."""
        side, count = ("right", self.right) if self.right > self.left else ("left", self.left)
        return f"{self.what} {side} {self.where} in {count} of {self.total} cases"


def layout_of(cases: Sequence[CaseFacts], classes: Classes) -> Layout:
    """Look up where each class lies."""
    shape = (len(cases), len(classes.names))
    layout = Layout(classes.names, *(np.full((*shape, *more), np.nan) for more in ((3,), (), (2,))))
    for row, case in enumerate(cases):
        middle = np.array(case.box_start) + (np.array(case.box_size) - 1) / 2
        for index in range(len(classes.names)):
            place = _place(case, classes, index)
            if place is not None:
                layout.centres_mm[row, index] = (place.centre - middle) * case.spacing_mm
                layout.spreads_mm[row, index] = place.spread[0] * case.spacing_mm[0]
                layout.slants[row, index] = place.correlations
    return layout


def tallies(layout: Layout, twins: Pairs) -> Iterator[Tally]:
    """Everything about a layout that changes when it is mirrored and twins are exchanged.

    Of twins that is where the middle between them lies, seen from other classes; how far they are
    apart stays.
    """
    twin = {index for pair in twins for index in pair}
    across, cases = layout.centres_mm[..., 0], layout.seen
    seen: list[tuple[str, Floats, Floats]] = []
    for index, name in enumerate(layout.names):
        if index not in twin and cases[index]:
            seen.append((name, across[:, index], layout.spreads_mm[:, index]))
            yield _tally(f"{name} lies", "of the scan's middle", seen[-1][1] / seen[-1][2])
            for way, slants in zip(("front", "top"), layout.slants[:, index].T, strict=True):
                yield _tally(f"{name} leans", f"towards the {way}", slants)
    for a, b in twins:
        middle, apart = (across[:, a] + across[:, b]) / 2, abs(across[:, a] - across[:, b]) / 2
        seen.append((f"the middle of {layout.names[a]} and {layout.names[b]}", middle, apart))
    for (name, here, width), (other, there, its_width) in combinations(seen, 2):
        with np.errstate(invalid="ignore", divide="ignore"):  # twins at one place
            places = 2 * (here - there) / (width + its_width)
        yield _tally(f"{name} lies", f"of {other}", places)


def _tally(what: str, where: str, places: Floats) -> Tally:
    """Count; places: (cases,), above 0 to the right."""
    left, right = (places < -ASIDE).sum(), (places > ASIDE).sum()
    return Tally(what, where, int(left), int(right), int((~np.isnan(places)).sum()))


def _place(case: CaseFacts, classes: Classes, index: int) -> Place | None:
    """Where a class lies in a case."""
    layers = len(case.places)
    if layers > 1:  # one mask per class; behind the background, if there is one
        layer = index - (len(classes.names) - layers)
        values = tuple(case.places[layer]) if layer >= 0 else ()
    else:
        layer = 0
        values = classes.regions[index] if classes.regions else (classes.values[index],)
    known = case.places[layer] if case.places else {}
    found = [value for value in values if value in known]
    if len(found) < 2:
        return known[found[0]] if found else None
    voxels = [case.label_values[layer][value] for value in found]
    return together([known[value] for value in found], voxels)
