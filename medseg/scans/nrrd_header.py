"""The text in front of an NRRD's voxels: what each axis is, where it lies, where the voxels are."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from medseg.errors import ScanError
from medseg.geometry import Geometry
from medseg.scans.data_files import data_file, header_lines, numbered_files
from medseg.scans.stream import Coding, Part
from medseg.scans.voxels import check_announced, lps_grid

_AGAIN = "export it again"
TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
_KINDS = {name: np.dtype(kind) for kind, names in TYPES.items() for name in names}
_CODINGS: dict[str, Coding] = {
    "raw": "raw",
    "gz": "deflate",
    "gzip": "deflate",
    "bz2": "bzip2",
    "bzip2": "bzip2",
    "txt": "text",
    "text": "text",
    "ascii": "text",
    "hex": "hex",
}
_TO_LPS = {
    **dict.fromkeys(("right-anterior-superior", "ras"), (-1.0, -1.0, 1.0)),
    **dict.fromkeys(("left-anterior-superior", "las"), (1.0, -1.0, 1.0)),
    **dict.fromkeys(("left-posterior-superior", "lps", ""), (1.0, 1.0, 1.0)),
    # The axes of these are not named; ITK takes them so.
    **dict.fromkeys(("scanner-xyz", "3d-right-handed", "3d-left-handed"), (1.0, 1.0, 1.0)),
}
UNITS_MM = {
    **dict.fromkeys(("", "???", "mm", "millimeter", "millimeters", "millimetre"), 1.0),
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), 1000.0),
    **dict.fromkeys(("cm", "centimeter", "centimeters"), 10.0),
    **dict.fromkeys(("um", "µm", "μm", "micron", "microns", "micrometer", "micrometers"), 0.001),
    **dict.fromkeys(("nm", "nanometer", "nanometers"), 1e-6),
}
_SPATIAL = ("domain", "space")


class NrrdHeader(NamedTuple):
    """A header as text.

    Attributes:
        name: The file's name.
        fields: `field: value`, fields in lower case.
        keys: `key:=value`, as written.
        listed: What follows a `data file: LIST`.
        end: Where voxels begin that are in the same file.
    """

    name: str
    fields: dict[str, str]
    keys: dict[str, str]
    listed: list[str]
    end: int


class Axes(NamedTuple):
    """What the axes of the voxels are, in the order in which they lie on disk.

    Attributes:
        size: Their lengths.
        space: Which two or three are of space.
        range: Which one is of channels, layers or colours; None if there is none.
        kind: What the header calls that one.
    """

    size: tuple[int, ...]
    space: tuple[int, ...]
    range: int | None
    kind: str = ""


def parse(path: Path) -> NrrdHeader:
    """Read a header, and nothing else.

    Raises:
        ScanError: If there is none.
    """
    fields: dict[str, str] = {}
    keys: dict[str, str] = {}
    listed: list[str] = []
    end = 0
    for number, (line, at) in enumerate(header_lines(path)):
        end = at
        if number == 0:
            if not line.startswith("NRRD"):
                break
        elif not line:
            break
        elif fields.get("data file", "").split()[:1] == ["LIST"]:
            listed.append(line.strip())
        elif not line.startswith("#"):
            key, colon, value = line.partition(":")
            if colon and value.startswith("="):
                keys[key] = value[1:].replace("\\n", "\n").replace("\\\\", "\\")
            elif colon:
                field = key.strip().lower()
                fields[{"datafile": "data file"}.get(field, field)] = value.strip()
    if not fields:
        raise ScanError(path.name, "not an NRRD file: it does not begin with NRRD", _AGAIN)
    return NrrdHeader(path.name, fields, keys, listed, end)


def axes_of(header: NrrdHeader) -> Axes:
    """Tell the axes apart.

    Raises:
        ScanError: If they cannot be.
    """
    size = tuple(_whole(header, word) for word in words(header, "sizes"))
    check_announced(header.name, size)
    stated = header.fields.get("dimension", str(len(size)))
    if _whole(header, stated) != len(size):
        what = f"its header states {stated} axes, and {len(size)} sizes"
        raise ScanError(header.name, what, _AGAIN)
    kinds = [kind.lower() for kind in words(header, "kinds", ["???"] * len(size), len(size))]
    steps = _steps(header, len(size))
    if steps is not None:
        spatial = [step is not None for step in steps]
    else:
        spatial = [kind in (*_SPATIAL, "???") for kind in kinds]
        spacings = words(header, "spacings", ["1"] * len(size), len(size))
        spatial = [
            is_space and spacing.lower() != "nan"
            for is_space, spacing in zip(spatial, spacings, strict=True)
        ]
    if sum(spatial) == 4 and size[3] == 1:
        spatial[3] = False
    space = tuple(index for index, is_space in enumerate(spatial) if is_space)
    others = [index for index, is_space in enumerate(spatial) if not is_space and size[index] > 1]
    if len(space) not in (2, 3) or len(others) > 1:
        what = (
            f"{len(size)} axes ({'x'.join(map(str, size))}), {len(space)} of them of space; "
            "three of space and one of channels can be read"
        )
        raise ScanError(header.name, what, "split it, or state the kinds of its axes")
    is_time = bool(others) and kinds[others[0]] == "time"
    if is_time or (others and _is_sequence(header)):
        frames = "points in time" if is_time else "frames of a sequence"
        what = f"{size[others[0]]} {frames}, which are neither channels nor slices"
        raise ScanError(header.name, what, "save each point in time as a file of its own")
    if others and kinds[others[0]] == "complex":
        raise ScanError(header.name, "complex values", "save the magnitude instead")
    return Axes(size, space, others[0] if others else None, kinds[others[0]] if others else "")


def _is_sequence(header: NrrdHeader) -> bool:
    """Whether 3D Slicer's words say that its list is one of frames."""
    return any(
        key.startswith("MultiVolume.") or (key.startswith("axis ") and key.endswith(" index type"))
        for key in header.keys
    )


