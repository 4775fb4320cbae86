"""A segmenter that starts from another: what is equal, adapted, and left alone."""

import pytest
import torch
from networks.fill import difference, fill
from plans import plan_for_tests
from safetensors.torch import save_file

from medseg.errors import MedsegError
from medseg.networks.build import NetworkChoice, build_network
from medseg.networks.pretrained.segmenter import start_from

SIZE = (16, 24, 32)


def network(dim=3, encoder="convnext_micro", seed=0, reference=None, **plan):
    names = plan.pop("class_names", ("background", "organ", "lesion"))
    fields = {"class_names": names, "label_values": tuple(range(len(names)))}
    plan = plan_for_tests(dim=dim, patch_size=SIZE[:dim], **fields, **plan)
    choice = NetworkChoice(encoder=encoder, head="pointrend", network=reference)
    return fill(build_network(plan, choice, multilabel=False), seed).eval()


def saved(network, path):
    save_file({name: w.contiguous() for name, w in network.state_dict().items()}, path)
    return path


@pytest.mark.parametrize("encoder", ["convnext_micro", "swinv2_mini", "resmlp_mini"])
@torch.no_grad()
def test_of_the_same_network_everything_is_taken(encoder, dim, tmp_path):
    one, two = network(dim, encoder), network(dim, encoder, seed=1)
    report = start_from(two, saved(one, tmp_path / "w.safetensors"))
    assert report.adapted == report.left_out == report.misfits == report.missing == ()
    image = torch.randn(1, 1, *SIZE[:dim])
    assert torch.equal(two(image), one(image))


@torch.no_grad()
def test_other_classes_leave_only_what_counts_them(dim, tmp_path):
    one = network(dim)
    two = network(dim, seed=1, class_names=("background", "a", "b", "c", "d"))
    before = {name: weight.clone() for name, weight in two.state_dict().items()}
    report = start_from(two, saved(one, tmp_path / "w.safetensors"))
    assert {entry.split()[0].split(".")[0] for entry in report.misfits} == {"coarse", "head"}
    after = two.state_dict()
    assert torch.equal(
        after["decoder.blocks.0.expand.weight"], one.state_dict()["decoder.blocks.0.expand.weight"]
    )
    assert torch.equal(after["coarse.weight"], before["coarse.weight"])


@torch.no_grad()
def test_other_channels_are_adapted_in_the_detail_stem(dim, tmp_path):
    one, two = network(dim), network(dim, seed=1, channels=3)
    report = start_from(two, saved(one, tmp_path / "w.safetensors"))
    assert [weight.name for weight in report.adapted] == ["detail.convolution.weight"]
    image = torch.randn(1, 1, *SIZE[:dim])
    assert difference(two(image.expand(-1, 3, *[-1] * dim)), one(image)) < 1e-4


@pytest.mark.parametrize("axis", [0, 1, 2])
@torch.no_grad()
def test_a_volume_of_equal_slices_gives_what_the_slice_gives(axis, tmp_path):
    flat = network(2)
    thick = network(3, seed=1)
    report = start_from(thick, saved(flat, tmp_path / "w.safetensors"), new_axis=axis)
    assert report.misfits == ()
    image = torch.randn(1, 1, 16, 16)
    volume = image.unsqueeze(2 + axis).repeat_interleave(16, 2 + axis)
    # The head refines other points in a volume than in an image; what it reads is equal.
    plane, slices = flat.features(image).coarse, thick.features(volume).coarse
    for index in range(slices.shape[2 + axis]):
        assert difference(slices.select(2 + axis, index), plane) < 1e-4


@torch.no_grad()
def test_networks_of_others_take_what_has_their_names(tmp_path):
    one, two = network(2, reference="miniseg"), network(2, reference="miniseg", seed=1)
    report = start_from(two, saved(one, tmp_path / "w.safetensors"))
    assert report.missing == report.misfits == ()
    image = torch.randn(1, 1, *SIZE[:2])
    assert torch.equal(two(image), one(image))
    with pytest.raises(MedsegError, match="same network"):
        start_from(network(2, reference="unet"), saved(network(3), tmp_path / "other.safetensors"))
