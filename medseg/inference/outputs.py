"""Where the masks of each input go."""

import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from medseg.errors import SettingsError
from medseg.plan.plan import Plan
from medseg.scans.case import Case, Problem
from medseg.scans.formats import IMAGE_SUFFIXES, LOSSY_SUFFIXES, suffix_of
from medseg.scans.names import file_stem, safe_names


class Target(NamedTuple):
    """What will be written for a case: `files` in the order of the classes, or one label map.

    `stem` is the label map's path without suffix, or the folder of the masks: what belongs to the
    case beside its masks is named after it.
    """

    case: Case
    stem: Path
    files: tuple[Path, ...]


def plan_outputs(
    cases: Sequence[Case], output: Path | None, plan: Plan
) -> tuple[list[Target], list[Problem]]:
    """Name every file that will be written, before any work is done.

    Args:
        cases: What will be predicted.
        output: A folder (each scan keeps its name), a file for a single scan, or None: `scan_seg`
            in the working directory.
        plan: Multilabel plans write a folder of masks, one per class.

    Returns:
        Targets, and the cases whose output would overwrite an input or another output.

    Raises:
        SettingsError: If `output` cannot be written or does not fit the number of cases.
    """
    if output is not None and suffix_of(output) in IMAGE_SUFFIXES and not output.is_dir():
        check_writable(output.parent)
        targets = [_single(cases, output, plan)]
    else:
        folder = output or Path()
        check_writable(folder)
        masks = safe_names(plan.class_names) if plan.task == "multilabel" else ()
        affix = "_seg" if output is None else ""
        stems = Counter(_stem(case) for case in cases)
        targets = [_target(case, folder / (_name(case, stems) + affix), masks) for case in cases]
    return _safe(targets)


def check_writable(folder: Path) -> None:
    """Make the folder and see that a file can be written in it.

    Raises:
        SettingsError: If not.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SettingsError(
            f"output = {folder}: cannot be written ({error.strerror}); choose another folder"
        ) from None


def _single(cases: Sequence[Case], output: Path, plan: Plan) -> Target:
    if len(cases) > 1:
        raise SettingsError(
            f"output = {output}: one file cannot hold {len(cases)} masks; name a folder"
        )
    if plan.task == "multilabel":
        raise SettingsError(
            f"output = {output}: this model writes one mask file per class; name a folder"
        )
    return Target(cases[0], output.with_name(file_stem(output)), (output,))


def _target(case: Case, stem: Path, masks: Sequence[str]) -> Target:
    source = case.images[0]
    suffix = source.name[len(file_stem(source)) :]
    if suffix.lower() in LOSSY_SUFFIXES:
        suffix = ".png"  # compression would alter the labels
    if masks:
        files = tuple(stem / (name + suffix) for name in masks)
    else:
        files = (stem.with_name(stem.name + suffix),)
    return Target(case, stem, files)


def _stem(case: Case) -> str:
    return file_stem(case.images[0]) if len(case.images) == 1 else case.name


def _name(case: Case, stems: Counter[str]) -> str:
    """The file's own name; the case's where files of several folders are named alike."""
    stem = _stem(case)
    return stem if stems[stem] == 1 else case.name


def _safe(targets: Sequence[Target]) -> tuple[list[Target], list[Problem]]:
    taken = {path.resolve() for target in targets for path in target.case.images}
    safe: list[Target] = []
    problems: list[Problem] = []
    for target in targets:
        clash = next((file for file in target.files if file.resolve() in taken), None)
        if clash is None:
            taken.update(file.resolve() for file in target.files)
            safe.append(target)
        else:
            what = f"its mask {clash} would overwrite an input or another mask"
            remedy = "choose another --output, or name fewer inputs"
            problems.append(Problem(target.case.images[0].name, what, remedy))
    return safe, problems
