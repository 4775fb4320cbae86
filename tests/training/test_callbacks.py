import signal
from contextlib import contextmanager
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from medseg.errors import TrainingError
from medseg.geometry import Geometry
from medseg.progress import Silent
from medseg.runs import Run, latest_run
from medseg.training.callbacks import Checkpoint, Display, Ending, Monitor
from medseg.training.schedule import Budget
from medseg.training.stop import Stop
from medseg.training.task import Optimisation, Task

GRID = Geometry((4, 4, 4))


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    """The time of callbacks, and of budgets that are given it."""
    clock = Clock()
    monkeypatch.setattr("time.monotonic", clock)
    return clock


class Spoken(Silent):
    """Keeps what it is told, and how far the bar came."""

    def __init__(self):
        self.notes, self.statuses, self.bar = [], [], []

    def track(self, items, what, total=None):
        self.bar = [what, total, 0]
        for item in items:
            self.bar[2] += 1
            yield item

    def status(self, message):
        self.statuses.append(message)

    def note(self, message):
        self.notes.append(message)


class Records:
    """A logger."""

    def __init__(self):
        self.metrics = []

    def log_metrics(self, metrics, step):
        self.metrics.append((step, metrics))


def trainer_at(step=0):
    optimizer = SimpleNamespace(param_groups=[{"lr": 0.25}])
    return SimpleNamespace(
        global_step=step, should_stop=False, loggers=[Records()], optimizers=[optimizer]
    )


def step_of(callback, trainer, task=None, loss=0.5):
    callback.on_train_batch_end(trainer, task, {"loss": torch.tensor(loss)}, None, 0)


def test_training_ends_with_its_budget():
    ending = Ending(Budget(steps=3), Stop("here"))
    for step, stops in ((1, False), (2, False), (3, True)):
        trainer = trainer_at(step)
        step_of(ending, trainer)
        assert trainer.should_stop == stops


def test_training_ends_after_the_step_in_which_a_signal_came():
    stop = Stop("here")
    ending, trainer = Ending(Budget(steps=100), stop), trainer_at(1)
    with stop.patient(Silent()):
        step_of(ending, trainer)
        assert not trainer.should_stop
        signal.raise_signal(signal.SIGINT)
    step_of(ending, trainer)
    assert trainer.should_stop


def saved_at(clock, run, times, takes_s=0.0):
    """When checkpoints are written, with steps that end at `times`."""
    checkpoint, trainer, saved = Checkpoint(run), trainer_at(), []

    def save(file):
        assert file == run.checkpoint
        saved.append(clock.now)
        clock.now += takes_s

    trainer.save_checkpoint = save
    for now in times:
        clock.now = max(now, clock.now)
        step_of(checkpoint, trainer)
    trainer.should_stop = True
    clock.now += 1
    step_of(checkpoint, trainer)
    return saved


def test_a_checkpoint_is_kept_at_least_each_minute_and_at_the_end(clock, tmp_path):
    run = Run(tmp_path / "one")
    run.folder.mkdir()
    saved = saved_at(clock, run, range(0, 201, 10))
    gaps = [after - before for before, after in pairwise([0, *saved])]
    assert max(gaps) <= 60 - 10  # of steps that take ten seconds, one may be under way
    assert saved[-1] == 201
    assert latest_run(tmp_path) == run.folder


def test_a_run_is_the_latest_from_its_first_checkpoint_on(clock, tmp_path):
    run = Run(tmp_path / "one")
    checkpoint, trainer = Checkpoint(run), trainer_at()
    run.folder.mkdir()
    trainer.save_checkpoint = lambda file: file.touch()
    for now in range(0, 61, 10):
        clock.now = now
        step_of(checkpoint, trainer)
        assert (tmp_path / "latest").exists() == run.checkpoint.exists()
    assert run.checkpoint.exists()


def test_checkpoints_that_take_long_do_not_take_most_of_the_time(clock, tmp_path):
    run = Run(tmp_path / "one")
    run.folder.mkdir()
    saved = saved_at(clock, run, range(0, 2001, 10), takes_s=60.0)
    assert 60 * len(saved) < 0.25 * clock.now


def test_the_bar_counts_steps_those_of_earlier_sessions_included(clock):
    progress, budget = Spoken(), Budget(steps=100, clock=clock)
    display = Display(progress, budget)
    budget.start()
    trainer = trainer_at(30)
    display.on_train_start(trainer, None)
    for step in range(31, 61):
        clock.now += 3
        trainer.global_step = step
        step_of(display, trainer)
    assert progress.bar == ["training", 100, 60]
    assert progress.notes == ["3 seconds a step: the 50 steps left will take about 2.5 minutes"]
    assert progress.statuses == ["loss 0.500"] * 3
    expected = {"loss": 0.5, "learning_rate": 0.25}
    assert trainer.loggers[0].metrics == [(step, expected) for step in (40, 50, 60)]


