"""Weights of images in networks of volumes, and of other channels, strides, kernels and depths."""

from itertools import product

import pytest
import torch
from networks.fill import changed, difference, fill
from safetensors.torch import save_file

from medseg.errors import MedsegError
from medseg.networks.encoders import convnext, gmlp, repmlp, repmlpnet, resmlp, swin_mlp, swinv2
from medseg.networks.encoders.pyramid import Levels
from medseg.networks.pretrained.load import load_pretrained

FAMILIES = {
    "convnext": (convnext.convnext, convnext.ConvNeXtSize((2, 2), 16)),
    "swinv2": (swinv2.swinv2, swinv2.SwinV2Size((2, 2), 16, 8)),
    "swin_mlp": (swin_mlp.swin_mlp, swin_mlp.SwinMLPSize((2, 2), 16, 8)),
    "gmlp": (gmlp.gmlp, gmlp.GMLPSize((2, 2), 8)),
    "amlp": (gmlp.gmlp, gmlp.GMLPSize((2, 2), 8, attention=True)),
    "resmlp": (resmlp.resmlp, resmlp.ResMLPSize((2, 2), 16, 1.0)),
    "repmlpnet": (repmlpnet.repmlpnet, repmlpnet.RepMLPNetSize((2, 2), 16, (2, 4))),
}
DEEP = {
    "convnext": "expand.weight",
    "swinv2": "attention.qkv.weight",
    "swin_mlp": "mixing.weight",
    "gmlp": "gate.mixing.weight",
    "amlp": "attention.qkv.weight",
    "resmlp": "mixing.weight",
    "repmlpnet": "mixing.weight",
}
FLAT = Levels(((2, 2),) * 2, ((5, 5),) * 2, ((4, 4),) * 2, ((4, 4),) * 2)
CONSTANT = ("convnext", "swinv2")
"""Families that map constant images to constant maps, given kernels of 1."""


def encoder(family, levels=FLAT, in_channels=3, **size):
    build, of_size = FAMILIES[family]
    return build(in_channels, of_size._replace(**size), levels).eval()


def thick(axis, levels=FLAT, stride=2, kernel=3, window=4):
    """With a further axis in front of `axis`."""

    def insert(entries, value):
        return tuple((*entry[:axis], value, *entry[axis:]) for entry in entries)

    steps, kernels, windows, mixers = levels
    return Levels(
        insert(steps, stride), insert(kernels, kernel), insert(windows, window),
        insert(mixers, window),
    )  # fmt: skip


def load(ours, source, folder, new_axis=None):
    save_file(source.state_dict(), folder / "weights.safetensors")
    return load_pretrained(ours, folder / "weights.safetensors", new_axis=new_axis)


@pytest.mark.parametrize("new_axis", [0, 1, 2])
@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_a_volume_of_equal_slices_gives_what_the_slice_gives(family, new_axis, tmp_path):
    """At its ends too: windows are shifted, dilated and padded along the new axis."""
    flat = fill(encoder(family)).eval()
    ours = encoder(family, thick(new_axis))
    report = load(ours, flat, tmp_path, new_axis)
    assert (report.misfits, report.missing, report.left_out) == ((), (), ())
    x = torch.randn(1, 3, 24, 20, generator=torch.Generator().manual_seed(1))
    axis = 2 + new_axis
    volume = x.unsqueeze(axis).repeat_interleave(20, axis)
    expected = flat(x)
    for plane, found in zip(expected, ours(volume), strict=True):
        assert difference(found, plane.unsqueeze(axis).expand(found.shape)) < 1e-4
    with changed(ours, f"stages.1.1.{DEEP[family]}"):
        found = ours(volume)[-1]
        assert difference(found, expected[-1].unsqueeze(axis).expand(found.shape)) > 5e-4


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_an_axis_that_is_not_touched_needs_no_change(family, tmp_path):
    flat = fill(encoder(family)).eval()
    ours = encoder(family, thick(0, stride=1, kernel=1, window=1))
    report = load(ours, flat, tmp_path, new_axis=0)
    assert (report.misfits, report.missing) == ((), ())
    x = torch.randn(1, 3, 3, 16, 24, generator=torch.Generator().manual_seed(1))
    if family != "repmlpnet":  # its gate sees the whole map
        for index, plane in product(range(3), range(2)):
            found, expected = ours(x)[plane][:, :, index], flat(x[:, :, index])[plane]
            assert difference(found, expected) < 1e-4


