"""One file -> its voxels, exactly as stored. Whatever is broken about a file is a ScanError here.

Each format's own module reads it. None of them trusts a library to say what went wrong: files are
opened here, so that a disk that fails is never called a damaged file.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from medseg.errors import ScanError
from medseg.files import machine_error
from medseg.scans.absent import absent_content
from medseg.scans.formats import Format, check_format
from medseg.scans.quiet import quiet
from medseg.scans.voxels import MAX_VALUES, Header, Voxels

__all__ = ["MAX_VALUES", "Header", "Voxels", "decode", "decode_header", "said"]

Result = TypeVar("Result")


def decode(path: Path, *, colours: bool = False) -> Voxels:
    """Read one file.

    Alpha is dropped. A palette image gives gray values if its palette is gray, otherwise its
    colours for an image (`colours=True`) or indices for a label. Pictures are turned as viewers
    show them. A label is refused if its compression altered its values.

    Raises:
        ScanError: If it is missing, of an unknown format, damaged, in doubt, or too large to be
            true.
        MachineError: If this machine could not read it.
    """
    return attempt(path, lambda entry: entry.module().read(path, colours=colours))


def decode_header(path: Path) -> Header:
    """Grid and channels, without reading a voxel.

    Raises:
        ScanError: As `decode`.
        MachineError: As `decode`.
    """
    return attempt(path, lambda entry: entry.module().header(path))


def attempt(path: Path, read: Callable[[Format], Result]) -> Result:
    """Do something with a file of a known format; what goes wrong is said in one line.

    Raises:
        ScanError: If the file is at fault.
        MachineError: If it is not.
    """
    name, what = path.name, "file"
    try:
        entry = check_format(path)
        what = entry.name
        _check_present(path)
        with quiet():
            return read(entry)
    except ScanError:
        raise
    # Libraries raise a dozen unrelated types for damaged files.
    except Exception as error:
        failure = machine_error(error, name)
        if failure is not None:
            raise failure from error
        if isinstance(error, OSError) and error.errno is not None:
            reason, remedy = error.strerror or str(error), "check its permissions"
            raise ScanError(name, f"cannot be read ({reason})", remedy) from error
        reason = f"damaged, or not really a {what} file ({said(error)})"
        raise ScanError(name, reason, "copy or export it again") from error


def said(error: BaseException) -> str:
    """What a library says, in one line of a sensible length."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else text[:157] + "..."


def _check_present(path: Path) -> None:
    absent = absent_content(path)
    if absent is not None:
        raise ScanError(path.name, f"is {absent.what}", absent.remedy)
    if not path.is_file():
        raise ScanError(path.name, f"no such file in {path.parent}", "check the path")
    with path.open("rb") as file:
        if not file.read(1):
            raise ScanError(path.name, "empty file", "copy or export it again")
