"""How far a training is, and the learning rate there."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol


class Budget(Protocol):
    """What decides how long a training lasts."""

    def start(self, elapsed_s: float) -> None:
        """Begin, or go on after `elapsed_s` seconds of earlier sessions."""
        ...

    def position(self, step: int) -> float:
        """How much of the schedule is over before `step`: 0 at the start, 1 or more at the end."""
        ...

    @property
    def elapsed_s(self) -> float:
        """Seconds since the first training step, earlier sessions included."""
        ...

    def reserve(self, seconds: float) -> None:
        """What the last validation and the report will take."""
        ...


@dataclass
class StepBudget:
    """A number of steps.

    Attributes:
        steps: At least 1.
        clock: Seconds.
    """

    steps: int
    clock: Callable[[], float] = time.monotonic
    _began: float = field(default=0.0, init=False)

    def start(self, elapsed_s: float = 0.0) -> None:
        """Begin, or go on."""
        self._began = self.clock() - elapsed_s

    def position(self, step: int) -> float:
        """Steps done over steps wanted."""
        return step / self.steps

    def reserve(self, seconds: float) -> None:
        """Steps are done however long the rest takes."""

    @property
    def elapsed_s(self) -> float:
        """Seconds since the first step."""
        return self.clock() - self._began


@dataclass
class TimeBudget:
    """A time from the first step to the written report.

    Attributes:
        seconds: All of it.
        clock: Seconds.
    """

    seconds: float
    clock: Callable[[], float] = time.monotonic
    _began: float = field(default=0.0, init=False)
    _reserved_s: float = field(default=0.0, init=False)

    def start(self, elapsed_s: float = 0.0) -> None:
        """Begin, or go on."""
        self._began = self.clock() - elapsed_s

    def reserve(self, seconds: float) -> None:
        """Training ends so much earlier; at least half of the time is for training."""
        self._reserved_s = min(seconds, self.seconds / 2)

    def position(self, step: int) -> float:
        """Time over time for training."""
        del step
        return self.elapsed_s / max(self.seconds - self._reserved_s, 1e-3)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the first step."""
        return self.clock() - self._began


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
