"""Several models say together what the mean of their probabilities says."""

import numpy as np
import pytest
import torch
from networks.fill import fill
from plans import plan_for_tests
from subjects import oblique
from torch import nn

from medseg.errors import MedsegError
from medseg.inference.ensemble import Ensemble, load_predictor
from medseg.inference.predictor import Predictor
from medseg.networks.build import NetworkChoice, build_segmenter
from medseg.runs import ModelCard, load_model, save_model
from medseg.scans.case import Case
from medseg.scans.channels import ChannelRule
from medseg.scans.write import write_image

CPU = torch.device("cpu")
SIZE = (20, 17, 14)


class Brightness(nn.Module):
    """Logits of each class: `slope` times the normalised intensity."""

    def __init__(self, *slopes):
        super().__init__()
        self.slopes = slopes

    def forward(self, images):
        return torch.cat([slope * images[:, :1] for slope in self.slopes], 1)


@pytest.fixture
def case(tmp_path):
    image = np.random.default_rng(0).uniform(0, 10, (1, *SIZE)).astype(np.float32)
    image[0, 4:11, 5:12, 2:9] += 100
    return Case("scan", (write_image(image, oblique(SIZE), tmp_path / "scan.nii.gz"),), ())


def member(slopes, dim=3, **overrides):
    plan = plan_for_tests(dim=dim, patch_size=(8,) * dim, **overrides)
    return Predictor(Brightness(*slopes), plan, CPU)


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_probabilities_are_averaged(case, task):
    slopes = ((0.0, 1.0, -1.0), (0.0, -0.2, 0.2))
    if task == "multilabel":
        slopes = ((2.0, -1.0), (-3.0, 0.5))
    members = [member(each, task=task) for each in slopes]
    alone = [each.predict(case, with_probabilities=True).probabilities for each in members]
    both = Ensemble(members).predict(case, with_probabilities=True)
    mean = (alone[0] + alone[1]) / 2
    np.testing.assert_allclose(both.probabilities, mean, atol=1e-5)
    expected = mean > 0.5 if task == "multilabel" else mean.argmax(axis=0)
    assert (both.label == expected).mean() > 0.999  # ties by rounding apart
    assert len(np.unique(both.label)) > 1


def test_members_may_differ_in_spacing_and_axes(case):
    """The sure one decides wherever the other is in doubt, at whatever spacing it works."""
    sure = member((0.0, 40.0, -40.0))
    coarse = member((0.0, 0.1, -40.0), spacing_mm=(2.0, 1.7, 1.4))
    flat = member((0.0, 0.1, -40.0), dim=2, slice_axis=1)
    expected = sure.predict(case).label
    label = Ensemble([flat, coarse, sure]).predict(case).label
    assert label.shape == SIZE
    assert (label == expected).mean() > 0.98


def saved(folder, slopes_seed, **overrides):
    folder.mkdir(parents=True, exist_ok=True)
    plan = plan_for_tests(patch_size=(8, 8, 8), **overrides)
    torch.manual_seed(slopes_seed)
    network = fill(
        build_segmenter(plan, "convnext_micro", "pointrend", multilabel=plan.task == "multilabel")
    ).eval()
    choice = NetworkChoice(encoder="convnext_micro", head="pointrend")
    card = ModelCard(plan=plan, network=choice, channel_rule=ChannelRule())
    save_model(folder / "model.safetensors", network, card)
    return folder


def test_a_folder_of_folds_stands_for_each_of_them(case, tmp_path):
    folds = [saved(tmp_path / "cv" / f"fold_{n}", n) for n in (10, 2)]
    (tmp_path / "cv" / "fold_3").mkdir()  # has no model yet
    together, _ = load_predictor([tmp_path / "cv"], CPU)
    named, _ = load_predictor(folds, CPU)
    assert len(together.members) == 2
    np.testing.assert_array_equal(together.predict(case).label, named.predict(case).label)
    with pytest.raises(MedsegError, match=r"holds 2 models; name one of them, such as .*fold_2"):
        load_model(tmp_path / "cv")


def test_a_model_named_twice_counts_once(tmp_path):
    run = saved(tmp_path / "run", 0)
    predictor, _ = load_predictor([run, run / "model.safetensors"], CPU)
    assert len(predictor.members) == 1


@pytest.mark.parametrize(
    ("overrides", "what"),
    [
        ({"class_names": ("background", "organ", "other")}, "its classes"),
        ({"label_values": (0, 1, 7)}, "its classes"),
        ({"class_names": ("background", "lesion", "organ"), "label_values": (0, 2, 1)}, "classes"),
        ({"channels": 2}, "its channels"),
        ({"world": False}, "its world frame"),
    ],
)
def test_models_of_different_questions_are_refused(tmp_path, overrides, what):
    runs = [saved(tmp_path / "a", 0), saved(tmp_path / "b", 0, **overrides)]
    with pytest.raises(MedsegError, match=what) as error:
        load_predictor(runs, CPU)
    assert str(runs[1] / "model.safetensors") in error.value.subject
    assert "\n" not in str(error.value)


def test_a_folder_without_models_is_refused(tmp_path):
    with pytest.raises(MedsegError, match="no model file there"):
        load_predictor([tmp_path], CPU)
