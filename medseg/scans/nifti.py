"""NIfTI, in one file: the header by nibabel's tables, the voxels as they lie on disk.

nibabel and ITK go by a file's name, and differ in what they make of odd headers; ITK also turns NaN
into 0 without a word. Here the content decides, and scaled integers become floats piece by piece.
"""

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from nibabel.nifti1 import Nifti1Header, data_type_codes
from nibabel.nifti2 import Nifti2Header

from medseg.errors import ScanError
from medseg.geometry import Geometry
from medseg.scans.nifti_position import position, state_position
from medseg.scans.stream import (
    Convert,
    Part,
    holds,
    is_gzip,
    packed,
    read_numbers,
    read_start,
    write_numbers,
)
from medseg.scans.voxels import Header, Voxels, check_announced, placed_grid

_SIZES = {348: Nifti1Header, 540: Nifti2Header}
_MAGICS = {348: (344, (b"n+1", b"ni1")), 540: (4, (b"n+2", b"ni2"))}
_TIME_UNITS, _TIME_BITS = {8: "s", 16: "ms", 24: "µs"}, 56
_MAX_NIFTI1 = 32767
_MAX_AXES = 7
_EXTENSION = 4


class Layout(NamedTuple):
    """What lies behind a header.

    Attributes:
        size: Three spatial axes.
        channels: Values per voxel.
        stored: Their type on disk.
        colours: Samples of a colour voxel, alpha among them; 0 for none.
        plane: Whether the header has two axes.
    """

    size: tuple[int, int, int]
    channels: int
    stored: np.dtype[Any]
    colours: int
    plane: bool


def files_of(path: Path) -> tuple[Path, ...]:
    """The file itself."""
    return (path,)


def header(path: Path) -> Header:
    """Grid and channels, without reading a voxel."""
    fields = nifti_fields(path)
    layout = layout_of(path.name, fields)
    affine, placed = position(path.name, fields)
    geometry = placed_grid(path.name, layout.size, affine, placed=placed)
    return Header(geometry, min(layout.colours, 3) or layout.channels, layout.plane)


def notes_of(path: Path) -> tuple[tuple[str, str], ...]:
    """A word on voxels that begin elsewhere than the header says, and on a fourth axis in time."""
    fields = nifti_fields(path)
    notes: list[tuple[str, str]] = []
    start, stated = _start(path, fields), float(fields["vox_offset"])
    if start != stated and stated >= _own_size(fields):
        what = "its header says that voxels begin within itself; read from where its size says"
        notes.append((what, f"byte {start} instead of {stated:g}"))
    return (*notes, *_time_steps(path, fields))


def _time_steps(path: Path, fields: Nifti1Header) -> Iterator[tuple[str, str]]:
    """A fourth axis whose steps are in seconds.

    Contrasts merged by FSL look so too, and ITK calls the unit of every file seconds, with a step
    of 1: what it is, only the user knows.
    """
    frames = layout_of(path.name, fields).channels
    unit = _TIME_UNITS.get(int(fields["xyzt_units"]) & _TIME_BITS)
    step = float(fields["pixdim"][4])
    if unit is None or frames == 1 or int(fields["dim"][4]) != frames or step in (0, 1):
        return
    what = "the fourth axis is read as channels; if it is points in time, save each as a file"
    yield what, f"{frames} of them, {step:g} {unit} apart by its header"


def read(path: Path, *, colours: bool) -> Voxels:
    """All voxels; scaled ones as float32, computed in double precision."""
    fields = nifti_fields(path)
    part = Part(path, _start(path, fields), "raw")
    if is_gzip(path):
        part = Part(path, 0, "deflate", part.start or 0)
    affine, placed = position(path.name, fields)
    return read_voxels(path.name, fields, part, affine, placed=placed, image=colours)


