"""How far a training is, and the learning rate there."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

SCORING_SHARE = 0.15
"""Of a time budget, the most that the last validation gets."""
_GRACE = 1.02
"""A budget is used up to this; the command must end within 1.05."""


@dataclass
class Budget:
    """How long a training lasts: a number of steps, or a time from the first step to the report.

    Attributes:
        steps: All steps; None where time decides.
        seconds: All of the time; None where steps decide.
        clock: Seconds.

    Raises:
        ValueError: Unless exactly one of the two is given.
    """

    steps: int | None = None
    seconds: float | None = None
    clock: Callable[[], float] = time.monotonic
    _began: float = field(default=0.0, init=False)
    _reserved_s: float = field(default=0.0, init=False)
    _report_s: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        """Check."""
        if (self.steps is None) == (self.seconds is None):
            raise ValueError(f"give steps or seconds, got {self.steps} and {self.seconds}")

    def start(self, elapsed_s: float = 0.0) -> None:
        """Begin, or go on after `elapsed_s` seconds of earlier sessions."""
        self._began = self.clock() - elapsed_s

    @property
    def elapsed_s(self) -> float:
        """Seconds since the first step, earlier sessions included."""
        return self.clock() - self._began

    def reserve(self, cases_s: Sequence[float], report_s: float) -> None:
        """Keep time for the last validation and the report: steps end so much earlier.

        Scoring gets at most `SCORING_SHARE` of all, and nothing for cases that each take more than
        that; the report of a very short run at most a third. Counted steps are done however long
        the rest takes.

        Args:
            cases_s: What each case takes to score, in seconds.
            report_s: What the report takes.
        """
        seconds = self.seconds or 0.0
        most_s = SCORING_SHARE * seconds
        scoring_s = sum(case_s for case_s in cases_s if case_s <= most_s)
        self._report_s = min(report_s, seconds / 3)
        self._reserved_s = min(scoring_s, most_s) + self._report_s

    @property
    def scoring_left_s(self) -> float:
        """Seconds that may still go into scoring, lest the report comes too late."""
        if self.seconds is None:
            return math.inf
        return _GRACE * self.seconds - self._report_s - self.elapsed_s

    def position(self, step: int) -> float:
        """How much of the schedule is over before `step`: 0 at the start, 1 or more at the end."""
        if self.steps is not None:
            return step / self.steps
        assert self.seconds is not None
        return self.elapsed_s / (self.seconds - self._reserved_s)


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
    return 0.5 * (1 + math.cos(math.pi * over))
