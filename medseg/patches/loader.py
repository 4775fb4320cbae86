"""Training batches, made ahead of time by one thread: no worker processes, nothing to hang."""

import threading
from collections.abc import Callable, Generator
from contextlib import suppress
from itertools import count
from queue import Empty, Queue
from types import TracebackType
from typing import Protocol, runtime_checkable
from weakref import ref

from medseg.patches.sampler import PatchBatch

_PATIENCE_S = 0.5
_AHEAD = 3
"""Batches to have ready."""


@runtime_checkable
class BatchSource(Protocol):
    """What makes the batch of a step, purely: `PatchSampler`."""

    def batch(self, step: int) -> PatchBatch:
        """The batch of one step."""
        ...


class PatchLoader:
    """Iterates over the batches from `first_step` on, in order and without end.

    An iteration has a thread of its own, which ends with it: at `break`, at an exception or Ctrl-C
    in the consumer, at the next iteration, or with the context. An exception in the thread is
    raised in the consumer, after the batches before it.

    Args:
        source: Makes batches; called in the thread.
        first_step: Step of the first batch.
        transform: Applied to each batch with its step. Called by the consumer, not by the thread,
            so that it may use torch's global random numbers without disturbing those that training
            draws.
    """

    def __init__(
        self,
        source: BatchSource,
        first_step: int = 0,
        transform: Callable[[PatchBatch, int], PatchBatch] | None = None,
    ) -> None:
        """Start nothing yet."""
        self._source, self._first_step, self._transform = source, first_step, transform
        # Weak: whoever drops an iteration ends it.
        self._iteration: Callable[[], Generator[PatchBatch, None, None] | None] = lambda: None

    def __iter__(self) -> Generator[PatchBatch, None, None]:
        """Start a thread at the first step."""
        self._end()
        iteration = self._iterate()
        self._iteration = ref(iteration)
        return iteration

    def __enter__(self) -> "PatchLoader":
        """Nothing to open."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the thread; the loader may be iterated again."""
        self._end()

    def _end(self) -> None:
        iteration = self._iteration()
        if iteration is not None:
            iteration.close()

    def _iterate(self) -> Generator[PatchBatch, None, None]:
        queue: Queue[PatchBatch | BaseException] = Queue(_AHEAD)
        stop = threading.Event()
        thread = threading.Thread(
            target=self._fill, args=(queue, stop), name="medseg patches", daemon=True
        )
        thread.start()
        try:
            for step in count(self._first_step):
                made = _take(queue)
                if isinstance(made, BaseException):
                    raise made
                yield self._transform(made, step) if self._transform else made
        finally:
            stop.set()
            while thread.is_alive():
                with suppress(Empty):  # room for the batch that the thread may be waiting to put
                    queue.get(timeout=0.01)
            thread.join()

    def _fill(self, queue: "Queue[PatchBatch | BaseException]", stop: threading.Event) -> None:
        """The thread: batches, or the exception that ended them."""
        try:
            for step in count(self._first_step):
                batch = self._source.batch(step)
                if stop.is_set():
                    return
                queue.put(batch)
        except BaseException as error:  # whatever it is, the consumer waits for it
            queue.put(error)


def _take(queue: "Queue[PatchBatch | BaseException]") -> PatchBatch | BaseException:
    """Wait, waking up now and then: on Windows a waiting thread is deaf to Ctrl-C."""
    while True:
        with suppress(Empty):
            return queue.get(timeout=_PATIENCE_S)
