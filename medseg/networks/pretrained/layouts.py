"""How others name the weights of the same networks.

Each layout is a list of patterns and what they become here; a name that no pattern matches is left
as it is, and then finds no place.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Weights = dict[str, Tensor]
Rule = tuple[str, str | Callable[[re.Match[str]], str]]


class Layout(NamedTuple):
    """One way to name the weights.

    Attributes:
        name: Whose.
        sign: A name that matches this is found in no other layout.
        rules: Pattern -> replacement, one after the other.
    """

    name: str
    sign: str
    rules: tuple[Rule, ...]


def _shifted(form: str, add: int = 0, halve: bool = False) -> Callable[[re.Match[str]], str]:
    """A replacement with the first group as a number, counted from another start."""

    def replace(found: re.Match[str]) -> str:
        number = int(found[1]) + add
        return form.format(number // 2 if halve else number, *found.groups()[1:])

    return replace


_CONVNEXT_BLOCK: tuple[Rule, ...] = (
    (r"\.(conv_dw|dwconv)\.", ".depthwise."),
    (r"\.(mlp\.fc1|pwconv1)\.", ".expand."),
    (r"\.(mlp\.fc2|pwconv2)\.", ".project."),
    (r"\.gamma$", ".scale"),
)
_SWIN_BLOCK: tuple[Rule, ...] = (
    (r"^patch_embed\.proj\.", "stem.0."),
    (r"^patch_embed\.norm\.", "stem.1."),
    (r"^layers\.(\d+)\.blocks\.(\d+)\.", r"stages.\1.\2."),
    (r"\.spatial_mlp\.", ".mixing."),
    (r"\.attn\.cpb_mlp\.0\.", ".attention.bias.hidden."),
    (r"\.attn\.cpb_mlp\.2\.", ".attention.bias.out."),
    (r"\.attn\.relative_coords_table$", ".attention.bias._extra_state"),
    (r"\.attn\.proj\.", ".attention.project."),
    (r"\.attn\.", ".attention."),
    (r"\.mlp\.(fc1|0)\.", ".expand."),
    (r"\.mlp\.(fc2|3)\.", ".project."),
    (r"\.norm2\.", ".mlp_norm."),
)
LAYOUTS = (
    Layout("medseg model", r"^(network\.)?encoder\.", ((r"^(network\.)?encoder\.", ""),)),
    Layout(
        "timm ConvNeXt",
        r"^stages\.\d+\.blocks\.\d+\.conv_dw\.",
        (
            (r"^stages\.(\d+)\.downsample\.", _shifted("merges.{}.", -1)),
            (r"^stages\.(\d+)\.blocks\.", r"stages.\1."),
            *_CONVNEXT_BLOCK,
        ),
    ),
    Layout(
        "Facebook ConvNeXt",
        r"^downsample_layers\.",
        (
            (r"^downsample_layers\.0\.", "stem."),
            (r"^downsample_layers\.(\d+)\.", _shifted("merges.{}.", -1)),
            *_CONVNEXT_BLOCK,
        ),
    ),
    Layout(
        "torchvision ConvNeXt",
        r"^features\.\d+\.\d+\.layer_scale$",
        (
            (r"^features\.0\.", "stem."),
            (r"^features\.(\d*[13579])\.(\d+)\.", _shifted("stages.{}.{}.", 0, halve=True)),
            (r"^features\.(\d+)\.", _shifted("merges.{}.", -2, halve=True)),
            (r"\.block\.0\.", ".depthwise."),
            (r"\.block\.2\.", ".norm."),
            (r"\.block\.3\.", ".expand."),
            (r"\.block\.5\.", ".project."),
            (r"\.layer_scale$", ".scale"),
        ),
    ),
    Layout(
        "torchvision SwinV2",
        r"^features\.\d+\.\d+\.attn\.cpb_mlp\.",
        (
            (r"^features\.0\.0\.", "stem.0."),
            (r"^features\.0\.2\.", "stem.1."),
            (r"^features\.(\d*[13579])\.(\d+)\.", _shifted("stages.{}.{}.", 0, halve=True)),
            (r"^features\.(\d+)\.", _shifted("merges.{}.", -2, halve=True)),
            (r"\.norm1\.", ".attention_norm."),
            *_SWIN_BLOCK,
        ),
    ),
    Layout(
        "Microsoft Swin MLP",
        r"^layers\.\d+\.blocks\.\d+\.spatial_mlp\.",
        (
            (r"^layers\.(\d+)\.downsample\.", r"merges.\1."),
            (r"\.norm1\.", ".mixing_norm."),
            *_SWIN_BLOCK,
        ),
    ),
    Layout(
        "Microsoft SwinV2",
        r"^layers\.0\.downsample\.",
        (
            (r"^layers\.(\d+)\.downsample\.", r"merges.\1."),
            (r"\.norm1\.", ".attention_norm."),
            *_SWIN_BLOCK,
        ),
    ),
    Layout(
        "timm SwinV2",
        r"^layers\.\d+\.blocks\.\d+\.attn\.cpb_mlp\.",
        (
            (r"^layers\.(\d+)\.downsample\.", _shifted("merges.{}.", -1)),
            (r"\.norm1\.", ".attention_norm."),
            *_SWIN_BLOCK,
        ),
    ),
)
_OWN = Layout("medseg encoder", "", ())


def find_layout(weights: Weights) -> Layout:
    """Whose names these are."""
    for layout in LAYOUTS:
        if any(re.search(layout.sign, name) for name in weights):
            return layout
    return _OWN


def renamed(weights: Weights, layout: Layout) -> dict[str, tuple[str, Tensor]]:
    """Our name -> theirs, and the tensor in our form where that is only a matter of writing."""
    found: dict[str, tuple[str, Tensor]] = {}
    for theirs, tensor in weights.items():
        ours = theirs
        for pattern, replacement in layout.rules:
            ours = re.sub(pattern, replacement, ours)
        for name, part in _rewritten(ours, tensor):
            found[name] = theirs, part
    return found


def _rewritten(name: str, tensor: Tensor) -> list[tuple[str, Tensor]]:
    """One weight as we write it, which may be several."""
    if name.endswith("attention.qkv.bias"):  # queries, keys (which have none here), values
        start = name.removesuffix("qkv.bias")
        q, _, v = tensor.chunk(3)
        return [(start + "q_bias", q), (start + "v_bias", v)]
    if name.endswith("attention.bias._extra_state") and tensor.is_floating_point():
        # A table of all offsets, (1, 2 H - 1, 2 W - 1, 2), tells the window.
        return [(name, torch.tensor([(length + 1) // 2 for length in tensor.shape[1:-1]]))]
    return [(name, tensor)]
