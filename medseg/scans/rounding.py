"""How finely a file can store values: what is off by less is a rounding, not a fraction."""

import gzip
import struct
from pathlib import Path
from typing import NamedTuple


class _Fields(NamedTuple):
    """Where a NIfTI header has its type, and its slope with the slope's format."""

    datatype: int
    slope: int
    format: str


_SIZES = {348: _Fields(70, 112, "f"), 540: _Fields(12, 176, "d")}
_WHOLE_TYPES = {2, 4, 8, 256, 512, 768, 1024, 1280}
_LONGEST = 540
_GZIP = b"\x1f\x8b"


def stored_step(path: Path) -> float:
    """Between neighbouring values of a file that stores integers times a slope; 0 for any other.

    Only NIfTI scales integers. A file that cannot be read has no step: its reader says why.
    """
    try:
        with path.open("rb") as file:
            packed = file.read(len(_GZIP)) == _GZIP
        with gzip.open(path) if packed else path.open("rb") as file:
            start = file.read(_LONGEST)
    except (OSError, EOFError):
        return 0.0
    for order in "<>":
        fields = _SIZES.get(struct.unpack(f"{order}i", start[:4])[0]) if start[4:] else None
        if fields is not None and len(start) >= min(_SIZES):
            (datatype,) = struct.unpack_from(f"{order}h", start, fields.datatype)
            (slope,) = struct.unpack_from(f"{order}{fields.format}", start, fields.slope)
            # Not a number is not below anything.
            scales = datatype in _WHOLE_TYPES and 0 < abs(slope) < float("inf") and slope != 1
            return abs(slope) if scales else 0.0
    return 0.0
