import pytest
import timm
import torch
from networks.fill import changed, difference, fill

from medseg.networks.encoders.convnext import SIZES, convnext
from medseg.networks.encoders.pyramid import Levels

MILLIONS = {"tiny": 28.59, "small": 50.22, "base": 88.59, "large": 197.8, "xlarge": 350.2}
"""Of the paper, with a head of 1000 classes."""
NAMES = [
    ("merges.", "stages."),
    (".depthwise.", ".conv_dw."),
    (".expand.", ".mlp.fc1."),
    (".project.", ".mlp.fc2."),
    (".scale", ".gamma"),
]


def paper(size, dim=2, in_channels=3, **replaced):
    """The paper's strides and kernels; a third axis in front is not touched."""
    thin = (1,) * (dim - 2)
    levels = Levels(((*thin, 4, 4), *((*thin, 2, 2),) * 3), ((*thin, 7, 7),) * 4, (), ())
    return convnext(in_channels, SIZES[f"convnext_{size}"]._replace(**replaced), levels)


def timms_name(name):
    """Our parameter's name in timm."""
    kind, index, *rest = name.split(".")
    if kind == "merges":
        return ".".join(["stages", str(int(index) + 1), "downsample", *rest])
    if kind == "stages":
        name = ".".join(["stages", index, "blocks", *rest])
    for ours, theirs in NAMES[1:]:
        name = name.replace(ours, theirs)
    return name


def timms_maps(model, x):
    maps = []
    x = model.stem(x)
    for stage in model.stages:
        x = stage(x)
        maps.append(x)
    return maps


@pytest.mark.parametrize(("size", "deep"), [("tiny", "stages.2.4"), ("base", "stages.2.20")])
def test_it_is_timms(size, deep):
    ours = fill(paper(size)).eval()
    theirs = timm.create_model(f"convnext_{size}", pretrained=False, num_classes=0).eval()
    weights = {timms_name(name): weight for name, weight in ours.state_dict().items()}
    left = theirs.load_state_dict(weights, strict=False)
    assert not left.unexpected_keys
    assert all(key.startswith("head.") for key in left.missing_keys)
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = timms_maps(theirs, x)
        found = ours(x)
        assert [m.shape for m in found] == [m.shape for m in expected]
        assert max(map(difference, found, expected)) < 1e-4
        for weight in ("project.weight", "depthwise.weight", "scale"):
            with changed(ours, f"{deep}.{weight}"):
                assert difference(ours(x)[-1], expected[-1]) > 1e-3


@pytest.mark.parametrize(("size", "millions"), MILLIONS.items())
def test_parameters_are_counted_as_published(size, millions):
    with torch.device("meta"):
        encoder = paper(size)
    channels = encoder.out_channels[-1]
    head = 2 * channels + 1000 * (channels + 1)
    count = sum(weight.numel() for weight in encoder.parameters()) + head
    assert count / 1e6 == pytest.approx(millions, rel=0.003)


def test_a_volume_of_one_slice_is_an_image():
    flat = fill(paper("tiny", channels=16)).eval()
    thick = paper("tiny", dim=3, channels=16).eval()
    assert thick.strides == tuple((1, *strides) for strides in flat.strides)
    shapes = {name: weight.shape for name, weight in thick.state_dict().items()}
    weights = {name: w.reshape(shapes[name]) for name, w in flat.state_dict().items()}
    thick.load_state_dict(weights)
    x = torch.randn(2, 3, 64, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for plane, volume in zip(flat(x), thick(x[:, :, None]), strict=True):
            assert difference(volume[:, :, 0], plane) < 1e-5
        with changed(flat, "stages.2.4.expand.weight"):
            assert difference(thick(x[:, :, None])[-1][:, :, 0], flat(x)[-1]) > 1e-3


def test_depth_drops_linearly_and_only_in_training():
    levels = Levels(((2, 2),) * 4, ((3, 3),) * 4, (), ())
    encoder = convnext(1, SIZES["convnext_micro"], levels, drop_path=0.4)
    rates = [block.drop_path.rate for stage in encoder.stages for block in stage]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    fill(encoder)
    x = torch.randn(8, 1, 16, 16)
    torch.manual_seed(0)
    assert not torch.equal(encoder(x)[-1], encoder(x)[-1])
    encoder.eval()
    assert torch.equal(encoder(x)[-1], encoder(x)[-1])
