import threading
import time

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


def consume_and_raise(source, error):
    with PatchLoader(source) as loader:
        for _ in loader:
            raise error


def none_runs(source):
    return not any(thread.is_alive() for thread in source.threads)


def test_batches_come_in_order_from_the_first_step_each_time():
    source = Source()
    loader = PatchLoader(source, first_step=5, num_steps=4)
    assert len(loader) == 4
    assert steps(loader) == [5, 6, 7, 8]
    assert steps(loader) == [5, 6, 7, 8]
    assert none_runs(source)
    assert threading.current_thread() not in source.threads


def test_an_endless_loader_has_no_length():
    with pytest.raises(TypeError, match="no end"):
        len(PatchLoader(Source()))


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


def test_closing_ends_all_iterations():
    source = Source()
    loader = PatchLoader(source)
    first, second = iter(loader), iter(loader)
    next(first)
    next(second)
    loader.close()
    assert len(source.threads) == 2
    assert none_runs(source)
    assert list(first) == []


def test_an_exception_in_the_thread_arrives_after_the_batches_before_it():
    source = Source(fails_at=2)
    iteration = iter(PatchLoader(source))
    assert steps([next(iteration), next(iteration)]) == [0, 1]
    with pytest.raises(OSError, match="the disk is gone"):
        next(iteration)
    assert none_runs(source)


def test_no_more_than_asked_for_is_made_ahead():
    source = Source()
    with PatchLoader(source, prefetch=2) as loader:
        next(iter_ := iter(loader))
        time.sleep(0.05)
        assert source.made <= 1 + 2 + 1  # taken, in the queue, and waiting for room in it
        iter_.close()


def test_the_transform_sees_the_step_in_the_consumers_thread():
    threads = set()

    def shifted(batch, step):
        threads.add(threading.current_thread())
        return batch._replace(image=batch.image + 100 * step)

    assert steps(PatchLoader(Source(), 2, 3, transform=shifted)) == [202, 303, 404]
    assert threads == {threading.current_thread()}
