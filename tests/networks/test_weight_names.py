"""Names of weights are for good: what an earlier release wrote is read."""

import re

import pytest
import torch
from networks.fill import fill
from plans import plan_for_tests
from safetensors import safe_open
from safetensors.torch import save_file

from medseg.networks.build import NetworkChoice, build_network
from medseg.networks.layers.folding import fold
from medseg.runs import ModelCard, load_model, save_model
from medseg.scans.channels import ChannelRule

REST = """
    detail.{convolution,norm}.{weight,bias} coarse.{weight,bias}
    decoder.{reduce,norms}.0.{weight,bias} decoder.blocks.0.scale
    decoder.blocks.0.{depthwise,norm,expand,project}.{weight,bias}
    head.mlp.{hidden.0,hidden.1,hidden.2,last}.{weight,bias}
"""
"""Around an encoder of two stages; braces hold alternatives."""
MERGING = """
    stem.{0,1}.{weight,bias} merges.0.reduction.weight merges.0.norm.{weight,bias}
"""
TRAINED = {
    "convnext_mini": """
        stem.{0,1}.{weight,bias} merges.0.{0,1}.{weight,bias} stages.{0,1}.{0,1}.scale
        stages.{0,1}.{0,1}.{depthwise,norm,expand,project}.{weight,bias}
    """,
    "swinv2_mini": MERGING
    + """
        stages.{0,1}.{0,1}.attention.{q_bias,v_bias,logit_scale,qkv.weight,bias._extra_state}
        stages.{0,1}.{0,1}.attention.{bias.hidden.weight,bias.hidden.bias,bias.out.weight}
        stages.{0,1}.{0,1}.attention.project.{weight,bias}
        stages.{0,1}.{0,1}.{attention_norm,mlp_norm,expand,project}.{weight,bias}
    """,
    "swin_mlp_mini": MERGING
    + "stages.{0,1}.{0,1}.{mixing_norm,mixing,mlp_norm,expand,project}.{weight,bias}",
    "amlp_mini": """
        stem.{0,1}.{weight,bias} merges.0.{0,1}.{weight,bias}
        stages.{0,1}.{0,1}.{norm,expand,gate.norm,gate.mixing,project}.{weight,bias}
        stages.{0,1}.{0,1}.attention.{qkv,project}.{weight,bias}
    """,
    "resmlp_mini": """
        stem.{0,1}.{weight,bias} merges.0.{0,1}.{weight,bias}
        stages.{0,1}.{0,1}.{mixing_scale,mlp_scale}
        stages.{0,1}.{0,1}.{mixing_affine,mixing,mlp_affine,expand,project}.{weight,bias}
    """,
    "repmlp_mini": """
        stem.0.convolution.weight stem.0.norm.norm.NORM
        {stem.2,merges.0}.{branch.0,branch.2,branch.4,shortcut}.convolution.weight
        {stem.2,merges.0}.{branch.0,branch.2,branch.4,shortcut}.norm.norm.NORM
        stages.0.0.branch.{0,2,4}.convolution.weight stages.0.0.branch.{0,2,4}.norm.norm.NORM
        stages.1.0.branch.{0,2,6,8}.convolution.weight stages.1.0.branch.{0,2,6,8}.norm.norm.NORM
        stages.1.0.branch.4.glance.{squeeze.linear,excite}.{weight,bias}
        stages.1.0.branch.4.glance.squeeze.norm.NORM
        stages.1.0.branch.4.partition.{weight,kernels.0,kernels.1,kernels.2}
        stages.1.0.branch.4.partition.{norm,local_norms.0,local_norms.1,local_norms.2}.NORM
    """,
    "repmlpnet_mini": """
        {stem.0,merges.0.0}.convolution.weight {stem.0,merges.0.0}.norm.norm.NORM
        stages.{0,1}.{0,1}.{squeeze,excite}.{weight,bias}
        stages.{0,1}.{0,1}.mixing.{weight,kernels.0,kernels.1}
        stages.{0,1}.{0,1}.{mixing_norm.norm,mixing.norms.0,mixing.norms.1,mixing.norms.2}.NORM
        stages.{0,1}.{0,1}.mlp_norm.norm.NORM stages.{0,1}.{0,1}.{expand,project}.linear.weight
        stages.{0,1}.{0,1}.{expand,project}.norm.norm.NORM
    """,
}
"""One size of each family, as checkpoints hold it."""
NORM = "{weight,bias,running_mean,running_var,num_batches_tracked}"
FOLDED = {
    "repmlp_mini": """
        stem.0.{weight,bias}
        {stem.2,merges.0}.{branch.0,branch.2,branch.4,shortcut}.{weight,bias}
        stages.0.0.branch.{0,2,4}.{weight,bias} stages.1.0.branch.{0,2,6,8}.{weight,bias}
        stages.1.0.branch.4.{glance.squeeze,glance.excite,partition}.{weight,bias}
    """,
    "repmlpnet_mini": """
        {stem.0,merges.0.0}.{weight,bias}
        stages.{0,1}.{0,1}.{mixing_norm,squeeze,excite,mixing,mlp_norm}.{weight,bias}
        stages.{0,1}.{0,1}.{expand,project}.{weight,bias}
    """,
}
"""As model files hold those that fold; the others are the same."""


def spelled_out(pattern):
    """All names that a pattern stands for."""
    found = re.search(r"\{([^}]*)\}", pattern)
    if found is None:
        return [pattern]
    before, after = pattern[: found.start()], pattern[found.end() :]
    return [name for part in found[1].split(",") for name in spelled_out(before + part + after)]


def names(encoder):
    patterns = [*REST.split(), *(f"encoder.{p}" for p in encoder.replace("NORM", NORM).split())]
    return [name for pattern in patterns for name in spelled_out(pattern)]


def network_of(card):
    return fill(build_network(card.plan, card.network, multilabel=False)).eval()


@pytest.fixture(params=TRAINED)
def card(request, dim):
    choice = NetworkChoice(encoder=request.param, head="pointrend")
    rule = ChannelRule(kind="suffix", keys=("_t1",))
    return ModelCard(plan=plan_for_tests(dim=dim), network=choice, channel_rule=rule)


def test_a_checkpoint_has_the_names_of_earlier_ones(card):
    assert sorted(network_of(card).state_dict()) == sorted(names(TRAINED[card.network.encoder]))


@torch.no_grad()
def test_an_earlier_model_file_is_loaded(card, dim, tmp_path):
    network = network_of(card)
    file = tmp_path / "model.safetensors"
    save_model(file, network, card)
    with safe_open(file, framework="pt") as stored:
        description = stored.metadata()
    ours = fold(network).state_dict()
    encoder = card.network.encoder
    weights = {name: ours[name] for name in names(FOLDED.get(encoder, TRAINED[encoder]))}
    save_file(weights, file, metadata=description)
    image = torch.randn(1, 1, *(16,) * dim)
    assert torch.equal(load_model(file)[0](image), fold(network)(image))