def test_the_bar_counts_seconds_of_a_time_budget(clock):
    progress, budget = Spoken(), Budget(seconds=90, clock=clock)
    display = Display(progress, budget)
    budget.start()
    trainer = trainer_at()
    display.on_train_start(trainer, None)
    for step in range(1, 21):
        clock.now += 7
        trainer.global_step = step
        step_of(display, trainer)
    assert progress.bar == ["training (seconds)", 90, 90]
    assert progress.notes == ["7 seconds a step"]


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_ends_the_training_in_one_line(loss):
    display = Display(Spoken(), Budget(steps=100))
    with pytest.raises(TrainingError, match="lower learning_rate") as error:
        step_of(display, trainer_at(10), loss=loss)
    assert "\n" not in str(error.value)


class Cases:
    """A validator whose cases take 0.5 seconds each and score what they are told."""

    def __init__(self, clock, count):
        self.cases = [(SimpleNamespace(name=str(n)), None) for n in range(count)]
        self.asked, self.share = [], 0.5
        self._clock = clock

    def dice(self, case):
        self.asked.append(case[0].name)
        self._clock.now += 0.5
        return {"organ": self.share}


class Averaging:
    """Exchanges 1 (the weights that learn) for 2 (their average) and back."""

    def __init__(self, network):
        self._network = network

    @contextmanager
    def swapped(self):
        self._network.weight.data.fill_(2.0)
        yield
        self._network.weight.data.fill_(1.0)


class Monitored:
    """A training of `steps` steps of one second, and what its monitor did."""

    def __init__(self, clock, cases=40, budget=None):
        self.clock, self.best = clock, []
        self.validator = Cases(clock, cases)
        self.budget = budget or Budget(steps=1000, clock=clock)
        network = nn.Linear(1, 1)
        network.weight.data.fill_(1.0)
        optimisation = Optimisation(1e-3, 0.0, 0.0)
        self.task = Task(network, None, None, optimisation, self.budget, 0)
        self.display = Display(Spoken(), self.budget)
        average = Averaging(network)
        self.monitor = Monitor(self.validator, average, self.budget, self._keep, self.display)
        self.trainer = trainer_at()
        self.budget.start()

    def _keep(self):
        self.best.append((self.task.network.weight.item(), self.task.network.training))

    def run(self, first, last):
        for step in range(first, last + 1):
            self.clock.now += 1
            self.trainer.global_step = step
            step_of(self.monitor, self.trainer, self.task)
            assert self.task.network.weight.item() == 1.0
            assert self.task.network.training

    @property
    def validated(self):
        return [metrics["dice"] for _, metrics in self.trainer.loggers[0].metrics]


def test_validation_takes_a_small_share_of_the_time(clock):
    training = Monitored(clock)
    training.run(1, 99)
    assert training.validator.asked == []
    training.run(100, 1000)
    assert 5 <= len(training.validated) <= 10
    assert 0.5 * len(training.validator.asked) <= 0.04 * clock.now


def test_the_same_cases_spread_over_all_are_validated_each_time(clock):
    training = Monitored(clock)
    training.run(1, 1000)
    first, *asked = training.validator.asked
    assert first == "0"  # tells what a case costs
    count = len(set(asked))
    assert asked == asked[:count] * (len(asked) // count)
    numbers = [int(name) for name in asked[:count]]
    assert numbers == [i * 40 // count for i in range(count)]


def test_the_best_average_is_kept(clock):
    training = Monitored(clock, cases=1)
    training.run(1, 300)
    training.validator.share = 0.25
    training.run(301, 600)
    assert training.best == [(2.0, False)]
    training.validator.share = 0.75
    training.run(601, 1000)
    assert training.best == [(2.0, False)] * 2

    assert sorted(set(training.validated)) == pytest.approx([0.25, 0.5, 0.75])
    assert training.display.dice == ", Dice 0.750"


def test_a_resumed_run_knows_what_was_best(clock):
    training = Monitored(clock, cases=1)
    training.run(1, 500)
    resumed = Monitored(clock, cases=1)
    resumed.monitor.load_state_dict(training.monitor.state_dict())
    resumed.budget.start(training.budget.elapsed_s)
    resumed.validator.share = 0.25
    resumed.run(501, 1000)
    assert resumed.validated
    assert resumed.best == []


def test_time_is_kept_for_the_last_validation(clock):
    training = Monitored(clock, cases=20, budget=Budget(seconds=1000, clock=clock))
    training.run(1, 150)
    # 20 cases and 4 pictures of half a second each, and the report.
    assert training.budget.position(0) == pytest.approx(clock.now / (1000 - 1.15 * 12 - 4))


def test_nothing_is_validated_once_the_budget_is_used(clock):
    training = Monitored(clock, budget=Budget(steps=10, clock=clock))
    clock.now = 1e6
    training.run(10, 12)
    assert training.validator.asked == []
