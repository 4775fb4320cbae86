"""A case's files -> its subject: all channels and labels on one grid, all values trustworthy."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from medseg.errors import ScanError
from medseg.geometry import Geometry
from medseg.scans.alignment import align
from medseg.scans.case import Case, Subject
from medseg.scans.decode import Voxels, decode
from medseg.scans.formats import IMAGE_SUFFIXES, LOSSY_SUFFIXES, suffix_of
from medseg.scans.sanitise import finite_image, whole_label

__all__ = ["IMAGE_SUFFIXES", "read_label_map", "read_subject"]


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
    warnings: list[str] = []
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

    layers: list[npt.NDArray[Any]] = []
    for path in case.labels if with_label else ():
        if path is None:
            layers.append(np.zeros((1, *geometry.size), dtype=np.uint8))
            continue
        layer, grid = read_label_map(path)
        label, moved = align(path.name, Voxels(layer[None], grid), geometry, order=0)
        layers.append(label)
        warnings += moved
    if case.pieces and layers:
        layers = [np.any(layers, axis=0).astype(np.uint8)]
    return Subject(
        name=case.name,
        image=np.concatenate(channels) if len(channels) > 1 else channels[0],
        label=np.concatenate(layers) if layers else None,
        geometry=geometry,
        warnings=tuple(warnings),
    )


def read_label_map(path: Path) -> tuple[npt.NDArray[Any], Geometry]:
    """Read one label map: (*size), values as in the file, in the smallest type for them.

    Raises:
        ScanError: If it cannot be used; JPEG is refused, since its compression invents values.
    """
    if suffix_of(path) in LOSSY_SUFFIXES:
        raise ScanError(path.name, "JPEG alters label values", "save labels as .png instead")
    values, geometry = decode(path)
    return whole_label(path.name, values), geometry
