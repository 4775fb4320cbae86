import pytest
import torch

from medseg.errors import MedsegError, SettingsError
from medseg.patches.sampler import PatchBatch
from medseg.patches.torchio_transform import TorchioTransforms, build_transforms
from medseg.types import IGNORED


def batch_of(dim, channels=2):
    random = torch.Generator().manual_seed(0)
    size = (10, 12, 8)[:dim]
    image = torch.randn((2, channels, *size), generator=random)
    label = torch.randint(0, 3, (2, 1, *size), generator=random, dtype=torch.uint8)
    return PatchBatch(image, label)


def transforms(*specs, dim=3, seed=0):
    return TorchioTransforms(build_transforms(specs), (1.0,) * dim, seed)


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("name", ["RandomAffine", "RandomNoise", "RandomGamma", "RandomBiasField"])
def test_a_step_is_pure_and_the_global_numbers_stand_still(dim, name):
    batch = batch_of(dim)
    before = batch.image.clone()
    run = transforms((name, {}), dim=dim)
    state = torch.random.get_rng_state()
    one = run(batch, 4)
    torch.rand(7)
    run(batch, 5)
    torch.random.set_rng_state(state)
    two = run(batch, 4)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(batch.image, before)
    assert all(torch.equal(a, b) for a, b in zip(one[:2], two[:2], strict=True))
    assert one.image.shape == batch.image.shape
    assert not torch.equal(one.image, before)
    assert not torch.equal(one.image, run(batch, 5).image)
    assert not torch.equal(one.image, transforms((name, {}), dim=dim, seed=1)(batch, 4).image)


def test_labels_move_with_the_image_by_nearest():
    label = batch_of(3).label
    batch = PatchBatch(label.float(), label)
    moved = transforms(("RandomAffine", {"image_interpolation": "nearest", "degrees": [20, 30]}))
    image, moved_label, _ = moved(batch, 0)
    assert moved_label.dtype == torch.uint8
    assert not torch.equal(moved_label, label)
    there = moved_label != IGNORED
    assert set(moved_label[there].unique().tolist()) <= {0, 1, 2}
    assert torch.equal(image[there], moved_label[there].float())


@pytest.mark.parametrize(
    "spec",
    [
        ("RandomAffine", {"degrees": [20, 30]}),
        (
            "RandomElasticDeformation",
            {"num_control_points": 5, "max_displacement": 1, "locked_borders": 0},
        ),
    ],
)
def test_what_torchio_brings_in_has_no_class(spec):
    """Everywhere is class 1, so all that comes from elsewhere is ignored and nothing is class 0."""
    image = batch_of(3).image + 100
    label = torch.ones_like(batch_of(3).label)
    label[:, :, :2] = IGNORED
    batch = PatchBatch(image, label)
    run, found = transforms(spec), []
    for step in range(4):
        found += run(batch, step).label.unique().tolist()
    assert set(found) == {1, IGNORED}
    assert (batch.label == 1).sum() == label[:, :, 2:].numel()
    assert (label[:, :, :2] == IGNORED).all()


def test_a_slice_is_turned_in_its_plane_only():
    batch = batch_of(2)
    results = {}
    for plane, degrees in (("out of", [30, 30, 30, 30, 0, 0]), ("in", [0, 0, 0, 0, 30, 30])):
        affine = ("RandomAffine", {"degrees": degrees, "scales": 0})
        results[plane] = transforms(affine, dim=2)(batch, 0).image
    torch.testing.assert_close(results["out of"], batch.image, atol=1e-4, rtol=0)
    assert not torch.allclose(results["in"], batch.image, atol=0.1)


def test_transforms_run_in_the_order_given():
    specs = [("RescaleIntensity", {"out_min_max": [0, 1]}), ("Clamp", {"out_min": 0.5})]
    image = transforms(*specs)(batch_of(3), 0).image
    assert image.min() == 0.5
    assert image.max() == 1


@pytest.mark.parametrize("name", ["RandomAfine", "Compose", "Transform", "os", "Subject", "Lambda"])
def test_nothing_but_a_transform_can_be_named(name):
    with pytest.raises(SettingsError, match=f"'{name}' must be the name of a torchio transform"):
        build_transforms([(name, {})])


def test_the_nearest_name_is_offered():
    with pytest.raises(SettingsError, match="did you mean 'RandomAffine'"):
        build_transforms([("RandomAfine", {})])


@pytest.mark.parametrize("arguments", [{"sigma": 1}, {"std": "much"}, {"std": [-1, 2]}])
def test_bad_arguments_are_refused_in_one_line(arguments):
    with pytest.raises(SettingsError, match="RandomNoise does not take") as caught:
        build_transforms([("RandomNoise", arguments)])
    assert "\n" not in str(caught.value)


def test_a_transform_that_changes_the_size_is_refused():
    with pytest.raises(MedsegError, match="Crop made 2x8x10x6 of a patch's image of 2x10x12x8"):
        transforms(("Crop", {"cropping": 1}))(batch_of(3), 0)


def test_a_transform_that_fails_is_named():
    with pytest.raises(MedsegError, match="HistogramStandardization failed on a patch"):
        transforms(("HistogramStandardization", {"landmarks": {"other": [0, 1]}}))(batch_of(3), 0)
