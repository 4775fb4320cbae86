"""How a room tells a person what it is doing, without printing. Silent unless an entry point hands in a real one."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

Item = TypeVar("Item")


class Progress(Protocol):
    """What rooms report to."""

    def track(self, items: Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
        """Pass `items` through, showing how far along they are and the time left."""
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

    def table(self, title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Drop the table."""

    def note(self, message: str) -> None:
        """Drop the line."""

    def warn(self, message: str) -> None:
        """Drop the line."""
