"""Many scans, one after another: predict, write, tabulate; a failure does not stop the rest."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np

from medseg.errors import MachineError, MedsegError
from medseg.files import machine_error
from medseg.inference.outputs import Target, plan_outputs
from medseg.inference.predictor import Prediction
from medseg.inference.uncertainty import uncertainty
from medseg.machine import is_out_of_memory
from medseg.plan.plan import Plan
from medseg.prepare.restore import class_masks
from medseg.progress import Progress
from medseg.scans.case import Case, Problem
from medseg.scans.channels import ChannelRule, group_inputs
from medseg.scans.formats import LOSSY_SUFFIXES, suffix_of
from medseg.scans.marks import mark
from medseg.scans.write import write_image, write_label_map


@runtime_checkable
class Segments(Protocol):
    """What the job needs of a `Predictor`."""

    plan: Plan

    def predict(self, case: Case, *, with_probabilities: bool = False) -> Prediction:
        """The masks of one case; MedsegError if it cannot be used."""
        ...


class Outcome(NamedTuple):
    """What came of one input: the files written, or why there are none."""

    name: str
    written: tuple[Path, ...]
    failure: Problem | None


Extra = Literal["probabilities", "uncertainty"]
AfterWriting = Callable[[Case, Prediction, Path], None]
"""Called with what was predicted and the file to write."""


def predict_inputs(
    inputs: Sequence[str],
    predictor: Segments,
    rule: ChannelRule,
    output: Path | None,
    progress: Progress,
    *,
    save: Collection[Extra] = (),
    after: Mapping[str, AfterWriting] = MappingProxyType({}),
    series: str | None = None,
) -> list[Outcome]:
    """Predict files, folders and globs.

    Args:
        inputs: As typed.
        predictor: Segments one case.
        rule: How files are grouped into cases.
        output: See `plan_outputs`.
        progress: Gets a table per case, a note of what was left out, and a warning per failure.
        save: What else to write, as `<name>_<what>`; of probabilities, classes are the fourth axis.
        after: What else to make of each prediction: `<what>` -> writer of `<name>_<what>`.
        series: See `group_inputs`.

    Raises:
        SettingsError: If `output` does not fit; nothing was predicted.
        MachineError: If the machine fails; those not done have been named.
    """
    plan = predictor.plan
    lacking = plan.channel_dropout > 0
    found = group_inputs(inputs, rule, plan.channels, series, lacking=lacking)
    for note in found.notes:
        progress.note(note)
    outcomes = [_failed(problem, progress) for problem in found.problems]
    targets, clashes = (
        plan_outputs(found, output, plan, (*save, *after)) if found.cases else ([], [])
    )
    outcomes += [_failed(problem, progress) for problem in clashes]
    for index, target in enumerate(progress.track(targets, "predicting", len(targets))):
        progress.status(target.case.name)
        try:
            outcomes.append(_predict(target, predictor, progress, save, after))
        except (MedsegError, OSError, RuntimeError, MemoryError) as error:
            failed = machine_error(error, target.shown)
            if failed and not is_out_of_memory(error):
                _name_rest(targets[index:], progress)
                raise failed from error
            problem = _problem(target, error)
            progress.warn(_line(problem))
            outcomes.append(Outcome(target.case.name, (), problem))
    return outcomes


def _predict(
    target: Target,
    predictor: Segments,
    progress: Progress,
    save: Collection[Extra],
    after: Mapping[str, AfterWriting],
) -> Outcome:
    prediction = predictor.predict(target.case, with_probabilities=bool(save))
    written = _write(prediction, target, predictor.plan)
    written += _write_extras(prediction, target, predictor.plan, save)
    for what, action in after.items():
        action(target.case, prediction, target.extra(what))
        mark(target.extra(what))
    _report(prediction, target, predictor.plan, progress)
    return Outcome(target.case.name, written, None)


def _write(prediction: Prediction, target: Target, plan: Plan) -> tuple[Path, ...]:
    source = target.case.images[0]
    # A mask of 0 and 1 gets the value that the user's own masks have, such as 255.
    masks = (
        [mask * value for mask, value in zip(prediction.label, plan.label_values, strict=True)]
        if not plan.one_map
        else [prediction.label]
    )
    written: list[Path] = []
    for mask, file in zip(masks, target.files, strict=True):
        written.append(write_label_map(mask, prediction.geometry, file, like=source))
        mark(written[-1])
    return tuple(written)


def _write_extras(
    prediction: Prediction, target: Target, plan: Plan, save: Collection[Extra]
) -> tuple[Path, ...]:
    if prediction.probabilities is None:
        return ()
    source = target.case.images[0]
    images = {"probabilities": prediction.probabilities}
    if "uncertainty" in save:
        images["uncertainty"] = uncertainty(prediction.probabilities, plan.task)
    written = tuple(
        write_image(images[what], prediction.geometry, target.extra(what), like=source)
        for what in save
    )
    for path in written:
        mark(path)
    return written


def _report(prediction: Prediction, target: Target, plan: Plan, progress: Progress) -> None:
    """Warnings, and a table of the classes' sizes."""
    source = target.case.images[0]
    for warning in prediction.warnings:
        progress.warn(warning if target.shown == source.name else f"{target.shown}: {warning}")
    if suffix_of(source) in LOSSY_SUFFIXES and suffix_of(target.files[0]) == ".png":
        progress.note(f"{target.shown}: the mask is a PNG, as JPEG would alter its labels")
    geometry = prediction.geometry
    total = np.prod(geometry.size)
    voxel_ml = float(np.prod(geometry.spacing_mm)) / 1000
    rows: list[tuple[str, str, str]] = []
    for name, mask in class_masks(prediction.label, plan):
        voxels = int(np.count_nonzero(mask))
        size = f"{voxels * voxel_ml:.4g}" if geometry.world else f"{voxels / total:.2%}"
        rows.append((name, str(voxels), size))
    unit = "volume in mL" if geometry.world else "share"
    where = target.files[0] if len(target.files) == 1 else target.stem
    progress.table(f"{target.shown} -> {where}", ("class", "voxels", unit), rows)


def _failed(problem: Problem, progress: Progress) -> Outcome:
    progress.warn(_line(problem))
    return Outcome(problem.name, (), problem)


def _line(problem: Problem) -> str:
    line = f"{problem.name}: {problem.what}"
    return " ".join((f"{line}; {problem.remedy}" if problem.remedy else line).split())


def _problem(target: Target, error: Exception) -> Problem:
    """What is wrong with one scan; what is no fault of it is raised again."""
    if isinstance(error, MedsegError) and not isinstance(error, MachineError):
        own = error.subject in ("", target.case.name, *(path.name for path in target.case.images))
        what = error.what if own and error.what else f"{error.subject}: {error.what}".strip(": ")
        several = len(target.case.images) > 1 and error.subject and own
        return Problem(target.shown, f"{error.subject}: {what}" if several else what, error.remedy)
    if is_out_of_memory(error):
        what = "out of memory"
        return Problem(target.shown, what, "close other programs, or lower --max-memory")
    if not isinstance(error, OSError):
        raise error
    what = error.strerror or str(error)
    return Problem(target.shown, what, "check the file, its permissions and the free space")


def _name_rest(targets: Sequence[Target], progress: Progress) -> None:
    names = ", ".join(target.shown for target in targets[:20])
    more = f" and {len(targets) - 20} more" * (len(targets) > 20)
    progress.warn(f"not done: {names}{more}")
