"""Files that are there whole or not at all, and failures that are the machine's.

What is written is written beside its place, and renamed: nobody ever sees half a file, and a kill
leaves the old one. Permissions follow the umask, as with any other program.
"""

import errno
import glob
import os
import shutil
import sys
import zlib
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, TextIO

from medseg.errors import MachineError, MedsegError


class _Failure(NamedTuple):
    what: str
    remedy: str
    passing: bool = False


_NO_MEMORY = _Failure("out of memory", "close other programs, or take smaller scans")
_NO_SPACE = _Failure("no space left on the disk", "free some")
_SHARE_GONE = _Failure("the network share went away", "mount it again", passing=True)
_SILENT_SHARE = _Failure("the network share does not answer", "check its connection", passing=True)
_DISK_GONE = _Failure("the disk went away", "check its connection")
_NAMED = {
    "EMFILE": _Failure("too many open files", "raise the limit with `ulimit -n`"),
    "ENFILE": _Failure("too many open files on this machine", "close other programs"),
    "ENOMEM": _NO_MEMORY,
    "ENOSPC": _NO_SPACE,
    "EDQUOT": _Failure("the disk quota is used up", "free some space"),
    "EFBIG": _Failure("this disk, or a limit, allows no file as large", "choose another disk"),
    "EIO": _Failure("the disk failed", "check it, or its connection", passing=True),
    "ESTALE": _SHARE_GONE,
    "ETIMEDOUT": _SILENT_SHARE,
    "EHOSTDOWN": _SILENT_SHARE,
    "ENXIO": _DISK_GONE,
    "ENODEV": _DISK_GONE,
    "EROFS": _Failure("the disk is read-only", "choose another folder"),
}
_BY_NUMBER = {  # Windows lacks some of these names
    getattr(errno, name): failure for name, failure in _NAMED.items() if hasattr(errno, name)
}
_ON_WINDOWS = {  # what its own numbers lose when they become an errno
    14: _NO_MEMORY,
    39: _NO_SPACE,
    53: _SHARE_GONE,
    59: _SHARE_GONE,
    64: _SHARE_GONE,
    1117: _NAMED["EIO"],
    1455: _NO_MEMORY,
}
_IN_WORDS = {
    os.strerror(getattr(errno, name)): _NAMED[name]
    for name in ("EMFILE", "ENFILE", "ENOMEM", "ENOSPC", "EDQUOT", "ESTALE")
    if hasattr(errno, name)
} | {"out of memory": _NO_MEMORY, "allocate memory": _NO_MEMORY}
"""What libraries that know no numbers (torch, ITK, safetensors) say."""


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
        failure = _failure(error)
        if failure is not None:
            return MachineError(subject, failure.what, failure.remedy, passing=failure.passing)
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


def _failure(error: BaseException) -> _Failure | None:
    if isinstance(error, MemoryError):
        return _NO_MEMORY
    if isinstance(error, MedsegError):  # its words are ours; its cause may say more
        return None
    if isinstance(error, OSError):
        number: int = getattr(error, "winerror", None) or 0
        if error.errno is not None or number:
            return _ON_WINDOWS.get(number) or _BY_NUMBER.get(error.errno or 0)
    elif not isinstance(error, RuntimeError) and type(error).__module__ == "builtins":
        return None
    said = str(error)
    return next((failure for words, failure in _IN_WORDS.items() if words in said), None)


@contextmanager
def whole_file(target: Path, *, durable: bool = False) -> Generator[Path, None, None]:
    """A path to write to, which takes `target`'s place if the block ends well.

    What a killed process left beside the same file is removed.

    Args:
        target: File to write or replace; its folder must exist.
        durable: Reach the disk before the rename: for what a power cut must not cost.

    Raises:
        MachineError: If the machine fails, such as for want of space; it names `target`.
        OSError: If it cannot be written for another reason.
    """
    part = _part(target)
    with _naming(target, part):
        try:
            part.touch()
            mode = part.stat().st_mode
            yield part
            part.chmod(mode)  # some libraries write for the owner alone
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
        MachineError: If the machine fails, such as for want of space; it names `target`.
        OSError: If it cannot be written for another reason.
    """
    folder = _part(target)
    with _naming(target, folder):
        try:
            folder.mkdir(parents=True)
            yield folder / target.name
            for path in sorted(folder.iterdir(), key=lambda path: path.name == target.name):
                path.replace(target.parent / path.name)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a text, whole or not at all.

    Bytes of a file's name that are no text are escaped, in a way that JSON reads as the same.

    Raises:
        MachineError, OSError: As `whole_file`.
    """
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8", errors="backslashreplace")


def append_line(path: Path, line: str) -> None:
    """Add a line to a file that grows, such as a log; a full disk may cut this one.

    Raises:
        MachineError, OSError: As `whole_file`.
    """
    with _naming(path, path), path.open("a", encoding="utf-8", errors="backslashreplace") as file:
        file.write(line + "\n")


@contextmanager
def held_file(path: Path, who: str) -> Generator[str | None, None, None]:
    """Lock a file for as long as the block lasts, or until this process is killed.

    Where the file system knows no locks, everybody gets one.

    Args:
        path: The file; its folder must exist. It is gone afterwards.
        who: What to write into it, for another process that wants it.

    Yields:
        None where it is ours, else what the other process wrote.

    Raises:
        OSError: If it cannot be written.
    """
    file = _locked(path)
    if file is None:
        said = ""
        with suppress(OSError):  # Windows lets nobody read it
            said = path.read_text(encoding="utf-8")
        yield said
        return
    try:
        file.truncate(0)
        file.write(who)
        file.flush()
        yield None
    finally:
        with suppress(OSError):
            if os.name == "nt":  # no file that someone has open can be deleted there
                file.close()
            path.unlink()
        file.close()


def _locked(path: Path) -> TextIO | None:
    """The file, open and locked; None if another process has it."""
    while True:
        file = path.open("a+", encoding="utf-8")
        if not _lock(file.fileno()):
            file.close()
            return None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()  # whoever had it removed it just now


def _lock(file: int) -> bool:
    """Lock an open file; False if another process did. File systems without locks let all do so."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True
    return True


@contextmanager
def _naming(target: Path, part: Path) -> Generator[None, None, None]:
    """Errors name the file that was asked for, not the one beside it."""
    try:
        yield
    except Exception as error:
        failure = machine_error(error, str(target))
        if failure is not None:
            raise failure from error
        if (
            isinstance(error, OSError)
            and error.errno is not None
            and str(error.filename or part).startswith(str(part))
        ):
            error.filename, error.filename2 = str(target), None
        raise


def _part(target: Path) -> Path:
    """The place beside a file where this process writes it; those of killed ones are emptied."""
    name = target.name
    if len(os.fsencode(name)) > 200:  # room for what is added
        name = f"{name[:40]}-{zlib.crc32(os.fsencode(name)):08x}"
    for left in target.parent.glob(f".{glob.escape(name)}.*.part"):
        if _is_abandoned(left):
            with suppress(OSError):
                shutil.rmtree(left) if left.is_dir() else left.unlink()
    return target.with_name(f".{name}.{os.getpid()}.part")


def _is_abandoned(part: Path) -> bool:
    """Whether the process that wrote it is gone."""
    process = part.suffixes[-2][1:]
    if not process.isdecimal():
        return False
    if int(process) == os.getpid():  # of one before us that had the same number
        return True
    if os.name == "nt":  # no file that someone has open can be deleted there
        return True
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _to_disk(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
