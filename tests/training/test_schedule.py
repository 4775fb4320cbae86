from itertools import pairwise

import pytest

from medseg.training.schedule import Budget, Reached, learning_rate_factor


class Clock:
    """Stands still until it is moved."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_steps_are_counted(clock):
    budget = Budget(steps=8, clock=clock)
    budget.start()
    clock.now += 1e6
    budget.reserve([1e6], 1e6)
    assert [budget.position(step) for step in (0, 2, 8, 12)] == [0, 0.25, 1, 1.5]
    assert budget.elapsed_s == 1e6


def test_time_is_measured_from_the_start(clock):
    budget = Budget(seconds=100, clock=clock)
    clock.now += 50
    budget.start()
    for elapsed_s, position in ((0, 0), (25, 0.25), (100, 1), (150, 1.5)):
        clock.now = 1050 + elapsed_s
        assert budget.elapsed_s == elapsed_s
        assert budget.position(7) == position


def test_what_comes_after_the_steps_is_part_of_the_time(clock):
    budget = Budget(seconds=100, clock=clock)
    budget.start()
    clock.now += 40
    budget.reserve([4, 2], 4)
    assert budget.position(0) == pytest.approx(40 / 90)
    assert budget.scoring_left_s == pytest.approx(102 - 4 - 40)
    budget.reserve([], 0)
    assert budget.position(0) == 0.4
    budget.reserve(
        [10] * 100, 4
    )  # 85 of 100 seconds are for steps and the report, whatever comes after
    assert budget.position(0) == pytest.approx(40 / 81)
    budget.reserve([20, 3], 4)  # no time is kept for what will not be scored
    assert budget.position(0) == pytest.approx(40 / 93)


def test_steps_are_scored_in_any_time(clock):
    budget = Budget(steps=4, clock=clock)
    clock.now += 1e9
    assert budget.scoring_left_s == float("inf")


@pytest.mark.parametrize("given", [{"steps": 4}, {"seconds": 100.0}])
def test_earlier_sessions_count(given, clock):
    budget = Budget(**given, clock=clock)
    budget.start(Reached(30))
    clock.now += 20
    assert budget.elapsed_s == 50
    assert budget.position(2) == 0.5


@pytest.mark.parametrize("given", [{}, {"steps": 4, "seconds": 100.0}])
def test_one_of_the_two_decides(given):
    with pytest.raises(ValueError, match="steps or seconds"):
        Budget(**given)


@pytest.mark.parametrize("warmup", [0.0, 0.03, 0.5])
def test_the_rate_rises_to_its_peak_and_falls_to_zero(warmup):
    factors = [learning_rate_factor(step / 1000, warmup) for step in range(1001)]
    assert 0 < factors[0] <= 1
    assert max(factors) == 1
    peak = factors.index(1)
    assert peak == 1000 * warmup
    assert factors[: peak + 1] == sorted(factors[: peak + 1])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)
    assert factors[-1] == pytest.approx(0)
    assert learning_rate_factor(1.2, warmup) == pytest.approx(0)


def test_the_fall_is_half_a_cosine():
    assert learning_rate_factor(0.1 + 0.9 / 2, 0.1) == pytest.approx(0.5)
    assert learning_rate_factor(0.1 + 0.9 / 3, 0.1) == pytest.approx(0.75)
    assert learning_rate_factor(0.05, 0.1) == pytest.approx(0.5)


def annealed(at, **length):
    """A budget with a plateau after so many steps."""
    budget = Budget(**length)
    budget.start()
    budget.anneal(at, "no better")
    return budget


@pytest.mark.parametrize(("at", "end"), [(50, 60), (51, 62), (1, 2), (90, 100), (99, 100)])
def test_after_a_plateau_the_rate_falls_to_zero_in_a_fifth_of_what_was_done(at, end):
    before, budget = Budget(steps=100), annealed(at, steps=100)
    assert budget.end == end
    assert budget.position(at) == pytest.approx(before.position(at))
    positions = [budget.position(step) for step in range(at, end + 1)]
    steps = [later - earlier for earlier, later in pairwise(positions)]
    assert steps == pytest.approx([(1 - at / 100) / (end - at)] * (end - at))
    assert positions[-1] == 1
    assert max(positions[:-1]) < 1
    factors = [learning_rate_factor(position, 0.0) for position in positions]
    assert factors == sorted(factors, reverse=True)
    assert factors[-1] == pytest.approx(0)


def test_after_a_plateau_the_reserve_for_scoring_stays(clock):
    budget = Budget(seconds=100, clock=clock)
    budget.start()
    budget.reserve([4, 2], 4)
    clock.now += 40
    budget.anneal(7, "no better")
    assert budget.position(7) == pytest.approx(40 / 90)
    assert budget.end == 48
    clock.now += 4
    assert budget.position(8) == pytest.approx(1 - (1 - 40 / 90) / 2)
    clock.now += 4
    assert budget.position(9) == 1
    assert budget.scoring_left_s == pytest.approx(102 - 4 - 48)


def test_a_plateau_late_in_a_time_budget_ends_no_later_than_without(clock):
    budget = Budget(seconds=100, clock=clock)
    budget.start()
    budget.reserve([4, 2], 4)
    clock.now += 85
    budget.anneal(7, "no better")
    assert budget.end == 90
    budget.reserve([10, 2], 4)  # scoring turns out to take longer than what is left
    assert budget.position(7) > 1


@pytest.mark.parametrize("given", [{"steps": 100}, {"seconds": 100.0}])
def test_a_plateau_is_known_to_a_run_that_goes_on_unless_it_is_longer(given, clock):
    budget = Budget(**given, clock=clock)
    budget.start()
    budget.reserve([4, 2], 4)
    clock.now += 50
    budget.anneal(50, "no better")
    clock.now += 5
    same, longer = Budget(**given, clock=clock), Budget(**dict.fromkeys(given, 200), clock=clock)
    same.start(budget.reached)
    longer.start(budget.reached)
    assert same.position(55) == budget.position(55) > 0.7
    assert same.plateau == budget.plateau
    assert longer.plateau is None
    assert longer.position(55) == pytest.approx(55 / 200)
