"""Scores on the way: the average of the weights, on a few fixed cases, in a small share of time."""

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import lightning
from lightning.pytorch.callbacks import Callback

from medseg.patches.sampler import PatchBatch, PatchSampler
from medseg.training.average import Average
from medseg.training.callbacks import Display
from medseg.training.costs import Costs
from medseg.training.plateau import Patience
from medseg.training.record import JsonLines
from medseg.training.schedule import Budget
from medseg.training.stop import Stop
from medseg.training.task import Task
from medseg.training.validation import ValidationCase, Validator, mean_dice

_SHARE = 0.04
"""Of the time so far, what validation during training may have taken."""
_FIRST = 0.1
_TIMES = 8
_DEAR = 4.0
"""Fewer validations than planned are made for a case that costs so many times its share."""
_MOST_BATCHES = 16
REPORT_S = 4.0
"""Drawing the report."""
_ENDING_S = 1.0
"""Leaving the steps, and building the network that is scored."""
ALL_METRICS = 1.15
"""What all metrics of a case take, as a multiple of its Dice: surfaces are measured too."""


class _Sample(NamedTuple):
    """What is validated each time: whole cases, or patches where every case takes too long."""

    cases: tuple[ValidationCase, ...]
    patches: tuple[PatchBatch, ...] = ()

    @property
    def names(self) -> list[str]:
        """What is scored, as far as scores of equal names can be compared."""
        batches = [f"{len(self.patches)} batches"] if self.patches else []
        return batches + [case[0].name for case in self.cases]


