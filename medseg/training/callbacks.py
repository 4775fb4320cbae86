"""What happens beside the training steps: progress, validation, the end."""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from medseg.errors import TrainingError
from medseg.progress import Progress
from medseg.runs import Run
from medseg.training.average import Average
from medseg.training.schedule import Budget
from medseg.training.stop import Stop
from medseg.training.task import Task
from medseg.training.validation import ValidationCase, Validator, mean_dice

_LOG_EVERY = 10
_PACE_AFTER = 20
_CHECKPOINT_EVERY_S = 30.0
_CHECKPOINT_SHARE = 5.0
"""Seconds of training for each that a checkpoint takes to write, should it take long."""
_VALIDATION_SHARE = 0.04
"""Of the time so far, what validation during training may have taken."""
_FIRST_VALIDATION = 0.1
_VALIDATIONS = 8
_REPORT_S = 4.0
"""Drawing the report, beside the prediction of its examples."""
_EXAMPLES = 4
_ALL_METRICS = 1.15
"""What all metrics of a case take, as a multiple of its Dice: surfaces are measured too."""


class Ending(Callback):
    """Ends the training when its budget is used, or after the step in which a signal asked for it.

    Args:
        budget: How long.
        stop: Hears signals.
    """

    def __init__(self, budget: Budget, stop: Stop) -> None:
        self._budget, self._stop = budget, stop

    def on_train_start(self, *_: Any, **__: Any) -> None:
        """Lightning's own answer to SIGTERM saves nothing."""
        self._stop.hear_alone()

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any, **__: Any) -> None:
        """Stop in time."""
        if self._stop.asked or self._budget.position(trainer.global_step) >= 1:
            trainer.should_stop = True


class Checkpoint(Callback):
    """Keeps what `--resume` needs: a kill costs less than a minute.

    Args:
        run: Gets the checkpoint; from the first on it is the latest run.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._last = time.monotonic()
        self._took_s = 0.0
        self._saved = False

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any, **__: Any) -> None:
        """Save now and then, and at the end: later hooks replace the weights by their average."""
        every_s = max(_CHECKPOINT_EVERY_S, _CHECKPOINT_SHARE * self._took_s)
        if trainer.should_stop or time.monotonic() - self._last > every_s:
            self._save(trainer)

    def _save(self, trainer: lightning.Trainer) -> None:
        began = time.monotonic()
        trainer.save_checkpoint(self._run.checkpoint)
        self._last = time.monotonic()
        self._took_s = self._last - began
        if not self._saved:
            self._run.become_latest()
        self._saved = True


class Display(Callback):
    """Shows how far the training is: in steps, or in seconds of a time budget.

    Args:
        progress: Where.
        budget: How far it is.
    """

    def __init__(self, progress: Progress, budget: Budget) -> None:
        self._progress, self._budget = progress, budget
        self._total = int(budget.steps or budget.seconds or 0)
        self._in_steps = budget.steps is not None
        self._bar: Iterator[int] = iter(())
        self._shown = 0
        self._began = (0, 0.0)
        self.dice = ""

    def on_train_start(self, trainer: lightning.Trainer, *_: Any, **__: Any) -> None:
        """Open the bar."""
        what = "training" if self._in_steps else "training (seconds)"
        self._bar = self._progress.track(range(self._total), what, self._total)
        self._began = (trainer.global_step, self._budget.elapsed_s)

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        *_: Any,
        **__: Any,
    ) -> None:
        """Move the bar; the loss is looked at only now and then, since a GPU would have to wait."""
        del pl_module
        step = trainer.global_step
        done = step if self._in_steps else int(self._budget.elapsed_s)
        while self._shown < min(done, self._total):
            next(self._bar, None)
            self._shown += 1
        if step % _LOG_EVERY == 0 or trainer.should_stop:
            loss: Tensor = outputs["loss"]
            if not torch.isfinite(loss):
                raise TrainingError(
                    f"loss = {loss.item()}",
                    f"it must stay finite, and did not at step {step}",
                    "lower learning_rate, or set precision to 32",
                )
            for logger in trainer.loggers:
                logger.log_metrics({"loss": loss.item(), "learning_rate": _rate(trainer)}, step)
            self._progress.status(f"loss {loss.item():.3f}{self.dice}")
        if step - self._began[0] == _PACE_AFTER:
            self._say_pace(step)

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Close the bar."""
        self._bar = iter(())

    def _say_pace(self, step: int) -> None:
        pace = (self._budget.elapsed_s - self._began[1]) / _PACE_AFTER
        message = f"{pace:.2g} seconds a step"
        if self._in_steps:
            left = self._total - step
            message += f": the {left} steps left will take about {pace * left / 60:.1f} minutes"
        self._progress.note(message)


