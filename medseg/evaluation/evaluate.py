"""Predictions against references: two files, or two folders."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from medseg.errors import MedsegError, ScanError
from medseg.evaluation.classes import Scored, Values, choose_classes, find_unannotated
from medseg.evaluation.masks import spelled
from medseg.evaluation.opened import Opened, nonzero
from medseg.evaluation.pairing import Pair, pair
from medseg.evaluation.scores import NO_CLASS, ClassScore, score_case, score_class, score_layers
from medseg.evaluation.summary import Summary, summarise, summary_table
from medseg.files import machine_error
from medseg.hparams import MissingMasks
from medseg.progress import Progress, Silent
from medseg.scans.case import Problem
from medseg.scans.notes import Note, folded

__all__ = [
    "ClassScore",
    "Summary",
    "evaluate_folders",
    "score_case",
    "score_layers",
    "summarise",
    "summary_table",
]


class _Rules(NamedTuple):
    """What is scored, and how; `unannotated` has the classes that are not, by reference."""

    classes: Scored
    ignore_label: int | None
    missing_masks: MissingMasks
    unannotated: Mapping[str, frozenset[str]]
    tolerance_mm: float


class _Said(NamedTuple):
    """What is doubtful: values of predictions that are no class, and notes by case."""

    strays: set[int]
    notes: list[tuple[str, Note]]


def evaluate_folders(
    prediction: Path,
    reference: Path,
    classes: Mapping[str, int | tuple[int, ...]] | None = None,
    tolerance_mm: float = 1.0,
    progress: Progress | None = None,
    ignore_label: int | None = None,
    missing_masks: MissingMasks = "refuse",
    annotated: Path | None = None,
) -> tuple[Summary, tuple[Problem, ...]]:
    """Score label maps, or one mask per class, on either side, paired by name.

    A reference on another grid is resampled to its prediction's, as training does with labels.

    Args:
        prediction: A file or a folder.
        reference: The same kind; a dataset in any layout that trains, or a folder of labels. Of one
            case it may be a folder of masks beside a label map, or the other way round.
        classes: Name -> value in label maps, several of a region, 0 included if it matters; for
            masks, the names to score. None: what the dataset of the references names, else every
            mask, or every value but 0 that a reference holds.
        tolerance_mm: Tolerance of the surface Dice; pixels for files without a world frame.
        progress: What to report to.
        ignore_label: Value in the references of voxels that are not scored; None: as their dataset
            says.
        missing_masks: What a mask means that a case lacks and others have. refuse: nothing of the
            case is scored. empty: the class is absent. unannotated: nobody looked for it in that
            reference, so it is not scored there.
        annotated: Table of case and the classes annotated there; others are not scored in it.

    Returns:
        The summary, and what was left out.

    Raises:
        MedsegError: If a path does not exist, nothing pairs or can be scored, the tolerance is no
            length, or nothing tells which value of a label map a mask is of.
    """
    progress = progress or Silent()
    if not (math.isfinite(tolerance_mm) and tolerance_mm >= 0):
        raise MedsegError(
            f"tolerance = {tolerance_mm}", "tolerance must be finite and at least 0", "try 1"
        )
    paired = pair(prediction, reference, tuple(classes or ()))
    if prediction.samefile(reference):
        progress.warn(f"{prediction} is compared with itself: every score is perfect")
    ignored = paired.reference.ignore_label if ignore_label is None else ignore_label
    scored = choose_classes(paired, classes, ignored, progress)
    if classes is None:
        scored = scored.without(ignored)
    unannotated = find_unannotated(paired, scored.references, missing_masks, annotated)
    rules = _Rules(scored, ignored, missing_masks, unannotated, tolerance_mm)
    said = _Said(set(), [])
    scores: list[ClassScore] = []
    problems = list(paired.problems)
    for one in progress.track(paired.pairs, "scoring", len(paired.pairs)):
        found = _score(one, rules, said)
        if isinstance(found, Problem):
            problems.append(found)
        else:
            scores += found
    for line in folded(said.notes):
        progress.warn(line)
    if not scores:
        raise _nothing(problems, reference)
    nowhere = {*scored.references} - {one.class_name for one in scores}
    if nowhere:
        progress.warn(f"{', '.join(sorted(nowhere))}: annotated in no case, so without a score")
    if said.strays and classes is None:
        progress.warn(
            f"predictions hold {_some(said.strays)}, which no class of the references has: counted"
            " as background; convert them if they mean a class"
        )
    return summarise(scores, tolerance_mm=tolerance_mm), tuple(problems)


def _nothing(problems: list[Problem], reference: Path) -> MedsegError:
    """Nothing has a score: because of something, or because there is nothing to score."""
    if not problems:
        what = "no class is marked or annotated in any reference: nothing could be scored"
        return MedsegError(str(reference), what, "name the classes with --classes")
    name, what, remedy = problems[0]
    more = f" (and {len(problems) - 1} more)" * (len(problems) > 1)
    return MedsegError(name, f"{what}: nothing could be scored{more}", remedy)


def _score(one: Pair, rules: _Rules, said: _Said) -> tuple[ClassScore, ...] | Problem:
    name = one.reference.name
    try:
        prediction = Opened(one.prediction, "prediction", rules.missing_masks)
        reference = Opened(one.reference, "reference", rules.missing_masks, prediction.grid)
        scores = _score_opened(name, prediction, reference, rules)
    except ScanError as error:
        failed = machine_error(error, name)
        if failed:
            raise failed from error
        return Problem.from_error(name, error)
    said.notes.extend((name, note) for note in (*prediction.notes, *reference.notes))
    if prediction.label is not None:
        known = {value for values in rules.classes.predictions.values() for value in values}
        said.strays.update(nonzero(prediction.label) - known)
    return scores


def _score_opened(
    case: str, prediction: Opened, reference: Opened, rules: _Rules
) -> tuple[ClassScore, ...]:
    hidden = rules.unannotated.get(case, frozenset())
    theirs = {n: v for n, v in rules.classes.references.items() if spelled(n) not in hidden}
    ours = {name: rules.classes.predictions[name] for name in theirs}
    if prediction.label is not None and reference.label is not None and _alike(ours, theirs):
        found, true = prediction.label, reference.label
        if rules.ignore_label is not None:
            ignored = true == rules.ignore_label
            found, true = (
                np.where(ignored, NO_CLASS, side.astype(np.int32)) for side in (found, true)
            )
        plain = {name: values[0] for name, values in theirs.items()}
        return score_case(case, found, true, prediction.grid, plain, rules.tolerance_mm)
    scores: list[ClassScore] = []
    for name, values in theirs.items():
        found, _ = prediction.find(name, ours[name])
        true, ignored = reference.find(name, values, rules.ignore_label)
        if ignored is not None:
            found, true = found & ~ignored, true & ~ignored
        label = (name, values[0] if values else 1)
        scores.append(score_class(case, label, (found, true), prediction.grid, rules.tolerance_mm))
    return tuple(scores)


def _alike(ours: Values, theirs: Values) -> bool:
    """Whether both sides write classes of one value in the same way: many cost little then."""
    return ours == theirs and all(len(values) == 1 for values in theirs.values())


def _some(values: set[int], most: int = 5) -> str:
    """The smallest of the values; an image taken for a label map has thousands."""
    shown = ", ".join(str(value) for value in sorted(values)[:most])
    return shown + f" and {len(values) - most} more" * (len(values) > most)
