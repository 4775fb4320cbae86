"""Predictions against references: two files, or two folders."""

import math
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from medseg.errors import MedsegError, ScanError
from medseg.evaluation.entries import Entry
from medseg.evaluation.pairing import Pair, pair
from medseg.evaluation.scores import NO_CLASS, ClassScore, score_case, score_layers
from medseg.evaluation.summary import Summary, summarise, summary_table
from medseg.files import machine_error
from medseg.geometry import Geometry
from medseg.progress import Progress, Silent
from medseg.scans.alignment import align
from medseg.scans.case import Problem
from medseg.scans.decode import Voxels
from medseg.scans.kinds import looks_like_image
from medseg.scans.names import class_of, file_stem
from medseg.scans.notes import Note, folded
from medseg.scans.read import read_label_map, read_subject
from medseg.scans.segments import segment_names

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


class _Maps(NamedTuple):
    """How label maps are compared: classes with a value or several, what is left out, tolerance."""

    classes: Mapping[str, int | tuple[int, ...]]
    ignore_label: int | None
    tolerance_mm: float

    @property
    def regions(self) -> dict[str, tuple[int, ...]]:
        """Class -> its values."""
        return {
            name: (values,) if isinstance(values, int) else values
            for name, values in self.classes.items()
        }


def evaluate_folders(
    prediction: Path,
    reference: Path,
    classes: Mapping[str, int | tuple[int, ...]] | None = None,
    tolerance_mm: float = 1.0,
    progress: Progress | None = None,
    ignore_label: int | None = None,
) -> tuple[Summary, tuple[Problem, ...]]:
    """Score label maps, or folders with one mask per class, paired by name.

    A reference on another grid is resampled to its prediction's, as training does with labels.

    Args:
        prediction: A file or a folder.
        reference: The same kind; a dataset in any layout that trains, or a folder of labels.
        classes: Name -> value in the files, 0 included if it matters; for masks, the names to
            score. None: every value but 0 that a reference holds, or every mask, under the names
            that the dataset gives them.
        tolerance_mm: Tolerance of the surface Dice; pixels for files without a world frame.
        progress: What to report to.
        ignore_label: Value in the references of voxels that are not scored; None: as their dataset
            says.

    Returns:
        The summary, and what was left out.

    Raises:
        MedsegError: If a path does not exist, nothing pairs or can be scored, or the tolerance is
            no length.
    """
    progress = progress or Silent()
    if not (math.isfinite(tolerance_mm) and tolerance_mm >= 0):
        raise MedsegError(
            f"tolerance = {tolerance_mm}", "tolerance must be finite and at least 0", "try 1"
        )
    pairs, problems, names, regions, ignored = pair(prediction, reference)
    if prediction.samefile(reference):
        progress.warn(f"{prediction} is compared with itself: every score is perfect")
    ignored = ignored if ignore_label is None else ignore_label
    values = classes
    if values is None:
        found = regions.values if regions else _classes_of(pairs, names, progress)
        values = {name: value for name, value in found.items() if value != ignored}
    maps = _Maps(values, ignored, tolerance_mm)
    scores: list[ClassScore] = []
    strays: set[int] = set()
    notes: list[tuple[str, Note]] = []
    for one in progress.track(pairs, "scoring", len(pairs)):
        scored = _score(one, maps, classes, strays, notes)
        if isinstance(scored, Problem):
            problems.append(scored)
        else:
            scores += scored
    for line in folded(notes):
        progress.warn(line)
    if not scores and problems:
        name, what, remedy = problems[0]
        more = f" (and {len(problems) - 1} more)" * (len(problems) > 1)
        raise MedsegError(name, f"{what}: nothing could be scored{more}", remedy)
    if strays and classes is None:
        progress.warn(
            f"predictions hold {_some(strays)}, which no reference does: counted as"
            " background; convert them if they mean a class"
        )
    return summarise(scores, tolerance_mm=tolerance_mm), tuple(problems)


def _classes_of(
    pairs: Sequence[Pair], names: Mapping[int, str], progress: Progress
) -> dict[str, int]:
    """Every value but 0 in the references' label maps, named as their dataset names it."""
    for one in pairs:
        if one.reference.case and one.reference.case.segments:  # read by name, as values from 1
            return {name: place + 1 for place, name in enumerate(one.reference.case.segments)}
    values: set[int] = set()
    maps = [file for one in pairs for file in one.reference.files if not one.reference.classes]
    for path in progress.track(maps, "reading references", len(maps)):
        with suppress(ScanError):  # it is reported when the case is scored
            values |= _values(_label_map(path)[0]) if path else set()
    return {names.get(value, f"class {value}"): value for value in sorted(values)}


def _score(
    one: Pair,
    maps: _Maps,
    classes: Collection[str] | None,
    strays: set[int],
    notes: list[tuple[str, Note]],
) -> Sequence[ClassScore] | Problem:
    try:
        if len(one.reference.files) == len(one.prediction.files) == 1:
            return _score_maps(one, maps, strays, notes)
        return _score_masks(one, classes, maps, notes)
    except ScanError as error:
        failed = machine_error(error, one.reference.name)
        if failed:
            raise failed from error
        return Problem.from_error(one.reference.name, error)