class Monitor(Callback):
    """Validates now and then, keeps the best, and turns to the end on a plateau.

    Args:
        validator: Scores cases with the task's network.
        average: Puts itself in the place of the weights.
        costs: Learns what cases take.
        budget: Told what the last validation will take, and of a plateau.
        stop: A signal breaks a validation off.
        on_best: Called, with the averaged weights in place, when the mean Dice was never higher.
        display: Told the Dice, and of a plateau.
        patience: Knows a plateau.
    """

    def __init__(
        self,
        validator: Validator,
        average: Average,
        costs: Costs,
        budget: Budget,
        stop: Stop,
        on_best: Callable[[], None],
        display: Display,
        patience: Patience,
    ) -> None:
        self._validator, self._average, self._costs = validator, average, costs
        self._budget, self._stop = budget, stop
        self._on_best, self._display, self._patience = on_best, display, patience
        self._sample: _Sample | None = None
        self._spent_s = self._saving_s = 0.0
        self._best = -1.0
        self._best_of: list[str] = []
        self._owed = False

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run must know."""
        return {
            "best": self._best,
            "best_of": self._best_of,
            "spent_s": self._spent_s,
            "owed": self._owed,
            "length": self._budget.length,
            "patience": self._patience.state_dict(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on."""
        self._best, self._spent_s = state_dict["best"], state_dict["spent_s"]
        self._best_of = state_dict.get("best_of", [])
        self._owed = state_dict.get("owed", False)
        if state_dict.get("length") == self._budget.length:
            self._patience.load_state_dict(state_dict["patience"])

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Validate what an end before its time left undone, so that it changes nothing."""
        if self._owed:
            self._owed = False
            self._look(trainer, pl_module)

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        *_: Any,
        **__: Any,
    ) -> None:
        """Validate when it is due."""
        if not _FIRST <= self._budget.position(trainer.global_step) < 1:
            return
        if trainer.should_stop:
            self._owed = True
        else:
            self._look(trainer, pl_module)

    def _look(self, trainer: lightning.Trainer, task: lightning.LightningModule) -> None:
        """Validate, if its share of the time allows it by now."""
        assert isinstance(task, Task)
        step = trainer.global_step
        so_far_s = self._costs.so_far(self._budget, step)
        if self._sample is None:
            with self._averaged(task):
                self._spent_s += self._costs.measure(self._validator)
            self._sample = self._chosen(so_far_s / self._budget.used(step))
            self._reserve()
        if self._spent_s + self._expected_s(self._sample) > _SHARE * so_far_s:
            return
        with self._averaged(task):
            dice = self._scores(self._sample)
            if dice is None:
                self._owed = True
                return
            mean = sum(dice.values()) / len(dice) if dice else None
            if mean is not None and self._is_best(mean, self._sample):
                began = time.monotonic()
                self._on_best()
                self._saving_s = time.monotonic() - began
        self._record(trainer, dice, mean)
        if mean is not None:
            self._end_on_plateau(mean, step)

    def _end_on_plateau(self, mean: float, step: int) -> None:
        """Begin to end, where the scores of the same cases have not risen for long."""
        why = self._patience.plateau(mean, self._budget.used(step))
        if why and self._budget.plateau is None and self._budget.may_end_early(step):
            self._budget.anneal(step, why)
            self._display.say_plateau(step)

    def _record(
        self, trainer: lightning.Trainer, dice: Mapping[str, float], mean: float | None
    ) -> None:
        """Say what was found; a class that is nowhere has no score."""
        classes = self._validator.classes
        metrics = {f"dice_{name}": dice.get(name) for name in classes} | {"dice": mean}
        there = {name: value for name, value in metrics.items() if value is not None}
        for logger in trainer.loggers:
            if isinstance(logger, JsonLines):
                logger.log_scores(metrics, trainer.global_step)
            else:
                logger.log_metrics(there, trainer.global_step)
        if mean is not None:
            self._display.dice = f", Dice {mean:.3f}"

    def _is_best(self, mean: float, sample: _Sample) -> bool:
        """Only what the same cases say is compared."""
        if sample.names != self._best_of:
            self._patience.forget()
        elif mean <= self._best:
            return False
        self._best, self._best_of = mean, sample.names
        return True

    @contextmanager
    def _averaged(self, task: Task) -> Generator[None, None, None]:
        """The network as it would predict now."""
        with self._average.swapped():
            task.network.eval()
            try:
                yield
            finally:
                task.network.train()

    def _scores(self, sample: _Sample) -> dict[str, float] | None:
        """Mean Dice per class; None where a signal broke it off."""
        began = time.monotonic()
        found: list[dict[str, float]] = []
        with self._stop.breakable():
            if sample.patches:
                found = [self._validator.patch_dice(sample.patches)]
            else:
                found = [self._validator.dice(case) for case in sample.cases]
        if not found:
            return None
        took_s = self._costs.taken(time.monotonic() - began, self._expected_s(sample))
        self._spent_s += took_s
        if sample.cases:
            self._costs.scored(self._validator, sample.cases, took_s)
            self._reserve()
        return mean_dice(found)

    def _expected_s(self, sample: _Sample) -> float:
        """What a validation will take."""
        patches = sum(len(batch.image) for batch in sample.patches)
        return patches * self._costs.window_s + self._costs.of(self._validator, sample.cases)

    def _reserve(self) -> None:
        costs = [self._costs.of(self._validator, [case]) for case in self._validator.cases]
        # The model is saved, and read again to be scored.
        scoring = [ALL_METRICS * cost for cost in costs]
        self._budget.reserve(scoring, REPORT_S, _ENDING_S + 2 * self._saving_s)

    def _chosen(self, total_s: float) -> _Sample:
        """As many cases as the share of the time allows, spread evenly over all."""
        cases = self._validator.cases
        each_s = _SHARE * total_s / _TIMES
        costs = [self._costs.of(self._validator, [case]) for case in cases]
        count = min(int(each_s / (sum(costs) / len(cases))), len(cases))
        if count:
            return _Sample(tuple(cases[i * len(cases) // count] for i in range(count)))
        if min(costs) <= _DEAR * each_s:
            return _Sample((cases[costs.index(min(costs))],))
        return _Sample((), self._patches(each_s))

    def _patches(self, each_s: float) -> tuple[PatchBatch, ...]:
        """The same patches of validation cases each time, as many as the share allows."""
        stored = [case for _, case in self._validator.cases]
        sampler = PatchSampler(stored, self._validator.plan, seed=0, margin=0.0)
        batch_s = self._validator.plan.batch_size * self._costs.window_s
        count = min(max(int(each_s / batch_s), 1), _MOST_BATCHES)
        return tuple(sampler.batch(step) for step in range(count))
