"""Where the masks of each input go."""

import tempfile
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from medseg.errors import SettingsError
from medseg.plan.plan import Plan
from medseg.scans.case import Case, Problem
from medseg.scans.formats import IMAGE_SUFFIXES, LOSSY_SUFFIXES, WORLD_SUFFIXES, suffix_of
from medseg.scans.names import file_stem, safe_names


class Target(NamedTuple):
    """What will be written for a case: `files` in the order of the classes, or one label map.

    `stem` is the label map's path without suffix, or the folder of the masks: what belongs to the
    case beside its masks is named after it.
    """

    case: Case
    stem: Path
    files: tuple[Path, ...]

    def extra(self, what: str) -> Path:
        """The file of something beside the masks: an overlay is a picture, all else an image."""
        suffix = ".png" if what == "overlay" else suffix_of(self.case.images[0])
        if what != "overlay" and suffix not in WORLD_SUFFIXES:
            suffix = ".nii.gz"  # formats without a world frame hold whole numbers only
        return self.stem.with_name(f"{self.stem.name}_{what}{suffix}")


def plan_outputs(
    cases: Sequence[Case], output: Path | None, plan: Plan, extras: Collection[str] = ()
) -> tuple[list[Target], list[Problem]]:
    """Name every file that will be written, before any work is done.

    Args:
        cases: What will be predicted.
        output: A folder (each scan keeps its name), a file for a single scan, or None: `scan_seg`
            in the working directory.
        plan: Multilabel plans write a folder of masks, one per class.
        extras: What else will be written of each case, as `Target.extra` names it.

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
        stems = Counter(_stem(case).casefold() for case in cases)
        targets = [_target(case, folder / (_name(case, stems) + affix), masks) for case in cases]
    return _safe(targets, extras)


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
    stem = output.with_name(file_stem(output))
    return Target(cases[0], stem, (stem.with_name(stem.name + _mask_suffix(output)),))


def _target(case: Case, stem: Path, masks: Sequence[str]) -> Target:
    suffix = _mask_suffix(case.images[0])
    if masks:
        files = tuple(stem / (name + suffix) for name in masks)
    else:
        files = (stem.with_name(stem.name + suffix),)
    return Target(case, stem, files)


def _mask_suffix(path: Path) -> str:
    """Format of a mask that is asked for as `path`, or belongs to that scan; spelled as there."""
    suffix = path.name[len(file_stem(path)) :]
    return ".png" if suffix.lower() in LOSSY_SUFFIXES else suffix  # JPEG would alter the labels


def _stem(case: Case) -> str:
    return file_stem(case.images[0]) if len(case.images) == 1 else case.name


def _name(case: Case, stems: Counter[str]) -> str:
    """The file's own name; the case's where files of several folders are named alike."""
    stem = _stem(case)
    return stem if stems[stem.casefold()] == 1 else case.name


def _safe(targets: Sequence[Target], extras: Collection[str]) -> tuple[list[Target], list[Problem]]:
    taken = {_place(path) for target in targets for path in target.case.images}
    safe: list[Target] = []
    problems: list[Problem] = []
    for target in targets:
        files = (*target.files, *(target.extra(what) for what in extras))
        clash = next((file for file in files if _place(file) in taken), None)
        if clash is None:
            taken.update(_place(file) for file in files)
            safe.append(target)
        else:
            what = f"its output {clash} would overwrite an input or another output"
            remedy = "choose another --output, or name fewer inputs"
            problems.append(Problem(target.case.images[0].name, what, remedy))
    return safe, problems


def _place(path: Path) -> str:
    """Equal for two names of one file, also where upper and lower case are alike."""
    return str(path.resolve()).casefold()