def grid_of(header: NrrdHeader, axes: Axes) -> Geometry:
    """Where it lies.

    Raises:
        ScanError: If the header states no sound position.
    """
    size = [axes.size[index] for index in axes.space]
    steps = _steps(header, len(axes.size))
    if steps is None:
        spacings = words(header, "spacings", ["1"] * len(axes.size), len(axes.size))
        mins = words(header, "axis mins", ["0"] * len(axes.size), len(axes.size))
        along = [abs(_number(header, spacings[i])) * unit for i, unit in _axis_units(header, axes)]
        first = [_number(header, mins[i]) * unit for i, unit in _axis_units(header, axes)]
        return lps_grid(header.name, size, np.diag(along), first, placed=False)
    rows = np.array([step for step in steps if step is not None], dtype=np.float64)
    scale = np.array(space_units(header, rows.shape[1]))
    space = header.fields.get("space", "").lower().removesuffix("-time")
    if space not in _TO_LPS:
        what = f"its positions are in a space '{space[:40]}' that NRRD does not know"
        raise ScanError(header.name, what, "export it in left-posterior-superior")
    signs = np.array(_TO_LPS[space])[: rows.shape[1]]
    text = header.fields.get("space origin")
    origin = np.zeros(rows.shape[1]) if text is None else _vector(header, text)
    if origin is None or len(origin) < rows.shape[1]:
        raise ScanError(header.name, f"its space origin {text} is none", _AGAIN)
    origin = origin[: rows.shape[1]] * scale * signs
    rows = (rows * scale * signs)[:, :3]
    return lps_grid(header.name, size, rows, origin[:3].tolist(), placed=text is not None)


def space_units(header: NrrdHeader, coordinates: int) -> list[float]:
    """Millimetres in the unit of each coordinate of the world.

    Raises:
        ScanError: If a unit is unknown.
    """
    named = quoted(header.fields.get("space units", "")) or [""] * coordinates
    return [_unit(header, name) for name in (*named, *[""] * coordinates)[:coordinates]]


def type_of(header: NrrdHeader) -> np.dtype[Any]:
    """How a value is stored, byte order included.

    Raises:
        ScanError: If it cannot be read.
    """
    stated = header.fields.get("type", "")
    kind = _KINDS.get(" ".join(stated.lower().split()))
    if kind is None:
        raise ScanError(
            header.name, f"its header names an unknown type of voxels '{stated}'", _AGAIN
        )
    order = header.fields.get("endian", "").lower()
    if order not in ("little", "big") and kind.itemsize > 1 and coding_of(header) != "text":
        raise ScanError(header.name, "its header does not say which byte order it has", _AGAIN)
    return kind.newbyteorder(">" if order == "big" else "<")


