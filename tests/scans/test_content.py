import numpy as np
import pytest

from medseg.scans.content import content_box


def padded(value: float) -> np.ndarray:
    inside = np.random.default_rng(0).normal(size=(2, 5, 6, 7))
    return np.pad(inside, ((0, 0), (1, 2), (0, 3), (4, 0)), constant_values=value)


@pytest.mark.parametrize("value", [0.0, -1024.0])
def test_finds_what_a_constant_border_surrounds(value):
    assert content_box(padded(value)) == ((1, 0, 4), (5, 6, 7))


def test_the_box_is_that_of_all_channels():
    image = np.zeros((2, 8, 8, 8))
    image[0, 1:3, 4, 4] = 1
    image[1, 5:7, 4, 5] = 1
    assert content_box(image) == ((1, 4, 4), (6, 1, 2))


def test_channels_may_have_borders_of_their_own():
    image = np.zeros((2, 6, 6, 6))
    image[1] = 7
    image[:, 2:4, 3:5, 1:5] += 1
    assert content_box(image) == ((2, 3, 1), (2, 2, 4))


def test_a_filled_corner_does_not_hide_the_border():
    image = np.zeros((1, 9, 9, 9))
    image[0, :4, :5, :6] = 1
    assert content_box(image) == ((0, 0, 0), (4, 5, 6))


def test_noise_is_never_taken_for_padding():
    image = np.random.default_rng(0).normal(0, 1e-6, size=(1, 5, 6, 1))
    assert content_box(image) == ((0, 0, 0), (5, 6, 1))


def test_a_constant_scan_is_all_content():
    assert content_box(np.full((3, 4, 5, 6), 3.0)) == ((0, 0, 0), (4, 5, 6))
