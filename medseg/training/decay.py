"""Which weights AdamW pulls towards 0, and how fast each learns: by the layer they are in."""

import re
from typing import Any, NamedTuple

from torch import nn

from medseg.networks.layers.depthwise import DepthwiseConv
from medseg.networks.layers.position_bias import PositionBias
from medseg.networks.layers.repmlp import FoldedPartitionPerceptron, PartitionPerceptron
from medseg.networks.layers.repmlpnet_unit import SetMixing
from medseg.networks.layers.token_mixing import TokenMixing

_MIXING = (
    nn.Linear,
    nn.Bilinear,
    nn.MultiheadAttention,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
    DepthwiseConv,
    TokenMixing,
    PartitionPerceptron,
    FoldedPartitionPerceptron,
    SetMixing,
)
"""Their `weight` and `kernels` are decayed. Nothing of any other module is: no norm, scale,
embedding or token, whatever its shape, and no bias."""
_NEVER = (PositionBias,)
"""A network that makes biases; SwinV2's authors leave it alone."""


class Weights(NamedTuple):
    """Names of a network's parameters."""

    decayed: tuple[str, ...]
    kept: tuple[str, ...]


def split_weights(network: nn.Module) -> Weights:
    """Sort the parameters of a network, ours or one of others."""
    never = {
        id(weight)
        for module in network.modules()
        if isinstance(module, _NEVER)
        for weight in module.parameters()
    }
    mixing = {
        id(weight)
        for module in network.modules()
        if isinstance(module, _MIXING)
        for name, weight in module.named_parameters()
        if name.startswith("kernels.") or (name.endswith("weight") and "." not in name)
    }
    decayed, kept = [], []
    for name, weight in network.named_parameters():
        pulled = id(weight) in mixing and id(weight) not in never
        (decayed if pulled else kept).append(name)
    return Weights(tuple(decayed), tuple(kept))


def parameter_groups(
    network: nn.Module, weight_decay: float, layer_decay: float = 1.0
) -> list[dict[str, Any]]:
    """Groups for AdamW, each with its `share` of the learning rate; the first group has all of it.

    Args:
        network: Ours, or one of others, which has no stages.
        weight_decay: Of what is decayed.
        layer_decay: From each stage of the encoder to the one before, and to stem and detail.
    """
    weights, split = dict(network.named_parameters()), split_weights(network)
    stages = 1 + max((_stage(name) or 0 for name in weights), default=0)
    members: dict[tuple[float, float], list[nn.Parameter]] = {}
    for names, decay in zip(split, (weight_decay, 0.0), strict=True):
        for name in names:
            stage = _stage(name)
            share = 1.0 if stage is None else layer_decay ** (stages - stage)
            members.setdefault((share, decay), []).append(weights[name])
    return [
        {"params": params, "weight_decay": decay, "share": share}
        for (share, decay), params in sorted(members.items(), key=lambda item: -item[0][0])
    ]


def _stage(name: str) -> int | None:
    """0 for what reads the image, then the encoder's stages from 1; None for what comes after."""
    found = re.match(r"(?:encoder\.stages\.(\d+)|encoder\.stem|detail)\.", name)
    return None if found is None else 1 + int(found[1]) if found[1] else 0
