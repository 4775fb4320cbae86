"""Training batches, made ahead of time by one thread: no worker processes, nothing to hang."""

import threading
from collections.abc import Callable, Generator
from contextlib import suppress
from queue import Empty, Queue
from types import TracebackType
from typing import Protocol, runtime_checkable
from weakref import WeakSet

from medseg.patches.sampler import PatchBatch

_PATIENCE_S = 0.5


@runtime_checkable
class BatchSource(Protocol):
    """What makes the batch of a step, purely: `PatchSampler`."""

    def batch(self, step: int) -> PatchBatch:
        """The batch of one step."""
        ...


class PatchLoader:
    """Iterates over the batches from `first_step` on, in order.

    Each iteration starts at `first_step` with a thread of its own, which ends with the iteration:
    at the last batch, at `break`, at an exception or Ctrl-C in the consumer, or at `close`. An
    exception in the thread is raised in the consumer, after the batches before it. Usable as a
    context manager.

    Args:
        source: Makes batches; called in the thread.
        first_step: Step of the first batch.
        num_steps: Number of batches; None for no end.
        prefetch: Batches to have ready.
        transform: Applied to each batch with its step. Called by the consumer, not by the thread,
            so that it may use torch's global random numbers without disturbing those that training
            draws.
    """

    def __init__(
        self,
        source: BatchSource,
        first_step: int = 0,
        num_steps: int | None = None,
        prefetch: int = 3,
        transform: Callable[[PatchBatch, int], PatchBatch] | None = None,
    ) -> None:
        """Start nothing yet."""
        self._source, self._first_step, self._num_steps = source, first_step, num_steps
        self._prefetch, self._transform = prefetch, transform
        self._iterations: WeakSet[Generator[PatchBatch, None, None]] = WeakSet()

    def __len__(self) -> int:
        """Number of batches.

        Raises:
            TypeError: If there is no end.
        """
        if self._num_steps is None:
            raise TypeError("this loader has no end, so it has no length")
        return self._num_steps

    def __iter__(self) -> Generator[PatchBatch, None, None]:
        """Start a thread at the first step."""
        iteration = self._iterate()
        self._iterations.add(iteration)
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
        """Close."""
        self.close()

    def close(self) -> None:
        """End all iterations and their threads; the loader may be iterated again."""
        for iteration in list(self._iterations):
            iteration.close()

    def _iterate(self) -> Generator[PatchBatch, None, None]:
        queue: Queue[PatchBatch | BaseException | None] = Queue(self._prefetch)
        stop = threading.Event()
        thread = threading.Thread(
            target=self._fill, args=(queue, stop), name="medseg patches", daemon=True
        )
        thread.start()
        try:
            step = self._first_step
            while (made := _take(queue)) is not None:
                if isinstance(made, BaseException):
                    raise made
                yield self._transform(made, step) if self._transform else made
                step += 1
        finally:
            stop.set()
            while thread.is_alive():
                with suppress(Empty):  # room for the batch that the thread may be waiting to put
                    queue.get(timeout=0.01)
            thread.join()

    def _fill(
        self, queue: "Queue[PatchBatch | BaseException | None]", stop: threading.Event
    ) -> None:
        """The thread: batches, then None or the exception that ended them."""
        step = self._first_step
        end = None if self._num_steps is None else step + self._num_steps
        try:
            while step != end:
                batch = self._source.batch(step)
                if stop.is_set():
                    return
                queue.put(batch)
                step += 1
        except BaseException as error:  # whatever it is, the consumer waits for it
            queue.put(error)
        else:
            queue.put(None)


def _take(queue: "Queue[PatchBatch | BaseException | None]") -> PatchBatch | BaseException | None:
    """Wait, waking up now and then: on Windows a waiting thread is deaf to Ctrl-C."""
    while True:
        with suppress(Empty):
            return queue.get(timeout=_PATIENCE_S)
