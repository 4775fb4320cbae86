"""The steps themselves, by Lightning."""

import logging
import threading
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple

import lightning
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor

from medseg.errors import SettingsError
from medseg.files import machine_error, whole_file
from medseg.hparams import HParams
from medseg.patches.augment import Augment
from medseg.patches.loader import PatchLoader
from medseg.patches.sampler import PatchSampler
from medseg.patches.torchio_transform import TorchioTransforms, build_transforms
from medseg.plan.plan import Plan
from medseg.prepare.prepared import StoredCase, unannotated_sets
from medseg.progress import Progress
from medseg.runs import Run
from medseg.training.average import Average
from medseg.training.callbacks import Checkpoint, Display, Ending
from medseg.training.device import for_lightning
from medseg.training.record import JsonLines, forget_after
from medseg.training.schedule import NOTHING, Budget, Plateau, Reached
from medseg.training.stop import Stop
from medseg.training.task import Learner, Optimisation, Task
from medseg.types import Labels


class ResumePoint(NamedTuple):
    """Where a run goes on: its checkpoint, the steps done, and what of its budget they used."""

    checkpoint: Path
    step: int
    reached: Reached


@dataclass(frozen=True)
class Loop:
    """Everything that training steps need, whatever is learned.

    Attributes:
        run: Where files go.
        hparams: Settings.
        plan: Gives batches and the schedule's steps.
        network: As it begins; changed in place.
        loss: Of the network's output and the labels.
        cases: To learn from.
        budget: How long.
        device: Where.
        stop: Hears the signals that end it early.
        resumed: What to go on from; None for a new run.
    """

    run: Run
    hparams: HParams
    plan: Plan
    network: Learner
    loss: Callable[[Any, Labels], Tensor]
    cases: Sequence[StoredCase]
    budget: Budget
    device: torch.device
    stop: Stop
    resumed: ResumePoint | None


Watch = Callable[[Average, Display], Sequence[Callback]]
"""Callbacks that look at the average of the weights as training goes."""


def optimise(loop: Loop, watch: Watch, progress: Progress) -> None:
    """Train until the budget is used or `loop.stop` is asked; then the network is the average.

    A run that goes on and has used its budget already, as where the disk was full when the model
    was to be written, takes no further step.

    Raises:
        TrainingError: If the loss is no longer a number.
    """
    hparams, plan, budget, resumed = loop.hparams, loop.plan, loop.budget, loop.resumed
    reached = resumed.reached if resumed else NOTHING
    budget.start(reached)
    if resumed:
        forget_after(loop.run.metrics, resumed.step)
        if budget.position(resumed.step) >= 1:
            _take_average(loop.network, resumed.checkpoint)
            return
        # That of an end before: a run with a report and no steps left has nothing to do.
        loop.run.report.unlink(missing_ok=True)
    average = Average(loop.network, hparams.ema_decay)
    display = Display(progress, budget)
    task = Task(
        loop.network,
        loop.loss,
        Augment.for_plan(
            plan, hparams.augmentation, hparams.seed, hidden=unannotated_sets(loop.cases, plan)
        ),
        Optimisation(plan.learning_rate, hparams.weight_decay, hparams.warmup, plan.layer_decay),
        budget,
        hparams.seed,
    )
    # In this order: the end is known, then the average is made, looked at and saved.
    watching = watch(average, display)
    callbacks = [Ending(budget, loop.stop), average, *watching, Checkpoint(loop.run), display]
    transforms = build_transforms([(t.name, t.arguments) for t in hparams.extra_transforms])
    extra = TorchioTransforms(transforms, _network_spacing(plan), hparams.seed)
    sampler = PatchSampler(loop.cases, plan, hparams.seed)
    first = resumed.step if resumed else 0
    loader = PatchLoader(sampler, first, transform=extra if transforms else None)
    with _quiet(), loader:
        trainer = _trainer(loop, callbacks)
        budget.start(reached)
        checkpoint = resumed.checkpoint if resumed else None
        trainer.fit(task, loader, ckpt_path=checkpoint, weights_only=True)


def _take_average(network: Learner, checkpoint: Path) -> None:
    """Load what `Average` put in the place of a checkpoint's weights."""
    stored = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    own = "network."
    network.load_state_dict(
        {name.removeprefix(own): w for name, w in stored.items() if name.startswith(own)}
    )


def read_checkpoint(file: Path) -> ResumePoint:
    """How far a run came.

    Raises:
        SettingsError: If the file is damaged.
        MachineError: If the machine fails to read it.
    """
    try:
        stored = torch.load(file, map_location="cpu", weights_only=True)
        return ResumePoint(file, int(stored["global_step"]), _reached(stored))
    except (OSError, RuntimeError, EOFError, LookupError, UnpicklingError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise machine_error(error, str(file)) or SettingsError(
            str(file),
            f"not a checkpoint to go on from ({reason})",
            "start a new run without --resume",
        ) from None


def _reached(stored: dict[str, Any]) -> Reached:
    """What a checkpoint says of its budget; an old one tells the time alone."""
    kept = dict(stored.get("budget") or {"elapsed_s": stored["elapsed_s"]})
    plateau = kept.pop("plateau", None)
    return Reached(**kept, plateau=Plateau(*plateau) if plateau else None)


class WholeCheckpoints(TorchCheckpointIO):
    """Writes beside the file and renames; Lightning's own way is through another disk."""

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | PathLike[str],
        storage_options: Any | None = None,
    ) -> None:
        """Write one, so that a power cut leaves it or the one before.

        Raises:
            MachineError, OSError: As `whole_file`.
        """
        del storage_options
        with whole_file(Path(path), durable=True) as part, part.open("wb") as file:
            torch.save(checkpoint, file)


def _trainer(loop: Loop, callbacks: Sequence[Callback]) -> lightning.Trainer:
    hparams = loop.hparams
    return lightning.Trainer(
        **for_lightning(loop.device, hparams.precision),
        max_epochs=-1,
        gradient_clip_val=hparams.gradient_clip,
        deterministic=hparams.deterministic,
        callbacks=list(callbacks),
        # Its own choice would leave signals to Slurm, where it is used.
        plugins=[WholeCheckpoints(), LightningEnvironment()],
        logger=[
            JsonLines(loop.run.metrics, loop.budget),
            TensorBoardLogger(loop.run.folder, name="tensorboard", version=""),
        ],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=loop.run.folder,
    )


def _network_spacing(plan: Plan) -> tuple[float, ...]:
    return tuple(plan.spacing_mm[axis] for axis in plan.network_axes)


@contextmanager
def _quiet() -> Generator[None, None, None]:
    """Lightning's advice is about loaders with workers, loops with epochs and other products.

    A full disk ends the thread that writes TensorBoard's curves; the next step says so.
    """
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    show = threading.excepthook
    threading.excepthook = _unless_machine(show)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\.")
            yield
    finally:
        logger.setLevel(level)
        threading.excepthook = show


def _unless_machine(show: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A `threading.excepthook` that leaves failures of the machine to the main thread."""

    def hook(args: Any) -> None:
        if machine_error(args.exc_value, "") is None:
            show(args)

    return hook
