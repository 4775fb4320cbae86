"""Weights in the layouts of others compute here what they compute there."""

import re
from functools import partial
from math import prod
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from networks.fill import changed, difference, fill, fill_tensor
from networks.foreign import (
    facebook_convnext,
    is_parameter,
    microsoft_swin_mlp,
    microsoft_swinv2,
    weights_of,
)
from networks.test_swin_mlp import Literal
from safetensors.torch import save_file
from timm.models import convnext as timm_convnext
from timm.models import swin_transformer_v2 as timm_swinv2
from torchvision.models.convnext import CNBlockConfig
from torchvision.models.swin_transformer import (
    PatchMergingV2,
    SwinTransformer,
    SwinTransformerBlockV2,
)

from medseg.networks.encoders import convnext, swin_mlp, swinv2
from medseg.networks.encoders.pyramid import Levels
from medseg.networks.pretrained.layouts import find_layout, renamed
from medseg.networks.pretrained.load import load_pretrained

DEPTHS = (1, 2, 3, 2)
WIDTHS = (16, 32, 64, 128)
HEADS = (2, 4, 8, 16)
WINDOW = 4
IMAGE = 128
CLASSIFIERS = ("head.", "norm.", "classifier.")


def encoder(family, depths=DEPTHS, width=WIDTHS[0], window=WINDOW, **size):
    """Narrow, with the paper's strides and kernels."""
    build, size = {
        "convnext": (convnext.convnext, convnext.ConvNeXtSize(depths, width)),
        "swinv2": (swinv2.swinv2, swinv2.SwinV2Size(depths, width, 8)),
        "swin_mlp": (swin_mlp.swin_mlp, swin_mlp.SwinMLPSize(depths, width, 8)),
    }[family]
    steps = ((4, 4), *((2, 2),) * (len(depths) - 1))
    windows = ((window,) * 2,) * len(depths)
    return build(3, size, Levels(steps, ((7, 7),) * len(depths), windows, windows)).eval()


def timms_convnext(depths=DEPTHS, widths=WIDTHS):
    return timm_convnext.ConvNeXt(depths=depths, dims=widths, num_classes=5)


def timms_swinv2(window=WINDOW, pretrained=0, image=IMAGE):
    return timm_swinv2.SwinTransformerV2(
        img_size=image, embed_dim=16, depths=DEPTHS, num_heads=HEADS, window_size=window,
        num_classes=5, pretrained_window_sizes=(pretrained,) * 4,
    )  # fmt: skip


def torchvisions_convnext():
    settings = [CNBlockConfig(*s) for s in zip(WIDTHS, (*WIDTHS[1:], None), DEPTHS, strict=True)]
    return torchvision.models.ConvNeXt(settings, num_classes=5)


def torchvisions_swinv2():
    return SwinTransformer(
        [4, 4], 16, list(DEPTHS), list(HEADS), [WINDOW] * 2, num_classes=5,
        block=SwinTransformerBlockV2, downsample_layer=PatchMergingV2,
    )  # fmt: skip


def timms_maps(model, x):
    return model.forward_intermediates(x, intermediates_only=True)


def torchvisions_maps(model, x):
    maps = []
    for stage in model.features.children():
        x = stage(x)
        maps.append(x if isinstance(model, torchvision.models.ConvNeXt) else x.movedim(-1, 1))
    return maps[1::2]


def image(side=IMAGE):
    return torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(1))


def assert_equal_maps(ours, expected, x, deep):
    """And that a tensor deep in a block matters."""
    with torch.no_grad():
        found = ours(x)
        assert [m.shape for m in found] == [m.shape for m in expected]
        assert max(map(difference, found, expected)) < 1e-4
        with changed(ours, deep):
            assert difference(ours(x)[-1], expected[-1]) > 3e-4


