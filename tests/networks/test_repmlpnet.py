"""The RepMLPNet unit is the paper's equations; the networks have the papers' sizes."""

from itertools import product

import pytest
import torch
from networks.fill import changed, difference, fill
from torch import nn
from torch.nn import functional as F

from medseg.networks.encoders.pyramid import Levels
from medseg.networks.encoders.repmlpnet import SIZES, repmlpnet
from medseg.networks.layers.folding import fold
from medseg.networks.layers.repmlpnet_unit import RepMLPNetUnit

PAPER = {"t": (224, 38.3), "b": (224, 68.2), "d": (256, 86.9), "l": (256, 117.7)}
"""Pixels of the image, and millions of parameters when folded, with norm and 1000 classes."""
CASES = [((5, 7), (2, 3)), ((4, 6), (4, 6)), ((3, 5), (1, 2)), ((3, 5, 4), (2, 1, 3))]
"""Size of a map, and its partitions' window; the second is the paper's form."""


def paper(name, image, dim=2, **replaced):
    """The paper's strides, and partitions that cover the maps; a third axis is not touched."""
    thin = (1,) * (dim - 2)
    steps = ((*thin, 4, 4), *((*thin, 2, 2),) * 3)
    mixers = tuple((*thin, image // stride, image // stride) for stride in (4, 8, 16, 32))
    return repmlpnet(
        3, SIZES[f"repmlpnet_{name}"]._replace(**replaced), Levels(steps, (), (), mixers)
    )


def normed(norm, x):
    """A batch norm in evaluation; x is (channels)."""
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return (x - norm.running_mean) * scale + norm.bias


def window_and_place(token, size, window, dilated):
    """Which window a token is in, and where in it, per axis."""
    counts = [-(-length // width) for length, width in zip(size, window, strict=True)]
    pairs = [
        (t % count, t // count) if dilated else divmod(t, width)
        for t, count, width in zip(token, counts, window, strict=True)
    ]
    return tuple(zip(*pairs, strict=True))


def mixed(mixing, tokens, size):
    """Linear layer and convolutions of each partition, set by set; tokens are {place: channels}."""
    sets, window = len(mixing.weight), mixing.window
    inner = list(product(*map(range, window)))
    at = {token: window_and_place(token, size, window, mixing.dilated) for token in tokens}
    out = {}
    for token, (own, place) in at.items():
        sums = torch.zeros(3, sets, len(tokens[token]) // sets, dtype=torch.double)
        for other, (its, its_place) in at.items():
            if its != own:
                continue
            parts = tokens[other].view(sets, -1)
            weights = [mixing.weight[:, inner.index(place), inner.index(its_place)]]
            for kernel in mixing.kernels:
                tap = [
                    b - a + width // 2
                    for a, b, width in zip(place, its_place, kernel.shape[2:], strict=True)
                ]
                inside = all(0 <= t < w for t, w in zip(tap, kernel.shape[2:], strict=True))
                weights.append(
                    kernel[(slice(None), 0, *tap)] if inside else torch.zeros(sets).double()
                )
            sums += torch.stack(weights)[..., None] * parts
        ways = zip(mixing.norms, sums, strict=True)
        out[token] = sum(normed(norm, way.T).T for norm, way in ways).flatten()
    return out


def literal(unit, x):
    """The paper's equations; x is (channels, *spatial)."""
    size = x.shape[1:]
    tokens = {token: x[(slice(None), *token)] for token in product(*map(range, size))}
    before = {token: normed(unit.mixing_norm.norm, value) for token, value in tokens.items()}
    mean = sum(before.values()) / len(before)
    hidden = (unit.squeeze.weight @ mean + unit.squeeze.bias).clamp(min=0)
    gate = 1 / (1 + (-(unit.excite.weight @ hidden + unit.excite.bias)).exp())
    out = torch.zeros_like(x)
    for token, value in mixed(unit.mixing, before, size).items():
        y = tokens[token] + gate * value
        hidden = unit.expand.linear.weight @ normed(unit.mlp_norm.norm, y)
        hidden = F.gelu(normed(unit.expand.norm.norm, hidden))
        z = normed(unit.project.norm.norm, unit.project.linear.weight @ hidden)
        out[(slice(None), *token)] = y + z
    return out


@pytest.mark.parametrize("dilated", [False, True])
@pytest.mark.parametrize(("size", "window"), CASES, ids=str)
@torch.no_grad()
def test_it_is_the_papers_equations(size, window, dilated):
    unit = fill(RepMLPNetUnit(16, window, 2, dilated=dilated), seed=4).eval().double()
    x = torch.randn(16, *size, generator=torch.Generator().manual_seed(1)).double()
    expected = literal(unit, x)
    assert difference(unit(x[None])[0], expected) < 1e-10
    assert difference(fold(unit)(x[None])[0], expected) < 1e-10
    for name in ("mixing.weight", "mixing.kernels.1", "excite.weight", "expand.linear.weight"):
        with changed(unit, name):
            assert difference(unit(x[None])[0], expected) > 1e-4


@pytest.mark.parametrize(("size", "image", "millions"), [(n, *facts) for n, facts in PAPER.items()])
def test_folded_parameters_are_counted_as_published(size, image, millions):
    with torch.device("meta"):
        encoder = fold(paper(size, image))
    channels = encoder.out_channels[-1]
    head = 2 * channels + 1000 * (channels + 1)
    count = sum(weight.numel() for weight in encoder.parameters()) + head
    assert count / 1e6 == pytest.approx(millions, rel=0.003)


@torch.no_grad()
def test_the_papers_form_folds():
    """One partition covers each map; in double, since a deep one's own rounding is larger."""
    network = fill(paper("t", 64, channels=16, sets=(1, 4, 16, 32))).double().eval()
    folded = fold(network)
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)).double()
    assert max(map(difference, folded(x), network(x))) < 1e-10
    with changed(network, "stages.2.3.mixing.kernels.1"):
        assert difference(folded(x)[-1], network(x)[-1]) > 1e-3


def test_folded_blocks_have_no_convolution(dim):
    levels = Levels(((2,) * dim,) * 4, (), (), ((4,) * dim,) * 4)
    folded = fold(repmlpnet(1, SIZES["repmlpnet_mini"]._replace(channels=16), levels))
    kinds = (nn.Conv2d, nn.Conv3d)
    assert not any(isinstance(part, kinds) for part in folded.stages.modules())
    assert all(weight.ndim <= 3 for weight in folded.stages.parameters())
    embeddings = [part for part in folded.modules() if isinstance(part, kinds)]
    assert [part.kernel_size for part in embeddings] == [(2,) * dim] * 4


@torch.no_grad()
def test_a_volume_of_one_slice_is_an_image():
    flat, thick = (fill(paper("t", 64, dim, channels=16, sets=(1, 4, 8, 16))) for dim in (2, 3))
    shapes = {key: weight.shape for key, weight in thick.state_dict().items()}
    thick.load_state_dict({key: w.reshape(shapes[key]) for key, w in flat.state_dict().items()})
    flat.eval()
    thick.eval()
    x = torch.randn(2, 3, 96, 160, generator=torch.Generator().manual_seed(1))
    for plane, volume in zip(flat(x), thick(x[:, :, None]), strict=True):
        assert difference(volume[:, :, 0], plane) < 1e-5
    with changed(flat, "stages.2.3.mixing.weight"):
        assert difference(thick(x[:, :, None])[-1][:, :, 0], flat(x)[-1]) > 1e-3
