import pytest
import torch

from medseg.networks.layers.windows import (
    crop_tokens,
    in_windows,
    join_windows,
    merge_neighbours,
    pad_tokens,
    split_windows,
)

SIZE, WINDOW = (6, 8, 10), (3, 2, 5)


@pytest.mark.parametrize("dilated", [False, True])
def test_joining_undoes_splitting(dim, dilated):
    x = torch.randn(2, *SIZE[:dim], 4)
    windows = split_windows(x, WINDOW[:dim], dilated=dilated)
    assert torch.equal(join_windows(windows, WINDOW[:dim], SIZE[:dim], dilated=dilated), x)


def test_a_window_holds_neighbours_or_a_grid():
    x = torch.arange(24).reshape(1, 4, 6, 1)
    near, far = split_windows(x, (2, 3)), split_windows(x, (2, 3), dilated=True)
    assert near[0, 1, :, 0].tolist() == x[0, :2, 3:, 0].flatten().tolist()
    assert near[0, 2, :, 0].tolist() == x[0, 2:, :3, 0].flatten().tolist()
    assert far[0, 0, :, 0].tolist() == x[0, ::2, ::2, 0].flatten().tolist()
    assert far[0, 1, :, 0].tolist() == x[0, ::2, 1::2, 0].flatten().tolist()


def test_padding_is_cropped_again(dim):
    x = torch.randn(1, *(5, 4, 7)[:dim], 2)
    padded = pad_tokens(x, (4, 4, 4)[:dim])
    assert padded.shape[1:-1] == (8, 4, 8)[:dim]
    assert torch.equal(crop_tokens(padded, x.shape[1:-1]), x)
    assert padded.sum() == pytest.approx(x.sum().item(), abs=1e-4)


@pytest.mark.parametrize("dilated", [False, True])
def test_windows_are_filled_up_with_zeros_that_are_cut_off_again(dilated, dim):
    size, window = (5, 4, 7)[:dim], (4, 3, 2)[:dim]
    x = torch.randn(2, *size, 3)
    totals: list[torch.Tensor] = []

    def passed_on(windows):
        totals.append(windows.sum())
        return windows

    assert torch.equal(in_windows(x, window, passed_on, dilated=dilated), x)
    torch.testing.assert_close(totals[0], x.sum())


def test_neighbours_are_merged_in_the_order_of_the_papers_code():
    x = torch.randn(2, 4, 6, 3)
    corners = [x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]]
    assert torch.equal(merge_neighbours(x, (2, 2)), torch.cat(corners, -1))
    assert torch.equal(merge_neighbours(x, (1, 2)), torch.cat([x[:, :, 0::2], x[:, :, 1::2]], -1))
    assert torch.equal(merge_neighbours(x, (1, 1)), x)
    assert torch.equal(merge_neighbours(x[:, None], (1, 2, 2))[:, 0], torch.cat(corners, -1))