def _score_maps(
    one: Pair, maps: _Maps, strays: set[int], notes: list[tuple[str, Note]]
) -> tuple[ClassScore, ...]:
    name = one.reference.name
    prediction, reference, geometry = _read(one.prediction.files[0], one.reference, 0, notes)
    known = {value for values in maps.regions.values() for value in values}
    strays |= _values(prediction) - known
    if maps.ignore_label is not None:
        ignored = reference == maps.ignore_label
        prediction, reference = (
            np.where(ignored, NO_CLASS, side.astype(np.int32)) for side in (prediction, reference)
        )
    plain = {label: values[0] for label, values in maps.regions.items()}
    if all(len(values) == 1 for values in maps.regions.values()):
        return score_case(name, prediction, reference, geometry, plain, maps.tolerance_mm)
    ours, theirs = (
        np.stack([np.isin(side, values) for values in maps.regions.values()]).astype(np.uint8)
        for side in (prediction, reference)
    )
    return score_layers(name, ours, theirs, geometry, plain, maps.tolerance_mm)


def _score_masks(
    one: Pair, classes: Collection[str] | None, maps: _Maps, notes: list[tuple[str, Note]]
) -> list[ClassScore]:
    """Mask by mask: a case with a hundred classes needs no more memory than one with two."""
    predictions, references = (_places(side) for side in one)
    names = {name.casefold(): name for name in (references if classes is None else classes)}
    missing = [
        name for key, name in names.items() if not (key in predictions and key in references)
    ]
    if missing:
        raise ScanError(
            "masks",
            f"prediction has {sorted(predictions)}, reference {sorted(references)}: "
            f"{missing} must be in both",
            "name the files alike",
        )
    scores: list[ClassScore] = []
    for key, name in names.items():
        file = one.prediction.files[predictions[key]]
        *masks, geometry = _read(file, one.reference, references[key], notes)
        if maps.ignore_label is not None:
            ignored = masks[1] == maps.ignore_label
            masks = [np.where(ignored, 0, mask) for mask in masks]
        value = max(int(mask.max()) for mask in reversed(masks)) or 1
        prediction, reference = ((mask != 0) * np.int32(value) for mask in masks)
        scores += score_case(
            one.reference.name, prediction, reference, geometry, {name: value}, maps.tolerance_mm
        )
    return scores


def _read(
    prediction: Path | None, reference: Entry, place: int, notes: list[tuple[str, Note]]
) -> tuple[Labels, Labels, Geometry]:
    """Both on the prediction's grid, which is the scan's: there training scores, too.

    Args:
        prediction: A label map, or a mask.
        reference: Its other side.
        place: Which of its files, or layers.
        notes: Is told how a reference on another grid was brought here.
    """
    assert prediction is not None  # what is there was listed
    ours, grid = _label_map(prediction)
    file = reference.files[place]
    if reference.case is not None:
        subject = read_subject(replace(reference.case, images=(prediction,)))
        assert subject.label is not None
        theirs, said = subject.label[place], list(subject.warnings)
    elif file is None:
        theirs, said = np.zeros_like(ours), []
    else:
        values, own = _label_map(file)
        moved, said = align(
            file.name, Voxels(values[None], own), grid, order=0, of="the prediction"
        )
        theirs = moved[0]
    notes += [(reference.name, note) for note in said]
    return ours, theirs, grid


def _label_map(path: Path) -> tuple[Labels, Geometry]:
    """A label map, if it is one.

    Raises:
        ScanError: If it cannot be read, or is plainly an image.
    """
    if segment_names(path):
        raise ScanError(
            path.name,
            "names its classes, and which values they have only its dataset tells",
            "give the dataset's folder, scans and all",
        )
    values, geometry = read_label_map(path)
    if looks_like_image(values):
        raise ScanError(
            path.name,
            f"holds {len(np.unique(values))} values from {values.min()} to {values.max()}, as an "
            "image does and no label map",
            "give a label map in its place",
        )
    return values, geometry


def _places(entry: Entry) -> dict[str, int]:
    """Class -> place in the files; the classes of a dataset, or what the files' names state."""
    names = entry.classes or [class_of(stem) or stem for stem in map(_stem, entry.files)]
    return {name.casefold(): place for place, name in enumerate(names)}


def _stem(file: Path | None) -> str:
    return "" if file is None else file_stem(file)


def _values(labels: Labels) -> set[int]:
    return {int(value) for value in np.unique(labels)} - {0}


def _some(values: set[int], most: int = 5) -> str:
    """The smallest of the values; an image taken for a label map has thousands."""
    shown = ", ".join(str(value) for value in sorted(values)[:most])
    return shown + f" and {len(values) - most} more" * (len(values) > most)
