"""Masked pretraining: what is hidden is not seen, and only that is judged."""

import pytest
import torch
from networks.fill import fill
from plans import plan_for_tests

from medseg.networks.build import build_segmenter
from medseg.networks.masked import (
    MaskedAutoencoder,
    Reconstruction,
    mask_unit,
    masked_l1,
    random_mask,
)

SIZE = (16, 24, 32)


def autoencoder(encoder, dim):
    plan = plan_for_tests(
        dim=dim, channels=2, patch_size=SIZE[:dim], stage_strides=((2,) * dim,) * 2,
        kernels=((3,) * dim,) * 3,
    )  # fmt: skip
    network = build_segmenter(plan, encoder, "dense", multilabel=False)
    unit = mask_unit(SIZE[:dim], plan.stem_strides, network.encoder.strides[-1])
    detail = network.detail if network.reads_detail else None
    return fill(MaskedAutoencoder(detail, network.encoder, 2, unit))


def test_units_are_the_largest_stride_or_fit_four_times():
    assert mask_unit((128, 128), (4, 4), (32, 32)) == (32, 32)
    assert mask_unit((64, 16, 40), (2, 2, 2), (32, 32, 8)) == (16, 4, 8)
    assert mask_unit((64, 5, 12), (4, 1, 4), (32, 1, 32)) == (16, 1, 4)


def test_a_mask_hides_whole_boxes_of_the_share_that_is_asked(dim):
    torch.manual_seed(0)
    unit = (4, 8, 8)[:dim]
    mask = random_mask(torch.zeros(3, 2, *SIZE[:dim]), unit)
    assert mask.shape == (3, 1, *SIZE[:dim])
    boxes = mask.float()
    for axis, width in enumerate(unit, start=2):
        boxes = boxes.unflatten(axis, (-1, width)).mean(axis + 1)
    assert {*boxes.unique().tolist()} == {0.0, 1.0}
    assert boxes.flatten(1).mean(1).tolist() == pytest.approx([0.6] * 3, abs=0.05)
    assert not torch.equal(mask[0], mask[1])


@pytest.mark.parametrize("encoder", ["convnext_micro", "convnext_tiny", "swinv2_mini"])
@torch.no_grad()
def test_what_is_hidden_is_not_seen(encoder, dim):
    network = autoencoder(encoder, dim).eval()
    x = torch.randn(1, 2, *SIZE[:dim])
    mask = random_mask(x, network.unit)
    output = network(x, mask)
    assert output.image.shape == x.shape
    other = torch.where(mask, torch.randn_like(x), x)
    torch.testing.assert_close(network(other, mask).image, output.image)
    other = torch.where(mask, x, torch.randn_like(x))
    assert not torch.allclose(network(other, mask).image, output.image, atol=1e-3)


def test_a_box_of_the_last_map_becomes_its_own_voxels(dim):
    network = autoencoder("convnext_micro", dim)
    network.encoder.from_stem = lambda _: [last]
    size = [length // stride for length, stride in zip(SIZE, network.box, strict=False)]
    last = torch.zeros(1, network.encoder.out_channels[-1], *size)
    last[(0, slice(None), *(1,) * dim)] = 1.0
    torch.nn.init.zeros_(network.restore.bias)
    x = torch.zeros(1, 2, *SIZE[:dim])
    image = network(x, random_mask(x, network.unit)).image
    own = tuple(slice(stride, 2 * stride) for stride in network.box)
    assert image[(0, slice(None), *own)].abs().min() > 0
    image[(0, slice(None), *own)] = 0
    assert not image.any()


def test_only_hidden_voxels_are_judged(dim):
    target = torch.randn(2, 2, *SIZE[:dim])
    mask = random_mask(target, (8,) * dim)
    image = torch.where(mask, target + 0.5, target + 100)
    assert masked_l1(Reconstruction(image, mask, target)) == pytest.approx(0.5)


@pytest.mark.parametrize("encoder", ["convnext_micro", "swinv2_mini"])
def test_everything_learns(encoder, dim):
    network = autoencoder(encoder, dim).train()
    masked_l1(network.training_output(torch.randn(2, 2, *SIZE[:dim]))).backward()
    still = [name for name, w in network.named_parameters() if w.grad is None or not w.grad.any()]
    assert still == []
