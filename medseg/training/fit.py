"""One training from settings to report."""

from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medseg.errors import MachineError, MedsegError, SettingsError, Stopped, TrainingError
from medseg.files import append_line, machine_error, write_text
from medseg.hparams import HParams
from medseg.machine import is_out_of_memory, keep_freed_memory, pick_device
from medseg.networks.masked import MaskedAutoencoder, masked_l1
from medseg.patches.torchio_transform import build_transforms
from medseg.plan.classes import class_weights
from medseg.plan.overview import plan_table
from medseg.plan.plan import Plan
from medseg.plan.rules import planned_steps
from medseg.prepare.prepared import unannotated_sets
from medseg.progress import Logged, Progress, one_line
from medseg.runs import ModelCard, Run, State, latest_run
from medseg.training.closing import close_run
from medseg.training.data import (
    DEMO,
    Survey,
    TrainingData,
    plan_training,
    prepare_data,
    survey,
)
from medseg.training.device import check_repeats
from medseg.training.going_on import settings_to_go_on, settings_to_start_again, warn_of_ignored
from medseg.training.loop import Loop, ResumePoint, read_checkpoint
from medseg.training.losses import build_loss
from medseg.training.parts import Parts
from medseg.training.pretraining import pretrain
from medseg.training.schedule import Budget
from medseg.training.segmentation import Segmentation
from medseg.training.start import initial_learner, network_choice
from medseg.training.stop import Stop
from medseg.training.task import Learner
from medseg.types import Labels

_DEMO_BUDGET = timedelta(minutes=3)


class FinishedError(SettingsError):
    """A run that was to go on has done all that it was to do."""


@dataclass(frozen=True)
class _Ready:
    """A training that can take its first step, or its next.

    Attributes:
        run: Its folder.
        hparams: Its settings.
        found: Its cases.
        plan: What will be done.
        network: To learn.
        resumed: Where it goes on; None for a new one.
    """

    run: Run
    hparams: HParams
    found: Survey
    plan: Plan
    network: Learner
    resumed: ResumePoint | None = None


def train(hparams: HParams, resume: bool, progress: Progress, given: Collection[str] = ()) -> Path:
    """Train a model.

    Args:
        hparams: What to do; with `resume` the settings are those of the run, `output` and `device`
            apart.
        resume: Go on with the run in `output`, or the newest. One that ended before its first
            checkpoint starts again.
        progress: Told everything a person should know.
        given: Names of settings that were typed for this very start: with `resume` they say where
            the data lies now, and how long the run shall be.

    Returns:
        The run folder.

    Raises:
        MedsegError: If it cannot start.
        TrainingError: If it fails later.
        MachineError: If the machine fails, whenever.
        Stopped: If a queue ends it.
    """
    device = pick_device(hparams.device)
    run = Run(hparams.output or latest_run(Path("runs"))) if resume else new_run(hparams)
    goes_on = resume and run.state is State.BEGUN
    if resume:
        hparams = _settings_of(run, hparams, given, progress)
    stop = Stop(str(run.top.folder))
    with stop.heard(), run.held() if goes_on else run.begun():
        with _undone(run):
            ready = (_resume if goes_on else _begin)(run, hparams, device, progress)
            progress = Logged(progress, run.log)
            data = _prepare(ready, progress)
        # From here on memory is taken and freed by the same steps; reading scans gave it all back.
        keep_freed_memory()
        with _failures(device, run):
            _learn(ready, data, torch.device(device), stop, progress)
    return run.folder


def _learn(
    ready: _Ready, data: TrainingData, device: torch.device, stop: Stop, progress: Progress
) -> None:
    """Every step, and the report."""
    run, plan, network = ready.run, ready.plan, ready.network
    write_text(run.split, data.parts.model_dump_json(indent=2))
    plan.save(run.plan)
    _resolved(ready.hparams, plan, data.parts.folds).save(run.hparams)
    loop = Loop(
        run=run,
        hparams=ready.hparams,
        plan=plan,
        network=network,
        loss=_loss(ready, data),
        cases=data.training,
        budget=_budget(ready.hparams, plan),
        device=device,
        stop=stop,
        resumed=ready.resumed,
    )
    problems = (*ready.found.problems, *data.problems)
    if isinstance(network, MaskedAutoencoder):
        pretrain(loop, network, data, problems, progress)
        return
    card = ModelCard(
        plan=plan,
        network=network_choice(ready.hparams),
        channel_rule=ready.found.channel_rule,
    )
    segmentation = Segmentation(loop, network, card, data)
    segmentation.train(progress)
    close_run(segmentation, problems, progress)


