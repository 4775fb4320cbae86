"""The folded form of a network is the same function, and folding leaves the network as it was.

Mostly in double precision: the values of a filled RepMLPNet grow so much that in single precision
its own output is good to three digits only, whatever its form.
"""

from itertools import product

import pytest
import torch
from networks.fill import changed, difference, fill
from torch import nn
from torch.nn import functional as F

from medseg.networks.encoders import convnext, repmlp, repmlpnet
from medseg.networks.encoders.pyramid import Levels
from medseg.networks.layers.batch_norm import (
    BatchNorm,
    ConvNorm,
    LinearNorm,
    NormLinear,
    TokenBatchNorm,
)
from medseg.networks.layers.folding import convolution_matrix, fold
from medseg.networks.layers.nd import CONVOLUTIONS

CASES = [((4, 5), (3, 3)), ((2, 6), (5, 5)), ((1, 4), (1, 3)), ((3, 3), (1, 1)), ((7, 3), (5, 1))]
CASES += [((3, 4, 2), (3, 3, 3)), ((1, 4, 4), (1, 5, 5)), ((2, 2, 3), (5, 3, 1))]
DEEP = {
    "repmlp_res50_bottleneck": ("stages.2.4.branch.4.partition.kernels.2", "stages.1.1.branch.0"),
    "repmlp_res50_light": ("stages.2.4.branch.2.partition.weight", "stages.3.1.branch.2"),
    "repmlpnet_b": ("stages.2.7.mixing.kernels.1", "merges.2.0"),
}
"""Names of a tensor, and of a module that ends in a norm, far from the image."""
WINDOW = {2: (4, 4), 3: (2, 4, 2)}
SIZE = {2: (32, 56), 3: (16, 24, 16)}


def encoder(name, dim):
    """Of the paper's depth, narrowed; maps do not divide into windows."""
    steps = ((2,) * dim,) * 4
    levels = Levels(steps, ((3,) * dim,) * 4, (), (WINDOW[dim],) * 4)
    family, build = (
        (repmlpnet, repmlpnet.repmlpnet)
        if name in repmlpnet.SIZES
        else (repmlp, repmlp.repmlp_resnet)
    )
    size = family.SIZES[name]._replace(channels=16)
    return build(2, size, levels)


def image(dim):
    return torch.randn(2, 2, *SIZE[dim], generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("window", "widths"), CASES, ids=str)
