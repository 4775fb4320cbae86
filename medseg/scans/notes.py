"""What the user should know of files that can be used.

Folded, so that no line is said a thousand times: what is common hides what is rare.
"""

from collections.abc import Iterable
from typing import NamedTuple


class Note(NamedTuple):
    """Something mended, moved or in doubt.

    Attributes:
        subject: The file.
        what: What was done or is odd, in the same words for every file it happens to.
        detail: How it is with this file.
    """

    subject: str
    what: str
    detail: str = ""

    def __str__(self) -> str:
        """One line: `subject: what (detail)`."""
        return f"{self.subject}: {self.what}" + f" ({self.detail})" * bool(self.detail)


def folded(notes: Iterable[tuple[str, Note]]) -> tuple[str, ...]:
    """One line for each thing that is said, in the order of its first time.

    Args:
        notes: Each with the name of its case.
    """
    groups: dict[str, list[tuple[str, Note]]] = {}
    for case, note in notes:
        groups.setdefault(note.what, []).append((case, note))
    return tuple(_line(what, group) for what, group in groups.items())


def _line(what: str, group: list[tuple[str, Note]]) -> str:
    name, note = group[0]
    cases = {case for case, _ in group}
    if len(cases) == 1:
        more = f"; so are {len(group) - 1} other files of it" * (len(group) > 1)
        return f"{name}: {note}{more}"
    detail = f": {note.detail}" * bool(note.detail)
    return f"{what} ({len(cases)} cases, first {name}{detail})"
