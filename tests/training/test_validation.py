import numpy as np
import pytest
import torch
from plans import plan_for_tests

from medseg.inference.predictor import Predictor
from medseg.inference.windows import window_boxes
from medseg.patches.sampler import PatchBatch
from medseg.prepare.prepared import Prepared
from medseg.training.validation import Validator, _Packed
from medseg.types import IGNORED, hidden_in


class Threshold(torch.nn.Module):
    """Class 1 where the image is above zero; as many outputs as asked for."""

    def __init__(self, outputs):
        super().__init__()
        self.outputs, self.seen = outputs, []

    def forward(self, image):
        self.seen.append(tuple(image.shape))
        scores = torch.zeros(len(image), self.outputs, *image.shape[2:])
        scores[:, self.outputs - 1] = image[:, 0]
        return scores


def predictor_of(dim, **plan):
    plan = plan_for_tests(dim=dim, **plan)
    network = Threshold(plan.num_outputs)
    return network, Predictor(network, plan, torch.device("cpu"))


def test_windows_are_counted_as_they_are_predicted(dim):
    _, predictor = predictor_of(dim)
    patch = predictor.plan.volume_patch
    for factor in (1, 2, 5):
        size = tuple(factor * length + factor % 2 for length in patch)
        assert predictor.windows(size) == len(window_boxes(size, patch, 0.5))
    assert predictor.windows((1, 1, 1)) == 1


def test_one_window_is_tried_however_large_the_case_is(dim):
    network, predictor = predictor_of(dim)
    size = tuple(3 * length for length in predictor.plan.volume_patch)
    prepared = Prepared("case", np.zeros((1, *size), np.float32), None, None)
    predictor.try_window(prepared)
    assert network.seen == [(1, 1, *predictor.plan.patch_size)]


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_dice_of_patches_is_taken_over_all_their_voxels(task, dim):
    _, predictor = predictor_of(dim, task=task)
    validator = Validator(predictor, [])
    plan = predictor.plan
    index = plan.num_outputs - 1
    shape = (2, 1, *plan.patch_size)
    image = torch.full(shape, -1.0)
    label = torch.zeros((2, plan.num_outputs if task == "multilabel" else 1, *plan.patch_size))
    image[0, 0, :2] = 1.0  # found, half of it true
    label[0, -1, :1] = 1 if task == "multilabel" else index
    found = validator.patch_dice([PatchBatch(image, label), PatchBatch(image[1:], label[1:])])
    name = plan.class_names[index]
    assert found[name] == pytest.approx(2 * 1 / (1 + 2))
    label[0, :, 1:2] = IGNORED
    found = validator.patch_dice([PatchBatch(image, label)])
    assert found[name] == 1  # what was found where nobody looked is not wrong
    if task == "multiclass":
        label[0, :, 1:2] = hidden_in(0)
        assert validator.patch_dice([PatchBatch(image, label)])[name] == 1


@pytest.mark.parametrize("dtype_of", [[0, 200], [0, 70_000], [-3, 5]])
def test_a_kept_prediction_comes_back(dtype_of):
    labels = np.random.default_rng(0).choice(dtype_of, (4, 5, 6)).astype(np.int32)
    packed = _Packed.of(labels)
    assert np.array_equal(packed.unpacked(), labels)
    assert packed.unpacked().dtype == np.int32
    assert len(_Packed.of(np.zeros((100, 100, 10), np.int32)).data) < 1000
