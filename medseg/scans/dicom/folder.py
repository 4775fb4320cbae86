"""The series of a folder, remembered for as long as it stays as it is, and which a user means."""

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from medseg.errors import ScanError, SettingsError
from medseg.scans.dicom.series import DAMAGED, Series, looked_at, series_among
from medseg.scans.names import natural_key

_LISTED = 30


def series_in(folder: Path) -> tuple[Series, ...]:
    """The series whose files lie directly in a folder, in natural order. Reads headers only.

    Objects that hold no image (reports, plans, directories) come last, with their `problem`.

    Raises:
        OSError: If the folder cannot be listed.
        MachineError: If the machine fails: a slice that it did not read is not a missing one.
    """
    return _look_into(folder).series


def series_of(path: Path) -> Series:
    """The series that a file belongs to, be it its first or any other.

    Raises:
        ScanError: If it is no DICOM file.
        OSError: If its folder cannot be listed.
        MachineError: As `series_in`.
    """
    place = path.parent / path.name
    listing = _MEMORY.listings.get(path.parent)
    if listing is None or not listing.holds_for(place):
        listing = _look_into(path.parent)
    series = listing.of_file.get(place)
    if series is not None:
        return series
    if not path.is_file():
        raise ScanError(path.name, f"no such file in {path.parent}", "check the path")
    raise ScanError(path.name, *DAMAGED)


def files_of(path: Path) -> tuple[Path, ...]:
    """All files of the series that a path stands for, in slice order.

    No header is looked at for as long as the folder stays as it is.

    Raises:
        ScanError, OSError, MachineError: As `series_of`.
    """
    known = _MEMORY.names.get(path)
    if known is None or known[0] != _status(path.parent.stat()):
        return series_of(path).files
    return tuple(path.parent / name for name in known[1])


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
    """Whether a file stands for a scan or a segmentation: no later slice, no report, no plan.

    A broken file stands for the scan that it was: it is refused where it is read, not passed over.

    Raises:
        ScanError: If it is no DICOM file.
        OSError: If its folder cannot be listed.
        MachineError: As `series_in`.
    """
    series = series_of(path)
    if series.first != path.parent / path.name or series.of_another:
        return False
    return series.facts.kind.what != "other" or series.is_broken


def images_of(paths: Iterable[Path]) -> list[Series]:
    """The series of images among scans of any format, given by their first files."""
    found = [series_of(path) for path in paths if looked_at(path) is not None]
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


class _Status(NamedTuple):
    """What changes when a file does, or a folder."""

    size: int
    changed_ns: int


@dataclass(frozen=True)
class _Listing:
    """What a folder holds, for as long as it stays as it is.

    A scan of thousands of files asks for each of them: none of them looks at all others again.

    Attributes:
        series: In order.
        of_file: File -> the series that it is a part of, or a copy of.
        statuses: Of all its files.
        folder: Of itself, which changes when a file comes, goes or is replaced.
        settled: Whether it was old enough when it was looked at for the next change to show.
    """

    series: tuple[Series, ...]
    of_file: dict[Path, Series]
    statuses: dict[str, _Status]
    folder: _Status
    settled: bool

    def holds_for(self, path: Path) -> bool:
        """Whether what it says of a file is still so."""
        return (
            self.settled
            and self.folder == _status(path.parent.stat())
            and path.name in self.statuses
            and self.statuses[path.name] == _status(path.stat())
        )


class _Memory:
    """The last folders that were looked into, and the names of all series' files; any thread asks.

    Attributes:
        listings: Folder -> what it holds, the last ones.
        names: First file of a series -> what its folder was, and the names of all files.
    """

    most_files = 2**15
    """Files of which more than their names is kept: each takes 4 kB."""

    def __init__(self) -> None:
        self.listings: dict[Path, _Listing] = {}
        self.names: dict[Path, tuple[_Status, tuple[str, ...]]] = {}
        self._files = 0
        self._lock = Lock()

    def put(self, folder: Path, listing: _Listing) -> None:
        """Remember it, and forget those that are too much beside it."""
        with self._lock:
            self._forget(folder)
            while self.listings and self._files + len(listing.statuses) > self.most_files:
                self._forget(next(iter(self.listings)))
            self.listings[folder] = listing
            self._files += len(listing.statuses)
            for series in listing.series:
                self.names.pop(series.first, None)
                if listing.settled:
                    files = tuple(file.name for file in series.files)
                    self.names[series.first] = (listing.folder, files)

    def _forget(self, folder: Path) -> None:
        known = self.listings.pop(folder, None)
        self._files -= 0 if known is None else len(known.statuses)


_MEMORY = _Memory()
_SETTLED_NS = 10**9


def _look_into(folder: Path) -> _Listing:
    own, now = _status(folder.stat()), time.time_ns()
    with os.scandir(folder) as found:
        statuses = {entry.name: _status(entry.stat()) for entry in found if entry.is_file()}
    known = _MEMORY.listings.get(folder)
    if known is not None and known.statuses == statuses:
        series, of_file = known.series, known.of_file
    else:
        series = series_among([folder / name for name in sorted(statuses, key=natural_key)])
        of_file = {file: one for one in series for file in (*one.copies, *one.files)}
    settled = 0 <= own.changed_ns <= now - _SETTLED_NS
    listing = _Listing(series, of_file, statuses, own, settled)
    _MEMORY.put(folder, listing)
    return listing


def _status(found: os.stat_result) -> _Status:
    return _Status(found.st_size, found.st_mtime_ns)
