"""Both groups of every family, listed: what is decayed, and what must never be."""

import re

import pytest
import torch
from networks.test_contract import FAMILIES, plan_of
from torch import nn

from medseg.networks.build import build_segmenter
from medseg.networks.layers.position_bias import PositionBias
from medseg.training.decay import parameter_groups, split_weights

COMMON = (
    {"Conv.weight", "Linear.weight", "DepthwiseConv.weight"},
    {
        "Conv.bias", "Linear.bias", "DepthwiseConv.bias", "ChannelNorm.weight", "ChannelNorm.bias",
        "LayerNorm.weight", "LayerNorm.bias", "ConvNeXtBlock.scale",
    },
)  # fmt: skip
MIXING = ({"TokenMixing.weight"}, {"TokenMixing.bias"})
BATCH_NORM = {"BatchNorm.weight", "BatchNorm.bias"}
ATTENTION = {
    "WindowAttention.logit_scale", "WindowAttention.q_bias", "WindowAttention.v_bias",
    "PositionBias.Linear.weight", "PositionBias.Linear.bias",
}  # fmt: skip
SCALES = {"Affine.weight", "Affine.bias", "ResMLPBlock.mixing_scale", "ResMLPBlock.mlp_scale"}
FAMILY = {
    "convnext": (set(), set()),
    "swinv2": (set(), ATTENTION),
    "swin_mlp": MIXING,
    "gmlp": MIXING,
    "amlp": MIXING,
    "resmlp": (MIXING[0], MIXING[1] | SCALES),
    "repmlp": ({"PartitionPerceptron.weight", "PartitionPerceptron.kernels"}, BATCH_NORM),
    "repmlpnet": ({"SetMixing.weight", "SetMixing.kernels"}, BATCH_NORM),
}
"""What is decayed and what is not, as Kind.parameter; detail stem, decoder and head included."""


def kinds(network, names):
    """Kind.parameter of each name."""
    found = set()
    for name in names:
        owner, _, parameter = name.replace(".kernels.", ".kernels/").rpartition(".")
        module = network.get_submodule(owner)
        inside = isinstance(network.get_submodule(owner.rpartition(".")[0]), PositionBias)
        kind = re.sub(r"Conv[23]d", "Conv", type(module).__name__)
        found.add("PositionBias." * inside + f"{kind}.{parameter.partition('/')[0]}")
    return found


@pytest.mark.parametrize("encoder", FAMILIES)
def test_what_mixes_is_decayed_and_nothing_else(encoder, dim):
    with torch.device("meta"):
        network = build_segmenter(plan_of(dim), encoder, "pointrend", multilabel=False)
    groups = split_weights(network)
    names = [name for name, _ in network.named_parameters()]
    assert sorted((*groups.decayed, *groups.kept)) == sorted(names)
    family = re.sub(r"_(micro|mini|tiny|huge|res50_light)$", "", encoder)
    decayed, kept = (a | b for a, b in zip(COMMON, FAMILY[family], strict=True))
    assert kinds(network, groups.decayed) == decayed
    assert kinds(network, groups.kept) == kept


def test_networks_of_others_keep_their_embeddings():
    network = nn.Module()
    network.positions = nn.Parameter(torch.zeros(1, 16, 8))
    network.words = nn.Embedding(4, 8)
    network.attention = nn.MultiheadAttention(8, 2)
    network.last = nn.Conv3d(8, 2, 1)
    groups = split_weights(network)
    assert set(groups.decayed) == {
        "attention.in_proj_weight",
        "attention.out_proj.weight",
        "last.weight",
    }
    assert {"positions", "words.weight", "last.bias"} <= set(groups.kept)


@pytest.mark.parametrize("encoder", FAMILIES)
def test_layers_near_the_image_learn_slower(encoder):
    """Every parameter is in one group; from stage to stage up to the decoder, which has all."""
    with torch.device("meta"):
        network = build_segmenter(plan_of(3), encoder, "pointrend", multilabel=False)
    names = {id(weight): name for name, weight in network.named_parameters()}
    groups = parameter_groups(network, 0.05, 0.5)
    found = {names[id(w)]: group["share"] for group in groups for w in group["params"]}
    assert len(found) == len(names) == sum(len(group["params"]) for group in groups)
    assert groups[0]["share"] == 1
    stages = 1 + max(int(name.split(".")[2]) for name in found if name.startswith("encoder.stages"))
    for name, share in found.items():
        if name.startswith("encoder.stages."):
            assert share == 0.5 ** (stages - int(name.split(".")[2]))
        elif name.startswith(("encoder.stem", "detail")):
            assert share == 0.5 ** (stages + 1)
        else:
            assert share == 1


def test_without_layer_decay_there_are_two_groups():
    groups = parameter_groups(nn.Conv2d(1, 2, 3), 0.05)
    assert [group["weight_decay"] for group in groups] == [0.05, 0.0]
    assert [group["share"] for group in groups] == [1, 1]
