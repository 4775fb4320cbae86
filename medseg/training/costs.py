"""What scoring a case takes, known before it is done: its windows, times the time of one."""

import time
from collections.abc import Sequence

from medseg.training.schedule import Budget
from medseg.training.validation import ValidationCase, Validator

_BESIDE = 1.5
"""Reading, restoring and comparing, as a multiple of the windows, until a case was scored."""
_PASSES = 3
"""What a patch that is learned from takes, in windows: there, and back in twice the time."""


class Costs:
    """Seconds of cases. Each case that is scored makes the estimate better."""

    @staticmethod
    def so_far(budget: Budget, step: int) -> float:
        """What the training has taken up to a step."""
        del step
        return budget.elapsed_s

    @staticmethod
    def taken(measured_s: float, expected_s: float) -> float:
        """What a validation took."""
        del expected_s
        return measured_s

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


class CountedCosts(Costs):
    """Costs without a clock, so that equal trainings score at equal steps: in steps, not seconds.

    Args:
        batch_size: Patches of a step.
    """

    def __init__(self, batch_size: int) -> None:
        super().__init__()
        self._window_s = 1 / (_PASSES * batch_size)

    @staticmethod
    def so_far(budget: Budget, step: int) -> float:
        """Each step counts the same."""
        del budget
        return step

    @staticmethod
    def taken(measured_s: float, expected_s: float) -> float:
        """As much as was expected."""
        del measured_s
        return expected_s

    def scored(self, validator: Validator, cases: Sequence[ValidationCase], took_s: float) -> None:
        """Nothing is to be learned."""
