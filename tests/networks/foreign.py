"""Names and shapes of weights in files that others have published, written down by hand.

- Facebook: github.com/facebookresearch/ConvNeXt, models/convnext.py, commit 06f7b05; releases
  convnext_{tiny,small,base,large,xlarge}_{1k,22k}_*.pth.
- Microsoft: github.com/microsoft/Swin-Transformer, models/swin_transformer_v2.py and swin_mlp.py,
  commit 055c506; releases swinv2_{tiny,small,base,large}_patch4_window*.pth and
  swin_mlp_{tiny_c24,tiny_c12,tiny_c6,base}_*.pth.

All of these releases are {"model": weights}.
"""

from math import log2

import torch
from networks.fill import fill_tensor

Shapes = dict[str, tuple[int, ...]]


def _affine(name: str, *shape: int) -> Shapes:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def facebook_convnext(depths, widths, classes=1000) -> Shapes:
    shapes = _affine("downsample_layers.0.0", widths[0], 3, 4, 4)
    shapes |= _affine("downsample_layers.0.1", widths[0])
    for stage in range(1, len(depths)):
        before, after = widths[stage - 1 : stage + 1]
        shapes |= _affine(f"downsample_layers.{stage}.0", before)
        shapes |= _affine(f"downsample_layers.{stage}.1", after, before, 2, 2)
    for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
        for block in (f"stages.{stage}.{index}" for index in range(depth)):
            shapes[f"{block}.gamma"] = (width,)
            shapes |= _affine(f"{block}.dwconv", width, 1, 7, 7)
            shapes |= _affine(f"{block}.norm", width)
            shapes |= _affine(f"{block}.pwconv1", 4 * width, width)
            shapes |= _affine(f"{block}.pwconv2", width, 4 * width)
    return shapes | _affine("norm", widths[-1]) | _affine("head", classes, widths[-1])


def _microsoft(depths, widths, blocks, *, norm_first, classes) -> Shapes:
    """What both of Microsoft's families have; `blocks` are the shapes of a stage's blocks."""
    shapes = _affine("patch_embed.proj", widths[0], 3, 4, 4)
    shapes |= _affine("patch_embed.norm", widths[0])
    for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
        for index in range(depth):
            block = f"layers.{stage}.blocks.{index}"
            shapes |= _affine(f"{block}.norm1", width) | _affine(f"{block}.norm2", width)
            shapes |= {f"{block}.{n}": s for n, s in blocks(stage, index % 2 == 1).items()}
            shapes |= _affine(f"{block}.mlp.fc1", 4 * width, width)
            shapes |= _affine(f"{block}.mlp.fc2", width, 4 * width)
        if stage + 1 < len(depths):
            merging = f"layers.{stage}.downsample"
            shapes[f"{merging}.reduction.weight"] = (2 * width, 4 * width)
            shapes |= _affine(f"{merging}.norm", 4 * width if norm_first else 2 * width)
    return shapes | _affine("norm", widths[-1]) | _affine("head", classes, widths[-1])


def microsoft_swinv2(depths, widths, heads, window, image, classes=1000) -> Shapes:
    def attention(stage: int, shifted: bool) -> Shapes:
        width, side = widths[stage], image // 4 // 2**stage
        wide = min(window, side)
        tokens = wide**2
        masks = {"attn_mask": ((side // wide) ** 2, tokens, tokens)} if side > wide else {}
        return {
            **(masks if shifted else {}),
            "attn.q_bias": (width,),
            "attn.v_bias": (width,),
            "attn.logit_scale": (heads[stage], 1, 1),
            "attn.relative_coords_table": (1, 2 * wide - 1, 2 * wide - 1, 2),
            "attn.relative_position_index": (tokens, tokens),
            **_affine("attn.cpb_mlp.0", 512, 2),
            "attn.cpb_mlp.2.weight": (heads[stage], 512),
            "attn.qkv.weight": (3 * width, width),
            **_affine("attn.proj", width, width),
        }

    return _microsoft(depths, widths, attention, norm_first=False, classes=classes)


def microsoft_swin_mlp(depths, widths, heads, window, classes=1000) -> Shapes:
    def mixing(stage: int, _shifted: bool) -> Shapes:
        tokens = window**2
        return _affine("spatial_mlp", heads[stage] * tokens, tokens, 1)

    return _microsoft(depths, widths, mixing, norm_first=True, classes=classes)


def is_parameter(name: str) -> bool:
    return not name.endswith(("coords_table", "position_index", "attn_mask", "k_bias"))


def weights_of(shapes: Shapes, pretrained_window: int | None = None) -> dict[str, torch.Tensor]:
    """Filled from a seed; SwinV2's tables as the paper computes them.

    Args:
        shapes: By name.
        pretrained_window: What tables are measured in; None: the window.
    """
    weights = {name: fill_tensor(name, torch.empty(shape)) for name, shape in shapes.items()}
    for name, shape in shapes.items():
        if name.endswith("coords_table"):
            wide = (shape[1] + 1) // 2
            offsets = torch.arange(1 - wide, wide) * 8 / ((pretrained_window or wide) - 1)
            offsets = offsets.sign() * (offsets.abs() + 1).log2() / log2(8)
            weights[name] = torch.stack(torch.meshgrid(offsets, offsets, indexing="ij"), -1)[None]
        elif name.endswith("position_index"):
            weights[name] = torch.zeros(shape, dtype=torch.long)
    return weights
