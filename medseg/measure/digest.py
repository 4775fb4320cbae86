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
    """Contents, and when a file had them: other contents may come with the same times.

    An archive that is unpacked over an older one of itself gives files the times that it holds;
    the system's own time of change (`ctime`) is then another one.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    digest: str


_KNOWN = TypeAdapter(_Known)


class FileDigests:
    """Hashes of files' contents, remembered for as long as size and times of change stay.

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
            seen = (status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            if known is None or known[:3] != seen:
                try:
                    known = _Known(*seen, _hash(file))
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
        if case.absent:
            reading += f" without {[channel.place for channel in case.absent]}"
        key = blake2b(f"{case.name} {reading}".encode(), digest_size=16)
        for kind, paths in (("image", case.images), ("label", case.labels)):
            for path in paths:
                key.update(f" {kind} {self.of(path) if path else 'absent'}".encode())
        return key.hexdigest()

    def check_unchanged(self, case: Case, digest: str) -> None:
        """Pass if a case's files are what they were when `of_case` gave this digest.

        Raises:
            ScanError: If they are not: what was read of them may be of both.
            MachineError: As `of`.
        """
        if self.of_case(case) != digest:
            what = "its files changed while they were read"
            raise ScanError(case.name, what, "start again when all of them are there")

    def _known(self, name: str) -> _Known | None:
        value = self._kept.get(name)
        try:
            return None if value is None else _KNOWN.validate_json(value)
        except ValidationError:
            return None


def _unreadable(path: Path, error: OSError) -> Exception:
    reason = error.strerror or str(error)
    denied = isinstance(error, PermissionError)
    remedy = "check its permissions" if denied else "restore or remove it"
    failed = machine_error(error, path.name)
    return failed or ScanError(path.name, f"cannot be read ({reason})", remedy)


def _hash(path: Path) -> str:
    digest = blake2b(digest_size=16)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
