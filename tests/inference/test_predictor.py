import numpy as np
import pytest
import torch
from networks.fill import fill
from plans import plan_for_tests
from subjects import oblique
from torch import nn

from medseg.errors import MedsegError, ScanError
from medseg.inference.ensemble import load_predictor
from medseg.inference.predictor import Predictor
from medseg.networks.build import NetworkChoice, build_segmenter
from medseg.prepare.pipeline import prepare
from medseg.runs import ModelCard, save_model
from medseg.scans.case import Case
from medseg.scans.channels import ChannelRule
from medseg.scans.read import read_label_map, read_subject
from medseg.scans.write import write_image, write_label_map

CPU = torch.device("cpu")
SIZE = (20, 17, 14)
BLOB = (slice(4, 11), slice(5, 12), slice(2, 9))
VALUES = (0, 3, 700)


class Brightness(nn.Module):
    """Class 1 is what is brighter than the mean, class 2 never wins."""

    def forward(self, images):
        return torch.cat([0 * images[:, :1], images[:, :1], 0 * images[:, :1] - 9], 1)


class Ramp(nn.Module):
    """Class 1 far along the network's first axis, whatever the image shows."""

    def forward(self, images):
        middle = images.shape[2] // 2
        along = torch.arange(images.shape[2]) - middle + 0.25
        along = along.view(-1, *[1] * (images.ndim - 3)).expand(images[:, :1].shape)
        return torch.cat([0 * along, along, 0 * along - 9], 1)


@pytest.fixture
def case(tmp_path):
    """A bright blob on a dark ground, oblique in space."""
    image = np.random.default_rng(0).uniform(0, 10, (1, *SIZE)).astype(np.float32)
    image[0][BLOB] += 100
    file = write_image(image, oblique(SIZE), tmp_path / "scan.nii.gz")
    return Case("scan", (file,), ())


def plan_of(dim=3, **overrides):
    return plan_for_tests(
        **{"label_values": VALUES, "patch_size": (8,) * dim, "dim": dim, **overrides}
    )


@pytest.mark.parametrize(("dim", "slice_axis"), [(3, None), (2, 0), (2, 1), (2, 2)])
def test_what_the_network_sees_lands_where_it_is(dim, slice_axis, case):
    plan = plan_of(dim, slice_axis=slice_axis)
    prediction = Predictor(Brightness(), plan, CPU).predict(case, with_probabilities=True)
    expected = np.zeros(SIZE, dtype=np.int32)
    expected[BLOB] = 3
    np.testing.assert_array_equal(prediction.label, expected)
    assert prediction.geometry == read_subject(case).geometry
    np.testing.assert_allclose(prediction.probabilities.sum(0), 1, atol=1e-6)
    likeliest = np.array(VALUES)[prediction.probabilities.argmax(0)]
    np.testing.assert_array_equal(likeliest, prediction.label)


def test_a_prepared_case_gives_the_same(case):
    plan = plan_of()
    predictor = Predictor(Brightness(), plan, CPU)
    prepared = prepare(read_subject(case), plan)
    np.testing.assert_array_equal(predictor.segment(prepared), predictor.predict(case).label)


def test_little_memory_gives_the_same(case):
    few, many = (Predictor(Brightness(), plan_of(), CPU, max_memory=n) for n in (1, None))
    np.testing.assert_array_equal(few.predict(case).label, many.predict(case).label)


def test_mirroring_is_over_the_axes_of_training(case):
    """Averaged over both directions, a ramp is the same everywhere: class 1 by a quarter voxel."""
    plan = plan_of(flip_axes=(0,), patch_size=(24, 24, 24))
    plain, averaged = (Predictor(Ramp(), plan, CPU, tta=tta) for tta in ("none", "mirror"))
    assert set(np.unique(plain.predict(case).label)) == {0, 3}
    assert len(np.unique(averaged.predict(case).label)) == 1
    other = Predictor(Ramp(), plan.model_copy(update={"flip_axes": (1,)}), CPU, tta="mirror")
    np.testing.assert_array_equal(other.predict(case).label, plain.predict(case).label)


def test_mirroring_exchanges_left_and_right(case):
    """A network that calls one half left and the other right says so of mirrored scans too."""
    plan = plan_of(flip_axes=(0,), patch_size=(24, 24, 24))
    named = plan.model_copy(update={"exchanged": ((0, 1),)})
    plain = Predictor(Ramp(), named, CPU).predict(case).label
    assert set(np.unique(plain)) == {0, 3}
    averaged = Predictor(Ramp(), named, CPU, tta="mirror").predict(case).label
    assert set(np.unique(averaged)) == {0, 3}


def test_wrong_channels_are_one_line(case):
    with pytest.raises(ScanError, match=r"has 1 channel.* for 2") as error:
        Predictor(Brightness(), plan_of(channels=2), CPU).predict(case)
    assert "\n" not in str(error.value)


def test_a_model_file_predicts_like_the_network_it_holds(case, dim, tmp_path):
    plan = plan_of(dim)
    network = fill(build_segmenter(plan, "convnext_micro", "pointrend", multilabel=False)).eval()
    expected = Predictor(network, plan, CPU).predict(case)
    rule = ChannelRule(kind="suffix", keys=("_t1",))
    choice = NetworkChoice(encoder="convnext_micro", head="pointrend")
    card = ModelCard(plan=plan, network=choice, channel_rule=rule)
    save_model(tmp_path / "model.safetensors", network, card)
    predictor, found = load_predictor([tmp_path], CPU)
    assert found == rule
    np.testing.assert_array_equal(predictor.predict(case).label, expected.label)
    assert len(np.unique(expected.label)) > 1


def test_a_scan_that_cannot_be_read_is_one_line(tmp_path):
    file = tmp_path / "scan.nii.gz"
    file.write_bytes(b"no scan")
    with pytest.raises(MedsegError) as error:
        Predictor(Brightness(), plan_of(), CPU).predict(Case("scan", (file,), ()))
    assert "\n" not in str(error.value)


def test_the_mask_can_be_written_and_read_on_the_scans_grid(case, tmp_path):
    prediction = Predictor(Brightness(), plan_of(), CPU).predict(case)
    file = write_label_map(
        prediction.label, prediction.geometry, tmp_path / "mask.nii.gz", like=case.images[0]
    )
    label, geometry = read_label_map(file)
    np.testing.assert_array_equal(label, prediction.label)
    assert geometry == prediction.geometry
