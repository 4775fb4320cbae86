"""Mirrored from left to right, what is called left becomes what is called right, and back."""

import numpy as np
import pytest
import torch
from plans import plan_for_tests

from medseg.patches.augment import Augment
from medseg.patches.exchange import Exchange
from medseg.patches.sampler import PatchBatch
from medseg.types import IGNORED, hidden_in

SIZES = {2: (8, 10), 3: (6, 8, 10)}
NAMES = ("background", "left kidney", "liver", "right kidney", "tumour")
PAIRS = ((1, 3),)


def plan_of(dim, axes=(0,), names=NAMES, pairs=PAIRS, **changes):
    return plan_for_tests(
        dim=dim,
        patch_size=SIZES[dim],
        flip_axes=axes,
        class_names=names,
        label_values=tuple(range(len(names))) if "task" not in changes else (1,) * len(names),
        exchanged=pairs,
        **changes,
    )


def mirrored(plan, label, hidden=(), flips=((True,), (False,))):
    """Image and label after mirroring the network axes in `flips`, per item, and nothing else."""
    augment = Augment.for_plan(plan, "none", 0, hidden=hidden)
    image = torch.randn(len(label), 1, *SIZES[plan.dim])
    parameters = augment.sample(image.shape, 0, 0)
    for item, axes in enumerate(flips):
        parameters.flips[item, : len(axes)] = axes
    return image, augment.apply(PatchBatch(image, label), parameters)[:2]


def labels(dim, values, layers=1):
    random = torch.Generator().manual_seed(0)
    chosen = torch.randint(0, len(values), (2, layers, *SIZES[dim]), generator=random)
    return torch.tensor(values, dtype=torch.uint8)[chosen]


def test_a_label_map(dim):
    label = labels(dim, [0, 1, 2, 3, 4, IGNORED])
    image, (new_image, new) = mirrored(plan_of(dim), label)
    table = {0: 0, 1: 3, 2: 2, 3: 1, 4: 4, IGNORED: IGNORED}
    turned = label[0].flip(1).apply_(table.__getitem__)
    assert torch.equal(new[0], turned)
    assert torch.equal(new_image[0], image[0].flip(1))
    assert torch.equal(new[1], label[1])
    assert torch.equal(new_image[1], image[1])


def test_masks_and_regions(dim):
    plan = plan_of(dim, names=NAMES[1:], pairs=((0, 2),), task="multilabel")
    label = labels(dim, [0, 1], layers=4)
    label[0, 2] = IGNORED  # no one looked for the right kidney: mirrored, for no left one
    _, (_, new) = mirrored(plan, label)
    assert torch.equal(new[0], label[0, [2, 1, 0, 3]].flip(1))
    assert torch.equal(new[1], label[1])


def test_other_axes_exchange_nothing(dim):
    label = labels(dim, [0, 1, 2, 3])
    plan = plan_of(dim, axes=(0, 1))
    _, (_, new) = mirrored(plan, label, flips=((False, True), (True, True)))
    assert torch.equal(new[0], label[0].flip(2))
    assert torch.equal(new[1], plan_table(plan)[label[1].flip(1, 2).long()])


def plan_table(plan):
    return torch.tensor(plan.mirrored_classes, dtype=torch.uint8)


def test_slices_that_do_not_begin_with_left_and_right():
    """A sagittal network sees no left and right; a coronal one sees it first."""
    assert plan_for_tests(dim=2, slice_axis=0).left_right is None
    assert plan_for_tests(dim=2, slice_axis=1).left_right == 0
    with pytest.raises(ValueError, match="exchanged must"):
        plan_of(2, slice_axis=0)


def test_sets_of_classes_that_background_may_be():
    """A case without a left kidney's annotation, mirrored, is one without a right kidney's."""
    plan = plan_of(3)
    hidden = ((1,), (1, 2), (2, 3), (3,), (4,))
    label = labels(3, [0, 2, *(hidden_in(number) for number in range(5))])
    _, (_, new) = mirrored(plan, label, hidden)
    becomes = {0: 0, 2: 2} | {hidden_in(a): hidden_in(b) for a, b in enumerate([3, 2, 1, 0, 4])}
    assert torch.equal(new[0], label[0].flip(1).apply_(becomes.__getitem__))


def test_twice_is_nothing(dim):
    plan = plan_of(dim)
    label = labels(dim, [*range(5), hidden_in(0), hidden_in(1), IGNORED])
    exchange = Exchange.for_plan(plan, ((1,), (3,)))
    assert exchange is not None
    twice = label.clone()
    flags = np.ones((2, dim), dtype=np.bool_)
    exchange.apply_(twice, flags)
    assert not torch.equal(twice, label)
    exchange.apply_(twice, flags)
    assert torch.equal(twice, label)


def test_without_pairs_nothing_is_exchanged(dim):
    plan = plan_of(dim, pairs=())
    assert Exchange.for_plan(plan) is None
    label = labels(dim, [*range(5)])
    _, (_, new) = mirrored(plan, label)
    assert torch.equal(new[0], label[0].flip(1))


def test_the_same_numbers_are_drawn_with_and_without_pairs(dim):
    shape = (4, 1, *SIZES[dim])
    one, other = (
        Augment.for_plan(plan_of(dim, pairs=pairs), "default", 3).sample(shape, 3, 7)
        for pairs in (PAIRS, ())
    )
    for mine, its in zip(one, other, strict=True):
        np.testing.assert_array_equal(mine, its)


def test_what_has_a_left_and_a_right_is_upright():
    angles = [
        Augment.for_plan(
            plan_of(2, axes=(0, 1), pairs=pairs, world=False), "default", 0
        ).rotation_degrees
        for pairs in (PAIRS, ())
    ]
    assert angles == [30, 180]
