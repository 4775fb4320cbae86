"""What every network promises, whatever it is built from."""

from functools import partial
from itertools import product
from unittest.mock import patch

import pytest
import torch
from networks.fill import fill
from plans import plan_for_tests

from medseg.families import is_small
from medseg.networks.build import ENCODERS, HEADS, build_segmenter

SIZE = (32, 16, 16)
FAMILIES = (
    "convnext_micro",
    "convnext_tiny",
    "swinv2_mini",
    "swinv2_huge",
    "swin_mlp_mini",
    "gmlp_mini",
    "amlp_mini",
    "resmlp_mini",
    "repmlp_mini",
    "repmlp_res50_light",
    "repmlpnet_mini",
)
"""One encoder of each kind; depth and width are all that the others differ in."""
PARTS = [*product(FAMILIES[:1], HEADS), *((name, "pointrend") for name in FAMILIES[1:])]


def narrow(name):
    """Width only costs time."""
    size = ENCODERS[name].keywords["size"]
    return partial(ENCODERS[name].func, size=size._replace(channels=16))


def plan_of(dim, channels=1, **overrides):
    """Four stages; an even stride at each."""
    shape = {"stage_strides": ((2,) * dim,) * 3, "kernels": ((3,) * dim,) * 4}
    shape["patch_size"] = (32,) * dim
    return plan_for_tests(dim=dim, channels=channels, **{**shape, **overrides})


def build(plan, encoder="convnext_micro", head="pointrend", seed=0):
    with patch.dict(ENCODERS, {encoder: narrow(encoder)}):
        network = build_segmenter(plan, encoder, head, multilabel=False)
    return fill(network, seed).eval()


@pytest.mark.parametrize("encoder", ENCODERS)
def test_an_encoder_returns_what_it_declares(encoder, dim):
    """At its real width, without computing anything."""
    with torch.device("meta"):
        network = build_segmenter(plan_of(dim), encoder, "dense", multilabel=False).encoder
        image = torch.empty(2, 16 if is_small(encoder) else 1, *SIZE[:dim])
        maps = network(image)
    assert len(maps) == len(network.strides) == len(network.out_channels)
    for found, channels, strides in zip(maps, network.out_channels, network.strides, strict=True):
        size = [length // stride for length, stride in zip(SIZE, strides, strict=False)]
        assert found.shape == (2, channels, *size)
    assert network.strides == tuple((2 ** (stage + 1),) * dim for stage in range(4))


@pytest.mark.parametrize(("encoder", "head"), PARTS)
def test_every_parameter_learns(encoder, head, dim):
    network = build(plan_of(dim), encoder, head).train()
    output = network.training_output(torch.randn(2, 1, *SIZE[:dim]))
    assert output.logits.shape == (2, 3, *SIZE[:dim])
    total = (output.logits * torch.randn_like(output.logits)).sum()
    if output.point_logits is not None:
        total = total + (output.point_logits * torch.randn_like(output.point_logits)).sum()
    total.backward()
    still = [name for name, w in network.named_parameters() if w.grad is None or not w.grad.any()]
    assert still == []
    assert all(w.grad.isfinite().all() for w in network.parameters())


@pytest.mark.parametrize(("encoder", "head"), PARTS)
def test_any_size_comes_back(encoder, head, dim):
    network = build(plan_of(dim), encoder, head)
    for size in ((13, 9, 17), (3, 5, 2), (1, 16, 1)):
        with torch.no_grad():
            logits = network(torch.randn(1, 1, *size[:dim]))
        assert logits.shape == (1, 3, *size[:dim])
        assert logits.isfinite().all()


@pytest.mark.parametrize("encoder", FAMILIES)
@torch.no_grad()
def test_evaluation_is_deterministic_and_survives_its_weights(encoder, dim):
    network = build(plan_of(dim), encoder)
    image = torch.randn(1, 1, *SIZE[:dim])
    logits = network(image)
    assert torch.equal(network(image), logits)
    other = build(plan_of(dim), encoder, seed=1)
    assert not torch.equal(other(image), logits)
    other.load_state_dict(network.state_dict())
    assert torch.equal(other(image), logits)


@pytest.mark.parametrize(("encoder", "head"), PARTS)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@torch.no_grad()
def test_every_channel_counts(channels, encoder, head, dim):
    network = build(plan_of(dim, channels), encoder, head)
    image = torch.randn(1, channels, *SIZE[:dim])
    logits = network(image)
    for channel in range(channels):
        other = image.clone()
        other[:, channel] += torch.randn(SIZE[:dim])
        assert not torch.allclose(network(other), logits, atol=1e-3)


THIN = [
    {"stem_strides": (1, 2, 2), "stage_strides": ((1, 2, 2), (2, 2, 2), (2, 2, 2))},
    {"stem_strides": (1, 4, 4), "stage_strides": ((1, 2, 2),)},
    {"stem_strides": (1, 1, 1), "stage_strides": ((1, 2, 2), (1, 2, 2))},
    {"stem_strides": (2, 2, 2), "stage_strides": ()},
]


@pytest.mark.parametrize(("encoder", "head"), PARTS)
@pytest.mark.parametrize("shape", THIN, ids=[str(shape["stem_strides"]) for shape in THIN])
@torch.no_grad()
def test_thin_axes_keep_their_voxels(shape, encoder, head):
    kernels = ((1, 5, 5), (1, 5, 5), (3, 5, 5), (3, 5, 5))[: len(shape["stage_strides"]) + 1]
    network = build(plan_of(3, **shape, kernels=kernels), encoder, head)
    for size in ((4, 32, 32), (1, 16, 24), (3, 7, 9)):
        assert network(torch.randn(1, 1, *size)).shape == (1, 3, *size)


# RepMLPNet's gate is the mean of the whole map.
@pytest.mark.parametrize("encoder", [name for name in FAMILIES if name != "repmlpnet_mini"])
@torch.no_grad()
def test_slices_do_not_see_each_other_through_kernels_of_one(encoder):
    shape = {"stem_strides": (1, 2, 2), "stage_strides": ((1, 2, 2),), "kernels": ((1, 5, 5),) * 2}
    network = build(plan_of(3, **shape), encoder, "dense")
    volume = torch.randn(1, 1, 4, 16, 16)
    whole = network(volume)
    for index in range(4):
        alone = network(volume[:, :, index : index + 1])
        torch.testing.assert_close(whole[:, :, index : index + 1], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("encoder", "head"), PARTS)
@torch.no_grad()
def test_items_of_a_batch_do_not_see_each_other(encoder, head, dim):
    network = build(plan_of(dim), encoder, head)
    images = torch.randn(3, 1, *SIZE[:dim])
    together = network(images)
    for index in range(3):
        alone = network(images[index : index + 1])
        differs = ~torch.isclose(together[index : index + 1], alone, atol=1e-5, rtol=1e-5)
        # Of two points that are as uncertain, rounding may choose another one.
        assert differs.float().mean() < (1e-3 if head == "pointrend" else 1e-9)


def test_an_image_of_the_wrong_dimension_is_refused(dim):
    with pytest.raises((ValueError, RuntimeError)):
        build(plan_of(dim))(torch.randn(1, 1, *(8,) * (5 - dim)))
