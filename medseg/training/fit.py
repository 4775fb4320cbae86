"""One training from settings to report."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch

from medseg.errors import MedsegError, SettingsError, TrainingError
from medseg.hparams import HParams
from medseg.machine import is_out_of_memory, keep_freed_memory, pick_device
from medseg.plan.overview import plan_table
from medseg.plan.plan import Plan
from medseg.progress import Logged, Progress
from medseg.runs import ModelCard, Run, latest_run
from medseg.training.closing import close_run
from medseg.training.data import DEMO, Survey, prepare_data, survey
from medseg.training.loop import Loop, optimise
from medseg.training.schedule import Budget

_DEMO_BUDGET = timedelta(minutes=3)


@dataclass(frozen=True)
class _Start:
    """What a new run and a resumed one have in common; `checkpoint` is None for a new one."""

    run: Run
    hparams: HParams
    found: Survey
    plan: Plan
    checkpoint: Path | None


def train(hparams: HParams, resume: bool, progress: Progress) -> Path:
    """Train a model.

    Args:
        hparams: What to do; with `resume` only `output` counts, the rest is as the run began.
        resume: Go on with the run in `output`, or the newest.
        progress: Told everything a person should know.

    Returns:
        The run folder.

    Raises:
        MedsegError: If it cannot start.
        TrainingError: If it fails later.
    """
    keep_freed_memory()
    device = pick_device(hparams.device)
    start = _resume(hparams, device, progress) if resume else _begin(hparams, device, progress)
    run, hparams, plan = start.run, start.hparams, start.plan
    progress = Logged(progress, run.log)
    progress.table(*plan_table(plan))
    data = prepare_data(start.found.cases, plan, hparams, run.folder.parent / "prepared", progress)
    if len(start.found.cases) == 1:
        progress.warn("one case: it is validated on itself, so its scores say nothing of new scans")
    card = ModelCard(
        plan=plan,
        encoder=hparams.encoder,
        head=hparams.head,
        channel_rule=start.found.channel_rule,
    )
    time_budget = hparams.time_budget
    budget = Budget(plan.steps, time_budget.total_seconds() if time_budget else None)
    loop = Loop(run, hparams, card, data, budget, torch.device(device), start.checkpoint)
    try:
        interrupted = optimise(loop, progress)
        close_run(loop, (*start.found.problems, *data.problems), interrupted, progress)
    except MedsegError as error:
        raise TrainingError(str(error)) from error
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise TrainingError(
            f"device {device}: out of memory; lower batch_size or patch_size, or set max_memory"
        ) from None
    except OSError as error:
        raise TrainingError(
            f"{error.filename or run.folder}: {error.strerror}; mend it and go on with --resume"
        ) from None
    return run.folder


def _begin(hparams: HParams, device: str, progress: Progress) -> _Start:
    if hparams.data == DEMO and not (hparams.steps or hparams.epochs or hparams.time_budget):
        progress.note(f"the demo trains for {_DEMO_BUDGET}; --time-budget sets another length")
        hparams = hparams.model_copy(update={"time_budget": _DEMO_BUDGET})
    source = hparams.images or hparams.data
    run = Run.create(hparams.output, f"{source.resolve().name}-{hparams.dim}d-{hparams.encoder}")
    try:
        found = survey(hparams, device, Logged(progress, run.log))
    except (MedsegError, KeyboardInterrupt):
        run.discard()
        raise
    plan = found.plan
    plan.save(run.plan)
    _resolved(hparams, plan).save(run.hparams)
    run.become_latest()
    return _Start(run, hparams, found, plan, None)


def _resume(hparams: HParams, device: str, progress: Progress) -> _Start:
    run = Run(hparams.output or latest_run(Path("runs")))
    if not run.checkpoint.is_file():
        raise SettingsError(f"output {run.folder}: holds no run to resume; leave out --resume")
    hparams = HParams.load(run.hparams)
    progress.note(f"going on with {run.folder}, settings as it began")
    found = survey(hparams, device, progress)
    return _Start(run, hparams, found, Plan.load(run.plan), run.checkpoint)


def _resolved(hparams: HParams, plan: Plan) -> HParams:
    """The settings with everything filled in that the plan decided."""
    axes = [axis for axis in range(3) if axis != plan.slice_axis]
    return hparams.model_copy(
        update={
            "channels": plan.channels,
            "task": plan.task,
            "patch_size": plan.patch_size,
            "batch_size": plan.batch_size,
            "spacing_mm": plan.spacing_mm,
            "flips": tuple("xyz"[axes[axis]] for axis in plan.flip_axes),
            "steps": None if hparams.epochs else plan.steps,
        }
    )
