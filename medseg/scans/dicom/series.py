"""Which files of a folder form a series, and what each of them is."""

import filecmp
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

import numpy as np

from medseg.errors import ScanError
from medseg.files import machine_error
from medseg.geometry import Geometry, Size
from medseg.scans.dicom.facts import Facts, Frame, facts_of
from medseg.scans.dicom.header import SUFFIXES, is_dicom, reading
from medseg.scans.dicom.kinds import Kind
from medseg.scans.dicom.pixels import decoded_frames
from medseg.scans.dicom.volumes import Volume, as_geometry, volumes
from medseg.scans.formats import IMAGE_SUFFIXES, suffix_of
from medseg.scans.names import natural_key

_LISTED = 30
_UID = re.compile(r"(?:\d+\.){4,}\d+")
_OTHERS = frozenset(IMAGE_SUFFIXES) - frozenset(SUFFIXES)
DAMAGED = ("damaged, or not really a DICOM file", "copy or export it again")
_NEVER = frozenset([".txt", ".json", ".csv", ".xml", ".zip", ".gz", ".pdf", ".py", ".md", ".html"])


@dataclass(frozen=True)
class Series:
    """A volume, a picture, or a segmentation: what one path stands for.

    Attributes:
        first: Its first file, in slice order: the path that stands for it.
        files: All of them, in slice order.
        facts: Of its first file.
        volume: Its slices; None for a segmentation, and for what is no image.
        geometry: Its grid; None where `problem`, and for a segmentation.
        copies: Files that hold the same slices once more.
        name: What to call it: of the user's own folder and file names and the series' number.
        notes: What a user should know of how it is read, and the detail of this one.
        problem: Why it cannot be read, and what to do; nothing where it can.
        of_another: Whether it is a broken file, most likely a slice of a series beside it.
    """

    first: Path
    files: tuple[Path, ...]
    facts: Facts
    volume: Volume | None
    geometry: Geometry | None
    copies: tuple[Path, ...] = ()
    name: str = ""
    notes: tuple[tuple[str, str], ...] = ()
    problem: tuple[str, str] | None = None
    of_another: bool = False

    @property
    def is_broken(self) -> bool:
        """Whether it is a file that nobody can tell anything of."""
        return self.facts.kind.what == "other" and not self.facts.kind.words

    @property
    def is_labels(self) -> bool:
        """Whether it is a segmentation."""
        return self.facts.kind.what == "labels"

    @property
    def description(self) -> str:
        """What the scanner calls it, without names, identifiers and dates; and which part it is."""
        mark = self.volume.mark if self.volume is not None else ""
        return ", ".join(part for part in (self.facts.description, mark) if part)

    @property
    def line(self) -> str:
        """For a list: number, description, modality, size and spacing."""
        number = "series" if self.facts.number is None else f"series {self.facts.number}"
        said = [number, self.facts.modality, self.description]
        if self.geometry is not None:
            said.append("x".join(map(str, self.geometry.size)))
            spacing = " x ".join(f"{one:.3g}" for one in self.geometry.spacing_mm)
            said += [f"{spacing} mm"] if self.geometry.world else []
        return ", ".join(part for part in said if part)

    @property
    def shown(self) -> str:
        """What it is called in messages."""
        return self.first.name if self.name in self.first.name and self.name else self.called.name

    @property
    def called(self) -> Path:
        """The path that its name is taken from, without suffix."""
        return self.first.parent / self.name if self.name else self.first.parent

    def check(self) -> None:
        """Pass if it can be read.

        Raises:
            ScanError: If it cannot, with the reason.
        """
        if self.problem is not None:
            raise ScanError(self.shown, *self.problem)


def looked_at(path: Path) -> Facts | None:
    """What a file's header says, or why it cannot be read; nothing for a file of another kind.

    Raises:
        MachineError: If the machine fails: a slice that it did not read is not a missing one.
    """
    suffix = suffix_of(path)
    if path.name.startswith(".") or suffix in _OTHERS or suffix in _NEVER:
        return None
    try:
        if is_dicom(path):
            return facts_of(path)
    except OSError as error:
        failed = machine_error(error, path.name)
        if failed is not None:
            raise failed from error
        problem = (f"cannot be read ({error.strerror})", "check its permissions")
        return Facts(path, Kind("other"), problem=problem)
    return Facts(path, Kind("other"), problem=DAMAGED) if suffix in SUFFIXES else None


def series_among(paths: Sequence[Path]) -> tuple[Series, ...]:
    """The series that files of one folder make, in natural order; what is no image comes last.

    Raises:
        MachineError: If the machine fails.
    """
    facts = [one for one in map(looked_at, paths) if one is not None]
    found: list[Series] = []
    groups: dict[tuple[object, ...], list[Facts]] = {}
    for one in facts:
        if one.kind.what != "image" or one.problem is not None:
            found.append(Series(one.path, (one.path,), one, None, None, problem=one.problem))
            continue
        # Without an identifier nothing says what belongs together: each file is for itself.
        alone = one.path if len(one.frames) > 1 or not one.series else None
        pixels = (one.rows, one.columns, one.samples, one.picture)
        groups.setdefault((one.series, one.patient, alone, *pixels), []).append(one)
    for group in groups.values():
        found += _series(group)
    # A folder may hold hundreds: those of one number stay in the order of their files.
    found.sort(key=lambda one: (_rank(one), one.facts.number or 0, natural_key(one.first.name)))
    return tuple(_named(tuple(_doubted(found))))


