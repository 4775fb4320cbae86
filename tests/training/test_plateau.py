import pytest

from medseg.training.plateau import Patience


def noticed(scores, share=0.25, warmup=0.0):
    """Where a plateau is noticed among scores spread evenly over the length; -1: nowhere."""
    patience = Patience(share, warmup)
    found = [patience.plateau(dice, n / len(scores)) for n, dice in enumerate(scores)]
    return next((index for index, why in enumerate(found) if why), -1)


def test_a_dice_that_rises_has_no_plateau():
    assert noticed([n / 100 for n in range(1, 100)]) == -1
    assert noticed([0.5 + 0.0004 * n for n in range(100)]) == -1  # slowly, but it does
    assert noticed([0.5] * 20 + [0.6] * 20 + [0.7] * 20 + [0.8] * 20 + [0.9] * 20) == -1


@pytest.mark.parametrize("share", [0.125, 0.25, 0.5])
def test_one_that_has_not_risen_for_so_long_has_one(share):
    scores = [0.4, 0.6, 0.8] + [0.8, 0.7, 0.8005] * 42
    assert noticed(scores[:128], share) == 2 + 128 * share
    assert noticed([0.8] * 100, None) == -1


def test_it_is_said_in_words():
    patience = Patience(0.3, 0.0)
    said = [patience.plateau(dice, n) for n, dice in enumerate([0.8731, 0.7, 0.2, 0.87])]
    assert said[:3] == ["", "", ""]
    assert said[3] == "validation Dice no better than 0.873 for 3 validations"


def test_a_few_scores_are_no_plateau():
    assert noticed([0.8] * 4, share=0.2) == 3  # the third without a rise
    assert noticed([0.8] * 3, share=0.2) == -1


def test_before_anything_is_learned_there_is_none():
    assert noticed([0.0] * 100) == -1
    assert noticed([0.0] * 50 + [0.3] * 50) == 75


def test_while_the_learning_rate_rises_there_is_none():
    assert noticed([0.5] * 128, share=0.125, warmup=0.375) == 64


def test_a_run_that_goes_on_remembers():
    scores = [0.5, 0.8, 0.7, 0.7, 0.6, 0.8, 0.5]
    whole, halves = Patience(0.3, 0.0), Patience(0.3, 0.0)
    for index, dice in enumerate(scores):
        state = halves.state_dict()
        halves = Patience(0.3, 0.0)
        halves.load_state_dict(state)
        assert halves.plateau(dice, index / 10) == whole.plateau(dice, index / 10)
    assert whole.plateau(0.1, 1.0)
    whole.forget()
    assert not whole.plateau(0.1, 1.0)
