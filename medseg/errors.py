"""The errors a user can cause and mend. Anything else is our defect and keeps its traceback."""

from collections.abc import Sequence
from typing import TypeVar

Self = TypeVar("Self", bound="MedsegError")


class MedsegError(ValueError):
    """Something the user gave cannot be used. Fields, of which only a terminal makes one line.

    Attributes:
        subject: What it is about: a file's name, a setting with its value, a folder.
        what: What is wrong with it, and the rule.
        remedy: What to do.
        others: What else is wrong, found at the same time.
    """

    others: "tuple[MedsegError, ...]" = ()

    def __init__(self, subject: str, what: str, remedy: str) -> None:
        super().__init__(subject, what, remedy)
        self.subject, self.what, self.remedy = subject, what, remedy

    @classmethod
    def all_of(cls: type[Self], errors: Sequence[Self]) -> Self:
        """One error that says all of them: the first, with the others beside it."""
        first, *others = errors
        first.others = tuple(others)
        return first

    @property
    def each(self) -> "tuple[MedsegError, ...]":
        """Everything that is wrong, one by one."""
        return (self, *self.others)

    def __str__(self) -> str:
        """One line for each thing wrong: `subject: what; remedy`."""
        return "\n".join(_line(error) for error in self.each)


class SettingsError(MedsegError):
    """A setting or a command-line argument is wrong; nothing was started."""


class ScanError(MedsegError):
    """One scan cannot be used; the others can."""


class TrainingError(MedsegError):
    """Training began and could not be finished."""


class MachineError(MedsegError):
    """The machine failed: no memory, no space, no more open files, a disk or a share that is gone.

    Never the fault of a file: work stops under this name, and no case is left out for it.

    Attributes:
        passing: Whether it may be gone in a moment, as with a share that was busy.
    """

    def __init__(self, subject: str, what: str, remedy: str, *, passing: bool = False) -> None:
        super().__init__(subject, what, remedy)
        self.passing = passing


class Stopped(KeyboardInterrupt):
    """The system asked for an end, as queues do when the time of a job is over (SIGTERM, SIGUSR1).

    What was learned is saved. Where Ctrl-C would pass, this passes too.
    """


def _line(error: MedsegError) -> str:
    return f"{error.subject}: {error.what}; {error.remedy}"
