"""How a room tells a person what it is doing, without printing.

Silent unless an entry point hands in a real one.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

from medseg.files import append_line

Item = TypeVar("Item")


@runtime_checkable
class Progress(Protocol):
    """What rooms report to."""

    def track(self, items: Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
        """Pass `items` through, showing how far along they are and the time left."""
        ...

    def status(self, message: str) -> None:
        """What goes on now, in a few words, beside the innermost bar; the next one replaces it."""
        ...

    def table(self, title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Show a table; every row has as many cells as the header."""
        ...

    def note(self, message: str) -> None:
        """Say one line."""
        ...

    def warn(self, message: str) -> None:
        """Say one line that the user should act on."""
        ...


class Silent:
    """Reports nothing: the default in every room, and in tests."""

    def track(self, items: Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
        """Pass `items` through."""
        del what, total
        yield from items

    def status(self, message: str) -> None:
        """Drop the words."""

    def table(self, title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Drop the table."""

    def note(self, message: str) -> None:
        """Drop the line."""

    def warn(self, message: str) -> None:
        """Drop the line."""


class Logged:
    """Passes everything on, and keeps notes, warnings and tables in a text file.

    Args:
        progress: Where it goes on to.
        file: The log; lines are appended.
    """

    def __init__(self, progress: Progress, file: Path) -> None:
        self._progress = progress
        self._file = file

    def track(self, items: Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
        """Pass on; the log needs no bars."""
        return self._progress.track(items, what, total)

    def status(self, message: str) -> None:
        """Pass on."""
        self._progress.status(message)

    def table(self, title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Log the table as plain text."""
        self._log(plain_table(title, header, rows))
        self._progress.table(title, header, rows)

    def note(self, message: str) -> None:
        """Log the line."""
        self._log(one_line(message))
        self._progress.note(message)

    def warn(self, message: str) -> None:
        """Log the line, marked."""
        self._log(f"warning: {one_line(message)}")
        self._progress.warn(message)

    def _log(self, text: str) -> None:
        append_line(self._file, text)


def one_line(text: str) -> str:
    """The text as one line that a terminal can be trusted with, whatever a file's name holds."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )


def plain_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The table as aligned columns of plain text."""
    lines = [[one_line(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    shown = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    return "\n".join([one_line(title), *shown])
