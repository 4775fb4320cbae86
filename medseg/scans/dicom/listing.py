"""The files of folders -> what they stand for: one entry per series, one per segmentation."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

from medseg.scans.dicom.series import Series, may_be_dicom, series_in


class DicomItem(NamedTuple):
    """What one path stands for.

    Attributes:
        path: Its first file, by which it is read.
        kind: `image`, `labels` (a segmentation, which names its classes itself), or `other`.
        name: The path that its name is taken from, without a suffix: `case1` for
            `case1/0001.dcm`.
        line: What it is, for a list.
        notes: What a user should know of how it is read.
        problem: Why it cannot be read, and what to do; nothing where it can.
    """

    path: Path
    kind: Literal["image", "labels", "other"]
    name: Path
    line: str
    notes: tuple[str, ...]
    problem: tuple[str, str] | None


class Collapsed(NamedTuple):
    """Files with DICOM among them.

    Attributes:
        items: The series and segmentations that any of the files belongs to, each once.
        rest: The files that are not DICOM, as they came.
    """

    items: list[DicomItem]
    rest: list[Path]


def collapse(files: Iterable[Path]) -> Collapsed:
    """Tell what files stand for. A series is whole, even if only some of its files are given.

    Reads the headers of the files beside, once for as long as they stay as they are.

    Args:
        files: Of any format, in any number of folders.

    Raises:
        OSError: If a folder cannot be listed.
        MachineError: If the machine fails.
    """
    rest: list[Path] = []
    found: dict[Path, DicomItem] = {}
    by_file: dict[Path, dict[Path, Series]] = {}
    for file in files:
        if not may_be_dicom(file):
            rest.append(file)
            continue
        if file.parent not in by_file:
            by_file[file.parent] = {
                path: series
                for series in series_in(file.parent)
                for path in (*series.files, *series.copies)
            }
        series = by_file[file.parent].get(file)
        if series is None:
            rest.append(file)
        else:
            found.setdefault(series.first, _item(series))
    return Collapsed(list(found.values()), rest)


def _item(series: Series) -> DicomItem:
    folder = series.first.parent
    return DicomItem(
        series.first,
        series.facts.kind.what,
        folder / series.name if series.name else folder,
        series.line,
        series.notes,
        series.problem,
    )
