"""How far a training is, and the learning rate there."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil, cos, inf, pi
from typing import NamedTuple

SCORING_SHARE = 0.15
"""Of a time budget, the most that the last validation gets."""
_GRACE = 1.02
"""A budget is used up to this; the command must end within 1.05."""
ANNEALING = 0.2
"""Of what was done before a plateau, what the way from there to a learning rate of 0 takes."""


class Plateau(NamedTuple):
    """Where a training that no longer became better turned to its end.

    Attributes:
        at: Steps or seconds done by then.
        position: Of the schedule there.
        why: In words.
    """

    at: float
    position: float
    why: str


class Reached(NamedTuple):
    """How much of a budget is used: all that a run that goes on must know of it.

    Attributes:
        elapsed_s: Seconds since the first step.
        length: Steps or seconds of the budget; what follows holds for this length alone.
        reserved_s: Kept for the end.
        plateau: None where there was none.
    """

    elapsed_s: float = 0.0
    length: float | None = None
    reserved_s: float = 0.0
    plateau: Plateau | None = None


NOTHING = Reached()
"""Of a training that begins."""


@dataclass
class Budget:
    """How long a training lasts: a number of steps, or a time from the first step to the report.

    Attributes:
        steps: All steps; None where time decides.
        seconds: All of the time; None where steps decide.
        clock: Seconds.
        plateau: From where it is annealed before its time; None so far.

    Raises:
        ValueError: Unless exactly one of the two is given.
    """

    steps: int | None = None
    seconds: float | None = None
    clock: Callable[[], float] = time.monotonic
    plateau: Plateau | None = field(default=None, init=False)
    _began: float = field(default=0.0, init=False)
    _reserved_s: float = field(default=0.0, init=False)
    _report_s: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        """Check."""
        if (self.steps is None) == (self.seconds is None):
            raise ValueError(f"give steps or seconds, got {self.steps} and {self.seconds}")

    @property
    def length(self) -> float:
        """All steps, or all seconds."""
        return self.steps or self.seconds or 0.0

    def start(self, reached: Reached = NOTHING) -> None:
        """Begin, or go on from what earlier sessions reached; a longer budget anneals anew."""
        self._began = self.clock() - reached.elapsed_s
        if reached.length == self.length:
            self._reserved_s, self.plateau = reached.reserved_s, reached.plateau

    @property
    def reached(self) -> Reached:
        """What `start` goes on from."""
        return Reached(self.elapsed_s, self.length, self._reserved_s, self.plateau)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the first step, earlier sessions included."""
        return self.clock() - self._began

    def reserve(self, cases_s: Sequence[float], report_s: float, between_s: float = 0.0) -> None:
        """Keep time for the last validation and the report: steps end so much earlier.

        Scoring gets at most `SCORING_SHARE` of all, and nothing for cases that each take more than
        that; the report of a very short run at most a third. Counted steps are done however long
        the rest takes.

        Args:
            cases_s: What each case takes to score, in seconds.
            report_s: What the report takes.
            between_s: What comes between the last step and scoring; at most a tenth of all.
        """
        seconds = self.seconds or 0.0
        most_s = SCORING_SHARE * seconds
        scoring_s = sum(case_s for case_s in cases_s if case_s <= most_s)
        self._report_s = min(report_s, seconds / 3)
        self._reserved_s = min(scoring_s, most_s) + self._report_s + min(between_s, seconds / 10)

    @property
    def scoring_left_s(self) -> float:
        """Seconds that may still go into scoring, lest the report comes too late."""
        if self.seconds is None:
            return inf
        return _GRACE * self.seconds - self._report_s - self.elapsed_s

    def used(self, step: int) -> float:
        """How much of the budget is used before `step`, the reserve apart."""
        return self._done(step) / self._most

    def position(self, step: int) -> float:
        """How much of the schedule is over before `step`: 0 at the start, 1 or more at the end."""
        if self.plateau is None:
            return self.used(step)
        # The reserve may have grown since.
        left = (self.end - self._done(step)) / max(self.end - self.plateau.at, 1e-6)
        return 1 - (1 - self.plateau.position) * left

    def may_end_early(self, step: int) -> bool:
        """Whether to anneal from here ends it before its time."""
        return (1 + ANNEALING) * self._done(step) < self._most

    def anneal(self, step: int, why: str) -> None:
        """What is left of the schedule is from now on done faster: up to `end`."""
        self.plateau = Plateau(self._done(step), self.position(step), why)

    @property
    def end(self) -> float:
        """The step, or the seconds, at which the schedule is over."""
        if self.plateau is None:
            return self._most
        return min(ceil((1 + ANNEALING) * self.plateau.at), self._most)

    @property
    def _most(self) -> float:
        return self.length if self.seconds is None else self.seconds - self._reserved_s

    def _done(self, step: int) -> float:
        return step if self.seconds is None else self.elapsed_s


def learning_rate_factor(position: float, warmup: float) -> float:
    """Share of the peak learning rate: a linear rise, then half a cosine down to 0.

    Args:
        position: In [0, 1]; beyond 1 counts as 1.
        warmup: Share of the schedule in which it rises, in [0, 1).
    """
    if position < warmup:
        # Not from 0: the first step should count.
        return max(position / warmup, 0.01)
    over = min((position - warmup) / (1 - warmup), 1.0)
    return 0.5 * (1 + cos(pi * over))