@pytest.mark.parametrize(
    ("family", "build", "maps", "layout"),
    [
        ("convnext", timms_convnext, timms_maps, "timm ConvNeXt"),
        ("swinv2", timms_swinv2, timms_maps, "timm SwinV2"),
        ("convnext", torchvisions_convnext, torchvisions_maps, "torchvision ConvNeXt"),
        ("swinv2", torchvisions_swinv2, torchvisions_maps, "torchvision SwinV2"),
    ],
)
@torch.no_grad()
def test_weights_of_a_package_compute_what_they_do_there(family, build, maps, layout, tmp_path):
    theirs = fill_parameters(build())
    report = load(ours := encoder(family), {**theirs.state_dict(), **buffers(theirs)}, tmp_path)
    assert report.layout == layout
    assert_complete(report)
    assert_equal_maps(ours, maps(theirs, image()), image(), "stages.2.2.project.weight")


@pytest.mark.parametrize(
    ("name", "build"),
    [
        ("convnext_tiny", torchvision.models.convnext_tiny),
        ("convnext_large", torchvision.models.convnext_large),
        ("swinv2_tiny", torchvision.models.swin_v2_t),
        ("swinv2_base", torchvision.models.swin_v2_b),
        ("convnext_small", partial(timm.create_model, "convnext_small")),
        ("convnext_xlarge", partial(timm.create_model, "convnext_xlarge")),
        ("swinv2_small", partial(timm.create_model, "swinv2_small_window16_256")),
        ("swinv2_large", partial(timm.create_model, "swinv2_large_window12_192")),
    ],
)
def test_published_sizes_have_the_packages_names_and_shapes(name, build):
    levels = Levels(((4, 4), *((2, 2),) * 3), ((7, 7),) * 4, ((8, 8),) * 4, ())
    with torch.device("meta"):
        network = convnext.convnext if name in convnext.SIZES else swinv2.swinv2
        ours = network(3, {**convnext.SIZES, **swinv2.SIZES}[name], levels)
        theirs = dict(build().named_parameters())
    weights = renamed(theirs, *find_layout(theirs))
    for ours_name, weight in ours.named_parameters():
        theirs_shape = weights.pop(ours_name).tensor.shape
        assert without_ones(theirs_shape) == without_ones(weight.shape)
    assert all(name.startswith(CLASSIFIERS) or "_extra_state" in name for name in weights)


def without_ones(shape):
    return [length for length in shape if length != 1]


def fill_parameters(network):
    """Buffers are left: they are tables."""
    for name, weight in network.named_parameters():
        fill_tensor(name, weight)
    return network.eval()


def buffers(network):
    return dict(network.named_buffers())


def load(ours, weights, folder):
    file = folder / "weights.safetensors"
    save_file({name: weight.contiguous() for name, weight in weights.items()}, file)
    return load_pretrained(ours, file)


def assert_complete(report):
    """Nothing is left out but a classifier, what it stands on, and what can be computed."""
    assert (report.adapted, report.misfits, report.missing) == ((), (), ())
    others = [name for name in report.left_out if not name.startswith(CLASSIFIERS)]
    assert not any(map(is_parameter, others))


def test_the_lists_have_as_many_parameters_as_was_published():
    widths, heads = (96, 192, 384, 768), (3, 6, 12, 24)
    for shapes, millions in (
        (facebook_convnext((3, 3, 9, 3), widths), 28.589),
        (microsoft_swinv2((2, 2, 6, 2), widths, heads, 8, 256), 28.35),
        (microsoft_swin_mlp((2, 2, 6, 2), widths, (8, 16, 32, 64), 8), 21),
    ):
        count = sum(prod(shape) for name, shape in shapes.items() if is_parameter(name))
        digits = len(str(millions).partition(".")[2])
        assert round(count / 1e6, digits) == millions


@torch.no_grad()
def test_facebooks_files_are_read_as_timm_reads_them(tmp_path):
    weights = weights_of(facebook_convnext(DEPTHS, WIDTHS, 5))
    report = load(ours := encoder("convnext"), weights, tmp_path)
    assert report.layout == "Facebook ConvNeXt"
    assert_complete(report)
    assert set(report.left_out) == {"norm.weight", "norm.bias", "head.weight", "head.bias"}
    theirs = timms_convnext().eval()
    theirs.load_state_dict(timm_convnext.checkpoint_filter_fn(weights, theirs))
    assert_equal_maps(ours, timms_maps(theirs, image()), image(), "stages.2.2.scale")


