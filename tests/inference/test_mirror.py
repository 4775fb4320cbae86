from itertools import product

import pytest
import torch

from medseg.inference.mirror import mirrored


def ramp(images):
    """Adds a position: what mirroring must average away."""
    return images + torch.arange(images.shape[2]).view(-1, *[1] * (images.ndim - 3))


@pytest.mark.parametrize("axes", [(), (0,), (1,), (0, 1), (0, 1, 2)], ids=str)
def test_an_equivariant_network_is_left_as_it_is(axes):
    images = torch.randn(2, 3, 4, 5, 6)
    torch.testing.assert_close(mirrored(torch.tanh, axes)(images), torch.tanh(images))


def test_another_is_averaged(dim):
    images = torch.randn(2, 1, *(4, 6, 5)[:dim])
    torch.testing.assert_close(mirrored(ramp, (0,))(images), images + 1.5)
    torch.testing.assert_close(mirrored(ramp, (1,))(images), ramp(images))


def test_every_combination_is_asked_once():
    asked = []

    def network(images):
        asked.append(images.clone())
        return images

    image = torch.randn(1, 1, 2, 3, 2)
    mirrored(network, (0, 1, 2))(image)
    assert len(asked) == 8
    for flips in product([False, True], repeat=3):
        axes = [2 + axis for axis, flip in enumerate(flips) if flip]
        assert sum(torch.equal(found, image.flip(axes)) for found in asked) == 1


def sides(images):
    """Scores of background, left and right, by intensity and by side of the image."""
    ramp = torch.linspace(-1, 1, images.shape[2]).view(-1, *[1] * (images.ndim - 3))
    bright = images[:, :1]
    return torch.cat([-bright, bright - ramp, bright + ramp], dim=1)


def test_a_network_that_knows_left_from_right_is_left_as_it_is(dim):
    images = torch.randn(2, 1, *(4, 6, 5)[:dim])
    found = mirrored(sides, (0,), 0, (0, 2, 1))(images)
    torch.testing.assert_close(found, sides(images))
    assert not torch.allclose(mirrored(sides, (0,))(images), sides(images))


@pytest.mark.parametrize("axes", [(0,), (0, 1)])
def test_a_mirrored_image_has_the_classes_exchanged(dim, axes):
    def network(images):  # of no symmetry at all
        return torch.cat([images.cumsum(2), images.cumsum(3) ** 2, images.exp()], dim=1)

    images = torch.randn(2, 1, *(4, 6, 5)[:dim])
    average = mirrored(network, axes, 0, (0, 2, 1))
    torch.testing.assert_close(average(images.flip(2)), average(images).flip(2)[:, [0, 2, 1]])
    if 1 in axes:
        torch.testing.assert_close(average(images.flip(3)), average(images).flip(3))


def test_classes_stay_where_left_and_right_are_not_mirrored(dim):
    images = torch.randn(2, 1, *(4, 6, 5)[:dim])
    torch.testing.assert_close(mirrored(sides, (1,), 0, (0, 2, 1))(images), sides(images))
