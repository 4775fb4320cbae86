"""Label files that name their classes themselves: 3D Slicer's .seg.nrrd.

Its numbers follow the order in which segments were made, and differ from file to file. The names
are what the segments are.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from medseg.errors import ScanError
from medseg.scans.decode import attempt
from medseg.scans.nrrd import read as read_nrrd
from medseg.scans.nrrd_header import NrrdHeader, axes_of, parse
from medseg.scans.voxels import Voxels

MAX_SEGMENTS = 10_000


class Segment(NamedTuple):
    """One class of one file.

    Attributes:
        name: What the file calls it.
        value: The value that its voxels have.
        layer: In which layer of the file.
    """

    name: str
    value: int
    layer: int = 0


def names_segments(path: Path) -> bool:
    """Whether a file's name says that it names its segments: its header is worth a look."""
    return path.name.lower().endswith((".nrrd", ".nhdr"))


def segment_names(path: Path) -> tuple[Segment, ...]:
    """The segments that a file's header names; nothing for a file that names none.

    A segment without a name goes by its ID. Several of one name are one class.

    Raises:
        ScanError: If the header cannot be read.
        MachineError: If this machine could not read it.
    """
    if not names_segments(path):
        return ()
    return attempt(path, lambda _: _segments(parse(path)))


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
    return attempt(path, lambda _: _read(path, names, layered))


def _segments(header: NrrdHeader) -> tuple[Segment, ...]:
    keys = header.keys
    numbers = [
        int(key[7:-3])
        for key in keys
        if key.startswith("Segment") and key.endswith("_ID") and key[7:-3].isdecimal()
    ]
    if len(numbers) > MAX_SEGMENTS:
        raise ScanError(header.name, f"{len(numbers)} segments", f"at most {MAX_SEGMENTS} are read")
    # Before Slicer 4.11 each segment was a layer of 0 and 1, and had no value.
    found: list[Segment] = []
    for place, number in enumerate(sorted(numbers)):
        start = f"Segment{number}_"
        name = keys.get(start + "Name", "").strip() or keys[start + "ID"].strip()
        old = start + "LabelValue" not in keys
        value = _whole(header, start + "LabelValue", 1)
        layer = _whole(header, start + "Layer", place if old else 0)
        found.append(Segment(" ".join(name.split()) or f"segment {number}", value, layer))
    return tuple(found)


def _whole(header: NrrdHeader, key: str, default: int) -> int:
    text = header.keys.get(key, str(default)).strip()
    if not text.lstrip("-").isdecimal():
        raise ScanError(header.name, f"its header has {key}:={text[:40]}", "save it again")
    return int(text)


def _read(path: Path, names: Sequence[str], layered: bool) -> Voxels:
    header = parse(path)
    segments = _segments(header)
    foreign = [segment.name for segment in segments if segment.name not in names]
    if foreign:
        what = f"its segment '{foreign[0]}' is none of the classes {', '.join(names)}"
        raise ScanError(path.name, what, "rename or remove it")
    axes = axes_of(header)
    layers = 1 if axes.range is None else axes.size[axes.range]
    outside = [segment for segment in segments if not 0 <= segment.layer < layers]
    if outside:
        what = f"its segment '{outside[0].name}' is in layer {outside[0].layer} of {layers}"
        raise ScanError(path.name, what, "save it again")
    values, geometry = read_nrrd(path, colours=False)
    kind = np.uint8 if len(names) < 256 else np.uint16
    classes = {segment: 1 + list(names).index(segment.name) for segment in segments}
    if layered:
        masks = np.zeros((len(names), *geometry.size), np.uint8)
        for segment, number in classes.items():
            masks[number - 1] |= values[segment.layer] == segment.value
        _check_known(path.name, values, segments)
        return Voxels(masks, geometry)
    _check_known(path.name, values, segments)
    label = np.zeros((1, *geometry.size), kind)
    for layer, stored in enumerate(values):
        here = [segment for segment in segments if segment.layer == layer]
        _add_layer(path.name, label[0], stored, {s.value: classes[s] for s in here})
    return Voxels(label, geometry)


def _check_known(name: str, values: npt.NDArray[Any], segments: Sequence[Segment]) -> None:
    for layer, stored in enumerate(values):
        known = [0, *(segment.value for segment in segments if segment.layer == layer)]
        strange = ~np.isin(stored, known)
        if strange.any():
            what = f"holds the value {stored[strange][0]}, which none of its segments has"
            raise ScanError(name, what, "save it again, or remove those voxels")


def _add_layer(
    name: str, label: npt.NDArray[Any], stored: npt.NDArray[Any], numbers: dict[int, int]
) -> None:
    """Put one layer's segments on the label map; slice by slice, to need little memory."""
    for index in range(stored.shape[2]):
        for value, number in numbers.items():
            mask = stored[:, :, index] == value
            taken = label[:, :, index][mask]
            if (taken[taken != 0] != number).any():
                what = f"its segments overlap, {number} with {taken[taken != 0][0]}"
                raise ScanError(name, what, "let each class be a mask: --task multilabel")
            label[:, :, index][mask] = number