class Monitor(Callback):
    """Validates the averaged weights on a few fixed cases, within a small share of the time.

    Args:
        validator: Scores cases with the task's network.
        average: Puts itself in the place of the weights.
        budget: Told what the last validation will take.
        on_best: Called, with the averaged weights in place, when the mean Dice was never higher.
        display: Told the Dice.
    """

    def __init__(
        self,
        validator: Validator,
        average: Average,
        budget: Budget,
        on_best: Callable[[], None],
        display: Display,
    ) -> None:
        self._validator, self._average, self._budget = validator, average, budget
        self._on_best, self._display = on_best, display
        self._subset: tuple[ValidationCase, ...] = validator.cases[:1]
        self._case_s = 0.0
        self._spent_s = 0.0
        self._best = -1.0

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run must know."""
        return {"best": self._best, "spent_s": self._spent_s}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on."""
        self._best, self._spent_s = state_dict["best"], state_dict["spent_s"]

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        *_: Any,
        **__: Any,
    ) -> None:
        """Validate when it is due. The first time, one case tells what a case costs."""
        position, elapsed_s = self._budget.position(trainer.global_step), self._budget.elapsed_s
        spent_s = self._spent_s + self._case_s * len(self._subset)
        if not _FIRST_VALIDATION <= position < 1 or spent_s > _VALIDATION_SHARE * elapsed_s:
            return
        assert isinstance(pl_module, Task)
        first = not self._case_s
        with self._averaged(pl_module):
            dice = self._score()
            mean = sum(dice.values()) / max(len(dice), 1)
            if first:
                self._subset = self._spread(elapsed_s / position)
                return
            if mean > self._best:
                self._best = mean
                self._on_best()
        metrics = {f"dice_{name}": value for name, value in dice.items()} | {"dice": mean}
        for logger in trainer.loggers:
            logger.log_metrics(metrics, trainer.global_step)
        self._display.dice = f", Dice {mean:.3f}"

    @contextmanager
    def _averaged(self, task: Task) -> Generator[None, None, None]:
        """The network as it would predict now."""
        with self._average.swapped():
            task.network.eval()
            try:
                yield
            finally:
                task.network.train()

    def _score(self) -> dict[str, float]:
        """Mean Dice per class; learns what a case costs, and what all of them will."""
        began = time.monotonic()
        found = [self._validator.dice(case) for case in self._subset]
        took_s = time.monotonic() - began
        self._spent_s += took_s
        self._case_s = took_s / len(self._subset)
        cases = len(self._validator.cases) + _EXAMPLES
        self._budget.reserve(_ALL_METRICS * self._case_s * cases + _REPORT_S)
        return mean_dice(found)

    def _spread(self, total_s: float) -> tuple[ValidationCase, ...]:
        """As many cases as the share of the time allows, spread evenly over all."""
        cases = self._validator.cases
        count = int(_VALIDATION_SHARE * total_s / _VALIDATIONS / max(self._case_s, 1e-3))
        count = min(max(count, 1), len(cases))
        return tuple(cases[i * len(cases) // count] for i in range(count))


def _rate(trainer: lightning.Trainer) -> float:
    return trainer.optimizers[0].param_groups[0]["lr"]
