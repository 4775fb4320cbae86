"""FreeSurfer's .mgh and .mgz: a big-endian header of 284 bytes, then the voxels."""

import struct
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from medseg.errors import ScanError
from medseg.geometry import Geometry
from medseg.scans.stream import Part, is_gzip, packed, read_numbers, read_start, write_numbers
from medseg.scans.voxels import Header, Voxels, check_announced, placed_grid

_LENGTH = 284
_FIELDS = struct.Struct(">7ih15f")
_TYPES = {0: ">u1", 1: ">i4", 3: ">f4", 4: ">i2", 10: ">u2"}
_CORONAL = ((-1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0))
"""The axes' directions that FreeSurfer assumes where a file states none."""
_AGAIN = "convert it again"


def files_of(path: Path) -> tuple[Path, ...]:
    """The file itself."""
    return (path,)


def header(path: Path) -> Header:
    """Grid and channels, without reading a voxel."""
    geometry, channels, _ = _parse(path)
    return Header(geometry, channels)


def read(path: Path, *, colours: bool) -> Voxels:
    """All voxels; frames are channels."""
    geometry, channels, stored = _parse(path)
    part = Part(path, 0, "deflate", _LENGTH) if is_gzip(path) else Part(path, _LENGTH)
    count = int(np.prod(geometry.size, dtype=np.int64)) * channels
    values = read_numbers(path.name, [part], count, stored)
    return Voxels(
        np.moveaxis(values.reshape((*geometry.size, channels), order="F"), -1, 0), geometry
    )


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
    codes = {np.dtype(text).newbyteorder("="): code for code, text in _TYPES.items()}
    if values.dtype not in codes:
        what = f"this format holds no values of type {values.dtype}"
        raise ScanError(path.name, what, "write .nii.gz instead")
    stored = np.dtype(_TYPES[codes[values.dtype]])
    block = _FIELDS.pack(
        1,
        *geometry.size,
        len(values),
        codes[values.dtype],
        0,
        int(geometry.placed and geometry.world),
        *geometry.spacing_mm,
        *np.array(geometry.direction).T.ravel(),
        *geometry.to_world(np.array(geometry.size) / 2),
    )
    zipped = path.name.lower().endswith(".mgz")
    with path.open("wb") as file, packed(file) if zipped else nullcontext(file) as stream:
        stream.write(block.ljust(_LENGTH, b"\0"))
        write_numbers(stream, values, stored)


def _parse(path: Path) -> tuple[Geometry, int, np.dtype[Any]]:
    """Grid, frames, and the type on disk."""
    name, block = path.name, read_start(path, _LENGTH)
    if len(block) < _LENGTH:
        what = f"cut short: {len(block)} bytes, the header alone has {_LENGTH}"
        raise ScanError(name, what, "copy or export it again")
    version, i, j, k, frames, code, _, good, *floats = _FIELDS.unpack_from(block)
    if version != 1:
        raise ScanError(name, "not a FreeSurfer file: its header does not begin with 1", _AGAIN)
    if code not in _TYPES:
        raise ScanError(name, f"its header names an unknown type of voxels ({code})", _AGAIN)
    check_announced(name, (i, j, k, frames))
    affine = np.eye(4)
    spacing, directions, centre = floats[:3], np.array(floats[3:12]).reshape(3, 3).T, floats[12:]
    if not good:
        directions, centre = np.array(_CORONAL).T, [0.0, 0.0, 0.0]
    affine[:3, :3] = directions * spacing
    affine[:3, 3] = centre - affine[:3, :3] @ (np.array([i, j, k]) / 2)
    geometry = placed_grid(name, (i, j, k), affine, placed=bool(good))
    return geometry, frames, np.dtype(_TYPES[code])
