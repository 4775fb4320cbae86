"""Whether files are still what they were, without reading them all again."""

import os
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError

from medseg.errors import ScanError
from medseg.scans.formats import files_of

_CHUNK = 1 << 20


class _Known(NamedTuple):
    size: int
    mtime_ns: int
    digest: str


_INDEX = TypeAdapter(dict[str, _Known])


class FileDigests:
    """Hashes of files' contents, remembered in `index` for as long as size and time of change stay.

    An index that cannot be read is begun anew.
    """

    def __init__(self, index: Path) -> None:
        """Open the index."""
        self._index = index
        self._known: dict[str, _Known] = {}
        with suppress(OSError, ValidationError):
            self._known = _INDEX.validate_json(index.read_bytes())
        self._changed = False

    def save(self) -> None:
        """Write what was learnt."""
        if self._changed:
            part = self._index.with_suffix(f".{os.getpid()}.part")
            part.write_bytes(_INDEX.dump_json(self._known))
            part.replace(self._index)

    def of(self, path: Path) -> str:
        """Hash of the content of all files that a scan's path stands for.

        Raises:
            ScanError: If it cannot be read.
        """
        try:
            return "".join(self._digest(file) for file in files_of(path))
        except OSError as error:
            raise ScanError(
                f"{path.name}: cannot be read ({error.strerror or error}); restore or remove it"
            ) from error

    def _digest(self, path: Path) -> str:
        name, status = str(path.resolve()), path.stat()
        known = self._known.get(name)
        if known is None or known[:2] != (status.st_size, status.st_mtime_ns):
            known = _Known(status.st_size, status.st_mtime_ns, _hash(path))
            self._known[name] = known
            self._changed = True
        return known.digest


def _hash(path: Path) -> str:
    digest = blake2b(digest_size=16)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
