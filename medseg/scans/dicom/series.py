"""Which files of a folder form a series, what each is, and which of them a user means."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

from medseg.errors import ScanError, SettingsError
from medseg.files import machine_error
from medseg.geometry import Geometry, Size
from medseg.scans.dicom.facts import Facts, Frame, facts_of
from medseg.scans.dicom.header import SUFFIXES, is_dicom
from medseg.scans.dicom.volumes import Volume, as_geometry, volumes
from medseg.scans.formats import IMAGE_SUFFIXES, suffix_of
from medseg.scans.names import natural_key

_LISTED = 30
_UID = re.compile(r"(?:\d+\.){4,}\d+")
_OTHERS = frozenset(IMAGE_SUFFIXES) - frozenset(SUFFIXES)
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


def may_be_dicom(path: Path) -> bool:
    """Whether a file is DICOM: by its first bytes, unless its suffix says that it is not.

    Raises:
        MachineError: If the machine fails: a slice that it did not read is not a missing one.
    """
    suffix = suffix_of(path)
    if path.name.startswith(".") or suffix in _OTHERS or suffix in _NEVER:
        return False
    try:
        return path.is_file() and is_dicom(path)
    except OSError as error:
        failed = machine_error(error, path.name)
        if failed is not None:
            raise failed from error
        return False


def series_in(folder: Path) -> tuple[Series, ...]:
    """The series whose files lie directly in a folder, in natural order. Reads headers only.

    Objects that hold no image (reports, plans, directories) come last, with their `problem`.

    Raises:
        OSError: If the folder cannot be listed.
        MachineError: If the machine fails.
    """
    entries: list[tuple[str, int, int]] = []
    with os.scandir(folder) as found:
        for entry in found:
            if entry.is_file():
                status = entry.stat()
                entries.append((entry.name, status.st_size, status.st_mtime_ns))
    entries.sort(key=lambda entry: natural_key(entry[0]))
    return _listed(folder, tuple(entries))


def series_of(path: Path) -> Series:
    """The series that a file belongs to, be it its first or any other.

    Raises:
        ScanError: If it is no DICOM file.
        OSError: If its folder cannot be listed.
    """
    place = path.parent / path.name
    for series in series_in(path.parent):
        if place in series.files or place in series.copies:
            return series
    if not path.is_file():
        raise ScanError(path.name, f"no such file in {path.parent}", "check the path")
    raise ScanError(path.name, "damaged, or not really a DICOM file", "copy or export it again")


@lru_cache(maxsize=64)
def _listed(folder: Path, entries: tuple[tuple[str, int, int], ...]) -> tuple[Series, ...]:
    facts = [facts_of(path) for name, *_ in entries if may_be_dicom(path := folder / name)]
    found: list[Series] = []
    groups: dict[tuple[object, ...], list[Facts]] = {}
    for one in facts:
        if one.kind.what != "image" or one.problem is not None:
            found.append(Series(one.path, (one.path,), one, None, None, problem=one.problem))
            continue
        # Without an identifier nothing says what belongs together: each file is for itself.
        alone = one.path if len(one.frames) > 1 or not one.series else None
        pixels = (one.rows, one.columns, one.samples, one.picture)
        groups.setdefault((one.series, alone, *pixels), []).append(one)
    for group in groups.values():
        found += _series(group)
    # A folder may hold hundreds: those of one number stay in the order of their files.
    found.sort(key=lambda one: (_rank(one), one.facts.number or 0, natural_key(one.first.name)))
    return tuple(_named(found))


def _rank(series: Series) -> int:
    return {"image": 0, "labels": 1, "other": 2}[series.facts.kind.what]


def _series(group: Sequence[Facts]) -> Iterator[Series]:
    by_path = {one.path: one for one in group}
    originals: dict[tuple[object, ...], Path] = {}
    copies: dict[Path, list[Path]] = {}
    frames: list[Frame] = []
    for one in group:
        # Identifiers alone prove nothing: some who make files anonymous give all the same one.
        place = one.frames[0].position or one.path
        original = originals.setdefault((one.instance or one.path, place), one.path)
        if original == one.path:
            frames += one.frames
        else:
            copies.setdefault(original, []).append(one.path)
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
    own = f"{series.facts.series}/{series.volume.mark if series.volume else ''}/{series.line}"
    return f"series{number}-{blake2b(own.encode(), digest_size=3).hexdigest()}"


def _stem(path: Path) -> str:
    """A file's own name, unless it is an identifier."""
    stem = path.name[: -len(path.suffix)] if path.suffix.lower() in SUFFIXES else path.name
    return "" if _UID.search(stem) else stem


def named_path(path: Path) -> Path:
    """The path that a scan's name is taken from, without suffix.

    A series that has a folder to itself is called like the folder (`case1` for
    `case1/0001.dcm`), one of several like the folder and its number (`case1/series4`), a single
    file like the file.

    Raises:
        ScanError: If it is no DICOM file.
    """
    return series_of(path).called


def first_file(path: Path) -> Path:
    """The path that stands for the series a file belongs to.

    Raises:
        ScanError: If it is no DICOM file.
        OSError: If its folder cannot be listed.
    """
    return series_of(path).first


def notes_of(path: Path) -> tuple[tuple[str, str], ...]:
    """What a user should know of how a file is read, and the detail of this one.

    Raises:
        ScanError: If it is no DICOM file.
        OSError: If its folder cannot be listed.
    """
    series = series_of(path)
    if not series.is_labels:
        return series.notes
    from medseg.scans.dicom.segmentation import segment_notes

    return segment_notes(path)


def is_first(path: Path) -> bool:
    """Whether a file stands for a scan or a segmentation: no later slice, no report, no plan."""
    try:
        series = series_of(path)
    except (ScanError, OSError):
        return False
    return series.facts.kind.what != "other" and series.first == path.parent / path.name


def images_of(paths: Iterable[Path]) -> list[Series]:
    """The series of images among scans of any format, given by their first files."""
    found = [series_of(path) for path in paths if may_be_dicom(path)]
    return [one for one in found if one.facts.kind.what == "image"]


def chosen(paths: Iterable[Path], wanted: str) -> list[Path]:
    """Of the paths that stand for series, those that the user means.

    Args:
        paths: First files of series; files of other formats are not series, and left out.
        wanted: A series' number, its identifier, its name, or a part of its description. Several
            may fit, such as one of each patient.

    Raises:
        SettingsError: If none fits; it lists them.
    """
    images = images_of(paths)
    text = wanted.strip().casefold()
    exact = [
        one
        for one in images
        if text in (str(one.facts.number), one.facts.series.casefold(), one.name.casefold())
    ]
    fitting = exact or [one for one in images if text and text in one.description.casefold()]
    if not fitting:
        listed = "; ".join(one.line for one in images[:_LISTED]) or "no DICOM series"
        more = f"; and {len(images) - _LISTED} more" if len(images) > _LISTED else ""
        what = f"fits none of the inputs: {listed}{more}"
        raise SettingsError(f"series = {wanted}", what, "give a number, or a part of a description")
    return [one.first for one in fitting]
