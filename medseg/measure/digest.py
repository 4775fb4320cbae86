"""Whether files are still what they were, without reading them all again."""

from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError

from medseg.errors import ScanError
from medseg.files import machine_error
from medseg.measure.kept import Kept
from medseg.scans.case import Case
from medseg.scans.formats import files_of

_CHUNK = 1 << 20


class _Known(NamedTuple):
    size: int
    mtime_ns: int
    digest: str


_KNOWN = TypeAdapter(_Known)


class FileDigests:
    """Hashes of files' contents, remembered for as long as size and time of change stay.

    Contents and not times decide, so that a dataset that was copied or touched is known again; the
    bytes of a file are hashed once, right before its voxels are read from the same pages of memory.
    """

    def __init__(self, index: Path) -> None:
        """Open the index, a file that `Kept` writes."""
        self._kept = Kept(index)

    def of(self, path: Path) -> str:
        """Hash of the content of all files that a scan's path stands for.

        Raises:
            ScanError: If it cannot be read.
            MachineError: If the machine cannot read, or the index cannot be written.
        """
        try:
            statuses = [(file, file.stat()) for file in files_of(path)]
        except OSError as error:
            raise _unreadable(path, error) from error
        digests: list[str] = []
        for file, status in statuses:
            name = str(file.absolute())
            known = self._known(name)
            if known is None or known[:2] != (status.st_size, status.st_mtime_ns):
                try:
                    known = _Known(status.st_size, status.st_mtime_ns, _hash(file))
                except OSError as error:
                    raise _unreadable(path, error) from error
                self._kept.put(name, _KNOWN.dump_json(known))
            digests.append(known.digest)
        return "".join(digests)

    def of_case(self, case: Case) -> str:
        """One hash of everything that a case's voxels come from, its settings of reading included.

        Raises:
            ScanError: As `of`.
            MachineError: As `of`.
        """
        reading = f"{case.segments} {case.layered} {case.pieces}"
        key = blake2b(f"{case.name} {reading}".encode(), digest_size=16)
        for kind, paths in (("image", case.images), ("label", case.labels)):
            for path in paths:
                key.update(f" {kind} {self.of(path) if path else 'absent'}".encode())
        return key.hexdigest()

    def _known(self, name: str) -> _Known | None:
        value = self._kept.get(name)
        try:
            return None if value is None else _KNOWN.validate_json(value)
        except ValidationError:
            return None


def _unreadable(path: Path, error: OSError) -> Exception:
    reason = error.strerror or str(error)
    return machine_error(error, path.name) or ScanError(
        path.name, f"cannot be read ({reason})", "restore or remove it"
    )


def _hash(path: Path) -> str:
    digest = blake2b(digest_size=16)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
