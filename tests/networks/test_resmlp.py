"""ResMLP is the paper's where one window covers the map."""

import pytest
import timm
import torch
from networks.fill import changed, difference, fill

from medseg.networks.encoders.pyramid import Levels
from medseg.networks.encoders.resmlp import SIZES, resmlp

MILLIONS = {"12": 15.35, "24": 30.02, "36": 44.69, "big24": 115.7}
"""Of the paper, with a final affine and a head of 1000 classes; B24 with patches of 16."""
NAMES = [
    ("stem.", "stem.proj."),
    ("stages.0.", "blocks."),
    ("_affine.weight", "_affine.alpha"),
    ("_affine.bias", "_affine.beta"),
    (".mixing_affine.", ".norm1."),
    (".mlp_affine.", ".norm2."),
    (".mixing_scale", ".ls1"),
    (".mlp_scale", ".ls2"),
    (".mixing.", ".linear_tokens."),
    (".expand.", ".mlp_channels.fc1."),
    (".project.", ".mlp_channels.fc2."),
]


def paper(name):
    """All blocks at one resolution, one window, and the paper's stem without norm."""
    dense = SIZES[name]
    size = dense._replace(depths=(sum(dense.depths),), channels=4 * dense.channels)
    encoder = resmlp(3, size, Levels(((16, 16),), (), (), ((14, 14),)))
    encoder.stem = encoder.stem[0]
    return encoder


def timms_name(name):
    for ours, theirs in NAMES:
        name = name.replace(ours, theirs)
    return name


def test_it_is_timms():
    ours = fill(paper("resmlp_12")).eval()
    theirs = fill(timm.create_model("resmlp_12_224", pretrained=False)).eval()
    shapes = theirs.state_dict()
    weights = {timms_name(name): weight for name, weight in ours.state_dict().items()}
    weights = {name: weight.reshape(shapes[name].shape) for name, weight in weights.items()}
    left = theirs.load_state_dict(weights, strict=False)
    assert set(left.missing_keys) == {"norm.alpha", "norm.beta", "head.weight", "head.bias"}
    x = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        features = theirs.forward_features(x)
        expected = theirs.forward_head(features)

        def found():
            return theirs.norm(ours(x)[0].flatten(2).transpose(1, 2))

        assert difference(found(), features) < 1e-4
        assert difference(theirs.forward_head(found()), expected) < 1e-4
        for weight in ("mixing.weight", "mixing_affine.weight", "mlp_scale", "expand.weight"):
            with changed(ours, f"stages.0.6.{weight}"):
                assert difference(found(), features) > 1e-3


@pytest.mark.parametrize(("size", "millions"), MILLIONS.items())
def test_parameters_are_counted_as_published(size, millions):
    with torch.device("meta"):
        encoder = paper(f"resmlp_{size}")
    channels = encoder.out_channels[-1]
    head = 2 * channels + 1000 * (channels + 1)
    count = sum(weight.numel() for weight in encoder.parameters()) + head
    assert count / 1e6 == pytest.approx(millions, rel=0.003)


@pytest.mark.parametrize(("size", "depth"), [("12", 12), ("24", 24), ("36", 36), ("big24", 24)])
def test_the_papers_blocks_are_dealt_to_stages(size, depth):
    assert SIZES[f"resmlp_{size}"].depths == (2, 2, depth - 6, 2)


@pytest.mark.parametrize(
    ("size", "start"), [("12", 0.1), ("24", 1e-5), ("36", 1e-6), ("big24", 1e-6)]
)
def test_deeper_ones_start_closer_to_the_identity(size, start):
    levels = Levels(((2, 2),), (), (), ((8, 8),))
    (stage,) = resmlp(1, SIZES[f"resmlp_{size}"], levels).stages
    for block in stage:
        for scale in (block.mixing_scale, block.mlp_scale):
            assert torch.equal(scale, torch.full((SIZES[f"resmlp_{size}"].channels,), start))


@torch.no_grad()
def test_a_volume_of_one_slice_is_an_image():
    size = SIZES["resmlp_mini"]._replace(channels=16)
    flat = fill(resmlp(3, size, Levels(((2, 2),) * 3, (), (), ((4, 4),) * 3))).eval()
    thick = resmlp(3, size, Levels(((1, 2, 2),) * 3, (), (), ((1, 4, 4),) * 3)).eval()
    shapes = {key: weight.shape for key, weight in thick.state_dict().items()}
    thick.load_state_dict({key: w.reshape(shapes[key]) for key, w in flat.state_dict().items()})
    x = torch.randn(2, 3, 40, 24, generator=torch.Generator().manual_seed(1))
    for plane, volume in zip(flat(x), thick(x[:, :, None]), strict=True):
        assert difference(volume[:, :, 0], plane) < 1e-5
    with changed(flat, "stages.1.1.mixing.weight"):
        assert difference(thick(x[:, :, None])[-1][:, :, 0], flat(x)[-1]) > 1e-3
