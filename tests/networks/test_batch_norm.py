"""Batch normalisation of maps and tokens is torch's own, in training too."""

import copy

import pytest
import torch
from networks.fill import changed, difference, fill
from torch import nn

from medseg.networks.encoders import repmlp, repmlpnet
from medseg.networks.encoders.pyramid import Levels, Savers
from medseg.networks.layers.batch_norm import BatchNorm, ConvNorm, TokenBatchNorm
from medseg.networks.layers.nd import CONVOLUTIONS

NORMS = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


def test_it_is_torchs(dim):
    convolution = CONVOLUTIONS[dim](2, 4, 3, bias=False)
    ours = fill(ConvNorm(convolution))
    theirs = nn.Sequential(copy.deepcopy(convolution), NORMS[dim](4))
    theirs[1].load_state_dict(ours.norm.norm.state_dict())
    x = torch.randn(2, 2, *(5, 6, 7)[:dim], generator=torch.Generator().manual_seed(1))
    assert difference(ours(x), theirs(x)) < 1e-5
    for name, moved in theirs[1].named_buffers():
        torch.testing.assert_close(ours.norm.norm.get_buffer(name), moved)
    ours.eval()
    theirs.eval()
    with torch.no_grad():
        assert difference(ours(x), theirs(x)) < 1e-5
        with changed(ours, "norm.norm.weight"):
            assert difference(ours(x), theirs(x)) > 1e-3


def test_a_single_value_is_normalised_by_what_was_seen_before():
    """One patch whose last map is one voxel: it has no variance."""
    norm = fill(BatchNorm(4)).train()
    before = copy.deepcopy(norm.state_dict())
    x = torch.randn(1, 4)
    single = norm(x)
    assert all(torch.equal(norm.state_dict()[name], buffer) for name, buffer in before.items())
    assert torch.equal(single, norm.eval()(x))
    assert norm.train()(torch.randn(2, 4)).isfinite().all()
    assert not torch.equal(norm.running_mean, before["running_mean"])


def test_every_token_counts():
    norm = TokenBatchNorm(3).train()
    out = norm(torch.randn(2, 5, 4, 3) * 3 + 1)
    torch.testing.assert_close(out.mean((0, 1, 2)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.var((0, 1, 2), unbiased=False), torch.ones(3), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("build", "size"),
    [
        (repmlp.repmlp_resnet, repmlp.SIZES["repmlp_mini"]),
        (repmlpnet.repmlpnet, repmlpnet.SIZES["repmlpnet_mini"]),
    ],
)
def test_a_batch_that_is_computed_again_counts_once(build, size):
    levels = Levels(((2, 2),) * 3, ((3, 3),) * 3, (), ((4, 4),) * 3)
    plain, saving = (
        fill(build(1, size._replace(channels=16), levels, savers=Savers(checkpointing=again)))
        for again in (False, True)
    )
    x = torch.randn(2, 1, 32, 32)
    for _ in range(2):
        for network in (plain, saving):
            sum(maps.square().mean() for maps in network.train()(x)).backward()
    for (name, once), again in zip(plain.named_buffers(), saving.buffers(), strict=True):
        assert torch.equal(once, again), name
    for (name, once), again in zip(plain.named_parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(again.grad, once.grad, msg=name)
