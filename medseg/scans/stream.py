"""Bytes on disk -> numbers in memory, in pieces: compressed or not, in either byte order.

What is there is told by content, never by a name: files called .nii may be compressed, files
called .nii.gz may be plain. Nothing is held twice, and nothing is allocated that the file cannot
fill.
"""

import bz2
import gzip
import io
import zlib
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from typing_extensions import Buffer

from medseg.errors import ScanError

Coding = Literal["raw", "deflate", "bzip2", "text", "hex"]

_PIECE = 1 << 21
_INPUT = 1 << 18
_GZIP = b"\x1f\x8b"
_MOST = {"raw": 1, "deflate": 1040, "bzip2": 1 << 20, "text": 1, "hex": 1}
"""How many bytes one stored byte can give at most."""


class Part(NamedTuple):
    """Where voxels lie: a file, how they are coded, and what comes before them.

    Attributes:
        path: The file.
        start: Bytes before the coded part; None for as many as leave just the voxels (raw only).
        coding: How they are coded.
        skip: Decoded bytes before the voxels.
    """

    path: Path
    start: int | None = 0
    coding: Coding = "raw"
    skip: int = 0


class Convert(NamedTuple):
    """What values become while they are read: their type, and what makes it of a piece."""

    kind: np.dtype[Any]
    of: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]


class _Inflated(io.RawIOBase):
    """zlib or gzip, of any number of members, whatever padding follows them."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file
        self._engine = zlib.decompressobj(zlib.MAX_WBITS | 32)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer).cast("B")
        while len(view):
            if self._engine.eof and not self._next_member():
                return 0
            self._rest = self._rest or self._file.read(_INPUT)
            data = self._engine.decompress(self._rest, len(view))
            ended = not self._rest
            self._rest = self._engine.unconsumed_tail
            if data:
                view[: len(data)] = data
                return len(data)
            if ended and not self._engine.eof:
                return 0
        return 0

    def _next_member(self) -> bool:
        rest = (self._engine.unused_data or self._file.read(_INPUT)).lstrip(b"\0")
        while not rest:
            more = self._file.read(_INPUT)
            if not more:
                return False
            rest = more.lstrip(b"\0")
        rest += self._file.read(2) if len(rest) == 1 else b""
        if not rest.startswith(_GZIP):
            return False
        self._engine, self._rest = zlib.decompressobj(zlib.MAX_WBITS | 16), rest
        return True


def is_gzip(path: Path) -> bool:
    """Whether a file is compressed, by its first bytes."""
    with path.open("rb") as file:
        return file.read(2) == _GZIP


def holds(path: Path, length: int) -> bool:
    """Whether a file's content, decompressed if it is gzip, has just so many bytes.

    A gzip file tells at its end how many the last of its members has: nearly all have one.
    """
    if not is_gzip(path):
        return path.stat().st_size == length
    with path.open("rb") as file:
        file.seek(-4, io.SEEK_END)
        return int.from_bytes(file.read(4), "little") == length % 2**32


@contextmanager
def opened(path: Path) -> Generator[BinaryIO, None, None]:
    """A file's content from its beginning, decompressed if it is gzip.

    Raises:
        OSError: If it cannot be opened.
    """
    with path.open("rb") as file:
        packed = file.read(2) == _GZIP
        file.seek(0)
        yield _decoded(file, "deflate" if packed else "raw")


def read_start(path: Path, length: int) -> bytes:
    """The first bytes of a file's content, decompressed if it is gzip; fewer if it is shorter."""
    with opened(path) as stream:
        return stream.read(length)


def read_numbers(
    name: str,
    parts: Sequence[Part],
    count: int,
    stored: np.dtype[Any],
    convert: Convert | None = None,
) -> npt.NDArray[Any]:
    """A flat array of all values, in this machine's byte order.

    Args:
        name: The scan's name, for messages.
        parts: The files, which hold equal shares of the values one after the other.
        count: Values in all.
        stored: Their type and byte order on disk.
        convert: What to make of them; as they are if None.

    Raises:
        ScanError: If there are fewer values than announced, or the compression is broken.
        OSError: If a file cannot be read.
    """
    share = count // len(parts)
    for part in parts:  # before anything is allocated
        _check_length(name, part, share * stored.itemsize)
    kind = stored.newbyteorder("=") if convert is None else convert.kind
    values = np.empty(count, kind)
    for index, part in enumerate(parts):
        _fill(name, part, values[index * share : (index + 1) * share], stored, convert)
    return values


def _check_length(name: str, part: Part, needed: int) -> None:
    there = max(part.path.stat().st_size - (part.start or 0), 0)
    if there * _MOST[part.coding] < (needed if part.coding in ("raw", "deflate", "bzip2") else 1):
        raise short(name, part, needed, there)


