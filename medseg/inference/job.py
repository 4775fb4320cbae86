"""Many scans, one after another: predict, write, tabulate; a failure does not stop the rest."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np

from medseg.errors import MedsegError
from medseg.inference.outputs import Target, plan_outputs
from medseg.inference.predictor import Prediction
from medseg.inference.uncertainty import uncertainty
from medseg.machine import is_out_of_memory
from medseg.plan.plan import Plan
from medseg.progress import Progress
from medseg.scans.case import Case
from medseg.scans.channels import ChannelRule, group_inputs
from medseg.scans.formats import LOSSY_SUFFIXES, suffix_of
from medseg.scans.write import write_image, write_label_map


@runtime_checkable
class Segments(Protocol):
    """What the job needs of a `Predictor`."""

    plan: Plan

    def predict(self, case: Case, *, with_probabilities: bool = False) -> Prediction:
        """The masks of one case; MedsegError if it cannot be used."""
        ...


class Outcome(NamedTuple):
    """What came of one input: the files written, or why there are none (one line)."""

    name: str
    written: tuple[Path, ...]
    failure: str | None


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
) -> list[Outcome]:
    """Predict files, folders and globs.

    Args:
        inputs: As typed.
        predictor: Segments one case.
        rule: How files are grouped into cases.
        output: See `plan_outputs`.
        progress: Gets a table per case, and a warning per failure.
        save: What else to write, as `<name>_<what>`; of probabilities, classes are the fourth axis.
        after: What else to make of each prediction: `<what>` -> writer of `<name>_<what>`.

    Raises:
        SettingsError: If `output` does not fit; nothing was predicted.
    """
    cases, problems = group_inputs(inputs, rule, predictor.plan.channels)
    targets, clashes = (
        plan_outputs(cases, output, predictor.plan, (*save, *after)) if cases else ([], [])
    )
    outcomes = [
        Outcome(name, (), f"{name}: {what}; {remedy}") for name, what, remedy in problems + clashes
    ]
    for outcome in outcomes:
        progress.warn(outcome.failure or "")
    for target in progress.track(targets, "predicting", len(targets)):
        progress.status(target.case.name)
        try:
            prediction = predictor.predict(target.case, with_probabilities=bool(save))
            written = _write(prediction, target, predictor.plan)
            written += _write_extras(prediction, target, predictor.plan, save)
            for what, action in after.items():
                action(target.case, prediction, target.extra(what))
        except (MedsegError, OSError, RuntimeError, MemoryError) as error:
            failure = _line(target.case, error)
            progress.warn(failure)
            outcomes.append(Outcome(target.case.name, (), failure))
            continue
        outcomes.append(Outcome(target.case.name, written, None))
        _report(prediction, target, predictor.plan, progress)
    return outcomes


def _write(prediction: Prediction, target: Target, plan: Plan) -> tuple[Path, ...]:
    source = target.case.images[0]
    # A mask of 0 and 1 gets the value that the user's own masks have, such as 255.
    masks = (
        [mask * value for mask, value in zip(prediction.label, plan.label_values, strict=True)]
        if plan.task == "multilabel"
        else [prediction.label]
    )
    return tuple(
        write_label_map(mask, prediction.geometry, file, like=source)
        for mask, file in zip(masks, target.files, strict=True)
    )


def _write_extras(
    prediction: Prediction, target: Target, plan: Plan, save: Collection[Extra]
) -> tuple[Path, ...]:
    if prediction.probabilities is None:
        return ()
    images = {"probabilities": prediction.probabilities}
    if "uncertainty" in save:
        images["uncertainty"] = uncertainty(prediction.probabilities, plan.task)
    return tuple(
        write_image(images[what], prediction.geometry, target.extra(what)) for what in save
    )


def _report(prediction: Prediction, target: Target, plan: Plan, progress: Progress) -> None:
    """Warnings, and a table of the classes' sizes."""
    source = target.case.images[0]
    for warning in prediction.warnings:
        progress.warn(warning if warning.startswith(source.name) else f"{source.name}: {warning}")
    if suffix_of(source) in LOSSY_SUFFIXES and suffix_of(target.files[0]) == ".png":
        progress.note(f"{source.name}: the mask is a PNG, as JPEG would alter its labels")
    geometry = prediction.geometry
    total = np.prod(geometry.size)
    voxel_ml = float(np.prod(geometry.spacing_mm)) / 1000
    rows: list[tuple[str, str, str]] = []
    for index, (name, value) in enumerate(plan.scored_classes.items()):
        multilabel = plan.task == "multilabel"
        mask = prediction.label[index] if multilabel else prediction.label == value
        voxels = int(np.count_nonzero(mask))
        size = f"{voxels * voxel_ml:.4g}" if geometry.world else f"{voxels / total:.2%}"
        rows.append((name, str(voxels), size))
    unit = "volume in mL" if geometry.world else "share"
    where = target.files[0] if len(target.files) == 1 else target.stem
    progress.table(f"{source.name} -> {where}", ("class", "voxels", unit), rows)


def _line(case: Case, error: Exception) -> str:
    """One line that begins with the file's name; what is no fault of the scan is raised again."""
    if is_out_of_memory(error):
        return f"{case.images[0].name}: out of memory; lower --max-memory or crop the scan"
    if not isinstance(error, MedsegError | OSError):
        raise error
    message = " ".join(str(error).split())
    names = tuple(path.name for path in case.images)
    return message if message.startswith(names) else f"{names[0]}: {message}"
