"""Images without a world frame: whatever a name says, the first bytes tell the format."""

from pathlib import Path
from typing import Any

import numpy.typing as npt

from medseg.geometry import Geometry
from medseg.scans import pictures, tiff
from medseg.scans.formats import suffix_of
from medseg.scans.voxels import Header, Voxels

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def files_of(path: Path) -> tuple[Path, ...]:
    """The file itself."""
    return (path,)


def header(path: Path) -> Header:
    """Size and channels, without decoding a pixel."""
    return tiff.header(path) if _is_tiff(path) else pictures.header(path)


def read(path: Path, *, colours: bool) -> Voxels:
    """All pixels, as viewers show them."""
    reader = tiff.read if _is_tiff(path) else pictures.read
    return reader(path, colours=colours)


def notes_of(path: Path) -> tuple[tuple[str, str], ...]:
    """What a user should know of how it is read."""
    return tiff.notes_of(path) if _is_tiff(path) else ()


def write(
    values: npt.NDArray[Any],
    geometry: Geometry,
    path: Path,
    like: Path | None,
    /,
    *,
    plane: bool,
) -> None:
    """Write (channels, *size)."""
    writer = tiff.write if suffix_of(path) in (".tif", ".tiff") else pictures.write
    writer(values, path)


def _is_tiff(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) in _TIFF
