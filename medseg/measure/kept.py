"""What was learnt, kept on disk from the moment it is known: one line for each fact."""

import errno
from collections.abc import Iterator
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from medseg.errors import MachineError
from medseg.files import machine_error, whole_file

_SPACE, _NEWLINE = b" ", b"\n"
_WASTE = 4
"""A file of this many times more lines than facts is written anew."""


class Kept:
    """Key -> value on disk, appended line by line: a kill costs the line that it cuts.

    Two processes may write at once; the later line of a key counts. Lines that cannot be read are
    as good as absent, and so is a file that cannot.
    """

    def __init__(self, file: Path) -> None:
        """Read what is there; nothing is kept open.

        Raises:
            MachineError: If the machine fails: not to know would cost reading every case again.
        """
        self._file = file
        self._values: dict[bytes, bytes] = {}
        lines = 0
        for key, value in _lines(_content(file)):
            self._values[key] = value
            lines += 1
        if lines > _WASTE * max(len(self._values), 1000):
            self._compact()

    def get(self, key: str) -> bytes | None:
        """The value of a key."""
        return self._values.get(_digest(key))

    def put(self, key: str, value: bytes) -> None:
        """Keep a value, which has no line breaks.

        Raises:
            MachineError: If it cannot be written.
        """
        self._values[_digest(key)] = value
        line = _NEWLINE + _line(_digest(key), value)  # ends what a kill left
        try:
            with self._file.open("ab", buffering=0) as file:
                file.write(line)  # in one piece: lines of two processes do not mix
        except OSError as error:
            raise not_kept(self._file.parent, error) from error

    def _compact(self) -> None:
        with suppress(OSError), whole_file(self._file) as part:  # only tidying
            part.write_bytes(b"".join(_line(*kept) for kept in self._values.items()))


def not_kept(folder: Path, error: OSError) -> MachineError:
    """A disk that is full, or a folder that may not be written: never a broken scan."""
    failed = machine_error(error, str(folder))
    remedy = failed.remedy if failed else "make the folder writable"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        remedy = "free some space, or give an --output on another disk"
    what = f"prepared cases cannot be kept there ({error.strerror or error})"
    return MachineError(str(folder), what, remedy, passing=failed is not None and failed.passing)


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        failed = machine_error(error, str(file))
        if failed is not None:
            raise failed from error
        return b""


def _digest(key: str) -> bytes:
    """Paths may hold anything, line breaks included."""
    return blake2b(key.encode(errors="surrogateescape"), digest_size=16).hexdigest().encode()


def _line(key: bytes, value: bytes) -> bytes:
    return _SPACE.join((key, _sum_of(key + value), value)) + _NEWLINE


def _sum_of(content: bytes) -> bytes:
    """A digit of a measured value that a disk got wrong would still be a number."""
    return blake2b(content, digest_size=4).hexdigest().encode()


def _lines(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    whole, _, _ = content.rpartition(_NEWLINE)  # what a kill cut short has no end
    for line in whole.split(_NEWLINE):
        key, _, rest = line.partition(_SPACE)
        check, _, value = rest.partition(_SPACE)
        if check == _sum_of(key + value):
            yield key, value
