"""Networks of others, small: what is promised of all, and what each is asked for."""

import sys

import pytest
import torch
from plans import plan_for_tests
from references import NARROW

from medseg.errors import MedsegError
from medseg.networks.build import NetworkChoice, build_network
from medseg.networks.cost import training_bytes
from medseg.networks.layers.folding import fold
from medseg.networks.reference.monai import PLANNED
from medseg.networks.reference.names import ALIASES, CLASSICS
from medseg.runs import ModelCard, load_model, save_model
from medseg.scans.channels import ChannelRule

SIZE = (32, 32, 32)


def planned(dim, **changed):
    """Four levels, nnU-Net's way."""
    return plan_for_tests(
        dim=dim, channels=2, patch_size=SIZE[:dim], stem_strides=(1,) * dim,
        stage_strides=((2,) * dim,) * 3, kernels=((3,) * dim,) * 4, **changed,
    )  # fmt: skip


def build(name, dim, head="pointrend", **arguments):
    torch.manual_seed(0)
    return build_network(planned(dim), choice_of(name, head, **arguments), multilabel=False)


def choice_of(name, head="pointrend", **arguments):
    arguments = {**NARROW.get(name, {}), **arguments}
    return NetworkChoice(encoder="convnext_mini", head=head, network=name, arguments=arguments)


def test_none_is_left_out():
    assert {*CLASSICS, *(f"monai:{name}" for name in PLANNED)} <= {*NARROW}


@pytest.mark.parametrize("name", NARROW)
def test_it_learns_and_segments_any_size(name, dim):
    if name.startswith("smp:") and dim == 3:
        with pytest.raises(MedsegError, match="is 2D"):
            build(name, dim)
        return
    network = build(name, dim).train()
    output = network.training_output(torch.randn(2, 2, *SIZE[:dim]))
    assert output.logits.shape == (2, 3, *SIZE[:dim])
    (output.logits.square().mean() + output.point_logits.square().mean()).backward()
    moved = [w.grad is not None and bool(w.grad.any()) for w in network.parameters()]
    assert sum(moved) > 0.6 * len(moved)  # some have parameters that they never use
    network.eval()
    with torch.no_grad():
        # A position embedding has one size: windows are always as large as the patch.
        size = SIZE[:dim] if name == "monai:UNETR" else (21, 35, 18)[:dim]
        image = torch.randn(1, 2, *size)
        logits = network(image)
        assert logits.shape == (1, 3, *size)
        torch.testing.assert_close(fold(network)(image), logits, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", NARROW)
def test_its_cost_is_foretold_and_its_model_file_is_read(name, dim, tmp_path):
    """Both build it on the meta device, where nothing can be computed."""
    if name.startswith("smp:") and dim == 3:
        return
    assert training_bytes(lambda: build(name, dim), (2, 2, *SIZE[:dim])) > 0
    network = build(name, dim).eval()
    card = ModelCard(plan=planned(dim), network=choice_of(name), channel_rule=ChannelRule())
    save_model(tmp_path / "model.safetensors", network, card)
    loaded, _ = load_model(tmp_path)
    image = torch.randn(1, 2, *SIZE[:dim])
    with torch.no_grad():
        torch.testing.assert_close(loaded(image), fold(network)(image))


@pytest.mark.parametrize("name", ["monai:BasicUNetPlusPlus", "monai:SwinUNETR"])
def test_small_patches_leave_something_to_normalise(name, dim):
    plan = plan_for_tests(dim=dim, channels=2, patch_size=(16,) * dim, stem_strides=(1,) * dim)
    network = build_network(plan, choice_of(name), multilabel=False).train()
    assert network.training_output(torch.randn(2, 2, *(16,) * dim)).logits.isfinite().all()


def test_one_value_to_normalise_is_one_line():
    with pytest.raises(MedsegError, match="raise batch_size"):
        build("smp:DeepLabV3Plus:resnet18", 2).train().training_output(torch.randn(1, 2, 32, 32))


@pytest.mark.parametrize("name", ALIASES)
def test_names_of_the_ancestor_are_understood(name):
    dim = 2 if ALIASES[name].startswith("smp:") else 3
    with torch.device("meta"):
        network = build(name, dim, "dense").encoder.eval()
        assert network(torch.empty(1, 2, *SIZE[:dim]))[0].shape == (1, 3, *SIZE[:dim])


def test_strides_and_kernels_follow_the_plan():
    thin = plan_for_tests(
        channels=1,
        patch_size=(8, 32, 32),
        stem_strides=(1, 1, 1),
        stage_strides=((1, 2, 2), (1, 2, 2), (2, 2, 2)),
        kernels=((1, 3, 3), (1, 3, 3), (3, 3, 3), (3, 3, 3)),
    )
    choice = NetworkChoice(encoder="convnext_mini", head="dense", network="monai:DynUNet")
    with torch.device("meta"):
        network = build_network(thin, choice, multilabel=False)
        assert network.encoder.multiples == (2, 8, 8)
        assert network(torch.empty(1, 1, 8, 32, 32)).shape == (1, 3, 8, 32, 32)


@pytest.mark.parametrize(
    ("name", "arguments", "what"),
    [
        ("monai:DynUnet", {}, "did you mean monai:DynUNet"),
        ("nothing", {}, "docs/networks.md"),
        ("monai:VNet", {"depth": 3}, "depth"),
        ("smp:Nothing:resnet18", {}, "Nothing"),
        ("smp:Unet:nothing", {}, "nothing"),
    ],
)
def test_what_cannot_be_built_is_one_line(name, arguments, what):
    with pytest.raises(MedsegError, match=what) as error:
        build(name, 2, **arguments)
    assert "\n" not in str(error.value)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    with pytest.raises(MedsegError, match=r"medseg\[smp\]"):
        build("smp:Unet:resnet18", 2)
