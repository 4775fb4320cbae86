"""Tells what medseg wrote from what a user has: a few words that every format has room for.

A mask lies where labels lie, under the names that labels have. Only the mark says that it may be
replaced, and that it is no scan.
"""

import gzip
import shutil
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from medseg.files import whole_file
from medseg.scans.formats import header_beside, suffix_of

MARK = b"made by medseg"
_LOOKED_AT = 4096
"""Bytes at either end of a file in which a mark is looked for."""
_CHUNK = 1 << 20
_PNG_HEADER = 8 + 12 + 13
"""Bytes of a PNG's signature and of its first chunk."""
_MGH_UNUSED = 128
"""Offset in a header of 284 bytes, of which the first 90 are read."""
_DESCRIPTION = {348: (148, 80), 540: (240, 80)}
"""Header size of NIfTI 1 and 2 -> offset and length of its free text."""


def is_ours(path: Path) -> bool:
    """Whether a file says that medseg made it, and may replace it.

    Raises:
        OSError: If it cannot be read, other than for being damaged.
    """
    path = _header(path)
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
        if not zipped:
            file.seek(0)
            start = file.read(_LOOKED_AT)
            file.seek(max(0, path.stat().st_size - _LOOKED_AT))
            return MARK in start or MARK in file.read()
    with suppress(EOFError, zlib.error, gzip.BadGzipFile), gzip.open(path) as file:
        return MARK in file.read(_LOOKED_AT)
    return False


def mark(path: Path) -> None:
    """Write the mark into a file of any format that masks and extra outputs have.

    Raises:
        OSError: If it cannot be written.
    """
    path = _header(path)
    suffix = suffix_of(path)
    zipped = suffix in (".nii.gz", ".mgz")
    if suffix in (".tif", ".tiff", ".bmp"):
        with path.open("ab") as file:
            file.write(MARK)  # their parts are found by offsets: nothing looks beyond the last
        return
    change = _MARKS.get({".nii.gz": ".nii", ".mgz": ".mgh"}.get(suffix, suffix))
    if change is None:
        return
    with (
        whole_file(path) as part,
        gzip.open(path) if zipped else path.open("rb") as source,
        gzip.open(part, "wb", 1) if zipped else part.open("wb") as target,
    ):
        target.write(change(source.read(_LOOKED_AT)))
        shutil.copyfileobj(source, target, _CHUNK)


def _nifti(data: bytes) -> bytes:
    for order in "<>":
        (size,) = struct.unpack_from(f"{order}i", data)
        if size in _DESCRIPTION:
            offset, length = _DESCRIPTION[size]
            return data[:offset] + MARK.ljust(length, b"\0") + data[offset + length :]
    return data


def _header(path: Path) -> Path:
    """Of a pair of files the one that has room."""
    return (header_beside(path) or path) if suffix_of(path) == ".img" else path


def _mgh(data: bytes) -> bytes:
    """Between what the header says and where the voxels begin, nothing is read."""
    offset = _MGH_UNUSED
    return data[:offset] + MARK + data[offset + len(MARK) :]


def _png(data: bytes) -> bytes:
    """A text chunk behind the first, which is the header."""
    chunk = b"tEXtSoftware\0" + MARK
    framed = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return data[:_PNG_HEADER] + framed + data[_PNG_HEADER:]


def _after_first_line(text: bytes) -> Callable[[bytes], bytes]:
    """A line of its own in a header of lines, after the one that says what it is."""

    def insert(data: bytes) -> bytes:
        first, newline, rest = data.partition(b"\n")
        return first + newline + text + newline + rest

    return insert


_METAIMAGE = _after_first_line(b"Comment = " + MARK)
_MARKS: dict[str, Callable[[bytes], bytes]] = {
    ".nii": _nifti,
    ".hdr": _nifti,
    ".mgh": _mgh,
    ".mha": _METAIMAGE,
    ".mhd": _METAIMAGE,
    ".nrrd": _after_first_line(b"# " + MARK),
    ".nhdr": _after_first_line(b"# " + MARK),
    ".png": _png,
}
