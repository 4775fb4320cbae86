"""SwinV2 is the paper's, in 2D and in 3D, whatever the window."""

import re
from itertools import product

import pytest
import timm
import torch
from networks.fill import changed, difference, fill
from torch.nn import functional as F

from medseg.networks.encoders.pyramid import Levels, Savers
from medseg.networks.encoders.swinv2 import SIZES, swinv2
from medseg.networks.layers import biased_attention, window_attention
from medseg.networks.layers.drop_path import DropPath
from medseg.networks.layers.window_attention import WindowAttention

MILLIONS = {
    "tiny": 28.35, "small": 49.73, "base": 87.92, "large": 196.7, "huge": 657.8, "giant": 2599,
}  # fmt: skip
"""With a final norm and a head of 1000 classes."""
NAMES = [
    (r"^stem\.0", "patch_embed.proj"),
    (r"^stem\.1", "patch_embed.norm"),
    (r"^merges\.(\d)", lambda found: f"layers.{int(found[1]) + 1}.downsample"),
    (r"^stages\.(\d)\.(\d+)", r"layers.\1.blocks.\2"),
    ("attention.bias.hidden", "attn.cpb_mlp.0"),
    ("attention.bias.out", "attn.cpb_mlp.2"),
    ("attention_norm", "norm1"),
    ("mlp_norm", "norm2"),
    ("attention.project", "attn.proj"),
    (r"attention\.", "attn."),
    ("expand", "mlp.fc1"),
    ("project", "mlp.fc2"),
]
DEEP = "stages.2.3"


