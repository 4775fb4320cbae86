"""Pairs of .hdr and .img: NIfTI-1 in two files, and Analyze 7.5, which states no position."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from nibabel.nifti1 import Nifti1Header, Nifti1PairHeader

from medseg.errors import ScanError
from medseg.geometry import Geometry
from medseg.scans.formats import header_beside
from medseg.scans.nifti import fields_for, layout_of, parse_fields, read_voxels
from medseg.scans.nifti_position import Position, position
from medseg.scans.stream import Part, is_gzip, read_start, write_numbers
from medseg.scans.voxels import Header, Voxels, check_announced, placed_grid

_SIZE = 348
_MAGIC = slice(344, 347)


def files_of(path: Path) -> tuple[Path, ...]:
    """The file named, and its other half."""
    fields, voxels = _both(path)
    return (path, voxels if voxels != path else fields)


def header(path: Path) -> Header:
    """Grid and channels, without reading a voxel."""
    fields, place = _header(path)
    layout = layout_of(path.name, fields)
    geometry = placed_grid(path.name, layout.size, place.affine, placed=place.placed)
    return Header(geometry, min(layout.colours, 3) or layout.channels, layout.plane)


def read(path: Path, *, colours: bool) -> Voxels:
    """All voxels."""
    fields, place = _header(path)
    voxels = _both(path)[1]
    stated = float(fields["vox_offset"])
    start = int(abs(stated)) if np.isfinite(stated) else 0
    part = Part(voxels, 0, "deflate", start) if is_gzip(voxels) else Part(voxels, start)
    return read_voxels(path.name, fields, part, place.affine, placed=place.placed, image=colours)


def write(
    values: npt.NDArray[Any], geometry: Geometry, path: Path, like: Path | None, /, *, plane: bool
) -> None:
    """Write both files, NIfTI or Analyze as `like` is, with the header's position as it has it."""
    check_announced(path.name, values.shape)
    block = b"" if like is None else read_start(_both(like)[0], _SIZE)
    if block and not _is_nifti(block):
        fields = _analyze(values, geometry, path.name, block)
    else:
        source = parse_fields(path.name, block, _SIZE) if block else None
        made = fields_for(values, geometry, source, plane=plane)
        fields = Nifti1PairHeader(made.binaryblock[:_SIZE], check=False)
        fields["magic"], fields["vox_offset"] = b"ni1", 0
    with path.with_suffix(".img").open("wb") as file:
        write_numbers(file, values)
    path.with_suffix(".hdr").write_bytes(fields.binaryblock)


def _both(path: Path) -> tuple[Path, Path]:
    """Header and voxels."""
    other = header_beside(path)
    if other is None:
        half = ".img" if path.suffix.lower() == ".hdr" else ".hdr"
        what = f"one half of a pair, its {half} is not beside it"
        raise ScanError(path.name, what, f"add the {half}, or convert both to .nii.gz")
    return (path, other) if path.suffix.lower() == ".hdr" else (other, path)


def _is_nifti(block: bytes) -> bool:
    return block[_MAGIC] in (b"ni1", b"n+1")


def _header(path: Path) -> tuple[Nifti1Header, Position]:
    """As NIfTI has it, and where it lies: fields of Analyze stand at the same places."""
    block = read_start(_both(path)[0], _SIZE)
    sizes = {int.from_bytes(block[:4], "little"), int.from_bytes(block[:4], "big")}
    if not _is_nifti(block) and _SIZE not in sizes:
        what = "neither a NIfTI nor an Analyze file: its header does not begin with 348"
        raise ScanError(path.name, what, "convert it to .nii.gz with the program that wrote it")
    fields = parse_fields(path.name, block, _SIZE)
    if _is_nifti(block):
        return fields, position(path.name, fields)
    # What NIfTI keeps there is something else in Analyze, or nothing.
    for name in ("qform_code", "sform_code", "xyzt_units", "scl_inter"):
        fields[name] = 0
    return fields, position(path.name, fields)


def _analyze(values: npt.NDArray[Any], geometry: Geometry, name: str, block: bytes) -> Nifti1Header:
    """The scan's own header, orientation byte and all, around other voxels."""
    kinds = {"uint8": 2, "int16": 4, "int32": 8, "float32": 16}
    if values.dtype.name not in kinds:
        what = f"Analyze holds no values of type {values.dtype}"
        raise ScanError(name, what, "write .nii.gz instead")
    fields = parse_fields(name, block, _SIZE)
    size = (*geometry.size, len(values))
    fields["dim"] = [4, *size, 1, 1, 1]
    fields["datatype"], fields["bitpix"] = kinds[values.dtype.name], 8 * values.dtype.itemsize
    fields["vox_offset"], fields["scl_slope"], fields["scl_inter"] = 0, 1, 0
    fields["cal_max"] = fields["cal_min"] = fields["glmax"] = fields["glmin"] = 0
    return fields if fields.endianness == "<" else fields.as_byteswapped("<")
