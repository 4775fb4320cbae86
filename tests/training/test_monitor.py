"""Scores on the way to a model and at its end, by a clock that nobody has to wait for."""

import json
import signal
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from torch import nn

from medseg.evaluation.summary import summarise, summary_table
from medseg.progress import Silent
from medseg.report.figures import pick_examples
from medseg.training.callbacks import Display
from medseg.training.closing import _score
from medseg.training.costs import Costs
from medseg.training.monitor import REPORT_S, Monitor
from medseg.training.record import JsonLines, read_records
from medseg.training.schedule import Budget, learning_rate_factor
from medseg.training.stop import Stop
from medseg.training.task import Optimisation, Task


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("time.monotonic", clock)
    return clock


class Cases:
    """A validator whose windows take `window_s` seconds each; cases score what they are told."""

    classes = ("organ",)
    plan = SimpleNamespace(batch_size=2)

    def __init__(self, clock, windows, window_s=0.5):
        self.cases = [(SimpleNamespace(name=str(n)), n) for n in range(len(windows))]
        self.asked, self.scored, self.patches, self.share = [], [], 0, 0.5
        self._clock, self._windows, self._window_s = clock, windows, window_s

    def windows(self, case):
        return self._windows[case[1]]

    def try_window(self, case):
        del case
        self._clock.now += self._window_s

    def dice(self, case):
        self.asked.append(case[0].name)
        self._clock.now += self.windows(case) * self._window_s
        return {} if self.share is None else {"organ": self.share}

    def score(self, case):
        self.scored.append(case[0].name)
        self._clock.now += 1.1 * self.windows(case) * self._window_s
        return (case[0].name,)

    def patch_dice(self, batches):
        self.patches += len(batches)
        self._clock.now += sum(len(batch.image) for batch in batches) * self._window_s
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


class Warned(Silent):
    def __init__(self):
        self.lines = []

    def warn(self, message):
        self.lines.append(message)


class Sampler:
    """Batches of two patches."""

    def __init__(self, cases, plan, seed, margin):
        assert (seed, margin) == (0, 0)
        self.cases = cases
        del plan

    def batch(self, step):
        return SimpleNamespace(image=[step, step])


class Monitored:
    """A training with steps of one second, and what its monitor did."""

    def __init__(self, clock, windows=(1,) * 40, budget=None, window_s=0.5):
        self.clock, self.best, self.records = clock, [], []
        self.validator = Cases(clock, windows, window_s)
        self.budget = budget or Budget(steps=1000, clock=clock)
        network = nn.Linear(1, 1)
        network.weight.data.fill_(1.0)
        optimisation = Optimisation(1e-3, 0.0, 0.0)
        self.task = Task(network, None, None, optimisation, self.budget, 0)
        self.display = Display(Silent(), self.budget)
        self.stop, self.costs = Stop("here"), Costs()
        self.monitor = Monitor(
            self.validator,
            Averaging(network),
            self.costs,
            self.budget,
            self.stop,
            self._keep,
            self.display,
        )
        self.trainer = SimpleNamespace(global_step=0, should_stop=False, loggers=[self])
        self.budget.start()

    def log_metrics(self, metrics, step):
        self.records.append((step, metrics))

    def _keep(self):
        self.best.append((self.task.network.weight.item(), self.task.network.training))

    def run(self, first, last):
        for step in range(first, last + 1):
            self.clock.now += 1
            self.trainer.global_step = step
            self.monitor.on_train_batch_end(self.trainer, self.task)
            assert self.task.network.weight.item() == 1.0
            assert self.task.network.training

    def run_out(self):
        """All steps that the budget holds; the last learning rate, as a share of its peak."""
        step = factor = 0
        while self.budget.position(step) < 1:
            factor = learning_rate_factor(self.budget.position(step), 0.0)
            step += 1
            self.run(step, step)
        return factor

    @property
    def validated(self):
        return [metrics["dice"] for _, metrics in self.records]


def test_validation_takes_a_small_share_of_the_time(clock):
    training = Monitored(clock)
    training.run(1, 99)
    assert clock.now == 99
    training.run(100, 1000)
    assert 5 <= len(training.validated) <= 16
    assert clock.now - 1000 <= 0.04 * clock.now


