import pytest
import torch
from networks.fill import difference
from torch.nn import functional as F

from medseg.networks.layers.depthwise import DepthwiseConv

KERNELS = [(1, 1), (3, 3), (5, 5), (7, 7), (1, 5), (7, 3)]
KERNELS += [(1, 1, 1), (3, 3, 3), (5, 5, 5), (7, 7, 7), (1, 5, 5), (3, 7, 1)]
SIZE = (6, 9, 5)


def layer_and_input(kernel):
    torch.manual_seed(len(kernel))
    layer = DepthwiseConv(3, kernel).double()
    torch.nn.init.normal_(layer.bias)
    return layer, torch.randn(2, 3, *SIZE[: len(kernel)], dtype=torch.double, requires_grad=True)


def reference(layer, x):
    """The library's own convolution, and its own backward."""
    convolve = F.conv2d if x.ndim == 4 else F.conv3d
    padding = [width // 2 for width in layer.weight.shape[2:]]
    return convolve(x, layer.weight, layer.bias, padding=padding, groups=3)


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_backward_is_autograds(kernel):
    layer, x = layer_and_input(kernel)
    inputs = (x, *layer.parameters())
    out, expected = layer(x), reference(layer, x)
    towards = torch.randn_like(out)
    found = torch.autograd.grad(out, inputs, towards)
    wanted = torch.autograd.grad(expected, inputs, towards)
    assert difference(out, expected) < 1e-12
    for mine, theirs in zip(found, wanted, strict=True):
        assert difference(mine, theirs) < 1e-12


@pytest.mark.parametrize("kernel", [(3, 5), (1, 3, 5)], ids=str)
def test_without_gradients_it_is_the_same(kernel):
    layer, x = layer_and_input(kernel)
    with torch.no_grad():
        still = layer(x)
    assert not still.requires_grad
    torch.testing.assert_close(still, layer(x))


@pytest.mark.parametrize("wanted", ["input", "weight"])
def test_either_gradient_alone(wanted):
    layer, x = layer_and_input((3, 3))
    layer.weight.requires_grad_(wanted == "weight")
    x.requires_grad_(wanted == "input")
    leaf = x if wanted == "input" else layer.weight
    (found,) = torch.autograd.grad(layer(x).square().sum(), leaf)
    (expected,) = torch.autograd.grad(reference(layer, x).square().sum(), leaf)
    torch.testing.assert_close(found, expected)


def test_a_gradient_of_any_memory_layout():
    layer, x = layer_and_input((3, 3, 3))
    (found,) = torch.autograd.grad(layer(x).sum(), x)  # `sum` hands back an expanded scalar
    (expected,) = torch.autograd.grad(reference(layer, x).sum(), x)
    torch.testing.assert_close(found, expected)
