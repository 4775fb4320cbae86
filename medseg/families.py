"""The families of encoders: their sizes, what each can do and what it wants. Plain facts.

Settings, plan and training ask here. `ENCODERS` in networks/build.py builds every size.
"""

from typing import Literal, NamedTuple, get_args

ConvNeXtName = Literal[
    "convnext_micro", "convnext_mini", "convnext_tiny", "convnext_small", "convnext_base",
    "convnext_large", "convnext_xlarge",
]  # fmt: skip
SwinV2Name = Literal[
    "swinv2_mini", "swinv2_tiny", "swinv2_small", "swinv2_base", "swinv2_large", "swinv2_huge",
    "swinv2_giant",
]  # fmt: skip
SwinMLPName = Literal[
    "swin_mlp_mini", "swin_mlp_tiny_c24", "swin_mlp_tiny_c12", "swin_mlp_tiny_c6", "swin_mlp_base",
]  # fmt: skip
GMLPName = Literal[
    "gmlp_mini", "gmlp_tiny", "gmlp_small", "gmlp_base",
    "amlp_mini", "amlp_tiny", "amlp_small", "amlp_base",
]  # fmt: skip
ResMLPName = Literal["resmlp_mini", "resmlp_12", "resmlp_24", "resmlp_36", "resmlp_big24"]
RepMLPName = Literal["repmlp_mini", "repmlp_res50_bottleneck", "repmlp_res50_light"]
RepMLPNetName = Literal[
    "repmlpnet_mini", "repmlpnet_t", "repmlpnet_b", "repmlpnet_d", "repmlpnet_l"
]
EncoderName = Literal[
    ConvNeXtName, SwinV2Name, SwinMLPName, GMLPName, ResMLPName, RepMLPName, RepMLPNetName
]
Rate = tuple[float, str]
"""A peak learning rate of AdamW at a batch of a few patches, and whose it is."""


class Recipe(NamedTuple):
    """What an encoder wants of strides and kernels where every axis is alike.

    Attributes:
        stem_rounds: Halvings in the stem.
        min_stages: Stages it has at least, and `max_stages` where the patch is large enough.
        kernel: Width of the depthwise convolutions; windows follow it.
        min_tokens: Halving never leaves an axis fewer tokens, before the patch is padded to whole
            ones.
    """

    stem_rounds: int
    min_stages: int
    max_stages: int
    kernel: int
    min_tokens: float = 3.5


class Family(NamedTuple):
    """Encoders of one block.

    Attributes:
        name: In words.
        sizes: Names, as in the settings.
        small: Those of ours, made for a CPU; the others are of a paper.
        large: Those that learn at half the rate.
        from_scratch: Rate of a paper's size.
        fine_tuned: Rate of a paper's size that starts from pretrained weights, if another.
        maskable: Whether it can learn from masked scans.
        foldable: Whether model files hold it folded, which cannot be trained further.
        chunked: Whether it has attention that can be worked off in chunks.
        ours: What a size of ours wants.
        papers: What a paper's size wants.
    """

    name: str
    sizes: tuple[str, ...]
    small: tuple[str, ...]
    large: tuple[str, ...] = ()
    from_scratch: Rate = (8e-4, "Swin UNETR's, arXiv:2201.01266")
    fine_tuned: Rate | None = None
    maskable: bool = False
    foldable: bool = False
    chunked: bool = False
    ours: Recipe = Recipe(1, 3, 4, 5)
    papers: Recipe = Recipe(2, 4, 4, 7)


FAMILIES = (
    Family(
        "ConvNeXt",
        get_args(ConvNeXtName),
        small=("convnext_micro", "convnext_mini"),
        large=("convnext_large", "convnext_xlarge"),
        from_scratch=(1e-3, "MedNeXt's, arXiv:2303.09975"),
        fine_tuned=(1e-4, "ConvNeXt's with UPerNet, arXiv:2201.03545"),
        maskable=True,
    ),
    Family(
        "SwinV2",
        get_args(SwinV2Name),
        small=("swinv2_mini",),
        large=("swinv2_large", "swinv2_huge", "swinv2_giant"),
        fine_tuned=(6e-5, "Swin's with UPerNet, arXiv:2103.14030"),
        maskable=True,
        chunked=True,
    ),
    Family("Swin MLP", get_args(SwinMLPName), small=("swin_mlp_mini",)),
    Family("gMLP and aMLP", get_args(GMLPName), small=("gmlp_mini", "amlp_mini")),
    Family("ResMLP", get_args(ResMLPName), small=("resmlp_mini",), large=("resmlp_big24",)),
    Family("RepMLP", get_args(RepMLPName), small=("repmlp_mini",), foldable=True),
    Family(
        "RepMLPNet",
        get_args(RepMLPNetName),
        small=("repmlpnet_mini",),
        large=("repmlpnet_l",),
        foldable=True,
    ),
)
_OF_SIZE = {size: family for family in FAMILIES for size in family.sizes}


def family_of(encoder: str) -> Family:
    """The family of an encoder, by its name."""
    return _OF_SIZE[encoder]


def is_small(encoder: str) -> bool:
    """Whether an encoder is one of ours, made for a CPU, and not of a paper."""
    return encoder in family_of(encoder).small