def short(name: str, part: Part, needed: int, there: int) -> ScanError:
    """What is said of a file that holds too little."""
    where = "" if part.path.name == name else f"{part.path.name} "
    found = f"{there} are there" if part.coding == "raw" else "fewer are there"
    what = f"{where}cut short: its header announces {needed} bytes of voxels, {found}"
    return ScanError(name, what, "copy or export it again")


def _fill(
    name: str,
    part: Part,
    target: npt.NDArray[Any],
    stored: np.dtype[Any],
    convert: Convert | None,
) -> None:
    with part.path.open("rb") as file:
        start = part.start
        if start is None:
            start = part.path.stat().st_size - target.size * stored.itemsize
        file.seek(start)
        if part.coding in ("text", "hex"):
            target[:] = _written_out(name, part, file, target.size, stored)
            return
        stream = _decoded(file, part.coding)
        try:
            _skip(stream, part.skip)
            length = _PIECE // 8  # whatever a piece becomes on the way
            for begin in range(0, target.size, length):
                piece = target[begin : begin + length]
                if convert is None and stored.isnative:
                    got = _read_into(stream, piece)
                else:
                    buffer = np.empty(piece.size, stored)
                    got = _read_into(stream, buffer)
                    piece[:] = buffer if convert is None else convert.of(buffer)
                if got < piece.size * stored.itemsize:
                    there = begin * stored.itemsize + got
                    raise short(name, part, target.size * stored.itemsize, there)
            if part.coding == "deflate":
                stream.read(_INPUT)  # the checksum stands at the end
        except (zlib.error, EOFError) as error:
            what = f"its compressed part is damaged ({error})"
            raise ScanError(name, what, "copy or export it again") from error


def _decoded(file: BinaryIO, coding: Coding) -> BinaryIO:
    if coding == "deflate":
        return io.BufferedReader(_Inflated(file), _INPUT)  # type: ignore[return-value]
    return bz2.BZ2File(file) if coding == "bzip2" else file  # type: ignore[return-value]


def _skip(stream: BinaryIO, length: int) -> None:
    while length > 0:
        got = len(stream.read(min(length, _INPUT)))
        if not got:
            return
        length -= got


def _read_into(stream: BinaryIO, target: npt.NDArray[Any]) -> int:
    view = target.view(np.uint8).data
    done = 0
    while done < len(view):
        got = stream.readinto(view[done:])  # type: ignore[attr-defined]
        if not got:
            break
        done += got
    return done


def _written_out(
    name: str, part: Part, file: BinaryIO, count: int, stored: np.dtype[Any]
) -> npt.NDArray[Any]:
    """Numbers as text, or bytes as pairs of hexadecimal digits."""
    longest = count * (40 if part.coding == "text" else 3 * stored.itemsize) + _INPUT
    text = file.read(longest)
    if part.coding == "hex":
        digits = b"".join(text.split())[: 2 * count * stored.itemsize]
        values = np.frombuffer(bytes.fromhex(digits.decode("ascii")), stored)
    else:
        words = text.replace(b",", b" ").split()[:count]
        values = np.array(words, dtype="S").astype(stored.newbyteorder("="))
    if values.size < count:
        what = f"cut short: its header announces {count} values, {values.size} are there"
        raise ScanError(name, what, "copy or export it again")
    return values


class Deflated:
    """A zlib stream into an open file, for `write_numbers`."""

    def __init__(self, file: BinaryIO) -> None:
        """Start it."""
        self._file = file
        self._engine = zlib.compressobj(3)

    def write(self, data: bytes, /) -> int:
        """Add bytes."""
        self._file.write(self._engine.compress(data))
        return len(data)

    def close(self) -> None:
        """Write what is left; the file stays open."""
        self._file.write(self._engine.flush())


class Sink(Protocol):
    """Whatever takes bytes."""

    def write(self, data: bytes, /) -> int: ...  # noqa: D102


def write_vectors(stream: Sink, values: npt.NDArray[Any]) -> None:
    """(channels, *size), channels fastest, then the first axis; slice by slice."""
    for index in range(values.shape[3]):
        stream.write(np.ascontiguousarray(values[..., index].transpose(2, 1, 0)).tobytes())


def write_numbers(
    stream: Sink, values: npt.NDArray[Any], stored: np.dtype[Any] | None = None
) -> None:
    """(channels, *size), first axis fastest, channels slowest; slice by slice."""
    for channel in values:
        for index in range(channel.shape[2]):
            piece = np.ascontiguousarray(channel[:, :, index].T, dtype=stored or values.dtype)
            stream.write(piece.tobytes())


def packed(file: BinaryIO) -> gzip.GzipFile:
    """A gzip stream into an open file, without name and time: equal content, equal bytes."""
    return gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=3, mtime=0)
