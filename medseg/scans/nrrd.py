"""NRRD: .nrrd holds header and voxels, .nhdr names the files that hold them.

Read here rather than by ITK, which knows no bzip2, no units of length, no axis of one point in
time, and calls each fault by the same words.
"""

import json
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from medseg.geometry import Geometry
from medseg.scans.nrrd_header import (
    TYPES,
    axes_of,
    grid_of,
    parse,
    parts_of,
    quoted,
    space_units,
    type_of,
)
from medseg.scans.stream import packed, read_numbers, write_vectors
from medseg.scans.voxels import Header, Voxels

_NAMES = {np.dtype(kind): names[-1] for kind, names in TYPES.items()}
_WITH_ALPHA = ("rgba-color", "4-color")


def files_of(path: Path) -> tuple[Path, ...]:
    """The file, and those of its voxels."""
    parts = parts_of(path, parse(path))
    return (path, *(part.path for part in parts if part.path != path))


def header(path: Path) -> Header:
    """Grid and channels, without reading a voxel."""
    parsed = parse(path)
    axes = axes_of(parsed)
    channels = 1 if axes.range is None else axes.size[axes.range]
    channels = 3 if axes.kind in _WITH_ALPHA else channels
    return Header(grid_of(parsed, axes), channels, len(axes.space) == 2)


def read(path: Path, *, colours: bool) -> Voxels:
    """All voxels; an axis of vectors, colours or of a list holds channels."""
    parsed = parse(path)
    axes = axes_of(parsed)
    geometry = grid_of(parsed, axes)
    count = int(np.prod(axes.size, dtype=np.int64))
    flat = read_numbers(path.name, parts_of(path, parsed), count, type_of(parsed))
    lead = () if axes.range is None else (axes.range,)
    rest = [index for index in range(len(axes.size)) if index not in (*lead, *axes.space)]
    values = flat.reshape(axes.size, order="F").transpose(*lead, *axes.space, *rest)
    values = values[(..., *[0] * len(rest))]
    values = values if lead else values[None]
    values = values[..., None] if len(axes.space) == 2 else values
    return Voxels(values[:3] if axes.kind in _WITH_ALPHA else values, geometry)


def write(
    values: npt.NDArray[Any], geometry: Geometry, path: Path, like: Path | None, /, *, plane: bool
) -> None:
    """Write (channels, *size), compressed, in LPS and the unit of the scan's positions."""
    source = parse(like) if like is not None else None
    number = 2 if plane else 3
    units = quoted(source.fields.get("space units", ""))[:number] if source else []
    units = units if len(units) == number else []
    scale = np.array(space_units(source, number)) if source and units else np.ones(number)
    steps = np.array(geometry.lps_direction) * np.array(geometry.spacing_mm)
    steps = steps[:number, :number].T / scale
    several = len(values) > 1
    local = path.suffix.lower() == ".nrrd"
    data = path if local else path.with_suffix(".raw.gz")
    size = [*([len(values)] if several else []), *geometry.size[:number]]
    lines = [
        "NRRD0005",
        f"type: {_NAMES[values.dtype]}",
        f"dimension: {len(size)}",
        "space dimension: 2" if plane else "space: left-posterior-superior",
        f"sizes: {' '.join(map(str, size))}",
        f"space directions: {' '.join([*(['none'] if several else []), *map(_vector, steps)])}",
        f"kinds: {' '.join([*(['vector'] if several else []), *['domain'] * number])}",
        *([f"space units: {' '.join(json.dumps(unit) for unit in units)}"] if units else []),
        "endian: little",
        "encoding: gzip",
        f"space origin: {_vector(np.array(geometry.lps_origin[:number]) / scale)}",
        *([] if local else [f"data file: {data.name}"]),
    ]
    with path.open("wb") as file:
        file.write(("\n".join(lines) + "\n\n").encode())
        if local:
            _deflate(file, values)
    if not local:
        with data.open("wb") as file:
            _deflate(file, values)


def _deflate(file: BinaryIO, values: npt.NDArray[Any]) -> None:
    with packed(file) as stream:
        write_vectors(stream, values)


def _vector(numbers: npt.NDArray[np.float64]) -> str:
    return f"({','.join(repr(float(number) + 0.0) for number in numbers)})"
