"""Mixing tokens within windows is a sum over tokens, whatever the order it is computed in."""

from itertools import product

import pytest
import torch
from networks.fill import changed, difference, fill

from medseg.networks.layers.token_mixing import TokenMixing

CASES = [
    ((6, 9), (3, 4)),
    ((7, 3), (3, 4)),
    ((8, 5), (4, 1)),
    ((4, 5, 3), (2, 2, 3)),
    ((3, 4, 5), (1, 2, 2)),
]


def window_and_place(token, size, window, dilated, shifted):
    """Which window along each axis a token is in, and which of its tokens it is."""
    windows, place = [], 0
    for t, length, width in zip(token, size, window, strict=True):
        count = -(-length // width)
        shift = width // 2 if shifted and length > width else 0
        along, inside = (t % count, t // count) if dilated else divmod(t - shift, width)
        windows.append(along)
        place = place * width + inside
    return windows, place


def literal(mixing, x):
    """Token by token; x is (*spatial, channels). What is not on the map is zero."""
    size, groups = x.shape[:-1], len(mixing.weight)
    out = torch.zeros_like(x)
    tokens = [
        (token, *window_and_place(token, size, mixing.window, mixing.dilated, mixing.shifted))
        for token in product(*map(range, size))
    ]
    width = x.shape[-1] // groups
    for group in range(groups):
        own = slice(group * width, (group + 1) * width)
        for token, window, place in tokens:
            out[token][own] = mixing.bias[group, place]
            for other, its_window, its_place in tokens:
                if its_window == window:
                    out[token][own] += mixing.weight[group, place, its_place] * x[other][own]
    return out


@pytest.mark.parametrize("way", [{}, {"dilated": True}, {"shifted": True}], ids=str)
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(("size", "window"), CASES)
@torch.no_grad()
def test_it_is_a_sum_over_the_tokens_of_a_window(size, window, groups, way):
    mixing = fill(TokenMixing(window, groups, **way))
    x = torch.randn(*size, 4, generator=torch.Generator().manual_seed(1))
    expected = literal(mixing, x)
    assert difference(mixing(x[None])[0], expected) < 1e-5
    with changed(mixing, "weight"):
        assert difference(mixing(x[None])[0], expected) > 1e-2


def test_two_blocks_join_all_tokens_of_a_map(dim):
    """Neighbours, then tokens that lie apart: so that windows do not end what a token can see."""
    near, far = (fill(TokenMixing((4,) * dim, dilated=dilated)) for dilated in (False, True))
    x = torch.zeros(1, *(16,) * dim, 1)
    seen = x.clone()
    seen[(0, *(5,) * dim)] = 1
    with torch.no_grad():
        assert (far(near(seen)) != far(near(x))).all()


def test_a_window_of_one_token_along_an_axis_keeps_slices_apart():
    mixing = fill(TokenMixing((1, 4, 4), 2, shifted=True))
    x = torch.randn(1, 3, 6, 7, 4)
    with torch.no_grad():
        whole = mixing(x)
        for index in range(3):
            own = slice(index, index + 1)
            assert torch.equal(mixing(x[:, own]), whole[:, own])