def prepared_in(run: Run) -> Path:
    """What all runs beside each other share: facts and prepared cases."""
    return run.top.folder.parent / "prepared"


def _prepare(ready: _Ready, progress: Progress) -> TrainingData:
    progress.table(*plan_table(ready.plan))
    folder, resumed = prepared_in(ready.run), ready.resumed is not None
    data = prepare_data(ready.found, ready.plan, ready.hparams, folder, progress, resumed=resumed)
    if len(ready.found.cases) == 1:
        progress.warn("one case: it is validated on itself, so its scores say nothing of new scans")
    return data


def _loss(ready: _Ready, data: TrainingData) -> Callable[[Any, Labels], Tensor]:
    if ready.hparams.pretrain:
        return lambda output, _: masked_l1(output)
    plan = ready.plan
    return build_loss(
        ready.hparams.loss,
        plan.task,
        with_background=not plan.has_background,
        class_weights=class_weights(plan.class_names, ready.hparams.class_weights),
        hidden=unannotated_sets(data.training, plan) if plan.task == "multiclass" else (),
    )


def new_run(hparams: HParams) -> Run:
    """A folder for a new run: the user's own, or one in `runs` that tells what it is about."""
    source = hparams.images or hparams.data
    return Run.named(
        hparams.output, f"{source.resolve().name}-{hparams.dim}d-{_network_name(hparams)}"
    )


def _begin(run: Run, hparams: HParams, device: str, progress: Progress) -> _Ready:
    check_repeats(device, deterministic=hparams.deterministic)
    build_transforms([(extra.name, extra.arguments) for extra in hparams.extra_transforms])
    timed = hparams.steps or hparams.epochs or hparams.time_budget
    if hparams.data == DEMO and hparams.images is None and not timed:
        progress.note(f"the demo trains for {_DEMO_BUDGET}; --time-budget sets another length")
        hparams = hparams.model_copy(update={"time_budget": _DEMO_BUDGET})
    # As asked: should it die before the first step, it is planned anew from them.
    hparams.save(run.hparams)
    found = survey(hparams, prepared_in(run), Logged(progress, run.log))
    plan = plan_training(found, hparams, device)
    network = initial_learner(hparams, plan, Logged(progress, run.log))
    return _Ready(run, hparams, found, plan, network)


def _settings_of(run: Run, asked: HParams, given: Collection[str], progress: Progress) -> HParams:
    """The settings of a run that goes on, or starts again as it learned nothing."""
    subject = f"output = {run.folder}"
    if run.state is State.KEPT:
        what = f"holds a model, but no {run.checkpoint.name} to go on from"
        raise SettingsError(subject, what, f"start another run with --pretrained {run.folder}")
    if not run.hparams.is_file():
        raise SettingsError(subject, "holds no run to resume", "leave out --resume")
    kept = HParams.load(run.hparams)
    if run.state is State.DEAD:
        progress.note(f"{run.folder} ended before its first checkpoint: it starts again")
        return settings_to_start_again(kept, asked, given)
    progress.note(f"going on with {run.folder}, settings as it began")
    settings = settings_to_go_on(kept, asked, given)
    warn_of_ignored(settings, asked, progress)
    return settings


def _resume(run: Run, hparams: HParams, device: str, progress: Progress) -> _Ready:
    del device  # planned where it began
    plan, parts = _planned(run)
    steps, why = planned_steps(hparams, len(parts.training), plan.batch_size)
    if steps != plan.steps:
        reasons = {**plan.reasons, "steps": why}
        plan = plan.model_copy(update={"steps": steps, "reasons": reasons})
    resumed = read_checkpoint(run.checkpoint)
    budget = _budget_of(resumed, hparams, plan)
    if _is_done(run, budget, resumed):
        length, plateau = _length(plan, hparams), budget.plateau
        raise FinishedError(
            f"output = {run.folder}",
            f"ended at step {resumed.step} of {length}: {plateau.why}"
            if plateau
            else f"has used its budget of {length}",
            "make it longer with --steps or --time-budget, or start a new run without --resume",
        )
    source = hparams.images or hparams.data
    if not source.exists():
        name = "images" if hparams.images else "data"
        what, remedy = "where its data lay, is gone", f"say with --{name} where it lies now"
        raise SettingsError(f"{name} = {source}", what, remedy)
    found = survey(hparams, prepared_in(run), progress, parts)
    # What it learned is in the checkpoint; where it started from may be gone.
    network = initial_learner(hparams.model_copy(update={"pretrained": None}), plan, progress)
    return _Ready(run, hparams, found, plan, network, resumed)


