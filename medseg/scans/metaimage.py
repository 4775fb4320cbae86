"""MetaImage: .mha holds header and voxels, .mhd names the files that hold them.

Read here rather than by ITK, which goes by the suffix's case, calls each fault by the same words,
and opens whatever path a header names.
"""

from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from medseg.errors import ScanError
from medseg.geometry import Geometry
from medseg.scans.data_files import data_file, header_lines, numbered_files
from medseg.scans.stream import Coding, Deflated, Part, is_gzip, read_numbers, write_vectors
from medseg.scans.voxels import Header, Voxels, check_announced, lps_grid

_TYPES = {
    "CHAR": "i1",
    "UCHAR": "u1",
    "SHORT": "i2",
    "USHORT": "u2",
    "INT": "i4",
    "UINT": "u4",
    "LONG": "i4",
    "ULONG": "u4",
    "LONG_LONG": "i8",
    "ULONG_LONG": "u8",
    "FLOAT": "f4",
    "DOUBLE": "f8",
}
_NAMES = {np.dtype(kind): name for name, kind in _TYPES.items() if name not in ("LONG", "ULONG")}
_UNITS_MM = {"": 1.0, "?": 1.0, "mm": 1.0, "um": 0.001, "cm": 10.0, "m": 1000.0}
_AGAIN = "export it again"
_SIZE_LINE = "CompressedDataSize = "
_DIGITS = 20


class _Parsed(NamedTuple):
    """A header: its fields, keys in lower case; the lines after the last; where those start."""

    fields: dict[str, str]
    more: list[str]
    end: int


class _Grid(NamedTuple):
    geometry: Geometry
    vectors: int
    frames: int
    plane: bool


def files_of(path: Path) -> tuple[Path, ...]:
    """The file, and those of its voxels."""
    parts = _parts(path, _parse(path), None)
    return (path, *(part.path for part in parts if part.path != path))


def header(path: Path) -> Header:
    """Grid and channels, without reading a voxel."""
    grid = _grid(path.name, _parse(path).fields)
    return Header(grid.geometry, grid.vectors * grid.frames, grid.plane)


def read(path: Path, *, colours: bool) -> Voxels:
    """All voxels; a fourth axis holds channels, as vectors do."""
    parsed = _parse(path)
    grid, stored = _grid(path.name, parsed.fields), _type(path.name, parsed.fields)
    count = int(np.prod(grid.geometry.size, dtype=np.int64)) * grid.vectors * grid.frames
    parts = _parts(path, parsed, count * stored.itemsize)
    values = read_numbers(path.name, parts, count, stored)
    values = values.reshape((grid.vectors, *grid.geometry.size, grid.frames), order="F")
    return Voxels(
        values[..., 0] if grid.frames == 1 else np.moveaxis(values[0], -1, 0), grid.geometry
    )


def write(
    values: npt.NDArray[Any], geometry: Geometry, path: Path, like: Path | None, /, *, plane: bool
) -> None:
    """Write (channels, *size), compressed, in the unit of the scan's positions."""
    source = _parse(like).fields if like is not None else {}
    unit = source.get("distanceunits", "")
    scale, axes = _UNITS_MM.get(unit.lower(), 1.0), 2 if plane else 3
    local = path.suffix.lower() == ".mha"
    data = path if local else path.with_suffix(".zraw")
    lines = [
        "ObjectType = Image",
        f"NDims = {axes}",
        "BinaryData = True",
        "BinaryDataByteOrderMSB = False",
        "CompressedData = True",
        _SIZE_LINE + "0" * _DIGITS,
        f"TransformMatrix = {_words(np.array(geometry.lps_direction)[:axes, :axes].T.ravel())}",
        f"Offset = {_words(np.array(geometry.lps_origin[:axes]) / scale)}",
        f"CenterOfRotation = {_words(np.zeros(axes))}",
        f"ElementSpacing = {_words(np.array(geometry.spacing_mm[:axes]) / scale)}",
        f"DimSize = {' '.join(str(length) for length in geometry.size[:axes])}",
        *([f"DistanceUnits = {unit}"] if unit else []),
        f"ElementNumberOfChannels = {len(values)}",
        f"ElementType = MET_{_NAMES[values.dtype]}",
        f"ElementDataFile = {'LOCAL' if local else data.name}",
    ]
    text = "\n".join(lines) + "\n"
    with path.open("wb") as file:
        file.write(text.encode())
        start = file.tell() if local else 0
        if local:
            _deflate(file, values)
            length = file.tell() - start
        else:
            with data.open("wb") as voxels:
                _deflate(voxels, values)
                length = voxels.tell()
        file.seek(text.index(_SIZE_LINE) + len(_SIZE_LINE))
        file.write(f"{length:>{_DIGITS}d}".encode())


def _deflate(file: BinaryIO, values: npt.NDArray[Any]) -> None:
    stream = Deflated(file)
    write_vectors(stream, values)
    stream.close()


def _words(numbers: npt.NDArray[np.float64]) -> str:
    return " ".join(repr(float(number) + 0.0) for number in numbers)


def _parse(path: Path) -> _Parsed:
    fields: dict[str, str] = {}
    more: list[str] = []
    end = 0
    for line, at in header_lines(path):
        if "elementdatafile" in fields:
            if fields["elementdatafile"].split()[:1] != ["LIST"]:
                break
            more += [line.strip()] if line.strip() else []
            continue
        key, equals, value = line.partition("=")
        if not equals or "\0" in line:
            break
        fields[key.strip().lower()], end = value.strip(), at
    if "dimsize" not in fields or "elementdatafile" not in fields:
        what = "not a MetaImage file: its header states no DimSize and ElementDataFile"
        raise ScanError(path.name, what, _AGAIN)
    return _Parsed(fields, more, end)


