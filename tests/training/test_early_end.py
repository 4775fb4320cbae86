"""Trainings that no longer become better end early and annealed, the same however often stopped."""

import signal

import pytest

from medseg.progress import Silent
from medseg.training.costs import CountedCosts
from medseg.training.schedule import Budget
from tests.training.monitored import Clock, Monitored, closed


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("time.monotonic", clock)
    return clock


@pytest.mark.parametrize("length", [{"steps": 1000}, {"seconds": 1000.0}])
def test_a_plateau_anneals_and_ends_the_training(length, clock):
    training = Monitored(clock, [1, 1], Budget(**length, clock=clock), patience=0.25)
    last = training.run_out()
    plateau, step = training.budget.plateau, training.trainer.global_step
    since = training.records[0][0]
    assert since + 250 <= plateau.at <= since + 300
    assert 1.19 * plateau.at <= (step if "steps" in length else clock.now) <= 1.21 * plateau.at
    assert last < 0.001
    (line,) = training.said.lines
    assert line.startswith("plateau at step ")
    assert "validation Dice no better than 0.500 for " in line
    assert line.endswith(
        f"; annealing until step {step} of 1000"
        if "steps" in length
        else f"; annealing until minute {training.budget.end / 60:.1f} of 16.7"
    )
    assert training.records[-1][0] > plateau.at  # scores go on to be looked at
    assert closed(training) == []
    assert sorted(training.validator.scored) == ["0", "1"]


def test_a_dice_that_rises_uses_the_whole_budget(clock):
    training = Monitored(clock, [1], patience=0.25)
    while training.budget.position(training.trainer.global_step) < 1:
        training.validator.share = 0.5 + clock.now / 1e4
        training.run(training.trainer.global_step + 1, training.trainer.global_step + 1)
    assert training.trainer.global_step == 1000
    assert training.budget.plateau is None


@pytest.mark.parametrize("length", [{"steps": 1000}, {"seconds": 1000.0}])
def test_a_plateau_from_which_nothing_would_end_earlier_is_none(length, clock):
    training = Monitored(clock, [1, 1], Budget(**length, clock=clock), patience=0.8)
    training.run_out()
    assert training.records[-1][0] - training.records[0][0] > 800
    assert training.budget.plateau is None
    assert training.said.lines == []


def counted(clock, before=None):
    """A training that does not look at the clock, or its next session."""
    training = Monitored(clock, [1, 1], patience=0.25, costs=CountedCosts(2))
    if before is not None:
        training.records, training.best = before.records, before.best
        training.trainer.global_step = before.trainer.global_step
        training.budget.start(before.budget.reached)
        training.monitor.load_state_dict(before.monitor.state_dict())
        training.monitor.on_train_start(training.trainer, training.task)
    return training


def test_costs_that_are_counted_score_at_equal_steps_on_any_machine(clock):
    steps = []
    for pace in (1.0, 50.0):
        training = counted(clock)
        training.validator._window_s = pace
        training.run_out()
        steps.append([step for step, _ in training.records])
        assert training.budget.plateau is not None
    assert steps[0] == steps[1]
    assert len(steps[0]) > 5


def test_ended_at_any_step_and_gone_on_with_it_scores_the_same(clock):
    whole = counted(clock)
    whole.run_out()
    for ends in ([s for s, _ in whole.records], [99, 100, 101, 300, 377, 420]):
        training = counted(clock)
        for end in ends:
            training.run(training.trainer.global_step + 1, end - 1)
            training.trainer.should_stop = True  # by `Ending`, as a signal came
            training.run(end, end)
            training = counted(clock, training)
        while training.budget.position(training.trainer.global_step) < 1:
            training.run(training.trainer.global_step + 1, training.trainer.global_step + 1)
        assert training.records == whole.records
        assert training.budget.plateau == whole.budget.plateau
        assert training.trainer.global_step == whole.trainer.global_step


def test_a_validation_that_a_signal_broke_off_is_made_up_for(clock):
    whole, training = counted(clock), counted(clock)
    whole.run(1, 300)
    first = whole.records[0][0]
    inner = training.validator.dice

    def dice(case):
        signal.raise_signal(signal.SIGTERM)
        return inner(case)

    with training.stop.patient(Silent()):
        training.validator.dice = dice
        training.run(1, first)
    assert training.records == []
    training = counted(clock, training)
    training.run(first + 1, 300)
    assert training.records == whole.records


def test_a_longer_training_is_patient_again(clock):
    training = counted(clock)
    training.run_out()
    longer = Monitored(
        clock, [1, 1], Budget(steps=2000, clock=clock), patience=0.25, costs=CountedCosts(2)
    )
    longer.budget.start(training.budget.reached)
    longer.monitor.load_state_dict(training.monitor.state_dict())
    first = training.trainer.global_step
    longer.run(first + 1, first + 400)
    assert longer.validated
    assert longer.budget.plateau is None