def read_voxels(
    name: str,
    fields: Nifti1Header,
    part: Part,
    affine: npt.NDArray[np.float64],
    *,
    placed: bool,
    image: bool,
) -> Voxels:
    """What lies behind a header, as (channels, *size)."""
    layout = layout_of(name, fields)
    geometry = placed_grid(name, layout.size, affine, placed=placed)
    count = int(np.prod(layout.size, dtype=np.int64)) * layout.channels
    if layout.colours:
        count *= layout.colours
        values = read_numbers(name, [part], count, np.dtype(np.uint8))
        values = values.reshape((layout.colours, *layout.size), order="F")[:3]
        return Voxels(values, geometry)
    slope, intercept = _scaling(fields)
    convert = None if slope is None else scaled(layout.stored, slope, intercept, image=image)
    values = read_numbers(name, [part], count, layout.stored, convert)
    values = values.reshape((*layout.size, layout.channels), order="F")
    return Voxels(np.moveaxis(values, -1, 0), geometry)


def nifti_fields(path: Path) -> Nifti1Header:
    """The header, in whichever byte order.

    Raises:
        ScanError: If it is none.
    """
    block = read_start(path, 540)
    for size, (at, magics) in _MAGICS.items():
        if block[at : at + 3] in magics:
            return parse_fields(path.name, block, size)
    raise ScanError(
        path.name, "not a NIfTI file: its header lacks the mark 'n+1'", "convert or export it again"
    )


def parse_fields(name: str, block: bytes, size: int) -> Nifti1Header:
    """The header in a block of bytes, by the table for headers of that size.

    Raises:
        ScanError: If it is cut short, or says nothing that can be.
    """
    if len(block) < size:
        what = f"cut short: {len(block)} bytes, the header alone has {size}"
        raise ScanError(name, what, "copy or export it again")
    for order in "<>":
        fields = _SIZES[size](block[:size], endianness=order, check=False)
        if int(fields["sizeof_hdr"]) == size:
            return fields
    for order in "<>":  # some writers leave the size out
        fields = _SIZES[size](block[:size], endianness=order, check=False)
        if 1 <= int(fields["dim"][0]) <= _MAX_AXES:
            return fields
    raise ScanError(name, "its header has no valid number of axes", "export it again")


def layout_of(name: str, fields: Nifti1Header) -> Layout:
    """Axes and type.

    Raises:
        ScanError: If they cannot be read.
    """
    axes = int(fields["dim"][0])
    if not 1 <= axes <= _MAX_AXES:
        raise ScanError(name, f"its header announces {axes} axes", "export it again")
    shape = [int(length) for length in fields["dim"][1 : axes + 1]]
    shape += [1] * (3 - axes)
    # Writers leave unused axes at 0.
    shape = shape[:3] + [max(length, 1) for length in shape[3:]]
    stored, colours = _type(name, fields)
    check_announced(name, shape)
    extra = [length for length in shape[3:] if length > 1]
    if len(extra) > 1 or (extra and colours):
        what = (
            f"{len(shape)} axes {tuple(shape)}{' of colours' if colours else ''}, "
            "three of space and one of channels can be read"
        )
        raise ScanError(name, what, "split it")
    i, j, k = shape[:3]
    return Layout((i, j, k), extra[0] if extra else 1, stored, colours, axes == 2)


def _type(name: str, fields: Nifti1Header) -> tuple[np.dtype[Any], int]:
    code = int(fields["datatype"])
    try:
        stored = np.dtype(fields.get_data_dtype())
    except Exception as error:
        what = f"its header names an unknown type of voxels ({code})"
        raise ScanError(name, what, "export it again") from error
    if stored.kind == "c":
        raise ScanError(name, "complex values", "save the magnitude instead")
    if stored.names is not None:
        return np.dtype(np.uint8), len(stored.names)
    if stored.kind not in "iuf" or stored.itemsize > 8:
        named = data_type_codes.label[code]
        raise ScanError(name, f"values of type {named}", "save it as float32")
    return stored, 0


