"""Which weights AdamW pulls towards 0: those that mix values, by the kind of layer they are in."""

from typing import NamedTuple

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
