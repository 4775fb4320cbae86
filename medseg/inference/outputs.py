"""Where the masks of each input go."""

import errno
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

from medseg.errors import SettingsError
from medseg.files import machine_error
from medseg.plan.plan import Plan
from medseg.scans.case import Case, Problem
from medseg.scans.channels import Inputs
from medseg.scans.formats import FORMATS, format_of, mask_suffix, named_path, suffix_of
from medseg.scans.marks import is_ours
from medseg.scans.names import file_stem, safe_names

_WRITTEN = tuple(
    suffix
    for entry in FORMATS
    if entry.masks in ("", ".png")
    for suffix in (*entry.suffixes, *entry.named)
)
"""What a mask may be asked for as; a JPEG or a GIF is answered with a PNG."""
_FORMAT = re.compile(r"\.(?!v\d+$)[a-z][a-z0-9]{0,4}$")
"""What a format's suffix looks like; `run.2024` and `masks.v2` are names of folders."""
_DATA_SUFFIXES = {
    ".mhd": (".raw", ".zraw"),
    ".nhdr": (".raw", ".raw.gz"),
    ".hdr": (".img",),
    ".img": (".hdr",),
}
"""Formats of several files: suffix of the header -> those of the data."""


class Target(NamedTuple):
    """What will be written for a case: `files` in the order of the classes, or one label map.

    `stem` is the label map's path without suffix, or the folder of the masks: what belongs to the
    case beside its masks is named after it. `shown` is what the scan is called in messages: its
    file's name, or its place where others have that name too.
    """

    case: Case
    shown: str
    stem: Path
    files: tuple[Path, ...]

    def extra(self, what: str) -> Path:
        """The file of something beside the masks: an overlay is a picture, all else an image."""
        suffix = ".png"
        if what != "overlay":
            entry = format_of(self.case.images[0])
            # Pictures hold whole numbers only, or no channels as an axis.
            own = entry is not None and entry.world
            suffix = mask_suffix(self.case.images[0]).lower() if own else ".nii.gz"
        return self.stem.with_name(f"{self.stem.name}_{what}{suffix}")

    def all_files(self, extras: Collection[str]) -> tuple[Path, ...]:
        """Everything that will be written."""
        return (*self.files, *(self.extra(what) for what in extras))


def plan_outputs(
    inputs: Inputs, output: Path | None, plan: Plan, extras: Collection[str] = ()
) -> tuple[list[Target], list[Problem]]:
    """Name every file that will be written, before any work is done.

    In a folder each scan keeps its name. Where two would write one file, the folder mirrors the
    tree of the inputs: `patient1/scan.nii.gz`. Where they lie in one folder too, such as a.jpg
    beside a.png, the name tells the format: `a_jpg.png`.

    Args:
        inputs: What will be predicted.
        output: A folder, a file for a single scan, or None: `scan_seg` in the working directory.
        plan: Multilabel plans write a folder of masks, one per class.
        extras: What else will be written of each case, as `Target.extra` names it.

    Returns:
        Targets, and the cases whose output would overwrite an input, another output, or a file
        that medseg did not make.

    Raises:
        SettingsError: If `output` cannot be written or does not fit the number of cases, or no
            case has an output that can be written.
    """
    shown = _shown(inputs)
    if output is not None and _is_file(output):
        check_writable(output.parent)
        targets = [_single(inputs.cases, shown[0], output, plan)]
    else:
        check_writable(output or Path())
        targets = _in_folder(inputs, shown, output, plan, extras)
    safe, problems = _safe(targets, extras)
    if problems and not safe:
        raise SettingsError(*problems[0])
    return safe, problems