def _doubted(found: Sequence[Series]) -> Iterator[Series]:
    """A file that cannot be read may be a slice of any series beside it, and none is whole then."""
    broken = [one for one in found if one.is_broken]
    sliced = any(len(one.files) > 1 for one in found)
    for one in found:
        if one.is_broken and sliced:
            yield replace(one, of_another=True)
        elif broken and len(one.files) > 1:
            name, (why, _) = broken[0].first.name, broken[0].problem or DAMAGED
            more = f", and {len(broken) - 1} more" if len(broken) > 1 else ""
            what = f"may lack a slice: beside it, {name} is no sound file ({why}){more}"
            yield replace(one, problem=(what, "copy or export that again, or move it elsewhere"))
        else:
            yield one


def _rank(series: Series) -> int:
    return {"image": 0, "labels": 1, "other": 2}[series.facts.kind.what]


def _series(group: Sequence[Facts]) -> Iterator[Series]:
    by_path = {one.path: one for one in group}
    originals: dict[tuple[object, ...], Path] = {}
    copies: dict[Path, list[Path]] = {}
    frames: list[Frame] = []
    for one in group:
        # Identifiers alone prove nothing: some who make files anonymous give all the same one.
        frame = one.frames[0]
        own = (one.instance or one.path, frame.position or one.path, frame.order, frame.marks)
        original = originals.setdefault(own, one.path)
        if original != one.path and _same_pixels(original, one.path):
            copies.setdefault(original, []).append(one.path)
        else:
            frames += one.frames
    found = volumes(frames, group[0].picture)
    if len(found) > 1 and len({frame.path for frame in frames}) == 1:
        # One path stands for one volume: none of them is taken for all.
        said = [f"{one.mark or 'one'} of {len(one.frames)} slices" for one in found[:4]]
        what = f"one file of {len(found)} volumes: {', '.join(said)}" + ", ..." * (len(found) > 4)
        problem = (what, "export them as a series each, or convert the one you mean to .nii.gz")
        found = [Volume(tuple(frames), problem=problem)]
    for volume in found:
        files = tuple(dict.fromkeys(frame.path for frame in volume.frames))
        first = by_path[files[0]]
        problem, geometry = volume.problem, None
        if problem is None:
            size: Size = (first.columns, first.rows, len(volume.frames))
            try:
                geometry = as_geometry(volume, size)
            except ValueError:
                problem = ("its header does not say where it lies", "export it again")
        doubles = tuple(path for file in files for path in copies.get(file, ()))
        notes = volume.notes
        if doubles:
            shown = ", ".join(path.name for path in doubles[:3]) + ", ..." * (len(doubles) > 3)
            notes = (("copies of slices left out", f"{len(doubles)}: {shown}"), *notes)
        if first.photometric == "MONOCHROME1" and first.picture:
            notes = (*notes, ("stored with white as the lowest value, read as viewers show it", ""))
        yield Series(
            files[0], files, first, volume, geometry, doubles, notes=notes, problem=problem
        )


def _same_pixels(one: Path, other: Path) -> bool:
    """Whether two files show the same, however each of them is written."""
    if filecmp.cmp(one, other, shallow=False):
        return True
    try:
        with reading(other):
            pairs = zip(decoded_frames(one), decoded_frames(other), strict=True)
            return all(np.array_equal(mine, others) for (mine, _), (others, _) in pairs)
    except ScanError:
        return False


def _named(found: Sequence[Series]) -> Iterator[Series]:
    """Names from what the user wrote: never from what the files say of the patient."""
    several = sum(one.facts.kind.what == "image" for one in found) > 1
    numbers = [one.facts.number for one in found if one.facts.kind.what == "image"]
    for one in found:
        stem = _stem(one.first)
        if len(one.files) == 1 and stem:
            name = stem
        elif one.facts.kind.what == "image" and not several:
            name = ""
        else:
            number = one.facts.number
            sure = number is not None and numbers.count(number) == 1
            name = f"series{number}" if sure else _unlike(one)
        yield replace(one, name=name)


def _unlike(series: Series) -> str:
    """Series of one number, or without any, are told apart by a few letters of a hash."""
    number = "" if series.facts.number is None else str(series.facts.number)
    facts, mark = series.facts, series.volume.mark if series.volume else ""
    own = f"{facts.series}/{mark}/{series.line}/{facts.patient}/{series.first.name}"
    return f"series{number}-{blake2b(own.encode(), digest_size=3).hexdigest()}"


def _stem(path: Path) -> str:
    """A file's own name, unless it is an identifier."""
    stem = path.name[: -len(path.suffix)] if path.suffix.lower() in SUFFIXES else path.name
    return "" if _UID.search(stem) else stem
