"""What happens beside the training steps: progress, checkpoints, the end."""

import time
from collections.abc import Iterator
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from medseg.errors import TrainingError
from medseg.progress import Progress
from medseg.runs import Run
from medseg.training.schedule import Budget
from medseg.training.stop import Stop

_LOG_EVERY = 10
_PACE_AFTER = 20
_CHECKPOINT_EVERY_S = 30.0
_CHECKPOINT_SHARE = 5.0
"""Seconds of training for each that a checkpoint takes to write, should it take long."""


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
        done = self._done(step)
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

    def say_plateau(self, step: int) -> None:
        """Say that there is a plateau, and what follows from it."""
        plateau, end = self._budget.plateau, self._budget.end
        assert plateau is not None
        until = f"step {end:.0f} of {self._total}"
        if not self._in_steps:
            until = f"minute {end / 60:.1f} of {self._total / 60:.1f}"
        self._progress.note(f"plateau at step {step}: {plateau.why}; annealing until {until}")

    def _done(self, step: int) -> int:
        """How far the bar should be; after a plateau it is the faster, and ends with the steps."""
        if self._budget.plateau is not None:
            return int(self._budget.position(step) * self._total)
        return step if self._in_steps else int(self._budget.elapsed_s)

    def _say_pace(self, step: int) -> None:
        pace = (self._budget.elapsed_s - self._began[1]) / _PACE_AFTER
        message = f"{pace:.2g} seconds a step"
        if self._in_steps:
            left = self._total - step
            message += f": the {left} steps left will take about {pace * left / 60:.1f} minutes"
        self._progress.note(message)


def _rate(trainer: lightning.Trainer) -> float:
    return trainer.optimizers[0].param_groups[0]["lr"]
