"""What scoring a case takes, known before it is done: its windows, times the time of one."""

import time
from collections.abc import Sequence

from medseg.training.validation import ValidationCase, Validator

_BESIDE = 1.5
"""Reading, restoring and comparing, as a multiple of the windows, until a case was scored."""


class Costs:
    """Seconds of cases. Each case that is scored makes the estimate better."""

    def __init__(self) -> None:
        self._window_s = 0.0
        self._scored_s = 0.0
        self._scored_windows = 0

    def measure(self, validator: Validator) -> float:
        """Time one window, unless that was done; the first is not timed, since it may start things.

        Returns:
            The seconds that this took.
        """
        if self._window_s:
            return 0.0
        began = time.monotonic()
        validator.try_window(validator.cases[0])
        between = time.monotonic()
        validator.try_window(validator.cases[0])
        now = time.monotonic()
        self._window_s = max(now - between, 1e-4)
        return now - began

    def scored(self, validator: Validator, cases: Sequence[ValidationCase], took_s: float) -> None:
        """Learn from what scoring some cases took."""
        self._scored_s += took_s
        self._scored_windows += sum(map(validator.windows, cases))

    @property
    def window_s(self) -> float:
        """Of one window, with its share of all else."""
        if self._scored_windows:
            return max(self._scored_s / self._scored_windows, 1e-4)
        return _BESIDE * self._window_s

    def of(self, validator: Validator, cases: Sequence[ValidationCase]) -> float:
        """What scoring these cases will take."""
        return self.window_s * sum(map(validator.windows, cases))
