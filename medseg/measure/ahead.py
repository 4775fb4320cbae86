"""Work on one case after another, begun ahead of time in a few threads, within a memory budget."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_MOST_THREADS = 4


def ahead(
    items: Iterable[Item],
    work: Callable[[Item], Result],
    weight: Callable[[Item], int],
    budget: int,
) -> Iterator[tuple[Item, Result]]:
    """Results in the order of the items; an item too heavy for the budget has the threads alone.

    Decompressing and counting happen outside of Python's lock, so threads are enough: no processes.

    Args:
        items: What to work on.
        work: Called in a thread; what it raises is raised here, at its item.
        weight: Bytes that an item takes until its result is dropped.
        budget: Bytes that all items begun and not yet dropped may take.
    """
    threads = min(_MOST_THREADS, os.cpu_count() or 1)
    begun: deque[tuple[Item, Future[Result], int]] = deque()
    waiting = iter(items)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="medseg ahead")
    following = next(waiting, None)
    held = 0
    try:
        while following is not None or begun:
            while following is not None and len(begun) < 2 * threads:
                heavy = weight(following)
                if begun and held + heavy > budget:
                    break
                begun.append((following, pool.submit(work, following), heavy))
                held += heavy
                following = next(waiting, None)
            item, future, heavy = begun.popleft()
            result = future.result()
            del future
            yield item, result
            del result
            held -= heavy
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