def test_a_convolution_in_a_window_is_a_matrix(window, widths):
    """Its columns are what it makes of each token alone."""
    torch.manual_seed(0)
    kernel = torch.randn(3, 2, *widths)
    tokens = torch.Size(window).numel()
    convolve = F.conv2d if len(window) == 2 else F.conv3d
    expected = torch.zeros(3, tokens, 2, tokens)
    for channel, token in product(range(2), range(tokens)):
        alone = torch.zeros(1, 2, tokens)
        alone[0, channel, token] = 1
        padding = [width // 2 for width in widths]
        out = convolve(alone.view(1, 2, *window), kernel, padding=padding)
        expected[:, :, channel, token] = out.view(3, tokens)
    assert torch.equal(convolution_matrix(kernel, window), expected)


def layers(dim):
    convolution = CONVOLUTIONS[dim](4, 6, 3, stride=2, padding=1, groups=2, bias=False)
    return {
        "convolution": (ConvNorm(convolution), (3, 4, *(9, 6, 7)[:dim])),
        "linear": (LinearNorm(4, 6), (3, *(9, 6, 7)[:dim], 4)),
        "linear after it": (NormLinear(4, 3), (5, 12)),
        "norm": (TokenBatchNorm(4), (3, *(9, 6, 7)[:dim], 4)),
    }


@pytest.mark.parametrize("kind", ["convolution", "linear", "linear after it", "norm"])
@torch.no_grad()
def test_a_norm_disappears(kind, dim):
    layer, shape = layers(dim)[kind]
    network = fill(nn.Sequential(layer)).eval()
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    folded = fold(network)
    assert not any(isinstance(part, BatchNorm) for part in folded.modules())
    assert difference(folded(x), network(x)) < 1e-6
    for parameter in ("weight", "bias"):
        name = [name for name, _ in network.named_parameters() if name.endswith(parameter)][-1]
        with changed(network, name):
            assert difference(folded(x), network(x)) > 1e-3


@pytest.mark.parametrize("name", DEEP)
@torch.no_grad()
def test_the_folded_network_is_the_same_function(name, dim):
    network, x = fill(encoder(name, dim)).eval().double(), image(dim).double()
    folded = fold(network)
    assert not any(isinstance(part, BatchNorm) for part in folded.modules())
    assert list(folded.buffers()) == []
    ours = folded(x)
    assert max(map(difference, ours, network(x))) < 1e-10
    tensor, normed = DEEP[name]
    with changed(network, tensor):
        assert difference(network(x)[-1], ours[-1]) > 1e-4
    before = ours[-1]
    for buffer in ("running_mean", "running_var"):
        network.get_submodule(normed).norm.norm.get_buffer(buffer).add_(0.5)
        after = network(x)[-1]
        assert difference(after, before) > 1e-7
        before = after
    assert difference(fold(network)(x)[-1], after) < 1e-10


@pytest.mark.parametrize("name", DEEP)
@torch.no_grad()
def test_single_precision_is_enough_for_what_a_network_has_seen(name, dim):
    network, x = fill(encoder(name, dim)), image(dim)
    for part in network.modules():
        if isinstance(part, BatchNorm):
            part.momentum = 1.0
    network.train()(x)
    network.eval()
    folded = fold(network)
    assert max(map(difference, folded(x), network(x))) < 1e-4
    with changed(network, DEEP[name][0]):
        assert difference(folded(x)[-1], network(x)[-1]) > 1e-3


@pytest.mark.parametrize("name", DEEP)
@torch.no_grad()
def test_folded_weights_find_their_place_from_the_meta_device(name, dim):
    """As a model file is read."""
    folded, x = fold(fill(encoder(name, dim))).eval(), image(dim)
    weights = folded.state_dict()
    assert not any(weight.is_meta for weight in weights.values())
    with torch.device("meta"):
        other = fold(encoder(name, dim))
    other.load_state_dict(weights, assign=True)
    other.eval()
    assert all(map(torch.equal, other(x), folded(x)))


@pytest.mark.parametrize("name", ["repmlp_res50_light", "repmlpnet_b"])
def test_training_goes_on_as_if_nothing_had_been_folded(name):
    network = fill(encoder(name, 2)).train()
    before = {key: weight.clone() for key, weight in network.state_dict().items()}
    parts, random = list(network.modules()), torch.get_rng_state()
    folded = fold(network)
    assert torch.equal(torch.get_rng_state(), random)
    assert list(network.modules()) == parts
    assert all(part.training for part in [*parts, *folded.modules()])
    with torch.no_grad():
        for weight in folded.parameters():
            weight.add_(1)
    after = network.state_dict()
    assert all(torch.equal(after[key], weight) for key, weight in before.items())
    sum(m.square().mean() for m in network(image(2))).backward()
    assert all(weight.grad is not None for weight in network.parameters())


@torch.no_grad()
def test_what_cannot_be_folded_is_kept():
    levels = Levels(((2, 2),) * 4, ((3, 3),) * 4, (), ())
    size = convnext.SIZES["convnext_micro"]._replace(channels=8)
    network = fill(convnext.convnext(2, size, levels)).eval()
    folded = fold(network)
    assert list(map(type, folded.modules())) == list(map(type, network.modules()))
    pairs = zip(folded.state_dict().items(), network.state_dict().items(), strict=True)
    assert all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)
    assert torch.equal(folded(image(2))[-1], network(image(2))[-1])


@pytest.mark.parametrize("name", ["repmlp_res50_light", "repmlpnet_b"])
@torch.no_grad()
def test_a_folded_network_folds_to_itself(name):
    """As when a model that was read is saved again."""
    folded = fold(fill(encoder(name, 2))).eval()
    again = fold(folded)
    assert again.state_dict().keys() == folded.state_dict().keys()
    assert all(map(torch.equal, again(image(2)), folded(image(2))))
