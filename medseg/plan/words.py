"""Cases named in a line of a sensible length."""

from collections.abc import Sequence

_MOST_NAMED = 5


def named(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + f" and {more} more" * (more > 0)


def counted(names: Sequence[str], total: int) -> str:
    """Such as `2 of 5 cases (case3, case4)`."""
    return f"{len(names)} of {total} cases ({named(names)})"
