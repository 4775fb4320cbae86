"""A rule is adopted where it helps the validated cases, and nowhere else."""

import numpy as np
import pytest

from medseg.prepare.cleanup import Cleanup, cleaned
from medseg.training.tidying import candidates, learn_tidying, pieces

SIZE = (20, 20, 10)


def blob(*corners, side=6):
    out = np.zeros(SIZE, dtype=bool)
    for i, j, k in corners:
        out[i : i + side, j : j + side, k : k + side] = True
    return out


def cases(make, count=5):
    return [pieces(*make(np.random.default_rng(index)), 2.0) for index in range(count)]


def with_strays(rng):
    reference = blob((2, 2, 2))
    prediction = reference.copy()
    prediction[rng.integers(10, 14), 0, 9] = True
    prediction[15:18, 15:18, 5:8] = True
    return prediction, reference


def hollow(_):
    reference = blob((3, 3, 2), side=7)
    prediction = reference.copy()
    prediction[5:8, 5:8, 4:7] = False
    return prediction, reference


def lesions(rng):
    reference = blob((1, 1, 1), (10, 10, 2))
    prediction = reference.copy()
    prediction[18, rng.integers(20), 9] = True
    prediction[0, 18, :3] = True
    return prediction, reference


@pytest.mark.parametrize("make", [with_strays, hollow, lesions])
def test_counts_say_what_mending_does(make):
    prediction, reference = make(np.random.default_rng(0))
    counted = pieces(prediction, reference, 2.0)
    for rule in (Cleanup(), *candidates([counted])):
        mask = cleaned(prediction, rule, 2.0)
        dice = 2 * (mask & reference).sum() / (mask.sum() + reference.sum())
        assert counted.dice(rule) == pytest.approx(dice), rule


def test_strays_are_dropped_by_the_simplest_rule():
    found = learn_tidying(cases(with_strays))
    assert found.rule == Cleanup(largest=True)
    assert found.before < 0.95
    assert found.after == 1


def test_many_true_pieces_are_not_thinned_out_to_one():
    found = learn_tidying(cases(lesions))
    assert not found.rule.largest
    assert found.rule.least_mm3 > 0
    assert found.after == 1


def test_holes_are_filled_where_the_truth_has_none():
    assert learn_tidying(cases(hollow)).rule == Cleanup(fill=True)


def test_what_is_right_is_left_alone():
    assert learn_tidying(cases(lambda _: (blob((2, 2, 2)), blob((2, 2, 2))))) is None


def test_of_few_cases_nothing_is_learned():
    assert learn_tidying(cases(with_strays, 4)) is None
    assert learn_tidying([]) is None


def test_a_rule_that_harms_more_cases_than_it_helps_is_not_adopted():
    def missed(_):  # its largest piece is wrong
        reference = blob((1, 1, 1))
        return reference | blob((10, 10, 2), side=7), reference

    found = learn_tidying([*cases(with_strays, 3), *cases(missed, 4)])
    assert found is None or not found.rule.largest


def test_a_class_that_is_nowhere_counts_as_right():
    empty = np.zeros(SIZE, dtype=bool)
    stray = empty.copy()
    stray[0, 0, 0] = True
    nowhere = pieces(empty, empty, 1.0)
    assert nowhere.dice(Cleanup(largest=True, fill=True)) == 1
    assert learn_tidying([nowhere] * 4 + [pieces(stray, empty, 1.0)]) is None
