"""RepMLP is the paper's equations, partition by partition; around it stands timm's ResNet."""

import re
from itertools import product

import pytest
import torch
from networks.fill import changed, difference, fill
from timm.models.resnet import Bottleneck, ResNet

from medseg.networks.encoders.pyramid import Levels
from medseg.networks.encoders.repmlp import SIZES, repmlp_resnet
from medseg.networks.layers.folding import fold
from medseg.networks.layers.repmlp import RepMLP

CASES = [((5, 7), (2, 3)), ((4, 4), (2, 2)), ((3, 5), (1, 2)), ((3, 5, 4), (2, 1, 3))]
"""Size of a map, and its partitions' window."""
NAMES = [
    (r"^stem\.0\.convolution", "conv1"),
    (r"^stem\.0\.norm\.norm", "bn1"),
    (r"^stem\.3\.", "layer1.0."),
    (r"shortcut\.convolution", "downsample.0"),
    (r"shortcut\.norm\.norm", "downsample.1"),
    (r"branch\.(\d)\.convolution", lambda found: f"conv{int(found[1]) // 2 + 1}"),
    (r"branch\.(\d)\.norm\.norm", lambda found: f"bn{int(found[1]) // 2 + 1}"),
    (r"^merges\.(\d)\.", lambda found: f"layer{int(found[1]) + 2}.0."),
    (r"^stages\.(\d)\.(\d)", lambda found: f"layer{int(found[1]) + 1}.{int(found[2]) + 1}"),
]
"""Of our parameters in timm; the stem ends in the first block of the first stage."""


def paper(name, dim=2, window=7, **replaced):
    """The paper's strides and kernels; a third axis in front is not touched."""
    thin = (1,) * (dim - 2)
    steps = ((*thin, 4, 4), *((*thin, 2, 2),) * 3)
    kernels, mixers = ((*thin, 7, 7),) * 4, ((*thin, window, window),) * 4
    return repmlp_resnet(3, SIZES[name]._replace(**replaced), Levels(steps, kernels, (), mixers))


def normed(norm, x, feature):
    """One feature of a batch norm in evaluation."""
    scale = norm.weight[feature] / (norm.running_var[feature] + norm.eps).sqrt()
    return (x - norm.running_mean[feature]) * scale + norm.bias[feature]


def looked_around(block, reach):
    """A group of partitions, {first token: {token: channels}}, after the global perceptron."""
    norm, squeeze, excite = (
        block.glance.squeeze.norm,
        block.glance.squeeze.linear,
        block.glance.excite,
    )
    vector = []
    for partition in reach.values():
        means = sum(partition.values()) / len(partition)
        vector += [normed(norm, mean, channel) for channel, mean in enumerate(means)]
    hidden = (squeeze.weight @ torch.stack(vector) + squeeze.bias).clamp(min=0)
    added = excite.weight @ hidden + excite.bias
    parts = added.chunk(len(reach))
    return {
        first: {token: x + part for token, x in partition.items()}
        for part, (first, partition) in zip(parts, reach.items(), strict=True)
    }


def transformed(perceptron, partition):
    """Partition and local perceptrons of one partition, {token: channels}, sum by sum."""
    tokens, groups = list(partition), perceptron.groups
    channels = len(partition[tokens[0]])
    width = channels // groups
    out = {token: torch.zeros(channels, dtype=torch.double) for token in tokens}
    for (t, token), channel in product(enumerate(tokens), range(channels)):
        group, own = divmod(channel, width)
        seen = slice(group * width, (group + 1) * width)
        weight = perceptron.weight[group, own * len(tokens) + t].view(width, len(tokens))
        total = sum(weight[:, u] @ partition[other][seen] for u, other in enumerate(tokens))
        out[token][channel] = normed(perceptron.norm, total, channel * len(tokens) + t)
        for kernel, norm in zip(perceptron.kernels, perceptron.local_norms, strict=True):
            total = torch.zeros((), dtype=torch.double)
            for tap in product(*map(range, kernel.shape[2:])):
                place = [
                    at + along - length // 2
                    for at, along, length in zip(token, tap, kernel.shape[2:], strict=True)
                ]
                if tuple(place) in partition:
                    total += kernel[(channel, slice(None), *tap)] @ partition[tuple(place)][seen]
            out[token][channel] += normed(norm, total, channel)
    return out


def literal(block, x):
    """The paper's equations; x is (channels, *spatial). What is not on the map is zero."""
    size, window = x.shape[1:], block.window
    partitions = [2 if width > 1 else 1 for width in window]
    reach = [count * width for count, width in zip(partitions, window, strict=True)]
    zero, out = torch.zeros(len(x), dtype=torch.double), torch.zeros_like(x)
    for start in product(*map(range, [0] * len(size), size, reach)):
        group = {}
        for part in product(*map(range, partitions)):
            first = tuple(a + p * w for a, p, w in zip(start, part, window, strict=True))
            tokens = product(*(range(a, a + w) for a, w in zip(first, window, strict=True)))
            group[first] = {
                token: x[(slice(None), *token)]
                if all(t < length for t, length in zip(token, size, strict=True))
                else zero
                for token in tokens
            }
        for partition in looked_around(block, group).values():
            for token, value in transformed(block.partition, partition).items():
                if all(t < length for t, length in zip(token, size, strict=True)):
                    out[(slice(None), *token)] = value
    return out