def _grid(name: str, fields: dict[str, str]) -> _Grid:
    axes = int(_numbers(name, fields, "NDims", 1)[0])
    if axes not in (2, 3, 4):
        raise ScanError(name, f"{axes} axes, 2 to 4 can be read", "split it")
    size = [int(length) for length in _numbers(name, fields, "DimSize", axes)]
    vectors = int(_numbers(name, fields, "ElementNumberOfChannels", 1, [1])[0])
    frames = size[3] if axes == 4 else 1
    check_announced(name, (*size, vectors))
    if vectors > 1 and frames > 1:
        what = f"{frames} points of a fourth axis with {vectors} channels each"
        raise ScanError(name, f"{what}, one of both can be read", "split it")
    space = min(axes, 3)
    spacing = _numbers(name, fields, "ElementSize", axes, [1.0] * axes)
    spacing = _numbers(name, fields, "ElementSpacing", axes, spacing)[:space]
    directions = np.eye(axes).ravel().tolist()
    for key in ("Rotation", "Orientation", "TransformMatrix"):
        directions = _numbers(name, fields, key, axes * axes, directions)
    origin, placed = [0.0] * axes, False
    for key in ("Origin", "Position", "Offset"):
        placed = placed or key.lower() in fields
        origin = _numbers(name, fields, key, axes, origin)
    unit = fields.get("distanceunits", "").lower()
    if unit not in _UNITS_MM:
        raise ScanError(name, f"unknown DistanceUnits '{unit}'", "export it in mm")
    rows = np.array(directions, dtype=np.float64).reshape(axes, axes)[:space, :space]
    steps = rows * np.array(spacing)[:, None] * _UNITS_MM[unit]
    origin = [value * _UNITS_MM[unit] for value in origin[:space]]
    geometry = lps_grid(name, size[:space], steps, origin, placed=placed)
    return _Grid(geometry, vectors, frames, axes == 2)


def _numbers(
    name: str, fields: dict[str, str], key: str, count: int, default: list[float] | None = None
) -> list[float]:
    text = fields.get(key.lower())
    if text is None and default is not None:
        return default
    try:
        numbers = [float(word) for word in (text or "").split()]
    except ValueError:
        numbers = []
    if len(numbers) < count or not np.isfinite(numbers).all():
        what = f"its header states {key} = {(text or 'nothing')[:60]}, {count} numbers are needed"
        raise ScanError(name, what, _AGAIN)
    return numbers[:count]


def _type(name: str, fields: dict[str, str]) -> np.dtype[Any]:
    stated = fields.get("elementtype", "")
    kind = _TYPES.get(stated.upper().removeprefix("MET_").removesuffix("_ARRAY"))
    if kind is None:
        raise ScanError(name, f"its header names an unknown type of voxels '{stated}'", _AGAIN)
    order = fields.get("binarydatabyteordermsb", fields.get("elementbyteordermsb", ""))
    slope = _numbers(name, fields, "ElementToIntensityFunctionSlope", 1, [1])[0]
    offset = _numbers(name, fields, "ElementToIntensityFunctionOffset", 1, [0])[0]
    if (slope, offset) != (1, 0):
        what = (
            f"its header states a slope of {slope:g} and an offset of {offset:g} for its values, "
            "which some programs apply and most do not"
        )
        raise ScanError(name, what, "apply them, and save it without")
    return np.dtype(kind).newbyteorder(">" if _true(order) else "<")


def _true(word: str) -> bool:
    return word[:1].lower() in ("t", "1", "y")


def _parts(path: Path, parsed: _Parsed, needed: int | None) -> list[Part]:
    """Where the voxels lie; `needed` bytes, where that is known, tell compressed files apart."""
    fields = parsed.fields
    named = fields["elementdatafile"]
    text = not _true(fields.get("binarydata", "True"))
    coding: Coding = "text" if text else "raw"
    if _true(fields.get("compresseddata", "False")):
        coding = "deflate"
    skip = int(_numbers(path.name, fields, "HeaderSize", 1, [0])[0])
    if named.upper() == "LOCAL":
        return [Part(path, None if skip < 0 and coding == "raw" else max(skip, parsed.end), coding)]
    files = _files(path, named, parsed)
    if coding == "raw" and needed is not None and skip == 0:
        packed = [file for file in files if file.stat().st_size * len(files) < needed]
        coding = "deflate" if packed and all(map(is_gzip, files)) else coding
    return [Part(file, None if skip < 0 else skip, coding) for file in files]


def _files(path: Path, named: str, parsed: _Parsed) -> list[Path]:
    words = named.split() or [""]
    if words[0].upper() == "LIST":
        files = [data_file(path, line) for line in parsed.more]
        if not files:
            raise ScanError(path.name, "its header lists no files of voxels", _AGAIN)
        return files
    if "%" in words[0]:
        numbers = {"numbers": " ".join((*words[1:], "1", "1", "1")[:3])}
        first, last, step = map(int, _numbers(path.name, numbers, "numbers", 3))
        return numbered_files(path, words[0], range(first, last + 1, max(step, 1)))
    return [data_file(path, named)]