def _start(path: Path, fields: Nifti1Header) -> int:
    """Where the voxels begin, for headers that do not say it too, or say what cannot be."""
    own = _own_size(fields)
    stated = float(fields["vox_offset"])
    layout = layout_of(path.name, fields)
    needed = int(np.prod(layout.size, dtype=np.int64)) * layout.channels
    needed *= layout.colours or layout.stored.itemsize
    behind = own + _EXTENSION
    if not (np.isfinite(stated) and stated >= own):
        return own if holds(path, own + needed) else behind
    # The standard keeps these bytes for a word on extensions.
    return behind if stated < behind and holds(path, behind + needed) else int(stated)


def _own_size(fields: Nifti1Header) -> int:
    return int(fields["sizeof_hdr"]) if int(fields["sizeof_hdr"]) in _SIZES else 348


def _scaling(fields: Nifti1Header) -> tuple[float | None, float]:
    """Slope and intercept; no slope where values are as stored."""
    slope, intercept = float(fields["scl_slope"]), float(fields["scl_inter"])
    intercept = intercept if np.isfinite(intercept) else 0.0
    if not np.isfinite(slope) or slope == 0 or (slope == 1 and intercept == 0):
        return None, 0.0
    return slope, intercept


def scaled(stored: np.dtype[Any], slope: float, intercept: float, *, image: bool) -> Convert:
    """What a piece of stored values means, and the type that holds it.

    Whole numbers scaled by whole numbers stay whole. Others are float32: exact for what had up to
    24 bits; more bits are kept for labels.
    """
    whole = _whole_type(stored, slope, intercept)
    if whole is not None:
        by, plus = int(slope), int(intercept)
        return Convert(whole, lambda piece: (piece.astype(np.int64) * by + plus).astype(whole))
    wide = stored.itemsize > 4 - 2 * (stored.kind in "iu") and not image
    kind = np.dtype(np.float64 if wide else np.float32)

    def convert(piece: npt.NDArray[Any]) -> npt.NDArray[Any]:
        with np.errstate(over="ignore", invalid="ignore"):
            return (piece.astype(np.float64) * slope + intercept).astype(kind)

    return Convert(kind, convert)


def _whole_type(stored: np.dtype[Any], slope: float, intercept: float) -> np.dtype[Any] | None:
    if stored.kind not in "iu" or not (slope.is_integer() and intercept.is_integer()):
        return None
    limits = np.iinfo(stored)
    ends = [int(end) * int(slope) + int(intercept) for end in (limits.min, limits.max)]
    for kind in (np.uint8, np.int8, np.int16, np.uint16, np.int32):
        if np.iinfo(kind).min <= min(ends) and max(ends) <= np.iinfo(kind).max:
            return np.dtype(kind)
    return None


def write(
    values: npt.NDArray[Any], geometry: Geometry, path: Path, like: Path | None, /, *, plane: bool
) -> None:
    """Write (channels, *size) in the array's type; several channels are the fourth axis."""
    source = nifti_fields(like) if like is not None else None
    fields = fields_for(values, geometry, source, plane=plane)
    zipped = path.name.lower().endswith(".gz")
    with path.open("wb") as file, packed(file) if zipped else nullcontext(file) as stream:
        fields["vox_offset"] = int(fields["sizeof_hdr"]) + _EXTENSION
        stream.write(fields.binaryblock + bytes(_EXTENSION))
        write_numbers(stream, values)


def fields_for(
    values: npt.NDArray[Any], geometry: Geometry, source: Nifti1Header | None, *, plane: bool
) -> Nifti1Header:
    """The header of (channels, *size)."""
    shape: tuple[int, ...] = geometry.size
    if len(values) > 1:
        shape = (*shape, len(values))
    elif plane and geometry.size[2] == 1:
        shape = shape[:2]
    wide = isinstance(source, Nifti2Header) or max(shape) > _MAX_NIFTI1
    fields = Nifti2Header() if wide else Nifti1Header()
    fields.set_data_dtype(values.dtype)
    fields.set_data_shape(shape)
    fields.set_slope_inter(1, 0)
    state_position(fields, geometry, source)
    return fields