def coding_of(header: NrrdHeader) -> Coding:
    """How the voxels are coded.

    Raises:
        ScanError: If nobody knows.
    """
    stated = header.fields.get("encoding", "").lower()
    if stated not in _CODINGS:
        raise ScanError(
            header.name, f"its voxels are coded as '{stated}', which is unknown", _AGAIN
        )
    return _CODINGS[stated]


def parts_of(path: Path, header: NrrdHeader) -> list[Part]:
    """Where the voxels lie.

    Raises:
        ScanError: If a file that the header names is missing or outside its folder.
    """
    coding = coding_of(header)
    lines = _whole(header, header.fields.get("line skip", "0"))
    skip = _whole(header, header.fields.get("byte skip", "0"))
    named = header.fields.get("data file")
    files, start = ([path], header.end) if named is None else (_files(path, named, header), 0)
    parts: list[Part] = []
    for file in files:
        begin = _after_lines(file, start, lines)
        if skip < 0:
            parts.append(Part(file, None if coding == "raw" else begin, coding))
        elif coding in ("raw", "text", "hex"):
            parts.append(Part(file, begin + skip, coding))
        else:
            parts.append(Part(file, begin, coding, skip))
    return parts


def words(
    header: NrrdHeader, field: str, default: list[str] | None = None, count: int | None = None
) -> list[str]:
    """The words of a field, `count` of them.

    Raises:
        ScanError: If there are none, and no default, or not as many.
    """
    text = header.fields.get(field)
    if text is None and default is not None:
        return default
    found = (text or "").split()
    if not found or (count is not None and len(found) != count):
        what = f"its header states {field}: {text or 'nothing'}"
        raise ScanError(header.name, what, _AGAIN)
    return found


def quoted(text: str) -> list[str]:
    """Words in quotes, or bare ones."""
    return [first or second for first, second in re.findall(r'"([^"]*)"|(\S+)', text)]


def _steps(header: NrrdHeader, count: int) -> list[npt.NDArray[np.float64] | None] | None:
    """From voxel to voxel along each axis; None for an axis that is not of space."""
    text = header.fields.get("space directions")
    if text is None:
        return None
    found = re.findall(r"\([^)]*\)|\S+", text)
    if len(found) != count:
        what = f"{len(found)} space directions for {count} axes"
        raise ScanError(header.name, what, _AGAIN)
    return [_vector(header, word) for word in found]


def _vector(header: NrrdHeader, text: str) -> npt.NDArray[np.float64] | None:
    if text.strip().lower() == "none":
        return None
    values = np.array([_number(header, word) for word in text.strip().strip("()").split(",")])
    return None if np.isnan(values).all() else values


def _number(header: NrrdHeader, word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise ScanError(header.name, f"its header has '{word[:40]}' for a number", _AGAIN) from None


def _whole(header: NrrdHeader, word: str) -> int:
    number = _number(header, word)
    if not number.is_integer():
        raise ScanError(header.name, f"its header has '{word[:40]}' for a whole number", _AGAIN)
    return int(number)


def _axis_units(header: NrrdHeader, axes: Axes) -> list[tuple[int, float]]:
    named = quoted(header.fields.get("units", "")) or [""] * len(axes.size)
    named += [""] * len(axes.size)
    return [(index, _unit(header, named[index])) for index in axes.space]


def _unit(header: NrrdHeader, name: str) -> float:
    unit = UNITS_MM.get(name.lower())
    if unit is None:
        what = f"its positions are in '{name[:40]}', a unit of unknown length"
        raise ScanError(header.name, what, "export it in mm")
    return unit


def _files(path: Path, named: str, header: NrrdHeader) -> list[Path]:
    parts = named.split() or [""]
    if parts[0] == "LIST":
        return [data_file(path, line) for line in header.listed if line]
    if "%" in parts[0] and len(parts) >= 4:
        first, last, step = (_whole(header, word) for word in parts[1:4])
        last += 1 if step >= 0 else -1
        return numbered_files(path, parts[0], range(first, last, step or 1))
    return [data_file(path, named)]


def _after_lines(file: Path, start: int, lines: int) -> int:
    if lines <= 0:
        return start
    with file.open("rb") as stream:
        stream.seek(start)
        for _ in range(min(lines, 10_000)):
            stream.readline(1 << 16)
        return stream.tell()