def test_the_same_cases_spread_over_all_are_validated_each_time(clock):
    training = Monitored(clock)
    training.run(1, 1000)
    asked = training.validator.asked
    count = len(set(asked))
    assert asked == asked[:count] * (len(asked) // count)
    numbers = [int(name) for name in asked[:count]]
    assert numbers == [i * 40 // count for i in range(count)]


def test_the_best_average_is_kept(clock):
    training = Monitored(clock, windows=[1])
    training.run(1, 300)
    training.validator.share = 0.25
    training.run(301, 600)
    assert training.best == [(2.0, False)]
    training.validator.share = 0.75
    training.run(601, 1000)
    assert training.best == [(2.0, False)] * 2
    assert sorted(set(training.validated)) == pytest.approx([0.25, 0.5, 0.75])
    assert training.display.dice == ", Dice 0.750"


@pytest.mark.parametrize(("windows", "kept"), [([1], 0), ([1, 1], 1)])
def test_a_resumed_run_knows_what_was_best_of_the_same_cases(windows, kept, clock):
    training = Monitored(clock, windows=[1])
    training.run(1, 500)
    resumed = Monitored(clock, windows=windows)
    resumed.monitor.load_state_dict(training.monitor.state_dict())
    resumed.budget.start(training.budget.elapsed_s)
    resumed.validator.share = 0.25
    resumed.run(501, 1000)
    assert resumed.validated
    assert len(resumed.best) == kept


def test_where_there_is_nothing_to_score_there_is_no_score(clock, tmp_path):
    training = Monitored(clock, windows=[1])
    file = tmp_path / "metrics.jsonl"
    training.trainer.loggers.append(JsonLines(file, training.budget))
    training.validator.share = None
    training.run(1, 300)
    assert not training.best
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert lines
    assert all(line["dice"] is None and line["dice_organ"] is None for line in lines)
    assert not [record for record in read_records(file) if "dice" in record]
    assert all(metrics == {} for _, metrics in training.records)


def test_a_signal_breaks_a_validation_off(clock):
    training = Monitored(clock, windows=[1])
    inner = training.validator.dice

    def dice(case):
        signal.raise_signal(signal.SIGTERM)
        return inner(case)

    training.validator.dice = dice
    with training.stop.patient(Silent()):
        for step in range(1, 300):
            training.trainer.should_stop = training.stop.asked is not None  # by `Ending`
            training.run(step, step)
    assert training.stop.asked == signal.SIGTERM
    assert training.validator.asked == []
    assert training.best == []


def test_nothing_is_validated_once_the_budget_is_used(clock):
    training = Monitored(clock, budget=Budget(steps=10, clock=clock))
    clock.now = 1e6
    training.run(10, 12)
    assert clock.now == 1e6 + 3


def closed(training):
    """The end of a run: what is scored, and what is said of it."""
    loop = SimpleNamespace(budget=training.budget, hparams=SimpleNamespace(seed=0))
    said = Warned()
    done = SimpleNamespace(validator=training.validator, costs=training.costs, loop=loop)
    _score(done, said)
    training.clock.now += REPORT_S
    return said.lines


BUDGET_S = 900


@pytest.mark.parametrize(
    ("windows", "window_s"),
    [
        ((1,) * 40, 0.5),
        ((4,) * 40, 1.0),  # 160 s, where scoring gets 135
        ((2400,) * 4, 0.5),  # 20 minutes a case
        ((2400, 20, 2400, 1), 0.5),
        ((40,) * 8, 2.0),
    ],
)
def test_a_time_budget_holds_whatever_cases_cost(windows, window_s, clock, monkeypatch):
    monkeypatch.setattr("medseg.training.monitor.PatchSampler", Sampler)
    training = Monitored(clock, windows, Budget(seconds=BUDGET_S, clock=clock), window_s)
    last = training.run_out()
    spent_s = clock.now
    lines = closed(training)
    assert 0.95 * BUDGET_S <= clock.now <= 1.05 * BUDGET_S
    assert spent_s >= (1 - 0.15) * BUDGET_S - 2 * REPORT_S
    assert last < 0.01
    assert training.validated
    scored = set(training.validator.scored)
    if len(scored) < len(windows):
        (line,) = lines
        assert f"{len(scored)} of {len(windows)} validation cases are scored" in line
    else:
        assert not lines


def test_dear_cases_are_validated_on_the_same_patches(clock, monkeypatch):
    monkeypatch.setattr("medseg.training.monitor.PatchSampler", Sampler)
    budget = Budget(seconds=BUDGET_S, clock=clock)
    training = Monitored(clock, (2400,) * 4, budget)
    training.run_out()
    assert training.validator.asked == []
    assert training.validator.patches >= 2
    assert len(training.best) == 1


def test_counted_steps_are_scored_whole_however_long_it_takes(clock):
    training = Monitored(clock, (10_000,) * 3)
    assert closed(training) == []
    assert sorted(training.validator.scored) == ["0", "1", "2"]


def test_no_score_at_all_is_a_summary_and_a_table():
    summary = summarise([])
    assert pick_examples(summary.scores) == {}
    assert summary_table(summary)
