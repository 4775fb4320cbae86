"""Tables about cases that a user wrote, in CSV or JSON: small, and read with care."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, cast

from medseg.errors import SettingsError
from medseg.files import machine_error
from medseg.scans.known import Known, shown

_MOST_BYTES = 16 * 2**20
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
CASE_COLUMNS = (
    "case", "cases", "case_id", "name", "names", "image", "images", "file", "files", "filename",
    "scan", "id",
)  # fmt: skip
"""What a column of cases may be called."""
_NOTHING = frozenset(["", "nan", "none", "null", "n/a", "<na>", "#n/a"])
"""How programs write a cell in which nothing stands."""


class Row(NamedTuple):
    """What a table says of one case.

    Attributes:
        case: Its name as written there.
        value: The word beside it.
        column: What the column of these words is called, in lower case; '' if nobody says.
    """

    case: str
    value: str
    column: str = ""


def read_json(path: Path, subject: str) -> object:
    """What a JSON file holds.

    Args:
        path: The file.
        subject: The setting it is for, with its value.

    Raises:
        SettingsError: If it is absent, too large or no JSON.
    """
    text = _text(path, subject)  # its errors are no errors of JSON
    try:
        return json.loads(text, object_pairs_hook=each_once)
    except (ValueError, RecursionError) as error:
        raise SettingsError(subject, f"cannot be read as JSON ({error})", "mend the file") from None


def each_once(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    """An object of JSON; a name that comes twice would hide its first value.

    Raises:
        ValueError: If one does.
    """
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name[:80]} is there twice")
        found[name] = value
    return found


def read_csv(path: Path, subject: str, columns: Sequence[str], known: Known) -> list[Row]:
    """A table of two columns, or of more with a header that names the two that count.

    Columns are parted by commas, semicolons or tabs, whichever the first line has most of.

    Args:
        path: The file.
        subject: The setting it is for, with its value.
        columns: What the column of values may be called; the first is the usual one.
        known: Tells a header from a first case.

    Raises:
        SettingsError: If it cannot be read as such.
    """
    table = _cells(path, subject)
    header = [cell.casefold() for cell in table[0]]
    case, value = _column(header, CASE_COLUMNS), _column(header, columns)
    titled = (case is not None or value is not None) and known.find(table[0][0]) is None
    if not titled:
        case, value = 0, 1
    elif len(header) == 2:
        case = 1 - (value or 0) if case is None else case
        value = 1 - case if value is None else value
    widths = {len(row) for row in table}
    if case is None or value is None or len(widths) > 1 or (not titled and widths != {2}):
        raise SettingsError(
            subject,
            f"every line needs a case and its {columns[0]}, in two columns or under these names",
            f"begin it with the line case,{columns[0]}",
        )
    column = header[value] if titled else ""
    return [Row(row[case], row[value], column) for row in table[titled:]]


def own_names(rows: Sequence[Row], known: Known, subject: str) -> list[Row]:
    """The same rows under the cases' own names, without those that the dataset left out.

    Raises:
        SettingsError: If a case does not exist, or nothing is said of it.
    """
    found = known.find_all([row.case for row in rows])
    strange = [
        row.case
        for row, name in zip(rows, found, strict=True)
        if name is None and not known.left_out(row.case)
    ]
    if strange:
        raise SettingsError(
            subject,
            f"{len(strange)} of the cases it names are not in the dataset, or may be two of it: "
            f"{shown(strange)}",
            f"write names as the dataset has them, such as {known.names[0]}, or remove them",
        )
    empty = [row.case for row in rows if row.value.casefold() in _NOTHING]
    if empty:
        raise SettingsError(subject, f"says nothing of {shown(empty)}", "fill it in, or remove it")
    return [
        row._replace(case=name) for row, name in zip(rows, found, strict=True) if name is not None
    ]


def as_name(entry: object) -> str | None:
    """A case as JSON has it: its name, its number, or an object with one of these or a file."""
    if isinstance(entry, dict):
        fields = lower_keys(cast("dict[object, object]", entry))
        entry = next((fields[key] for key in CASE_COLUMNS if key in fields), None)
    if isinstance(entry, str):
        return entry
    return str(entry) if isinstance(entry, int) and not isinstance(entry, bool) else None


def lower_keys(entry: Mapping[object, object]) -> dict[str, object]:
    """An object of JSON, its keys in lower case."""
    return {str(key).casefold(): value for key, value in entry.items()}


def _cells(path: Path, subject: str) -> list[list[str]]:
    lines = [line for line in _text(path, subject).splitlines() if line.strip()]
    separator = ""
    if lines and lines[0].casefold().startswith("sep=") and len(lines[0]) == 5:
        separator = lines.pop(0)[4]  # as spreadsheets write it
    if not lines:
        raise SettingsError(subject, "is empty", "write a line for each case")
    separator = separator or max(",;\t", key=lines[0].count)
    try:
        return [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=separator)]
    except csv.Error as error:
        raise SettingsError(subject, f"cannot be read ({error})", "mend the file") from None


def _column(header: Sequence[str], names: Sequence[str]) -> int | None:
    return next((header.index(name) for name in names if name in header), None)


def _text(path: Path, subject: str) -> str:
    try:
        size = path.stat().st_size
        if size > _MOST_BYTES:
            what = f"is no table of cases: {size} bytes, at most {_MOST_BYTES} are read"
            raise SettingsError(subject, what, "name another file")
        content = path.read_bytes()
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
        failed = machine_error(error, str(path))
        raise failed or SettingsError(subject, what, "name a file that is there") from error
    if b"\0" in content and content[:2] not in _UTF16:
        what = "is no text (pickles and spreadsheets are not read)"
        raise SettingsError(subject, what, "save it as JSON or CSV")
    if content[:2] in _UTF16:
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:  # as older spreadsheets write
        return content.decode("cp1252", errors="replace")
