import os
import signal
import threading

import pytest

from medseg.errors import Stopped
from medseg.progress import Silent
from medseg.training.stop import Stop

OF_QUEUES = (signal.SIGTERM, signal.SIGUSR1)
ALL = (signal.SIGINT, *OF_QUEUES)


class Notes(Silent):
    def __init__(self):
        self.lines = []

    def note(self, message):
        self.lines.append(message)


def heard(stop, number, progress=None):
    """What one signal during the steps leads to."""
    with stop.patient(progress or Silent()):
        os.kill(os.getpid(), number)


@pytest.fixture(autouse=True)
def _unchanged():
    before = {number: signal.getsignal(number) for number in ALL}
    yield
    assert {number: signal.getsignal(number) for number in ALL} == before


@pytest.mark.parametrize("number", ALL)
def test_the_first_signal_asks_and_is_answered_at_once(number):
    stop, notes = Stop("runs/a"), Notes()
    with stop.patient(notes):
        assert stop.asked is None
        os.kill(os.getpid(), number)
        assert stop.asked == number
        (line,) = notes.lines
        assert ("Ctrl-C" if number == signal.SIGINT else number.name) in line
        assert "saves" in line


@pytest.mark.parametrize("first", ALL)
@pytest.mark.parametrize(("second", "error"), [(2, KeyboardInterrupt), (15, Stopped)])
def test_the_second_insists(first, second, error):
    def twice():
        with stop.patient(Silent()):
            os.kill(os.getpid(), first)
            reached.append(stop.asked)
            os.kill(os.getpid(), second)

    stop, reached = Stop("runs/a"), []
    with pytest.raises(error) as caught:
        twice()
    assert reached == [first]
    assert type(caught.value) is error


@pytest.mark.parametrize("number", OF_QUEUES)
def test_a_queue_gets_its_end_once_all_is_saved(number):
    stop = Stop("runs/a")
    stop.end()
    heard(stop, number)
    assert stop.by_queue
    with pytest.raises(Stopped, match=f"{number.name}; go on with --resume --output runs/a"):
        stop.end()


def test_after_ctrl_c_a_training_goes_on_to_its_report():
    stop = Stop("runs/a")
    heard(stop, signal.SIGINT)
    assert not stop.by_queue
    stop.end()


@pytest.mark.parametrize("number", OF_QUEUES)
def test_before_and_after_the_steps_a_queue_is_obeyed_at_once(number):
    stop = Stop("runs/a")
    with pytest.raises(Stopped, match=number.name), stop.heard():
        os.kill(os.getpid(), number)


def test_a_use_that_the_program_has_for_a_signal_is_left_alone():
    stop, own = Stop("runs/a"), []
    before = signal.signal(signal.SIGUSR1, lambda *_: own.append(1))
    with stop.heard():
        os.kill(os.getpid(), signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, before)
    assert own == [1]
    assert stop.asked is None


def test_what_can_be_done_without_is_broken_off():
    stop, reached = Stop("runs/a"), []
    with stop.patient(Silent()):
        with stop.breakable():
            reached.append("begun")
            os.kill(os.getpid(), signal.SIGTERM)
            reached.append("done")
        reached.append("saved")
    assert reached == ["begun", "saved"]
    assert stop.by_queue


def test_an_error_in_what_can_be_broken_off_is_an_error():
    stop = Stop("runs/a")
    with pytest.raises(OSError, match="gone"), stop.patient(Silent()), stop.breakable():
        raise OSError("gone")


def test_signals_are_taken_back_from_another_owner():
    stop = Stop("runs/a")
    with stop.patient(Silent()):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        stop.hear_alone()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.asked == signal.SIGTERM


def test_a_thread_can_train_though_it_hears_nothing():
    stop, done = Stop("runs/a"), []

    def work():
        with stop.heard(), stop.patient(Silent()):
            stop.hear_alone()
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]
