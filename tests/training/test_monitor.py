"""Scores on the way to a model and at its end, by a clock that nobody has to wait for."""

import json
import signal
from types import SimpleNamespace

import pytest

from medseg.evaluation.summary import summarise, summary_table
from medseg.progress import Silent
from medseg.report.figures import pick_examples
from medseg.training.monitor import REPORT_S
from medseg.training.record import JsonLines, read_records
from medseg.training.schedule import Budget
from tests.training.monitored import Clock, Monitored, closed


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("time.monotonic", clock)
    return clock


class Sampler:
    """Batches of two patches."""

    def __init__(self, cases, plan, seed, margin):
        assert (seed, margin) == (0, 0)
        self.cases = cases
        del plan

    def batch(self, step):
        return SimpleNamespace(image=[step, step])


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
    resumed.budget.start(training.budget.reached)
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
        how_many = f"{len(scored)} of {len(windows)} validation cases are"
        none = f"none of {len(windows)} validation cases is"
        assert line.startswith(f"{how_many if scored else none} scored")
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


def test_where_no_case_fits_the_last_score_on_the_way_is_named(clock, tmp_path):
    training = Monitored(clock, (2400,) * 4, Budget(seconds=BUDGET_S, clock=clock))
    training.metrics = tmp_path / "metrics.jsonl"
    JsonLines(training.metrics, training.budget).log_metrics({"dice": 0.6125}, 40)
    clock.now += 0.9 * BUDGET_S
    (line,) = closed(training)
    assert line == (
        "none of 4 validation cases is scored (mean Dice 0.613 at step 40, of what was looked at "
        "on the way): each takes about 30 minutes, and the time budget holds none; raise it, "
        "or predict the others and use evaluate"
    )


def test_time_for_saving_and_loading_a_model_is_kept_where_it_takes_long(clock):
    training = Monitored(clock, [1], Budget(seconds=100, clock=clock))

    def save():
        clock.now += 3

    training.monitor._on_best = save
    training.run_out()
    clock.now += 6  # saved, and read again
    assert closed(training) == []
    assert training.validator.scored == ["0"]
    assert 95 <= clock.now <= 105


def test_no_score_at_all_is_a_summary_and_a_table():
    summary = summarise([])
    assert pick_examples(summary.scores) == {}
    assert summary_table(summary)