def is_finished(run: Run) -> bool:
    """Whether a run has done all that it was to do.

    Raises:
        MedsegError: If its files cannot be read.
    """
    if run.state is not State.BEGUN:
        return False
    plan, _ = _planned(run)
    resumed = read_checkpoint(run.checkpoint)
    return _is_done(run, _budget_of(resumed, HParams.load(run.hparams), plan), resumed)


def _budget_of(resumed: ResumePoint, hparams: HParams, plan: Plan) -> Budget:
    """As far as it is used."""
    budget = _budget(hparams, plan)
    budget.start(resumed.reached)
    return budget


def _is_done(run: Run, budget: Budget, resumed: ResumePoint) -> bool:
    return budget.position(resumed.step) >= 1 and run.report.is_file()


def _planned(run: Run) -> tuple[Plan, Parts]:
    """What was decided when a run began."""
    try:
        plan = Plan.load(run.plan)
        return plan, Parts.model_validate_json(run.split.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise machine_error(error, str(run.folder)) or SettingsError(
            f"output = {run.folder}", f"its plan cannot be read ({reason})", "start a new run"
        ) from None


def _length(plan: Plan, hparams: HParams) -> str:
    return f"{plan.steps} steps" if plan.steps else f"{hparams.time_budget}"


def _network_name(hparams: HParams) -> str:
    """For a folder's name."""
    return hparams.encoder if hparams.network is None else hparams.network.replace(":", "-")


def _budget(hparams: HParams, plan: Plan) -> Budget:
    seconds = hparams.time_budget.total_seconds() if hparams.time_budget else None
    return Budget(plan.steps, seconds)


def _resolved(hparams: HParams, plan: Plan, folds: Sequence[int]) -> HParams:
    """The settings with everything filled in that was decided."""
    return hparams.model_copy(
        update={
            "fold": folds[0] if hparams.fold == "all" else hparams.fold,
            "channels": plan.channels,
            "task": plan.task,
            "patch_size": plan.patch_size,
            "batch_size": plan.batch_size,
            "spacing_mm": plan.spacing_mm,
            "flips": tuple("xyz"[plan.network_axes[axis]] for axis in plan.flip_axes),
            "learning_rate": plan.learning_rate,
            "layer_decay": plan.layer_decay,
            "steps": None if hparams.epochs else plan.steps,
        }
    )


@contextmanager
def _undone(run: Run) -> Generator[None, None, None]:
    """Whatever ends it before the first step leaves no run behind, so that it can be repeated.

    What a queue ends is to go on by itself, and leaves its settings.
    """
    try:
        yield
    except Stopped:
        raise
    except BaseException:
        run.discard()
        raise


@contextmanager
def _failures(device: str, run: Run) -> Generator[None, None, None]:
    """What may go wrong once a training has begun, and how to go on from there."""
    try:
        yield
    except Exception as error:
        failure = _failure(error, device, run)
        if failure is None:  # a defect of ours
            raise
        with suppress(OSError, MachineError):
            append_line(run.log, one_line(f"error: {failure}"))
        run.give_up()
        raise failure from error


def _failure(error: Exception, device: str, run: Run) -> MedsegError | None:
    if is_out_of_memory(error):
        remedy = "lower batch_size or patch_size, or set max_memory"
        return MachineError(f"device = {device}", "out of memory", remedy)
    again = "go on with --resume" if run.checkpoint.exists() else "start again"
    failed = machine_error(error, str(run.folder))
    if failed is not None:
        return MachineError(failed.subject, failed.what, f"{failed.remedy}, then {again}")
    if isinstance(error, MedsegError):
        return TrainingError(error.subject, error.what, error.remedy)
    if isinstance(error, OSError):
        where, why = error.filename or run.folder, error.strerror or error
        return TrainingError(f"{where}", f"{why}", f"mend it, then {again}")
    return None
