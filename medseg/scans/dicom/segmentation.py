"""DICOM segmentations -> labels: segments by name, frames where their headers place them."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from medseg.errors import ScanError
from medseg.geometry import Geometry
from medseg.scans.decode import MAX_VALUES, Voxels
from medseg.scans.dicom.facts import Facts, facts_of
from medseg.scans.dicom.header import (
    first_item,
    number_of,
    read_header,
    reading,
    text_of,
    value_of,
    whole_of,
)
from medseg.scans.dicom.pixels import decoded_frames
from medseg.scans.dicom.volumes import sparse_grid

if TYPE_CHECKING:
    from pydicom import Dataset

Array = npt.NDArray[Any]
_TAGS = (
    *("SegmentSequence", "SegmentationType", "MaximumFractionalValue", "SegmentsOverlap"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *("SpecificCharacterSet", "NumberOfFrames", "BitsAllocated"),
)
_MAX_SEGMENTS = 65535


class Segmentation(NamedTuple):
    """What the header of a segmentation says.

    Attributes:
        names: Segment number -> its name; equal names are told apart by a number.
        kind: BINARY, FRACTIONAL or LABELMAP.
        highest: The stored value of a voxel that lies wholly in a segment, if FRACTIONAL.
        overlap: Whether segments may share voxels: YES, NO, or neither.
        numbers: The segment of each frame; 0 where frames hold all segments.
        spacing_mm: Between slices; 0 where it does not say.
    """

    names: dict[int, str]
    kind: str
    highest: float
    overlap: str
    numbers: tuple[int, ...]
    spacing_mm: float


def segment_names(path: Path) -> tuple[str, ...]:
    """The names of a segmentation's segments, in the file's order. Reads the header only.

    Raises:
        ScanError: If it is no segmentation that can be read.
    """
    return tuple(_stated(path)[1].names.values())


def segments_overlap(path: Path) -> bool:
    """Whether a voxel lies in several segments. Reads frames only where the header does not say.

    Raises:
        ScanError: If it is no segmentation that can be read.
    """
    facts, stated = _stated(path)
    if stated.kind == "LABELMAP" or len(stated.names) < 2 or stated.overlap in ("YES", "NO"):
        return stated.overlap == "YES"
    places = {frame.position for frame in facts.frames}
    if len(places) == len(facts.frames):
        return False
    return _shared_voxel(path, facts, stated) is not None


def segment_notes(path: Path) -> tuple[str, ...]:
    """What a user should know of how a segmentation is read, a line each.

    Raises:
        ScanError: If it is no segmentation that can be read.
    """
    fractional = _stated(path)[1].kind == "FRACTIONAL"
    return ("holds shares of voxels: those of at least half are taken",) if fractional else ()


def read_segments(
    path: Path, names: Sequence[str], layered: bool = False, grid: Geometry | None = None
) -> Voxels:
    """Read the segments that go by certain names.

    Args:
        path: A DICOM segmentation.
        names: Those of the classes 1, 2, ...; what the file calls otherwise is not read.
        layered: One mask of 0 and 1 per name, rather than one label map.
        grid: That of the image. Where the segmentation's frames are slices of it, slices without a
            frame are empty and the result is on this grid.

    Returns:
        (1, *size) with values 0 to n, or (n, *size); on the grid of the frames, which ends where
        they do, unless `grid` is taken.

    Raises:
        ScanError: If it cannot be read, or segments overlap and `layered` is false.
        MachineError: If the machine fails.
    """
    facts, stated = _stated(path)
    own, places = _grid(path, facts, stated)
    start, size = _on_grid(own, grid) if grid is not None else (0, own.size)
    geometry = own if grid is None or size != grid.size else grid
    values = {
        number: names.index(name) + 1 for number, name in stated.names.items() if name in names
    }
    kind = np.uint8 if layered or len(names) < 256 else np.uint16
    columns, rows, slices = size
    labels = np.zeros((len(names) if layered else 1, slices, rows, columns), kind)
    for place, mask, number in _masks(path, facts, stated):
        value = values.get(number)
        if value is None:
            continue
        if layered:
            labels[value - 1, start + places[place]] |= mask
            continue
        below = labels[0, start + places[place]]
        taken = below[mask]
        others = taken[(taken != 0) & (taken != value)]
        if len(others):
            what = f"{names[int(others[0]) - 1]} and {names[value - 1]} overlap"
            remedy = "export a segmentation without overlap, or one file per segment"
            raise ScanError(path.name, what, remedy)
        below[mask] = value
    return Voxels(labels.transpose(0, 3, 2, 1), geometry)


def _masks(
    path: Path, facts: Facts, stated: Segmentation
) -> Iterator[tuple[int, npt.NDArray[np.bool_], int]]:
    """For each frame and segment: the frame's place, where the segment is, its number."""
    with reading(path):
        count = 0
        for index, (pixels, _) in enumerate(decoded_frames(path)):
            if pixels.shape != (facts.rows, facts.columns):
                what = "its frames are not of the size that its header announces"
                raise ScanError(path.name, what, "export it again")
            count += 1
            if stated.kind != "LABELMAP":
                half = stated.highest / 2 if stated.kind == "FRACTIONAL" else 0.5
                yield index, pixels >= half, stated.numbers[index]
                continue
            for number in np.unique(pixels):
                yield index, pixels == number, int(number)
        if count < len(facts.frames):
            what = f"holds {count} of the {len(facts.frames)} frames that its header announces"
            raise ScanError(path.name, what, "copy or export it again")


