"""Each case validates in exactly one fold, and never where it trains."""

import numpy as np
import pytest

from medseg.plan.split import split


def singles(count):
    """Cases that are each of someone else."""
    return [f"case{index}" for index in range(count)]


@pytest.mark.parametrize("num_cases", [2, 3, 4, 5, 11, 200])
def test_folds_deal_out_the_cases(num_cases):
    validated = []
    for fold in range(min(5, num_cases)):
        training, validation = split(singles(num_cases), 5, fold)
        assert sorted(training + validation) == list(range(num_cases))
        assert training
        validated += validation
    assert sorted(validated) == list(range(num_cases))


def test_case_i_is_in_fold_i_mod_folds():
    assert split(singles(12), 5, 1).validation == (1, 6, 11)


def test_a_few_cases_leave_one_out_and_one_does_both():
    assert split(singles(3), 5, 2) == ((0, 1), (2,))
    assert split(singles(3), 5, 4).validation == (1,)
    assert split(singles(1), 5, 3) == ((0,), (0,))


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_no_group_is_on_two_sides_and_each_case_validates_once(folds):
    random = np.random.default_rng(0)
    for count in (2, 3, 7, 40):
        groups = [f"patient{number}" for number in random.integers(0, count, 3 * count)]
        if len(set(groups)) < 2:
            continue
        validated = []
        for fold in range(min(folds, len(set(groups)))):
            training, validation = split(groups, folds, fold)
            assert not {groups[i] for i in training} & {groups[i] for i in validation}
            assert training
            assert validation
            validated += validation
        assert sorted(validated) == list(range(len(groups)))


def test_cases_of_a_single_group_are_dealt_one_by_one():
    assert split(["a"] * 5, 5, 1) == ((0, 2, 3, 4), (1,))