@pytest.mark.parametrize(("size", "window"), CASES, ids=str)
@torch.no_grad()
def test_it_is_the_papers_equations(size, window):
    block = fill(RepMLP(4, window, 2)).eval().double()
    x = torch.randn(4, *size, generator=torch.Generator().manual_seed(1)).double()
    expected = literal(block, x)
    assert difference(block(x[None])[0], expected) < 1e-10
    assert difference(fold(block)(x[None])[0], expected) < 1e-10
    for name in ("partition.weight", "partition.kernels.1", "glance.excite.weight"):
        with changed(block, name):
            assert difference(block(x[None])[0], expected) > 1e-3


def test_a_local_kernel_does_not_reach_along_an_axis_that_partitions_do_not():
    kernels = RepMLP(4, (1, 4, 4), 2).partition.kernels
    widths = [tuple(kernel.shape[2:]) for kernel in kernels]
    assert widths == [(1, 1, 1), (1, 3, 3), (1, 5, 5)]


@torch.no_grad()
def test_without_repmlp_it_is_timms_resnet():
    """Stages of one block have none: what is left is stem, bottlenecks and strides."""
    depths = (3, 1, 1, 3)
    ours = fill(paper("repmlp_res50_bottleneck", depths=depths)).eval()
    theirs = ResNet(Bottleneck, depths, num_classes=0).eval()
    weights = ours.state_dict()
    for pattern, new in NAMES:
        weights = {re.sub(pattern, new, name): weight for name, weight in weights.items()}
    theirs.load_state_dict(weights)
    x = torch.randn(1, 3, 72, 104, generator=torch.Generator().manual_seed(1))
    expected = theirs.forward_intermediates(x, intermediates_only=True)[1:]
    found = ours(x)
    assert [m.shape for m in found] == [m.shape for m in expected]
    assert max(map(difference, found, expected)) < 1e-4
    with changed(ours, "stages.3.1.branch.2.convolution.weight"):
        assert difference(ours(x)[-1], expected[-1]) > 1e-3


@pytest.mark.parametrize(
    ("name", "groups", "narrow"),
    [("repmlp_res50_bottleneck", 8, (64, 64)), ("repmlp_res50_light", 4, (64, 128))],
)
def test_it_stands_where_the_paper_puts_it(name, groups, narrow):
    with torch.device("meta"):
        encoder = paper(name)
    assert encoder.out_channels == (256, 512, 1024, 2048)
    cores = [
        [part for part in stage.modules() if isinstance(part, RepMLP)] for stage in encoder.stages
    ]
    assert list(map(len, cores)) == [0, 3, 5, 0]
    for stage, channels in zip(cores[1:3], narrow, strict=True):
        shape = (groups, channels // groups * 49, channels // groups * 49)
        assert all(core.partition.weight.shape == shape for core in stage)
        assert all(core.glance.excite.in_features == 4 * channels for core in stage)


@pytest.mark.parametrize("name", ["repmlp_res50_bottleneck", "repmlp_res50_light"])
@torch.no_grad()
def test_a_volume_of_one_slice_is_an_image(name):
    flat = fill(paper(name, window=4, channels=32)).eval()
    thick = paper(name, dim=3, window=4, channels=32).eval()
    shapes = {key: weight.shape for key, weight in thick.state_dict().items()}
    thick.load_state_dict({key: w.reshape(shapes[key]) for key, w in flat.state_dict().items()})
    x = torch.randn(2, 3, 96, 64, generator=torch.Generator().manual_seed(1))
    for plane, volume in zip(flat(x), thick(x[:, :, None]), strict=True):
        assert difference(volume[:, :, 0], plane) < 1e-5
    core = "branch.4" if name.endswith("bottleneck") else "branch.2"
    with changed(flat, f"stages.2.3.{core}.partition.weight"):
        assert difference(thick(x[:, :, None])[2][:, :, 0], flat(x)[2]) > 1e-3


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_the_stem_has_any_stride_per_axis(stride):
    levels = Levels(((stride, 4), (2, 2)), ((5, 7),) * 2, (), ((2, 2),) * 2)
    encoder = repmlp_resnet(1, SIZES["repmlp_mini"]._replace(channels=16), levels).eval()
    sizes = [m.shape[2:] for m in encoder(torch.randn(1, 1, 32, 32))]
    assert sizes == [(32 // stride, 8), (16 // stride, 4)]
