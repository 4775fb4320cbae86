"""One training from settings to report."""

from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medseg.errors import MachineError, MedsegError, SettingsError, TrainingError
from medseg.files import append_line, machine_error, write_text
from medseg.hparams import HParams
from medseg.machine import is_out_of_memory, keep_freed_memory, pick_device
from medseg.networks.masked import MaskedAutoencoder, masked_l1
from medseg.patches.torchio_transform import build_transforms
from medseg.plan.classes import class_weights
from medseg.plan.overview import plan_table
from medseg.plan.plan import Plan
from medseg.prepare.prepared import unannotated_sets
from medseg.progress import Logged, Progress, one_line
from medseg.runs import ModelCard, Run, latest_run
from medseg.training.closing import close_run
from medseg.training.data import (
    DEMO,
    Survey,
    TrainingData,
    plan_training,
    prepare_data,
    survey,
)
from medseg.training.loop import Begun, Loop, read_checkpoint
from medseg.training.losses import build_loss
from medseg.training.parts import Parts
from medseg.training.pretraining import pretrain
from medseg.training.schedule import Budget
from medseg.training.segmentation import Segmentation
from medseg.training.start import initial_learner, network_choice
from medseg.training.task import Learner
from medseg.types import Labels

_DEMO_BUDGET = timedelta(minutes=3)


@dataclass(frozen=True)
class _Start:
    """What a new run and a resumed one have in common."""

    run: Run
    hparams: HParams
    found: Survey
    plan: Plan
    network: Learner
    begun: Begun | None = None


def train(hparams: HParams, resume: bool, progress: Progress) -> Path:
    """Train a model.

    Args:
        hparams: What to do; with `resume` only `output` and `device` count, the rest is as the run
            began.
        resume: Go on with the run in `output`, or the newest.
        progress: Told everything a person should know.

    Returns:
        The run folder.

    Raises:
        MedsegError: If it cannot start.
        TrainingError: If it fails later.
        MachineError: If the machine fails, whenever.
    """
    device = pick_device(hparams.device)
    start = _resume(hparams, progress) if resume else _begin(hparams, device, progress)
    run, plan = start.run, start.plan
    progress = Logged(progress, run.log)
    with _undone(run):
        data = _prepare(start, progress)
    # From here on memory is taken and freed by the same steps; reading scans gave it all back.
    keep_freed_memory()
    with _failures(device, run):
        write_text(run.split, data.parts.model_dump_json(indent=2))
        budget = _budget(start.hparams, plan)
        loop = Loop(
            run,
            start.hparams,
            plan,
            start.network,
            _loss(start, data),
            data.training,
            budget,
            torch.device(device),
            start.begun,
        )
        problems = (*start.found.problems, *data.problems)
        if isinstance(start.network, MaskedAutoencoder):
            pretrain(loop, start.network, data, problems, progress)
        else:
            card = ModelCard(
                plan=plan,
                network=network_choice(start.hparams),
                channel_rule=start.found.channel_rule,
            )
            segmentation = Segmentation(loop, start.network, card, data)
            interrupted = segmentation.train(progress)
            close_run(segmentation, problems, interrupted, progress)
    return run.folder


def prepared_in(run: Run) -> Path:
    """What all runs beside each other share: facts and prepared cases."""
    return run.folder.parent / "prepared"


def _prepare(start: _Start, progress: Progress) -> TrainingData:
    progress.table(*plan_table(start.plan))
    folder, resumed = prepared_in(start.run), start.begun is not None
    data = prepare_data(start.found, start.plan, start.hparams, folder, progress, resumed=resumed)
    if len(start.found.cases) == 1:
        progress.warn("one case: it is validated on itself, so its scores say nothing of new scans")
    return data


