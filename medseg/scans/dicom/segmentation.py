"""DICOM segmentations -> labels: segments by name, frames where their headers place them."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from medseg.errors import ScanError
from medseg.geometry import Geometry
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
from medseg.scans.voxels import Segment, Voxels, check_announced

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
        names: Segment number -> its name.
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


def segments(path: Path) -> tuple[Segment, ...]:
    """The segments that a file names: one layer of numbers, or a layer each where they overlap.

    Reads frames only where the header does not say whether they do.

    Raises:
        ScanError: If it is no segmentation that can be read.
    """
    facts = facts_of(path)
    if facts.kind.what != "labels":
        return ()
    names = _stated(path)[1].names.values()
    if segments_overlap(path):
        return tuple(Segment(name, 1, layer) for layer, name in enumerate(names))
    return tuple(Segment(name, value) for value, name in enumerate(names, start=1))


def segments_overlap(path: Path) -> bool:
    """Whether a voxel may lie in several segments.

    Raises:
        ScanError: If it is no segmentation that can be read.
    """
    facts, stated = _stated(path)
    if stated.kind == "LABELMAP" or len(stated.names) < 2 or stated.overlap in ("YES", "NO"):
        return stated.overlap == "YES" and stated.kind != "LABELMAP"
    if len({frame.position for frame in facts.frames}) == len(facts.frames):
        return False
    status = path.stat()
    return _meet(path, status.st_size, status.st_mtime_ns)


def segment_notes(path: Path) -> tuple[tuple[str, str], ...]:
    """What a user should know of how a segmentation is read, and the detail of this one.

    Raises:
        ScanError: If it is no segmentation that can be read.
    """
    fractional = _stated(path)[1].kind == "FRACTIONAL"
    return (("holds shares of voxels: those of at least half are taken", ""),) * fractional


def segmentation_grid(path: Path) -> Geometry:
    """The grid of a segmentation, which ends where its frames do.

    Raises:
        ScanError: If it is no segmentation that can be read.
    """
    facts, stated = _stated(path)
    return _grid(path, facts, stated)[0]


def read_segmentation(path: Path) -> Voxels:
    """Read all segments, with the values and layers that `segments` states.

    Slices without a frame are empty.

    Returns:
        (layers, *size) in the smallest type, on `segmentation_grid`.

    Raises:
        ScanError: If it cannot be read.
        MachineError: If the machine fails.
    """
    facts, stated = _stated(path)
    grid, places = _grid(path, facts, stated)
    own = dict(zip(stated.names, segments(path), strict=True))
    columns, rows, slices = grid.size
    layers = 1 + max(segment.layer for segment in own.values())
    check_announced(path.name, (columns, rows, slices, layers))
    labels = np.zeros((layers, slices, rows, columns), np.uint8 if len(own) < 256 else np.uint16)
    for place, mask, number in _masks(path, facts, stated):
        if number not in own:
            if stated.kind == "LABELMAP" and number == 0:
                continue  # the background
            what = f"holds the value {number}, which no segment has"
            raise ScanError(path.name, what, "export it again")
        below = labels[own[number].layer, places[place]]
        taken = below[mask]
        if ((taken != 0) & (taken != own[number].value)).any():
            what = "its segments overlap, and its header says that they do not"
            raise ScanError(path.name, what, "export it again, or one file per segment")
        below[mask] = own[number].value
    return Voxels(labels.transpose(0, 3, 2, 1), grid)


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


@lru_cache(maxsize=4096)
def _meet(path: Path, _size: int, _changed: int) -> bool:
    """Whether two segments meet in one voxel."""
    facts, stated = _stated(path)
    seen: dict[tuple[float, ...] | None, npt.NDArray[np.bool_]] = {}
    for index, mask, _ in _masks(path, facts, stated):
        position = facts.frames[index].position
        if position in seen and (seen[position] & mask).any():
            return True
        seen[position] = seen[position] | mask if position in seen else mask
    return False


def _grid(path: Path, facts: Facts, stated: Segmentation) -> tuple[Geometry, list[int]]:
    """The smallest even grid that holds all frames, and the slice of each frame."""
    lattice = sparse_grid(facts.frames, stated.spacing_mm)
    if not isinstance(lattice.affine, np.ndarray):
        raise ScanError(path.name, *lattice.problem)
    count = max(lattice.places) + 1
    size = (facts.columns, facts.rows, count)
    check_announced(path.name, size)
    try:
        grid = Geometry.from_lps(size, lattice.affine)
    except ValueError as error:
        what = "its header does not say where it lies"
        raise ScanError(path.name, what, "export it again") from error
    return grid, lattice.places


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
        kind = text_of(header, "SegmentationType")
        # A label map lists its background too.
        names = {n: name for n, name in _names(header).items() if n > 0 or kind != "LABELMAP"}
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
    """Printable and short; a segment without a name is called by its number."""
    found: dict[int, str] = {}
    for item in list(value_of(header, "SegmentSequence") or ())[:_MAX_SEGMENTS]:
        number = whole_of(item, "SegmentNumber", -1)
        text = text_of(item, "SegmentLabel") or text_of(item, "SegmentDescription")
        text = " ".join("".join(c if c.isprintable() else " " for c in text).split())[:64]
        name = text or f"segment {number}"
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