def paper(size="tiny", window=8, image=256, dim=2, in_channels=3, savers=Savers(), **replaced):
    """The paper's strides; windows as large as the map at most; a third axis is in front."""
    thin = (1,) * (dim - 2)
    maps = [image // 4 // 2**stage for stage in range(4)]
    windows = tuple((*thin, *(min(window, length),) * 2) for length in maps)
    levels = Levels(((*thin, 4, 4), *((*thin, 2, 2),) * 3), (), windows, ())
    return swinv2(in_channels, SIZES[f"swinv2_{size}"]._replace(**replaced), levels, 0.0, savers)


def small(dim=2, savers=Savers(), windows=4, **replaced):
    """Two stages, windows that need padding and shifts."""
    levels = Levels(((2,) * dim,) * 2, (), ((windows,) * dim,) * 2, ())
    size = SIZES["swinv2_mini"]._replace(channels=16, **replaced)
    return fill(swinv2(1, size, levels, 0.0, savers))


def timms_name(name):
    for ours, theirs in NAMES:
        name = re.sub(ours, theirs, name)
    return name


def weights_of(network):
    return {name: w for name, w in network.state_dict().items() if "_extra_state" not in name}


@pytest.mark.parametrize(("window", "image"), [(8, 256), (16, 256), (8, 128)])
def test_it_is_timms(window, image):
    ours = fill(paper(window=window, image=image)).eval()
    pretrained = (0,) * 4
    if window == 16:
        pretrained = (8,) * 4
        for name, module in ours.named_modules():
            if name.endswith("attention.bias"):
                module.set_extra_state(torch.tensor([8, 8]))
    theirs = timm.create_model(
        "swinv2_tiny_window8_256", pretrained=False, num_classes=0, img_size=image,
        window_size=window, pretrained_window_sizes=pretrained,
    ).eval()  # fmt: skip
    left = theirs.load_state_dict(
        {timms_name(name): weight for name, weight in weights_of(ours).items()}, strict=False
    )
    assert not left.unexpected_keys
    assert set(left.missing_keys) == {"norm.weight", "norm.bias"}
    x = torch.randn(1, 3, image, image, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = theirs.forward_intermediates(x, intermediates_only=True)
        found = ours(x)
        assert [m.shape for m in found] == [m.shape for m in expected]
        assert max(map(difference, found, expected)) < 1e-4
        for weight in ("attention.qkv.weight", "attention.bias.out.weight", "project.weight"):
            with changed(ours, f"{DEEP}.{weight}"):
                assert difference(ours(x)[2], expected[2]) > 3e-4


@pytest.mark.parametrize(("size", "millions"), MILLIONS.items())
def test_parameters_are_counted_as_published(size, millions):
    with torch.device("meta"):
        encoder = paper(size)
    channels = encoder.out_channels[-1]
    head = 2 * channels + 1000 * (channels + 1)
    count = sum(weight.numel() for weight in encoder.parameters()) + head
    assert count / 1e6 == pytest.approx(millions, rel=0.003)


def test_giant_and_huge_have_norms_on_the_main_branch():
    with torch.device("meta"):
        lengths = {size: [len(stage) for stage in paper(size).stages] for size in MILLIONS}
    assert lengths["large"] == [2, 2, 18, 2]
    assert lengths["huge"] == [2, 2, 18 + 3, 2]
    assert lengths["giant"] == [2, 2, 42 + 7, 2]


def test_a_volume_of_one_slice_is_an_image():
    flat = fill(paper(image=64, channels=32)).eval()
    thick = paper(image=64, channels=32, dim=3).eval()
    shapes = {name: weight.shape for name, weight in weights_of(thick).items()}
    weights = {}
    for name, weight in weights_of(flat).items():
        if name.endswith("bias.hidden.weight"):  # the third axis in front has offset 0 alone
            weight = torch.cat([torch.full((512, 1), 7.0), weight], 1)
        weights[name] = weight.reshape(shapes[name])
    assert all("_extra" in name for name in thick.load_state_dict(weights, strict=False)[0])
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for plane, volume in zip(flat(x), thick(x[:, :, None]), strict=True):
            assert difference(volume[:, :, 0], plane) < 1e-5
        with changed(flat, f"{DEEP}.expand.weight"):
            assert difference(thick(x[:, :, None])[-1][:, :, 0], flat(x)[-1]) > 1e-3


def literal_attention(attention, x, shifts):
    """Token by token, from the paper's equations; x is (*spatial, channels)."""
    size, heads = x.shape[:-1], attention.heads
    width = x.shape[-1] // heads
    bias = attention.bias(attention.window)
    out = torch.zeros_like(x)
    tokens = list(product(*map(range, size)))

    def window_of(token):
        """Window, region and place in it: shifted windows do not wrap, they are cut off."""
        moved = [t - s for t, s in zip(token, shifts, strict=True)]
        return tuple(m // w for m, w in zip(moved, attention.window, strict=True))

    def place(token):
        index = 0
        for t, s, w in zip(token, shifts, attention.window, strict=True):
            index = index * w + (t - s) % w
        return index

    weight = attention.qkv.weight.chunk(3)
    q, k, v = (F.linear(x, w) for w in weight)
    q, v = q + attention.q_bias, v + attention.v_bias
    for token in tokens:
        mates = [other for other in tokens if window_of(other) == window_of(token)]
        for head in range(heads):
            own = slice(head * width, (head + 1) * width)
            tau = attention.logit_scale[head].clamp(max=torch.tensor(100.0).log()).exp()
            scores = torch.stack(
                [
                    F.cosine_similarity(q[token][own], k[other][own], dim=0) * tau.squeeze()
                    + bias[head, place(token), place(other)]
                    for other in mates
                ]
            )
            values = torch.stack([v[other][own] for other in mates])
            out[token][own] = scores.softmax(0) @ values
    return attention.project(out)


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("size", [(7, 5), (8, 3), (6, 6), (3, 5, 4), (1, 7, 3)])
@torch.no_grad()
def test_attention_is_the_papers_and_padding_is_not_seen(size, shifted):
    window = (1, 4, 2)[3 - len(size) :] if size[0] == 1 else (4, 3, 2)[: len(size)]
    attention = fill(WindowAttention(6, 2, window, shifted=shifted))
    attention.window = window = tuple(map(min, window, size))
    attention.bias.pretrained_window = window
    shifts = [w // 2 if shifted and n > w else 0 for n, w in zip(size, window, strict=True)]
    x = torch.randn(*size, 6, generator=torch.Generator().manual_seed(1))
    expected = literal_attention(attention, x, shifts)
    assert difference(attention(x[None])[0], expected) < 1e-5
    with changed(attention, "logit_scale"):
        assert difference(attention(x[None])[0], expected) > 1e-4


def outcome(attention, x):
    """Output, and its gradients for the input and all weights."""
    out = attention(x)
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(2))
    return [out, *torch.autograd.grad((out * weights).sum(), [x, *attention.parameters()])]


@pytest.mark.parametrize("shifted", [False, True])
def test_every_path_of_attention_is_its_plain_form(shifted, dim, monkeypatch):
    """On a CPU in parts if there is a backward pass, else fused; plain under the compiler."""
    attention = fill(WindowAttention(8, 2, (3, 2, 4)[:dim], shifted=shifted))
    x = torch.randn(2, *(7, 5, 6)[:dim], 8, requires_grad=True)
    found = []
    for part in (1, 200, 2**21):
        monkeypatch.setattr(biased_attention, "_PART", part)
        found.append(outcome(attention, x))
        with torch.no_grad():
            found.append([attention(x)])
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    plain = outcome(attention, x)
    for tensors in found:
        assert all(difference(*pair) < 1e-5 for pair in zip(tensors, plain, strict=False))


@pytest.mark.parametrize("savers", [Savers(True), Savers(False, 3), Savers(True, 2)])
def test_saving_memory_changes_neither_outputs_nor_gradients(savers, dim):
    """Stochastic depth included: what is computed again draws the same numbers."""
    x = torch.randn(2, 1, *(20, 12, 12)[:dim], generator=torch.Generator().manual_seed(1))
    found = []
    for chosen in (Savers(), savers):
        network = small(dim, chosen, windows=3).train()
        for module in network.modules():
            if isinstance(module, DropPath):
                module.rate = 0.3
        torch.manual_seed(0)
        maps = network(x)
        sum(m.square().sum() for m in maps).backward()
        found.append([*maps, *(weight.grad for weight in network.parameters())])
    for plain, saved in zip(*found, strict=True):
        assert (saved - plain).abs().max() <= 1e-5 * max(plain.abs().max(), 1)


@pytest.mark.parametrize("shape", [(1, 8, 6), (1, 2, 7, 1), (4, 3, 2)])
def test_chunks_are_parts_of_the_work(shape, monkeypatch):
    """Of the windows, or of the batch where each item is a single window."""
    parts = []

    def spy(q, k, v, bias, masks):
        parts.append(q.shape[:-3].numel())
        return biased_attention.attend(q, k, v, bias, masks)

    monkeypatch.setattr(window_attention, "attend", spy)
    window = (3, 2, 1)[: len(shape) - 1]
    for chunks in (1, 2):
        WindowAttention(4, 2, window, shifted=True, chunks=chunks).eval()(torch.randn(*shape, 4))
    whole, first, second = parts
    assert first + second == whole
    assert 0 < second <= first <= 2 * whole / 3


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_close(dtype, dim):
    """Outputs and gradients, the backward pass inside of autocast as well as outside."""
    network = small(dim)
    x = torch.randn(1, 1, *(16, 12, 12)[:dim], generator=torch.Generator().manual_seed(1))

    def outcome(enabled, inside):
        network.zero_grad()
        with torch.autocast("cpu", dtype, enabled=enabled):
            out = network(x)[-1].float()
            if inside:
                out.square().mean().backward()
        if not inside:
            out.square().mean().backward()
        return [out, *(weight.grad for weight in network.parameters())]

    exact = outcome(False, False)
    for inside in (False, True):
        for half, full in zip(outcome(True, inside), exact, strict=True):
            assert (half - full).norm() < 0.1 * full.norm()