@pytest.mark.parametrize(("theirs", "count"), [(3, 1), (3, 2), (3, 4), (3, 7), (1, 3), (4, 1)])
@pytest.mark.parametrize("family", ["convnext", "swinv2", "repmlpnet"])
@torch.no_grad()
def test_other_channels_keep_the_response_to_equal_ones(family, theirs, count, tmp_path):
    source = fill(encoder(family, in_channels=theirs)).eval()
    ours = encoder(family, in_channels=count)
    report = load(ours, source, tmp_path)
    assert [weight.name.rpartition(".")[0][:6] for weight in report.adapted] == ["stem.0"]
    x = torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    # Equal in sum, as if one channel were cut up, or several were merged.
    expected = source(x.expand(-1, theirs, -1, -1))
    for found, wanted in zip(ours(x.expand(-1, count, -1, -1)), expected, strict=True):
        assert difference(found, wanted) < 1e-4
    with changed(ours, "stages.1.1.expand.linear.weight" if family == "repmlpnet" else
                 "stages.1.1.expand.weight"):  # fmt: skip
        assert difference(ours(x.expand(-1, count, -1, -1))[-1], expected[-1]) > 3e-4


@pytest.mark.parametrize(
    "steps",
    [
        ((4, 4), (2, 2)), ((2, 4), (2, 2)), ((1, 1), (2, 2)), ((4, 4), (2, 1)), ((4, 4), (1, 1)),
        ((8, 4), (4, 2)), ((2, 2), (4, 4)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("family", CONSTANT)
@torch.no_grad()
def test_other_strides_keep_the_response_to_a_constant_image(family, steps, tmp_path):
    levels = FLAT._replace(kernels=((1, 1),) * 2)
    source = fill(encoder(family, levels._replace(steps=((4, 4), (2, 2))))).eval()
    ours = encoder(family, levels._replace(steps=steps))
    report = load(ours, source, tmp_path)
    assert (report.misfits, report.missing) == ((), ())
    assert len(report.adapted) == sum(
        one != two for one, two in zip(steps, ((4, 4), (2, 2)), strict=True)
    )
    x = torch.randn(1, 3, 1, 1, generator=torch.Generator().manual_seed(1)).expand(-1, -1, 32, 32)
    for found, expected in zip(ours(x), source(x), strict=True):
        assert difference(found, expected[:, :, :1, :1].expand(found.shape)) < 1e-4
    with changed(ours, "stages.1.1.expand.weight"):
        found, expected = ours(x)[-1], source(x)[-1]
        assert difference(found, expected[:, :, :1, :1].expand(found.shape)) > 3e-4


@pytest.mark.parametrize("new_axis", [0, 1, 2])
@pytest.mark.parametrize("family", CONSTANT)
@torch.no_grad()
def test_other_strides_in_volumes_do_too(family, new_axis, tmp_path):
    """As many neighbours as in the plane, but others; the image varies along its first axis."""
    levels = FLAT._replace(kernels=((1, 1),) * 2, windows=((4, 1),) * 2)
    source = fill(encoder(family, levels)).eval()
    ours = encoder(family, thick(new_axis, levels._replace(steps=((2, 1), (2, 1))), kernel=1))
    assert load(ours, source, tmp_path, new_axis).misfits == ()
    x = torch.randn(1, 3, 16, 1, generator=torch.Generator().manual_seed(1)).expand(-1, -1, -1, 16)
    axis = 2 + new_axis
    volume = x.unsqueeze(axis).repeat_interleave(16, axis)
    for found, expected in zip(ours(volume), source(x), strict=True):
        assert difference(found, expected[..., :1].unsqueeze(axis).expand(found.shape)) < 1e-4


@torch.no_grad()
def test_swin_mlps_merging_takes_more_neighbours(tmp_path):
    """Its norm stands before them: a constant image is kept where neighbours become more."""
    levels = FLAT._replace(mixers=((1, 1),) * 2)
    source = fill(encoder("swin_mlp", levels)).eval()
    ours = encoder("swin_mlp", levels._replace(steps=((2, 2), (2, 4))))
    assert load(ours, source, tmp_path).misfits == ()
    x = torch.randn(1, 3, 1, 1, generator=torch.Generator().manual_seed(1)).expand(-1, -1, 32, 32)
    found, expected = ours(x)[-1], source(x)[-1]
    assert difference(found, expected[..., : found.shape[-1]]) < 1e-4


@torch.no_grad()
def test_other_kernels_are_the_same_around_their_centre(tmp_path):
    small, large = (FLAT._replace(kernels=((width, width),) * 2) for width in (3, 7))
    source, ours = fill(encoder("convnext", small)).eval(), encoder("convnext", large)
    assert load(ours, source, tmp_path).misfits == ()
    x = torch.randn(1, 3, 24, 16, generator=torch.Generator().manual_seed(1))
    assert max(map(difference, ours(x), source(x))) < 1e-5
    wide = fill(ours).stages[1][1].depthwise.weight
    uneven = encoder("convnext", FLAT._replace(kernels=((5, 1),) * 2))
    assert load(uneven, ours, tmp_path).misfits == ()
    assert torch.equal(uneven.stages[1][1].depthwise.weight, wide[:, :, 1:-1, 3:-3])


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_stages_that_a_file_lacks_stay_as_they_are(family, tmp_path):
    sizes = {"depths": (1, 1)} | ({"sets": (2, 4, 4)} if family == "repmlpnet" else {})
    source = fill(encoder(family, **sizes))
    longer = Levels(*((*entries, entries[-1]) for entries in FLAT))
    ours = fill(encoder(family, longer, **sizes | {"depths": (1, 1, 1)}), seed=1)
    before = {name: weight.clone() for name, weight in ours.state_dict().items()}
    report = load(ours, source, tmp_path)
    assert (report.misfits, report.left_out) == ((), ())
    assert report.missing
    assert all(name.startswith(("merges.1.", "stages.2.")) for name in report.missing)
    for name, weight in ours.state_dict().items():
        expected = before[name] if name in report.missing else source.state_dict().get(name)
        assert expected is None or torch.equal(weight, expected)
    back = load(encoder(family, **sizes), ours, tmp_path)
    assert set(back.left_out) >= set(report.missing)
    assert (back.misfits, back.missing) == ((), ())


@pytest.mark.parametrize("new_axis", [0, 1, 2])
def test_mixing_in_other_windows_is_left_out(new_axis, tmp_path):
    """64 tokens of an 8 x 8 window are not those of 4 x 4 x 4."""
    flat = FLAT._replace(mixers=((8, 8),) * 2)
    ours = fill(encoder("swin_mlp", thick(new_axis)), seed=1)
    kept = ours.stages[1][1].mixing.weight.clone()
    report = load(ours, fill(encoder("swin_mlp", flat)), tmp_path, new_axis)
    assert len(report.misfits) == 2 * 4
    assert all(".mixing." in misfit for misfit in report.misfits)
    assert torch.equal(ours.stages[1][1].mixing.weight, kept)


def test_a_window_is_kept_per_axis(tmp_path):
    source = encoder("swinv2", FLAT._replace(windows=((4, 2),) * 2))
    ours = encoder("swinv2", thick(1, window=3))
    load(ours, source, tmp_path, new_axis=1)
    assert ours.stages[1][1].attention.bias.pretrained_window == (4, 3, 2)


@pytest.mark.parametrize(
    ("family", "name", "strange"),
    [
        ("convnext", "stages.1.1.depthwise.weight", torch.ones(32, 1, 6, 6)),  # it has no centre
        ("convnext", "merges.0.1.weight", torch.ones(32, 16, 3, 3)),
        ("convnext", "stages.1.1.expand.weight", torch.ones(32, 128)),  # transposed
        ("swinv2", "stages.1.1.attention.bias._extra_state", torch.tensor([4, 0])),
    ],
)
def test_what_has_no_meaning_here_is_left_out(family, name, strange, tmp_path):
    source = fill(encoder(family)).state_dict()
    ours = encoder(family)
    save_file(source | {name: strange}, tmp_path / "weights.safetensors")
    [misfit] = load_pretrained(ours, tmp_path / "weights.safetensors").misfits
    assert misfit.startswith(f"{name} ")


@pytest.mark.parametrize("new_axis", [0, 1, 2])
def test_padded_convolutions_have_their_taps_in_the_middle(new_axis, tmp_path):
    """RepMLP's: strided ones too, and the one that reads the image."""
    size = repmlp.RepMLPSize((1, 1), 32, "light", 1)
    source = fill(repmlp.repmlp_resnet(3, size, FLAT))
    ours = repmlp.repmlp_resnet(1, size, thick(new_axis))
    load(ours, source, tmp_path, new_axis)
    found = {n: m.weight for n, m in ours.named_modules() if isinstance(m, torch.nn.Conv3d)}
    assert len(found) > 4
    for name, weight in found.items():
        flat = source.get_parameter(f"{name}.weight")
        if flat.shape[1] != weight.shape[1]:
            flat = flat.sum(1, keepdim=True)
        taps = weight.movedim(2 + new_axis, 0)
        middle = len(taps) // 2
        torch.testing.assert_close(taps[middle], flat)
        assert not any(tap.any() for place, tap in enumerate(taps) if place != middle)


def test_weights_of_volumes_do_not_serve_images(tmp_path):
    with pytest.raises(MedsegError, match="3 spatial axes, and the network has 2") as error:
        load(encoder("convnext"), encoder("convnext", thick(0)), tmp_path)
    assert "\n" not in str(error.value)


def test_half_precision_is_read(tmp_path):
    source = fill(encoder("convnext")).half()
    report = load(ours := encoder("convnext", in_channels=1), source, tmp_path)
    assert report.misfits == ()
    assert ours.stem[0].weight.dtype == torch.float32
    exact = source.stem[0].weight.float().sum(1, keepdim=True)
    torch.testing.assert_close(ours.stem[0].weight, exact, atol=1e-6, rtol=0)