def check_writable(folder: Path) -> None:
    """Make the folder and see that a file can be written in it.

    Raises:
        SettingsError: If not.
        MachineError: If that is the machine's fault, such as a full disk.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        failed = machine_error(error, f"output = {folder}")
        if failed:
            raise failed from error
        what = f"cannot be written ({error.strerror})"
        raise SettingsError(f"output = {folder}", what, "choose another folder") from None


def _is_file(output: Path) -> bool:
    """Whether `output` names a file rather than a folder.

    Raises:
        SettingsError: If it looks like a file of a format that cannot be written.
    """
    suffix = suffix_of(output)
    if output.is_dir():
        return False
    if suffix in _WRITTEN:
        return True
    if _FORMAT.fullmatch(suffix):
        raise SettingsError(
            f"output = {output}",
            f"masks are not written as {suffix}",
            f"end it with one of {', '.join(_WRITTEN)}; for a folder of that name, make it first",
        )
    return False


def _shown(inputs: Inputs) -> list[str]:
    """File names; places below what was named where several files have one name.

    Where the files of each case have a folder to themselves, places are those folders.
    """
    names = [_called(case.images[0]) for case in inputs.cases]
    beside = [place.parent / name for name, place in zip(names, inputs.places, strict=True)]
    within = [place / name for name, place in zip(names, inputs.places, strict=True)]
    by_name, by_place = Counter(names), Counter(beside)
    return [
        name if by_name[name] == 1 else (path if by_place[path] == 1 else inner).as_posix()
        for name, path, inner in zip(names, beside, within, strict=True)
    ]


def _called(scan: Path) -> str:
    """A file by its name, a series by that of its folder."""
    entry = format_of(scan)
    return scan.name if entry is None or entry.series is None else named_path(scan).name


def _single(cases: Sequence[Case], shown: str, output: Path, plan: Plan) -> Target:
    subject = f"output = {output}"
    if len(cases) > 1:
        raise SettingsError(subject, f"one file cannot hold {len(cases)} masks", "name a folder")
    if not plan.one_map:
        raise SettingsError(subject, "this model writes one mask file per class", "name a folder")
    stem = output.with_name(file_stem(output))
    return Target(cases[0], shown, stem, (stem.with_name(stem.name + mask_suffix(output)),))


def _in_folder(
    inputs: Inputs,
    shown: Sequence[str],
    output: Path | None,
    plan: Plan,
    extras: Collection[str],
) -> list[Target]:
    folder, affix = output or Path(), "_seg" if output is None else ""
    masks = () if plan.one_map else safe_names(plan.class_names)

    def placed(places: Sequence[PurePath]) -> list[Target]:
        stems = [folder / place.parent / (place.name + affix) for place in places]
        return [_target(*each, masks) for each in zip(inputs.cases, shown, stems, strict=True)]

    def told_apart(target: Target, place: PurePath, *, wholly: bool) -> Target:
        """By the format, in the names of extras alone if the mask has its scan's own."""
        file = target.case.images[0]
        name = target.case.name if wholly else file.name.replace(".", "_")
        other = _target(target.case, target.shown, folder / place.parent / (name + affix), masks)
        keeps = not (wholly or masks) and suffix_of(target.files[0]) == suffix_of(file)
        return other._replace(files=target.files) if keeps else other

    targets = placed([PurePath(place.name) for place in inputs.places])
    if not any(_crowded(targets, extras)):
        return targets
    targets = placed(inputs.places)
    for wholly in (False, True):
        targets = [
            told_apart(target, place, wholly=wholly) if crowded else target
            for target, place, crowded in zip(
                targets, inputs.places, _crowded(targets, extras), strict=True
            )
        ]
    return targets


def _crowded(targets: Sequence[Target], extras: Collection[str]) -> list[bool]:
    """Whether a target would write a file, or into a folder of masks, that another does too."""
    spots: list[set[str]] = []
    for target in targets:
        folder = [target.stem] if target.files[0].parent == target.stem else []
        spots.append({_spot(path) for path in (*target.all_files(extras), *folder)})
    counts = Counter(spot for each in spots for spot in each)
    return [any(counts[spot] > 1 for spot in each) for each in spots]


def _target(case: Case, shown: str, stem: Path, masks: Sequence[str]) -> Target:
    suffix = mask_suffix(case.images[0])
    if masks:
        files = tuple(stem / (name + suffix) for name in masks)
    else:
        files = (stem.with_name(stem.name + suffix),)
    return Target(case, shown, stem, files)


def _safe(targets: Sequence[Target], extras: Collection[str]) -> tuple[list[Target], list[Problem]]:
    inputs = {_spot(path) for target in targets for path in target.case.images}
    outputs: set[str] = set()
    reasons: tuple[tuple[Callable[[Path], bool], str], ...] = (
        (lambda file: _spot(file) in inputs, "would overwrite an input"),
        (lambda file: _spot(file) in outputs, "would overwrite another output"),
        (Path.is_dir, "is a folder"),
    )
    safe: list[Target] = []
    problems: list[Problem] = []
    for target in targets:
        files = target.all_files(extras)
        if any(map(_is_too_long, files)):
            what = "the name of its output is longer than its folder can hold"
            remedy = "shorten the scan's name, or name it alone with a file as --output"
            problems.append(Problem(target.shown, what, remedy))
            continue
        clash = next(
            (f"{file} {what}" for file in files for is_so, what in reasons if is_so(file)), ""
        )
        foreign = next((file for file in files if not clash and _is_foreign(file)), None)
        if clash:
            remedy = "choose another --output, or name fewer inputs"
            problems.append(Problem(target.shown, f"its output {clash}", remedy))
        elif foreign is not None:
            what = f"its output {foreign} is there already, and was not made by medseg"
            problems.append(
                Problem(target.shown, what, "choose another --output, or move the file away")
            )
        else:
            outputs.update(_spot(file) for file in files)
            safe.append(target)
    return safe, problems


def _is_too_long(file: Path) -> bool:
    try:
        file.lstat()
    except OSError as error:
        return error.errno == errno.ENAMETOOLONG
    return False


def _is_foreign(file: Path) -> bool:
    """Whether something that medseg did not make would be lost, such as a label drawn by hand."""
    data = _DATA_SUFFIXES.get(suffix_of(file), ())
    try:
        there = [path for path in (file, *map(file.with_suffix, data)) if path.exists()]
        return bool(there) and not (there[0] == file and is_ours(file))
    except OSError:
        return True


def _spot(path: Path) -> str:
    """Equal for two names of one file, also where upper and lower case are alike."""
    return str(path.resolve()).casefold()
