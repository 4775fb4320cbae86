"""gMLP is the paper's where one window covers the map; aMLP adds a little attention to it."""

import pytest
import timm
import torch
from networks.fill import changed, difference, fill

from medseg.networks.encoders.gmlp import SIZES, gmlp
from medseg.networks.encoders.pyramid import Levels
from medseg.networks.layers.gmlp_block import GMLPBlock, TinyAttention
from medseg.networks.layers.windows import join_windows, split_windows

MILLIONS = {"tiny": 5.87, "small": 19.42, "base": 73.08}
"""Of the paper, with a final norm and a head of 1000 classes."""
NAMES = [
    ("stem.", "stem.proj."),
    ("stages.0.", "blocks."),
    (".expand.", ".mlp_channels.fc1."),
    (".gate.mixing.", ".mlp_channels.gate.proj."),
    (".gate.norm.", ".mlp_channels.gate.norm."),
    (".project.", ".mlp_channels.fc2."),
]


def paper(name):
    """All blocks at one resolution, one window, and the paper's stem without norm."""
    dense = SIZES[name]
    size = dense._replace(depths=(sum(dense.depths),), channels=4 * dense.channels)
    encoder = gmlp(3, size, Levels(((16, 16),), (), (), ((14, 14),)))
    encoder.stem = encoder.stem[0]
    return encoder


def timms_name(name):
    for ours, theirs in NAMES:
        name = name.replace(ours, theirs)
    return name


def test_it_is_timms():
    ours = fill(paper("gmlp_small")).eval()
    theirs = fill(timm.create_model("gmlp_s16_224", pretrained=False)).eval()
    shapes = theirs.state_dict()
    weights = {timms_name(name): weight for name, weight in ours.state_dict().items()}
    weights = {name: weight.reshape(shapes[name].shape) for name, weight in weights.items()}
    left = theirs.load_state_dict(weights, strict=False)
    assert set(left.missing_keys) == {"norm.weight", "norm.bias", "head.weight", "head.bias"}
    x = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        features = theirs.forward_features(x)
        expected = theirs.forward_head(features)

        def found():
            return theirs.norm(ours(x)[0].flatten(2).transpose(1, 2))

        assert difference(found(), features) < 1e-4
        assert difference(theirs.forward_head(found()), expected) < 1e-4
        for weight in ("gate.mixing.weight", "gate.norm.weight", "expand.weight"):
            with changed(ours, f"stages.0.14.{weight}"):
                assert difference(found(), features) > 1e-3


@pytest.mark.parametrize(("size", "millions"), MILLIONS.items())
def test_parameters_are_counted_as_published(size, millions):
    with torch.device("meta"):
        encoder = paper(f"gmlp_{size}")
    channels = encoder.out_channels[-1]
    head = 2 * channels + 1000 * (channels + 1)
    count = sum(weight.numel() for weight in encoder.parameters()) + head
    assert count / 1e6 == pytest.approx(millions, rel=0.003)


@pytest.mark.parametrize("name", [name for name in SIZES if not name.endswith("mini")])
def test_the_papers_blocks_are_dealt_to_stages(name):
    assert SIZES[name].depths == (2, 2, 30 - 6, 2)


def test_a_gate_is_open_at_first(dim):
    """Weights near 0 and biases of 1: a block begins as one without mixing."""
    block = GMLPBlock(8, (4,) * dim)
    x = torch.randn(1, 8, *(5,) * dim)
    with torch.no_grad():
        tokens = block.norm(x.movedim(1, -1))
        passed = torch.nn.functional.gelu(block.expand(tokens)).chunk(2, -1)[0]
        expected = x + block.project(passed).movedim(-1, 1)
        assert difference(block(x), expected) < 1e-4


@pytest.mark.parametrize("dilated", [False, True])
def test_without_what_its_attention_adds_amlp_is_gmlp(dilated, dim):
    window = (2, 4, 3)[:dim]
    amlp = fill(GMLPBlock(8, window, dilated=dilated, attention=True))
    gmlp = GMLPBlock(8, window, dilated=dilated)
    left = gmlp.load_state_dict(amlp.state_dict(), strict=False)
    assert not left.missing_keys
    assert all(key.startswith("attention.") for key in left.unexpected_keys)
    x = torch.randn(2, 8, *(5, 7, 4)[:dim], generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert difference(amlp(x), gmlp(x)) > 1e-2
        amlp.attention.project.weight.zero_()
        amlp.attention.project.bias.zero_()
        assert difference(amlp(x), gmlp(x)) < 1e-6
        with changed(amlp, "gate.mixing.weight"):
            assert difference(amlp(x), gmlp(x)) > 1e-3


@pytest.mark.parametrize("name", ["gmlp_mini", "amlp_mini"])
@torch.no_grad()
def test_a_volume_of_one_slice_is_an_image(name):
    size = SIZES[name]._replace(channels=16)
    flat = fill(gmlp(3, size, Levels(((2, 2),) * 3, (), (), ((4, 4),) * 3))).eval()
    thick = gmlp(3, size, Levels(((1, 2, 2),) * 3, (), (), ((1, 4, 4),) * 3)).eval()
    shapes = {key: weight.shape for key, weight in thick.state_dict().items()}
    thick.load_state_dict({key: w.reshape(shapes[key]) for key, w in flat.state_dict().items()})
    x = torch.randn(2, 3, 40, 24, generator=torch.Generator().manual_seed(1))
    for plane, volume in zip(flat(x), thick(x[:, :, None]), strict=True):
        assert difference(volume[:, :, 0], plane) < 1e-5
    with changed(flat, "stages.1.1.gate.mixing.weight"):
        assert difference(thick(x[:, :, None])[-1][:, :, 0], flat(x)[-1]) > 1e-3


def literal_attention(attention, tokens):
    """The paper's equations for the tokens of one window: (tokens, channels)."""
    q, k, v = attention.qkv(tokens).chunk(3, dim=-1)
    out = torch.zeros_like(q)
    for row, query in enumerate(q):
        scores = torch.stack([(query * key).sum() / 64**0.5 for key in k])
        shares = scores.exp() / scores.exp().sum()
        out[row] = sum(share * value for share, value in zip(shares, v, strict=True))
    return attention.project(out)


@pytest.mark.parametrize("dilated", [False, True])
@torch.no_grad()
def test_attention_is_the_papers_in_each_window(dilated, dim):
    window, size = (2, 4, 3)[:dim], (4, 4, 6)[:dim]
    attention = fill(TinyAttention(6, 10, window, dilated=dilated))
    x = torch.randn(1, *size, 6, generator=torch.Generator().manual_seed(1))
    windows = split_windows(x, window, dilated=dilated)
    expected = torch.stack([literal_attention(attention, tokens) for tokens in windows[0]])
    expected = join_windows(expected[None], window, size, dilated=dilated)
    assert difference(attention(x), expected) < 1e-5
    with changed(attention, "qkv.weight"):
        assert difference(attention(x), expected) > 1e-3


@torch.no_grad()
def test_attention_does_not_see_what_fills_up_a_window():
    attention = fill(TinyAttention(6, 10, (4, 4), dilated=False))
    x = torch.randn(1, 6, 4, 6, generator=torch.Generator().manual_seed(1))
    cut_off = x[0, 4:].flatten(0, 1)
    expected = literal_attention(attention, cut_off).reshape(2, 4, 10)
    assert difference(attention(x)[0, 4:], expected) < 1e-5
