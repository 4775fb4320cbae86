"""What ends a training before its time: Ctrl-C, and the signals of a queue."""

import contextlib
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from types import FrameType

from medseg.errors import Stopped
from medseg.progress import Progress

_OF_QUEUES = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name)
)
"""Windows lacks the second."""


class _BrokenOffError(Exception):
    """A signal came while something was done that training can do without."""


class Stop:
    """Hears signals. While steps are made, the first one only asks, and is answered at once.

    At any other time, and when one comes again, it is as everywhere: Ctrl-C ends the program, and
    a queue's signal does the same as `Stopped`.

    Args:
        where: The run's folder, as a user would name it.

    Attributes:
        asked: The signal that asked for an end; None so far.
    """

    def __init__(self, where: str) -> None:
        self.asked: signal.Signals | None = None
        self._where = where
        self._told: Progress | None = None
        self._breakable = False

    @property
    def by_queue(self) -> bool:
        """Whether it was not Ctrl-C that asked."""
        return self.asked in _OF_QUEUES

    @contextlib.contextmanager
    def heard(self) -> Generator[None, None, None]:
        """Within, a queue's signals are heard, unless the program has a use of its own for them."""
        numbers = [each for each in _OF_QUEUES if signal.getsignal(each) == signal.SIG_DFL]
        with _handlers(numbers, self._hear):
            yield

    @contextlib.contextmanager
    def patient(self, progress: Progress) -> Generator[None, None, None]:
        """Within, the first signal only asks: what follows looks at `asked`."""
        self._told = progress
        try:
            with _handlers((signal.SIGINT, *_OF_QUEUES), self._hear):
                yield
        finally:
            self._told = None

    def hear_alone(self) -> None:
        """Take the place of whatever Lightning made hear the signals."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, *_OF_QUEUES):
                signal.signal(number, self._hear)

    @contextlib.contextmanager
    def breakable(self) -> Generator[None, None, None]:
        """Within, what is done can be broken off by a signal, and its result is then not there."""
        self._breakable = True
        try:
            yield
        except _BrokenOffError:
            pass
        finally:
            self._breakable = False

    def end(self) -> None:
        """Let a queue that asked have its end, now that everything is saved.

        Raises:
            Stopped: If one asked.
        """
        if self.by_queue:
            assert self.asked is not None
            raise Stopped(self._said(self.asked))

    def _hear(self, number: int, frame: FrameType | None) -> None:
        del frame
        heard = signal.Signals(number)
        if self._told is None or self.asked is not None:
            if heard == signal.SIGINT:
                raise KeyboardInterrupt
            raise Stopped(self._said(heard))
        self.asked = heard
        what = "Ctrl-C" if heard == signal.SIGINT else heard.name
        with contextlib.suppress(Exception):  # it may have come in the middle of another line
            self._told.note(f"{what}: ends after this step and saves; once more ends at once")
        if self._breakable:
            raise _BrokenOffError

    def _said(self, heard: signal.Signals) -> str:
        return f"ended by {heard.name}; go on with --resume --output {self._where}"


@contextlib.contextmanager
def _handlers(
    numbers: Sequence[signal.Signals], handler: Callable[[int, FrameType | None], None]
) -> Generator[None, None, None]:
    """Other handlers within; threads but the first have none."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, one in before.items():
            signal.signal(number, one)
