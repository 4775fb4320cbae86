"""Swin MLP is what its authors' code computes, under the names of its authors' files."""

import re

import pytest
import torch
from networks.fill import changed, difference, fill
from torch.nn import functional as F

from medseg.networks.encoders.pyramid import Levels
from medseg.networks.encoders.swin_mlp import SIZES, swin_mlp

PAPER = {
    "tiny_c24": (8, (4, 8, 16, 32), 20),
    "tiny_c12": (8, (8, 16, 32, 64), 21),
    "tiny_c6": (8, (16, 32, 64, 128), 23),
    "base": (7, (4, 8, 16, 32), 61),
}
"""Window, heads per stage, and millions of parameters with a final norm and 1000 classes."""
NAMES = [
    (r"^stem\.0", "patch_embed.proj"),
    (r"^stem\.1", "patch_embed.norm"),
    (r"^merges\.(\d)", r"layers.\1.downsample"),
    (r"^stages\.(\d)\.(\d+)", r"layers.\1.blocks.\2"),
    ("mixing_norm", "norm1"),
    ("mlp_norm", "norm2"),
    (r"mixing\.", "spatial_mlp."),
    ("expand", "mlp.fc1"),
    ("project", "mlp.fc2"),
]
"""Of our parameters in Microsoft's files; there `spatial_mlp` is (heads * tokens, tokens, 1)."""


def paper(size, window, dim=2, **replaced):
    """The paper's strides; a third axis in front is not touched."""
    thin = (1,) * (dim - 2)
    steps = ((*thin, 4, 4), *((*thin, 2, 2),) * 3)
    levels = Levels(steps, (), (), ((*thin, window, window),) * 4)
    return swin_mlp(3, SIZES[f"swin_mlp_{size}"]._replace(**replaced), levels)


def microsofts(network):
    weights = {}
    for name, weight in network.state_dict().items():
        for ours, theirs in NAMES:
            name = re.sub(ours, theirs, name)
        if "spatial_mlp" in name:
            weight = weight.flatten(0, 1)[..., None] if weight.ndim == 3 else weight.flatten()
        weights[name] = weight
    return weights


class Literal:
    """The authors' network, one window and one head at a time; maps are (height, width, channels).

    Differs: what does not divide into windows is filled with zeros at its end, and shifts are left
    out by axis.
    """

    def __init__(self, weights, window, heads):
        self.weights, self.window, self.heads = weights, window, heads
        self.used = set()

    def get(self, name):
        self.used.add(name)
        return self.weights[name]

    def norm(self, x, name):
        return F.layer_norm(x, x.shape[-1:], self.get(f"{name}.weight"), self.get(f"{name}.bias"))

    def linear(self, x, name):
        return x @ self.get(f"{name}.weight").T + self.get(f"{name}.bias")

    def mixing(self, x, name, heads, shifted):
        width, tokens = self.window, self.window**2
        (height, breadth), half = x.shape[:2], width // 2
        before = [width - half if shifted and n > width else 0 for n in (height, breadth)]
        # Where windows divide the map this is the other half of a shift.
        after = [-(n + b) % width for n, b in zip((height, breadth), before, strict=True)]
        x = F.pad(x, (0, 0, before[1], after[1], before[0], after[0]))
        weight = self.get(f"{name}.weight").reshape(heads, tokens, tokens)
        bias = self.get(f"{name}.bias").reshape(heads, tokens, 1)
        out = torch.empty_like(x)
        for row in range(0, x.shape[0], width):
            for column in range(0, x.shape[1], width):
                box = slice(row, row + width), slice(column, column + width)
                parts = x[box].reshape(tokens, -1).chunk(heads, dim=1)
                mixed = [w @ part + b for w, part, b in zip(weight, parts, bias, strict=True)]
                out[box] = torch.cat(mixed, 1).reshape(width, width, -1)
        return out[before[0] :, before[1] :][:height, :breadth]

    def maps(self, image, depths):
        x = F.conv2d(
            image, self.get("patch_embed.proj.weight"), self.get("patch_embed.proj.bias"), stride=4
        )
        x = self.norm(x[0].permute(1, 2, 0), "patch_embed.norm")
        for stage, depth in enumerate(depths):
            if stage:
                corners = [x[0::2, 0::2], x[1::2, 0::2], x[0::2, 1::2], x[1::2, 1::2]]
                name = f"layers.{stage - 1}.downsample"
                x = self.norm(torch.cat(corners, -1), f"{name}.norm")
                x = x @ self.get(f"{name}.reduction.weight").T
            for index in range(depth):
                name = f"layers.{stage}.blocks.{index}"
                mixed = self.norm(x, f"{name}.norm1")
                mixed = self.mixing(mixed, f"{name}.spatial_mlp", self.heads[stage], index % 2 == 1)
                x = x + mixed
                hidden = F.gelu(self.linear(self.norm(x, f"{name}.norm2"), f"{name}.mlp.fc1"))
                x = x + self.linear(hidden, f"{name}.mlp.fc2")
            yield x.permute(2, 0, 1)[None]


@pytest.mark.parametrize(("size", "shape"), [("tiny_c24", (256, 256)), ("base", (224, 96))])
@torch.no_grad()
def test_it_is_the_authors(size, shape):
    """The second image makes maps that windows do not divide, and some that one window covers."""
    window, heads, _ = PAPER[size]
    ours = fill(paper(size, window)).eval()
    x = torch.randn(1, 3, *shape, generator=torch.Generator().manual_seed(1))
    reference = Literal(microsofts(ours), window, heads)
    expected = list(reference.maps(x, SIZES[f"swin_mlp_{size}"].depths))
    assert reference.used == set(reference.weights)
    found = ours(x)
    assert [m.shape for m in found] == [m.shape for m in expected]
    assert max(map(difference, found, expected)) < 1e-4
    for name in ("mixing.weight", "mixing.bias", "expand.weight"):
        with changed(ours, f"stages.2.3.{name}"):
            assert difference(ours(x)[2], expected[2]) > 1e-3


@pytest.mark.parametrize("size", PAPER)
def test_weights_have_the_authors_shapes_and_number(size):
    window, heads, millions = PAPER[size]
    with torch.device("meta"):
        encoder = paper(size, window)
    weights, tokens = microsofts(encoder), window**2
    for stage, count in enumerate(heads):
        name = f"layers.{stage}.blocks.1.spatial_mlp"
        assert weights[f"{name}.weight"].shape == (count * tokens, tokens, 1)
        assert weights[f"{name}.bias"].shape == (count * tokens,)
    channels = encoder.out_channels[-1]
    count = sum(weight.numel() for weight in weights.values()) + 2 * channels
    assert round((count + 1000 * (channels + 1)) / 1e6) == millions


@torch.no_grad()
def test_a_volume_of_one_slice_is_an_image():
    flat = fill(paper("tiny_c12", 4, channels=24)).eval()
    thick = paper("tiny_c12", 4, dim=3, channels=24).eval()
    shapes = {name: weight.shape for name, weight in thick.state_dict().items()}
    weights = {name: w.reshape(shapes[name]) for name, w in flat.state_dict().items()}
    thick.load_state_dict(weights)
    x = torch.randn(2, 3, 96, 64, generator=torch.Generator().manual_seed(1))
    for plane, volume in zip(flat(x), thick(x[:, :, None]), strict=True):
        assert difference(volume[:, :, 0], plane) < 1e-5
    with changed(flat, "stages.2.3.mixing.weight"):
        assert difference(thick(x[:, :, None])[-1][:, :, 0], flat(x)[-1]) > 1e-3
