"""How others name the weights of the same networks.

Each layout is a list of patterns and what they become here; a name that no pattern matches is left
as it is, and then finds no place. Sources: timm (models/convnext.py, swin_transformer_v2.py),
torchvision (models/convnext.py, swin_transformer.py), facebookresearch/ConvNeXt
(models/convnext.py) and microsoft/Swin-Transformer (models/swin_transformer_v2.py, swin_mlp.py).
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
        signs: How names begin, or begin after what a program put in front of all of them; a file
            that has a name for each is of this layout.
        rules: Pattern -> replacement, one after the other.
    """

    name: str
    signs: tuple[str, ...]
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
    (r"\.attn\.qkv\.bias$", ".attention.qkv_bias"),
    (r"\.attn\.proj\.", ".attention.project."),
    (r"\.attn\.", ".attention."),
    (r"\.mlp\.(fc1|0)\.", ".expand."),
    (r"\.mlp\.(fc2|3)\.", ".project."),
    (r"\.norm2\.", ".mlp_norm."),
)
_SWINV2 = r"layers\.\d+\.blocks\.\d+\.attn\.cpb_mlp\."
LAYOUTS = (
    Layout(
        "timm ConvNeXt",
        (r"stages\.\d+\.blocks\.\d+\.conv_dw\.",),
        (
            (r"^stages\.(\d+)\.downsample\.", _shifted("merges.{}.", -1)),
            (r"^stages\.(\d+)\.blocks\.", r"stages.\1."),
            *_CONVNEXT_BLOCK,
        ),
    ),
    Layout(
        "Facebook ConvNeXt",
        (r"downsample_layers\.0\.",),
        (
            (r"^downsample_layers\.0\.", "stem."),
            (r"^downsample_layers\.(\d+)\.", _shifted("merges.{}.", -1)),
            *_CONVNEXT_BLOCK,
        ),
    ),
    Layout(
        "torchvision ConvNeXt",
        (r"features\.\d+\.\d+\.layer_scale$",),
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
        (r"features\.\d+\.\d+\.attn\.cpb_mlp\.",),
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
        (r"layers\.\d+\.blocks\.\d+\.spatial_mlp\.",),
        (
            (r"^layers\.(\d+)\.downsample\.", r"merges.\1."),
            (r"\.norm1\.", ".mixing_norm."),
            *_SWIN_BLOCK,
        ),
    ),
    Layout(
        "Microsoft SwinV2",
        (_SWINV2, r"layers\.0\.downsample\."),
        (
            (r"^layers\.(\d+)\.downsample\.", r"merges.\1."),
            (r"\.norm1\.", ".attention_norm."),
            *_SWIN_BLOCK,
        ),
    ),
    Layout(
        "timm SwinV2",
        (_SWINV2,),
        (
            (r"^layers\.(\d+)\.downsample\.", _shifted("merges.{}.", -1)),
            (r"\.norm1\.", ".attention_norm."),
            *_SWIN_BLOCK,
        ),
    ),
    Layout("medseg", (r"stem\.0\.",), ()),
)
_UNKNOWN = Layout("no known layout", (), ())
_COMPUTED = re.compile(r"\.(relative_position_index|attn_mask|k_bias)$")
"""Buffers that some files hold, and every network can compute."""
_LARGEST_WINDOW = 1000


class Renamed(NamedTuple):
    """A weight under our name.

    Attributes:
        theirs: Its name in the file.
        tensor: In our form, where that is only a matter of writing.
    """

    theirs: str
    tensor: Tensor


def find_layout(weights: Weights) -> tuple[Layout, str]:
    """Whose names these are, and what all of them begin with that is not part of the layout."""
    for layout in LAYOUTS:
        found = [
            next((match for name in weights if (match := re.match(rf"(.*\.)?{sign}", name))), None)
            for sign in layout.signs
        ]
        if found[0] and all(found):
            return layout, found[0][1] or ""
    return _UNKNOWN, ""


def renamed(weights: Weights, layout: Layout, prefix: str) -> dict[str, Renamed]:
    """Our name -> theirs and the weight, for all weights that begin with `prefix`."""
    found: dict[str, Renamed] = {}
    for theirs, tensor in weights.items():
        if not theirs.startswith(prefix) or _COMPUTED.search(theirs):
            continue
        ours = theirs.removeprefix(prefix)
        for pattern, replacement in layout.rules:
            ours = re.sub(pattern, replacement, ours)
        for name, part in _rewritten(ours, tensor):
            found[name] = Renamed(theirs, part)
    return found


def _rewritten(name: str, tensor: Tensor) -> list[tuple[str, Tensor]]:
    """One weight as we write it, which may be several."""
    if name.endswith("attention.qkv_bias") and tensor.shape[:1].numel() % 3 == 0:
        # Of queries, keys, values; keys have none here, and theirs is not used.
        start, parts = name.removesuffix("qkv_bias"), tensor.reshape(3, -1)
        return [(start + "q_bias", parts[0]), (start + "v_bias", parts[2])]
    if name.endswith("attention.bias._extra_state") and tensor.shape[-1:] == (tensor.ndim - 2,):
        return [(name, _pretrained_window(tensor))]
    return [(name, tensor)]


def _pretrained_window(table: Tensor) -> Tensor:
    """The window that offsets are measured in, from the largest of all offsets.

    A network that was tuned with larger windows than it was trained with keeps measuring in the
    first.

    Args:
        table: Of SwinV2's position bias, (1, *(2 * window - 1), axes): sign(d) log2(1 + |d|) / 3
            for every offset d, in eighths of the window.
    """
    widths = torch.tensor([(length + 1) // 2 for length in table.shape[1:-1]])
    largest = table.double().reshape(-1, table.shape[-1]).amax(0)
    measure = 1 + 8 * (widths - 1) / (2 ** (3 * largest) - 1)
    return torch.where(
        widths > 1, measure.nan_to_num(1).round().clamp(1, _LARGEST_WINDOW), widths
    ).long()
