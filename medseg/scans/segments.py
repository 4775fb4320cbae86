"""Label files that name their classes themselves: 3D Slicer's .seg.nrrd, DICOM SEG.

Their numbers follow the order in which segments were made, and differ from file to file. The names
are what the segments are.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from medseg.errors import ScanError
from medseg.scans.decode import attempt
from medseg.scans.formats import Format, format_of
from medseg.scans.voxels import Segment, Voxels

__all__ = ["Segment", "decode_segments", "same_class", "segment_names"]

_SEPARATORS = re.compile(r"[\s_-]+")


def same_class(name: str) -> str:
    """What two spellings of a segment's name have in common: `Left_Kidney` and `left kidney`."""
    return " ".join(_SEPARATORS.sub(" ", name.casefold()).split()) or name


def segment_names(path: Path) -> tuple[Segment, ...]:
    """The segments that a file's header names; nothing for a file that names none.

    Several segments of one name are one class, however it is spelled (`same_class`).

    Raises:
        ScanError: If the header cannot be read.
        MachineError: If this machine could not read it.
        OSError: If a file without a known suffix cannot be opened.
    """
    entry = format_of(path)
    if entry is None or entry.segments is None:
        return ()
    return attempt(path, lambda entry: _segments(path, entry))


def decode_segments(path: Path, names: Sequence[str], *, layered: bool = False) -> Voxels:
    """Read a label by its segments' names.

    Args:
        path: A file that names its segments.
        names: The dataset's classes, 1 to n.
        layered: One mask of 0 and 1 per class, since segments may overlap; otherwise one layer of
            class numbers.

    Returns:
        (classes, *size) or (1, *size), in the smallest type, and the grid.

    Raises:
        ScanError: If the file holds a segment or a value that is none of the classes, segments
            overlap where they must not, or as `decode`.
        MachineError: As `decode`.
    """
    return attempt(path, lambda entry: _read(path, entry, list(names), layered))


def _segments(path: Path, entry: Format) -> tuple[Segment, ...]:
    return () if entry.segments is None else entry.segments().segments(path)


def _read(path: Path, entry: Format, names: list[str], layered: bool) -> Voxels:
    segments = _segments(path, entry)
    if not segments:
        raise ScanError(path.name, "names no segments, as the others do", "name them all, or none")
    values, geometry = entry.module().read(path, colours=False)
    known = {same_class(name): number for number, name in enumerate(names, start=1)}
    _check(path.name, segments, known, len(values))
    numbers = {segment: known[same_class(segment.name)] for segment in segments}
    if layered:
        masks = np.zeros((len(names), *geometry.size), np.uint8)
        for segment, number in numbers.items():
            masks[number - 1] |= values[segment.layer] == segment.value
        for layer, stored in enumerate(values):
            _check_known(path.name, stored, [s.value for s in segments if s.layer == layer])
        return Voxels(masks, geometry)
    label = np.zeros((1, *geometry.size), np.uint8 if len(names) < 256 else np.uint16)
    for layer, stored in enumerate(values):
        here = {s.value: number for s, number in numbers.items() if s.layer == layer}
        _check_known(path.name, stored, list(here))
        _add_layer(path.name, label[0], stored, here)
    return Voxels(label, geometry)


def _check(name: str, segments: Sequence[Segment], known: Mapping[str, int], layers: int) -> None:
    """Every segment is a class, in a layer that is there, with a value of its own."""
    taken: dict[tuple[int, int], str] = {}
    for segment in segments:
        if same_class(segment.name) not in known:
            what = f"its segment '{segment.name}' is none of the classes {', '.join(known)}"
            raise ScanError(name, what, "rename or remove it")
        if not 0 <= segment.layer < layers:
            what = f"its segment '{segment.name}' is in layer {segment.layer} of {layers}"
            raise ScanError(name, what, "save it again")
        if segment.value == 0:
            what = f"its segment '{segment.name}' has the value 0, which is that of nothing"
            raise ScanError(name, what, "save it again")
        other = taken.setdefault((segment.layer, segment.value), segment.name)
        if same_class(other) != same_class(segment.name):
            what = f"its segments '{other}' and '{segment.name}' have the value {segment.value}"
            raise ScanError(name, f"{what} both", "save it again")


def _check_known(name: str, stored: npt.NDArray[Any], values: list[int]) -> None:
    for index in range(stored.shape[2]):
        strange = ~np.isin(stored[:, :, index], [0, *values])
        if strange.any():
            what = f"holds the value {stored[:, :, index][strange][0]}, which no segment has"
            raise ScanError(name, what, "save it again, or remove those voxels")


def _add_layer(
    name: str, label: npt.NDArray[Any], stored: npt.NDArray[Any], numbers: dict[int, int]
) -> None:
    """Put one layer's segments on the label map; slice by slice, to need little memory."""
    for index in range(stored.shape[2]):
        for value, number in numbers.items():
            mask = stored[:, :, index] == value
            others = label[:, :, index][mask]
            if ((others != 0) & (others != number)).any():
                what = "its segments overlap, and one label map cannot hold both"
                raise ScanError(name, what, "let each class be a mask: --task multilabel")
            label[:, :, index][mask] = number
