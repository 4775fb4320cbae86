import threading
import time
from itertools import islice

import pytest
import torch

from medseg.patches.loader import PatchLoader
from medseg.patches.sampler import PatchBatch


class Source:
    """Batches that tell their step; one may fail, and those from a step on may take forever."""

    def __init__(self, fails_at=None):
        self.fails_at = fails_at
        self.made = 0
        self.threads = set()

    def batch(self, step):
        self.threads.add(threading.current_thread())
        if step == self.fails_at:
            raise OSError("the disk is gone")
        self.made += 1
        return PatchBatch(torch.full((1, 1, 2), float(step)), torch.zeros(1, 1, 2))


def steps(batches):
    return [int(batch.image[0, 0, 0]) for batch in batches]


def first(number, loader):
    with loader:
        return steps(islice(loader, number))


def consume_and_raise(source, error):
    with PatchLoader(source) as loader:
        for _ in loader:
            raise error


def none_runs(source):
    return not any(thread.is_alive() for thread in source.threads)


def test_batches_come_in_order_from_the_first_step_each_time():
    source = Source()
    loader = PatchLoader(source, first_step=5)
    assert first(4, loader) == [5, 6, 7, 8]
    assert first(4, loader) == [5, 6, 7, 8]
    assert none_runs(source)
    assert threading.current_thread() not in source.threads


def test_an_early_break_ends_the_thread():
    source = Source()
    for batch in PatchLoader(source):
        if batch.image[0, 0, 0] == 3:
            break
    del batch
    assert none_runs(source)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_exception_in_the_consumer_ends_the_thread(error):
    source = Source()
    with pytest.raises(error):
        consume_and_raise(source, error)
    assert none_runs(source)


def test_the_next_iteration_ends_the_one_before():
    source = Source()
    with PatchLoader(source) as loader:
        before = iter(loader)
        next(before)
        assert steps(islice(loader, 2)) == [0, 1]
        assert list(before) == []
    assert len(source.threads) == 2
    assert none_runs(source)


def test_an_exception_in_the_thread_arrives_after_the_batches_before_it():
    source = Source(fails_at=2)
    iteration = iter(PatchLoader(source))
    assert steps([next(iteration), next(iteration)]) == [0, 1]
    with pytest.raises(OSError, match="the disk is gone"):
        next(iteration)
    assert none_runs(source)


def test_only_a_few_batches_are_made_ahead():
    source = Source()
    with PatchLoader(source) as loader:
        iteration = iter(loader)
        next(iteration)
        time.sleep(0.05)
        assert source.made <= 1 + 3 + 1  # taken, ready, and waiting for room


def test_the_transform_sees_the_step_in_the_consumers_thread():
    threads = set()

    def shifted(batch, step):
        threads.add(threading.current_thread())
        return batch._replace(image=batch.image + 100 * step)

    assert first(3, PatchLoader(Source(), 2, transform=shifted)) == [202, 303, 404]
    assert threads == {threading.current_thread()}
