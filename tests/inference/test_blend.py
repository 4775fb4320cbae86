import pytest
import torch

from medseg.inference.blend import blend_weights

WINDOWS = [(1,), (8, 8), (7, 4), (16, 9, 1), (200, 2)]


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_weights_are_positive_symmetric_and_largest_in_the_middle(window):
    weights = blend_weights(window)
    assert weights.shape == window
    assert weights.dtype == torch.float32
    assert weights.min() > 0
    assert weights.max() <= 1
    middle = tuple(length // 2 for length in window)
    assert weights[middle] == weights.max()
    for axis in range(len(window)):
        torch.testing.assert_close(weights.flip(axis), weights)


def test_an_axis_does_not_depend_on_the_others():
    weights = blend_weights((9, 8))
    assert torch.equal(weights.argmax(0), torch.full((8,), 4))
    torch.testing.assert_close(weights[4], blend_weights((8,)))
