"""Files that are there whole or not at all, and failures that are the machine's.

What is written is written beside its place, and renamed: nobody ever sees half a file, and a kill
leaves the old one. Permissions follow the umask, as with any other program.
"""

import errno
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from medseg.errors import MachineError

_MACHINE = {
    "EMFILE": ("too many open files", "raise the limit with `ulimit -n`"),
    "ENFILE": ("too many open files on this machine", "close other programs"),
    "ENOMEM": ("out of memory", "close other programs"),
    "ENOSPC": ("no space left on the disk", "free some"),
    "EDQUOT": ("the disk quota is used up", "free some space"),
    "EROFS": ("the disk is read-only", "choose another folder"),
    "EIO": ("the disk failed", "check it, or its connection"),
    "ESTALE": ("the network share went away", "mount it again"),
    "ETIMEDOUT": ("the network share does not answer", "check its connection"),
    "EHOSTDOWN": ("the network share does not answer", "check its connection"),
    "ENXIO": ("the disk went away", "check its connection"),
    "ENODEV": ("the disk went away", "check its connection"),
}
"""Names of system errors, some of which Windows does not know, that are never a file's fault."""
_PASSING = {"EIO", "ESTALE", "ETIMEDOUT", "EHOSTDOWN"}


def machine_error(error: BaseException | None, subject: str) -> MachineError | None:
    """The failure of the machine that is at the root of an error; None if there is none.

    Libraries wrap what they catch, so causes are looked at too.

    Args:
        error: What was raised.
        subject: What was being done, or the file that was at hand.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, MachineError):
            return error
        if isinstance(error, MemoryError):
            return MachineError(subject, "out of memory", "close other programs")
        name = errno.errorcode.get(error.errno or 0) if isinstance(error, OSError) else None
        if name in _MACHINE:
            return MachineError(subject, *_MACHINE[name], passing=name in _PASSING)
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


@contextmanager
def whole_file(target: Path, *, durable: bool = False) -> Generator[Path, None, None]:
    """A path to write to, which takes `target`'s place if the block ends well.

    Args:
        target: File to write or replace; its folder must exist.
        durable: Reach the disk before the rename: for what a power cut must not cost.

    Raises:
        OSError: If it cannot be written.
    """
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield part
        if durable:
            _to_disk(part)
        part.replace(target)
    finally:
        with suppress(OSError):
            part.unlink()


@contextmanager
def whole_files(target: Path) -> Generator[Path, None, None]:
    """A path of `target`'s own name in a folder beside it; all that is written there is moved.

    For formats of several files, whose header names the others: data is moved first, so that no
    header lacks its data.

    Args:
        target: File to write or replace, moved last; missing folders are made.

    Raises:
        OSError: If it cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=target.parent, prefix=".medseg-"))
    try:
        yield folder / target.name
        for path in sorted(folder.iterdir(), key=lambda path: path.name == target.name):
            path.replace(target.parent / path.name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a text, whole or not at all."""
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")


def _to_disk(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
