"""What the command line shows: bars and tables on a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from medseg.progress import one_line, plain_table

Item = TypeVar("Item")
_PATIENCE_S = 2.0
"""Shorter work gets no bar."""
_PLAIN_EVERY_S = 60.0
"""How often a line says how far it is, where no bar can be drawn."""


class Terminal:
    """A `medseg.progress.Progress` that writes to standard error.

    Args:
        console: Where to; for tests.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[status]}", style="dim"),
            console=self._console,
            transient=True,
        )
        self._open: list[TaskID] = []
        self._status = ""

    def track(self, items: Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
        """Show a bar with the time left, once it took two seconds."""
        if total is None and isinstance(items, Sequence):
            total = len(items)
        if not self._console.is_terminal:
            yield from self._lines(items, what, total)
            return
        start = time.monotonic()
        task = self._bars.add_task(_cell(what), total=total, visible=False, status="")
        self._open.append(task)
        try:
            for item in items:
                if time.monotonic() - start > _PATIENCE_S:
                    self._bars.start()
                    self._bars.update(task, visible=True)
                yield item
                self._bars.advance(task)
        finally:
            self._open.remove(task)
            self._bars.remove_task(task)
            if not self._open:
                self._bars.stop()

    def status(self, message: str) -> None:
        """Show the words beside the innermost bar."""
        self._status = message
        if self._open:
            self._bars.update(self._open[-1], status=_cell(message))

    def table(self, title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Show a table."""
        if not self._console.is_terminal:
            self._plain(plain_table(title, header, rows))
            return
        table = Table(*map(_cell, header), title=_cell(title), title_justify="left")
        for row in rows:
            table.add_row(*map(_cell, row))
        self._console.print(table)

    def note(self, message: str) -> None:
        """Say one line."""
        self._plain(one_line(message))

    def warn(self, message: str) -> None:
        """Say one line, in yellow."""
        self._plain(one_line(message), style="yellow")

    def _lines(self, items: Iterable[Item], what: str, total: int | None) -> Iterator[Item]:
        last = time.monotonic()
        self._status = ""
        for count, item in enumerate(items):
            if time.monotonic() - last > _PLAIN_EVERY_S:
                last = time.monotonic()
                of = "" if total is None else f" of {total}"
                self._plain(f"{what}: {count}{of} {self._status}".rstrip())
            yield item

    def _plain(self, text: str, style: str | None = None) -> None:
        # soft_wrap: one message is one line, however narrow the terminal or the log.
        self._console.print(text, style=style, markup=False, soft_wrap=True)


def _cell(text: str) -> str:
    return escape(one_line(text))
