"""A case's files -> its subject: all channels and labels on one grid, all values trustworthy."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from medseg.errors import ScanError
from medseg.geometry import Geometry
from medseg.scans.alignment import align
from medseg.scans.case import Case, Subject
from medseg.scans.decode import Voxels, decode
from medseg.scans.formats import IMAGE_SUFFIXES, LOSSY_SUFFIXES, suffix_of
from medseg.scans.notes import Note
from medseg.scans.rounding import stored_step
from medseg.scans.sanitise import finite_image, whole_label
from medseg.scans.segments import decode_segments

__all__ = [
    "IMAGE_SUFFIXES",
    "Layer",
    "layer_count",
    "read_label_map",
    "read_layers",
    "read_subject",
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
        warnings += mended + moved
    if geometry is None:
        raise ScanError(case.name, "has no image", "add one")

    layers = list(read_layers(case, geometry)) if with_label else []
    for layer in layers:
        warnings += layer.warnings
    return Subject(
        name=case.name,
        image=np.concatenate(channels) if len(channels) > 1 else channels[0],
        label=_stacked([layer.values for layer in layers]) if layers else None,
        geometry=geometry,
        warnings=tuple(warnings),
    )


def layer_count(case: Case) -> int:
    """How many layers the label of a case has; nothing is read."""
    if case.segments:
        return len(case.segments) if case.layered else 1
    return 1 if case.pieces else len(case.labels)


def read_layers(case: Case, geometry: Geometry) -> Iterator[Layer]:
    """Read the layers of a label one after another, so that they need not be in memory together.

    Args:
        case: The files.
        geometry: The grid of the case's image.

    Yields:
        `layer_count(case)` layers; where a file is absent by declaration, one without a mark.

    Raises:
        ScanError: As `read_subject`.
    """
    if case.segments:
        yield from _by_name(case, geometry)
    elif case.pieces:
        yield _united(case, geometry)
    else:
        yield from _as_they_are(case.labels, geometry)


def _as_they_are(labels: Sequence[Path | None], geometry: Geometry) -> Iterator[Layer]:
    for path in labels:
        if path is None:
            yield Layer(np.zeros(geometry.size, dtype=np.uint8), ())
            continue
        layer, grid = read_label_map(path)
        label, moved = align(path.name, Voxels(layer[None], grid), geometry, order=0)
        del layer
        yield Layer(label[0], tuple(moved))


def _united(case: Case, geometry: Geometry) -> Layer:
    """Several masks of objects of one class."""
    union = np.zeros(geometry.size, dtype=np.uint8)
    warnings: list[Note] = []
    for layer in _as_they_are(case.labels, geometry):
        union |= layer.values != 0
        warnings += layer.warnings
    return Layer(union, tuple(warnings))


def _by_name(case: Case, geometry: Geometry) -> Iterator[Layer]:
    """Labels whose files name their classes: the dataset's classes 1 to n, whatever the values."""
    for path in case.labels:
        if path is None:
            continue
        found = decode_segments(path, case.segments, layered=case.layered)
        label, moved = align(path.name, found, geometry, order=0)
        for index, values in enumerate(label):
            yield Layer(values, tuple(moved) if index == 0 else ())


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
