from typing import get_args

import pytest
import torch
from monai.losses.dice import DiceCELoss
from torch.nn import functional as F

from medseg.hparams import HParams
from medseg.networks.point_rend import HeadOutput
from medseg.sampling import labels_at
from medseg.training.losses import LOSSES, build_loss
from medseg.types import IGNORED

TASKS = ["multiclass", "multilabel"]
SIZE = (6, 8, 4)


def labels_of(task, dim, classes=3):
    """Half of everything is background; labels of a multilabel task overlap."""
    random = torch.Generator().manual_seed(0)
    if task == "multiclass":
        labels = torch.randint(0, classes, (2, 1, *SIZE[:dim]), generator=random)
        labels[:, :, :3] = 0
    else:
        labels = torch.randint(0, 2, (2, classes, *SIZE[:dim]), generator=random)
    return labels.to(torch.uint8)


def sure(labels, task, classes=3, by=12.0):
    """Logits that are right everywhere."""
    if task == "multiclass":
        labels = F.one_hot(labels[:, 0].long(), classes).movedim(-1, 1)
    return by * (2.0 * labels - 1)


@pytest.fixture(params=TASKS)
def task(request):
    return request.param


@pytest.mark.parametrize("name", LOSSES)
def test_being_right_costs_nothing_and_being_wrong_much(name, task, dim):
    loss, labels = build_loss(name, task), labels_of(task, dim)
    right = sure(labels, task)
    assert 0 <= loss(HeadOutput(right), labels) < 1e-3
    unsure = loss(HeadOutput(0 * right), labels)
    assert unsure > 0.3
    assert loss(HeadOutput(-right), labels) > 2 * unsure


def test_for_exclusive_classes_it_is_monais(dim):
    labels, logits = labels_of("multiclass", dim), torch.randn(2, 3, *SIZE[:dim])
    monais = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)
    found = build_loss("dice_ce", "multiclass")(HeadOutput(logits), labels)
    torch.testing.assert_close(found, monais(logits, labels))


@pytest.mark.parametrize("name", sorted({*LOSSES} - {"boundary"}))
def test_every_logit_is_pulled_towards_its_label(name, task, dim):
    labels = labels_of(task, dim)
    logits = torch.zeros(2, 3, *SIZE[:dim], requires_grad=True)
    build_loss(name, task, with_background=True)(HeadOutput(logits), labels).backward()
    up = sure(labels, task) > 0
    assert (logits.grad[up] < 0).all()
    assert (logits.grad[~up] > 0).all()


def test_points_are_judged_by_the_voxels_that_hold_them(task, dim):
    """The loss of the points, as if they were a patch, is added to that of the patch."""
    labels = labels_of(task, dim)
    loss = build_loss("dice_ce", task)
    voxels = torch.tensor([[[0, 0, 0], [5, 7, 3]], [[3, 1, 2], [4, 6, 0]]])[..., :dim]
    points = (voxels + 0.4) / torch.tensor(SIZE[:dim])
    dense = sure(labels, task)
    item = torch.arange(2)[:, None]
    at = (item, slice(None), *voxels.unbind(-1))
    right = dense[at].movedim(-1, 1)
    base = loss(HeadOutput(dense), labels)
    added = [loss(HeadOutput(dense, points, right * sign), labels) - base for sign in (1, 0, -1)]
    alone = [loss(HeadOutput(right * sign), labels_at(labels, points)) for sign in (1, 0, -1)]
    assert torch.allclose(torch.stack(added), torch.stack(alone), atol=1e-4)
    assert added[0] < added[1] < added[2] - 10


def test_a_class_that_is_nowhere_is_no_division_by_zero(task):
    labels = torch.zeros_like(labels_of(task, 3))
    logits = torch.randn(2, 3, *SIZE, requires_grad=True)
    loss = build_loss("dice_ce", task)(HeadOutput(logits), labels)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()


def test_a_class_that_one_patch_lacks_is_judged_over_the_batch(task):
    labels = labels_of(task, 2)
    labels[1] = 0
    assert build_loss("dice_ce", task)(HeadOutput(sure(labels, task)), labels) < 1e-3


def test_the_background_counts_when_it_is_a_class_of_its_own():
    """Where nothing but class 0 is to be found, finding it is all there is."""
    labels = labels_of("multiclass", 2)
    logits = sure(labels, "multiclass")
    logits[:, 0] = -12  # the background is never found
    counted, not_counted = (
        build_loss("dice_ce", "multiclass", with_background=flag)(HeadOutput(logits), labels)
        for flag in (True, False)
    )
    assert counted > not_counted


def test_half_precision_is_judged_in_full(task):
    labels = labels_of(task, 2)
    logits = sure(labels, task, by=3)
    loss = build_loss("dice_ce", task)
    half = loss(HeadOutput(logits.bfloat16()), labels)
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(loss(HeadOutput(logits), labels).item())


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("with_background", [False, True])
def test_ignored_voxels_have_no_gradient_and_no_weight(name, with_background, task, dim):
    """In the patch and at points; what the network says there does not matter either."""
    labels = labels_of(task, dim)
    ignored = torch.rand(labels[:, :1].shape, generator=torch.Generator().manual_seed(1)) < 0.3
    labels = labels.masked_fill(ignored, IGNORED)
    random = torch.Generator().manual_seed(2)
    logits = torch.randn(2, 3, *SIZE[:dim], generator=random).requires_grad_()
    points = torch.rand(2, 50, dim, generator=random)
    at_points = torch.randn(2, 3, 50, generator=random).requires_grad_()
    loss = build_loss(name, task, with_background=with_background)
    total = loss(HeadOutput(logits, points, at_points), labels)
    total.backward()
    unknown = ignored.expand_as(logits)
    assert (logits.grad[unknown] == 0).all()
    assert (logits.grad[~unknown] != 0).any()
    unknown_points = labels_at(ignored.long(), points).bool().expand_as(at_points)
    assert unknown_points.any()
    assert (at_points.grad[unknown_points] == 0).all()
    assert (at_points.grad[~unknown_points] != 0).all()
    elsewhere = HeadOutput(
        torch.where(unknown, 9 * logits, logits),
        points,
        torch.where(unknown_points, -9 * at_points, at_points),
    )
    torch.testing.assert_close(loss(elsewhere, labels), total)


@pytest.mark.parametrize("name", sorted({*LOSSES} - {"boundary"}))
def test_ignoring_voxels_is_leaving_them_out(name, task):
    """The loss of the known part alone, cut out, is the loss of the whole."""
    labels, logits = labels_of(task, 3), torch.randn(2, 3, *SIZE)
    loss = build_loss(name, task)
    part = loss(HeadOutput(logits[:, :, 2:]), labels[:, :, 2:])
    labels[:, :, :2] = IGNORED
    torch.testing.assert_close(loss(HeadOutput(logits), labels), part)


@pytest.mark.parametrize("name", LOSSES)
def test_a_patch_of_which_nothing_is_known_costs_nothing(name, task, dim):
    labels = torch.full_like(labels_of(task, dim), IGNORED)
    logits = torch.randn(2, 3, *SIZE[:dim], requires_grad=True)
    loss = build_loss(name, task)(HeadOutput(logits), labels)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert (logits.grad == 0).all()


def test_every_choice_can_be_built():
    assert set(LOSSES) == set(get_args(HParams.model_fields["loss"].annotation))
