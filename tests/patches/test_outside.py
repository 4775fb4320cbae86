"""What lies outside of a case, or of what was cut out of it, has no class."""

import numpy as np
import pytest
import torch
from patches.cases import stored_case
from plans import plan_for_tests

from medseg.patches.augment import Augment
from medseg.patches.sampler import PatchBatch, PatchSampler
from medseg.types import IGNORED
from tests.patches.test_augment import SIZES, augment_of, turned


@pytest.mark.parametrize("dim", [2, 3])
def test_what_comes_from_outside_has_no_class_and_what_had_none_keeps_none(dim):
    """Everything moves but the classes: a patch of one class stays of that class or ignored."""
    size = SIZES[dim]
    image = torch.ones(4, 1, *size)
    label = torch.full((4, 2, *size), 2, dtype=torch.uint8)
    label[:, 1] = IGNORED
    parameters = turned(augment_of(dim), image.shape, 25)
    new_image, new_label, _ = augment_of(dim).apply(PatchBatch(image, label), parameters)
    outside = new_image[:, 0] == 0
    assert outside.any()
    assert (new_label[:, 0][outside] == IGNORED).all()
    assert set(new_label[:, 0].unique().tolist()) == {2, IGNORED}
    assert (new_label[:, 1] == IGNORED).all()


@pytest.mark.parametrize(("size", "most"), [((30, 30, 30), 0.05), ((14, 14, 14), 0.5)])
def test_what_a_training_learns_of_is_tissue(size, most):
    """As training does it, margin and augmentation included: only voxels that exist have a class.

    Intensity 1 is everywhere in the case, so a voxel far from 1 was not cut out of it.
    """
    plan = plan_for_tests(batch_size=8)
    patches = PatchSampler([stored_case(size)], plan, 0)
    augment = Augment.for_plan(plan, "default", 0)
    still = Augment.for_plan(plan, "none", 0)
    unknown = []
    for step in range(12):
        drawn = augment.sample((8, 1, 16, 16, 16), 0, step)
        neutral = still.sample((8, 1, 16, 16, 16), 0, step)
        moved = neutral._replace(matrices=drawn.matrices, displacements=drawn.displacements)
        image, label, _ = augment.apply(patches.batch(step), moved)
        assert (label[image < 0.12] == IGNORED).all()  # in a corner 1/8 is interpolated
        assert (label[image > 0.9999] != IGNORED).all()
        unknown.append((label == IGNORED).float().mean())
    assert 0 < np.mean(unknown) < most