def _loss(start: _Start, data: TrainingData) -> Callable[[Any, Labels], Tensor]:
    if start.hparams.pretrain:
        return lambda output, _: masked_l1(output)
    plan = start.plan
    return build_loss(
        start.hparams.loss,
        plan.task,
        with_background=not plan.has_background,
        class_weights=class_weights(plan.class_names, start.hparams.class_weights),
        hidden=unannotated_sets(data.training) if plan.task == "multiclass" else (),
    )


def _begin(hparams: HParams, device: str, progress: Progress) -> _Start:
    if hparams.deterministic and device.startswith("cuda"):
        raise SettingsError(
            f"deterministic = True, device = {device}",
            "PyTorch cannot repeat the gradients of interpolation on a GPU",
            "set --device cpu, or leave out deterministic",
        )
    build_transforms([(extra.name, extra.arguments) for extra in hparams.extra_transforms])
    timed = hparams.steps or hparams.epochs or hparams.time_budget
    if hparams.data == DEMO and hparams.images is None and not timed:
        progress.note(f"the demo trains for {_DEMO_BUDGET}; --time-budget sets another length")
        hparams = hparams.model_copy(update={"time_budget": _DEMO_BUDGET})
    source = hparams.images or hparams.data
    run = Run.create(
        hparams.output, f"{source.resolve().name}-{hparams.dim}d-{_network_name(hparams)}"
    )
    with _undone(run):
        found = survey(hparams, prepared_in(run), Logged(progress, run.log))
        plan = plan_training(found, hparams, device)
        network = initial_learner(hparams, plan, Logged(progress, run.log))
        plan.save(run.plan)
        _resolved(hparams, plan).save(run.hparams)
    return _Start(run, hparams, found, plan, network)


def _resume(hparams: HParams, progress: Progress) -> _Start:
    run = Run(hparams.output or latest_run(Path("runs")))
    if not run.checkpoint.is_file():
        raise SettingsError(
            f"output = {run.folder}", "holds no run to resume", "leave out --resume"
        )
    asked, hparams = hparams, HParams.load(run.hparams)
    progress.note(f"going on with {run.folder}, settings as it began")
    ignored = _differing(asked, hparams)
    if ignored:
        progress.warn(f"ignored, since the run has settings of its own: {', '.join(ignored)}")
    try:
        plan = Plan.load(run.plan)
        parts = Parts.model_validate_json(run.split.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise machine_error(error, str(run.folder)) or SettingsError(
            f"output = {run.folder}", f"its plan cannot be read ({reason})", "start a new run"
        ) from None
    begun = read_checkpoint(run.checkpoint)
    budget = _budget(hparams, plan)
    budget.start(begun.elapsed_s)
    if budget.position(begun.step) >= 1 and run.report.is_file():
        raise SettingsError(
            f"output = {run.folder}", "has used its budget", "start a new run without --resume"
        )
    found = survey(hparams, prepared_in(run), progress, parts)
    # What it learned is in the checkpoint; where it started from may be gone.
    network = initial_learner(hparams.model_copy(update={"pretrained": None}), plan, progress)
    return _Start(run, hparams, found, plan, network, begun)


def _network_name(hparams: HParams) -> str:
    """For a folder's name."""
    return hparams.encoder if hparams.network is None else hparams.network.replace(":", "-")


def _budget(hparams: HParams, plan: Plan) -> Budget:
    seconds = hparams.time_budget.total_seconds() if hparams.time_budget else None
    return Budget(plan.steps, seconds)


def _differing(asked: HParams, kept: HParams) -> list[str]:
    """Settings that were asked for now and are others in the run."""
    default = HParams()
    names = set(HParams.model_fields) - {"output", "device"}
    return sorted(
        f"{name} = {value}"
        for name in names
        if (value := getattr(asked, name)) not in (getattr(kept, name), getattr(default, name))
    )


def _resolved(hparams: HParams, plan: Plan) -> HParams:
    """The settings with everything filled in that the plan decided."""
    return hparams.model_copy(
        update={
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
    """Whatever ends it before the first step leaves no run behind, so that it can be repeated."""
    try:
        yield
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
