"""A case's files -> its subject: all channels and labels on one grid, all values trustworthy."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from medseg.errors import ScanError
from medseg.geometry import Geometry
from medseg.scans.alignment import FIRST_IMAGE, align
from medseg.scans.case import Case, Subject
from medseg.scans.decode import Voxels, attempt, decode
from medseg.scans.formats import (
    IMAGE_SUFFIXES,
    LOSSY_SUFFIXES,
    reading_notes,
    shown_name,
    suffix_of,
)
from medseg.scans.marks import is_ours
from medseg.scans.notes import Note
from medseg.scans.rounding import stored_step
from medseg.scans.sanitise import finite_image, whole_label
from medseg.scans.segments import decode_segments

__all__ = [
    "IMAGE_SUFFIXES",
    "Layer",
    "layer_count",
    "predicted_labels",
    "read_label_map",
    "read_layers",
    "read_subject",
    "united_value",
]


class Layer(NamedTuple):
    """One layer of a label.

    Attributes:
        values: As in the file, on the image's grid, (*size), in the smallest type.
        warnings: What had to be mended.
    """

    values: npt.NDArray[Any]
    warnings: tuple[Note, ...]


def read_subject(case: Case, with_label: bool = True) -> Subject:
    """Read a case.

    The first image file decides the grid; other files are compared with it in world space and
    resampled where they differ.

    Args:
        case: The files.
        with_label: Read the labels too; otherwise they are never opened.

    Raises:
        ScanError: If a file cannot be used; the message begins with the file's name.
    """
    warnings: list[Note] = []
    channels: list[npt.NDArray[np.float32]] = []
    geometry: Geometry | None = None
    for path in case.images:
        voxels = decode(path, colours=True)
        geometry = geometry or voxels.geometry
        image, mended = finite_image(path.name, voxels.values)
        image, moved = align(path.name, Voxels(image, voxels.geometry), geometry, order=1)
        del voxels  # before the next file is read
        channels.append(image)
        warnings += [*_said(path), *mended, *moved]
    if geometry is None:
        raise ScanError(case.name, "has no image", "add one")
    channels = with_absent(case.name, channels, [channel.place for channel in case.absent])

    layers = list(read_layers(case, geometry)) if with_label else []
    for layer in layers:
        warnings += layer.warnings
    return Subject(
        name=case.name,
        image=np.concatenate(channels) if len(channels) > 1 else channels[0],
        label=_stacked([layer.values for layer in layers]) if layers else None,
        geometry=geometry,
        warnings=tuple(warnings),
        absent=tuple(channel.place for channel in case.absent),
    )


def with_absent(
    name: str, channels: Sequence[npt.NDArray[np.float32]], places: Sequence[int]
) -> list[npt.NDArray[np.float32]]:
    """The images of a case, (1, *size) each, with zeros at the places of those that are absent.

    Raises:
        ScanError: If an image holds several channels: then places tell nothing.
    """
    found = list(channels)
    if places and any(len(channel) > 1 for channel in found):
        what = "an image of it has several channels, so none can be absent"
        raise ScanError(name, what, "give each channel a file of its own, or all of them")
    for place in sorted(places):
        found.insert(place, np.zeros_like(channels[0]))
    return found


def _said(path: Path) -> list[Note]:
    """What was made of a file in reading it."""
    return [Note(shown_name(path), what, detail) for what, detail in reading_notes(path)]


def predicted_labels(case: Case) -> list[Note]:
    """A line for each label that medseg itself wrote: it would be learned as the truth.

    Raises:
        ScanError: If a file cannot be looked at.
    """
    return [
        Note(path.name, "a label that medseg itself predicted: was it corrected?")
        for path in dict.fromkeys(case.labels)
        if path is not None and attempt(path, lambda _, path=path: is_ours(path))
    ]


def layer_count(case: Case) -> int:
    """How many layers the label of a case has; nothing is read."""
    if case.segments and case.labels:
        return len(case.segments) if case.layered else 1
    return 1 if case.pieces else len(case.labels)


def read_layers(case: Case, geometry: Geometry, of: str = FIRST_IMAGE) -> Iterator[Layer]:
    """Read the layers of a label one after another, so that they need not be in memory together.

    Args:
        case: The files.
        geometry: The grid of the case's image.
        of: What has that grid, for messages.

    Yields:
        `layer_count(case)` layers; where a file is absent by declaration, one without a mark.

    Raises:
        ScanError: As `read_subject`.
    """
    if case.pieces:
        each = [replace(case, labels=(path,), pieces=False) for path in case.labels]
        yield _united([layer for piece in each for layer in read_layers(piece, geometry, of)])
        return
    for path in case.labels:
        if path is None:
            for _ in range(layer_count(case) // len(case.labels)):
                yield Layer(np.zeros(geometry.size, dtype=np.uint8), ())
            continue
        for layer in _layers_of(path, case):
            label, moved = align(path.name, layer, geometry, order=0, of=of)
            del layer
            yield Layer(label[0], (*_said(path), *moved))


def _united(layers: Sequence[Layer]) -> Layer:
    """Pieces of one class, such as the lesions of an image: what is in any of them.

    It has the value that such a mask has alone, in this dataset's other cases; 1 where pieces have
    several, as numbered ones do.
    """
    value = united_value(value for layer in layers for value in np.unique(layer.values))
    mask = np.zeros(layers[0].values.shape, dtype=np.min_scalar_type(value))
    for layer in layers:
        np.putmask(mask, layer.values != 0, value)
    return Layer(mask, tuple(note for layer in layers for note in layer.warnings))


def united_value(values: Iterable[int]) -> int:
    """The value of a class whose pieces hold these; 0 counts for nothing."""
    held = {int(value) for value in values} - {0}
    return held.pop() if len(held) == 1 else 1


def _layers_of(path: Path, case: Case) -> Iterator[Voxels]:
    """The layers of one file: itself, or by the names of its segments."""
    if not case.segments:
        layer, grid = read_label_map(path)
        yield Voxels(layer[None], grid)
        return
    values, grid = decode_segments(path, case.segments, layered=case.layered)
    for layer in values:
        yield Voxels(layer[None], grid)


def read_label_map(path: Path) -> tuple[npt.NDArray[Any], Geometry]:
    """Read one label map: (*size), values as in the file, in the smallest type for them.

    Raises:
        ScanError: If it cannot be used; JPEG is refused, since its compression invents values.
    """
    if suffix_of(path) in LOSSY_SUFFIXES:
        raise ScanError(path.name, "JPEG alters label values", "save labels as .png instead")
    values, geometry = decode(path)
    step = stored_step(path) if values.dtype.kind == "f" else 0.0
    return whole_label(path.name, values, step), geometry


def _stacked(layers: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    return np.stack(layers) if len(layers) > 1 else layers[0][None]