@pytest.mark.parametrize(("window", "pretrained"), [(4, None), (8, 4)])
@torch.no_grad()
def test_microsofts_swinv2_is_read_as_timm_reads_it(window, pretrained, tmp_path):
    """A network tuned with larger windows measures offsets in those it was trained with."""
    side = 4 * 8 * window
    weights = weights_of(microsoft_swinv2(DEPTHS, WIDTHS, HEADS, window, side, 5), pretrained)
    report = load(ours := encoder("swinv2", window=window), weights, tmp_path)
    assert report.layout == "Microsoft SwinV2"
    assert_complete(report)
    assert ours.stages[1][0].attention.bias.pretrained_window == (pretrained or window,) * 2
    theirs = timms_swinv2(window, pretrained or 0, side).eval()
    left = theirs.load_state_dict(timm_swinv2.checkpoint_filter_fn(weights, theirs))
    assert not left.unexpected_keys
    x = image(side)
    assert_equal_maps(ours, timms_maps(theirs, x), x, "stages.2.2.attention.bias.out.weight")


@torch.no_grad()
def test_microsofts_swin_mlp_computes_what_its_authors_algorithm_does(tmp_path):
    weights = weights_of(microsoft_swin_mlp(DEPTHS, WIDTHS, HEADS, WINDOW, 5))
    report = load(ours := encoder("swin_mlp"), weights, tmp_path)
    assert report.layout == "Microsoft Swin MLP"
    assert_complete(report)
    expected = list(Literal(weights, WINDOW, HEADS).maps(image(), DEPTHS))
    assert_equal_maps(ours, expected, image(), "stages.2.2.mixing.weight")


@pytest.mark.parametrize("prefix", ["encoder.", "network.encoder.", "module."])
@pytest.mark.parametrize("family", ["convnext", "swinv2", "swin_mlp"])
def test_our_own_files_are_read(family, prefix, tmp_path):
    source, ours = fill(encoder(family)), encoder(family)
    weights = {prefix + name: weight for name, weight in source.state_dict().items()}
    report = load(ours, weights | {"decoder.weight": torch.zeros(1)}, tmp_path)
    assert (report.adapted, report.misfits, report.missing) == ((), (), ())
    assert report.left_out == ("decoder.weight",)
    for name, weight in source.state_dict().items():
        assert torch.equal(ours.state_dict()[name], weight)


@torch.no_grad()
def test_windows_that_a_file_does_not_tell_are_the_usual_ones(tmp_path):
    theirs = timms_swinv2()
    report = load(ours := encoder("swinv2"), theirs.state_dict(), tmp_path)
    assert ours.stages[1][0].attention.bias.pretrained_window == (8, 8)
    assert "windows of 8" in report.assumed
    report = load(ours, {**theirs.state_dict(), **buffers(theirs)}, tmp_path)
    assert ours.stages[1][0].attention.bias.pretrained_window == (WINDOW, WINDOW)
    assert report.assumed == ""


@pytest.mark.parametrize("package", ["timm", "torchvision"])
def test_what_the_docs_say_writes_a_file_that_loads(package, tmp_path, monkeypatch):
    """But for the download."""
    text = (Path(__file__).parents[2] / "docs" / "pretrained.md").read_text(encoding="utf-8")
    [code] = re.findall(
        rf"^```py\n(import (?:torch\nimport )?{package}\n.*?)^```", text, re.M | re.S
    )
    offline = code.replace("pretrained=True", "pretrained=False").replace('"DEFAULT"', "None")
    assert offline != code
    monkeypatch.chdir(tmp_path)
    exec(compile(offline, "pretrained.md", "exec"), {})
    [file] = tmp_path.iterdir()
    levels = Levels(((4, 4), *((2, 2),) * 3), ((7, 7),) * 4, ((8, 8),) * 4, ())
    if package == "timm":
        ours = convnext.convnext(3, convnext.SIZES["convnext_tiny"], levels)
    else:
        ours = swinv2.swinv2(3, swinv2.SIZES["swinv2_tiny"], levels)
    assert_complete(load_pretrained(ours, file))
