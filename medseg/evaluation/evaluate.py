"""Predictions against references: two files, or two folders."""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from medseg.errors import MedsegError, ScanError
from medseg.evaluation.pairing import Entry, Pair, pair
from medseg.evaluation.scores import ClassScore, score_case, score_layers
from medseg.evaluation.summary import Summary, summarise, summary_table
from medseg.geometry import Geometry
from medseg.progress import Progress, Silent
from medseg.scans.case import Problem
from medseg.scans.names import class_of, file_stem
from medseg.scans.read import read_label_map

__all__ = [
    "ClassScore",
    "Summary",
    "evaluate_folders",
    "score_case",
    "score_layers",
    "summarise",
    "summary_table",
]

Labels = npt.NDArray[np.integer[Any]]


def evaluate_folders(
    prediction: Path,
    reference: Path,
    classes: Mapping[str, int] | None = None,
    tolerance_mm: float = 1.0,
    progress: Progress | None = None,
) -> tuple[Summary, tuple[Problem, ...]]:
    """Score label maps, or folders with one mask per class, paired by name.

    Args:
        prediction: A file or a folder.
        reference: The same kind.
        classes: Name -> value in the files, 0 included if it matters; for masks, the names to
            score. None: every value but 0 that a reference holds, or every mask.
        tolerance_mm: Tolerance of the surface Dice; pixels for files without a world frame.
        progress: What to report to.

    Returns:
        The summary, and what was left out.

    Raises:
        MedsegError: If a path does not exist, nothing pairs or the tolerance is no length.
    """
    progress = progress or Silent()
    if not (math.isfinite(tolerance_mm) and tolerance_mm >= 0):
        raise MedsegError(f"tolerance must be finite and at least 0, got {tolerance_mm}; try 1")
    pairs, problems = pair(prediction, reference)
    values = classes if classes is not None else _classes_of(pairs, progress)
    scores: list[ClassScore] = []
    strays: set[int] = set()
    for one in progress.track(pairs, "scoring", len(pairs)):
        scored = _score(one, values, classes, tolerance_mm, strays)
        if isinstance(scored, Problem):
            problems.append(scored)
        else:
            scores += scored
    if strays and classes is None:
        progress.warn(
            f"predictions hold {_some(strays)}, which no reference does: counted as"
            " background; convert them if they mean a class"
        )
    return summarise(scores, tolerance_mm=tolerance_mm), tuple(problems)


def _classes_of(pairs: Sequence[Pair], progress: Progress) -> dict[str, int]:
    """Every value but 0 in the references' label maps."""
    values: set[int] = set()
    maps = [one.reference.files[0] for one in pairs if len(one.reference.files) == 1]
    for path in progress.track(maps, "reading references", len(maps)):
        with suppress(ScanError):  # it is reported when the case is scored
            values |= _values(read_label_map(path)[0])
    return {f"class {value}": value for value in sorted(values)}


def _score(
    one: Pair,
    values: Mapping[str, int],
    classes: Mapping[str, int] | None,
    tolerance_mm: float,
    strays: set[int],
) -> Sequence[ClassScore] | Problem:
    try:
        if len(one.reference.files) == len(one.prediction.files) == 1:
            return _score_maps(one, values, tolerance_mm, strays)
        return _score_masks(one, classes, tolerance_mm)
    except ScanError as error:
        return Problem.from_error(one.reference.name, error)


def _score_maps(
    one: Pair, classes: Mapping[str, int], tolerance_mm: float, strays: set[int]
) -> tuple[ClassScore, ...]:
    prediction, reference, geometry = _read(one.prediction.files[0], one.reference.files[0])
    strays |= _values(prediction) - set(classes.values())
    return score_case(one.reference.name, prediction, reference, geometry, classes, tolerance_mm)


def _score_masks(
    one: Pair, classes: Mapping[str, int] | None, tolerance_mm: float
) -> list[ClassScore]:
    """Mask by mask: a case with a hundred classes needs no more memory than one with two."""
    predictions, references = _masks(one.prediction), _masks(one.reference)
    names = {name.casefold(): name for name in (references if classes is None else classes)}
    missing = [
        name for key, name in names.items() if not (key in predictions and key in references)
    ]
    if missing:
        raise ScanError(
            f"prediction has masks {sorted(predictions)}, reference {sorted(references)}:"
            f" {missing} must be in both; name the files alike"
        )
    scores: list[ClassScore] = []
    for key, name in names.items():
        masks = _read(predictions[key], references[key])
        prediction, reference = (mask.astype(bool).view(np.uint8) for mask in masks[:2])
        scores += score_case(
            one.reference.name, prediction, reference, masks[2], {name: 1}, tolerance_mm
        )
    return scores


def _read(prediction: Path, reference: Path) -> tuple[Labels, Labels, Geometry]:
    ours, our_grid = read_label_map(prediction)
    theirs, grid = read_label_map(reference)
    if not our_grid.same_grid(grid):
        raise ScanError(
            f"prediction's grid (size {our_grid.size}, spacing {_text(our_grid)}) must be the"
            f" reference's ({grid.size}, {_text(grid)}), origin and direction too;"
            " resample one to the other"
        )
    return ours, theirs, grid


def _masks(entry: Entry) -> dict[str, Path]:
    """Class -> mask file."""
    stems = {file: file_stem(file) for file in entry.files}
    return {(class_of(stem) or stem).casefold(): file for file, stem in stems.items()}


def _values(labels: Labels) -> set[int]:
    return {int(value) for value in np.unique(labels)} - {0}


def _some(values: set[int], most: int = 5) -> str:
    """The smallest of the values; an image taken for a label map has thousands."""
    shown = ", ".join(str(value) for value in sorted(values)[:most])
    return shown + f" and {len(values) - most} more" * (len(values) > most)


def _text(geometry: Geometry) -> str:
    return "(" + ", ".join(f"{step:.4g}" for step in geometry.spacing_mm) + ")"
