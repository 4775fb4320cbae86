"""Text headers that name the files of their voxels: MetaImage's .mhd and NRRD's .nhdr.

A header comes from anywhere. What it names is looked for in its own folder and below, and nowhere
else.
"""

import re
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath

from medseg.errors import ScanError

MAX_HEADER = 1 << 20
"""Bytes of text that a header may have."""
MAX_FILES = 10_000
_BYTE_ORDER_MARK = "\ufeff"
"""What text editors of Windows put before a text."""
_BESIDE = "put it beside the header, and the bare file name into that"


def data_file(header: Path, named: str) -> Path:
    """The file that a header names.

    Raises:
        ScanError: If it lies outside the header's folder, or is not there.
    """
    windows = PureWindowsPath(named)
    relative = Path(*windows.parts) if "\\" in named and not windows.anchor else Path(named)
    if windows.drive or ".." in relative.parts:
        raise _outside(header, named)
    folder = header.parent
    if relative.is_absolute():
        try:
            relative = relative.resolve().relative_to(folder.resolve())
        except ValueError:
            raise _outside(header, named) from None
    found = folder / relative
    if found.is_file():
        return found
    alike = _in_other_case(found)
    if alike is None:
        what = f"its data file {named} is missing"
        raise ScanError(header.name, what, f"copy {relative.name} beside it too")
    return alike


def numbered_files(header: Path, pattern: str, numbers: range) -> list[Path]:
    """The files of a pattern such as `slice%03d.raw`.

    Raises:
        ScanError: If the pattern is none, or names files that are not there.
    """
    match = re.fullmatch(r"([^%]*)%(0?\d{0,3})[du]([^%]*)", pattern)
    if match is None or not 0 < len(numbers) <= MAX_FILES:
        what = f"its header names files by '{pattern}', of which no names can be made"
        raise ScanError(header.name, what, "export it again")
    before, width, after = match.groups()
    return [data_file(header, f"{before}{number:{width or ''}d}{after}") for number in numbers]


def header_lines(path: Path) -> Iterator[tuple[str, int]]:
    """Lines of a text header, without their ends, and where the byte after each is.

    Raises:
        ScanError: If there is no end to it.
    """
    with path.open("rb") as file:
        while True:
            line = file.readline(MAX_HEADER)
            if not line:
                return
            if file.tell() > MAX_HEADER:
                what = f"its header has more than {MAX_HEADER} bytes"
                raise ScanError(path.name, what, "export it again")
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            yield text.removeprefix(_BYTE_ORDER_MARK), file.tell()


def _outside(header: Path, named: str) -> ScanError:
    return ScanError(header.name, f"its data file {named} lies outside its folder", _BESIDE)


def _in_other_case(path: Path) -> Path | None:
    """File systems of other systems took `CT.RAW` for `ct.raw`."""
    if not path.parent.is_dir():
        return None
    wanted = path.name.casefold()
    alike = [entry for entry in path.parent.iterdir() if entry.name.casefold() == wanted]
    return alike[0] if len(alike) == 1 and alike[0].is_file() else None