def _shared_voxel(path: Path, facts: Facts, stated: Segmentation) -> int | None:
    """A place where two segments meet in one voxel."""
    seen: dict[tuple[float, ...] | None, npt.NDArray[np.bool_]] = {}
    for index, mask, _ in _masks(path, facts, stated):
        position = facts.frames[index].position
        if position in seen and (seen[position] & mask).any():
            return index
        seen[position] = seen[position] | mask if position in seen else mask
    return None


def _grid(path: Path, facts: Facts, stated: Segmentation) -> tuple[Geometry, list[int]]:
    """The smallest even grid that holds all frames, and the slice of each frame."""
    lattice = sparse_grid(facts.frames, stated.spacing_mm)
    if not isinstance(lattice.affine, np.ndarray):
        raise ScanError(path.name, *lattice.problem)
    count = max(lattice.places) + 1
    if facts.rows * facts.columns * count > MAX_VALUES:
        size = f"{facts.columns}x{facts.rows}x{count}"
        what = f"its frames span {size} voxels, at most {MAX_VALUES} can be read"
        raise ScanError(path.name, what, "export it again")
    try:
        grid = Geometry.from_lps((facts.columns, facts.rows, count), lattice.affine)
    except ValueError as error:
        what = "its header does not say where it lies"
        raise ScanError(path.name, what, "export it again") from error
    return grid, lattice.places


def _on_grid(own: Geometry, grid: Geometry) -> tuple[int, tuple[int, int, int]]:
    """The slice of the image that is the first of `own`, and the image's size; else 0 and its own.

    A lone slice has no distance to a next one, so only its plane is compared.
    """
    apart = (0, own.size)
    if not grid.world or own.size[:2] != grid.size[:2]:
        return apart
    corners = np.array(
        [[i, j, k] for i in (0, own.size[0] - 1) for j in (0, own.size[1] - 1)
         for k in (0, own.size[2] - 1)]
    )  # fmt: skip
    shift = grid.to_voxel(own.to_world(corners)) - corners
    start = round(float(shift[0, 2]))
    inside = start >= 0 and start + own.size[2] <= grid.size[2]
    if not inside or np.abs(shift - [0, 0, start]).max() > 0.05:
        return apart
    return start, grid.size


def _stated(path: Path) -> tuple[Facts, Segmentation]:
    facts = facts_of(path)
    if facts.kind.what != "labels" and facts.problem is None:
        raise ScanError(path.name, "an image, not a segmentation", "name a DICOM segmentation")
    if facts.problem is not None:
        raise ScanError(path.name, *facts.problem)
    status = path.stat()
    return facts, _segmentation(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4096)
def _segmentation(path: Path, _size: int, _changed: int) -> Segmentation:
    with reading(path):
        header = read_header(path, _TAGS)
        names = _names(header)
        kind = text_of(header, "SegmentationType")
        if kind not in ("BINARY", "FRACTIONAL", "LABELMAP"):
            what = "a segmentation that is neither BINARY, FRACTIONAL nor LABELMAP"
            raise ScanError(path.name, what, "export it again")
        if not names:
            raise ScanError(path.name, "a segmentation without segments", "export it again")
        count = max(whole_of(header, "NumberOfFrames", 1), 1)
        numbers = (0,) * count if kind == "LABELMAP" else tuple(_numbers(header, names, count))
        if kind != "LABELMAP" and not set(numbers) <= set(names):
            what = "its frames name segments that its header does not list"
            raise ScanError(path.name, what, "export it again")
        shared = first_item(header, "SharedFunctionalGroupsSequence")
        measures = first_item(shared, "PixelMeasuresSequence")
        return Segmentation(
            names,
            kind,
            number_of(header, "MaximumFractionalValue") or 255.0,
            text_of(header, "SegmentsOverlap"),
            numbers,
            abs(number_of(measures, "SpacingBetweenSlices") or 0.0),
        )


def _names(header: "Dataset") -> dict[int, str]:
    """Unique, printable and short; a segment without a name is called by its number."""
    found: dict[int, str] = {}
    for item in list(value_of(header, "SegmentSequence") or ())[:_MAX_SEGMENTS]:
        number = whole_of(item, "SegmentNumber", -1)
        text = text_of(item, "SegmentLabel") or text_of(item, "SegmentDescription")
        text = " ".join("".join(c if c.isprintable() else " " for c in text).split())[:64]
        name = text or f"segment {number}"
        if name in found.values():
            name = f"{name} {number}"
        if number >= 0:
            found[number] = name
    return found


def _numbers(header: "Dataset", names: dict[int, str], count: int) -> Iterator[int]:
    """The segment of each frame; where none is named, the only one there is."""
    shared = first_item(header, "SharedFunctionalGroupsSequence")
    groups = list(value_of(header, "PerFrameFunctionalGroupsSequence") or ())
    lone = next(iter(names)) if len(names) == 1 else -1
    for index in range(count):
        own = groups[index] if index < len(groups) else None
        for level in (own, shared):
            item = first_item(level, "SegmentIdentificationSequence")
            number = whole_of(item, "ReferencedSegmentNumber", -1)
            if number >= 0:
                yield number
                break
        else:
            yield lone
