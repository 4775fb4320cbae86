"""Each case validates in exactly one fold, and never where it trains."""

import pytest

from medseg.plan.split import split


@pytest.mark.parametrize("num_cases", [2, 3, 4, 5, 11, 200])
def test_folds_deal_out_the_cases(num_cases):
    validated = []
    for fold in range(min(5, num_cases)):
        training, validation = split(num_cases, 5, fold)
        assert sorted(training + validation) == list(range(num_cases))
        assert training
        validated += validation
    assert sorted(validated) == list(range(num_cases))


def test_case_i_is_in_fold_i_mod_folds():
    assert split(12, 5, 1).validation == (1, 6, 11)


def test_a_few_cases_leave_one_out_and_one_does_both():
    assert split(3, 5, 2) == ((0, 1), (2,))
    assert split(3, 5, 4).validation == (1,)
    assert split(1, 5, 3) == ((0,), (0,))
